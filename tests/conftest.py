"""What all tests share: quiet threads, a cache of their own, and a small corpus of pages written for the tests."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

# Read when the libraries are imported, so before them: idle threads sleep; no hub is asked, not even in vain.
os.environ["OMP_WAIT_POLICY"] = "passive"
os.environ["HF_HUB_OFFLINE"] = "1"

import hypothesis
import pytest

from commands import Outcome

hypothesis.settings.register_profile(
    "everyday",
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("everyday")

NAMES = ("Alder", "Birch", "Cedar", "Damson", "Elm", "Fir", "Gorse", "Hazel", "Ivy", "Juniper")
TOPICS = {
    "lake": (
        ("How deep is lake {name} {number}?", "Lake {name} {number} is {number} metres deep at the northern shore."),
        ("Which fish live in lake {name} {number}?", "Perch and {number} kinds of carp live in lake {name} {number}."),
        ("Can one swim in lake {name} {number}?", "Yes, from May to September, the water of {name} is clean."),
    ),
    "bread": (
        (
            "How long does {name} bread {number} bake?",
            "{name} bread {number} bakes for {number} minutes in a hot oven.",
        ),
        ("How much salt goes into {name} bread {number}?", "Take {number} grams of salt for a loaf of {name} bread."),
        ("Why does {name} bread {number} rise?", "Yeast makes gas, and {number} folds of the dough hold it."),
    ),
    "clock": (
        ("How often is the {name} clock {number} wound?", "The {name} clock {number} is wound every {number} hours."),
        ("What drives the {name} clock {number}?", "A brass weight of {number} grams drives the {name} clock."),
        ("How accurate is the {name} clock {number}?", "It loses {number} seconds a week when the room is warm."),
    ),
    "knot": (
        ("When is the {name} knot {number} used?", "The {name} knot {number} joins two ropes of {number} millimetres."),
        ("How is the {name} knot {number} tied?", "Make {number} turns around the post and pull the end through."),
        ("Is the {name} knot {number} safe under load?", "It holds {number} kilograms on a dry rope."),
    ),
}


@dataclass(frozen=True)
class SmallCorpus:
    """200 pages on four topics with zero to three pairs each; reference and test sets on lakes that are not in them."""

    path: Path
    target: Path
    test: Path
    records: list[dict[str, Any]]

    def arguments(self, *, budget: str, llm: str) -> dict[str, Any]:
        """What `bonanza.extract` needs besides an output folder."""
        return {"corpus": self.path, "target": self.target, "budget": budget, "llm": llm}


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> SmallCorpus:
    folder = tmp_path_factory.mktemp("corpus")
    random = Random(0)
    records = [_page(number, random) for number in range(200)]
    target = [_pair("lake", row, "Willow", 500 + number) for number in range(10) for row in range(3)]
    test = [_pair("lake", row, "Rowan", 700 + number) for number in range(8) for row in range(3)]
    for name, rows in (("pages.jsonl", records), ("target.jsonl", target), ("test.jsonl", test)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return SmallCorpus(folder / "pages.jsonl", folder / "target.jsonl", folder / "test.jsonl", records)


def _page(number: int, random: Random) -> dict[str, Any]:
    """Every tenth page holds no pair, every fifteenth a pair that an earlier page has too."""
    topic, name = random.choice(sorted(TOPICS)), random.choice(NAMES)
    rows = [] if number % 10 == 0 else random.sample(range(3), random.randint(1, 3))
    pairs = [_pair(topic, row, name, number) for row in rows]
    if number % 15 == 1:
        pairs.append(_pair("clock", 0, "Town", 7))
    asked = "".join(f"Q: {pair['question']}\nA: {pair['answer']}\n\n" for pair in pairs)
    prose = " ".join(f"The {topic} of {name} has part {random.randint(1, 999)}." for _ in range(random.randint(1, 40)))
    return {"id": f"page-{number:03}", "text": f"# The {name} {topic} FAQ\n\n{asked}{prose}\n", "qa_pairs": pairs}


def _pair(topic: str, row: int, name: str, number: int) -> dict[str, str]:
    question, answer = TOPICS[topic][row]
    return {"question": question.format(name=name, number=number), "answer": answer.format(name=name, number=number)}


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the user's own cache, nor asks a hub."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BONANZA_CACHE", str(folder))
        patch.setenv("HF_HOME", str(folder / "hub"))
        yield folder


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of causal language models: "llama", "plain-llama" and "gpt2"."""
    from tiny_models import write_tiny_models

    return write_tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def bonanza(monkeypatch, capsys) -> Callable[..., Outcome]:
    """Run the command in this process."""
    from bonanza.cli import main

    def call(*arguments: Any) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["bonanza", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Outcome(ended.value.code or 0, *capsys.readouterr())

    return call
