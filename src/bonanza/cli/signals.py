"""Ctrl-C and SIGTERM end a run cleanly, within five seconds."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_SECONDS = 4.0  # after which the process ends without writing results; the journal is whole at any moment


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether a stop was asked for. A second request ends the process at once."""
    asked = threading.Event()
    timer = threading.Timer(PATIENCE_SECONDS, _leave)
    timer.daemon = True

    def ask(_signal: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            _leave()
        asked.set()
        timer.start()

    before = {which: signal.signal(which, ask) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        timer.cancel()
        for which, handler in before.items():
            signal.signal(which, handler)


def _leave() -> None:
    os.write(2, b"bonanza: stopped; the same command resumes.\n")
    os._exit(3)
