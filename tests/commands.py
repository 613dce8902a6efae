"""Commands in other processes, and what they left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


@contextmanager
def child(command: Sequence[Any], **given: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a process that does not outlive the block, whatever happens there: nobody waits for one that hangs."""
    with subprocess.Popen([*map(str, command)], **given) as process:
        try:
            yield process
        finally:
            process.kill()
