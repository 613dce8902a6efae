"""Batches embedded by other processes are those of this one, to the bit and in their order."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bonanza.embedders import processes
from bonanza.embedders.processes import ProcessEmbedding
from bonanza.embedders.static import StaticEmbedder, fit_static
from bonanza.errors import ExtractionError, MissingExtraError
from bonanza.processes import AHEAD, Processes
from commands import child

TEXTS = [f"The harbour master counts {number} boats at the pier; bread rises." for number in range(200)]


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    return fit_static(TEXTS)


@pytest.fixture(autouse=True)
def two_processes(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    monkeypatch.setattr(processes, "FEW", 2)


def batches(size: int = 10) -> Iterator[list[str]]:
    return (TEXTS[start : start + size] for start in range(0, len(TEXTS), size))


@pytest.mark.slow
def test_vectors_are_those_of_one_process_in_their_order(embedder):
    spread = ProcessEmbedding(embedder)
    whole = np.concatenate([embedder.embed(batch) for batch in batches()])
    for _ in range(2):  # a corpus of two parts
        np.testing.assert_array_equal(np.concatenate(list(spread(batches()))), whole)


def test_few_batches_are_embedded_here(embedder, monkeypatch):
    monkeypatch.setattr(Processes, "_started", lambda _: pytest.fail("processes were started"))
    assert len(list(ProcessEmbedding(embedder)(batches(100)))) == 2
    assert list(ProcessEmbedding(embedder)(iter([]))) == []


def test_one_processor_starts_no_processes(embedder, monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setattr(Processes, "_started", lambda _: pytest.fail("processes were started"))
    assert len(list(ProcessEmbedding(embedder)(batches()))) == 20


@pytest.mark.slow
def test_an_error_of_the_reader_arrives_as_it_is(embedder):
    def broken() -> Iterator[list[str]]:
        yield from batches()
        raise LookupError("a file is gone")

    with pytest.raises(LookupError, match="a file is gone"):
        list(ProcessEmbedding(embedder)(broken()))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 5_000_000])
def test_work_given_up_half_way_can_be_begun_again(size):
    """Neither items that wait nor items that fill the pipes keep the processes from ending."""
    work = Processes(_itself, "does nothing")
    for _ in range(5):
        done = work("x" * size for _ in range(9))
        assert len(next(done)) == size
        done.close()
    assert len(list(work(range(9)))) == 9


@pytest.mark.slow
@pytest.mark.parametrize("doing", ["dies", "cannot be told"])
def test_a_process_that_is_lost_is_named(doing):
    with pytest.raises(ExtractionError, match="A process that embeds texts was lost"):
        list(Processes({"dies": _dies, "cannot be told": _fails_oddly}[doing], "embeds texts")(range(9)))


def _dies(item: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fails_oddly(item: int) -> None:
    raise OddError("one", "two")


class OddError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


@pytest.mark.slow
def test_an_error_of_the_work_arrives_as_it_is():
    with pytest.raises(MissingExtraError, match=re.escape("the sea needs packages that are not installed.")):
        list(Processes(_lacks, "sails")(range(9)))


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 8])
def test_what_failed_ends_without_the_garbage_collector(failing):
    """It may come in another pool's thread, while this one waits for that."""
    gc.disable()
    try:
        work = Processes(partial(_lacks_at, failing), "sails")
        gone = weakref.ref(work)
        with pytest.raises(MissingExtraError):
            list(work(range(9)))
        del work
        assert gone() is None
    finally:
        gc.enable()


def _lacks_at(failing: int, item: int) -> None:
    if item == failing:
        _lacks(item)


def _lacks(item: int) -> None:
    raise MissingExtraError("the sea", "boats")


@pytest.mark.slow
def test_few_items_are_taken_before_the_oldest_is_done():
    taken: list[int] = []
    done = Processes(_itself, "does nothing")(item for item in range(100) if taken.append(item) is None)
    assert next(done) == 0
    time.sleep(0.5)
    assert len(taken) == AHEAD * 2
    done.close()


@pytest.mark.slow
def test_processes_work_where_the_caller_is(tmp_path, monkeypatch):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert set(Processes(_where, "looks")(range(4))) == {str(tmp_path / name)}


def _itself(item: Any) -> Any:
    return item


def _where(item: int) -> str:
    return str(Path.cwd())


SCRIPT = """
import os, sys, time
from bonanza.embedders import processes
from bonanza.embedders.static import fit_static
texts = [f"boats {number}" for number in range(100)]
processes.FEW = 1
def batches():
    for number in range(10_000):
        yield texts
for number, _ in enumerate(processes.ProcessEmbedding(fit_static(texts))(batches())):
    if number == 20:
        print("begun", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(how, tmp_path):
    """From a script without a guard of its main part, too."""
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = os.environ | {"LOKY_MAX_CPU_COUNT": "2"}
    command = [sys.executable, str(tmp_path / "script.py")]
    with child(command, stdout=subprocess.PIPE, text=True, env=environment) as script:
        assert script.stdout is not None
        assert script.stdout.readline() == "begun\n"
        children = _children(script.pid)
        assert len(children) >= 2
        script.send_signal(how)
        script.wait()
    until = time.monotonic() + 60
    while any(map(_lives, children)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not [child for child in children if _lives(child)]


def _children(process: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            if int(fields["PPid"]) == process:
                found.append(int(status.parent.name))
    return found


def _lives(process: int) -> bool:
    with contextlib.suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False
