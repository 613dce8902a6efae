"""Facts about work on Ray: three nodes on this machine, of which some are lost, give what one process gives."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bonanza
from bonanza import build
from bonanza.build import Read
from bonanza.errors import ExtractionError, MissingExtraError, SettingsError
from bonanza.executors import ray as on_ray
from bonanza.executors.ray import RayEmbedding, RayScoring, check_executor
from bonanza.interfaces import Passage
from bonanza.records import Document, Reading
from bonanza.run import ExtractResult, Silent
from bonanza.settings import RaySettings
from commands import child

PAGES = 1_000
STORE_BYTES = 100 * 2**20
NODE_SECONDS = 120
POISON = "page-0123"
ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> dict[str, Any]:
    """Arguments of `extract`: 1,000 pages with a question and an answer, or none, and their target."""
    folder = tmp_path_factory.mktemp("pages")
    asked = "Q: How deep is lake Alder {0}?\nA: Lake Alder {0} is {0} metres deep at its northern shore.\n\n"
    texts = [f"# Lake {n}\n\n{asked.format(n) * (n % 7 > 0)}{f'It has part {n}. ' * (n % 40)}" for n in range(PAGES)]
    pages = [{"id": f"page-{number:04}", "text": text} for number, text in enumerate(texts)]
    target = [{"question": f"How deep is lake Birch {n}?", "answer": f"It is {n} metres deep."} for n in range(20)]
    for name, rows in (("pages", pages), ("target", target)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = {"corpus": folder / "pages.jsonl", "target": folder / "target.jsonl"}
    return arguments | {"budget": "100%", "llm": "rules", "policy": "nearest"}


@pytest.fixture(scope="module")
def local(corpus, tmp_path_factory) -> ExtractResult:
    return bonanza.extract(**corpus, out=tmp_path_factory.mktemp("local") / "run")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and two more nodes with a processor each; on 127.0.0.1, without a token in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"),
            ("USAGE_STATS_ENABLED", "0"),
            ("AUTH_MODE", "disabled"),
        ):
            patch.setenv(f"RAY_{name}", value)
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
        started = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
        for _ in range(2):
            started.add_node(**node)
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
        yield started
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        started.shutdown()


@pytest.fixture
def on_cluster(cluster, corpus, tmp_path) -> Callable[..., ExtractResult]:
    """`extract` on the cluster."""
    return lambda **given: bonanza.extract(
        **{"executor": f"ray:{cluster.address}", "out": tmp_path / "run", **corpus, **given}
    )


def journal_rows(folder: Path) -> list[tuple[str, str]]:
    if not (folder / "journal.sqlite").exists():
        return []
    with contextlib.closing(sqlite3.connect(folder / "journal.sqlite")) as database:
        return list(database.execute("select document_id, reading from readings order by sequence"))


def assert_same(result: ExtractResult, local: ExtractResult) -> None:
    """The same files; in the journal the same readings, each once, in whatever order they came."""
    for name in ("train.jsonl", "pairs.parquet", "documents.parquet", "skipped.jsonl"):
        assert (result.folder / name).read_bytes() == (local.folder / name).read_bytes(), name
    assert sorted(journal_rows(result.folder)) == sorted(journal_rows(local.folder))


# What workers are told to do: sent to them by value


def noted(log: Path, lost: str, half: Path) -> Callable[[Mapping[str, Any], str], Read]:
    """Reads by rules, and notes who reads what; from half-way on, one node takes as long as a large model."""

    def make(settings: Mapping[str, Any], name: str) -> Read:
        read, node = _reading_of(settings, name), ray.get_runtime_context().get_node_id()

        def with_note(document: Document) -> Reading:
            with log.open("a") as file:
                file.write(f"{node} {document.id}\n")
            time.sleep(NODE_SECONDS if node == lost and half.exists() else 0.01)
            return read(document)

        return with_note

    return make


def poisoned(settings: Mapping[str, Any], name: str) -> Read:
    """A page that its worker dies of."""
    read = _reading_of(settings, name)
    return lambda document: os._exit(1) if document.id == POISON else read(document)


def broken(settings: Mapping[str, Any], name: str) -> Read:
    def read(document: Document) -> Reading:
        raise ZeroDivisionError(document.id)

    return read


_reading_of = build.reading_of


class AtHalf(Silent):
    """Does something when half of the documents are read."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act, self.seen = act, 0

    def reading(self, reading: Reading) -> None:
        self.seen += 1
        if self.seen == PAGES // 2:
            self.act()


# One machine as three nodes


@pytest.mark.slow
def test_a_node_lost_half_way_loses_nothing_and_changes_nothing(
    cluster, on_cluster, corpus, local, tmp_path, monkeypatch
):
    node, log, half = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES), tmp_path / "log", tmp_path / "half"
    removal = threading.Timer(1.0, cluster.remove_node, [node], {"allow_graceful": False})
    monkeypatch.setattr(build, "reading_of", noted(log, node.node_id, half))
    watcher = AtHalf(lambda: [half.touch(), removal.start()])
    result = on_cluster(watcher=watcher)
    removal.join()
    assert watcher.seen == len(journal_rows(result.folder)) == PAGES
    read = [line.split() for line in log.read_text().splitlines()]
    by_lost = [page for name, page in read if name == node.node_id]
    again = [page for name, page in read if name != node.node_id and page in by_lost]
    assert len({name for name, _ in read}) == 4
    assert 20 < len(by_lost) < PAGES // 2
    assert again == by_lost[-1:]  # what the lost node had under way; what waited there, it never began
    assert len(read) == PAGES + 1
    assert_same(result, local)


@pytest.mark.slow
def test_a_policy_that_learns_chooses_the_same_on_three_nodes(on_cluster, corpus, tmp_path):
    given = {"policy": "adaptive", "budget": "200docs"}
    assert_same(on_cluster(**given), bonanza.extract(**corpus | given, out=tmp_path / "local"))


@pytest.mark.slow
def test_recorded_pairs_are_revealed_by_workers_as_by_one_process(on_cluster, small_corpus, tmp_path):
    given = small_corpus.arguments(budget="40k", llm="recorded")
    assert_same(on_cluster(**given), bonanza.extract(**given, policy="nearest", out=tmp_path / "local"))


@pytest.mark.slow
def test_a_document_that_kills_its_workers_is_failed_and_the_others_are_read(on_cluster, local, monkeypatch):
    monkeypatch.setattr(build, "reading_of", poisoned)
    result = on_cluster()
    ours, theirs = dict(journal_rows(result.folder)), dict(journal_rows(local.folder))
    failed = json.loads(ours.pop(POISON))
    theirs.pop(POISON)
    assert (failed["status"], failed["detail"]) == ("failed", "3 Ray workers died while they read it")
    assert failed["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert ours == theirs


@pytest.mark.slow
def test_an_extractor_that_raises_ends_the_run_with_its_error(on_cluster, local, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(ExtractionError, match=r"ZeroDivisionError.*page-"):
        patch.setattr(build, "reading_of", broken)
        on_cluster()
    assert_same(on_cluster(), local)


@pytest.mark.slow
def test_workers_that_would_read_otherwise_are_refused(on_cluster, monkeypatch):
    def other(settings: Mapping[str, Any], name: str) -> Read:
        return _reading_of(settings, "rules-of-another-version")

    monkeypatch.setattr(build, "reading_of", other)
    with pytest.raises(ExtractionError, match=r"Ray node \w+: .*not by 'rules-of-another-version'"):
        on_cluster()


@pytest.mark.slow
def test_a_cluster_without_room_ends_the_run_so_that_it_can_be_resumed(on_cluster, local):
    result = on_cluster(ray={"processors": 64, "give_up_after": 0.5})
    assert result.summary["stop_reason"] == "endpoint gone"
    assert "needs a node with 64 free processors" in result.summary["stop_detail"]
    assert_same(on_cluster(), local)


@pytest.mark.slow
def test_more_workers_than_there_is_room_for_wait_and_the_others_work(on_cluster, local):
    assert_same(on_cluster(ray={"workers": 9}), local)


@pytest.mark.slow
def test_a_connection_of_the_callers_own_is_used_and_left_open(cluster, on_cluster, local):
    ray.init(address=cluster.address, configure_logging=False, log_to_driver=False)
    try:
        assert_same(on_cluster(executor="ray"), local)
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_a_run_begun_in_one_process_goes_on_on_a_cluster(on_cluster, corpus, local, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        bonanza.extract(**corpus, out=tmp_path / "run", watcher=AtHalf(_interrupt))
    assert len(journal_rows(tmp_path / "run")) == PAGES // 2
    assert_same(on_cluster(), local)


def _interrupt() -> None:
    raise KeyboardInterrupt


# Embedding


@pytest.mark.slow
def test_embeddings_made_on_three_nodes_are_those_of_one_process_to_the_bit(
    on_cluster, local, cache, tmp_path, monkeypatch
):
    monkeypatch.setattr(build, "EMBEDDING_BATCH", 40)
    monkeypatch.setattr(build, "embed_corpus", asked := Asked(build.embed_corpus))
    assert_same(on_cluster(cache=tmp_path / "cache"), local)
    assert asked.elsewhere
    (made,) = (tmp_path / "cache").rglob("vectors-*.f16")
    (same,) = cache.rglob(f"{made.parent.name}/{made.name}")
    assert made.read_bytes() == same.read_bytes()


class Asked:
    """Notes whether batches are embedded elsewhere."""

    def __init__(self, embed: Callable[..., Any]) -> None:
        self.embed, self.elsewhere = embed, False

    def __call__(self, *given: Any) -> Any:
        self.elsewhere = self.elsewhere or given[-1] is not None
        return self.embed(*given)


def dying(lost: str, half: int) -> Callable[[], Callable[[list[str]], Any]]:
    """Embeds texts as their lengths; on one node not for long, and one batch nowhere."""

    def embed(texts: list[str]) -> Any:
        if texts[0] == POISON or (ray.get_runtime_context().get_node_id() == lost and len(texts[0]) > half):
            os._exit(1)
        return np.array([[len(text)] for text in texts], np.float32)

    return lambda: embed


@pytest.mark.slow
def test_batches_of_lost_workers_are_embedded_by_others_and_stay_in_order(cluster):
    ray.init(address=cluster.address, configure_logging=False, log_to_driver=False)
    try:
        node = next(node["NodeID"] for node in ray.nodes() if node["Alive"])
        embed = RayEmbedding(dying(node, 50), 1, RaySettings(), print)
        batches = [["x" * size] for size in range(1, 101)]
        assert np.concatenate(list(embed(iter(batches)))).ravel().tolist() == list(range(1, 101))
        with pytest.raises(ExtractionError, match="3 Ray workers died while they embedded a batch of 2 texts"):
            list(embed(iter([["x"], [POISON, "y"], ["z"]])))
    finally:
        ray.shutdown()


@pytest.mark.slow
def test_an_index_made_on_a_cluster_is_that_of_one_process_to_the_bit(cluster, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "EMBEDDING_BATCH", 40)
    places = {"here": "local", "there": f"ray:{cluster.address}"}
    for name, executor in places.items():
        bonanza.index(corpus["corpus"], out=tmp_path / name, executor=executor)
    (here,), (there,) = ((tmp_path / name).rglob("vectors-*.f16") for name in places)
    assert here.relative_to(tmp_path / "here") == there.relative_to(tmp_path / "there")
    assert here.read_bytes() == there.read_bytes()


# Scoring


@pytest.fixture
def instructions(tmp_path) -> Path:
    rows = [
        {"instruction": f"How deep is lake {n}?", "output": f"It is {n} metres deep. " * (n % 9)} for n in range(60)
    ]
    (tmp_path / "instructions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "instructions.jsonl"


@pytest.mark.slow
def test_responses_scored_on_three_nodes_are_ranked_as_by_one_process(cluster, instructions, tiny_models, tmp_path):
    given = {"keep": "20", "method": "ifd", "lm": f"hf:{tiny_models / 'llama'}", "scorer": {"batch_tokens": 200}}
    local = bonanza.select(instructions, **given, cache=tmp_path / "here")
    there = bonanza.select(instructions, **given, cache=tmp_path / "there", executor=f"ray:{cluster.address}")
    assert there.rows == local.rows
    assert there.selection.left_out == local.selection.left_out
    for name, values in local.selection.scores.items():
        np.testing.assert_allclose(there.selection.scores[name], values, rtol=1e-5)


@pytest.mark.slow
def test_scores_that_are_known_need_no_worker(cluster, instructions, tiny_models, tmp_path):
    given = {"keep": "20", "method": "perplexity", "lm": f"hf:{tiny_models / 'llama'}", "cache": tmp_path / "cache"}
    local = bonanza.select(instructions, **given)
    nobody = {"processors": 64, "give_up_after": 0.5}
    assert bonanza.select(instructions, **given, executor=f"ray:{cluster.address}", ray=nobody).rows == local.rows


@pytest.mark.slow
def test_pairs_of_a_run_are_refined_by_workers_as_by_one_process(on_cluster, corpus, tiny_models, tmp_path):
    refine = {"method": "perplexity", "keep": "10", "lm": f"hf:{tiny_models / 'llama'}"}
    given = {"budget": "100docs", "refine": refine}
    local = bonanza.extract(**corpus | given, out=tmp_path / "local", cache=tmp_path / "here")
    assert len(local.pairs) == 10
    assert_same(on_cluster(**given, cache=tmp_path / "there"), local)


@pytest.mark.slow
def test_a_batch_of_passages_that_kills_its_workers_is_named(cluster):
    ray.init(address=cluster.address, configure_logging=False, log_to_driver=False)
    try:
        scoring = RayScoring(lambda: lambda passages: os._exit(1), 1, RaySettings(), print)
        with pytest.raises(ExtractionError, match="3 Ray workers died while they scored a batch of 2 passages"):
            list(scoring(iter([[Passage(()), Passage(())]])))
    finally:
        ray.shutdown()


def test_a_server_is_not_asked_from_elsewhere(instructions):
    with pytest.raises(SettingsError, match=r"lm 'openai:m' is asked from here; executor 'ray' has no part in it"):
        bonanza.select(instructions, keep="20", method="ifd", lm="openai:m", executor="ray")


# GPUs: Ray reckons with those that a node says it has


def seeing(log: Path) -> Callable[[Mapping[str, Any], str], Read]:
    """Notes which GPUs Ray shows to whoever reads."""

    def make(settings: Mapping[str, Any], name: str) -> Read:
        read = _reading_of(settings, name)

        def with_note(document: Document) -> Reading:
            with log.open("a") as file:
                file.write(f"{ray.get_gpu_ids()}\n")
            return read(document)

        return with_note

    return make


@pytest.mark.slow
def test_workers_that_take_a_gpu_run_where_there_is_one(cluster, on_cluster, local, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "reading_of", seeing(tmp_path / "log"))
    refused = on_cluster(ray={"gpus": 1, "give_up_after": 0.5})
    assert "needs a node with 1 free processors and 1 GPU" in refused.summary["stop_detail"]
    node = cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=STORE_BYTES)
    try:
        assert_same(on_cluster(ray={"gpus": 0.5}), local)
    finally:
        cluster.remove_node(node)
    assert set((tmp_path / "log").read_text().splitlines()) == {"[0]"}


# The command in another process, stopped by signals


def command(corpus: Mapping[str, Any], executor: str, out: Path) -> list[str]:
    options = [text for name in ("target", "budget", "llm", "policy") for text in (f"--{name}", str(corpus[name]))]
    start = [sys.executable, "-c", "from bonanza.cli import main; main()", "extract", str(corpus["corpus"])]
    return [*start, *options, "--executor", executor, "--out", str(out)]


def stop_when(arguments: list[str], readings: int, how: signal.Signals, folder: Path) -> tuple[int, float, str]:
    """Send a signal when so many readings are journaled; exit status, seconds until then, what was printed."""
    with child(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and len(_read(folder)) < readings:
            time.sleep(0.01)
        process.send_signal(how)
        sent = time.monotonic()
        _, printed = process.communicate()
        return process.returncode, time.monotonic() - sent, printed


def _read(folder: Path) -> list[tuple[str, str]]:
    try:
        return journal_rows(folder)
    except sqlite3.OperationalError:  # no tables yet
        return []


@pytest.mark.slow
def test_a_driver_that_is_killed_resumes_and_pays_nothing_twice(cluster, corpus, local, tmp_path):
    arguments, out = command(corpus, f"ray:{cluster.address}", tmp_path / "run"), tmp_path / "run"
    status, _, _ = stop_when(arguments, 300, signal.SIGKILL, out)
    assert status == -signal.SIGKILL
    before = journal_rows(out)
    assert 300 <= len(before) < PAGES
    subprocess.run(arguments, check=True, capture_output=True)
    assert journal_rows(out)[: len(before)] == before
    assert_same(ExtractResult(out, {}, ()), local)


@pytest.mark.slow
def test_ray_started_here_listens_on_this_machine_alone_and_ends_with_a_run_asked_to_stop(
    corpus, local, tmp_path, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray writes a token there
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    arguments, out = command(corpus, "ray", tmp_path / "run"), tmp_path / "run"
    status, seconds, printed = stop_when(arguments, 200, signal.SIGTERM, out)
    assert (status, seconds < 5) == (3, True)
    assert json.loads((out / "summary.json").read_text())["stop_reason"] == "interrupted"
    ours = ("connecting to ray", "starting workers: ray", "waiting for the ray cluster", str(tmp_path))
    assert not [line for line in printed.lower().splitlines() if "ray" in line and not any(own in line for own in ours)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert "raylet" not in done.stderr
    assert_same(ExtractResult(out, {}, ()), local)


# Refused before anything is begun


def test_executors_that_are_not_known_are_refused(corpus, tmp_path):
    for name in ("rya", "ray:", "ray:here", "ray:host:port", "ray:ray://host", "ray:host:99999", "local:2"):
        with pytest.raises(SettingsError, match=r"executor .* is not known"):
            bonanza.extract(**corpus, out=tmp_path / "run", executor=name)
    for name in ("local", "ray", "ray:auto", "ray:10.0.0.1:6379", "ray:ray://head:10001", "ray:[::1]:6379"):
        check_executor(name)


def test_an_address_where_nobody_listens_ends_with_status_3_and_says_so(bonanza, corpus, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ended = bonanza(*command(corpus, f"ray:{address}", tmp_path / "run")[3:])
    assert ended.status == 3
    assert f"--executor ray:{address}: no Ray cluster answers there" in ended.err
    assert "Connection refused" in ended.err


def test_without_ray_the_install_line_is_named(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bonanza\[ray\]'"):
        bonanza.extract(**corpus, out=tmp_path / "run", executor="ray")


def test_an_extractor_of_the_callers_own_is_refused(corpus, tmp_path):
    from bonanza.extractors.rules import RulesExtractor

    with pytest.raises(SettingsError, match="object of Python code"):
        bonanza.extract(**corpus | {"llm": RulesExtractor()}, out=tmp_path / "run", executor="ray")


def test_answers_of_a_journal_are_looked_up_here(corpus, local, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "connected", lambda executor: contextlib.nullcontext())
    monkeypatch.setattr(build, "RayExecutor", lambda *given: pytest.fail("workers were asked"))
    given = corpus | {"llm": f"recorded:journal={local.folder}"}
    result = bonanza.extract(**given, out=tmp_path / "run", executor="ray")
    assert result.summary["documents_read"] == PAGES


def test_a_plan_calls_no_cluster(bonanza, corpus, tmp_path):
    ended = bonanza(*command(corpus, "ray:127.0.0.1:1", tmp_path / "run")[3:], "--dry-run")
    assert ended.status == 0
    assert not (tmp_path / "run").exists()
