"""Embeddings of a whole corpus, on disk: computed once per corpus and embedder, memory-mapped ever after."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial as bound
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonanza.errors import SettingsError
from bonanza.interfaces import Embedder, Matrix

ITEM_BYTES = 2  # of a float16

Vectors = NDArray[np.float16]


Texts = Callable[[int], Iterator[list[str]]]  # batches of texts, from a row on
EmbedAll = Callable[[Iterable[list[str]]], Iterable[Matrix]]  # batch by batch, in their order


def embed_corpus(
    texts: Texts, documents: int, embedder: Embedder, folder: Path, embed_all: EmbedAll | None = None
) -> Vectors:
    """Embed texts, batch by batch, into a file named after the embedder; reuse it if it is whole.

    A process that was killed leaves whole rows behind, and the next one goes on after them. `embed_all`: has the
    batches embedded elsewhere; None: by the embedder, here.

    Returns
    -------
    float16 array, shape (documents, embedder.dim), read-only, memory-mapped
    """
    path, shape = _place(folder, embedder), (documents, embedder.dim)
    if not _is_whole(path, shape):
        _write(texts, shape, embedder, path, embed_all or bound(map, embedder.embed))
    return _mapped(path, shape)


def gathered(parts: Sequence[Vectors], rows: NDArray[np.int64], embedder: Embedder, folder: Path) -> Vectors:
    """The embeddings of a corpus of several parts, of which each has its own file.

    Parameters
    ----------
    rows : int64 array, shape (documents, 2): part and row in it of each document
    """
    path, shape = _place(folder, embedder), (len(rows), embedder.dim)
    if not _is_whole(path, shape):
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with open(partial, "wb") as file:
            for run in _runs(rows):
                part, first = run[0].tolist()
                file.write(np.ascontiguousarray(parts[part][first : first + len(run)]).data)
        os.replace(partial, path)
    return _mapped(path, shape)


def _runs(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Rows that follow one another in a part: most of a part, where few documents repeat those of others."""
    steps = np.diff(rows, axis=0)
    ends = 1 + np.flatnonzero((steps[:, 0] != 0) | (steps[:, 1] != 1))
    yield from (run for run in np.split(rows, ends) if len(run))


def _place(folder: Path, embedder: Embedder) -> Path:
    return folder / f"vectors-{embedder.name}.f16"


def _is_whole(path: Path, shape: tuple[int, int]) -> bool:
    return path.exists() and path.stat().st_size == shape[0] * shape[1] * ITEM_BYTES


def _mapped(path: Path, shape: tuple[int, int]) -> Vectors:
    if not shape[0]:  # an empty file cannot be mapped
        return np.zeros(shape, np.float16)
    return np.memmap(path, dtype=np.float16, mode="r", shape=shape)


def _finite(vectors: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Refuse what no similarity can be reckoned with."""
    if not np.isfinite(vectors).all():
        raise SettingsError(
            f"embedder {name!r} gave numbers that are not finite for {int((~np.isfinite(vectors)).any(axis=1).sum())} "
            "documents of a batch. Load the model in another precision, or give another --embedder."
        )
    return vectors


def _write(texts: Texts, shape: tuple[int, int], embedder: Embedder, path: Path, embed_all: EmbedAll) -> None:
    """Go on with what is there. One process at a time: the others wait, and find it whole."""
    row_bytes = shape[1] * ITEM_BYTES
    with open(partial := path.with_name(f"{path.name}.partial"), "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is_whole(path, shape):
            return
        done = min(file.tell() // row_bytes, shape[0])
        file.truncate(done * row_bytes)
        for vectors in embed_all(texts(done)):
            file.write(_finite(vectors, embedder.name).astype(np.float16).tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
