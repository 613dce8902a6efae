"""Facts about the scripts in examples/: each runs as a user would run it, twice, and prints what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SLOW = "recost_on_a_file.py"  # opens the embedded language model
PATIENCE = 900.0  # seconds


def run(name: str, *arguments: str | Path, folder: Path) -> str:
    """What the script prints; it must say nothing else, and write nowhere but into its folder."""
    surroundings = {**os.environ, "BONANZA_CACHE": str(folder / "unused cache"), "OPENAI_API_KEY": ""}
    command = [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=PATIENCE, env=surroundings, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (folder / "unused cache").exists()
    return done.stdout


def test_every_example_is_run_here_and_listed():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    tested = set(re.findall(r'"(\w+\.py)"', Path(__file__).read_text()))
    listed = set(re.findall(r"`(\w+\.py)`", (EXAMPLES / "README.md").read_text()))
    assert scripts == tested == listed


def test_list_of_strings(tmp_path):
    printed = run("list_of_strings.py", tmp_path / "out", folder=tmp_path)
    assert printed.startswith("10 of 40 texts were read:\n  How often does ")
    assert "10 of 10 pairs are on herbs; all of it is in " in printed
    assert run("list_of_strings.py", tmp_path / "out", folder=tmp_path) == printed


def test_custom_extractor(tmp_path):
    printed = run("custom_extractor.py", tmp_path / "out", folder=tmp_path)
    assert "What is a jib in sailing?        a triangular sail before the mast\n" in printed
    assert re.search(r"6 of 10 pages read by custom:glossary-1\n\d+ of 200 tokens spent: budget spent\n$", printed)
    assert run("custom_extractor.py", tmp_path / "out", folder=tmp_path) == printed


def test_custom_policy_finds_more_than_random(tmp_path):
    printed = run("custom_policy.py", tmp_path / "out", folder=tmp_path)
    found = dict(re.findall(r"^(\S+) +(\d+) pairs from 60 pages", printed, re.MULTILINE))
    assert int(found["by-site"]) > 1.5 * int(found["random"])
    assert run("custom_policy.py", tmp_path / "out", folder=tmp_path) == printed


def test_notebook(tmp_path):
    printed = run("notebook.py", tmp_path / "out", folder=tmp_path)
    assert "'documents_read': 60" in printed
    assert re.search(r"^20% +adaptive +", printed, re.MULTILINE)
    assert run("notebook.py", tmp_path / "out", folder=tmp_path) == printed
    cells = (EXAMPLES / "notebook.py").read_text().count("\n# %%")
    assert cells == 6


def test_recost_on_a_file_with_a_tiny_model(tmp_path, tiny_models):
    printed = run("recost_on_a_file.py", tmp_path / "out", f"hf:{tiny_models / 'llama'}", folder=tmp_path)
    assert len(re.findall(r"^ +(?:\d|-)  ", printed, re.MULTILINE)) == 12
    assert "among the 6 kept" in printed


@pytest.mark.slow
def test_recost_with_the_embedded_model_keeps_few_spoilt_samples(tmp_path):
    printed = run(SLOW, folder=tmp_path)
    assert re.search(r"^[01] of 4 spoilt samples are among the 6 kept", printed, re.MULTILINE)


def test_a_new_folder_is_made_where_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run("list_of_strings.py", folder=tmp_path)
    assert [path.name.startswith("bonanza-") for path in tmp_path.iterdir()] == [True]
