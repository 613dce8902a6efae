from collections import Counter

import numpy as np
import pytest

from bonanza.interfaces import Pool
from bonanza.policies.random import RandomPolicy
from bonanza.records import Question, Target

TARGET = Target((Question("q", "a"),))


def started(documents: int, seed: int = 0) -> RandomPolicy:
    pool = Pool(
        [str(row) for row in range(documents)],
        np.ones(documents, np.int64),
        np.zeros((documents, 2), np.float16),
        1,
        list,
        np.ones(documents),
    )
    policy = RandomPolicy()
    policy.start(pool, TARGET, np.random.default_rng(seed))
    return policy


def all_of(policy: RandomPolicy, count: int) -> list[int]:
    named: list[int] = []
    while rows := policy.choose(count):
        assert len(rows) <= count
        named += rows
        policy.learn([])
    return named


@pytest.mark.parametrize("documents", [0, 1, 10])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_every_document_is_named_once_and_then_nothing(documents: int, count: int) -> None:
    policy = started(documents)
    assert sorted(all_of(policy, count)) == list(range(documents))
    assert policy.choose(count) == []


def test_how_many_are_asked_for_at_a_time_changes_nothing() -> None:
    assert all_of(started(50), 1) == all_of(started(50), 7) == all_of(started(50), 100)


def test_equal_generators_name_the_same_and_others_do_not() -> None:
    assert all_of(started(50, seed=1), 7) == all_of(started(50, seed=1), 7) != all_of(started(50, seed=2), 7)


def test_every_document_is_equally_likely_to_come_first() -> None:
    first = Counter(started(4, seed).choose(1)[0] for seed in range(2_000))
    assert all(abs(first[row] - 500) < 100 for row in range(4))  # five standard deviations


def test_there_are_no_clusters_and_nothing_to_report() -> None:
    assert started(3).clusters is None
    assert started(3).report() == {}
