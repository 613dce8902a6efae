"""Long texts in pieces: cut where they pause, overlapping so that nothing is torn in two."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Where a text pauses, best first: a heading, a blank line, a line, a sentence, a word.
_PAUSES = [re.compile(gap) for gap in (r"\n(?=#{1,6} )", r"\n\s*\n", r"\n", r"[.!?]\s", r"\s")]
LATEST_START = 0.5  # of a piece: it is cut at the last pause of the best kind in its second half


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text, by its place."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """The piece itself."""
        return text[self.start : self.end]


def split_text(text: str, most: int, overlap: int = 0) -> list[Chunk]:
    """Cut a text into pieces of at most `most` characters that cover all of it.

    Parameters
    ----------
    most : characters of a piece, at least 1
    overlap : a piece begins up to so many characters before the end of the one before it, at a pause; less than half
        of `most`

    >>> split_text("One two. Three four.", 10)
    [Chunk(start=0, end=9), Chunk(start=9, end=15), Chunk(start=15, end=20)]
    >>> split_text("One two. Three four.", 12, overlap=5)
    [Chunk(start=0, end=9), Chunk(start=4, end=15), Chunk(start=15, end=20)]
    """
    chunks, start = list[Chunk](), 0
    while len(text) - start > most:
        end = _pause(text, start + int(most * LATEST_START) + 1, start + most)
        chunks.append(Chunk(start, end))
        begin = max(end - overlap, start + 1)
        start = _beginning(text, begin, end) if overlap else end
    return [*chunks, Chunk(start, len(text))]


def _pause(text: str, first: int, last: int) -> int:
    """The last place between two that ends at a pause of the best kind there; `last` if there is none."""
    for pause in _PAUSES:
        if ends := [match.end() for match in pause.finditer(text, first - 1, last) if match.end() >= first]:
            return ends[-1]
    return last


def _beginning(text: str, first: int, end: int) -> int:
    """The first beginning of a line, sentence or word from `first` on; `end` if there is none before it."""
    match = re.compile(r"\n|[.!?]\s|\s").search(text, first - 1, end)
    return match.end() if match else end
