"""Documents in random order: the baseline that every other policy must beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Pool
from bonanza.policies.ranking import Ranking
from bonanza.records import Target


class RandomPolicy(Ranking):
    """Every document equally likely."""

    def rank(self, pool: Pool, target: Target, rng: np.random.Generator) -> NDArray[np.int64]:
        """Shuffle the pool."""
        return rng.permutation(len(pool))
