"""Work on all processors of this machine, by processes that end with this one."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TypeVar

from bonanza.errors import ExtractionError

MOST = 16  # [ours] processes: the one that hands out the work keeps no more busy
AHEAD = 2  # [ours] times as many items as processes, which are taken before the oldest is done
LOOK_SECONDS = 1.0  # how often a process sees whether the one that started it is still there

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """How many processes are worth it. LOKY_MAX_CPU_COUNT in the environment is the most."""
    import joblib

    return int(min(joblib.cpu_count(), MOST))


def spread(do: Callable[[Item], Result], items: Iterable[Item], work: str) -> Iterator[Result]:
    """Yield what is done with each item, in their order. A script needs no guard of its main part for it.

    Parameters
    ----------
    do : a function of a module, or a `functools.partial` of one
    work : what it does, for messages: "embeds texts"

    Raises
    ------
    ExtractionError
        If a process dies.
    """
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    parallel = joblib.Parallel(
        processors(), return_as="generator", batch_size=1, pre_dispatch=AHEAD * processors(),
        initializer=_belong_to_the_starter,
    )  # fmt: skip
    done = parallel(joblib.delayed(do)(item) for item in items)
    try:
        yield from chain(done)  # closing this generator does not reach through it: see below
    except TerminatedWorkerError:
        raise ExtractionError(
            f"A process that {work} died (memory?). The same command goes on; with LOKY_MAX_CPU_COUNT=1 in the "
            "environment, no processes are started."
        ) from None
    finally:
        with warnings.catch_warnings(action="ignore"):  # of what was done for nothing
            done.close()


def _belong_to_the_starter() -> None:
    """Leave Ctrl-C to the process that was asked: a terminal tells all. And end when that one ends, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(0)
