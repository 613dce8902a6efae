"""A selection among the pairs that a run has kept."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

import bonanza
from bonanza.errors import SettingsError


def extracted(small_corpus, out, **refine):
    return bonanza.extract(
        **small_corpus.arguments(budget="40k", llm="recorded"), policy="random", out=out, refine=refine
    )


def test_the_best_quarter_is_kept_and_the_others_say_why_not(small_corpus, tmp_path):
    whole = extracted(small_corpus, tmp_path / "whole")
    refined = extracted(small_corpus, tmp_path / "refined", method="length", keep="25%")
    rows = pq.read_table(tmp_path / "refined" / "pairs.parquet").to_pylist()
    kept = [row for row in rows if row["status"] == "kept"]
    outranked = [row for row in rows if row["status"] == "outranked"]
    assert len(kept) == round(len(whole.pairs) / 4) == refined.summary["pairs_kept"]
    assert len(kept) + len(outranked) == len(whole.pairs)
    assert {row["reason"] for row in outranked} == {"length: others rank higher"}
    assert min(len(row["answer"]) for row in kept) >= max(len(row["answer"]) for row in outranked)
    lines = (tmp_path / "refined" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["metadata"]["id"] for line in lines] == [row["id"] for row in kept]


def test_a_refined_run_repeated_gives_the_same_files(small_corpus, tmp_path):
    for _ in range(2):
        extracted(small_corpus, tmp_path, method="k_center", keep="10")
        files = [(tmp_path / name).read_bytes() for name in ("train.jsonl", "pairs.parquet")]
    extracted(small_corpus, tmp_path, method="k_center", keep="10")
    assert files == [(tmp_path / name).read_bytes() for name in ("train.jsonl", "pairs.parquet")]


def test_more_than_there_are_keeps_all(small_corpus, tmp_path):
    result = extracted(small_corpus, tmp_path, method="nearest", keep="1000000")
    assert result.summary["pair_statuses"].get("outranked", 0) == 0


@pytest.mark.parametrize(
    "wrong", [{"method": "best"}, {"method": "length", "keep": "a few"}, {"method": "ifd", "lm": "x"}]
)
def test_wrong_settings_are_refused_before_anything_is_paid(small_corpus, tmp_path, wrong):
    with pytest.raises(SettingsError):
        extracted(small_corpus, tmp_path / "run", **wrong)
    assert not (tmp_path / "run" / "journal.sqlite").exists()
