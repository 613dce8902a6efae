"""What policies share that rank the whole pool once and learn nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Pool
from bonanza.records import Reading, Target


class Ranking(ABC):
    """Names documents in one fixed order."""

    clusters = None

    @abstractmethod
    def rank(self, pool: Pool, target: Target, rng: np.random.Generator) -> NDArray[np.int64]:
        """Every row of the pool, the first to be read first."""

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Rank the pool."""
        self._order = self.rank(pool, target, rng)
        self._next = 0

    def choose(self, count: int) -> Sequence[int]:
        """The next documents of the ranking."""
        chosen = self._order[self._next : self._next + count]
        self._next += len(chosen)
        return [int(row) for row in chosen]

    def learn(self, readings: Sequence[Reading]) -> None:  # noqa: B027 - the Protocol wants it
        """Nothing to learn."""

    def report(self) -> Mapping[str, Any]:
        """Nothing to tell."""
        return {}
