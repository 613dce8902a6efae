"""What the kept pairs are worth to the target, by the run's own embedder. Not a test: a held-out judge is another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.similarity import pair_utility, similarity_to_references, usefulness_threshold
from bonanza.algorithms.transport import cost_matrix, fixed_size_cost
from bonanza.interfaces import Embedder
from bonanza.records import Pair, Question, Target, pair_text

CURVE_POINTS = 20  # [ours] of the transport cost on the way
SAMPLE = 100  # [ours] pairs and references compared at a time; the cost depends on it, so it is always the same


@dataclass(frozen=True, slots=True)
class Measures:
    """Worth of pairs, in their order."""

    similarity: NDArray[np.float32]  # mean cosine to the 5 nearest references
    utility: NDArray[np.float64]  # 0 to 1
    # (first so many pairs, their transport cost to the references), from SAMPLE of them to all; lower is closer
    curve: Sequence[tuple[int, float]]

    @property
    def cost_at_start(self) -> float | None:
        """Of the first pairs; None if there are none."""
        return self.curve[0][1] if self.curve else None

    @property
    def cost_at_end(self) -> float | None:
        """Of random samples of all."""
        return self.curve[-1][1] if self.curve else None


def measure(pairs: Sequence[Pair], target: Target, embedder: Embedder, seed: int) -> Measures:
    """Compare kept pairs with the reference set."""
    vectors, references = embedded(pairs, embedder), embedded(target.pairs, embedder)
    similarity = similarity_to_references(vectors, references, "mean5")
    utility = pair_utility(similarity, usefulness_threshold(references))
    counts = np.unique(np.linspace(min(SAMPLE, len(vectors)), len(vectors), CURVE_POINTS).astype(int)).tolist()
    return Measures(similarity, utility, list(_transport_costs(vectors, references, counts, seed)))


def embedded(pairs: Sequence[Pair | Question], embedder: Embedder) -> NDArray[np.float32]:
    """Embed pairs: float32 array, shape (len(pairs), dim)."""
    return embedder.embed([pair_text(pair.question, pair.answer) for pair in pairs])


def pool_transport_cost(vectors: NDArray[np.float32], references: NDArray[np.float32], seed: int) -> float | None:
    """Transport cost (cosine, exact) between a pool of pairs and references, both at 100 points: comparable whatever
    the size of the pool. Mean of at most four disjoint samples. Lower is closer; None for an empty pool.
    """
    return next((cost for _, cost in _transport_costs(vectors, references, [len(vectors)], seed)), None)


def _transport_costs(
    vectors: NDArray[np.float32], references: NDArray[np.float32], counts: Sequence[int], seed: int
) -> Iterator[tuple[int, float]]:
    """The same of the first so many of a pool; every count is sampled as if it were all. Nothing of an empty pool."""
    if not len(vectors) or not len(references):
        return
    some = np.sort(np.random.default_rng(seed).permutation(len(references))[:SAMPLE])
    costs = cost_matrix(vectors, references[some])
    for count in counts:
        rng = np.random.default_rng(seed)
        rng.permutation(len(references))
        yield count, fixed_size_cost(costs[:count], SAMPLE, rng)
