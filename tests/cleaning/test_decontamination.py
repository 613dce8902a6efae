import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonanza.cleaning.decontamination import Decontaminator, TestItem, items_of, overlaps
from bonanza.cleaning.overlap import prose, sentences
from bonanza.cleaning.words import words
from bonanza.embedders.static import fit_static
from bonanza.records import Document, Pair, Question, Reading, Target
from bonanza.settings import DecontaminationSettings

EGGS = (
    "Janet's ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins for her friends "
    "every day with four. How much does she make every day at the farmers' market?"
)
SHORT = r"Compute $\sin 45^\circ$."
CODE = "Write a function to reverse the words of a sentence.\nassert turned('a b') == 'b a'"
ITEMS = items_of([Question(EGGS, "18"), Question(SHORT, r"$\frac{\sqrt{2}}{2}$"), Question(CODE, "")], "quiz.jsonl")
BACKGROUND = [
    "The crew of the ship sails every day with the tide, and she eats for breakfast what they caught.",
    "How much does it cost to make a hut of wood in the north for four men and their dogs?",
    "Write a function to count the words of a text, and compute how many there are.",
] * 50


BUILT = Decontaminator(ITEMS, DecontaminationSettings(), BACKGROUND)


def built(**chosen: float) -> Decontaminator:
    return Decontaminator(ITEMS, DecontaminationSettings(**chosen), BACKGROUND)


def marked(question: str, answer: str = "unknown") -> Pair:
    return built().clean(Reading("page", "ok", (Pair(question, answer, "page"),))).pairs[0]


@pytest.mark.parametrize(
    ("question", "how"),
    [
        (EGGS, "words in a row"),
        (EGGS.upper().replace("THREE", "3"), "words in a row"),
        (f"Now {SHORT.lower()} Then rest.", "whole question"),
        (
            "Every day the ducks of Janet lay sixteen eggs. Four go into muffins that Janet bakes for friends, and "
            "three are her breakfast. What does she make at the farmers market?",
            "reworded",
        ),
        (
            "Janets ducks ly 16 eggs per dya. She eats three breakfast every morning, bakes muffns for her frends "
            "every day wiht four. How much does make evry day at farmers' mraket?",
            "edited",
        ),
    ],
)
def test_an_item_is_found_word_for_word_edited_and_reworded(question: str, how: str):
    pair = marked(question)
    assert pair.status == "contaminated"
    number = 2 if how == "whole question" else 1
    assert pair.reason.startswith(f"test item {number} of quiz.jsonl: ")
    if how in ("words in a row", "whole question"):
        assert f": {how} (1.00)" in pair.reason


@pytest.mark.parametrize(
    "question",
    ["How many eggs do ducks lay per day?", r"Compute $\sin 30^\circ$.", "Write a function to count words.", "", "?"],
)
def test_other_questions_are_not(question: str):
    assert marked(question).status == "kept"


def test_an_item_in_an_answer_or_a_document_is_found_and_told_in_the_matches():
    decontaminator = built()
    (pair,) = decontaminator.clean(Reading("page", "ok", (Pair("A quiz?", f"Yes: {EGGS}", "page"),))).pairs
    text = f"{' '.join(BACKGROUND[:3])}\n\n{EGGS}\n\n{' '.join(BACKGROUND[:3])}"
    assert decontaminator.check_document(Document("page", text)) is not None
    assert decontaminator.check_document(Document("clean", " ".join(BACKGROUND[:9]))) is None
    assert [(match.kind, match.id, match.origin, match.number, match.how) for match in decontaminator.matches] == [
        ("pair", pair.id, "quiz.jsonl", 1, "words in a row"),
        ("document", "page", "quiz.jsonl", 1, "words in a row"),
    ]
    assert decontaminator.matches[0].words == "janet s ducks lay 16 eggs per day she eats 3 for breakfast"


def test_the_number_of_words_in_a_row_can_be_set():
    decontaminator = built(ngram=8, reworded=1e6, edited=1e6)
    pair = Pair("Does she bake muffins for her friends every day with butter?", "no", "page")
    assert decontaminator.clean(Reading("page", "ok", (pair,))).pairs[0].status == "kept"
    pair = Pair("Who bakes muffins for her friends every day with four hands?", "no", "page")
    assert decontaminator.clean(Reading("page", "ok", (pair,))).pairs[0].status == "contaminated"


def test_embeddings_are_looked_at_where_a_threshold_is_set():
    chosen = DecontaminationSettings(similarity=0.9, reworded=1e6, edited=1e6)
    decontaminator = Decontaminator(ITEMS, chosen, BACKGROUND, fit_static([EGGS, SHORT, CODE, *BACKGROUND[:3]]))
    turned = " ".join(reversed(EGGS.split()))
    (pair,) = decontaminator.clean(Reading("page", "ok", (Pair(turned, "18", "page"),))).pairs
    assert pair.reason.startswith("test item 1 of quiz.jsonl: embedding (")


def test_pairs_that_were_not_kept_stay_as_they_are():
    pair = Pair(EGGS, "18", "page", status="malformed", reason="empty answer")
    assert built().clean(Reading("page", "ok", (pair,))).pairs == (pair,)


def test_a_reference_set_that_repeats_the_test_set_is_told():
    target = Target((Question("Who sails at dawn?", "The crew."), Question(EGGS, "18")), "reference.jsonl")
    assert [(match.id, match.number) for match in overlaps(target, ITEMS, DecontaminationSettings())] == [("2", 1)]


def test_without_items_everything_is_kept():
    decontaminator = Decontaminator([], DecontaminationSettings(), BACKGROUND)
    pair = Pair(EGGS, "18", "page")
    assert decontaminator.clean(Reading("page", "ok", (pair,))).pairs == (pair,)
    assert decontaminator.check_document(Document("page", EGGS)) is None


def test_code_is_left_out_of_prose_where_prose_is_left():
    assert prose(CODE) == "Write a function to reverse the words of a sentence."
    assert prose("assert 1 == 1") == "assert 1 == 1"


@given(st.text(st.sampled_from("ab.?!\n 1"), max_size=80))
def test_sentences_joined_are_the_text(text: str):
    assert "".join(sentences(text)) == text


@given(st.text(st.characters(codec="utf-8"), max_size=60))
@settings(deadline=None)
def test_any_text_can_be_looked_at_and_gives_the_same_again(text: str):
    pair = Pair(text, text, "page")
    first, again = (BUILT.clean(Reading("page", "ok", (pair,))) for _ in range(2))
    assert first == again
    assert words(text) == words(text.upper().lower()) or not text.isascii()


def test_an_item_says_where_it_comes_from():
    assert ITEMS[1] == TestItem("quiz.jsonl", 2, SHORT, r"$\frac{\sqrt{2}}{2}$")
