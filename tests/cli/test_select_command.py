"""Facts about `bonanza select`: what it prints, and one clear line and an exit status for whatever goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from commands import Outcome


@pytest.fixture
def basics(tmp_path) -> dict[str, Any]:
    """Options of a selection that goes well."""
    rows = [{"instruction": f"How deep is lake {n}?", "output": f"Lake {n} is {n * n} metres deep."} for n in range(20)]
    rows.append({"instruction": "And?", "output": ""})
    return {
        "data": jsonl(tmp_path / "data.jsonl", *rows), "--keep": "25%", "--method": "length",
        "--out": tmp_path / "out.jsonl", "--cache": tmp_path / "cache",
    }  # fmt: skip


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def line_of(options: dict[str, Any], *more: Any) -> list[Any]:
    """The options as a command line; None leaves one out."""
    given = [(name, value) for name, value in options.items() if value is not None]
    return [
        "select",
        *(part for name, value in given for part in ([value] if name == "data" else [name, value])),
        *more,
    ]


def test_a_selection_that_goes_well_says_what_it_did(bonanza, basics, tmp_path):
    outcome = bonanza(*line_of(basics, "--scores", tmp_path / "scores.parquet"))
    assert outcome.status == 0
    assert outcome.out.splitlines() == [
        "kept      5 of 20 samples by length",
        "skipped   1: empty answer",
        f"written   {tmp_path / 'out.jsonl'}",
        f"          {tmp_path / 'scores.parquet'}",
    ]
    assert outcome.err == "reading the samples\nlooking at the samples\n"
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 5
    assert pq.read_table(tmp_path / "scores.parquet").num_rows == 20


def test_recost_tells_how_far_the_language_model_has_come_and_what_it_left_out(bonanza, basics, tmp_path, tiny_models):
    knowledge = jsonl(
        tmp_path / "more.jsonl", *({"prompt": f"How old is {n}?", "completion": f"{n} days"} for n in range(9))
    )
    basics |= {"--method": "recost", "--knowledge": knowledge, "--lm": f"hf:{tiny_models / 'llama'}", "--keep": "20"}
    with open(basics["data"], "a") as file:
        file.write(json.dumps({"instruction": "Go on.", "output": "on and " * 60}) + "\n")
    outcome = bonanza(*line_of(basics, "--set", "recost.window=3"))
    assert outcome.status == 0
    assert outcome.err.splitlines()[-1].startswith("scored 42 of 42 passages")
    assert outcome.out.splitlines()[:3] == [
        "kept      20 of 21 samples by recost",
        "skipped   1: empty answer",
        "left out  1: its response repeats itself",
    ]
    basics["--keep"] = "21"
    assert (
        "kept      20 of 21 samples by recost, 21 were asked for: no more can be ranked"
        in bonanza(*line_of(basics)).out
    )


def test_quiet_prints_nothing(bonanza, basics):
    assert bonanza(*line_of(basics, "--quiet")) == Outcome(0, "", "")


def test_help_answers_and_names_every_method(bonanza):
    outcome = bonanza("select", "--help")
    assert outcome.status == 0
    for part in ("recost, ifd, perplexity, delift, k_center, nearest, length or random", "--knowledge", "--scores"):
        assert part in " ".join(outcome.out.split())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--keep": "0"}, ["--keep 0: that is 0 of 20 samples", "at most all"]),
        ({"--keep": "0%"}, ["--keep 0%: that is 0 of 20 samples"]),
        ({"--keep": "101%"}, ["--keep 101%: that is 20 of 20 samples. Keep at least one, at most all."]),
        ({"--keep": "200%"}, ["that is 40 of 20 samples"]),
        ({"--keep": "abc"}, ['\'abc\' is no number of samples to keep. Write "1%" or "500".']),
        ({"--method": "best"}, ["method 'best' is not known. There are: recost, ", "random"]),
        ({"--method": None}, ["--method recost needs --knowledge"]),
        ({"--method": "nearest"}, ["--method nearest needs --target"]),
        ({"--lm": "gpt"}, ["lm 'gpt' is not known. There are: local, hf:PATH, openai:MODEL"]),
        ({"--method": "ifd", "--lm": "hf:/no/such"}, ["language model 'hf:/no/such' cannot be opened"]),
        ({"--method": "recost", "--knowledge": "no/such.jsonl"}, ["no/such.jsonl", "Check the path"]),
        ({"data": "no/such.jsonl"}, ["no/such.jsonl: there is no such file. Check the path"]),
        ({"data": "README.md"}, ["README.md: not a type of file that can hold samples"]),
        ({"--out": "no/such/out.jsonl"}, ["there is no folder no/such"]),
        ({"--scores": "no/such/scores.parquet"}, ["there is no folder no/such"]),
        ({"--seed": "-1"}, ["setting 'seed' is -1"]),
        ({"--template": "fancy"}, ["setting 'scorer.template' is 'fancy'", "'chat' or 'plain'"]),
        ({"--set": "recost.windows=3"}, ["there is no setting 'windows'", "window"]),
        ({"--set": "recost.neighbours=0"}, ["setting 'recost.neighbours' is 0"]),
        ({"--embedder": "no/such-model", "--method": "k_center"}, ["embedder 'no/such-model'", "Give 'static'"]),
        ({"--config": "no/such.yaml"}, ["no/such.yaml: cannot be read"]),
    ],
)
def test_wrong_use_is_one_clear_line(bonanza, basics, changed, said):
    outcome = bonanza(*line_of({**basics, **changed}))
    assert outcome.status == 2
    *before, line = outcome.err.splitlines()
    assert set(before) <= {"reading the samples", "looking at the samples"}
    assert line.startswith("bonanza: ")
    for part in said:
        assert part in line
    assert outcome.out == ""


@pytest.mark.parametrize("missing", ["--keep", "--out", "data"])
def test_what_must_be_given_is_asked_for(bonanza, basics, missing):
    outcome = bonanza(*line_of({**basics, missing: None}))
    assert outcome.status == 2
    assert outcome.err.startswith("Usage: ")
    assert "Traceback" not in outcome.err


def test_a_cache_that_cannot_be_written_is_refused(bonanza, basics, tmp_path, tiny_models):
    (tmp_path / "a-file").write_text("a file")
    basics |= {"--method": "perplexity", "--lm": f"hf:{tiny_models / 'llama'}", "--cache": tmp_path / "a-file"}
    outcome = bonanza(*line_of(basics))
    assert outcome.status == 2
    assert "scores cannot be kept here" in outcome.err.splitlines()[-1]


def test_a_server_that_is_gone_can_be_tried_again(bonanza, basics):
    basics |= {"--method": "perplexity", "--lm": "openai:tiny", "--base-url": "http://127.0.0.1:9/v1"}
    outcome = bonanza(*line_of(basics, "--set", "connection.retries=0"))
    assert outcome.status == 3
    assert outcome.err.splitlines()[-1].startswith("bonanza: http://127.0.0.1:9/v1/: APIConnectionError")
