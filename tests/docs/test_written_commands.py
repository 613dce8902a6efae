"""Every command of the tutorial and the README runs as it is written, but for those that `SKIPPED` names.

The tutorial is one script, its server included. Each command of the README runs in a folder of its own that holds the
files it names, and what earlier commands wrote: the README's examples are alternatives with one name for their output.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written import README, TUTORIAL, commands_of, shell_blocks

SKIPPED = {  # what a command holds, and why it is not run
    "git clone": "the repository is here",
    "make ": "installs, then runs what the gates and tests/cli/test_demo.py run",
    "pip install": "installs what is here",
    "python3 -m venv": "installs what is here",
    "openai:gpt-4o-mini": "needs a key, and costs money",
}
PORT = "8000"  # of the server in the pages; another takes its place in the commands where it is taken
SECONDS = 600
MANY = 100  # pages
SCORED = 51  # rows for the embedded model, which is slow; 1% of fewer is none


def reason_to_skip(command: str) -> str | None:
    """Why a command is not run; None if it is."""
    return next((reason for part, reason in SKIPPED.items() if part in command), None)


def commands_on(page: Path) -> list[str]:
    """All commands of a page, in their order."""
    return [command for block in shell_blocks(page) for command in commands_of(block)]


def test_only_commands_that_install_or_cost_money_are_skipped():
    commands = [command for page in (TUTORIAL, README) for command in commands_on(page)]
    skipped = Counter(filter(None, map(reason_to_skip, commands)))
    assert skipped.keys() == set(SKIPPED.values()), "a reason that is not needed any more"
    assert skipped["needs a key, and costs money"] <= 1
    run = [command for command in commands if reason_to_skip(command) is None]
    assert len(run) >= 25, run
    subcommands = set(re.findall(r"\bbonanza ([a-z]+)", "\n".join(run)))
    assert subcommands >= {"extract", "compare", "select", "report", "export", "train", "evaluate"}


@pytest.fixture(scope="module")
def port() -> str:
    """That of the pages if it is free, else another."""
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", int(PORT)))
        except OSError:
            tried.bind(("127.0.0.1", 0))
        return str(tried.getsockname()[1])


@contextmanager
def shell(script: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a script with our `bonanza` and `python` in front; whatever it started ends with it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    with (folder.parent / f"{folder.name}.log").open("w+") as log:  # no pipe: a server would hold it open
        process = subprocess.Popen(
            ["bash", "-e", "-c", script], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(script: str, folder: Path) -> None:
    """Run a script to its end."""
    with shell(script, folder) as process:
        status = process.wait(SECONDS)
    told = (folder.parent / f"{folder.name}.log").read_text(errors="replace")
    assert status == 0, f"status {status}:\n{script}\n{told[-3000:]}"


@pytest.mark.slow
def test_the_tutorial_runs_as_written(tmp_path, port):
    place = tmp_path / "tutorial"
    place.mkdir()
    commands = [command for command in commands_on(TUTORIAL) if reason_to_skip(command) is None]
    run("\n".join(commands).replace(PORT, port), place)
    pairs = (place / "first" / "exported" / "messages" / "train.jsonl").read_text().splitlines()
    assert pairs
    assert [turn["role"] for turn in json.loads(pairs[0])["messages"]] == ["user", "assistant"]
    summary = json.loads((place / "first" / "run" / "summary.json").read_text())
    assert (summary["documents_read"], summary["stop_reason"]) == (12, "budget spent")


@pytest.fixture(scope="module")
def server(tmp_path_factory, port) -> Iterator[None]:
    """The tutorial's server."""
    lines = [
        command for command in commands_on(TUTORIAL) if "embedded_model" in command or "llama_cpp.server" in command
    ]
    assert len(lines) == 2
    script = "\n".join([*lines, "wait"]).replace(PORT, port)
    with shell(script, tmp_path_factory.mktemp("server")):
        yield


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, small_corpus) -> Path:
    """The files that the README's commands name."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "pages").mkdir()
    records = small_corpus.records[:MANY]
    for page in records:  # the split of an export goes by these names: of those that are read, one is for validation
        (folder / "pages" / f"{page['id']}.txt").write_text(page["text"])
    pq.write_table(pa.Table.from_pylist(records), folder / "pages.parquet")
    shutil.copy(small_corpus.target, folder / "examples.jsonl")
    shutil.copy(small_corpus.test, folder / "held_out.jsonl")
    rows = [{"instruction": f"Add {n} to {7 * n}.", "input": "", "output": f"That is {8 * n}."} for n in range(600)]
    (folder / "alpaca.json").write_text(json.dumps(rows))
    knowledge = [{"question": f"Add 2 to {n}.", "answer": f"That makes {n + 2}."} for n in range(3)]
    (folder / "good_examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in knowledge))
    return folder


def prepared(place: Path, command: str, inputs: Path, results: Path) -> Path:
    """A folder with the inputs, and what earlier commands wrote unless this one writes it."""
    shutil.copytree(inputs, place)
    for made in results.iterdir():
        if not re.search(rf"--out {re.escape(made.name)}\b|out=\"{re.escape(made.name)}\"", command):
            (shutil.copytree if made.is_dir() else shutil.copy)(made, place / made.name)
    if PORT in command:  # a small model on a processor reads one page in ten seconds; the budget pays for all
        for page in sorted((place / "pages").iterdir(), key=lambda path: path.stat().st_size)[1:]:
            page.unlink()
    if command.startswith("bonanza select") and "--lm" not in command:
        rows = json.loads((place / "alpaca.json").read_text())
        (place / "alpaca.json").write_text(json.dumps(rows[:SCORED]))
    return place


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_the_commands_of_the_readme_run_as_written(tmp_path, inputs, port, tiny_models):
    # No model can be fetched here: a tiny one has the place of those of the hub.
    stands_in = {"hf:Qwen/Qwen2.5-0.5B": f"hf:{tiny_models}/llama", "-Instruct": "", PORT: port}
    results = tmp_path / "results"
    results.mkdir()
    commands = [command for command in commands_on(README) if reason_to_skip(command) is None]
    for number, command in enumerate(commands):
        place = prepared(tmp_path / f"{number:02}", command, inputs, results)
        script = command
        for written, used in stands_in.items():
            script = script.replace(written, used)
        began = time.monotonic()
        run(script, place)
        print(f"{time.monotonic() - began:6.1f} s  {command.splitlines()[0]}")
        for made in place.iterdir():
            if not (inputs / made.name).exists() and not (results / made.name).exists():
                (shutil.copytree if made.is_dir() else shutil.copy)(made, results / made.name)
