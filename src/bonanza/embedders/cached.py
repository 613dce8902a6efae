"""Embeddings of a whole corpus, on disk: computed once per corpus and embedder, memory-mapped ever after."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonanza.interfaces import Embedder


def embed_corpus(batches: Iterable[list[str]], documents: int, embedder: Embedder, folder: Path) -> NDArray[np.float16]:
    """Embed texts, batch by batch, into a file named after the embedder; reuse it if it is whole.

    Returns
    -------
    float16 array, shape (documents, embedder.dim), read-only, memory-mapped
    """
    path = folder / f"vectors-{embedder.name}.f16"
    shape = (documents, embedder.dim)
    if not path.exists() or path.stat().st_size != documents * embedder.dim * 2:
        _write(batches, shape, embedder, path)
    return np.memmap(path, dtype=np.float16, mode="r", shape=shape)


def _write(batches: Iterable[list[str]], shape: tuple[int, int], embedder: Embedder, path: Path) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            for batch in batches:
                file.write(embedder.embed(batch).astype(np.float16).tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
