"""Documents by what they are known to hold: what no policy can do, and the measure of all that can be done.

For comparisons only, where every reading is known beforehand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Pool
from bonanza.policies.ranking import Ranking
from bonanza.records import Target


class OraclePolicy(Ranking):
    """Most useful pairs per token first; equal documents in their own order."""

    deterministic = True  # the generator is not used

    def __init__(self, worth: NDArray[np.float64]) -> None:
        """`worth`: useful pairs per token of each document of the pool, shape (documents,), higher is better."""
        self._worth = worth

    def rank(self, pool: Pool, target: Target, rng: np.random.Generator) -> NDArray[np.int64]:
        """Sort by worth."""
        return np.argsort(-self._worth, kind="stable")
