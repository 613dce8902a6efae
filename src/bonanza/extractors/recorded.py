"""Pairs that already stand in a column of the corpus: reading reveals them, and policies are compared for free."""

from __future__ import annotations

from bonanza.errors import ExtractionError
from bonanza.extractors.prices import prompt_tokens, written_tokens
from bonanza.records import Document, Pair, Question, Reading, Usage

MOST_PAIRS = 12  # [ours] what one reading reveals; further recorded pairs stay hidden, and are counted


class RecordedExtractor:
    """Reveals recorded pairs at the price at which an LLM would have found them.

    Usage: 350 prompt tokens + the document's + the pairs' tokens, at four characters per token [ours].
    """

    name = f"recorded-{MOST_PAIRS}"

    def worst_case(self, document: Document) -> Usage:
        """Exactly what reading will cost: the answer is known."""
        return self.read(document).usage

    def prompt_tokens(self, document: Document) -> int:
        """As many as the worst case has: prompts are known."""
        return prompt_tokens(document)

    def read(self, document: Document) -> Reading:
        """Reveal the document's pairs."""
        if document.recorded is None:
            raise ExtractionError(
                f"{document.origin}: the corpus has no recorded pairs. Name their column with --llm recorded:COLUMN."
            )
        pairs = tuple(_located(pair, document) for pair in document.recorded[:MOST_PAIRS])
        written = sum(written_tokens(pair.question, pair.answer) for pair in pairs)
        hidden = len(document.recorded) - len(pairs)
        return Reading(
            document_id=document.id,
            status="ok" if pairs else "empty",
            pairs=pairs,
            usage=Usage(prompt_tokens(document), written),
            detail=f"{hidden} pairs beyond the first {MOST_PAIRS} not revealed" if hidden else "",
        )


def _located(pair: Question, document: Document) -> Pair:
    """The pair with the place of its question, or else of its answer, where one stands word for word in the text."""
    for part in (pair.question, pair.answer):
        start = document.text.find(part) if part else -1
        if start >= 0:
            return Pair(pair.question, pair.answer, document.id, start, start + len(part), part)
    return Pair(pair.question, pair.answer, document.id)
