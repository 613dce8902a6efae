"""What pairs are worth to a test set, by one judge."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.similarity import nearest_mean
from bonanza.algorithms.transport import fixed_size_cost
from bonanza.interfaces import Judge

Rows = NDArray[np.int64]
Matrix = NDArray[np.float32]

USEFUL_SHARE = 0.03  # [ours] of all distinct pairs
NEAREST = 5  # [ours] test items that say how near a pair is
POINTS = 100  # [ours] pairs, and test items, of one transport problem: its cost depends on their number
GROUPS = 4  # [ours] transport problems that are averaged
BLOCK = 2_048  # pairs compared with all test items at a time


@dataclass(frozen=True)
class Yardstick:
    """A judge, and which pairs it finds useful."""

    name: str
    judge: Judge
    useful: NDArray[np.bool_]  # shape (distinct pairs,)


@dataclass(frozen=True, slots=True)
class Worth:
    """Worth of some pairs to the test set."""

    useful: int  # how many of them are useful; higher is better
    coverage: float  # mean over the test items of the best cosine with any of the pairs; 0 to 1, higher is better
    transport_cost: float | None  # of 100 pairs to 100 test items, 1 - cosine, exact; lower is better; None: no pair


def yardstick(name: str, judge: Judge, pairs: int) -> Yardstick:
    """Find the useful pairs: the 3% nearest to the test set, as long as they have anything in common with it.

    How near a pair is: its mean cosine to the 5 nearest test items. Equally near ones by number.
    """
    nearness = np.concatenate([nearest_mean(near, NEAREST) for near in _blocks(judge, np.arange(pairs))])
    best = np.argsort(-nearness, kind="stable")[: useful_at_most(pairs)]
    useful = np.zeros(pairs, dtype=np.bool_)
    useful[best] = nearness[best] > 0
    return Yardstick(name, judge, useful)


def useful_at_most(pairs: int) -> int:
    """How many of so many pairs are useful, if they have anything in common with the test set.

    >>> useful_at_most(1000), useful_at_most(6)
    (30, 1)
    """
    return max(1, round(USEFUL_SHARE * pairs))


def worth(measure: Yardstick, pairs: Rows) -> Worth:
    """Judge the pairs of one cell, given by number."""
    return Worth(int(measure.useful[pairs].sum()), _coverage(measure.judge, pairs), _transport(measure.judge, pairs))


def _blocks(judge: Judge, pairs: Rows) -> Iterator[Matrix]:
    for start in range(0, len(pairs), BLOCK):
        yield judge.similarity(pairs[start : start + BLOCK])


def _coverage(judge: Judge, pairs: Rows) -> float:
    best = np.zeros(1, dtype=np.float32)  # grows to the number of test items
    for similarity in _blocks(judge, pairs):
        best = np.maximum(best, similarity.max(axis=0))
    return min(float(best.mean(dtype=np.float64)), 1.0)


def _transport(judge: Judge, pairs: Rows) -> float | None:
    """The same test items for every cell; the pairs drawn at random, the same of equal sets."""
    if not len(pairs):
        return None
    rng = np.random.default_rng(0)
    similarity = judge.similarity(rng.permutation(pairs)[: GROUPS * POINTS])
    items = np.random.default_rng(1).permutation(similarity.shape[1])[:POINTS]
    costs = np.clip(1.0 - similarity[:, items].astype(np.float64), 0.0, 2.0)
    return fixed_size_cost(costs, POINTS, rng, most_groups=GROUPS)


def worth_per_token(useful: Sequence[frozenset[int]], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each document adds per token to the useful pairs of those before it, if always the best one comes next.

    A useful pair that stands in two documents counts for the one that comes first. Where none does, the order is off
    the best choice for a budget by less than one document.

    Parameters
    ----------
    useful : the useful pairs of each document
    tokens : int64 array, shape (documents,): what reading each one costs

    Returns
    -------
    float64 array, shape (documents,), higher is better

    Examples
    --------
    >>> worth_per_token([frozenset({1, 2}), frozenset({2, 3}), frozenset()], np.array([10, 10, 10]))
    array([0.2, 0.1, 0. ])
    """
    result, found = np.zeros(len(useful)), set[int]()
    queue = [(-len(pairs) / max(tokens[row], 1), row) for row, pairs in enumerate(useful) if pairs]
    heapq.heapify(queue)
    while queue:
        promised, row = heapq.heappop(queue)
        value = len(useful[row] - found) / max(tokens[row], 1)
        if value == -promised:
            result[row] = value
            found |= useful[row]
        elif value > 0:
            heapq.heappush(queue, (-value, row))  # others took some of its pairs: it may no longer be the best
    return result
