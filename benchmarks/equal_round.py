"""How long one round of EQUAL takes outside extraction and embedding.

    python benchmarks/equal_round.py [--rounds 20] [--pairs 5] [--dim 768] [--seed 0] [--profile]

A pool of 20,000 documents in 1,000 clusters (synthetic unit vectors around 1,000 centres), 50 clusters a round, 10
documents each, about 5 pairs per document (Poisson), a tenth of the documents without any, 100 references. A round is:
score all clusters, choose 50, draw their documents, cost their pairs against the references, reckon the new values of
all clusters concerned. It is timed through `Arms` and `ucb_scores`, as the policy runs it.

Also timed, once per run and not per round: the distances between 1,000 clusters.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bonanza.algorithms.bandit import best_arms, paper_exploration, ucb_scores
from bonanza.algorithms.clustering import cluster_moments, gaussian_distances
from bonanza.algorithms.info_nce import unit_rows
from bonanza.policies.equal_arms import Arms, Reward
from bonanza.settings import EqualSettings

DOCUMENTS, CLUSTERS, REFERENCES = 20_000, 1_000, 100
ARMS_PER_ROUND, DOCUMENTS_PER_ARM, EMPTY_SHARE = 50, 10, 0.1


class Pool:
    """Clustered vectors, and pairs near each document's own vector."""

    def __init__(self, dim: int, pairs: float, rng: np.random.Generator) -> None:
        centres = unit_rows(rng.normal(size=(CLUSTERS, dim)))
        self.clusters = np.sort(rng.integers(0, CLUSTERS, DOCUMENTS))
        self.vectors = self._near(centres[self.clusters], rng)
        self.references = self._near(centres[rng.integers(0, 10, REFERENCES)], rng)
        counts = np.maximum(rng.poisson(pairs, DOCUMENTS), 1) * (rng.random(DOCUMENTS) >= EMPTY_SHARE)
        self.firsts = np.concatenate([[0], np.cumsum(counts)])
        self.pairs = self._near(np.repeat(self.vectors, counts, axis=0), rng)

    def _near(self, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        spread = 0.5 / np.sqrt(points.shape[1])
        return unit_rows(points + spread * rng.standard_normal(points.shape, dtype=np.float32))

    def pairs_of(self, rows: list[int]) -> np.ndarray:
        """Vectors of the pairs of these documents."""
        return np.concatenate([self.pairs[self.firsts[row] : self.firsts[row + 1]] for row in rows])


def play_round(arms: Arms, pool: Pool, settings: EqualSettings) -> float:
    """One round; seconds, without the look-up of the pairs, which stands for reading and embedding them."""
    began = time.perf_counter()
    paper = settings.variant == "paper"
    exploration = paper_exploration(float(arms.pulls.sum())) if paper else 0.001
    scores = ucb_scores(arms.values, arms.pulls, exploration, "first" if paper else "zero")
    pulled = best_arms(scores, arms.remaining > 0, ARMS_PER_ROUND, arms.closeness if paper else None)
    drawn = [(int(arm), list(arms.draw(int(arm), DOCUMENTS_PER_ARM))) for arm in pulled]
    seconds = time.perf_counter() - began
    given = [(arm, pool.pairs_of(rows), _without_pairs(pool, rows)) for arm, rows in drawn]
    vectors, ends = np.concatenate([some for _, some, _ in given]), np.cumsum([len(some) for _, some, _ in given])
    began = time.perf_counter()
    for (arm, _, empty), costs in zip(given, np.split(arms.costs(vectors), ends[:-1]), strict=True):
        arms.give(arm, costs, empty, 1.0)
    arms.revalue()
    return seconds + time.perf_counter() - began


def _without_pairs(pool: Pool, rows: list[int]) -> int:
    return sum(pool.firsts[row] == pool.firsts[row + 1] for row in rows)


def new_arms(pool: Pool, settings: EqualSettings, rng: np.random.Generator) -> Arms:
    """Arms that were never pulled."""
    neighbours = np.eye(CLUSTERS, dtype=np.bool_)
    if settings.variant == "code":
        mean, deviation = cluster_moments(pool.vectors, pool.clusters, CLUSTERS)
        neighbours |= gaussian_distances(mean, deviation) < 0.2
    firsts = np.searchsorted(pool.clusters, np.arange(CLUSTERS)) % DOCUMENTS  # one document stands for its centroid
    closeness = pool.vectors[firsts] @ pool.references.mean(axis=0)
    reward = Reward(settings, pool.references, rng)
    return Arms(reward, pool.clusters, rng.permutation(DOCUMENTS), neighbours, closeness)


def median_milliseconds(action: Callable[[], Any], times: int) -> tuple[float, float]:
    """Median and highest of so many runs; an action that returns seconds is taken at its word."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        result = action()
        taken.append(result if isinstance(result, float) else time.perf_counter() - began)
    return 1e3 * float(np.median(taken)), 1e3 * max(taken)


def main() -> None:
    """Time both variants and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pairs", type=float, default=5.0, help="pairs per document that has any")
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="also show where the time goes")
    arguments = parser.parse_args()
    pool = Pool(arguments.dim, arguments.pairs, np.random.default_rng(arguments.seed))
    round_size = f"{ARMS_PER_ROUND} clusters x {DOCUMENTS_PER_ARM} documents a round"
    print(f"{DOCUMENTS} documents x {arguments.dim}, {CLUSTERS} clusters, {round_size}")
    print(f"{'':<40}{'median ms':>10}{'highest':>10}")
    for name, settings in {
        "paper: exact, 16 pairs per comparison": EqualSettings(),
        "code: IPOT, all pairs of the batch": EqualSettings(variant="code"),
    }.items():
        arms = new_arms(pool, settings, np.random.default_rng(arguments.seed))
        profile = cProfile.Profile()
        if arguments.profile:
            profile.enable()
        median, highest = median_milliseconds(lambda: play_round(arms, pool, settings), arguments.rounds)  # noqa: B023
        profile.disable()
        print(f"{name:<40}{median:>10.1f}{highest:>10.1f}")
        if arguments.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(10)
    mean, deviation = cluster_moments(pool.vectors, pool.clusters, CLUSTERS)
    median, highest = median_milliseconds(lambda: gaussian_distances(mean, deviation), 5)
    print(f"{'distances between all clusters':<40}{median:>10.1f}{highest:>10.1f}")


if __name__ == "__main__":
    main()
