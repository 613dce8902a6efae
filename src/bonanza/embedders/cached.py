"""Embeddings of a whole corpus, on disk: computed once per corpus and embedder, memory-mapped ever after."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonanza.errors import SettingsError
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


def _finite(vectors: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Refuse what no similarity can be reckoned with."""
    if not np.isfinite(vectors).all():
        raise SettingsError(
            f"embedder {name!r} gave numbers that are not finite for {int((~np.isfinite(vectors)).any(axis=1).sum())} "
            "documents of a batch. Load the model in another precision, or give another --embedder."
        )
    return vectors


def _write(batches: Iterable[list[str]], shape: tuple[int, int], embedder: Embedder, path: Path) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            for batch in batches:
                file.write(_finite(embedder.embed(batch), embedder.name).astype(np.float16).tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
