"""Importance resampling on hashed n-grams: DSIR (Xie et al., arXiv 2302.03169). Looks at texts, not at embeddings.

A document's weight is how much likelier its words are under the target than under the corpus; documents are drawn
without replacement in proportion to it (Gumbel top-k).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Pool
from bonanza.records import Reading, Target, pair_text

BUCKETS = 10_000  # [paper] hashed unigrams and bigrams
SMOOTHING = 1.0  # [ours] added to each bucket: a target of a few hundred pairs leaves most of them empty
BATCH = 2_048  # documents read from disk at a time


class DsirPolicy:
    """Draws documents by importance weight; learns nothing."""

    clusters = None

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Count n-grams of target and corpus, and weigh every document, in two passes over the texts."""
        wanted = _counts([pair_text(pair.question, pair.answer) for pair in target.pairs]).sum(axis=0)
        raw = sum((_counts(texts).sum(axis=0) for texts in _batches(pool)), np.zeros((1, BUCKETS)))
        gain = np.log(_shares(wanted)) - np.log(_shares(raw))
        weights = np.concatenate([_counts(texts) @ gain for texts in _batches(pool)])
        self._order = np.argsort(-(weights + rng.gumbel(size=len(pool))), kind="stable")
        self._next = 0

    def choose(self, count: int) -> Sequence[int]:
        """The next documents of the draw."""
        chosen = self._order[self._next : self._next + count]
        self._next += len(chosen)
        return [int(row) for row in chosen]

    def learn(self, readings: Sequence[Reading]) -> None:
        """Nothing to learn."""

    def report(self) -> Mapping[str, Any]:
        """Number of hash buckets."""
        return {"buckets": BUCKETS}


def _batches(pool: Pool) -> Iterator[list[str]]:
    for start in range(0, len(pool), BATCH):
        yield [document.text for document in pool.fetch(range(start, min(start + BATCH, len(pool))))]


def _counts(texts: Sequence[str]) -> Any:
    """Hashed counts of words, signs, and pairs of neighbours: sparse float64 array, shape (len(texts), BUCKETS)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        n_features=BUCKETS, ngram_range=(1, 2), alternate_sign=False, norm=None, token_pattern=r"\w+|[^\w\s]+"  # noqa: S106
    )
    return vectorizer.transform(texts)


def _shares(counts: Any) -> NDArray[np.float64]:
    """Smoothed probabilities of the buckets: float64 array, shape (BUCKETS,)."""
    smoothed = np.asarray(counts, dtype=np.float64).ravel() + SMOOTHING
    return np.asarray(smoothed / smoothed.sum())
