"""Work on all processors of this machine, by processes that end with this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar
from weakref import finalize

from bonanza.errors import ExtractionError

MOST = 16  # [ours] processes: the one that hands out the work keeps no more busy
AHEAD = 2  # [ours] times as many items as processes, which are taken before the oldest is done; all are handed out
HAND_OUT_SECONDS = 0.001  # how often it is looked whether all work was handed out, which takes milliseconds
LOOK_SECONDS = 1.0  # how often a process sees whether the one that started it is still there

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """How many processes are worth it; one where none may be started. LOKY_MAX_CPU_COUNT (environment) bounds it."""
    import joblib

    return 1 if multiprocessing.current_process().daemon else int(min(joblib.cpu_count(), MOST))


class Processes(Generic[Item, Result]):
    """Does one thing with many items, in processes that live as long as this. Scripts need no guard of their main part.

    Parameters
    ----------
    do : anything that can be pickled; each process gets it once
    work : what it does, for messages: "embeds texts"
    """

    def __init__(self, do: Callable[[Item], Result], work: str) -> None:
        self._do, self._work = do, work
        self._pool: Any = None

    def __call__(self, items: Iterable[Item]) -> Iterator[Result]:
        """Yield what is done with each item, in their order.

        Raises
        ------
        ExtractionError
            If a process dies.
        """
        pool, most, under_way = self._started(), AHEAD * processors(), deque[Future[Result]]()
        try:
            for item in items:
                under_way.append(pool.submit(_done, item))
                if len(under_way) >= most:
                    yield self._awaited(under_way.popleft())
            while under_way:
                yield self._awaited(under_way.popleft())
        finally:
            if under_way and self._end.alive:
                self._give_up(under_way)

    def _started(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        if self._pool is None:
            given = os.getpid(), self._do
            self._pool = ProcessPoolExecutor(processors(), initializer=_begin, initargs=given)
            # The garbage collector may come in any thread, and must wait for none there.
            self._end = finalize(self, self._pool.shutdown, wait=False, kill_workers=True)
        return self._pool

    def _give_up(self, under_way: Iterable[Future[Result]]) -> None:
        """End the processes, whatever they are at. The pool's own thread fails on work that was not handed out yet."""
        while not all(future.running() or future.done() for future in under_way):
            time.sleep(HAND_OUT_SECONDS)
        self._end.detach()
        self._pool = self._pool.shutdown(wait=True, kill_workers=True)

    def _awaited(self, future: Future[Result]) -> Result:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        try:
            return future.result()
        except BrokenProcessPool as error:
            why = next(iter(str(error).splitlines()), type(error).__name__)
            raise ExtractionError(
                f"A process that {self._work} was lost (memory?): {why} The same command goes on; with "
                "LOKY_MAX_CPU_COUNT=1 in the environment, no processes are started."
            ) from None
        finally:
            del future  # it holds the error, whose traceback holds this: a cycle, which only that collector would end


_given: list[Callable[[Any], Any]] = []  # in a process: what it does


def _begin(parent: int, do: Callable[[Any], Any]) -> None:
    """Leave signals to the process that was asked: a terminal tells all. End when that one ends, however it does."""
    _given[:] = [do]
    for which in (signal.SIGINT, signal.SIGTERM):
        signal.signal(which, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _done(item: Any) -> Any:
    return _given[0](item)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(0)
