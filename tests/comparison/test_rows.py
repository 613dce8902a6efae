from __future__ import annotations

import pytest

from bonanza.comparison.rows import Row, summarised, tokens_to_reach


def row(seed: int, useful: int, cost: float | None = 0.5, **more) -> Row:
    values = {"policy": "equal", "budget": "5%", "judge": "lexical", "spent_tokens": 100, "pairs": 4, "documents": 2}
    return Row(
        **values | {"seed": seed, "useful": useful, "coverage": 0.25, "transport_cost": cost, "seconds": 1.0} | more
    )


def test_the_summary_has_mean_and_standard_deviation():
    (line,) = summarised([row(0, 10), row(1, 14), row(2, 18)])
    assert (line["useful"], line["useful_sd"], line["runs"]) == (14, 4, 3)
    assert (line["coverage"], line["coverage_sd"]) == (0.25, 0)


def test_a_single_run_has_no_deviation():
    (line,) = summarised([row(0, 10)])
    assert (line["useful"], line["useful_sd"], line["coverage_sd"], line["transport_cost_sd"]) == (10, None, None, None)


def test_a_run_without_a_pair_has_no_part_in_the_mean_transport_cost():
    (line,) = summarised([row(0, 0, None), row(1, 3, 0.4), row(2, 3, 0.6)])
    assert line["transport_cost"] == pytest.approx(0.5)
    assert summarised([row(0, 0, None)])[0]["transport_cost"] is None


def test_policies_budgets_and_judges_are_summed_up_apart():
    lines = summarised(
        [row(0, 1), row(0, 2, budget="10%"), row(1, 3), row(0, 4, judge="minilm"), row(0, 5, policy="x")]
    )
    assert [(line["policy"], line["budget"], line["judge"], line["useful"]) for line in lines] == [
        ("equal", "5%", "lexical", 2), ("equal", "10%", "lexical", 2), ("equal", "5%", "minilm", 4),
        ("x", "5%", "lexical", 5),
    ]  # fmt: skip


def test_tokens_to_reach_lie_on_straight_lines_between_the_budgets():
    curve = [(4000.0, 30.0), (1000.0, 10.0), (2000.0, 20.0)]
    assert tokens_to_reach(5, curve) == 500
    assert tokens_to_reach(15, curve) == 1500
    assert tokens_to_reach(30, curve) == 4000
    assert tokens_to_reach(31, curve) is None
    assert tokens_to_reach(5, []) is None
