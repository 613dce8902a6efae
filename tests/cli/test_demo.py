"""The README's first command, run as a reader would run it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-c", "from bonanza.cli import main; main()", "demo", "--cache", str(folder / "cache")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows(demo):
    shown = README.read_text().split("```\n")[1].splitlines()
    printed = [words_of(line) for line in demo[1].splitlines()]
    fixed = [
        line
        for line in shown
        if line.startswith(("bonanza demo", "The same", "random", "equal", "adaptive", "on stat", "transport"))
    ]
    assert len(fixed) == 7
    assert all(words_of(line) in printed for line in fixed)


def words_of(line):
    """A line without its figures."""
    return re.sub(r"[\d.,()%]+", "", line).split()


@pytest.mark.slow
def test_equal_and_adaptive_find_several_times_the_target_pages_that_random_finds(demo):
    share = {line.split()[0]: int(re.search(r"(\d+)%", line)[1]) for line in demo[1].splitlines() if "%" in line}
    assert share["equal"] >= 3 * share["random"]
    assert share["adaptive"] >= 3 * share["random"]


@pytest.mark.slow
def test_both_spend_within_the_same_budget(demo):
    for policy in ("adaptive", "equal", "random"):
        summary = json.loads((demo[0] / "bonanza-demo" / policy / "summary.json").read_text())
        assert summary["tokens"]["total"] <= summary["budget"]["limit"] == 800_000


@pytest.mark.slow
def test_the_embedded_model_reads_pages(demo):
    told = demo[1].split("The embedded language model")[1]
    questions = re.findall(r"Q: (.+\?|.+\.\.\.)$", told, re.MULTILINE)
    assert len(questions) == 2
