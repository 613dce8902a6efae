"""The first sieve: pairs that say nothing, and pairs that were there before."""

from __future__ import annotations

from dataclasses import replace

from bonanza.records import Pair, Reading, content_id, folded


class ExactCleaner:
    """Marks pairs with an empty side as malformed, and repeated ones as duplicates.

    Two pairs are the same if question and answer agree after folding case and white space. Remembers 16 hexadecimal
    digits per kept pair.
    """

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}  # normalised content -> id of the pair kept first

    def clean(self, reading: Reading) -> Reading:
        """Mark the pairs of a reading."""
        return replace(reading, pairs=tuple(self._marked(pair) for pair in reading.pairs))

    def _marked(self, pair: Pair) -> Pair:
        question, answer = pair.question.strip(), pair.answer.strip()
        if not question or not answer:
            return replace(pair, status="malformed", reason="empty question" if answer else "empty answer")
        content = content_key(pair)
        if (first := self._seen.get(content)) is not None:
            return replace(pair, status="duplicate", reason=f"same as {first}")
        self._seen[content] = pair.id
        return pair


def content_key(pair: Pair) -> str:
    """Name what a pair says: equal for two pairs that count as the same."""
    return content_id(folded(pair.question), folded(pair.answer))
