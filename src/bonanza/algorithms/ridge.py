"""Linear regression with a penalty on the weights: the model behind the adaptive policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted model: ``intercept + features @ weights``."""

    weights: Vector  # (features,)
    intercept: float


def fit_ridge(features: NDArray[np.floating], values: Vector, penalty: float) -> Line:
    """Ridge regression with a free intercept.

    Minimises ``sum((values - intercept - features @ weights)**2) + penalty * sum(weights**2)``: the posterior mean of a
    Bayesian linear model whose weights have variance 1 and whose noise has variance `penalty`.

    Parameters
    ----------
    features : float array, shape (observations, features), of comparable spread per column
    values : float64 array, shape (observations,), at least one
    penalty : above 0; larger pulls the weights towards 0

    Examples
    --------
    >>> line = fit_ridge(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]), penalty=1e-9)
    >>> line.weights.round(6), round(line.intercept, 6)
    (array([2.]), 1.0)

    References
    ----------
    Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2009), section 3.4.1.
    """
    means, level = features.mean(axis=0, dtype=np.float64), float(values.mean())
    centred = features.astype(np.float64) - means
    gram = centred.T @ centred + penalty * np.eye(features.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (values - level))
    return Line(weights, level - float(means @ weights))
