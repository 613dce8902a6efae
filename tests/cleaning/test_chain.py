from dataclasses import replace

from bonanza.cleaning.chain import CleaningChain
from bonanza.cleaning.decontamination import Decontaminator, items_of
from bonanza.records import Pair, PairNote, Question, Reading
from bonanza.settings import CleaningSettings, DecontaminationSettings

PAGES = {
    "first": "Roald Amundsen reached the South Pole on 14 December 1911. His ship, the Fram, waited in the bay.",
    "second": "The Fram is a ship in Oslo. Amundsen reached the South Pole on 14 December 1911, before Scott did.",
}
TEST = Question("Who won the race to the South Pole, and on which day of which year did he get there?", "Amundsen")
READINGS = [
    Reading(
        "first",
        "ok",
        (
            Pair("When did Amundsen reach the South Pole?", "On 14 December 1911", "first"),
            Pair("What is said in the passage?", "That he got there", "first"),
            Pair("Which ship waited for him?", "The Gjoa", "first", evidence="His ship, the Gjoa, had sailed home."),
            Pair(TEST.question, "Roald Amundsen", "first", evidence="roald amundsen reached"),
            Pair("Which ship waited for him?", "The Fram, with Nansen", "first", evidence="the Fram"),
        ),
    ),
    Reading("second", "ok", (Pair("when did Amundsen reach the  South Pole?", "on 14 December 1911", "second"),)),
]


def chain(settings: CleaningSettings | None = None) -> CleaningChain:
    decontaminator = Decontaminator(items_of([TEST], "race.jsonl"), DecontaminationSettings(), PAGES.values())
    return CleaningChain(settings or CleaningSettings(), PAGES.__getitem__, decontaminator)


def test_each_pair_gets_the_first_reason_that_applies():
    cleaned = [pair for reading in map(chain().clean, READINGS) for pair in reading.pairs]
    assert [pair.status for pair in cleaned] == [
        "kept", "malformed", "ungrounded", "contaminated", "kept", "duplicate",
    ]  # fmt: skip
    assert cleaned[1].reason == "not self-contained"
    assert cleaned[3].reason == "test item 1 of race.jsonl: words in a row (1.00)"
    assert cleaned[5].reason == f"same as {cleaned[0].id}"


def test_every_kept_pair_has_a_span_that_cuts_its_evidence_out_of_the_document():
    run = chain()
    kept = [pair for reading in READINGS for pair in run.clean(reading).kept]
    assert kept
    assert all(
        pair.evidence and PAGES[pair.document_id][pair.char_start : pair.char_end] == pair.evidence for pair in kept
    )


def test_notes_are_found_by_the_id_that_a_pair_has_in_the_end():
    run = chain()
    cleaned = [run.clean(reading) for reading in READINGS]
    notes = run.notes
    assert notes.of(cleaned[0].pairs[0].id) == PairNote()
    assert notes.of(cleaned[0].pairs[1].id) == PairNote(flags=("not self-contained",))
    assert notes.of(cleaned[0].pairs[4].id) == PairNote(grounding=0.5)
    assert [match.id for match in notes.matches] == [cleaned[0].pairs[3].id]


def test_a_fresh_chain_gives_the_same():
    first, again = chain(), chain()
    assert [first.clean(reading) for reading in READINGS] == [again.clean(reading) for reading in READINGS]
    assert first.notes == again.notes


def test_cleaned_pairs_cleaned_again_stay_as_they_are():
    cleaned = [chain().clean(reading) for reading in READINGS[:1]]
    assert [chain().clean(reading) for reading in cleaned] == cleaned


def test_grounding_can_be_switched_off():
    run = chain(replace(CleaningSettings(), grounded=False))
    assert run.clean(READINGS[0]).pairs[2].status == "kept"
