"""What several methods ask of a language model: predictive entropies of all samples, with or without their context."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Passage, Score, TokenScorer
from bonanza.records import Sample, Turn

Told = Callable[[int, int], None]  # scored so far, of how many
NO_SCORE = "its response has no token, or more than the language model can read"


def scored(scorer: TokenScorer, passages: Sequence[Passage], tell: Told) -> list[Score]:
    """The scores, in the passages' order."""
    scores: dict[int, Score] = {}
    for batch in scorer.score(passages):
        scores.update(batch)
        tell(len(scores), len(passages))
    return [scores[position] for position in range(len(passages))]


def entropies(scores: Sequence[Score]) -> NDArray[np.float64]:
    """Nats per token: float64 array, shape (samples,); nan where there is none."""
    return np.array([score.entropy for score in scores], dtype=np.float64)


def with_prompt(sample: Sample, knowledge: Sequence[str] = ()) -> Passage:
    """The whole conversation."""
    return Passage(sample.turns, tuple(knowledge))


def response_alone(sample: Sample) -> Passage:
    """What the assistant says, without what it answers."""
    return Passage((Turn("assistant", sample.response),))
