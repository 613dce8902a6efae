from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.algorithms import similarity
from bonanza.algorithms.info_nce import unit_rows
from bonanza.algorithms.similarity import nearest_rows
from bonanza.interfaces import Pool
from bonanza.policies import round_robin
from bonanza.policies.round_robin import RoundRobinPolicy
from bonanza.records import Question, Target, pair_text


@dataclass(frozen=True)
class Given:
    """An embedder of known texts."""

    vectors: dict[str, np.ndarray]
    name: str = "given"
    dim: int = 4

    def embed(self, texts):
        return np.stack([self.vectors[text] for text in texts]).astype(np.float32)


def world(documents: int, references: int, seed: int) -> tuple[Pool, Target, Given, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = unit_rows(rng.normal(size=(documents, 4))).astype(np.float16)
    target = Target(tuple(Question(f"question {i}", "answer") for i in range(references)))
    wanted = unit_rows(rng.normal(size=(references, 4)))
    known = {pair_text(pair.question, pair.answer): row for pair, row in zip(target.pairs, wanted, strict=True)}
    pool = Pool(
        [str(row) for row in range(documents)], np.ones(documents, np.int64), vectors, 1, list, np.ones(documents)
    )
    return pool, target, Given(known), wanted


def taken_in_turns(pool: Pool, wanted: np.ndarray) -> list[int]:
    """By brute force: each reference in turn takes its nearest document that is left."""
    cosine = wanted.astype(np.float32) @ np.asarray(pool.vectors, np.float32).T
    left = set(range(len(pool)))
    taken = []
    while left:
        row = min(left, key=lambda row: (-cosine[len(taken) % len(wanted), row], row))
        left.remove(row)
        taken.append(row)
    return taken


def chosen(policy: RoundRobinPolicy, count: int) -> list[int]:
    named: list[int] = []
    while rows := policy.choose(count):
        assert len(rows) <= count
        named += rows
        policy.learn([])
    assert policy.choose(count) == []
    return named


@given(st.integers(1, 40), st.integers(1, 7), st.integers(0, 1000), st.integers(1, 50))
def test_each_reference_in_turn_takes_its_nearest_document(documents, references, seed, count):
    pool, target, embedder, wanted = world(documents, references, seed)
    policy = RoundRobinPolicy(embedder)
    policy.start(pool, target, np.random.default_rng(0))
    assert chosen(policy, count) == taken_in_turns(pool, wanted)


def test_a_list_that_is_used_up_grows(monkeypatch):
    monkeypatch.setattr(round_robin, "SHORTEST_LIST", 1)
    pool, target, embedder, wanted = world(50, 3, 1)
    policy = RoundRobinPolicy(embedder)
    policy.start(pool, target, np.random.default_rng(0))
    assert chosen(policy, 7) == taken_in_turns(pool, wanted)


def test_identical_documents_are_taken_in_their_order():
    pool, target, embedder, _ = world(5, 2, 0)
    same = Pool(pool.ids, pool.lengths, np.repeat(pool.vectors[:1], 5, axis=0), 1, list, np.ones(5))
    policy = RoundRobinPolicy(embedder)
    policy.start(same, target, np.random.default_rng(0))
    assert chosen(policy, 2) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_nearest_rows_agree_with_a_full_sort_whatever_the_batch(monkeypatch, batch):
    monkeypatch.setattr(similarity, "BATCH", batch)
    pool, _, _, wanted = world(20, 4, 3)
    cosine = wanted.astype(np.float32) @ np.asarray(pool.vectors, np.float32).T
    expected = np.argsort(-cosine, axis=1, kind="stable")[:, :6]
    assert (nearest_rows(pool.vectors, wanted.astype(np.float32), 6) == expected).all()
