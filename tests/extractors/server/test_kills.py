"""Facts about runs that are killed: no acknowledged answer is lost or paid for twice, the cap holds, no key is left."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from servers.pages import KEY

HERE = Path(__file__).resolve()
SERVER = HERE.parents[2] / "servers" / "hostile.py"
SCRIPT = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import bonanza
    from servers.pages import TARGET, pages
    result = bonanza.extract(
        pages(int(sys.argv[4])), TARGET, budget=sys.argv[5], llm="openai:hostile", out=sys.argv[3], policy="random",
        cache=sys.argv[3] + "-cache", connection={"base_url": sys.argv[2], "timeout": 1.0, "concurrency": 16},
    )
    print(result.summary["tokens"]["total"])
"""


@pytest.fixture
def server(tmp_path):
    """The hostile server as a process of its own: it outlives the clients that are killed."""
    command = [
        sys.executable,
        SERVER,
        "--port",
        "0",
        "--delay",
        "0.01",
        "--faults",
        "0.1",
        "--hang",
        "0.3",
        "--log",
        tmp_path / "log",
    ]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{process.stdout.readline().split()[1]}/v1"
    process.terminate()
    process.wait()
    process.stdout.close()


def started(url: str, out: Path, documents: int, budget: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), HERE.parents[2], url, out, documents, budget]
    return subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"OPENAI_API_KEY": KEY},
    )  # fmt: skip


def killed(process: subprocess.Popen[str], seconds: float) -> None:
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def answers(out: Path) -> dict[str, str]:
    """Acknowledged answers by key; the journal must hold each once."""
    if not (out / "journal.sqlite").exists():
        return {}
    with closing(sqlite3.connect(out / "journal.sqlite")) as database:
        if not database.execute("select 1 from sqlite_master where name = 'calls'").fetchone():
            return {}  # killed before it had tables
        rows = database.execute("select key, answer from calls where status = 'answered'").fetchall()
    assert len({key for key, _ in rows}) == len(rows)
    return dict(rows)


def served(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_kills_at_any_moment_lose_no_answer_pay_none_twice_and_never_pass_the_cap(server, tmp_path, kills):
    chance, out, known = random.Random(kills), tmp_path / "run", {}
    documents, cap = (60 * kills, 500_000) if kills < 10 else (900, 2_000_000)
    for _ in range(kills):
        killed(started(server, out, documents, f"{cap}"), chance.uniform(0.9, 2.0))
        kept = answers(out)
        assert known.items() <= kept.items()
        known = kept
    process = started(server, out, documents, f"{cap}")
    printed, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    assert known.items() <= answers(out).items()
    log = served(tmp_path / "log")
    charged = int(printed.splitlines()[-1])
    assert sum(row["tokens"] for row in log) <= charged <= cap
    summary = json.loads((out / "summary.json").read_text())
    assert summary["tokens"]["total"] == charged
    assert summary["documents_read"] == sum(summary["statuses"].values())
    good = Counter(row["prompt"] for row in log if row["kind"] == "ok")
    twice = sum(count - 1 for count in good.values() if count > 1)
    assert twice <= 16 * kills  # only what was under way when it was killed, and never acknowledged


@pytest.mark.slow
def test_a_straight_run_and_a_killed_one_give_the_same(server, tmp_path):
    for name, kills in (("straight", 0), ("killed", 3)):
        for moment in range(kills):
            killed(started(server, tmp_path / name, 200, "100%"), 1.0 + 0.2 * moment)
        process = started(server, tmp_path / name, 200, "100%")
        _, complaint = process.communicate(timeout=120)
        assert process.returncode == 0, complaint
    rows = [
        [json.loads(line) for line in (tmp_path / name / "train.jsonl").read_text().splitlines()]
        for name in ("straight", "killed")
    ]
    by_id = [{row["metadata"]["id"]: row["messages"] for row in some} for some in rows]
    shared = by_id[0].keys() & by_id[1].keys()
    assert len(shared) > 0.8 * len(by_id[0])
    assert all(by_id[0][id_] == by_id[1][id_] for id_ in shared)


@pytest.mark.parametrize("which", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_stop_ends_within_five_seconds_and_keeps_what_was_answered(server, tmp_path, which):
    command = [sys.executable, "-m", "bonanza.cli"]
    pages = tmp_path / "pages.jsonl"
    pages.write_text(
        "".join(
            json.dumps({"id": str(n), "text": f"Ship {n} sails at dawn {n} times. " * 5}) + "\n" for n in range(3_000)
        )
    )
    target = tmp_path / "target.jsonl"
    target.write_text(json.dumps({"question": "Who sails?", "answer": "The ship."}) + "\n")
    options = {"target": target, "budget": "100%", "llm": "openai:hostile", "base-url": server,
               "out": tmp_path / "run", "cache": tmp_path / "cache"}  # fmt: skip
    given = (part for name, value in options.items() for part in (f"--{name}", value))
    command = [Path(sys.executable).with_name("bonanza"), "extract", pages, *given]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while len(answers(tmp_path / "run")) < 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(which)
    asked = time.monotonic()
    _, said = process.communicate(timeout=10)
    assert time.monotonic() - asked < 5
    assert process.returncode == 3, said
    assert "interrupted" in (tmp_path / "run" / "summary.json").read_text()
    assert len(answers(tmp_path / "run")) >= 5
