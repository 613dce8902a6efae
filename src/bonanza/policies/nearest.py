"""Documents by their similarity to the reference set, without feedback.

The mean is the "average similarity" baseline of EQUAL; the maximum and the mean of the five nearest are its usual
rivals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bonanza.algorithms.similarity import View, similarity_to_references
from bonanza.interfaces import Embedder, Pool
from bonanza.records import Reading, Target, pair_text
from bonanza.settings import NearestSettings


class NearestPolicy:
    """Most similar first."""

    clusters = None

    def __init__(self, settings: NearestSettings, embedder: Embedder) -> None:
        self._view: View = settings.view
        self._embedder = embedder

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Rank the pool; equal documents keep their order."""
        references = self._embedder.embed([pair_text(pair.question, pair.answer) for pair in target.pairs])
        similarity = similarity_to_references(pool.vectors, references, self._view)
        self._order = np.argsort(-similarity, kind="stable")
        self._next = 0

    def choose(self, count: int) -> Sequence[int]:
        """The next documents of the ranking."""
        chosen = self._order[self._next : self._next + count]
        self._next += len(chosen)
        return [int(row) for row in chosen]

    def learn(self, readings: Sequence[Reading]) -> None:
        """Nothing to learn."""

    def report(self) -> Mapping[str, Any]:
        """Which similarity ranks."""
        return {"view": self._view}
