"""A text without regard to case, white space and typography, each of whose places is known in the original."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property

from bonanza.cleaning.words import NUMBER_WORDS, TYPOGRAPHY, plain

MOST_OCCURRENCES = 500  # [ours] places of a word that are remembered: a quote has rarer words, or is everywhere
_WORD = re.compile(r"\S+")
_LETTERS = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def folded_quote(quote: str) -> str:
    """A quote as it would stand in a folded text, without quotation marks and dots around it.

    >>> folded_quote("“The  Crew”...")
    'the crew'
    """
    return " ".join(map(_folded, quote.split())).strip("\"'…. ")


def _folded(word: str) -> str:
    return word.casefold().translate(TYPOGRAPHY)


class FoldedText:
    """A text and its folded form: words in lower case with plain typography, one space between them.

    >>> text = FoldedText("The  Crew")
    >>> text.folded, text.place(4, 8)
    ('the crew', (5, 9))
    """

    def __init__(self, original: str) -> None:
        self.original = original
        self._spans = [match.span() for match in _WORD.finditer(original)]  # of each word, in the original
        self._words = [_folded(original[start:end]) for start, end in self._spans]
        self._starts: list[int] = []  # of each word, in the folded text
        length = 0
        for word in self._words:
            self._starts.append(length)
            length += len(word) + 1
        self.folded = " ".join(self._words)

    def placed_words(self) -> Iterator[tuple[int, str]]:
        """Each word without the signs around it, and where it starts in the folded text."""
        for start, word in zip(self._starts, self._words, strict=True):
            yield start, word.strip(".,;:!?()[]\"'") or word

    @cached_property
    def occurrences(self) -> dict[str, list[int]]:
        """Where in the folded text each word stands; the first places of frequent ones."""
        found: dict[str, list[int]] = {}
        for start, word in self.placed_words():
            places = found.setdefault(word, [])
            if len(places) < MOST_OCCURRENCES:
                places.append(start)
        return found

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Its numbers, in digits."""
        spelt = (NUMBER_WORDS[word] for word in self.letters if word in NUMBER_WORDS)
        return frozenset(_NUMBER.findall(plain(self.original))).union(spelt)

    @cached_property
    def letters(self) -> frozenset[str]:
        """Its runs of letters."""
        return frozenset(_LETTERS.findall(plain(self.original)))

    def whole_words(self, start: int, end: int) -> bool:
        """Say whether a place of the folded text begins and ends where words do."""
        text = self.folded
        before = start > 0 and text[start - 1].isalnum() and text[start].isalnum()
        return not before and not (end < len(text) and text[end - 1].isalnum() and text[end].isalnum())

    def folded_position(self, position: int) -> int:
        """Where in the folded text the first word starts that does not start before a place of the original."""
        number = bisect_left(self._spans, (position, position))
        return self._starts[number] if number < len(self._starts) else len(self.folded)

    def snapped(self, start: int, end: int) -> tuple[int, int]:
        """The words that a place of the folded text has at least half of, or the first it touches."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        last = max(bisect_left(self._starts, end) - 1, first)
        if first < last and start - self._starts[first] > len(self._words[first]) / 2:
            first += 1
        if first < last and end - self._starts[last] < len(self._words[last]) / 2:
            last -= 1
        return self._starts[first], self._starts[last] + len(self._words[last])

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where in the original a place of the folded text stands; `end` is behind it in both."""
        first, last = bisect_right(self._starts, start) - 1, bisect_right(self._starts, end - 1) - 1
        return self._inside(first, start)[0], self._inside(last, end - 1)[1]

    def _inside(self, number: int, position: int) -> tuple[int, int]:
        """One letter of a word, in the original; the whole word where folding changed its length."""
        start, end = self._spans[number]
        if end - start != len(self._words[number]):
            return start, end
        letter = start + min(position - self._starts[number], end - start - 1)
        return letter, letter + 1
