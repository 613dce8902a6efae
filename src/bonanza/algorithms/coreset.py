"""Choosing a few vectors that stand for many: farthest first, by a sliding window, or by facility location."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Rows = NDArray[np.int64]


def farthest_first(vectors: Matrix, count: int, first: int) -> Rows:
    """Choose rows one by one, each the farthest from those chosen already: a 2-approximation of the k centres.

    Parameters
    ----------
    vectors : float32 array, shape (n, d), unit rows
        Distance is 1 - cosine; a row counts by its nearest chosen row.
    count : rows to choose, at most n
    first : the row to begin with

    Returns
    -------
    int64 array, shape (count,)
        In the order of choice; of equally far rows the first.

    Examples
    --------
    >>> farthest_first(np.eye(3, dtype=np.float32)[[0, 0, 1, 2]], 3, first=0).tolist()
    [0, 2, 3]

    References
    ----------
    Gonzalez 1985; as "k-centre" in DiverseEvol, arXiv 2311.08182.
    """
    chosen = np.empty(count, dtype=np.int64)
    nearness = np.full(len(vectors), -np.inf, dtype=np.float32)
    for place in range(count):
        chosen[place] = first if place == 0 else int(np.argmin(nearness))
        nearness = np.maximum(nearness, vectors @ vectors[chosen[place]])
        nearness[chosen[place]] = np.inf
    return chosen


def window_sampling(vectors: Matrix, ranking: Sequence[int], count: int, window: int) -> Rows:
    """Choose rows that are high in a ranking and unlike each other (RECOST's diversity-consistent sampling).

    A window holds the best candidates that are left. The first choice is the best ranked; each other one is the
    candidate in the window that is farthest from its nearest chosen row, of equally far ones the best ranked. The
    window is then filled up from the ranking. A window of 1 gives the ranking itself.

    Parameters
    ----------
    vectors : float32 array, shape (n, d), unit rows; distance is 1 - cosine
    ranking : rows, best first
    count : rows to choose, at most len(ranking)
    window : candidates at a time, at least 1

    Returns
    -------
    int64 array, shape (count,), in the order of choice

    Examples
    --------
    >>> vectors = np.eye(2, dtype=np.float32)[[0, 0, 1]]
    >>> window_sampling(vectors, [0, 1, 2], 2, window=2).tolist(), window_sampling(vectors, [0, 1, 2], 2, 1).tolist()
    ([0, 2], [0, 1])

    References
    ----------
    RECOST, arXiv 2402.17355, names the sliding window; size and distance are ours.
    """
    order = np.asarray(ranking, dtype=np.int64)
    inside, following = order[:window].tolist(), window
    nearness = np.full(len(vectors), -np.inf, dtype=np.float32)
    chosen: list[int] = []
    while len(chosen) < count:
        place = int(np.argmin(nearness[inside])) if chosen else 0
        chosen.append(inside.pop(place))
        nearness[inside] = np.maximum(nearness[inside], vectors[inside] @ vectors[chosen[-1]])
        if following < len(order):
            row = int(order[following])
            nearness[row] = (vectors[chosen] @ vectors[row]).max()
            inside.append(row)
            following += 1
    return np.array(chosen, dtype=np.int64)


def facility_location(gains: Sequence[Sequence[tuple[int, float]]], size: int, count: int) -> Rows:
    """Choose columns that serve all rows best: greedy for sum over rows of the best gain among the chosen columns.

    Parameters
    ----------
    gains : per column, the rows it serves and how well (0 or more); rows it does not name gain nothing from it
    size : number of rows
    count : columns to choose, at most len(gains)

    Returns
    -------
    int64 array, shape (count,)
        In the order of choice, of equal ones the first. The sum is at least 1 - 1/e of the best possible
        (Nemhauser et al. 1978); lazy evaluation (Minoux 1978) gives the same choice as the plain greedy one.

    Examples
    --------
    >>> facility_location([[(0, 1.0)], [(0, 0.9), (1, 0.9)], [(1, 1.0)]], size=2, count=2).tolist()
    [1, 0]
    """
    best = np.zeros(size)
    queue = [(-sum(gain for _, gain in served), column, 0) for column, served in enumerate(gains)]
    heapq.heapify(queue)
    chosen: list[int] = []
    while len(chosen) < count:
        _, column, reckoned = heapq.heappop(queue)
        if reckoned < len(chosen):
            left = sum(max(gain - best[row], 0.0) for row, gain in gains[column])
            heapq.heappush(queue, (-left, column, len(chosen)))
            continue
        chosen.append(column)
        for row, gain in gains[column]:
            best[row] = max(best[row], gain)
    return np.array(chosen, dtype=np.int64)
