"""Facts about whole runs on real files: what a folder holds, that it is always the same, and that it can be resumed."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

import bonanza
from bonanza.errors import CorpusError, FolderError, MissingExtraError, SettingsError, TargetError
from bonanza.records import Document, Question
from bonanza.run import run
from bonanza.settings import settings_from
from commands import child

FILES = {
    "settings.yaml", "journal.sqlite", "pairs.parquet", "train.jsonl", "documents.parquet", "skipped.jsonl",
    "summary.json", "README.md", "map.parquet",
}  # fmt: skip
PAIR_COLUMNS = [
    "id", "question", "answer", "status", "reason", "document_id", "char_start", "char_end", "evidence", "round",
    "cluster", "scores", "input_tokens", "output_tokens", "flags"]  # fmt: skip
DOCUMENT_COLUMNS = {
    "document_id", "round", "status", "pairs", "input_tokens", "output_tokens", "cost_usd", "utility",
}  # fmt: skip
SUMMARY_KEYS = {
    "documents_total", "documents_read", "pairs_extracted", "pairs_kept", "tokens", "cost_usd", "budget", "stop_reason",
    "rounds", "policy", "llm", "embedder", "seed", "seconds", "transport_cost", "statuses",
}  # fmt: skip
STATUSES = {"ok", "empty", "unparsable", "refused", "truncated", "failed"}
STRAIGHT = ("random recorded", "nearest rules", "equal recorded", "equal rules", "adaptive rules")
SAME_BYTES = ("train.jsonl", "pairs.parquet", "documents.parquet", "skipped.jsonl", "settings.yaml", "README.md")


@pytest.fixture(scope="module")
def straight(small_corpus, tmp_path_factory) -> dict[str, Path]:
    """Uninterrupted runs: by policy and llm."""
    folders = {}
    for policy, llm in map(str.split, STRAIGHT):
        folder = tmp_path_factory.mktemp("straight") / "run"
        bonanza.extract(**small_corpus.arguments(budget="40k", llm=llm), policy=policy, out=folder)
        folders[f"{policy} {llm}"] = folder
    return folders


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def training_rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]


def rows(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def journal_rows(folder: Path) -> list[tuple[str, str]]:
    """What the journal holds, in the order in which it was paid for."""
    with contextlib.closing(sqlite3.connect(folder / "journal.sqlite")) as database:
        if not list(database.execute("select * from sqlite_master where name = 'readings'")):
            return []
        return list(database.execute("select document_id, reading from readings order by sequence"))


def assert_same(folder: Path, other: Path) -> None:
    """Every file is the same, byte for byte; of the summary all but the seconds, of the journal the readings."""
    for name in SAME_BYTES:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    ours, theirs = summary(folder), summary(other)
    assert {**ours, "seconds": None} == {**theirs, "seconds": None}
    assert journal_rows(folder) == journal_rows(other)


def test_the_folder_holds_what_the_contract_says(straight):
    for folder in straight.values():
        assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == FILES
        assert pq.read_schema(folder / "pairs.parquet").names == PAIR_COLUMNS
        assert set(pq.read_schema(folder / "documents.parquet").names) >= DOCUMENT_COLUMNS


def test_the_summary_says_what_the_tables_hold(straight, small_corpus):
    for name, folder in straight.items():
        policy, llm = name.split()
        found, pairs, documents = summary(folder), rows(folder / "pairs.parquet"), rows(folder / "documents.parquet")
        assert set(found) >= SUMMARY_KEYS
        assert found["documents_total"] == len(small_corpus.records)
        assert found["documents_read"] == len(documents) == len({row["document_id"] for row in documents})
        assert found["pairs_extracted"] == len(pairs) == sum(row["pairs"] for row in documents)
        assert found["pairs_kept"] == sum(row["status"] == "kept" for row in pairs) == len(training_rows(folder))
        assert found["statuses"] == Counter(row["status"] for row in documents)
        assert found["statuses"].keys() <= STATUSES
        assert found["tokens"]["input"] == sum(row["input_tokens"] for row in documents)
        assert found["tokens"]["output"] == sum(row["output_tokens"] for row in documents)
        assert found["tokens"]["total"] == found["tokens"]["input"] + found["tokens"]["output"]
        assert (found["tokens"]["warmup"] > 0) == (policy == "equal")
        spent = found["tokens"]["total"]
        assert found["budget"] == {"kind": "tokens", "limit": 40_000, "spent": spent, "left": 40_000 - spent}
        assert found["budget"]["spent"] <= 40_000
        assert (found["policy"], found["llm"], found["embedder"], found["seed"]) == (policy, llm, "static", 0)
        assert found["stop_reason"] == "budget spent"
        assert set(found["seconds"]) == {"embed", "choose", "read", "clean", "total"}
        assert set(found["transport_cost"]) == {"start", "end"}
        assert found["rounds"] >= max(row["round"] for row in documents)


def test_tokens_of_pairs_add_up_to_those_of_their_documents(straight):
    for folder in straight.values():
        shares: dict[str, Counter[str]] = {}
        for row in rows(folder / "pairs.parquet"):
            share = {name: row[name] for name in ("input_tokens", "output_tokens")}
            shares.setdefault(row["document_id"], Counter()).update(share)
        with_pairs = [row for row in rows(folder / "documents.parquet") if row["pairs"]]
        assert shares == {
            row["document_id"]: {"input_tokens": row["input_tokens"], "output_tokens": row["output_tokens"]}
            for row in with_pairs
        }


def test_training_rows_are_the_kept_pairs_as_messages(straight):
    for folder in straight.values():
        kept = [row for row in rows(folder / "pairs.parquet") if row["status"] == "kept"]
        for line, pair in zip(training_rows(folder), kept, strict=True):
            assert line["messages"] == [
                {"role": "user", "content": pair["question"]},
                {"role": "assistant", "content": pair["answer"]},
            ]
            assert line["metadata"]["id"] == pair["id"]
            assert line["metadata"]["document_id"] == pair["document_id"]
            assert line["metadata"]["scores"] == pair["scores"]


def test_evidence_stands_where_the_pair_says(straight, small_corpus):
    texts = {record["id"]: record["text"] for record in small_corpus.records}
    for folder in straight.values():
        for row in rows(folder / "pairs.parquet"):
            assert texts[row["document_id"]][row["char_start"] : row["char_end"]] == row["evidence"] != ""


def test_what_is_not_kept_says_why(straight):
    seen = Counter()
    for folder in straight.values():
        pairs = rows(folder / "pairs.parquet")
        ids = {row["id"] for row in pairs if row["status"] == "kept"}
        for row in pairs:
            seen[row["status"]] += 1
            assert (row["reason"] == "") == (row["status"] == "kept")
            if row["status"] == "duplicate":
                assert row["reason"].removeprefix("same as ") in ids
    assert seen["duplicate"] > 0 < seen["kept"]


def test_every_record_left_out_is_listed_and_counted(straight):
    for folder in straight.values():
        listed = [json.loads(line) for line in (folder / "skipped.jsonl").read_text().splitlines()]
        assert sum(summary(folder)["left_out"].values()) == len(listed) > 0
        assert all(row["origin"] and row["reason"] for row in listed)


@pytest.mark.parametrize("name", STRAIGHT)
def test_the_same_seed_gives_the_same_bytes(straight, small_corpus, tmp_path, name):
    policy, llm = name.split()
    arguments = small_corpus.arguments(budget="40k", llm=llm)
    bonanza.extract(**arguments, policy=policy, out=tmp_path / "run", cache=tmp_path / "another cache")
    assert_same(tmp_path / "run", straight[name])


def test_another_seed_reads_other_documents(straight, small_corpus, tmp_path):
    other = bonanza.extract(
        **small_corpus.arguments(budget="40k", llm="recorded"), policy="random", seed=1, out=tmp_path
    )
    ours = {row["document_id"] for row in rows(straight["random recorded"] / "documents.parquet")}
    assert ours != {row["document_id"] for row in rows(other.folder / "documents.parquet")}


def test_running_again_when_finished_changes_nothing(straight, small_corpus):
    for name, folder in straight.items():
        policy, llm = name.split()
        before = {path: (folder / path).read_bytes() for path in SAME_BYTES}
        figures, journal = summary(folder), journal_rows(folder)
        again = bonanza.extract(**small_corpus.arguments(budget="40k", llm=llm), policy=policy, out=folder)
        assert {path: (folder / path).read_bytes() for path in SAME_BYTES} == before
        assert {**again.summary, "seconds": None} == {**figures, "seconds": None}
        assert journal_rows(folder) == journal


@pytest.mark.parametrize("name", ["random recorded", "equal recorded", "equal rules", "adaptive rules"])
def test_stopping_between_any_two_readings_and_resuming_changes_nothing(straight, small_corpus, tmp_path, name):
    policy, llm = name.split()
    settings = settings_from(
        {"corpus": (str(small_corpus.path),), "target": str(small_corpus.target), "budget": "40k", "llm": llm,
         "policy": policy}, "test",
    )  # fmt: skip
    random = Random(name)
    for _ in range(3):
        asked = iter(range(random.randint(1, 12)))
        stopped = run(settings, tmp_path, stopping=lambda asked=asked: next(asked, None) is None)
        assert stopped.summary["stop_reason"] == "interrupted"
        assert stopped.ended_early
        assert len(training_rows(tmp_path)) == len(stopped.pairs) == stopped.summary["pairs_kept"]
    finished = run(settings, tmp_path)
    assert not finished.ended_early
    assert_same(tmp_path, straight[name])


# Runs of the command in another process, stopped by signals


def command(small_corpus, name: str, out: Path) -> list[str]:
    policy, llm = name.split()
    return [
        sys.executable, "-c", "from bonanza.cli import main; main()", "extract", str(small_corpus.path),
        "--target", str(small_corpus.target), "--budget", "40k", "--llm", llm, "--policy", policy, "--out", str(out),
    ]  # fmt: skip


def stop_when(arguments: list[str], journal: Path, size: int, how: signal.Signals) -> tuple[int, float]:
    """Send a signal as soon as the journal has grown to that many bytes; return exit status and seconds until then."""
    written = journal.with_name(journal.name + "-wal")
    with child(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (written.exists() and written.stat().st_size >= size):
            time.sleep(0.0002)
        process.send_signal(how)
        sent = time.monotonic()
        return process.wait(), time.monotonic() - sent


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random recorded", "equal rules", "adaptive rules"])
def test_a_run_killed_at_random_moments_and_run_again_is_as_if_it_never_was(straight, small_corpus, tmp_path, name):
    random, out, before = Random(name), tmp_path / "run", []
    for size in (1, random.randrange(60_000, 200_000), random.randrange(200_000, 400_000)):
        status, _ = stop_when(command(small_corpus, name, out), out / "journal.sqlite", size, signal.SIGKILL)
        assert status in (-signal.SIGKILL, 0)  # 0: it was done before the signal came
        paid = journal_rows(out)
        assert paid[: len(before)] == before  # nothing paid for is lost, or paid for again
        before = paid
    subprocess.run(command(small_corpus, name, out), check=True, capture_output=True)
    assert journal_rows(out)[: len(before)] == before
    assert len(journal_rows(out)) == summary(out)["documents_read"]
    assert_same(out, straight[name])


@pytest.mark.slow
def test_a_run_asked_to_stop_ends_within_five_seconds_and_can_be_resumed(straight, small_corpus, tmp_path):
    for attempt in range(5):
        out = tmp_path / str(attempt)
        status, seconds = stop_when(
            command(small_corpus, "equal recorded", out), out / "journal.sqlite", 120_000, signal.SIGTERM
        )
        if status != 0 and summary(out)["documents_read"]:  # 0: it was done before the signal came
            break
    assert status == 3
    assert seconds < 5
    assert summary(out)["stop_reason"] == "interrupted"
    assert 0 < summary(out)["documents_read"] < summary(straight["equal recorded"])["documents_read"]
    subprocess.run(command(small_corpus, "equal recorded", out), check=True, capture_output=True)
    assert_same(out, straight["equal recorded"])


# Folders


def copied(straight: dict[str, Path], to: Path) -> Path:
    """A folder of a finished run, without its lock."""
    to.mkdir()
    for path in straight["random recorded"].iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_settings_of_a_folder_are_those_of_its_run(straight, small_corpus):
    values = yaml.safe_load((straight["equal rules"] / "settings.yaml").read_text())
    assert values["corpus"] == [str(small_corpus.path)]
    assert (values["budget"], values["policy"], values["equal"]["variant"]) == ("40k", "equal", "paper")
    again = run(settings_from(values, "settings.yaml"), straight["equal rules"])  # resumes it
    assert again.summary["stop_reason"] == "budget spent"


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"seed": 7}, "Here settings.seed: 7, there 0. Use those settings"),
        ({"budget": "50k"}, "Here settings.budget: '50k', there '40k'"),
        ({"policy": "equal"}, "Here settings.policy: 'equal', there 'random'"),
        ({"equal": {"clusters": 3}}, "Here settings.equal.clusters: 3, there None"),
        ({"llm": "rules", "seed": 2}, "Here settings.llm: 'rules', there 'recorded'; settings.seed: 2, there 0"),
    ],
)
def test_a_folder_of_other_settings_is_refused_and_shows_the_difference(
    straight, small_corpus, tmp_path, changed, difference
):
    folder = copied(straight, tmp_path / "run")
    before = content(folder)
    arguments = {**small_corpus.arguments(budget="40k", llm="recorded"), "policy": "random", **changed}
    with pytest.raises(FolderError) as error:
        bonanza.extract(**arguments, out=folder)
    assert str(error.value).startswith(f"{folder}: belongs to a run with other settings. ")
    assert difference in str(error.value)
    assert content(folder).keys() - {"journal.sqlite-wal", "journal.sqlite-shm"} == before.keys()
    assert {name: data for name, data in content(folder).items() if name in before} == before


def test_a_corpus_or_target_that_changed_under_its_name_is_refused(small_corpus, tmp_path):
    corpus, target, out = tmp_path / "pages.jsonl", tmp_path / "target.jsonl", tmp_path / "run"
    corpus.write_bytes(small_corpus.path.read_bytes())
    target.write_bytes(small_corpus.target.read_bytes())
    arguments = {"corpus": corpus, "target": target, "budget": "5docs", "llm": "recorded", "policy": "random"}
    bonanza.extract(**arguments, out=out)
    corpus.write_text(corpus.read_text().replace("northern", "southern"))
    with pytest.raises(FolderError, match=r"belongs to a run with other settings. Here corpus: '\w+', there '\w+'"):
        bonanza.extract(**arguments, out=out)
    corpus.write_bytes(small_corpus.path.read_bytes())
    target.write_text(target.read_text().replace("northern", "southern"))
    with pytest.raises(FolderError, match=r"belongs to a run with other settings. Here target: '\w+', there '\w+'"):
        bonanza.extract(**arguments, out=out)


def test_a_folder_that_holds_something_else_is_refused_untouched(small_corpus, tmp_path):
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(FolderError, match=r"is not empty and holds no run of bonanza\. Choose a new folder with --out"):
        bonanza.extract(**small_corpus.arguments(budget="5docs", llm="rules"), out=tmp_path)
    assert content(tmp_path) == {"thesis.tex": b"ten years of work"}


def test_a_file_in_place_of_the_folder_is_refused(small_corpus, tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(FolderError, match=r"run: is a file\. Choose a folder with --out"):
        bonanza.extract(**small_corpus.arguments(budget="5docs", llm="rules"), out=tmp_path / "run")


@pytest.mark.parametrize("name", ["seed", "limit", "round_size", "patience"])
def test_numbers_that_cannot_be_are_refused(small_corpus, tmp_path, name):
    with pytest.raises(SettingsError, match=f"setting '{name}' is -1: input should be greater than or equal to [01]"):
        bonanza.extract(**small_corpus.arguments(budget="5docs", llm="rules"), out=tmp_path / "run", **{name: -1})
    assert not (tmp_path / "run").exists()


# Budgets and policies


@pytest.mark.parametrize(
    ("budget", "kind", "limit"), [("12%", "documents", 24), ("7docs", "documents", 7), ("$0.02", "dollars", 0.02)]
)
def test_every_kind_of_budget_holds(small_corpus, tmp_path, budget, kind, limit):
    prices = {"input": 1.0, "output": 4.0}
    arguments = small_corpus.arguments(budget=budget, llm="recorded")
    found = bonanza.extract(**arguments, policy="nearest", prices=prices, out=tmp_path).summary
    tokens = found["tokens"]
    assert found["cost_usd"] == pytest.approx((tokens["input"] + 4 * tokens["output"]) / 1e6)
    assert (found["budget"]["kind"], found["budget"]["limit"]) == (kind, limit)
    assert found["budget"]["spent"] == pytest.approx(
        found["cost_usd"] if kind == "dollars" else found["documents_read"]
    )
    assert found["budget"]["spent"] <= limit
    assert found["stop_reason"] == "budget spent"


def test_a_budget_for_everything_reads_everything(small_corpus, tmp_path):
    found = bonanza.extract(**small_corpus.arguments(budget="1m", llm="rules"), policy="equal", out=tmp_path).summary
    assert (found["documents_read"], found["stop_reason"]) == (200, "all documents read")


def test_a_budget_too_small_for_one_document_ends_early_with_valid_files(small_corpus, tmp_path):
    result = bonanza.extract(**small_corpus.arguments(budget="10", llm="recorded"), out=tmp_path)
    assert result.ended_early
    assert result.summary["stop_reason"] == "budget too small"
    assert result.summary["transport_cost"] == {"start": None, "end": None}
    assert rows(tmp_path / "pairs.parquet") == rows(tmp_path / "documents.parquet") == training_rows(tmp_path) == []
    assert list(result.to_dataset()) == []


def test_nearest_reads_what_the_target_is_about(straight):
    pairs = training_rows(straight["nearest rules"])
    assert sum("lake" in row["messages"][0]["content"] for row in pairs) > 0.9 * len(pairs)


def test_nearest_reads_the_same_documents_in_whatever_order_the_corpus_lists_them(small_corpus, tmp_path):
    chosen = []
    for seed in range(2):
        lines = small_corpus.path.read_text().splitlines()
        Random(seed).shuffle(lines)
        (tmp_path / f"{seed}.jsonl").write_text("\n".join(lines))
        arguments = {**small_corpus.arguments(budget="30docs", llm="recorded"), "corpus": tmp_path / f"{seed}.jsonl"}
        bonanza.extract(**arguments, policy="nearest", out=tmp_path / str(seed))
        chosen.append({row["document_id"] for row in rows(tmp_path / str(seed) / "documents.parquet")})
    assert chosen[0] == chosen[1]


# From Python


def deep(number: int) -> Document:
    pair = Question(f"How deep is lake {number}?", "Deep.")
    return Document(f"page {number}", f"Page {number} tells how deep lake {number} is.", "", (pair,))


DOCUMENTS = [deep(number) for number in range(40)]
TUPLES = [(f"How long is river {number}?", f"{number} kilometres.") for number in range(5)]


def test_documents_and_pairs_may_be_in_memory(tmp_path):
    result = bonanza.extract(DOCUMENTS, TUPLES, budget="10docs", llm="recorded", policy="random", out=tmp_path / "run")
    assert result.summary["documents_read"] == 10
    assert len(result.pairs) == 10
    assert {pair.answer for pair in result.pairs} == {"Deep."}
    frame = result.to_pandas()
    assert list(frame.columns) == PAIR_COLUMNS
    assert list(frame[frame.status == "kept"].question) == [pair.question for pair in result.pairs]
    dataset = result.to_dataset()
    assert [row["messages"][0]["content"] for row in dataset] == [pair.question for pair in result.pairs]
    assert dataset[0]["metadata"]["document_id"] == result.pairs[0].document_id
    with pytest.raises(FolderError, match="Here corpus: "):
        bonanza.extract(DOCUMENTS[1:], TUPLES, budget="10docs", llm="recorded", policy="random", out=tmp_path / "run")


def test_the_limit_holds_for_documents_in_memory(tmp_path):
    result = bonanza.extract(DOCUMENTS, TUPLES, budget="1m", llm="recorded", policy="random", limit=7, out=tmp_path)
    assert result.summary["documents_total"] == 7


def test_nothing_in_memory_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="No corpus was named"):
        bonanza.extract([], TUPLES, budget="1m", llm="recorded", out=tmp_path / "a")
    with pytest.raises(TargetError, match="memory: no pair with an answer"):
        bonanza.extract(DOCUMENTS, [], budget="1m", llm="recorded", out=tmp_path / "b")
    with pytest.raises(SettingsError, match=r"there is no setting 'polcy'\. Settings: .*policy"):
        bonanza.extract(DOCUMENTS, TUPLES, budget="1m", llm="recorded", out=tmp_path / "c", polcy="random")


def test_a_missing_package_names_the_install_line(straight, monkeypatch):
    result = bonanza.ExtractResult(straight["random recorded"], {}, ())
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bonanza\[hf\]'"):
        result.to_dataset()


def modules_after(code: str) -> set[str]:
    """The packages that a fresh interpreter has imported after running some code."""
    asking = f"{code}\nimport sys\nprint('modules:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.rpartition("modules:")[2].split()}


def test_importing_bonanza_imports_nothing_heavy():
    heavy = {"numpy", "scipy", "pyarrow", "pydantic", "typer", "rich", "torch", "faiss", "ot", "sklearn", "yaml"}
    assert not heavy & modules_after("import bonanza")


HELP = """
from bonanza.cli import app
for command in ([], ["extract"], ["demo"]):
    try:
        app([*command, "--help"])
    except SystemExit as done:
        assert done.code == 0
"""


def test_help_answers_without_heavy_imports():
    assert not {"numpy", "torch", "ot", "faiss", "sklearn", "pyarrow", "transformers"} & modules_after(HELP)
