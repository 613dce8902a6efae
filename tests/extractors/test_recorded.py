"""Facts about replaying pairs that stand in the corpus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.errors import ExtractionError
from bonanza.extractors.prices import PROMPT_TOKENS
from bonanza.extractors.recorded import MOST_PAIRS, RecordedExtractor
from bonanza.records import Document, Question, Usage

TEXT = "The lake is deep. Perch live in it."
texts = st.text(max_size=60)
documents = st.builds(
    Document,
    st.text(min_size=1),
    texts,
    st.just(""),
    st.lists(st.builds(Question, texts, texts), max_size=20).map(tuple),
)


def read(*recorded: Question, text: str = TEXT):
    return RecordedExtractor().read(Document("page", text, "pages.jsonl, line 1", recorded))


@given(documents)
def test_reading_costs_exactly_the_worst_case_and_is_the_same_twice(document):
    extractor = RecordedExtractor()
    reading = extractor.read(document)
    assert reading.usage == extractor.worst_case(document)
    assert extractor.read(document) == reading
    assert reading.document_id == document.id


@given(documents)
def test_evidence_stands_where_the_pair_says(document):
    for pair in RecordedExtractor().read(document).pairs:
        if pair.char_start is None:
            assert (pair.char_end, pair.evidence) == (None, "")
        else:
            assert document.text[pair.char_start : pair.char_end] == pair.evidence


@given(documents)
def test_pairs_are_revealed_in_their_order_up_to_the_most(document):
    reading = RecordedExtractor().read(document)
    shown = [Question(pair.question, pair.answer) for pair in reading.pairs]
    assert shown == [*document.recorded[:MOST_PAIRS]]
    assert reading.status == ("ok" if shown else "empty")
    hidden = len(document.recorded) - len(shown)
    assert reading.detail == (f"{hidden} pairs beyond the first {MOST_PAIRS} not revealed" if hidden else "")


def test_the_price_is_that_of_a_prompt_the_text_and_the_pairs():
    reading = read(Question("Why?", "So it is."), text="x" * 401)
    assert reading.usage == Usage(PROMPT_TOKENS + 101, 1 + 3)  # four characters to a token, begun ones count


def test_the_place_is_that_of_the_question_or_else_of_the_answer():
    asked, answered, neither = read(
        Question("The lake is deep.", "Perch"), Question("What lives there?", "Perch"), Question("Why?", "Because.")
    ).pairs
    assert (asked.char_start, asked.char_end, asked.evidence) == (0, 17, "The lake is deep.")
    assert (answered.char_start, answered.char_end, answered.evidence) == (18, 23, "Perch")
    assert (neither.char_start, neither.evidence) == (None, "")


def test_a_page_with_an_empty_list_of_pairs_still_costs_its_prompt():
    reading = read()
    assert (reading.status, reading.pairs) == ("empty", ())
    assert reading.usage == Usage(PROMPT_TOKENS + 9, 0)


def test_a_corpus_without_recorded_pairs_is_refused_with_what_to_do():
    with pytest.raises(ExtractionError, match=r"pages.jsonl, line 3: .* no recorded pairs. .* --llm recorded:COLUMN"):
        RecordedExtractor().read(Document("page", TEXT, "pages.jsonl, line 3"))
