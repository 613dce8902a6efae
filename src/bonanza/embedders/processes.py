"""Embedding on all processors: looking words up is Python's work, of which a process does one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from bonanza.embedders.static import Matrix, StaticEmbedder
from bonanza.processes import Processes, processors

FEW = 8  # [ours] batches that are embedded here before processes are started: they take seconds to start


class ProcessEmbedding:
    """Embeds batches of texts in other processes, once there were many."""

    def __init__(self, embedder: StaticEmbedder) -> None:
        self._embedder, self._few = embedder, FEW
        self._processes = Processes(embedder.embed, "embeds texts")

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
            yield from self._processes(chain([batch], waiting))
