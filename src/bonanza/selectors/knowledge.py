"""The external knowledge of RECOST: texts, their embeddings, and for each sample those that are nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Embedder
from bonanza.records import Knowledge, Sample, folded

EXACT_BELOW = 100_000  # texts; above, an approximate index
LINKS, SEARCH_WIDTH = 32, 128  # of the approximate index (HNSW) [ours]: finds about 99 of 100 true neighbours
SPARE = 20  # [ours] further neighbours that are looked at, in case some are the sample itself
WIDER = 4  # [ours] times as many are looked at where these were not enough


class KnowledgeBase:
    """Searches knowledge by cosine."""

    def __init__(self, items: Sequence[Knowledge], embedder: Embedder) -> None:
        self._items, self._embedder = items, embedder
        self._index = _index(embedder.embed([item.embedded for item in items]))

    def __len__(self) -> int:
        return len(self._items)

    @property
    def is_exact(self) -> bool:
        """Whether the nearest are always found."""
        return len(self) < EXACT_BELOW

    def nearest(self, samples: Sequence[Sample], count: int, near_copy: float) -> list[list[Knowledge]]:
        """The nearest texts of each sample, nearest first, without the sample itself and its near-copies.

        A near-copy has the sample's prompt or its response to the letter (but for case and white space), or holds a
        response of several words, or is nearer to its prompt than `near_copy` (cosine). Fewer than `count` only where
        no more are left.
        """
        queries = self._embedder.embed([sample.prompt for sample in samples])
        found: list[list[Knowledge]] = [[] for _ in samples]
        waiting, width = list(range(len(samples))), count + SPARE
        while waiting:
            cosines, rows = self._index.search(queries[waiting], min(width, len(self)))
            for place, position in enumerate(waiting):
                others = self._others(samples[position], cosines[place], rows[place], near_copy)
                found[position] = others[:count]
            waiting = [position for position in waiting if len(found[position]) < count and width < len(self)]
            width *= WIDER
        return found

    def _others(
        self, sample: Sample, near: NDArray[np.float32], rows: NDArray[np.int64], near_copy: float
    ) -> list[Knowledge]:
        prompt, response = folded(sample.prompt), folded(sample.response)
        found = [(self._items[row], cosine) for row, cosine in zip(rows, near, strict=True) if row >= 0]
        return [item for item, cosine in found if cosine < near_copy and not _is_copy(item, prompt, response)]


def _is_copy(item: Knowledge, prompt: str, response: str) -> bool:
    text = folded(item.text)
    telling = response.count(" ") >= 3
    return bool(item.prompt and folded(item.prompt) == prompt) or (telling and response in text)


def _index(vectors: NDArray[np.float32]) -> Any:
    import faiss

    index: Any
    if len(vectors) < EXACT_BELOW:
        index = faiss.IndexFlatIP(vectors.shape[1])
    else:
        index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = SEARCH_WIDTH
    index.add(vectors)
    return index
