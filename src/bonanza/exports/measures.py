"""What the kept pairs are worth to the target, by the run's own embedder. Not a test: a held-out judge is another."""

from __future__ import annotations

from collections.abc import Sequence
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
    cost_at_start: float | None  # transport cost of the first SAMPLE pairs to the references; lower is closer
    cost_at_end: float | None  # of random samples of all pairs
    curve: Sequence[tuple[int, float]]  # (first pairs, their transport cost), at most CURVE_POINTS


def measure(pairs: Sequence[Pair], target: Target, embedder: Embedder, seed: int) -> Measures:
    """Compare kept pairs with the reference set."""
    vectors, references = embedded(pairs, embedder), embedded(target.pairs, embedder)
    similarity = similarity_to_references(vectors, references, "mean5")
    utility = pair_utility(similarity, usefulness_threshold(references))
    counts = np.unique(np.linspace(min(SAMPLE, len(vectors)), len(vectors), CURVE_POINTS).astype(int)).tolist()
    costs = [pool_transport_cost(vectors[:count], references, seed) for count in counts]
    curve = [(count, cost) for count, cost in zip(counts, costs, strict=True) if cost is not None]
    return Measures(similarity, utility, costs[0], costs[-1], curve)


def embedded(pairs: Sequence[Pair | Question], embedder: Embedder) -> NDArray[np.float32]:
    """Embed pairs: float32 array, shape (len(pairs), dim)."""
    return embedder.embed([pair_text(pair.question, pair.answer) for pair in pairs])


def pool_transport_cost(vectors: NDArray[np.float32], references: NDArray[np.float32], seed: int) -> float | None:
    """Transport cost (cosine, exact) between a pool of pairs and references, both at 100 points: comparable whatever
    the size of the pool. Mean of at most four disjoint samples. Lower is closer; None for an empty pool.
    """
    if not len(vectors) or not len(references):
        return None
    rng = np.random.default_rng(seed)
    some = references[np.sort(rng.permutation(len(references))[:SAMPLE])]
    return fixed_size_cost(cost_matrix(vectors, some), SAMPLE, rng)
