"""The Python functions mirror the commands: from pages to figures without leaving Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bonanza
from bonanza.errors import SettingsError, UsageError


def test_from_pages_to_figures(small_corpus, tiny_models, tmp_path, cache):
    found = bonanza.extract(
        small_corpus.path, small_corpus.target, budget="20docs", llm="recorded", out=tmp_path / "run", cache=cache
    )
    exported = bonanza.export(found.folder, tmp_path / "exported", formats=["alpaca", "messages"], validation="20%")
    assert sum(side.pairs for side in exported.sides.values()) == found.summary["pairs_kept"]
    assert set(exported.files) >= {"alpaca/train.jsonl", "messages/train.jsonl"}

    tuned = bonanza.train(found.folder, model=tiny_models / "llama", out=tmp_path / "tuned", epochs=1, max_tokens=64)
    assert tuned.finished
    assert tuned.summary["samples"]["trained_on"] + sum(tuned.summary["samples"]["left_out"].values()) == len(
        found.pairs
    )

    asked = tmp_path / "asked.jsonl"
    asked.write_text("".join(json.dumps({"question": p.question, "answer": p.answer}) + "\n" for p in found.pairs[:3]))
    figures = bonanza.evaluate(tmp_path / "tuned", target=asked, out=tmp_path / "figures.json", cache=cache).summary
    assert set(figures["models"]) == {"base", "tuned"}
    assert json.loads((tmp_path / "figures.json").read_text()) == figures


def test_unknown_names_are_refused_with_the_known_ones(tmp_path: Path):
    with pytest.raises(SettingsError, match="messages"):
        bonanza.export(tmp_path, tmp_path / "out", formats="word")
    with pytest.raises(UsageError, match="epoch"):
        bonanza.train("pairs.jsonl", model="local", out=tmp_path / "out", epoch=1)
    with pytest.raises(UsageError, match="limits"):
        bonanza.evaluate("local", target="a.jsonl", limits=1)
