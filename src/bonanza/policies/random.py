"""Documents in random order: the baseline that every other policy must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bonanza.interfaces import Pool
from bonanza.records import Reading, Target


class RandomPolicy:
    """Every document equally likely; learns nothing."""

    clusters = None

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Shuffle the pool."""
        self._order = rng.permutation(len(pool))
        self._next = 0

    def choose(self, count: int) -> Sequence[int]:
        """The next documents of the shuffled pool."""
        chosen = self._order[self._next : self._next + count]
        self._next += len(chosen)
        return [int(row) for row in chosen]

    def learn(self, readings: Sequence[Reading]) -> None:
        """Nothing to learn."""

    def report(self) -> Mapping[str, Any]:
        """Nothing to tell."""
        return {}
