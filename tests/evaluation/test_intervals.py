"""Facts about intervals: by hand, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from bonanza.evaluation.intervals import Figure, Marks, difference_of, figure_of


def equal(values) -> Marks:
    return Marks(np.asarray(values, dtype=float), np.ones(len(values)))


def holds(figure: Figure, truth: float) -> bool:
    return figure.low <= truth <= figure.high


def test_wilson_by_hand():
    figure = figure_of(equal([1, 0]))  # z = 1.96: 0.5 +- 0.4055
    assert (figure.value, round(figure.low, 4), round(figure.high, 4)) == (0.5, 0.0945, 0.9055)


def test_a_weighted_mean_by_hand():
    figure = figure_of(Marks(np.array([1.0, 3.0]), np.array([3.0, 1.0])))
    assert figure.value == 1.5
    assert figure.high - 1.5 == pytest.approx(12.7062 * np.sqrt(2 * (0.375**2 + 0.375**2)), rel=1e-4)  # t with 1 df


def test_what_is_not_known_counts_nowhere():
    ours, theirs = Marks(np.array([1.5, np.nan, 2.5]), np.ones(3)), Marks(np.array([1.0, 9.0, np.nan]), np.ones(3))
    assert figure_of(ours).value == 2.0
    assert difference_of(ours, theirs) == Figure(0.5, None, None)
    assert figure_of(equal([np.nan])) == Figure(None, None, None)


def test_pairing_makes_the_interval_of_a_difference_narrow():
    draw = np.random.default_rng(0)
    base = draw.normal(2, 1, 100)
    tuned = base - 0.1 + draw.normal(0, 0.05, 100)
    figure = difference_of(equal(tuned), equal(base))
    assert figure.high < 0
    assert figure.high - figure.low < 0.03


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_intervals_of_shares_hold_the_truth(share):
    draw = np.random.default_rng(1)
    found = [holds(figure_of(equal(draw.random(100) < share)), share) for _ in range(1000)]
    assert np.mean(found) >= 0.93


@pytest.mark.parametrize(("won", "lost"), [(0.02, 0.02), (0.2, 0.1)])
def test_intervals_of_paired_shares_hold_the_truth(won, lost):
    draw = np.random.default_rng(2)
    found = []
    for _ in range(1000):
        kind = draw.random(100)
        ours, theirs = (kind < won) | (kind > 0.7), ((kind >= won) & (kind < won + lost)) | (kind > 0.7)
        found.append(holds(difference_of(equal(ours), equal(theirs)), won - lost))
    assert np.mean(found) >= 0.93


def test_intervals_of_losses_per_token_hold_the_truth():
    draw = np.random.default_rng(3)
    found = []
    for _ in range(1000):
        tokens = draw.integers(1, 50, 60).astype(float)
        losses = 1.0 + 2.0 / tokens + draw.normal(0, 0.3, 60)  # short answers are harder
        found.append(holds(figure_of(Marks(losses, tokens)), 1.0 + 2.0 / 25))
    assert np.mean(found) >= 0.92
