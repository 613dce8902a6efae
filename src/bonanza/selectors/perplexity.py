"""Selection by one predictive entropy, or by two compared: perplexity and instruction-following difficulty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Selection, TokenScorer
from bonanza.records import Sample
from bonanza.selectors.entropies import NO_SCORE, Told, entropies, response_alone, scored, with_prompt

ABOVE_ONE = "ifd above 1: the instruction makes the response less likely"


class PerplexitySelector:
    """The responses that the model foresees worst: high predictive entropy, as plain entropy methods prefer."""

    def __init__(self, scorer: TokenScorer, tell: Told) -> None:
        self._scorer, self._tell = scorer, tell

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Highest first."""
        entropy = entropies(scored(self._scorer, [with_prompt(sample) for sample in samples], self._tell))
        left_out = dict.fromkeys(np.flatnonzero(np.isnan(entropy)).tolist(), NO_SCORE)
        return Selection(highest(entropy, keep), {"entropy": entropy.tolist()}, left_out)


class IfdSelector:
    """Instruction-following difficulty: entropy of the response with its prompt over entropy of the response alone.

    The highest are kept, those above 1 are not (Cherry LLM, arXiv 2308.12032; with a small model it is
    Superfiltering, arXiv 2402.00530). The ratio of mean losses is the paper's; its code divides perplexities.
    """

    def __init__(self, scorer: TokenScorer, tell: Told) -> None:
        self._scorer, self._tell = scorer, tell

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Highest first."""
        passages = [make(sample) for make in (with_prompt, response_alone) for sample in samples]
        entropy, alone = entropies(scored(self._scorer, passages, self._tell)).reshape(2, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ifd = entropy / alone
        left_out = {row: NO_SCORE if np.isnan(ifd[row]) else ABOVE_ONE for row in np.flatnonzero(~(ifd < 1)).tolist()}
        columns = {"entropy": entropy.tolist(), "entropy_alone": alone.tolist(), "ifd": ifd.tolist()}
        return Selection(highest(np.where(ifd < 1, ifd, np.nan), keep), columns, left_out)


def highest(values: NDArray[np.float64], count: int) -> list[int]:
    """Positions of the highest values, of equal ones the first; never of nan.

    >>> highest(np.array([1.0, np.nan, 3.0, 3.0]), 2)
    [2, 3]
    """
    order = np.argsort(-values, kind="stable")
    return [int(position) for position in order[:count] if not np.isnan(values[position])]
