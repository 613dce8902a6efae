"""The clusters of a corpus as a table: what was read of each, what that gave, and what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bonanza.records import pair_text
from bonanza.report.corpus_map import CorpusMap
from bonanza.report.sources import Documents, FoundPair

WORDS = 5
WORD = r"(?u)\b[^\W\d_]{3,30}\b"  # letters only: numbers and markup tell nothing
CHARACTERS = 2_000  # of a pair that count


@dataclass(frozen=True, slots=True)
class Cluster:
    """One row of the table. None: not known."""

    number: int
    size: int | None  # documents
    read: int
    kept: int
    tokens: int
    utility: float | None  # sum over its kept pairs
    reward: float | None  # that the policy gave it at the end
    words: Sequence[str]
    example: str  # a question

    @property
    def share_read(self) -> float | None:
        """0 to 1."""
        return self.read / self.size if self.size else None

    @property
    def pairs_per_1000_tokens(self) -> float | None:
        """Yield."""
        return 1000 * self.kept / self.tokens if self.tokens else None

    @property
    def utility_per_1000_tokens(self) -> float | None:
        """Yield, as the target sees it."""
        return 1000 * self.utility / self.tokens if self.tokens and self.utility is not None else None


def clusters_of(
    documents: Documents, sample: Sequence[FoundPair], corpus_map: CorpusMap | None, policy_report: Mapping[str, Any]
) -> list[Cluster]:
    """The clusters with a document read, or known from the map; largest yield of utility first."""
    sizes = corpus_map.sizes if corpus_map else {}
    numbers = sorted({cluster for cluster in documents.clusters if cluster is not None} | set(sizes))
    if not numbers:
        return []
    labels = _labels(documents, corpus_map)
    by_id = dict(zip(documents.ids, labels, strict=True))
    sample = [replace(found, cluster=by_id.get(found.pair.document_id)) for found in sample]
    sums = {name: _sums(labels, values, numbers) for name, values in _measured(documents).items()}
    words, examples = distinctive_words(sample), _examples(sample)
    rewards = {one.get("cluster"): one.get("reward") for one in policy_report.get("best_clusters", ())}
    rows = [
        Cluster(
            number, sizes.get(number), int(sums["read"][place]), int(sums["kept"][place]), int(sums["tokens"][place]),
            float(sums["utility"][place]) if documents.utility is not None else None, rewards.get(number),
            words.get(number, ()), examples.get(number, ""),
        )
        for place, number in enumerate(numbers)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -(row.utility_per_1000_tokens or 0))


def _labels(documents: Documents, corpus_map: CorpusMap | None) -> list[int | None]:
    """Cluster of each document read; that of one read before there were any is taken from the map."""
    drawn = {place.id: place.cluster for place in corpus_map.documents} if corpus_map else {}
    named = zip(documents.ids, documents.clusters, strict=True)
    return [drawn.get(id_) if cluster is None else cluster for id_, cluster in named]


def _measured(documents: Documents) -> dict[str, Any]:
    nothing = np.zeros(len(documents))
    utility = nothing if documents.utility is None else documents.utility
    return {"read": nothing + 1, "kept": documents.kept, "tokens": documents.tokens, "utility": utility}


def _sums(labels: Sequence[int | None], values: Any, numbers: Sequence[int]) -> Any:
    """Sum of the values of each cluster, in the order of their numbers."""
    held = np.array([label is not None for label in labels], dtype=bool)
    places = np.searchsorted(numbers, [label for label in labels if label is not None])
    return np.bincount(places, weights=np.asarray(values, dtype=np.float64)[held], minlength=len(numbers))


def distinctive_words(sample: Sequence[FoundPair]) -> dict[int, list[str]]:
    """The words by which each cluster's pairs differ most from those of the others."""
    from sklearn.feature_extraction.text import CountVectorizer

    some = [found for found in sample if found.cluster is not None and found.pair.status == "kept"]
    texts = [pair_text(found.pair.question, found.pair.answer)[:CHARACTERS] for found in some]
    numbers, labels = np.unique([found.cluster for found in some], return_inverse=True)
    vectorizer = CountVectorizer(token_pattern=WORD, stop_words="english", max_features=50_000)
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # no text holds a word
        return {}
    weights = _weighted(_grouped(counts, labels, len(numbers)))
    vocabulary = vectorizer.get_feature_names_out()
    return {int(number): _heaviest(weights[row], vocabulary) for row, number in enumerate(numbers)}


def _grouped(counts: Any, labels: Any, groups: int) -> Any:
    """Counts of each group of rows: sparse, shape (groups, words)."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(labels))
    return csr_matrix((ones, (labels, np.arange(len(labels)))), shape=(groups, len(labels))) @ counts


def _weighted(counts: Any) -> Any:
    """TF-IDF where each group is one text: (1 + ln count) * ln((1 + groups) / groups with the word)."""
    weights = counts.copy()
    weights.data = (1 + np.log(counts.data)) * np.log((1 + counts.shape[0]) / counts.getnnz(axis=0))[counts.indices]
    return weights


def _heaviest(weights: Any, vocabulary: Any) -> list[str]:
    """The words of greatest weight in one sparse row."""
    order = np.lexsort((weights.indices, -weights.data))[:WORDS]
    return [str(vocabulary[index]) for index in weights.indices[order]]


def _examples(sample: Sequence[FoundPair]) -> dict[int, str]:
    """The question of highest utility among the sample, by cluster."""
    best: dict[int, tuple[float, str]] = {}
    for found in sample:
        worth = (found.scores or {}).get("utility") or 0.0
        if found.cluster is not None and found.pair.status == "kept" and worth > best.get(found.cluster, (-1.0, ""))[0]:
            best[found.cluster] = worth, found.pair.question
    return {cluster: question for cluster, (_, question) in best.items()}
