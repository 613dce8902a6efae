"""How much of a test item stands in a text: word for word, or in other words and another order.

An item is known here by its number; its text is a question or an answer of a test set.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonanza.cleaning.words import plain, words, words_and_marks

LEAST_DISTINCT = (
    4  # [ours] different words of three letters or more in an n-gram: formulas and rows of figures have few
)
LONG_WORD = 3
LEAST_PROSE = 5  # [ours] words; with fewer beside its code an item is its code
LEAST_WEIGHT = 0.05  # [ours] of words that stand nearly everywhere
CANDIDATES = 20  # [ours] items that are compared letter by letter with one text
_UNIT = re.compile(r"[^\n.?!]*(?:[.?!](?!\s|$)[^\n.?!]*)*[.?!]*\s*")
_CODE = re.compile(
    r"\s*(?:assert\b|>>>|\.\.\.|def |class |import |from \S+ import|return\b|@|#!|```|[\"'\[\](){}\d])"
    r"|your code should",
    re.IGNORECASE,
)


class Passages:
    """Items by their n words in a row; finds the first that has n words in a row in common with a text."""

    def __init__(self, texts: Iterable[str], length: int) -> None:
        self._length = length
        self._owners: dict[tuple[str, ...], int] = {}
        self.without: list[int] = []  # numbers of items that have no n-gram to be found by
        for number, text in enumerate(texts):
            grams = [gram for gram in self._grams(words(text)) if telling(gram)]
            for gram in grams:
                self._owners.setdefault(gram, number)
            if not grams:
                self.without.append(number)

    def find(self, text: Sequence[str]) -> tuple[int, str] | None:
        """The item, and the words in common; of a text in words."""
        for gram in self._grams(text):
            if (owner := self._owners.get(gram)) is not None:
                return owner, " ".join(gram)
        return None

    def _grams(self, text: Sequence[str]) -> Iterator[tuple[str, ...]]:
        return zip(*(text[start:] for start in range(self._length)), strict=False)


def telling(gram: Sequence[str]) -> bool:
    """Say whether an n-gram is more than a formula."""
    return len({word for word in gram if len(word) >= LONG_WORD and word.isalpha()}) >= min(LEAST_DISTINCT, len(gram))


class WholeItems:
    """Short items; finds the first that stands in a text whole, signs included."""

    def __init__(self, texts: Mapping[int, str], least: int) -> None:
        items = {number: tuple(words_and_marks(text)) for number, text in texts.items()}
        self._items = {number: item for number, item in items.items() if len(item) >= least}
        frequency = Counter(token for item in self._items.values() for token in item)
        self._anchors: dict[str, list[tuple[int, int]]] = {}  # of each item its rarest token: its place, its number
        for number, item in self._items.items():
            place = min(range(len(item)), key=lambda place: (frequency[item[place]], place))
            self._anchors.setdefault(item[place], []).append((place, number))

    def find(self, text: Sequence[str]) -> tuple[int, str] | None:
        """The item, and its words; of a text in words and signs."""
        for position, token in enumerate(text):
            for place, number in self._anchors.get(token, ()):
                item, start = self._items[number], position - place
                if start >= 0 and tuple(text[start : start + len(item)]) == item:
                    return number, " ".join(item)
        return None


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike a text and an item are."""

    item: int
    shared: float  # rarity of the words in common, together, in nats
    dice: float  # twice that, divided by the rarity of both texts' words
    letters: float  # share of letters that both have in the same order: 1 - edit distance / length of both
    numbers: float  # share of the item's numbers that the text has; 1 if it has none
    words: str  # in common, the rarest first

    @property
    def reworded(self) -> float:
        """Score of a text with the same rare words, in whatever order [ours, of some forms the best; benchmarks]."""
        return self.dice**2 * self.shared

    @property
    def edited(self) -> float:
        """Score of a text with the same letters in the same order [ours, likewise]."""
        return self.letters**3 * math.sqrt(self.shared)


@dataclass(frozen=True, slots=True)
class _Item:
    forms: tuple[str, ...]  # plain: all of it, and its prose
    words: frozenset[str]  # of the prose
    numbers: frozenset[str]  # of the prose
    weight: float


class SharedWords:
    """Items by their words, weighted by rarity: logarithm of one over the share of texts that have the word."""

    def __init__(self, texts: Sequence[str], background: Iterable[str]) -> None:
        frequency: Counter[str] = Counter()
        for text in background:
            frequency.update(set(words(text)))
            frequency[""] += 1
        self._frequency, self._texts = frequency, frequency[""]
        self._items = [self._item(text) for text in texts]
        self._postings = _postings(item.words for item in self._items)
        self._weights = np.array([item.weight for item in self._items])

    def alike(self, text: str) -> list[Likeness]:
        """The items that share most with a text as a whole, the most alike first."""
        mine = self._item(text)
        scores = self._bounds(mine.words, mine.weight)
        numbers = np.argsort(-scores, kind="stable")[:CANDIDATES]
        return [self._likeness(mine, int(number)) for number in numbers if scores[number] > 0]

    def alike_within(self, text: str) -> list[Likeness]:
        """The items that share most with some sentences in a row of a text."""
        units = [unit for unit in sentences(text) if unit.strip()]
        scores = self._bounds(frozenset(words(text)), 0.0)
        numbers = np.argsort(-scores, kind="stable")[:CANDIDATES]
        held = [frozenset(words(unit)) for unit in units]
        likenesses = []
        for number in (int(number) for number in numbers if scores[number] > 0):
            own = [words & self._items[number].words for words in held]
            lengths = {len(form): None for form in self._items[number].forms}
            windows = dict.fromkeys(self._best_window(units, own, length) for length in lengths)
            likenesses += [self._likeness(self._item(window), number) for window in windows]
        return likenesses

    def _best_window(self, units: Sequence[str], own: Sequence[frozenset[str]], longest: int) -> str:
        """Sentences in a row of about some length that have most of an item's words; `own` are those of each."""
        best, start, length = (0.0, 0, 0), 0, 0
        for end in range(1, len(units) + 1):
            length += len(units[end - 1])
            while start + 1 < end and length - len(units[start]) >= longest:
                length -= len(units[start])
                start += 1
            shared = sum(map(self._rarity, frozenset().union(*own[start:end])))
            best = max(best, (shared, -start, end))
        return "".join(units[-best[1] : best[2]])

    def _bounds(self, text: frozenset[str], weight: float) -> NDArray[np.float64]:
        """The most that `Likeness.reworded` can be for each item: float64 array, shape (items,)."""
        shared = np.zeros(len(self._items))
        for word in sorted(text & self._postings.keys()):
            shared[self._postings[word]] += self._rarity(word)
        dice = 2 * shared / (self._weights + np.maximum(shared, weight) + 1e-9)
        return np.asarray(dice**2 * shared)

    def _likeness(self, mine: _Item, number: int) -> Likeness:
        from rapidfuzz.distance import Indel

        item = self._items[number]
        common = sorted(mine.words & item.words, key=lambda word: (-self._rarity(word), word))
        shared = sum(map(self._rarity, common))
        letters = max(Indel.normalized_similarity(*forms) for forms in zip(mine.forms, item.forms, strict=True))
        dice = 2 * shared / (mine.weight + item.weight)
        numbers = len(item.numbers & mine.numbers) / len(item.numbers) if item.numbers else 1.0
        return Likeness(number, shared, dice, letters, numbers, " ".join(common))

    def _item(self, text: str) -> _Item:
        without_code = prose(text)
        known = frozenset(words(without_code))
        weight = sum(map(self._rarity, sorted(known))) or LEAST_WEIGHT
        numbers = frozenset(word for word in known if word[0].isdigit())
        return _Item((plain(text), plain(without_code)), known, numbers, weight)

    def _rarity(self, word: str) -> float:
        return max(math.log((self._texts + 1) / (self._frequency[word] + 1)), LEAST_WEIGHT)


def _postings(items: Iterable[frozenset[str]]) -> dict[str, NDArray[np.int64]]:
    """By word, the numbers of the items that have it."""
    lists: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        for word in item:
            lists.setdefault(word, []).append(number)
    return {word: np.array(numbers, dtype=np.int64) for word, numbers in lists.items()}


def sentences(text: str) -> list[str]:
    r"""A text cut behind sentences and lines; joined it is the same again.

    >>> sentences("It is 3.5 m. Is it?\nYes")
    ['It is 3.5 m. ', 'Is it?\n', 'Yes']
    """
    return [unit for unit in _UNIT.findall(text) if unit]


def prose(text: str) -> str:
    r"""A text without its lines of code, unless little else would be left.

    >>> prose("Write a function that adds two numbers.\nassert add(1, 2) == 3")
    'Write a function that adds two numbers.'
    """
    left = "\n".join(line for line in text.splitlines() if not _CODE.match(line))
    return left if len(words(left)) >= LEAST_PROSE else text
