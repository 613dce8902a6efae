"""Words in common: shares nothing with embeddings, so a policy cannot please it by fitting its own embedder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.errors import CorpusError

Rows = NDArray[np.int64]
LEAST_PAIRS = 2  # [ours] pairs that a word must stand in: others say nothing of a second text


@dataclass(frozen=True)
class LexicalJudge:
    """Cosine of TF-IDF vectors; 0 (no word in common) to 1."""

    vectors: Any  # sparse float32, shape (pairs, words), unit rows
    items: Any  # sparse float32, shape (test items, words), unit rows
    name: str = f"lexical-1-{LEAST_PAIRS}"

    def similarity(self, pairs: Rows) -> NDArray[np.float32]:
        """Cosine of some pairs to every test item: float32 array, shape (len(pairs), test items)."""
        return np.asarray((self.vectors[pairs] @ self.items.T).toarray(), dtype=np.float32)


def lexical_judge(pairs: Sequence[str], test: Sequence[str]) -> LexicalJudge:
    """Weigh words by how few of the pairs have them; ``1 + log(count)`` within a text.

    Raises
    ------
    CorpusError
        If no word stands in two pairs.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=min(LEAST_PAIRS, len(pairs)), dtype=np.float32)
    try:
        vectors = vectorizer.fit_transform(pairs)
    except ValueError:  # it has no other cause: texts are texts
        raise CorpusError(
            f"judge 'lexical': the {len(pairs):,} pairs of the corpus have no word in common. "
            "Give more documents, or another judge with --judges."
        ) from None
    return LexicalJudge(vectors, vectorizer.transform(test))
