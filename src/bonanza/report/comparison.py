"""What the page of a comparison says: curves by policy, and the tokens that given levels take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ORACLE, EVERYTHING = "oracle", "everything"  # upper bounds; no policies that anybody could follow
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)  # [ours] of all useful pairs

Points = Sequence[tuple[float, float]]  # tokens and useful pairs
Reach = Callable[[float, Points], float | None]  # tokens at which a curve from the origin reaches so many pairs


@dataclass(frozen=True)
class PolicyCurve:
    """A policy by one judge; `points` hold tokens, useful, low and high, the origin first."""

    policy: str
    points: Sequence[Mapping[str, float]]
    levels: Sequence[float | None]  # tokens for each of LEVELS; None: not reached
    against_random: Sequence[float | None]  # those tokens as a share of random's; below 1 is better


@dataclass(frozen=True)
class Judge:
    """What one judge says."""

    name: str
    useful: int  # pairs, in all
    curves: Sequence[PolicyCurve]
    cells: Sequence[Mapping[str, Any]]  # means and deviations, per policy and budget


@dataclass(frozen=True)
class ComparisonReport:
    """All that the page of a comparison shows."""

    name: str
    content: Mapping[str, Any]  # of compare.json
    judges: Sequence[Judge]


def comparison_report(
    name: str, content: Mapping[str, Any], spreads: Sequence[Mapping[str, Any]], reach: Reach
) -> ComparisonReport:
    """What compare.json holds, with `spreads`: means and deviations of its rows."""
    judges = [
        _judge(judge, content, [spread for spread in spreads if spread["judge"] == judge], reach)
        for judge in content["judges"]
    ]
    return ComparisonReport(name, content, judges)


def _judge(name: str, content: Mapping[str, Any], spreads: Sequence[Mapping[str, Any]], reach: Reach) -> Judge:
    useful = content["useful"][name]
    policies = [policy for policy in dict.fromkeys(spread["policy"] for spread in spreads) if policy != EVERYTHING]
    points = {policy: _points(policy, spreads, content["budgets"]) for policy in policies}
    levels = {policy: _levels(points[policy], useful, reach) for policy in policies}
    random = levels.get("random", [None] * len(LEVELS))
    curves = [PolicyCurve(policy, points[policy], levels[policy], _shares(levels[policy], random))
              for policy in policies]  # fmt: skip
    cells = sorted(spreads, key=lambda spread: content["budgets"][spread["budget"]])
    return Judge(name, useful, curves, cells)


def _points(policy: str, spreads: Sequence[Mapping[str, Any]], tokens: Mapping[str, int]) -> list[dict[str, float]]:
    """The curve at the budgets' tokens, not at what was spent of them: equal for all policies."""
    found = [(tokens[one["budget"]], one["useful"], one["useful_sd"] or 0.0) for one in spreads
             if one["policy"] == policy]  # fmt: skip
    return [
        {"tokens": at, "useful": mean, "low": max(mean - deviation, 0.0), "high": mean + deviation}
        for at, mean, deviation in [(0, 0.0, 0.0), *sorted(found)]
    ]


def _levels(points: Sequence[Mapping[str, float]], useful: int, reach: Reach) -> list[float | None]:
    curve = [(point["tokens"], point["useful"]) for point in points[1:]]
    return [reach(level * useful, curve) if useful else None for level in LEVELS]


def _shares(tokens: Sequence[float | None], random: Sequence[float | None]) -> list[float | None]:
    return [mine / theirs if mine and theirs else None for mine, theirs in zip(tokens, random, strict=True)]
