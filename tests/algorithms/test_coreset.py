from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.algorithms.coreset import facility_location, farthest_first, window_sampling


@st.composite
def vectors(draw) -> np.ndarray:
    """Rows of small whole numbers, so that products are exact and ties are real; lengths do not matter here."""
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    numbers = st.lists(st.integers(-2, 2), min_size=columns, max_size=columns)
    return np.array(draw(st.lists(numbers, min_size=rows, max_size=rows)), np.float32)


@st.composite
def gains(draw) -> tuple[list[list[tuple[int, float]]], int]:
    """Per column some rows with gains in eighths."""
    size = draw(st.integers(1, 5))
    served = st.dictionaries(st.integers(0, size - 1), st.integers(0, 16).map(lambda number: number / 8), max_size=size)
    return [list(rows.items()) for rows in draw(st.lists(served, min_size=1, max_size=7))], size


def distance(vectors: np.ndarray, row: int, chosen: list[int]) -> float:
    return min(1.0 - float(vectors[row] @ vectors[other]) for other in chosen)


def by_distances(vectors: np.ndarray, count: int, first: int) -> list[int]:
    chosen = [first]
    while len(chosen) < count:
        left = [row for row in range(len(vectors)) if row not in chosen]
        chosen.append(max(left, key=lambda row: (distance(vectors, row, chosen), -row)))
    return chosen


def by_windows(vectors: np.ndarray, ranking: list[int], count: int, window: int) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < count:
        inside = [row for row in ranking if row not in chosen][:window]
        farthest = max(inside, key=lambda row: (distance(vectors, row, chosen), -inside.index(row))) if chosen else None
        chosen.append(inside[0] if farthest is None else farthest)
    return chosen


def value(gains, size: int, columns) -> float:
    best = np.zeros(size)
    for column in columns:
        for row, gain in gains[column]:
            best[row] = max(best[row], gain)
    return float(best.sum())


def by_trying_all(gains, size: int, count: int) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < count:
        left = [column for column in range(len(gains)) if column not in chosen]
        chosen.append(max(left, key=lambda column: (value(gains, size, [*chosen, column]), -column)))
    return chosen


@given(vectors(), st.data())
def test_farthest_first_is_what_comparing_all_distances_gives(rows, data):
    count, first = data.draw(st.integers(1, len(rows))), data.draw(st.integers(0, len(rows) - 1))
    assert farthest_first(rows, count, first).tolist() == by_distances(rows, count, first)


@given(vectors(), st.data())
def test_window_sampling_is_what_refilling_a_window_by_hand_gives(rows, data):
    ranking = data.draw(st.permutations(range(len(rows))))
    ranking = ranking[: data.draw(st.integers(1, len(rows)))]
    count, window = data.draw(st.integers(1, len(ranking))), data.draw(st.integers(1, len(rows) + 2))
    assert window_sampling(rows, ranking, count, window).tolist() == by_windows(rows, ranking, count, window)


@given(gains(), st.data())
def test_lazy_facility_location_is_the_plain_greedy_one(problem, data):
    served, size = problem
    count = data.draw(st.integers(0, len(served)))
    assert facility_location(served, size, count).tolist() == by_trying_all(served, size, count)


@given(gains(), st.data())
def test_facility_location_is_as_good_as_promised(problem, data):
    served, size = problem
    count = data.draw(st.integers(1, len(served)))
    best = max(value(served, size, columns) for columns in combinations(range(len(served)), count))
    assert value(served, size, facility_location(served, size, count)) >= (1 - 1 / np.e) * best - 1e-12


def test_the_best_ranked_is_always_chosen_and_a_window_of_one_is_the_ranking():
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    ranking = np.random.default_rng(1).permutation(20).tolist()
    assert window_sampling(rows, ranking, 8, 1).tolist() == ranking[:8]
    for window in (2, 5, 50):
        chosen = window_sampling(rows, ranking, 8, window)
        assert chosen[0] == ranking[0]
        assert set(chosen.tolist()) <= set(ranking[: 8 + window])


def test_a_window_by_hand():
    # Five directions in a plane; ranked as they stand. East is first. Window of 3: north-east, north, west.
    east, north_east, north, west, south = (1, 0), (0.6, 0.8), (0, 1), (-1, 0), (0, -1)
    rows = np.array([east, north_east, north, west, south], np.float32)
    # Inside after the first choice: north-east (cosine 0.6), north (0), west (-1): west.
    # South comes in: north-east (0.6), north (0), south (0): north, the better ranked of the two. Then south.
    assert window_sampling(rows, range(5), 4, window=3).tolist() == [0, 3, 2, 4]


@pytest.mark.parametrize("count", [0, 1, 4])
def test_all_or_none_may_be_chosen(count):
    rows = np.eye(4, dtype=np.float32)
    assert len(farthest_first(rows, count, 2)) == len(window_sampling(rows, range(4), count, 2)) == count


def test_copies_come_last():
    rows = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 2]]
    assert farthest_first(rows, 5, first=1).tolist() == [1, 3, 4, 0, 2]
