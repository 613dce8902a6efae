import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bonanza.algorithms.bandit import best_arms, paper_exploration, ucb_scores

every = np.ones(3, dtype=np.bool_)


def test_four_rounds_with_full_exploration_worked_by_hand() -> None:
    values, pulls = np.zeros(3), np.zeros(3)
    gives = np.array([0.6, 0.5, 0.1])  # what each arm always gives
    order = []
    for _ in range(6):
        arm = int(best_arms(ucb_scores(values, pulls, 1.0), every, 1)[0])
        order.append(arm)
        values[arm], pulls[arm] = gives[arm], pulls[arm] + 1
    # Pulls (0 0 0): all infinite, the first number wins                                               -> arm 0
    # Pulls (1 0 0): 2 ln 1 = 0, arm 0 has 0.6; arms 1 and 2 infinite                                  -> arm 1
    # Pulls (1 1 0): arm 2 infinite                                                                    -> arm 2
    # Pulls (1 1 1): 2 ln 3 = 2.1972, root 1.4823. Scores 2.0823, 1.9823, 1.5823                        -> arm 0
    # Pulls (2 1 1): 2 ln 4 = 2.7726. 0.6 + sqrt(1.3863) = 1.7774; 0.5 + 1.6651 = 2.1651; 0.1 + 1.6651  -> arm 1
    # Pulls (2 2 1): 2 ln 5 = 3.2189. 0.6 + sqrt(1.6094) = 1.8686; 1.7686; 0.1 + 1.7941 = 1.8941        -> arm 2
    assert order == [0, 1, 2, 0, 1, 2]
    # Pulls (2 2 2): 2 ln 6 = 3.5835; sqrt(3.5835 / 2) = 1.3386
    np.testing.assert_allclose(ucb_scores(values, pulls, 1.0), [1.9386, 1.8386, 1.4386], atol=5e-5)


def test_a_small_exploration_stays_with_the_best_arm() -> None:
    values, pulls = np.zeros(3), np.zeros(3)
    gives = np.array([0.6, 0.5, 0.1])
    order = []
    for _ in range(7):
        arm = int(best_arms(ucb_scores(values, pulls, paper_exploration(pulls.sum())), every, 1)[0])
        order.append(arm)
        values[arm], pulls[arm] = gives[arm], pulls[arm] + 1
    # Pulls (1 1 1): weight 1 / 4, bonus 1.4823 / 4 = 0.3706 for each; the value decides                -> arm 0
    # Pulls (2 1 1): weight 1 / 5. 0.6 + 1.1774 / 5 = 0.8355; 0.5 + 1.6651 / 5 = 0.8330; 0.4330         -> arm 0
    # Pulls (3 1 1): weight 1 / 6. 0.6 + 1.0358 / 6 = 0.7726; 0.5 + 1.7941 / 6 = 0.7990; 0.3990         -> arm 1
    # Pulls (3 2 1): weight 1 / 7. 0.6 + 1.0929 / 7 = 0.7561; 0.5 + 1.3386 / 7 = 0.6912; 0.3704         -> arm 0
    assert order == [0, 1, 2, 0, 0, 1, 0]


def test_first_tries_every_arm_before_any_twice() -> None:
    scores = ucb_scores(np.array([5.0, 0.0]), np.array([9.0, 0.0]), 0.001, "first")
    assert scores[1] == np.inf
    assert best_arms(scores, every[:2], 1).tolist() == [1]


def test_zero_gives_an_arm_never_pulled_the_score_zero() -> None:
    # 2 ln 4 = 2.7726, sqrt(2.7726 / 2) = 1.1774, times 0.001: a bonus of 0.0012 beside values of 0.3 and -0.2
    scores = ucb_scores(np.array([0.3, 0.0, -0.2]), np.array([2.0, 0.0, 2.0]), 0.001, "zero")
    np.testing.assert_allclose(scores, [0.3012, 0.0, -0.1988], atol=5e-5)
    assert best_arms(scores, every, 3).tolist() == [0, 1, 2]


def test_nothing_pulled_gives_no_warning_and_equal_scores() -> None:
    assert ucb_scores(np.zeros(2), np.zeros(2), 1.0, "first").tolist() == [np.inf, np.inf]
    assert ucb_scores(np.zeros(2), np.zeros(2), 1.0, "zero").tolist() == [0.0, 0.0]


def test_less_than_one_pull_in_all_gives_no_bonus_rather_than_a_root_of_a_negative() -> None:
    assert ucb_scores(np.array([0.4, 0.0]), np.array([0.2, 0.0]), 1.0, "zero").tolist() == [0.4, 0.0]


def test_values_of_arms_never_pulled_are_not_read() -> None:
    pulls = np.array([1.0, 0.0])
    for unpulled in ("first", "zero"):
        clean = ucb_scores(np.array([0.5, 0.0]), pulls, 1.0, unpulled)
        assert ucb_scores(np.array([0.5, np.nan]), pulls, 1.0, unpulled).tolist() == clean.tolist()


def test_ties_go_to_the_lower_number() -> None:
    assert best_arms(np.array([1.0, 2.0, 2.0]), every, 3).tolist() == [1, 2, 0]


def test_ties_go_to_the_tie_break_before_the_number() -> None:
    scores = np.array([np.inf, np.inf, 0.5, np.inf])
    chosen = best_arms(scores, np.ones(4, dtype=np.bool_), 4, tie_break=np.array([0.1, 0.9, 1.0, 0.1]))
    assert chosen.tolist() == [1, 0, 3, 2]


def test_arms_that_are_not_available_are_left_out() -> None:
    assert best_arms(np.array([3.0, 2.0, 1.0]), np.array([False, True, False]), 2).tolist() == [1]
    assert best_arms(np.array([3.0, 2.0, 1.0]), ~every, 2).tolist() == []


@settings(deadline=None, max_examples=50)
@given(arrays.arrays(float, st.integers(1, 12), elements=st.integers(-3, 3)), st.integers(0, 12))
def test_best_arms_are_those_of_a_stable_sort(scores: np.ndarray, count: int) -> None:
    chosen = best_arms(scores, np.ones(len(scores), dtype=np.bool_), count)
    assert chosen.tolist() == sorted(range(len(scores)), key=lambda arm: (-scores[arm], arm))[:count]


@pytest.mark.parametrize(("pulls", "expected"), [(0, 1.0), (1, 0.5), (99, 0.01)])
def test_the_papers_exploration_falls_with_the_pulls(pulls: float, expected: float) -> None:
    assert paper_exploration(pulls) == pytest.approx(expected)
