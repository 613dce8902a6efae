import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bonanza.algorithms.ridge import fit_ridge


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    numbers = st.floats(-10, 10, allow_nan=False, width=32)
    return draw(arrays(np.float64, (rows, columns), elements=numbers)), draw(arrays(np.float64, rows, elements=numbers))


@given(problems(), st.sampled_from([0.1, 1.0, 30.0]))
def test_no_other_line_has_a_lower_penalised_error(problem, penalty):
    features, values = problem
    line = fit_ridge(features, values, penalty)

    def loss(weights: np.ndarray, intercept: float) -> float:
        return float(((values - intercept - features @ weights) ** 2).sum() + penalty * (weights**2).sum())

    best, rng = loss(line.weights, line.intercept), np.random.default_rng(0)
    for step in (1e-3, 0.1, 1.0):
        moved = loss(line.weights + step * rng.normal(size=len(line.weights)), line.intercept + step * rng.normal())
        assert best <= moved + 1e-6 * (1 + abs(moved))


@given(problems())
def test_it_is_the_ridge_regression_of_scikit_learn(problem):
    from sklearn.linear_model import Ridge

    features, values = problem
    line, theirs = fit_ridge(features, values, 2.0), Ridge(alpha=2.0).fit(features, values)
    assert line.weights == pytest.approx(theirs.coef_, abs=1e-6)
    assert line.intercept == pytest.approx(theirs.intercept_, abs=1e-5)


def test_constant_features_get_no_weight_and_one_observation_is_its_own_mean():
    line = fit_ridge(np.ones((1, 3)), np.array([4.0]), 1.0)
    assert line.weights.tolist() == [0.0, 0.0, 0.0]
    assert line.intercept == 4.0
