"""Figures with intervals of 95%, from one value per item: of one model, and of the difference between two.

Items are taken as drawn at random from all that might have been asked. Where every value is 0 or 1, a share: Wilson's
interval (1927), and for two models on the same items that of Bonett and Price (2012); neither shrinks to nothing where
all items agree. Else a mean weighted by the items' tokens: a ratio of two sums, linearised, with Student's t. No draws,
so equal values give equal intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]

CONFIDENCE = 0.95
_QUANTILE = float(stats.norm.ppf((1 + CONFIDENCE) / 2))


@dataclass(frozen=True, slots=True)
class Figure:
    """A value and its interval; None where it cannot be known."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Marks:
    """What one model got, item by item: float64 arrays, shape (items,). A value of nan counts nowhere."""

    values: Values
    weights: Values  # an item's share in the mean, such as its tokens; ones where all weigh the same

    def among(self, chosen: NDArray[np.bool_]) -> Marks:
        """Some of the items."""
        return Marks(self.values[chosen], self.weights[chosen])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which items count."""
        return np.isfinite(self.values)


def figure_of(marks: Marks) -> Figure:
    """The mean of what is known.

    >>> figure = figure_of(Marks(np.zeros(20), np.ones(20)))
    >>> figure.value, figure.low, round(figure.high, 3)
    (0.0, 0.0, 0.161)
    """
    marks = marks.among(marks.known)
    if not len(marks.values):
        return Figure(None, None, None)
    if is_share(marks):
        return _wilson(marks.values)
    return _around(_mean(marks), _influence(marks))


def difference_of(ours: Marks, theirs: Marks) -> Figure:
    """Our mean less theirs, on the items that both have.

    >>> difference_of(Marks(np.ones(8), np.ones(8)), Marks(np.ones(8), np.ones(8))).value
    0.0
    """
    both = ours.known & theirs.known
    ours, theirs = ours.among(both), theirs.among(both)
    if not len(ours.values):
        return Figure(None, None, None)
    if is_share(ours) and is_share(theirs):
        return _bonett_price(ours.values, theirs.values)
    return _around(_mean(ours) - _mean(theirs), _influence(ours) - _influence(theirs))


def is_share(marks: Marks) -> bool:
    """Whether each item is right or wrong, and all weigh the same."""
    return bool(np.isin(marks.values, (0, 1)).all() and (marks.weights == 1).all())


def _wilson(values: Values) -> Figure:
    """Wilson's score interval for a share."""
    count, share, square = len(values), float(values.mean()), _QUANTILE**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _QUANTILE * np.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return Figure(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def _bonett_price(ours: Values, theirs: Values) -> Figure:
    """The adjusted Wald interval for paired shares: one item is added to each kind of disagreement."""
    count = len(ours) + 2
    won, lost = (float((ours > theirs).sum()) + 1) / count, (float((ours < theirs).sum()) + 1) / count
    half = _QUANTILE * float(np.sqrt((won + lost - (won - lost) ** 2) / count))
    return Figure(float((ours - theirs).mean()), max(-1.0, won - lost - half), min(1.0, won - lost + half))


def _mean(marks: Marks) -> float:
    return float(marks.values @ marks.weights / marks.weights.sum())


def _influence(marks: Marks) -> Values:
    """How far each item moves the weighted mean: the linear part of the ratio of sums, shape (items,)."""
    influence: Values = marks.weights * (marks.values - _mean(marks)) / marks.weights.sum()
    return influence


def _around(value: float, influence: Values) -> Figure:
    """Student's t interval; the influences sum to zero."""
    count = len(influence)
    if count < 2:
        return Figure(value, None, None)
    error = float(np.sqrt(count / (count - 1) * (influence**2).sum()))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    return Figure(value, value - half, value + half)
