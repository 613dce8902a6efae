"""Pairs that say again what a pair kept before said, in nearly the same words.

Incremental: what is kept is remembered as a signature, and a new pair is compared only with those that share a band of
it. Signatures are MinHash's of the wording, or random hyperplanes' of embeddings (Charikar 2002).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bonanza.cleaning.bands import FIRST_CAPACITY, BandIndex
from bonanza.cleaning.exact import content_key
from bonanza.cleaning.wordings import Repeated, Wordings, most_alike, signature_of
from bonanza.cleaning.words import plain
from bonanza.interfaces import Embedder, Matrix
from bonanza.records import Pair, Reading, content_id, pair_text
from bonanza.settings import NearDuplicateSettings

HYPERPLANES = 512  # [ours] in bands of 16: finds 1 - (1 - 0.9**16)**32 = 99.8% of the pairs at a cosine of 0.95
_EXACT = re.compile(r"`[^`]+`|\d+(?:\.\d+)?|(?<!\w)-|\bnot\b|n't\b|\bno\b")


class NearDuplicateCleaner:
    """Marks a pair as "duplicate" if one kept before is the same, nearly the same or, where asked for, means the same.

    The reason names the pair that is repeated, and the similarity. Pairs that differ in an exact value (a setting) are
    only the same if they are equal. Remembers about 1.3 kB for each pair, and as much again with embeddings.
    """

    def __init__(self, settings: NearDuplicateSettings, embedder: Embedder | None = None) -> None:
        self._settings = settings
        self._contents: dict[str, int] = {}  # normalised content -> number of the pair kept first
        self._ids: list[str] = []
        self._values: list[int] = []  # exact values of each kept pair, as a hash
        self._wordings = Wordings(settings.similarity)
        self._meanings = _Meanings(embedder, settings.semantic) if embedder and settings.semantic is not None else None

    def clean(self, reading: Reading) -> Reading:
        """Mark the kept pairs of a reading that repeat one of an earlier reading, or of this one."""
        vectors = iter(self._meanings.vectors(reading.kept) if self._meanings else ())
        marked = (self._marked(pair, next(vectors, None)) if pair.status == "kept" else pair for pair in reading.pairs)
        return replace(reading, pairs=tuple(marked))

    def _marked(self, pair: Pair, vector: Matrix | None) -> Pair:
        content = content_key(pair)
        if (first := self._contents.get(content)) is not None:
            return replace(pair, status="duplicate", reason=f"same as {self._ids[first]}")
        values, signature = self._exact_values(pair), signature_of(pair_text(pair.question, pair.answer))
        if found := self._wordings.repeated(signature, values, self._values):
            return replace(pair, status="duplicate", reason=f"wording like {self._ids[found[0]]} ({found[1]:.2f})")
        if self._meanings and (found := self._meanings.repeated(vector, values, self._values)):
            return replace(pair, status="duplicate", reason=f"meaning like {self._ids[found[0]]} ({found[1]:.2f})")
        self._contents[content] = len(self._ids)
        self._keep(pair, values, signature, vector)
        return pair

    def _keep(self, pair: Pair, values: int, signature: NDArray[np.uint32], vector: Matrix | None) -> None:
        self._ids.append(pair.id)
        self._values.append(values)
        self._wordings.add(signature)
        if self._meanings:
            self._meanings.add(vector)

    def _exact_values(self, pair: Pair) -> int:
        return exact_values(pair_text(pair.question, pair.answer)) if self._settings.exact_values else 0


def exact_values(text: str) -> int:
    """Name what of a text changes its meaning if it changes: numbers, minus signs, negations, code between backticks.

    >>> exact_values("2 - 3") == exact_values("3 – 2") != exact_values("2 + 3")
    True
    """
    return int(content_id(*sorted(_EXACT.findall(plain(text)))), 16)


class _Meanings:
    """Kept pairs by embedding."""

    def __init__(self, embedder: Embedder, least: float) -> None:
        self._embedder, self._least = embedder, least
        self._index = BandIndex(HYPERPLANES // 16, HYPERPLANES // 16, np.uint16)
        self._planes = np.random.default_rng(0).standard_normal((embedder.dim, HYPERPLANES), np.float32)
        self._vectors = np.zeros((FIRST_CAPACITY, embedder.dim), np.float16)

    def vectors(self, pairs: Iterable[Pair]) -> Matrix:
        """Embed pairs: float32 array, shape (pairs, dim), unit rows."""
        return self._embedder.embed([pair_text(pair.question, pair.answer) for pair in pairs])

    def repeated(self, vector: Matrix | None, values: int, known: Sequence[int]) -> Repeated | None:
        """The nearest kept pair with the same exact values, if it is near enough."""
        assert vector is not None
        numbers = [number for number in self._index.candidates(self._bits(vector)) if known[number] == values]
        return most_alike(numbers, self._vectors[numbers].astype(np.float32) @ vector, self._least) if numbers else None

    def add(self, vector: Matrix | None) -> None:
        assert vector is not None
        number = self._index.add(self._bits(vector))
        if number == len(self._vectors):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
        self._vectors[number] = vector

    def _bits(self, vector: Matrix) -> NDArray[np.uint16]:
        """On which side of each hyperplane a vector lies, 16 to a number."""
        return np.packbits(vector @ self._planes > 0).view(np.uint16)
