"""A finished run whose corpus names licences, and texts in it that Markdown, YAML and JSON would interpret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bonanza

LICENCES = ("CC-BY-SA-4.0 (Wikipedia)", "MIT", "ask `us` | <b>first</b>\n---\nlicense: mit", "")


@pytest.fixture(scope="session")
def finished_run(small_corpus, tmp_path_factory) -> Path:
    """120 documents of the small corpus, read from the pairs beside them."""
    folder = tmp_path_factory.mktemp("finished")
    pages = [record | {"license": LICENCES[row % 4]} for row, record in enumerate(small_corpus.records)]
    corpus = folder / "pages `x`.jsonl"
    corpus.write_text("".join(json.dumps(page) + "\n" for page in pages), encoding="utf-8")
    arguments = {"target": small_corpus.target, "budget": "120docs", "llm": "recorded", "policy": "random"}
    return bonanza.extract(corpus, **arguments, out=folder / "run").folder
