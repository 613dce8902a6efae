"""Documents by their similarity to the reference set, without feedback.

The mean is the "average similarity" baseline of EQUAL; the maximum and the mean of the five nearest are its usual
rivals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.similarity import View, similarity_to_references
from bonanza.interfaces import Embedder, Pool
from bonanza.policies.ranking import Ranking
from bonanza.records import Target, pair_text
from bonanza.settings import NearestSettings


class NearestPolicy(Ranking):
    """Most similar first; equal documents in their own order."""

    deterministic = True  # the generator is not used

    def __init__(self, settings: NearestSettings, embedder: Embedder) -> None:
        self._view: View = settings.view
        self._embedder = embedder

    def rank(self, pool: Pool, target: Target, rng: np.random.Generator) -> NDArray[np.int64]:
        """Sort by similarity."""
        references = self._embedder.embed([pair_text(pair.question, pair.answer) for pair in target.pairs])
        return np.argsort(-similarity_to_references(pool.vectors, references, self._view), kind="stable")

    def report(self) -> Mapping[str, Any]:
        """Which similarity ranks."""
        return {"view": self._view}
