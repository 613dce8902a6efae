import json

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

import bonanza
from bonanza.cleaning.repeated_documents import RepeatedDocuments
from bonanza.records import Document

PAGE = (
    "The Fram was built in Larvik by Colin Archer for the Arctic drift of 1893. Her hull is round, so that the ice "
    "lifts her instead of crushing her. She later carried Amundsen to the Bay of Whales, and stands in Oslo today."
)
EDITION = PAGE.replace("in Oslo today", "in Oslo still").replace("1893", "1894")
OTHER = (
    "A bowline makes a loop that does not slip. Pass the end up through the eye, around the standing part, and back."
)


def test_another_edition_repeats_and_another_page_does_not():
    screen = RepeatedDocuments(0.8)
    screen.remember(Document("first", PAGE))
    assert screen.repeats(Document("copy", PAGE.upper())) == "wording like first (1.00)"
    assert (screen.repeats(Document("edition", EDITION)) or "").startswith("wording like first (0.")
    assert screen.repeats(Document("other", OTHER)) is None


@given(st.lists(st.text(st.sampled_from("ab c"), max_size=8), max_size=12))
def test_what_was_remembered_is_found_and_before_nothing_is(texts: list[str]):
    screen = RepeatedDocuments(1.0)
    for number, text in enumerate(texts):
        first = screen.repeats(Document(str(number), text))
        screen.remember(Document(str(number), text))
        assert (first is not None) or text not in texts[:number]
        assert screen.repeats(Document("again", text)) is not None


def test_a_run_pays_for_a_copy_once_and_says_so(tmp_path, cache):
    texts = [f"Question: What is {word}?\nAnswer: {word.title()} is a {kind}." for word, kind in WORDS.items()]
    pages = [*texts, PAGE, EDITION, PAGE + " "]
    run = lambda name, **settings: bonanza.extract(
        bonanza.documents(pages), [("What is a jib?", "A sail.")], budget=f"{len(pages)}docs", llm="rules",
        out=tmp_path / name, cache=cache, **settings,
    )  # fmt: skip
    summary = run("run").summary
    assert (summary["stop_reason"], summary["documents_read"]) == ("all documents read", len(texts) + 1)
    assert summary["left_out"] == {"chosen: repeats a document that is read": 2}
    notes = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    assert all(note["detail"].startswith("wording like ") for note in notes)
    assert run("run").summary["left_out"] == summary["left_out"]
    everything = run("all", cleaning={"near_duplicates": {"documents": None}}).summary
    assert everything["documents_read"] == len(pages)
    assert pq.read_table(tmp_path / "run" / "documents.parquet").num_rows == len(texts) + 1


WORDS = {"jib": "sail in front of the mast", "bowline": "knot that makes a loop", "keel": "spine of every ship"}
