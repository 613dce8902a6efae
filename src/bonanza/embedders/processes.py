"""Embedding on all processors: looking words up is Python's work, of which a process does one at a time."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from weakref import finalize

from bonanza.embedders.static import Matrix, StaticEmbedder, load_static
from bonanza.processes import processors, spread

FEW = 8  # [ours] batches that are embedded here before processes are started: they take seconds to start


class ProcessEmbedding:
    """Embeds batches of texts in other processes, once there were many."""

    def __init__(self, embedder: StaticEmbedder) -> None:
        self._embedder, self._few = embedder, FEW
        self._folder: str | None = None  # what the processes are given

    def __call__(self, batches: Iterable[list[str]]) -> Iterator[Matrix]:
        """Yield the vectors of each batch, in the order of the batches.

        Raises
        ------
        ExtractionError
            If a process dies.
        """
        waiting = iter(batches)
        for batch in islice(waiting, self._few if processors() > 1 else None):
            self._few -= 1
            yield self._embedder.embed(batch)
        for batch in islice(waiting, 1):
            yield from spread(partial(embedded_by, self._saved()), chain([batch], waiting), "embeds texts")

    def _saved(self) -> str:
        if self._folder is None:
            self._folder = tempfile.mkdtemp()
            finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            self._embedder.save(Path(self._folder) / "embedder")
        return self._folder


def embedded_by(folder: str, texts: list[str]) -> Matrix:
    """The vectors of some texts, by an embedder that was saved."""
    return _opened(folder).embed(texts)


@lru_cache(maxsize=1)
def _opened(folder: str) -> StaticEmbedder:
    embedder = load_static(Path(folder) / "embedder")
    if embedder is None:
        raise FileNotFoundError(folder)
    return embedder
