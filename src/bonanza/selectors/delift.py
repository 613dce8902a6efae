"""DELIFT, arXiv 2411.04425: samples that, shown as an example, make the others easier for the model.

The utility of sample j for sample i is how much better i's response is foreseen with j as a one-shot example. The paper
tries all pairs; ours tries as examples for i only i's nearest samples, so that the passes grow with n and not with n^2.
The paper's distance compares probabilities of tokens; ours is the predictive entropy that the other methods use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bonanza.algorithms.coreset import facility_location
from bonanza.interfaces import Embedder, Selection, TokenScorer
from bonanza.records import Knowledge, Sample
from bonanza.selectors.entropies import NO_SCORE, Told, entropies, scored, with_prompt
from bonanza.selectors.knowledge import KnowledgeBase
from bonanza.settings import DeliftSettings

LONGEST_EXAMPLE = 2_000  # [ours] characters
NEAR_COPY = 0.999  # [ours] a sample is no example for itself


class DeliftSelector:
    """Facility location over in-context utilities."""

    def __init__(self, settings: DeliftSettings, scorer: TokenScorer, embedder: Embedder, tell: Told) -> None:
        self._settings, self._scorer, self._embedder, self._tell = settings, scorer, embedder, tell

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Greedy."""
        examples = [
            Knowledge(str(row), sample.prompt, sample.as_example()[:LONGEST_EXAMPLE])
            for row, sample in enumerate(samples)
        ]
        near = KnowledgeBase(examples, self._embedder).nearest(samples, self._settings.neighbours, NEAR_COPY)
        tried = [(row, example) for row, items in enumerate(near) for example in items]
        passages = [with_prompt(sample) for sample in samples]
        passages += [with_prompt(samples[row], [example.text]) for row, example in tried]
        entropy = entropies(scored(self._scorer, passages, self._tell))
        alone, informed = entropy[: len(samples)], entropy[len(samples) :]
        left_out = dict.fromkeys(np.flatnonzero(np.isnan(alone)).tolist(), NO_SCORE)
        gains: list[list[tuple[int, float]]] = [[] for _ in samples]
        for (row, example), after in zip(tried, informed, strict=True):
            if (gain := float(alone[row] - after)) > 0:
                gains[int(example.id)].append((row, gain))
        usable = [row for row in range(len(samples)) if row not in left_out]
        chosen = facility_location([gains[row] for row in usable], len(samples), min(keep, len(usable)))
        utility = [sum(gain for _, gain in served) for served in gains]
        return Selection([usable[place] for place in chosen], {"entropy": alone.tolist(), "utility": utility}, left_out)
