"""RECOST, arXiv 2402.17355: samples that a model foresees better once it is shown external knowledge.

Named after its steps: REtrieval, re-rank, COreset sampling, supervised fine-Tuning. The paper names the steps and the
two scores; formulas, units and what it leaves open are ours, docs/papers.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.coreset import window_sampling
from bonanza.algorithms.repetition import repeats_itself
from bonanza.interfaces import Embedder, Selection, TokenScorer
from bonanza.records import Knowledge, Sample
from bonanza.selectors.entropies import NO_SCORE, Told, entropies, scored, with_prompt
from bonanza.selectors.knowledge import KnowledgeBase
from bonanza.selectors.plain import texts_of
from bonanza.settings import RecostSettings

Vector = NDArray[np.float64]
DEGENERATE = "its response repeats itself"


@dataclass(frozen=True)
class RecostSelector:
    """Selects by predictive entropy with knowledge and by relative predictive entropy."""

    settings: RecostSettings
    scorer: TokenScorer
    knowledge: KnowledgeBase
    embedder: Embedder
    tell: Told

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Retrieve, score, rank, and draw what is high in the ranking and diverse."""
        found = self.knowledge.nearest(samples, self.settings.neighbours, self.settings.near_copy)
        bare, informed = self._entropies(samples, found)
        relative = relative_entropy(bare, informed, self.settings.relative)
        left_out = self._left_out(samples, bare + informed)
        usable = np.array([row for row in range(len(samples)) if row not in left_out], dtype=np.int64)
        total = np.full(len(samples), np.nan)
        total[usable] = combined_rank(informed[usable], relative[usable], self.settings.rank)
        ranking = usable[np.argsort(total[usable], kind="stable")]
        columns = {
            "entropy": bare.tolist(),
            "entropy_with_knowledge": informed.tolist(),
            "relative_entropy": relative.tolist(),
            "rank": _places(ranking, len(samples)),
            "knowledge": [[item.id for item in items] for items in found],
        }
        return Selection(self._drawn(samples, ranking, keep), columns, left_out)

    def _entropies(self, samples: Sequence[Sample], found: Sequence[Sequence[Knowledge]]) -> tuple[Vector, Vector]:
        """Of each response without and with knowledge. A sample for which there is none counts as no better with it."""
        shown = [self._shown(items) for items in found]
        passages = [with_prompt(sample) for sample in samples]
        passages += [with_prompt(sample, texts) for sample, texts in zip(samples, shown, strict=True)]
        bare, informed = entropies(scored(self.scorer, passages, self.tell)).reshape(2, -1)
        return bare, informed

    def _shown(self, items: Sequence[Knowledge]) -> list[str]:
        most = self.settings.knowledge_characters // max(len(items), 1)
        return [item.text[:most] for item in items]

    def _left_out(self, samples: Sequence[Sample], entropy: Vector) -> dict[int, str]:
        left_out = dict.fromkeys(np.flatnonzero(np.isnan(entropy)).tolist(), NO_SCORE)
        if self.settings.flag_degenerate:
            left_out |= {row: DEGENERATE for row, sample in enumerate(samples) if repeats_itself(sample.response)}
        return left_out

    def _drawn(self, samples: Sequence[Sample], ranking: NDArray[np.int64], keep: int) -> list[int]:
        keep = min(keep, len(ranking))
        window = self.settings.window or max(keep // 2, 1)
        reach = ranking[: keep + window].tolist()  # nothing beyond can enter the window
        vectors = self.embedder.embed(texts_of([samples[row] for row in reach]))
        return [reach[place] for place in window_sampling(vectors, range(len(reach)), keep, window)]


def relative_entropy(bare: Vector, informed: Vector, form: str) -> Vector:
    """What knowledge takes from the entropy of a response: nats per token, or as a share. Higher: it helps more.

    >>> relative_entropy(np.array([2.0]), np.array([1.5]), "difference").item()
    0.5
    >>> relative_entropy(np.array([2.0]), np.array([1.5]), "ratio").item()
    0.25
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return bare - informed if form == "difference" else np.where(bare == 0, 0.0, 1 - informed / bare)


def combined_rank(informed: Vector, relative: Vector, rule: str) -> Vector:
    """Rank of each sample, lower is better: by entropy with knowledge (low first) and relative entropy (high first).

    Parameters
    ----------
    informed, relative : float64 arrays, shape (samples,)
    rule : "both" ranks added [paper]; "entropy" or "relative" alone; "reversed": both, low relative entropy first

    Examples
    --------
    >>> combined_rank(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.3, 0.2]), "both").tolist()
    [2.0, 1.0, 3.0]
    """
    by_entropy, by_relative = _ranks(informed), _ranks(-relative)
    parts = {
        "both": by_entropy + by_relative, "entropy": by_entropy, "relative": by_relative,
        "reversed": by_entropy + _ranks(relative),
    }  # fmt: skip
    return parts[rule]


def _ranks(values: Vector) -> Vector:
    """0 for the lowest; equal values share the mean of their ranks."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values) - 1.0, dtype=np.float64)


def _places(ranking: NDArray[np.int64], count: int) -> list[int | None]:
    """Place of each sample in the ranking, from 1; None for those that are not in it."""
    places: list[int | None] = [None] * count
    for place, row in enumerate(ranking.tolist(), start=1):
        places[row] = place
    return places
