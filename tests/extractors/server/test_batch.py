"""Facts about reading by batches: real HTTP on localhost; nothing is asked, paid for or lost twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonanza import cli
from bonanza.budget import Prices
from bonanza.build import build_prices
from bonanza.cli import signals as cli_signals
from bonanza.errors import EndpointRefusedError
from bonanza.extractors.server import batch, calls
from bonanza.extractors.server.client import Endpoint, Response
from bonanza.extractors.server.faults import Fault
from bonanza.settings import ConnectionSettings, ServerSettings, settings_from
from servers.hostile import Behaviour, HostileServer, in_turn
from servers.pages import KEY, pages

HERE = Path(__file__).resolve()
NEVER = 10**9  # looks at a batch until it ends
BATCH = {"connection": {"batch": True}}
SCRIPT = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import bonanza
    from servers.pages import TARGET, pages
    bonanza.extract(
        pages(12), TARGET, budget="100%", llm="openai:hostile", out=sys.argv[3], policy="random",
        cache=sys.argv[3] + "-cache", connection={"base_url": sys.argv[2], "timeout": 60.0, "batch": True},
    )
"""


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(batch, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(batch, "FIRST_LOOK", 0.01)
    monkeypatch.setattr(batch, "LONGEST_BIRTH", 0.1)
    monkeypatch.setattr(batch, "FIRST_PATIENCE", 0.5)
    monkeypatch.setattr(batch, "backoff", lambda tries: 0.02)
    monkeypatch.setattr(calls, "backoff", lambda tries: 0.02)
    monkeypatch.setattr(calls, "IDLE_SECONDS", 0.1)


def batches_of(server: HostileServer) -> list[dict[str, Any]]:
    """All that were made, the oldest first."""
    headers = {"Authorization": f"Bearer {server.key or KEY}"}
    request = urllib.request.Request(f"{server.url}/batches", headers=headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["data"][::-1]


def lines_of(server: HostileServer) -> list[int]:
    return [made["request_counts"]["total"] for made in batches_of(server)]


def times_answered(server: HostileServer) -> set[int]:
    """How often each prompt was answered well."""
    return set(Counter(record.prompt for record in server.requests if record.completion_tokens).values())


def train_of(result) -> bytes:
    return (result.folder / "train.jsonl").read_bytes()


def statuses_of(result) -> dict[str, str]:
    rows = pq.read_table(result.folder / "documents.parquet").to_pylist()
    return {row["document_id"]: row["status"] for row in rows}


def soon(happened: Callable[[], Any], act: Callable[[], Any]) -> threading.Thread:
    """Act once something has happened, while the test goes on; in any case at last, for the test waits for it."""

    def watch() -> None:
        try:
            wait_until(happened)
        finally:
            act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def wait_until(happened: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def changes_its_key(server: HostileServer, after: int = 1) -> threading.Thread:
    """From the time that so many batches were made, no client of ours is known."""
    return soon(lambda: len(batches_of(server)) >= after, lambda: setattr(server, "key", "sk-another"))


def finishes(server: HostileServer) -> None:
    """Work off all batches, and know us again."""
    server.key, server.batch_polls = KEY, 1
    for made in batches_of(server):
        headers = {"Authorization": f"Bearer {KEY}"}
        urllib.request.urlopen(urllib.request.Request(f"{server.url}/batches/{made['id']}", headers=headers)).close()


# A round


def test_a_round_travels_as_one_batch_and_gives_the_pairs_of_single_calls(extract, monkeypatch):
    monkeypatch.setattr(batch, "QUIET_SECONDS", 0.5)
    with HostileServer(key=KEY) as server:
        straight = extract(server, name="straight")
        before = server.tokens
        result = extract(server, **BATCH)
        assert lines_of(server) == [12]
        assert result.summary["tokens"]["total"] == server.tokens - before == before
    assert result.summary["statuses"] == {"ok": 12}
    assert train_of(result) == train_of(straight)


def test_each_round_is_a_batch_of_its_own(extract):
    with HostileServer() as server:
        extract(server, round_size=5, **BATCH)
        assert lines_of(server) == [5, 5, 2]


def test_a_call_in_answer_to_an_answer_travels_in_the_next_batch(extract):
    def plan(request, times):
        useless = "page 1\n" in request.prompt and "cannot be used" not in request.prompt
        return Behaviour("no_json" if useless else "ok")

    with HostileServer(plan=plan) as server:
        result = extract(server, 4, **BATCH)
        assert lines_of(server) == [4, 1]
        assert result.summary["tokens"]["total"] == server.tokens
    assert result.summary["statuses"] == {"ok": 4}


@pytest.mark.parametrize(
    "options", [{"supports": ("json_object",)}, {"rejects": ("max_tokens", "temperature")}], ids=str
)
def test_what_the_server_does_not_understand_is_put_another_way(extract, options):
    with HostileServer(**options) as server:
        result = extract(server, 4, **BATCH)
        assert len(server.requests) <= 12
        assert result.summary["tokens"]["total"] == server.tokens
    assert result.summary["statuses"] == {"ok": 4}


@pytest.mark.parametrize("in_batches", [False, True])
def test_half_a_character_in_what_a_server_says_harms_nothing(extract, in_batches):
    answer, error = Behaviour(content="\ud800"), Behaviour("status", 400, content="\udfff")
    broken = {"page 0\n": answer, "page 1\n": error}
    plan = lambda request, times: next((broken[page] for page in broken if page in request.prompt), Behaviour())
    with HostileServer(plan=plan) as server:
        result = extract(server, 3, connection={"batch": in_batches})
    assert statuses_of(result) == {"page 0": "unparsable", "page 1": "failed", "page 2": "ok"}


def test_answers_that_cannot_be_used_end_in_their_status(extract):
    kinds = {"page 0\n": "refusal", "page 1\n": "null_content", "page 2\n": "empty_choices", "page 3\n": "bad_request"}
    plan = lambda request, times: Behaviour(next((kinds[page] for page in kinds if page in request.prompt), "ok"))
    with HostileServer(plan=plan) as server:
        result = extract(server, 6, **BATCH)
        assert server.tokens <= result.summary["tokens"]["total"]
    assert [statuses_of(result)[f"page {n}"] for n in range(6)] == [
        "refused", "unparsable", "failed", "failed", "ok", "ok",
    ]  # fmt: skip


# Batches that end badly


def test_of_an_expired_batch_the_finished_lines_are_used_and_only_the_others_sent_again(extract):
    with HostileServer(batch_expires_after=5) as server:
        straight = extract(server, name="straight")
        before = server.tokens
        result = extract(server, **BATCH)
        assert lines_of(server) == [12, 7, 2]
        assert times_answered(server) == {2}
        assert result.summary["tokens"]["total"] == server.tokens - before
    assert train_of(result) == train_of(straight)


def test_lines_that_fail_are_sent_again_and_charged_and_the_others_kept(extract):
    with HostileServer(batch_fails=frozenset({1, 4})) as server:
        result = extract(server, **BATCH)
        assert lines_of(server) == [12, 2, 1]
        assert times_answered(server) == {1}
        assert server.tokens <= result.summary["tokens"]["total"] < 1.1 * server.tokens
    assert result.summary["statuses"] == {"ok": 12}


def test_a_line_that_always_fails_is_given_up(extract):
    plan = lambda request, times: Behaviour("status" if "page 3\n" in request.prompt else "ok")
    with HostileServer(plan=plan) as server:
        result = extract(server, **BATCH)
        assert lines_of(server) == [12, 1, 1, 1]
        assert server.tokens <= result.summary["tokens"]["total"]
    assert result.summary["statuses"] == {"ok": 11, "failed": 1}


def test_a_batch_of_which_every_line_fails_stops_the_run(extract):
    with HostileServer(batch_fails=frozenset(range(100))) as server:
        with pytest.raises(EndpointRefusedError, match="all 12 lines of batch batch_0 failed: HTTP 500"):
            extract(server, **BATCH)
        assert lines_of(server) == [12]


def test_an_invalid_batch_stops_the_run_and_says_why_and_costs_nothing(extract):
    with HostileServer(batch_invalid=True) as server:
        said = r"in batches: batch batch_0 failed: This line is not JSON\. \(line 1\)\. .*go on without --batch"
        with pytest.raises(EndpointRefusedError, match=said):
            extract(server, **BATCH)
        assert (lines_of(server), server.tokens) == ([12], 0)
        server.batch_invalid = False
        result = extract(server, **BATCH)
        assert result.summary["tokens"]["total"] == server.tokens
    assert result.summary["statuses"] == {"ok": 12}


def test_a_batch_too_large_for_the_account_goes_in_pieces_one_at_a_time(extract):
    with HostileServer(batch_limit=5) as server:
        result = extract(server, **BATCH)
        sizes = lines_of(server)
        assert sum(size for size in sizes if size <= 5) == 12
        assert len(sizes) <= 8
        assert times_answered(server) == {1}
        good = [made for made in batches_of(server) if made["status"] == "completed"]
        assert all(one["completed_at"] <= other["created_at"] for one, other in pairwise(good))
    assert result.summary["statuses"] == {"ok": 12}


def test_a_batch_too_large_with_one_line_stops_the_run(extract):
    with (
        HostileServer(batch_limit=0) as server,
        pytest.raises(EndpointRefusedError, match=r"limit reached for hostile\."),
    ):
        extract(server, 3, **BATCH)


# Batches that are lost sight of


def test_a_batch_that_the_server_made_without_our_hearing_is_found_and_not_made_twice(extract):
    with HostileServer(batch_lost=2) as server:
        result = extract(server, round_size=6, **BATCH)
        assert lines_of(server) == [6, 6]
        assert times_answered(server) == {1}
        assert result.summary["tokens"]["total"] == server.tokens
        tokens = [made["metadata"]["bonanza"] for made in batches_of(server)]
    assert len(set(tokens)) == 2


def test_a_batch_that_was_not_made_is_asked_for_again(extract):
    with HostileServer(batch_unmade=2) as server:
        result = extract(server, **BATCH)
        assert lines_of(server) == [12]
    assert result.summary["statuses"] == {"ok": 12}


def test_a_batch_that_is_never_made_ends_the_run_early_and_costs_nothing(extract):
    with HostileServer(batch_unmade=NEVER) as server:
        early = extract(server, **BATCH)
        assert early.summary["stop_reason"] == "endpoint gone"
        assert "asked for 4 times, no batch was made" in early.summary["stop_detail"]
        server.batch_unmade = 0
        result = extract(server, **BATCH)
        assert lines_of(server) == [12]
        assert result.summary["tokens"]["total"] == server.tokens
    assert result.summary["statuses"] == {"ok": 12}


@pytest.mark.slow
def test_a_run_that_is_killed_collects_its_batch_and_asks_nothing_twice(extract, tmp_path):
    """One is killed while the server is at work, one before the server could say that it made the batch."""
    lost = {"batch_lost": 1, "batch_lost_by": "hang"}
    with (
        HostileServer(key=KEY, batch_polls=NEVER) as heard,
        HostileServer(key=KEY, batch_polls=NEVER, **lost) as unheard,
    ):
        processes = {
            server: started(server, tmp_path, name) for server, name in ((heard, "heard"), (unheard, "unheard"))
        }
        wait_until(lambda: batches_of(heard) and heard_of(tmp_path / "heard") == ["batch_0"])
        wait_until(lambda: batches_of(unheard))
        assert heard_of(tmp_path / "unheard") == []
        runs = []
        for server, name in ((heard, "heard"), (unheard, "unheard")):
            os.killpg(processes[server].pid, signal.SIGKILL)
            processes[server].wait()
            server.batch_polls = 2
            resumed = extract(server, name=name, **BATCH)
            assert lines_of(server) == [12]
            assert times_answered(server) == {1}
            assert resumed.summary["tokens"]["total"] == server.tokens
            runs.append(train_of(resumed))
        assert runs == [train_of(extract(heard, name="straight"))] * 2


def started(server: HostileServer, folder: Path, name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), HERE.parents[2], server.url, folder / name]
    return subprocess.Popen(list(map(str, command)), env=os.environ | {"OPENAI_API_KEY": KEY}, start_new_session=True)


def heard_of(folder: Path) -> list[str]:
    """Names of batches that the journal holds."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as database:
        return [name for (name,) in database.execute("select id from batches where id is not null")]


def test_the_answers_of_a_batch_may_be_collected_without_going_on_in_batches(extract):
    with HostileServer(key=KEY, batch_polls=NEVER) as server:
        watching = changes_its_key(server)
        with pytest.raises(
            EndpointRefusedError, match="says nothing of a batch that this run has sent there: HTTP 401"
        ):
            extract(server, round_size=8, **BATCH)
        watching.join()
        server.key, server.batch_polls, server.batch_expires_after = KEY, 1, 6
        result = extract(server, round_size=8)
        assert lines_of(server) == [8]
        assert [record.kind for record in server.requests] == ["batch"] * 6 + ["ok"] * 6
        assert result.summary["tokens"]["total"] == server.tokens
    assert result.summary["statuses"] == {"ok": 12}


# Budget, prices, key


@pytest.mark.parametrize("trouble", [{}, {"batch_expires_after": 3}, {"batch_fails": frozenset({0, 2})}], ids=str)
def test_the_cap_holds(extract, monkeypatch, trouble):
    monkeypatch.setattr(batch, "QUIET_SECONDS", 0.03)
    with HostileServer(**trouble) as server:
        result = extract(server, 20, budget="8k", **BATCH)
        assert server.tokens <= result.summary["tokens"]["total"] <= 8_000
        assert 0 < result.summary["documents_read"] < 20


def test_the_cap_holds_in_a_run_that_is_resumed_while_the_server_works_on(extract):
    def plan(request, times):
        if len(server.requests) < 4:
            server.batch_polls = NEVER  # from the first batch on
        return Behaviour()

    with HostileServer(plan=plan, key=KEY, batch_polls=1) as server:
        watching = changes_its_key(server, after=2)
        early = extract(server, 20, budget="16k", round_size=4, **BATCH)
        watching.join()
        assert early.summary["stop_reason"] == "endpoint gone"
        finishes(server)
        assert server.tokens <= early.summary["tokens"]["total"] <= 16_000
        result = extract(server, 20, budget="16k", round_size=4, **BATCH)
        assert server.tokens == result.summary["tokens"]["total"] <= 16_000
        assert times_answered(server) == {1}
        assert train_of(result) == train_of(extract(server, 20, budget="16k", round_size=4, name="straight"))


def test_known_prices_are_halved_and_given_ones_are_not():
    def prices(**more: Any) -> Prices:
        named = {"corpus": ("a",), "target": "b", "budget": "1k", "llm": "openai:gpt-4o-mini"}
        return build_prices(settings_from(named | more, "test"))

    assert prices() == Prices(0.15, 0.60)
    assert prices(**BATCH) == Prices(0.075, 0.30)
    assert prices(**BATCH, prices={"input": 0.15}) == Prices(0.15, 0.30)


def test_the_key_is_in_no_file_even_if_the_server_echoes_it(extract, tmp_path):
    plan = in_turn(Behaviour("echo_key", 500), Behaviour("echo_key", 429), Behaviour("echo_key"))
    with HostileServer(plan=plan, key=KEY) as server:
        result = extract(server, 4, **BATCH)
        assert {record.authorization for record in server.requests} == {f"Bearer {KEY}"}
        watching = changes_its_key(server, after=len(batches_of(server)) + 1)
        server.batch_polls = NEVER
        with pytest.raises(EndpointRefusedError) as refused:
            extract(server, 4, name="refused", **BATCH)
        watching.join()
    assert result.summary["statuses"] == {"ok": 4}
    assert KEY not in str(refused.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


@pytest.mark.slow
def test_exit_statuses(tmp_path, monkeypatch, capsys):
    lines = [json.dumps({"id": page.id, "text": page.text}) + "\n" for page in pages(4)]
    (tmp_path / "pages.jsonl").write_text("".join(lines))
    (tmp_path / "target.jsonl").write_text(json.dumps({"question": "Who sails?", "answer": "The ship."}) + "\n")

    monkeypatch.setattr(cli_signals, "PATIENCE_SECONDS", 60.0)  # else a stop on a slow disk would end the tests

    def status(server: HostileServer) -> tuple[int, str]:
        files = {"target": tmp_path / "target.jsonl", "out": tmp_path / "run", "cache": tmp_path / "cache"}
        named = files | {"base-url": server.url, "llm": "openai:hostile", "budget": "100%", "policy": "random"}
        options = [part for name, value in named.items() for part in (f"--{name}", str(value))]
        command = ["bonanza", "extract", str(tmp_path / "pages.jsonl"), "--batch", "--quiet", *options]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().err

    with HostileServer(key="sk-another") as server:
        ended, said = status(server)
        assert (ended, "does not serve model 'hostile' in batches: HTTP 401" in said) == (2, True)
    with HostileServer(key=KEY, batch_polls=NEVER) as server:
        watching = soon(lambda: heard_of(tmp_path / "run"), lambda: os.kill(os.getpid(), signal.SIGINT))
        ended, said = status(server)
        assert (ended, "stopped as asked" in said) == (3, True)
        watching.join()
        server.key = "sk-another"
        ended, said = status(server)
        assert (ended, "they must be those it was sent with" in said) == (2, True)
    ended, said = status(server)
    assert (ended, "The same command resumes" in said) == (3, True)
    with HostileServer(port=server.port) as server:  # another server, which knows nothing of the batch
        ended, said = status(server)
        assert (ended, "If the batch is gone for good, choose a new --out" in said) == (2, True)


# What stands in the files


NOISE = (
    b"", b"\r", b"not JSON", b"[" * 100_000, b'"text"', b"null", b"[1]", b"{}", b"\xff\xfe", b'{"custom_id": null}',
    b'{"custom_id": "0"}', b'{"custom_id": ["1"]}', b'{"custom_id": Infinity, "response": null}', b'{"custom_id": "1"}',
    b'{"custom_id": "1", "error": "broken"}', b'{"custom_id": "1", "response": {"status_code": "200", "body": {}}}',
    b'{"custom_id": true, "error": null, "response": {"status_code": 500, "body": null}}',
    b'{"custom_id": "999", "error": {"code": "batch_expired"}}',
)  # fmt: skip


def test_lines_that_say_nothing_of_our_calls_change_nothing(extract):
    with HostileServer(batch_noise=NOISE) as server:
        straight = extract(server, name="straight")
        result = extract(server, **BATCH)
        assert lines_of(server) == [12]
    assert train_of(result) == train_of(straight)


MESSAGES = [{"role": "user", "content": "Why do ships float?"}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    max_leaves=5,
)
ERROR = st.fixed_dictionaries({}, optional={"code": JSON, "message": JSON}) | JSON
STATUS = st.sampled_from([200, 400, 500]) | JSON
RESPONSE = st.fixed_dictionaries({}, optional={"status_code": STATUS, "body": JSON}) | JSON
NAME = st.sampled_from(["1", "2", "3", "4", 1, 1.5, True, None]) | JSON
ROW = st.fixed_dictionaries({"custom_id": NAME}, optional={"error": ERROR, "response": RESPONSE})
LINE = st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | ROW.map(lambda row: json.dumps(row).encode())


def good_line(number: int) -> bytes:
    choice = {"message": {"content": f"answer {number}"}, "finish_reason": "stop"}
    response = {"status_code": 200, "body": {"choices": [choice], "usage": None}}
    return json.dumps({"custom_id": str(number), "response": response, "error": None}).encode()


@settings(max_examples=30)
@given(noise=st.lists(LINE, max_size=10), order=st.permutations([1, 2, 3]), end=st.sampled_from([b"\n", b"\r\n"]))
def test_whatever_a_file_holds_good_lines_are_found_and_others_harm_nothing(noise, order, end):
    client = batch.BatchClient(Endpoint("hostile", None, KEY), ServerSettings(), ConnectionSettings(), None)  # type: ignore[arg-type]
    content = end.join([*map(good_line, order), *noise])
    read = list(client._read(content, dict.fromkeys([1, 2, 3], MESSAGES)))
    assert all(isinstance(result, Response | Fault) and number in (1, 2, 3) for number, result in read)
    texts = {number: result.answer.text for number, result in reversed(read) if isinstance(result, Response)}
    assert texts == {number: f"answer {number}" for number in (1, 2, 3)}
