"""Upper confidence bounds over clusters: which arms to pull next (EQUAL, step 3)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def paper_exploration(total_pulls: float) -> float:
    """Weight of the bonus in the paper: ``1 / (total pulls + 1)``.

    >>> paper_exploration(4)
    0.2
    """
    return 1.0 / (total_pulls + 1.0)


def ucb_scores(
    rewards: Vector, pulls: Vector, exploration: float, unpulled: Literal["first", "zero"] = "first"
) -> Vector:
    """Score of each arm: reward plus bonus; the arms of highest score are pulled next.

    ``DS_j = reward_j + exploration * sqrt(2 ln(sum_k T_k) / T_j)`` with T the pulls (EQUAL, score of a cluster).

    Parameters
    ----------
    rewards : float64 array, shape (arms,)
        Value of each arm, higher is better; read only where `pulls` is above 0.
    pulls : float64 array, shape (arms,)
        How often each arm was pulled. Not necessarily whole: neighbours may share.
    exploration : weight of the bonus, at least 0
    unpulled : "first": an arm never pulled has an infinite bonus, the formula's limit (Auer et al. 2002, figure 1);
        "zero": it has the value 0 and no bonus (authors' code)

    Returns
    -------
    float64 array, shape (arms,)

    Examples
    --------
    Three pulls in all, by hand: 2 ln 3 = 2.1972; 0.5 + sqrt(2.1972 / 2) = 1.5481 and 0.2 + sqrt(2.1972) = 1.6823.

    >>> ucb_scores(np.array([0.5, 0.2, 0.0]), np.array([2.0, 1.0, 0.0]), 1.0).round(4)
    array([1.5481, 1.6823,    inf])
    """
    pulled = pulls > 0
    total = max(float(pulls.sum()), 1.0)
    bonus = np.sqrt(2.0 * np.log(total) / np.where(pulled, pulls, 1.0))
    return np.where(pulled, rewards + exploration * bonus, np.inf if unpulled == "first" else 0.0)


def best_arms(
    scores: Vector, available: NDArray[np.bool_], count: int, tie_break: Vector | None = None
) -> NDArray[np.int64]:
    """The `count` available arms of highest score, best first; ties by `tie_break` (higher first), then by number.

    >>> best_arms(np.array([1.0, 3.0, 3.0, 2.0]), np.array([True, True, True, False]), 2)
    array([1, 2])
    """
    ties = np.zeros_like(scores) if tie_break is None else tie_break
    order = np.lexsort((np.arange(len(scores)), -ties, -scores))
    return order[available[order]][:count].astype(np.int64)
