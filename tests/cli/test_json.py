"""Facts about `--json`: one JSON document on standard output and nothing else, however a command ends."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bonanza.cli.printed import finite, kept_free, print_json
from bonanza.training import TrainResult
from commands import Outcome


def told(outcome: Outcome, status: int = 0) -> dict[str, Any]:
    """The document; refuses what standard JSON does not know."""
    assert outcome.status == status, outcome.err
    return json.loads(outcome.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def extraction(small_corpus, tmp_path) -> list[Any]:
    """A run that goes well."""
    given = [small_corpus.path, "--target", small_corpus.target, "--llm", "recorded", "--out", tmp_path / "run"]
    return ["extract", *given, "--json", "--budget"]


def test_extract_prints_its_summary(bonanza, extraction, tmp_path):
    outcome = bonanza(*extraction, "20docs")
    assert told(outcome) == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert outcome.err.startswith("reading the corpus\n")


def test_quiet_leaves_the_document_alone(bonanza, extraction):
    outcome = bonanza(*extraction, "20docs", "--quiet")
    assert (told(outcome)["documents_read"], outcome.err) == (20, "")


def test_extract_that_ends_early_prints_it_too(bonanza, extraction):
    outcome = bonanza(*extraction, "10")
    assert told(outcome, status=3)["stop_reason"] == "budget too small"
    assert "ended early" in outcome.err.splitlines()[-1]


def test_wrong_use_prints_no_document(bonanza, extraction):
    outcome = bonanza(*extraction, "a lot")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1].startswith("bonanza: ")


def test_a_plan_is_printed(bonanza, extraction):
    plan = told(bonanza(*extraction, "20docs", "--dry-run"))
    assert (plan["documents"], plan["references"], plan["affordable"]) == (200, 30, 20)
    assert plan["budget"] == {"kind": "documents", "limit": 20}
    assert plan["tokens_per_document"]["input_tokens"] > 350


def test_estimate_prints_its_intervals(bonanza, small_corpus, tmp_path):
    given = ["--target", small_corpus.target, "--budget", "50%", "--llm", "rules", "--out", tmp_path / "pilot"]
    estimate = told(bonanza("estimate", small_corpus.path, *given, "--json"))
    assert estimate["documents"] == {"expected": 100, "low": 100, "high": 100}
    assert estimate["pilot"]["documents_read"] == 30
    assert set(estimate) == {"pilot", "documents", "pairs", "tokens", "cost_usd", "minutes"}


def test_select_prints_its_summary(bonanza, tmp_path):
    rows = [{"instruction": f"How deep is lake {n}?", "output": f"It is {n * n} metres deep."} for n in range(20)]
    data = jsonl(tmp_path / "data.jsonl", *rows)
    summary = told(
        bonanza("select", data, "--keep", "25%", "--method", "length", "--out", tmp_path / "out.jsonl", "--json")
    )
    assert (summary["samples"], summary["kept"], summary["method"]) == (20, 5, "length")


def test_compare_prints_means_in_place_of_rows(bonanza, small_corpus, tmp_path):
    given = ["--target", small_corpus.target, "--test", small_corpus.test, "--policies", "nearest", "--seeds", 2]
    given += ["--budgets", "20%", "--judges", "lexical", "--out", tmp_path / "run", "--json"]
    content = told(bonanza("compare", small_corpus.path, *given))
    written = json.loads((tmp_path / "run" / "compare.json").read_text())
    assert {key: value for key, value in written.items() if key != "rows"}.items() <= content.items()
    assert "rows" not in content
    nearest = next(row for row in content["summary"] if row["policy"] == "nearest")
    assert nearest["useful"] == next(row["useful"] for row in written["rows"] if row["policy"] == "nearest")


def test_train_and_evaluate_print_their_summaries(bonanza, tiny_models, tmp_path, cache):
    rows = [{"question": f"How deep is lake {n}?", "answer": f"It is {n} metres deep."} for n in range(4)]
    pairs = jsonl(tmp_path / "pairs.jsonl", *rows)
    line = ["train", pairs, "--model", f"hf:{tiny_models / 'llama'}", "--out", tmp_path / "tuned", "--json"]
    summary = told(bonanza(*line, "--epochs", 1))
    assert summary["finished"]
    assert summary["samples"]["trained_on"] == 4
    assert told(bonanza(*line, "--epochs", 1)) == summary
    line = ["evaluate", tmp_path / "tuned", "--target", pairs, "--out", tmp_path / "result.json", "--cache", cache]
    figures = told(bonanza(*line, "--json"))
    assert "items" not in figures
    assert figures["measures"] == json.loads((tmp_path / "result.json").read_text())["measures"]


def test_a_training_that_was_stopped_says_that_it_is_not_finished(bonanza, monkeypatch, tmp_path):
    monkeypatch.setattr("bonanza.training.train", lambda settings, out, *_: TrainResult(out, {}))
    line = ["train", tmp_path / "pairs.jsonl", "--model", "local", "--out", tmp_path / "tuned", "--json"]
    outcome = bonanza(*line)
    assert told(outcome, status=3) == {"finished": False}
    assert outcome.err.endswith("stopped as asked. The same command resumes.\n")


def test_an_error_after_which_the_command_resumes_is_a_document_too(bonanza, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    data = jsonl(tmp_path / "data.jsonl", *({"instruction": f"Why {n}?", "output": "Because."} for n in range(5)))
    given = ["--keep", "1", "--method", "perplexity", "--out", tmp_path / "out.jsonl", "--lm", "openai:gone"]
    given += ["--base-url", "http://127.0.0.1:9/v1", "--set", "connection.retries=0", "--cache", tmp_path / "cache"]
    outcome = bonanza("select", data, *given, "--json")
    assert "http://127.0.0.1:9/v1" in told(outcome, status=3)["error"]
    assert outcome.err.splitlines()[-1].startswith("bonanza: ")


def test_numbers_that_json_does_not_know_become_null(capsys):
    print_json({"loss": math.nan, "all": (1.5, -math.inf, {"deep": math.inf}), "few": 3, "text": "caf\u00e9 \u2028"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"loss": None, "all": [1.5, None, {"deep": None}], "few": 3, "text": "café \u2028"}
    assert printed.isascii()
    assert finite([math.nan]) == [None]


def test_what_a_library_prints_goes_to_standard_error(capsys):
    for wanted in (True, False):
        with kept_free(wanted):
            print("chatter")
    assert tuple(capsys.readouterr()) == ("chatter\n", "chatter\n")
