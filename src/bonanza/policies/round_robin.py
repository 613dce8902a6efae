"""Each reference pair in turn takes its nearest unread document: RDS+ (arXiv 2503.01807).

Spreads the budget over the whole reference set, where a ranking by mean similarity serves its densest part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bonanza.algorithms.similarity import nearest_rows
from bonanza.interfaces import Embedder, Pool
from bonanza.records import Reading, Target, pair_text

SHORTEST_LIST = 64  # documents ranked for each reference at first; doubled whenever a list is used up


class RoundRobinPolicy:
    """Takes turns; learns nothing."""

    clusters = None
    deterministic = True  # the generator is not used

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Rank the documents nearest to each reference."""
        self._pool = pool
        self._references = self._embedder.embed([pair_text(pair.question, pair.answer) for pair in target.pairs])
        self._taken: set[int] = set()
        self._turn = 0
        self._rank(min(len(pool), max(SHORTEST_LIST, 4 * pool.affordable // len(target.pairs))))

    def choose(self, count: int) -> Sequence[int]:
        """The next documents, one for each reference in turn."""
        wanted = min(count, len(self._pool) - len(self._taken))
        chosen = [self._next_of(turn % len(self._references)) for turn in range(self._turn, self._turn + wanted)]
        self._turn += wanted
        return chosen

    def learn(self, readings: Sequence[Reading]) -> None:
        """Nothing to learn."""

    def report(self) -> Mapping[str, Any]:
        """How many turns were taken."""
        return {"references": len(self._references), "turns": self._turn}

    def _next_of(self, reference: int) -> int:
        """Take the nearest document of a reference that no turn has taken."""
        while True:
            ranked = self._lists[reference]
            for position in range(self._position[reference], len(ranked)):
                row = int(ranked[position])
                if row not in self._taken:
                    self._position[reference] = position + 1
                    self._taken.add(row)
                    return row
            self._rank(min(2 * self._lists.shape[1], len(self._pool)))

    def _rank(self, length: int) -> None:
        self._lists = nearest_rows(self._pool.vectors, self._references, length)
        self._position = [0] * len(self._references)
