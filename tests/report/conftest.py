"""Folders to report on: a real run with a map, and one whose documents are full of markup."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from seen_pages import HOSTILE, draw_map

import bonanza


@pytest.fixture(scope="session")
def run_folder(small_corpus, tmp_path_factory) -> Path:
    """A finished run with clusters, and a map of two made-up ones."""
    folder = tmp_path_factory.mktemp("report") / "run"
    bonanza.extract(**small_corpus.arguments(budget="40k", llm="rules"), policy="equal", out=folder)
    draw_map(folder)
    return folder


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory) -> Path:
    """A run on documents, ids, questions and answers that try to be more than text."""
    folder = tmp_path_factory.mktemp("hostile")
    records = [_hostile_record(number) for number in range(40)]
    target = [{"question": f"What is {text[:60]}?", "answer": text[:60]} for text in HOSTILE]
    for name, rows in (("pages.jsonl", records), ("target.jsonl", target)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = folder / f"run {HOSTILE[1].replace('/', '')}"
    bonanza.extract(folder / "pages.jsonl", folder / "target.jsonl", budget="35docs", llm="recorded", policy="random",
                    out=out)  # fmt: skip
    draw_map(out)
    return out


def _hostile_record(number: int) -> dict[str, Any]:
    text = HOSTILE[number % len(HOSTILE)]
    pairs = [{"question": f"{number} Why is {text} here?", "answer": f"{text} is here {number} times."}]
    return {"id": f"{number} {text[:70]}", "text": f"{pairs[0]['question']} {pairs[0]['answer']}", "qa_pairs": pairs}


@pytest.fixture
def unfinished_folder(run_folder, tmp_path) -> Path:
    """The same run, as it was before its results were written: nothing but its journal."""
    folder = tmp_path / "under way"
    folder.mkdir()
    shutil.copyfile(run_folder / "journal.sqlite", folder / "journal.sqlite")
    return folder
