"""Facts about the page of a comparison, on rows that can be reckoned by hand."""

from __future__ import annotations

import json

import pytest
from seen_pages import HOSTILE, seen
from typer.testing import CliRunner

from bonanza.cli import app
from bonanza.comparison.rows import summarised, tokens_to_reach
from bonanza.report.comparison import LEVELS, comparison_report


def row(policy: str, budget: str, seed: int, useful: int) -> dict:
    return {
        "policy": policy, "seed": seed, "budget": budget, "judge": "lexical", "spent_tokens": 90, "pairs": 7,
        "documents": 3, "useful": useful, "coverage": 0.5, "transport_cost": None, "seconds": 0.1,
    }  # fmt: skip


def content(policy: str = "nearest", warning: str = "") -> dict:
    found = [(policy, "10%", 0, 50), (policy, "20%", 0, 100)]
    by_chance = [("random", budget, seed, useful + seed) for budget, useful in (("10%", 10), ("20%", 20))
                 for seed in (0, 2)]  # fmt: skip
    return {
        "settings": {"policies": [policy]}, "inputs": {"corpus": "c"},
        "documents": {"total": 9, "known": 9, "unknown": 0},
        "pairs": 1000, "tokens_to_read_everything": 1000, "budgets": {"10%": 100, "20%": 200, "100%": 1000},
        "judges": ["lexical"], "useful": {"lexical": 100}, "seedless": [policy], "left_out": {"pairs: duplicate": 2},
        "warnings": [warning] if warning else [], "cells": {"done": 6, "planned": 7},
        "rows": [row(*one) for one in [*by_chance, *found, ("everything", "100%", 0, 100)]],
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "compare.json").write_text(json.dumps(content()))
    return tmp_path


def test_levels_are_the_tokens_at_which_a_curve_reaches_them():
    some = content()
    judge = comparison_report("name", some, summarised(some["rows"]), tokens_to_reach).judges[0]
    levels = {curve.policy: dict(zip(LEVELS, curve.levels, strict=True)) for curve in judge.curves}
    shares = {curve.policy: dict(zip(LEVELS, curve.against_random, strict=True)) for curve in judge.curves}
    assert levels["nearest"] == {0.1: 20, 0.25: 50, 0.5: 100, 0.75: 150, 0.9: 180}
    assert levels["random"][0.1] == pytest.approx(100 * 10 / 11) and levels["random"][0.25] is None
    assert shares["nearest"][0.1] == pytest.approx(0.22) and shares["nearest"][0.25] is None


def test_the_band_is_one_standard_deviation():
    some = content()
    judge = comparison_report("name", some, summarised(some["rows"]), tokens_to_reach).judges[0]
    random = next(curve for curve in judge.curves if curve.policy == "random")
    assert random.points[1] == pytest.approx({"tokens": 100, "useful": 11, "low": 11 - 2**0.5, "high": 11 + 2**0.5})


def test_the_page_shows_curves_levels_and_all_cells(folder):
    page = seen(folder)
    assert set(page.data["numbers"]["chart-judge-0"]) == {"0-0", "0-1"}
    for text in ("6 of 7 cells done", "20 (22%)", "11.0 ± 1.4", "pairs: duplicate 2", "nearest", "everything"):
        assert text in page.text


def test_names_full_of_markup_change_nothing(folder, tmp_path_factory):
    hostile = tmp_path_factory.mktemp("names")
    (hostile / "compare.json").write_text(json.dumps(content(HOSTILE[2], HOSTILE[1])))
    page, plain = seen(hostile), seen(folder)
    assert {tag: page.tags.count(tag) for tag in set(page.tags) - {"p"}} == {
        tag: plain.tags.count(tag) for tag in set(plain.tags) - {"p"}
    }
    assert HOSTILE[2] in page.text and HOSTILE[1] in page.text


def test_the_command_writes_compare_html(folder):
    assert CliRunner().invoke(app, ["report", str(folder)]).exit_code == 0
    assert (folder / "compare.html").stat().st_size < 3_000_000
