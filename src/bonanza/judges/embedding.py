"""Nearness by an embedding model, its vectors kept on disk: a large model takes minutes for 100,000 pairs, once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Embedder
from bonanza.records import content_id

Rows = NDArray[np.int64]
Tell = Callable[[int], None]

BLOCK = 2_048  # texts embedded, and kept in one file, at a time: what a stop can lose


@dataclass(frozen=True)
class EmbeddingJudge:
    """Cosine of embeddings, -1 to 1."""

    name: str
    vectors: NDArray[np.float16]  # (pairs, dim), unit rows
    items: NDArray[np.float32]  # (test items, dim), unit rows

    def similarity(self, pairs: Rows) -> NDArray[np.float32]:
        """Cosine of some pairs to every test item: float32 array, shape (len(pairs), test items)."""
        return np.asarray(self.vectors[pairs].astype(np.float32) @ self.items.T)


def embedding_judge(
    embedder: Embedder, pairs: Sequence[str], test: Sequence[str], cache: Path, tell: Tell
) -> EmbeddingJudge:
    """Embed pairs and test items, or take the vectors that an earlier comparison left in the cache folder.

    `tell` is given the number of pairs embedded so far. The order of `pairs` matters to what is found in the cache.
    """
    folder = cache / "judges" / embedder.name
    folder.mkdir(parents=True, exist_ok=True)
    vectors = np.concatenate(list(_embedded(embedder, pairs, folder, tell)))
    items = np.concatenate(list(_embedded(embedder, test, folder, lambda _: None)))
    return EmbeddingJudge(embedder.name, vectors, items.astype(np.float32))


def _embedded(embedder: Embedder, texts: Sequence[str], folder: Path, tell: Tell) -> Iterator[NDArray[np.float16]]:
    """Block by block, each in a file named by the content of its texts."""
    for start in range(0, len(texts), BLOCK):
        tell(start)
        block = texts[start : start + BLOCK]
        path = folder / f"{content_id(*block)}.npy"
        if not path.exists():
            _write(path, embedder.embed(block).astype(np.float16))
        yield np.load(path, allow_pickle=False)


def _write(path: Path, vectors: NDArray[np.float16]) -> None:
    """The file is whole or not there."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            np.save(file, vectors, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
