from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.comparison import judged
from bonanza.comparison.judged import useful_at_most, worth, worth_per_token, yardstick


@dataclass(frozen=True)
class Table:
    """A judge whose similarities are written down: shape (pairs, test items)."""

    table: np.ndarray
    name: str = "table"

    def similarity(self, pairs):
        return self.table[pairs].astype(np.float32)


def random_table(pairs: int, items: int) -> Table:
    return Table(np.random.default_rng(pairs).uniform(-0.2, 1.0, (pairs, items)))


def test_the_useful_pairs_are_the_three_percent_nearest_to_five_test_items():
    judge = random_table(400, 12)
    nearness = np.sort(judge.table, axis=1)[:, -5:].mean(axis=1)
    best = set(np.argsort(-nearness)[:12].tolist())
    assert set(np.flatnonzero(yardstick("table", judge, 400).useful).tolist()) == best
    assert useful_at_most(400) == 12


def test_with_fewer_than_five_test_items_all_of_them_count():
    judge = Table(np.array([[0.9, 0.0], [0.5, 0.5], [0.2, 0.3]]))
    assert yardstick("table", judge, 3).useful.tolist() == [False, True, False]


def test_a_pair_with_nothing_in_common_with_the_test_set_is_never_useful():
    table = np.zeros((200, 4))
    table[7] = 0.1
    measure = yardstick("table", Table(table), 200)
    assert np.flatnonzero(measure.useful).tolist() == [7]


def test_coverage_is_the_mean_of_the_best_cosines():
    judge = Table(np.array([[0.9, 0.1, 0.0], [0.3, 0.5, 0.0], [1.0, 1.0, 1.0]]))
    measure = yardstick("table", judge, 3)
    assert worth(measure, np.array([0, 1])).coverage == pytest.approx((0.9 + 0.5 + 0.0) / 3)


def test_pairs_worth_nothing_and_no_pairs():
    measure = yardstick("table", Table(np.array([[-0.5, -0.1], [0.2, 0.4]])), 2)
    assert worth(measure, np.array([0])).coverage == 0.0
    none = worth(measure, np.array([], dtype=np.int64))
    assert (none.useful, none.coverage, none.transport_cost) == (0, 0.0, None)


def test_transport_cost_of_pairs_that_are_all_alike():
    """Whatever the plan, it moves everything by the same cost."""
    measure = yardstick("table", Table(np.full((300, 150), 0.25)), 300)
    for count in (1, 30, 300):
        assert worth(measure, np.arange(count)).transport_cost == pytest.approx(0.75)


def test_transport_cost_pairs_each_test_item_with_its_own():
    same = Table(np.eye(100))
    assert worth(yardstick("table", same, 100), np.arange(100)).transport_cost == pytest.approx(0.0)


def test_blocks_change_nothing(monkeypatch):
    judge = random_table(500, 30)
    whole = yardstick("table", judge, 500)
    found = worth(whole, np.arange(0, 500, 3))
    monkeypatch.setattr(judged, "BLOCK", 7)
    parts = yardstick("table", judge, 500)
    assert (parts.useful == whole.useful).all()
    assert worth(parts, np.arange(0, 500, 3)) == found


def test_the_order_of_pairs_does_not_matter_to_useful_and_coverage():
    measure = yardstick("table", random_table(300, 20), 300)
    forward, backward = worth(measure, np.arange(200)), worth(measure, np.arange(200)[::-1])
    assert (forward.useful, forward.coverage) == (backward.useful, backward.coverage)


# The oracle's order

documents = st.lists(
    st.tuples(st.frozensets(st.integers(0, 6), max_size=4), st.integers(1, 9)), min_size=1, max_size=7
)  # fmt: skip


def greedy(useful, tokens):
    """The same, slowly: always the document that adds most per token."""
    result, found, left = np.zeros(len(useful)), set(), set(range(len(useful)))
    while left:
        best = max(sorted(left), key=lambda row: len(useful[row] - found) / tokens[row])
        result[best] = len(useful[best] - found) / tokens[best]
        found |= useful[best]
        left.remove(best)
    return result


@given(documents)
def test_worth_is_what_the_greedy_order_adds(some):
    useful, tokens = [pairs for pairs, _ in some], np.array([cost for _, cost in some])
    np.testing.assert_array_equal(worth_per_token(useful, tokens), greedy(useful, tokens))


@given(documents)
def test_one_document_more_than_a_budget_pays_for_is_at_least_63_percent_of_the_best_choice(some):
    useful, tokens = [pairs for pairs, _ in some], np.array([cost for _, cost in some])
    order = np.argsort(-worth_per_token(useful, tokens), kind="stable")
    budget = int(tokens.sum()) // 2
    fits = [
        frozenset().union(*(useful[row] for row in rows))
        for size in range(len(some) + 1)
        for rows in itertools.combinations(range(len(some)), size)
        if sum(tokens[row] for row in rows) <= budget
    ]
    until = int(np.searchsorted(np.cumsum(tokens[order]), budget, side="right")) + 1  # one more than fits
    read = frozenset().union(*(useful[row] for row in order[:until]))
    assert len(read) >= max(map(len, fits)) * (1 - 1 / np.e)  # Khuller, Moss and Naor 1999
