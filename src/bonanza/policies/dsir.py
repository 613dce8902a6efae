"""Importance resampling on hashed n-grams: DSIR (Xie et al., arXiv 2302.03169). Looks at texts, not at embeddings.

A document's weight is how much likelier its words are under the target than under the corpus; documents are drawn
without replacement in proportion to it (Gumbel top-k).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Pool
from bonanza.policies.ranking import Ranking
from bonanza.records import Document, Target, pair_text

Fetch = Callable[[Sequence[int]], list[Document]]

BUCKETS = 10_000  # [paper] hashed unigrams and bigrams
SMOOTHING = 1.0  # [ours] added to each bucket: a target of a few hundred pairs leaves most of them empty
BATCH = 2_048  # documents read from disk at a time


class DsirPolicy(Ranking):
    """Draws documents by importance weight."""

    def rank(self, pool: Pool, target: Target, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw by weight."""
        weights = _log_weights(pool.fetch, len(pool), target)
        return np.argsort(-(weights + rng.gumbel(size=len(pool))), kind="stable")

    def report(self) -> Mapping[str, Any]:
        """Number of hash buckets."""
        return {"buckets": BUCKETS}


@lru_cache(maxsize=1)
def _log_weights(fetch: Fetch, documents: int, target: Target) -> NDArray[np.float64]:
    """How much likelier each document is under the target than under the corpus: float64 array, shape (documents,).

    Two passes over all texts; kept for the next draw from the same documents, as comparisons make many.
    """
    wanted = _counts([pair_text(pair.question, pair.answer) for pair in target.pairs]).sum(axis=0)
    raw = sum((_counts(texts).sum(axis=0) for texts in _batches(fetch, documents)), np.zeros((1, BUCKETS)))
    gain = np.log(_shares(wanted)) - np.log(_shares(raw))
    return np.concatenate([_counts(texts) @ gain for texts in _batches(fetch, documents)])


def _batches(fetch: Fetch, documents: int) -> Iterator[list[str]]:
    for start in range(0, documents, BATCH):
        yield [document.text for document in fetch(range(start, min(start + BATCH, documents)))]


def _counts(texts: Sequence[str]) -> Any:
    """Hashed counts of words, signs, and pairs of neighbours: sparse float64 array, shape (len(texts), BUCKETS)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        n_features=BUCKETS,
        ngram_range=(1, 2),
        alternate_sign=False,
        norm=None,
        token_pattern=r"\w+|[^\w\s]+",  # noqa: S106
    )
    return vectorizer.transform(texts)


def _shares(counts: Any) -> NDArray[np.float64]:
    """Smoothed probabilities of the buckets: float64 array, shape (BUCKETS,)."""
    smoothed = np.asarray(counts, dtype=np.float64).ravel() + SMOOTHING
    return np.asarray(smoothed / smoothed.sum())
