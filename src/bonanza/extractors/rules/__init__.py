"""Pages that already hold questions and answers, read by rules: no model, no guessing."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence

from bonanza.extractors.prices import prompt_tokens, written_tokens
from bonanza.extractors.rules import commands, docstrings, exercises, headings, labels, quiz, threads
from bonanza.extractors.rules.pages import Found
from bonanza.records import Document, Pair, Reading, Usage, estimated_tokens

LEAST_OUTPUT = 1000  # tokens that even a tiny page may give [ours]
OUTPUT_PER_TOKEN = 3  # instructions and topics are repeated: pages of exercises give up to twice their length [ours]
SHORTEST_QUESTION = 8  # characters [ours]

# Where two layouts claim the same text, the earlier one has it: the narrower layouts come first.
LAYOUTS: tuple[Callable[[str], list[Found]], ...] = (
    docstrings.find,
    commands.find,
    labels.find,
    exercises.find,
    quiz.find,
    threads.find,
    headings.find,
)


class RulesExtractor:
    r"""Finds questions and answers that a page sets out as such; a page without a known layout is empty.

    Usage is what an LLM would have been charged for the same pairs (350 prompt tokens, the page, the pairs, at four
    characters per token), so that a budget means the same for every extractor. No model is called.

    >>> reading = RulesExtractor().read(Document("a", "Q: Who steers a ship?\nA: The helmsman."))
    >>> [(pair.question, pair.answer) for pair in reading.pairs]
    [('Who steers a ship?', 'The helmsman.')]
    """

    name = "rules-1"

    def worst_case(self, document: Document) -> Usage:
        """Tokens of the page, and the most that its pairs may take; `read` leaves out pairs beyond that."""
        page = estimated_tokens(document.text)
        return Usage(prompt_tokens(document), LEAST_OUTPUT + OUTPUT_PER_TOKEN * page)

    def prompt_tokens(self, document: Document) -> int:
        """As many as the worst case has: prompts are known."""
        return prompt_tokens(document)

    def read(self, document: Document) -> Reading:
        """Find the pairs, in the order of the page."""
        most = self.worst_case(document)
        found = find_pairs(document.text)
        kept, written = _within(found, most.output_tokens)
        left_out = len(found) - len(kept)
        return Reading(
            document_id=document.id,
            status="ok" if kept else "empty",
            pairs=tuple(_as_pair(pair, document) for pair in kept),
            usage=Usage(most.input_tokens, written),
            detail=f"{left_out} pairs left out beyond {most.output_tokens} output tokens" if left_out else "",
        )


def find_pairs(text: str) -> list[Found]:
    r"""Try every layout; a pair that overlaps one of an earlier layout is dropped.

    >>> page = "### What is a jib?\n\nA sail.\n\n### Where is what?\nQ: Where is it?\nA: Here."
    >>> [found.answer for found in find_pairs(page)]
    ['A sail.', 'Here.']
    """
    taken: list[Found] = []  # sorted by start, without overlaps
    for layout in LAYOUTS:
        for found in layout(text):
            place = bisect(taken, found.start, key=lambda other: other.start)
            free = (place == 0 or taken[place - 1].end <= found.start) and (
                place == len(taken) or found.end <= taken[place].start
            )
            if free and len(found.question) >= SHORTEST_QUESTION:
                taken.insert(place, found)
    return taken


def _within(found: Sequence[Found], most: int) -> tuple[list[Found], int]:
    """Take pairs in order as long as they fit; return them and their tokens."""
    kept, written = [], 0
    for pair in found:
        tokens = written_tokens(pair.question, pair.answer)
        if written + tokens <= most:
            kept.append(pair)
            written += tokens
    return kept, written


def _as_pair(found: Found, document: Document) -> Pair:
    evidence = document.text[found.start : found.end]
    return Pair(found.question, found.answer, document.id, found.start, found.end, evidence)
