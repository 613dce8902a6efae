import pytest

from bonanza.errors import ExtractionError
from bonanza.extractors.replay import ReplayExtractor
from bonanza.records import Document, Pair, Reading, Usage

READING = Reading("page", "ok", (Pair("Who sails?", "The crew.", "page"),), Usage(400, 20), 0.25, "as it was")


def test_a_reading_comes_back_as_it_was():
    assert ReplayExtractor({"page": READING}).read(Document("page", "The crew sails.")) == READING


def test_the_worst_case_is_what_reading_took():
    assert ReplayExtractor({"page": READING}).worst_case(Document("page", "another text")) == Usage(400, 20)


def test_a_document_that_was_never_read_is_not_guessed():
    with pytest.raises(ExtractionError, match=r"pages.jsonl, line 3: was never read, so its pairs are unknown"):
        ReplayExtractor({"page": READING}).read(Document("other", "A text.", "pages.jsonl, line 3"))
