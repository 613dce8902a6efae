"""Facts about `bonanza extract`: what it prints, and one clear line and an exit status for whatever goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands import Outcome


@pytest.fixture
def basics(small_corpus, tmp_path) -> dict[str, Any]:
    """Options of a run that goes well."""
    return {
        "corpus": small_corpus.path, "--target": small_corpus.target, "--budget": "20docs", "--llm": "recorded",
        "--policy": "random", "--out": tmp_path / "run",
    }  # fmt: skip


def line_of(options: dict[str, Any], *more: Any) -> list[Any]:
    """The options as a command line; None leaves one out."""
    given = [(name, value) for name, value in options.items() if value is not None]
    return [
        "extract",
        *(part for name, value in given for part in ([value] if name == "corpus" else [name, value])),
        *more,
    ]


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def page(number: int) -> dict[str, Any]:
    pair = {"question": f"How deep is lake {number}?", "answer": f"Lake {number} is {number} metres deep."}
    return {"id": f"page-{number}", "text": f"Q: {pair['question']}\nA: {pair['answer']}", "qa_pairs": [pair]}


def summary(options: dict[str, Any]) -> dict[str, Any]:
    return json.loads((options["--out"] / "summary.json").read_text())


def assert_refused(outcome: Outcome, *said: str) -> None:
    """Exit status 2, and after what happened before one line that says what, where, and what to do."""
    assert outcome.status == 2
    *before, line = outcome.err.splitlines()
    assert set(before) <= {"reading the corpus", "embedding the corpus"}
    assert line.startswith("bonanza: ")
    for part in said:
        assert part in line
    assert outcome.out == ""


def test_a_run_that_goes_well_says_what_it_did(bonanza, basics):
    outcome = bonanza(*line_of(basics))
    assert outcome.status == 0
    assert outcome.out.startswith("budget spent: 20 of 20 documents\nread      20 of 200 documents  (")
    *_, trained, report = outcome.out.splitlines()
    assert trained == f"written   {basics['--out'] / 'train.jsonl'}"
    assert Path(report.strip()).stat().st_size < 3_000_000
    assert outcome.err.startswith("reading the corpus\nembedding the corpus\n")


def test_quiet_prints_nothing(bonanza, basics):
    assert bonanza(*line_of(basics, "--quiet")) == Outcome(0, "", "")


def test_nothing_is_printed_as_markup(bonanza, basics, small_corpus, tmp_path):
    basics["--out"] = tmp_path / "[red]run[/red]"
    assert "[red]run[/red]" in bonanza(*line_of(basics)).out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--target": None}, ["setting 'target' is missing"]),
        ({"--budget": None, "--llm": None}, ["setting 'budget' is missing", "setting 'llm' is missing"]),
        ({"--out": None}, ["--out is missing: name a folder for the results."]),
        ({"corpus": None}, ["setting 'corpus' is missing"]),
        ({"corpus": "no/such/pages.jsonl"}, ["no/such/pages.jsonl: there is no such file or folder", "Check the path"]),
        ({"--target": "no/such.jsonl"}, ["no/such.jsonl: there is no such file. Check the path"]),
        ({"--target": "README.md"}, ["not a type of file that can hold pairs. Give jsonl"]),
        ({"--budget": "a lot"}, ["budget 'a lot' is not understood. Write \"200k\" (tokens)"]),
        ({"--budget": "$5"}, ["Give --input-price and --output-price", "or a budget in tokens"]),
        ({"--budget": "0.1%"}, ["budget '0.1%' is less than one document (the corpus has 200)"]),
        ({"--policy": "best"}, ["policy 'best' is not known. There are: adaptive, equal, nearest, ", "tsds"]),
        ({"--llm": "oracle"}, ["llm 'oracle' is not known. There are: openai:MODEL, local, rules, recorded[:COLUMN]"]),
        ({"--llm": "recorded:nope"}, ["no recorded pairs", "'nope'", "--llm recorded:"]),
        ({"--embedder": "no/such-model"}, ["embedder 'no/such-model'", "Give 'static'"]),
        ({"--seed": "-1"}, ["setting 'seed' is -1: input should be greater than or equal to 0"]),
        ({"--limit": "0"}, ["setting 'limit' is 0: input should be greater than or equal to 1"]),
        ({"--input-price": "-1"}, ["setting 'prices.input' is -1.0: input should be greater than or equal to 0"]),
        ({"--text-field": "body"}, ["pages.jsonl", "no text", "'body'", "--text-field"]),
        ({"--set": "equal.cluster=3"}, ["there is no setting 'cluster'. Settings: ", "clusters"]),
        ({"--set": "equal.clusters=many"}, ["setting 'equal.clusters' is 'many'"]),
        ({"--set": "equal.variant=none"}, ["setting 'equal.variant' is 'none'", "'paper' or 'code'"]),
        ({"--set": "seed"}, ["--set 'seed': write NAME=VALUE, e.g. --set equal.clusters=100."]),
        ({"--set": "seed=["}, ["--set 'seed=[': write NAME=VALUE"]),
        ({"--set": "=5"}, ["--set '=5': write NAME=VALUE"]),
        ({"--set": "seed.low=5", "--seed": "1"}, ["setting 'seed' is 1: it must hold settings, one of them"]),
        ({"--config": "no/such.yaml"}, ["no/such.yaml: cannot be read (No such file or directory). Check the path"]),
    ],
)  # fmt: skip
def test_wrong_use_is_one_clear_line(bonanza, basics, changed, said):
    assert_refused(bonanza(*line_of({**basics, **changed})), *said)


@pytest.mark.parametrize("options", [["--nope"], ["--seed", "x"], ["--limit", "1.5"]])
def test_an_option_that_cannot_be_is_shown_with_the_usage(bonanza, basics, options):
    outcome = bonanza(*line_of(basics, *options))
    assert outcome.status == 2
    assert outcome.err.startswith("Usage: ")
    assert options[0] in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("below", ["a-file/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_refused(bonanza, basics, tmp_path, below):
    (tmp_path / "a-file").write_text("a file")
    basics["--out"] = tmp_path / below
    assert_refused(bonanza(*line_of(basics)), f"{tmp_path / below}: cannot be written (", "Choose another folder")


def test_a_cache_that_cannot_be_written_is_refused(bonanza, basics, tmp_path):
    (tmp_path / "a-file").write_text("a file")
    refused = bonanza(*line_of(basics, "--cache", tmp_path / "a-file" / "cache"))
    assert_refused(refused, "a-file/cache: the corpus cannot be stored here", "name another cache folder")


def test_a_folder_of_other_settings_is_refused_with_the_difference(bonanza, basics):
    bonanza(*line_of(basics))
    refused = bonanza(*line_of({**basics, "--budget": "30docs"}))
    assert_refused(refused, "belongs to a run with other settings", "budget: '30docs', there '20docs'", "--out")


def test_a_folder_in_use_is_refused(bonanza, basics):
    from bonanza.journal import Journal

    with Journal(basics["--out"]):
        assert_refused(bonanza(*line_of(basics)), "another run is writing to it. Wait for it")


def test_a_corpus_without_a_document_is_refused(bonanza, basics, tmp_path):
    basics["corpus"] = jsonl(tmp_path / "empty.jsonl")
    assert_refused(bonanza(*line_of(basics)), "The corpus holds no record. Name files that hold documents.")


def test_a_folder_without_files_is_refused(bonanza, basics, tmp_path):
    (tmp_path / "nothing").mkdir()
    basics["corpus"] = tmp_path / "nothing"
    assert_refused(bonanza(*line_of(basics)), "nothing: the folder holds nothing. Put there, or name, files")


def test_broken_records_are_counted_and_listed_and_the_run_goes_on(bonanza, basics, tmp_path):
    rows = [
        *map(page, range(5)),
        '{"id": "page-5", "text": "cut of',
        {"id": "page-6", "body": "no text"},
        page(7),
        page(8),
    ]
    basics |= {"corpus": jsonl(tmp_path / "pages.jsonl", *rows), "--budget": "100%"}
    outcome = bonanza(*line_of(basics))
    assert outcome.status == 0
    assert summary(basics)["documents_read"] == 7
    assert summary(basics)["left_out"] == {"corpus: broken line": 1, "corpus: no text field": 1}
    listed = [json.loads(line) for line in (basics["--out"] / "skipped.jsonl").read_text().splitlines()]
    assert [(Path(row["origin"]).name, row["reason"]) for row in listed] == [
        ("pages.jsonl, line 6", "broken line"),
        ("pages.jsonl, line 7", "no text field"),
    ]
    assert "left out  corpus: broken line 1, corpus: no text field 1; listed in" in outcome.out


def test_a_target_without_answers_is_refused(bonanza, basics, tmp_path):
    basics["--target"] = jsonl(tmp_path / "target.jsonl", {"question": "Why?", "answer": ""}, {"question": "How?"})
    assert_refused(
        bonanza(*line_of(basics)), "target.jsonl: no pair with an answer", "Understood are: question + answer"
    )


@pytest.mark.parametrize("policy", ["equal", "nearest", "random"])
def test_a_target_of_three_examples_and_fewer_documents_than_clusters_work(bonanza, basics, tmp_path, policy):
    target = [{"instruction": f"How long is river {n}?", "output": f"{n} km"} for n in range(3)]
    basics |= {
        "corpus": jsonl(tmp_path / "pages.jsonl", *map(page, range(6))), "--policy": policy, "--budget": "100%",
        "--target": jsonl(tmp_path / "target.jsonl", *target), "--set": "equal.clusters=50",
    }  # fmt: skip
    assert bonanza(*line_of(basics)).status == 0
    assert summary(basics)["documents_read"] == 6


def test_a_corpus_of_one_document_works(bonanza, basics, tmp_path):
    basics |= {"corpus": jsonl(tmp_path / "pages.jsonl", page(1)), "--policy": "equal", "--budget": "10k"}
    assert bonanza(*line_of(basics)).status == 0
    assert summary(basics)["pairs_kept"] == 1


@pytest.mark.parametrize("more", [[], ["--quiet"]])
def test_a_budget_too_small_for_one_document_ends_early_in_one_line(bonanza, basics, more):
    outcome = bonanza(*line_of({**basics, "--budget": "10"}, *more))
    assert outcome.status == 3
    assert outcome.err.splitlines()[-1] == (
        f"bonanza: {basics['--out']}: ended early: none of the documents chosen fits the budget; skipped.jsonl says "
        "what each may take. Give a larger --budget and a new --out."
    )
    first = json.loads((basics["--out"] / "skipped.jsonl").read_text().splitlines()[0])
    assert first["reason"] == "over what was left of the budget"
    assert first["detail"].endswith("tokens, more than was left")


def test_a_corpus_without_pairs_ends_early_in_one_line(bonanza, basics, tmp_path):
    rows = [{**page(n), "qa_pairs": []} for n in range(30)]
    basics |= {"corpus": jsonl(tmp_path / "pages.jsonl", *rows), "--set": "patience=10", "--budget": "1m"}
    outcome = bonanza(*line_of(basics))
    assert outcome.status == 3
    assert "ended early: the last documents gave no pair that was kept" in outcome.err.splitlines()[-1]
    assert outcome.out.startswith("no more pairs: ")


# Configuration files


def config(path: Path, **values: Any) -> Path:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_set_beats_options_and_options_beat_the_config_file(bonanza, basics, tmp_path):
    file = config(tmp_path / "run.yaml", seed=1, budget="5docs", policy="equal", prices={"input": 1.0, "output": 2.0})
    basics["--budget"] = None
    assert bonanza(*line_of(basics, "--config", file, "--input-price", 3, "--seed", 2, "--set", "seed=4")).status == 0
    used = yaml.safe_load((basics["--out"] / "settings.yaml").read_text())
    assert (used["seed"], used["budget"], used["policy"]) == (4, "5docs", "random")
    assert used["prices"] == {"input": 3.0, "output": 2.0}


def test_a_config_file_may_say_everything(bonanza, small_corpus, tmp_path):
    values = {"corpus": str(small_corpus.path), "target": str(small_corpus.target), "budget": "5docs", "llm": "rules"}
    file = config(tmp_path / "run.yaml", **values, policy="nearest", nearest={"view": "max"}, equal=None)
    assert_refused(bonanza("extract", "--config", file, "--out", tmp_path / "run"), "run.yaml: setting 'equal' is None")
    file = config(tmp_path / "run.yaml", **values, policy="nearest", nearest={"view": "max"})
    assert bonanza("extract", "--config", file, "--out", tmp_path / "run").status == 0
    assert yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())["nearest"] == {"view": "max"}


def test_the_settings_of_a_run_are_a_config_file_that_resumes_it(bonanza, basics):
    assert bonanza(*line_of(basics)).status == 0
    again = bonanza("extract", "--config", basics["--out"] / "settings.yaml", "--out", basics["--out"])
    assert (again.status, summary(basics)["documents_read"]) == (0, 20)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"seed: [1", "not YAML ("),
        (b"seed: \xff\xfe", "not YAML ("),
        (b"- seed\n- budget", "must hold settings, one 'name: value' per line"),
        (b"", "must hold settings"),
        (b"1: 2", "must hold settings"),
        (b"sed: 1", "there is no setting 'sed'. Settings: "),
        (b"seed: soon", "setting 'seed' is 'soon'"),
        (b"prices: 3", "setting 'prices' is 3"),
        (b"!!python/object/apply:os.system ['true']", "not YAML ("),
    ],
)
def test_a_bad_config_file_is_one_clear_line(bonanza, basics, tmp_path, text, said):
    (tmp_path / "run.yaml").write_bytes(text)
    assert_refused(bonanza(*line_of(basics, "--config", tmp_path / "run.yaml")), f"{tmp_path / 'run.yaml'}: ", said)


# The real command


def outcome_of(*command: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], check=False, capture_output=True, text=True)


@pytest.mark.slow
def test_the_installed_command_keeps_to_the_exit_statuses(basics):
    command = Path(sys.executable).with_name("bonanza")
    wrong = outcome_of(command, *line_of({**basics, "--llm": "?"}))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    known = "openai:MODEL, local, rules, recorded[:COLUMN], recorded:journal=DIR"
    assert wrong.stderr == f"bonanza: llm '?' is not known. There are: {known}.\n"
    early = outcome_of(command, *line_of({**basics, "--budget": "1"}))
    assert early.returncode == 3
    version = outcome_of(command, "--version")
    assert (version.returncode, version.stdout.split()[0]) == (0, "bonanza")


def test_an_unforeseen_error_shows_a_plain_trace_without_values(basics):
    code = (
        "import sys, bonanza.run\n"
        "def broken(*_, **__):\n    secret = 'hunter2'\n    raise RuntimeError('unforeseen')\n"
        "bonanza.run.run = broken\n"
        "from bonanza.cli import main; main()"
    )
    failed = outcome_of(sys.executable, "-c", code, *line_of(basics))
    assert failed.returncode == 1
    assert "RuntimeError: unforeseen" in failed.stderr
    assert "hunter2" not in failed.stderr
