"""Embedding on all processors: looking words up is Python's work, of which a process does one at a time."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from weakref import finalize

from bonanza.embedders.static import Matrix, StaticEmbedder, load_static
from bonanza.errors import ExtractionError

FEW = 8  # [ours] batches that are embedded here before processes are started: they take seconds to start
MOST = 16  # [ours] processes: the one that reads the texts keeps no more busy
AHEAD = 2  # [ours] times as many batches as processes, which are read before the oldest is embedded
LOOK_SECONDS = 1.0  # how often a process sees whether the one that started it is still there


class ProcessEmbedding:
    """Embeds batches of texts in processes of its own, once there were many."""

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
        import joblib

        waiting, processes = iter(batches), min(joblib.cpu_count(), MOST)
        for batch in islice(waiting, self._few if processes > 1 else None):
            self._few -= 1
            yield self._embedder.embed(batch)
        for batch in islice(waiting, 1):
            yield from self._spread(chain([batch], waiting), processes)

    def _spread(self, batches: Iterable[list[str]], processes: int) -> Iterator[Matrix]:
        import joblib
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        embed, folder = joblib.delayed(embedded_by), self._saved()
        parallel = joblib.Parallel(
            processes, return_as="generator", batch_size=1, pre_dispatch=AHEAD * processes,
            initializer=_belong_to_the_reader,
        )  # fmt: skip
        found = parallel(embed(folder, batch) for batch in batches)
        try:
            yield from chain(found)  # closing this generator does not reach through it: see below
        except TerminatedWorkerError:
            raise ExtractionError(
                "A process that embeds texts died (memory?). The same command goes on; with LOKY_MAX_CPU_COUNT=1 in "
                "the environment, no processes are started."
            ) from None
        finally:
            with warnings.catch_warnings(action="ignore"):  # of what was embedded for nothing
                found.close()

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


def _belong_to_the_reader() -> None:
    """Leave Ctrl-C to the process that reads: a terminal tells all of them. And end when it does, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(0)
