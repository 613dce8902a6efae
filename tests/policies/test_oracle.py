import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bonanza.interfaces import Pool
from bonanza.policies.oracle import OraclePolicy
from bonanza.records import Question, Target

TARGET = Target((Question("Who sails?", "The crew."),))


def ranking(worth: list[float], count: int = 3, seed: int = 0) -> list[int]:
    pool = Pool(
        [str(row) for row in range(len(worth))],
        np.ones(len(worth), np.int64),
        np.ones((len(worth), 2), np.float16),
        1,
        list,
        np.ones(len(worth)),
    )
    policy = OraclePolicy(np.array(worth))
    policy.start(pool, TARGET, np.random.default_rng(seed))
    named: list[int] = []
    while rows := policy.choose(count):
        named += rows
        policy.learn([])
    return named


def test_the_most_useful_pairs_per_token_come_first_and_equal_documents_in_their_order():
    assert ranking([0.0, 0.2, 0.1, 0.2, 0.0]) == [1, 3, 2, 0, 4]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 40), st.integers(0, 5))
def test_portions_and_seeds_change_nothing(worth, count, seed):
    assert ranking(worth, count, seed) == ranking(worth) == sorted(range(len(worth)), key=lambda row: -worth[row])
