"""Facts about `bonanza train` and `bonanza evaluate`: what they print, exit statuses, and a kill that is survived."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BONANZA = [sys.executable, "-c", "from bonanza.cli import main; main()"]
PATIENCE = 900.0  # seconds


@pytest.fixture
def pairs(tmp_path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"question": f"How deep is lake {n}?", "answer": f"It is {n} metres deep."} for n in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_train_then_evaluate(bonanza, pairs, tiny_models, tmp_path, cache):
    line = ["train", pairs, "--model", f"hf:{tiny_models / 'llama'}", "--out", tmp_path / "tuned", "--batch-size", 2]
    first = bonanza(*line)
    assert first.status == 0, first.err
    assert "on 4 samples, 4 times" in first.out
    again = bonanza(*line)
    assert again.out.startswith("finished before, nothing to do\n")
    other = bonanza(*line, "--epochs", 5)
    assert other.status == 2
    assert "settings.epochs: 5, there None" in other.err
    result = tmp_path / "result.json"
    measured = bonanza("evaluate", tmp_path / "tuned", "--target", pairs, "--out", result, "--cache", cache)
    assert measured.status == 0, measured.err
    assert "difference" in measured.out
    assert len(json.loads(result.read_text())["items"]) == 4


def test_what_cannot_be_done_is_one_line(bonanza, pairs, tiny_models, tmp_path):
    model = f"hf:{tiny_models / 'llama'}"
    for wrong in (
        ["train", tmp_path / "none.jsonl", "--model", model, "--out", tmp_path / "tuned"],
        ["train", pairs, "--model", "hf:/no/model", "--out", tmp_path / "tuned"],
        ["train", pairs, "--model", model, "--out", pairs],
        ["train", pairs, "--model", model, "--out", tmp_path / "tuned", "--set", "lora.rank=0"],
        ["evaluate", "hf:/no/model", "--target", pairs, "--out", tmp_path / "result.json"],
    ):
        outcome = bonanza(*wrong)
        assert outcome.status == 2
        assert outcome.err.splitlines()[-1].startswith("bonanza: "), outcome.err


@pytest.mark.slow
def test_the_embedded_model_is_tuned_though_killed_and_then_measured(pairs, tmp_path, cache):
    command = [*BONANZA, "train", str(pairs), "--model", "local", "--out", str(tmp_path / "out")]
    command += ["--set", "checkpoint_seconds=0", "--set", "epochs=2"]
    surroundings = {**os.environ, "BONANZA_CACHE": str(cache)}
    process = subprocess.Popen(command, env=surroundings)
    await_checkpoint(tmp_path / "out", process)
    process.kill()
    process.wait()
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "going on after checkpoint-" in done.stderr
    result = tmp_path / "result.json"
    command = [*BONANZA, "evaluate", str(tmp_path / "out"), "--target", str(pairs)]
    subprocess.run([*command, "--out", str(result)], env=surroundings, timeout=PATIENCE, check=True)
    loss = json.loads(result.read_text())["measures"][1]
    assert loss["difference"]["value"] < 0


def await_checkpoint(out: Path, process: subprocess.Popen) -> None:
    """Wait until one is whole, and the training is not yet done."""
    end = time.monotonic() + PATIENCE
    while not list(out.glob("checkpoints/checkpoint-*/complete.json")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.1)
