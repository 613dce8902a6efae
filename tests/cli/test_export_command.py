"""Facts about `bonanza export`: what it prints and writes; one clear line and an exit status for what goes wrong."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bonanza as package
from bonanza import exporting


@pytest.fixture(scope="module")
def finished(small_corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    return package.extract(**small_corpus.arguments(budget="80docs", llm="recorded"), policy="random", out=out).folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A run of one's own."""
    return shutil.copytree(finished, tmp_path / "run")


def listed(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in listed(folder)}


def test_several_formats_are_written_and_counted(bonanza, run, tmp_path):
    out = tmp_path / "out"
    formats = ["--format", "alpaca", "--format", "messages", "--format", "dataset"]
    outcome = bonanza("export", run, "--out", out, "--validation", "20%", *formats)
    assert (outcome.status, outcome.err) == (0, "")
    content = json.loads((out / "export.json").read_text())
    sets, summary = content["sets"], json.loads((run / "summary.json").read_text())
    assert sum(held["pairs"] for held in sets.values()) == summary["pairs_kept"]
    lines = outcome.out.splitlines()
    assert lines[:2] == [
        f"{name:<10}  {held['pairs']:,} pairs of {held['documents']:,} documents" for name, held in sets.items()
    ]
    assert lines[2].startswith("licences    unknown (")
    assert lines[2].endswith("Find the unknown out, and give it with --licence")
    assert lines[3].startswith(f"written     {out}: README.md, alpaca/train.jsonl, alpaca/validation.jsonl, dataset/")
    assert listed(out) == {*content["files"], "export.json"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_messages_without_validation_are_the_training_file_with_evidence(bonanza, run, tmp_path):
    outcome = bonanza("export", run, "--out", tmp_path / "out", "--validation", "0")
    assert outcome.status == 0
    ours, theirs = (
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in (tmp_path / "out/messages/train.jsonl", run / "train.jsonl")
    )
    assert [row["messages"] for row in ours] == [row["messages"] for row in theirs]
    for row, other in zip(ours, theirs, strict=True):
        assert row["metadata"].items() >= (other["metadata"] | {"flags": ", ".join(other["metadata"]["flags"])}).items()
    assert not (tmp_path / "out/messages/validation.jsonl").exists()
    guide = (tmp_path / "out/README.md").read_text()
    assert "validation.jsonl" not in guide
    assert "eval_dataset" not in guide


def test_the_same_export_again_is_the_same_to_the_byte(bonanza, run, tmp_path):
    settings = ["--validation", "20%", "--format", "sharegpt", "--format", "parquet"]
    for name in ("one", "two", "two"):
        assert bonanza("export", run, "--out", tmp_path / name, *settings).status == 0
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    assert bonanza("export", run, "--out", tmp_path / "two", *settings, "--seed", 1).status == 0
    assert bytes_of(tmp_path / "one") != bytes_of(tmp_path / "two")


def test_an_earlier_export_is_replaced_whole(bonanza, run, tmp_path):
    out = tmp_path / "out"
    bonanza("export", run, "--out", out, "--validation", "20%", "--format", "alpaca")
    assert bonanza("export", run, "--out", out, "--validation", "0", "--format", "sharegpt").status == 0
    assert listed(out) == {"README.md", "dataset_info.json", "export.json", "sharegpt/train.jsonl"}


def test_an_export_that_fails_leaves_the_earlier_one_as_it_was(bonanza, run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    bonanza("export", run, "--out", out, "--validation", "20%")
    before = bytes_of(out)

    def full(*_: Any) -> str:
        raise OSError(28, "No space left on device", "guide")

    monkeypatch.setattr(exporting, "guide", full)
    outcome = bonanza("export", run, "--out", out, "--validation", "20%", "--seed", 3)
    assert outcome.status == 3
    assert bytes_of(out) == before
    assert {path.name for path in tmp_path.iterdir()} == {"run", "out"}


def test_a_folder_with_anything_else_is_refused_and_left(bonanza, run, tmp_path):
    out = tmp_path / "out"
    bonanza("export", run, "--out", out, "--validation", "20%")
    (out / "notes.txt").write_text("mine")
    for folder, foreign in ((out, "notes.txt"), (run, "documents.parquet")):
        before = bytes_of(folder)
        outcome = bonanza("export", run, "--out", folder, "--validation", "20%")
        assert outcome.status == 2
        assert "which no export wrote. Choose a new folder with --out." in outcome.err
        assert foreign in outcome.err or folder == run
        assert bytes_of(folder) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "csv"], "--format 'csv' is not known. There are: messages, alpaca, sharegpt, prompt-completion"),
        (["--validation", "0.05"], "--validation '0.05' is not understood. Write \"5%\", below 100%; or 0 for none."),
        (["--validation", "0.001%"], "none would be in the validation set. Give another share or --seed"),
        (["--validation", "99.999%"], "none would be in the train set."),
        (["--licence", "MIT"], "--licence stands on the card of a dataset folder. Add --format dataset"),
    ],
)
def test_wrong_use_is_one_clear_line(bonanza, run, tmp_path, options, said):
    outcome = bonanza("export", run, "--out", tmp_path / "out", *options)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("bonanza: ")
    assert said in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def damage(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(b"\xff: [")


def without_pairs(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"pairs_kept": 0}))


def of_another_run(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"pairs_kept": 7}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: (run / "summary.json").unlink(), "the run is not finished: no summary.json. Resume it"),
        (lambda run: (run / "pairs.parquet").unlink(), "the run is not finished: no pairs.parquet"),
        (shutil.rmtree, "holds no summary.json. Name the --out folder of a run of `bonanza extract`."),
        (damage("pairs.parquet"), "its files are damaged"),
        (damage("settings.yaml"), "its files are damaged"),
        (lambda run: (run / "summary.json").write_text("{}"), "summary.json is not that of a run"),
        (without_pairs, "the run kept no pair, so there is nothing to export."),
        (of_another_run, "pairs.parquet and summary.json do not belong together. Resume its run first."),
    ],
)
def test_a_run_that_cannot_be_exported_is_refused(bonanza, run, tmp_path, change, said):
    change(run)
    outcome = bonanza("export", run, "--out", tmp_path / "out", "--validation", "20%")
    assert (outcome.status, outcome.out) == (2, "")
    assert said in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_run_in_progress_is_refused(bonanza, run, tmp_path):
    with (run / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = bonanza("export", run, "--out", tmp_path / "out", "--validation", "20%")
    assert outcome.status == 2
    assert "a run is writing to it. Wait for it" in outcome.err


def test_a_small_run_is_exported_without_validation_unless_it_is_asked_for(bonanza, small_corpus, tmp_path, cache):
    arguments = {"target": small_corpus.target, "budget": "5docs", "llm": "recorded", "policy": "nearest"}
    package.extract(small_corpus.path, **arguments, out=tmp_path / "small", cache=cache)
    outcome = bonanza("export", tmp_path / "small", "--out", tmp_path / "out")
    assert outcome.status == 0
    assert "validation  none: with so few documents a side would be empty" in outcome.out
    assert bonanza("export", tmp_path / "small", "--out", tmp_path / "out", "--validation", "1%").status == 2
