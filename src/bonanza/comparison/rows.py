"""The rows of a comparison, and what they say taken together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import mean, stdev
from typing import TypedDict


class Row(TypedDict):
    """One cell of a comparison, by one judge."""

    policy: str
    seed: int
    budget: str  # as it was written: "5%"
    judge: str
    spent_tokens: int
    pairs: int  # kept
    documents: int  # read
    useful: int  # pairs among the 3% nearest to the test set; higher is better
    coverage: float  # mean over test items of the best cosine with any kept pair; 0 to 1, higher is better
    transport_cost: float | None  # of kept pairs to test items; lower is better; None: no pair was kept
    seconds: float  # that the policy took to start, choose and learn; dsir weighs the texts once for all its cells


class Spread(TypedDict):
    """A policy at one budget by one judge: means over the seeds, and standard deviations (None for a single run)."""

    policy: str
    budget: str
    judge: str
    runs: int
    spent_tokens: float
    pairs: float
    documents: float
    useful: float
    useful_sd: float | None
    coverage: float
    coverage_sd: float | None
    transport_cost: float | None  # of the runs that kept a pair
    transport_cost_sd: float | None
    seconds: float


def summarised(rows: Iterable[Row]) -> list[Spread]:
    """One line per policy, budget and judge, in the order in which they first come."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["policy"], row["budget"], row["judge"]), []).append(row)
    return [_spread(group) for group in groups.values()]


def _spread(group: Sequence[Row]) -> Spread:
    first = group[0]
    useful, coverage = [float(row["useful"]) for row in group], [row["coverage"] for row in group]
    costs = [row["transport_cost"] for row in group if row["transport_cost"] is not None]
    return Spread(
        policy=first["policy"], budget=first["budget"], judge=first["judge"], runs=len(group),
        spent_tokens=mean(row["spent_tokens"] for row in group), pairs=mean(row["pairs"] for row in group),
        documents=mean(row["documents"] for row in group), useful=mean(useful), useful_sd=_deviation(useful),
        coverage=mean(coverage), coverage_sd=_deviation(coverage), transport_cost=mean(costs) if costs else None,
        transport_cost_sd=_deviation(costs), seconds=mean(row["seconds"] for row in group),
    )  # fmt: skip


def _deviation(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def tokens_to_reach(goal: float, curve: Sequence[tuple[float, float]]) -> float | None:
    """Where a curve of (tokens, useful pairs) from the origin first reaches a number of pairs; None: not on it.

    >>> tokens_to_reach(150, [(1000, 100), (2000, 200)])
    1500.0
    >>> tokens_to_reach(50, [(1000, 100)]), tokens_to_reach(500, [(1000, 100)])
    (500.0, None)
    """
    for (left, below), (right, above) in pairwise([(0.0, 0.0), *sorted(curve)]):
        if above >= goal > below:
            return left + (right - left) * (goal - below) / (above - below)
    return None
