from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.algorithms.info_nce import unit_rows
from bonanza.interfaces import Pool
from bonanza.policies import tsds
from bonanza.policies.tsds import TsdsPolicy, density, enough_neighbours, spread
from bonanza.records import Question, Target, pair_text


@dataclass(frozen=True)
class Given:
    """An embedder of known texts."""

    vectors: dict[str, np.ndarray]
    name: str = "given"
    dim: int = 4

    def embed(self, texts):
        return np.stack([self.vectors[text] for text in texts]).astype(np.float32)


def pool_of(vectors: np.ndarray, affordable: int) -> Pool:
    ids = [str(row) for row in range(len(vectors))]
    return Pool(
        ids, np.ones(len(vectors), np.int64), vectors.astype(np.float16), affordable, list, np.ones(len(vectors))
    )


def asking(wanted: np.ndarray) -> tuple[Target, Given]:
    """A target whose references embed to the rows wanted."""
    target = Target(tuple(Question(f"question {i}", "answer") for i in range(len(wanted))))
    texts = [pair_text(pair.question, pair.answer) for pair in target.pairs]
    return target, Given(dict(zip(texts, wanted, strict=True)))


def chosen(vectors, wanted, affordable=1, seed=0, bandwidth=tsds.BANDWIDTH, count=7) -> tuple[list[int], dict]:
    target, embedder = asking(wanted)
    policy = TsdsPolicy(embedder, bandwidth)
    policy.start(pool_of(vectors, affordable), target, np.random.default_rng(seed))
    named: list[int] = []
    while rows := policy.choose(count):
        assert len(rows) <= count
        named += rows
        policy.learn([])
    assert policy.choose(count) == []
    return named, dict(policy.report())


def random_rows(rows: int, seed: int) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(rows, 4)))


def cone(directions: int, copies: int) -> np.ndarray:
    """Documents all at cosine 0.6 to the first axis: distinct ones, then as many copies of one more."""
    sides = np.eye(directions + 2)[1:] * 0.8
    sides[:, 0] = 0.6
    return np.concatenate([sides[:-1], np.repeat(sides[-1:], copies, axis=0)])


def by_linear_program(distance: np.ndarray, room: np.ndarray, neighbours: float) -> float:
    """Least cost of a plan that gives no document more than room / (M s) from one reference."""
    from scipy.optimize import linprog

    count = len(distance)
    bounds = np.tile(room, count) / count / neighbours
    rows = np.kron(np.eye(count), np.ones(len(room)))
    solved = linprog(distance.ravel(), A_eq=rows, b_eq=np.full(count, 1 / count), bounds=[(0, most) for most in bounds])
    return float(solved.fun)


def test_a_case_worked_by_hand():
    # Densities: two copies 2 each, the others 1. Budget 2: the copies count as one, so the mass must reach the next,
    # which is full at s = 2. Copies: 1/2 / 2 each; the next: 1 / 2; the last: nothing.
    room = 1 / density(np.array([[0.0], [0.0], [2.0], [5.0]]), bandwidth=1.0)
    assert room == pytest.approx([0.5, 0.5, 1.0, 1.0])
    neighbours = enough_neighbours(room, np.array([[0, 1, 2, 3]]), wanted=2)
    assert neighbours == 2.0
    assert spread(room[None], neighbours) == pytest.approx(np.array([[0.25, 0.25, 0.5, 0.0]]))


@given(st.integers(1, 4), st.integers(1, 7), st.integers(0, 1000), st.floats(0.05, 1.0))
def test_the_plan_costs_as_little_as_a_linear_program_finds(references, documents, seed, share):
    rng = np.random.default_rng(seed)
    distance, room = rng.uniform(0, 2, (references, documents)), rng.uniform(0.1, 1, documents)
    neighbours = share * room.sum()
    order = np.argsort(distance, axis=1)
    plan = spread(room[order], neighbours)
    cost = (plan * np.take_along_axis(distance, order, axis=1)).sum()
    assert plan.sum(axis=1) == pytest.approx(1 / references)
    assert cost == pytest.approx(by_linear_program(distance, room, neighbours), abs=1e-7)


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 1000), st.integers(1, 30))
def test_documents_with_mass_are_at_least_what_the_budget_pays_for(documents, references, seed, affordable):
    affordable = min(documents, affordable)
    named, report = chosen(random_rows(documents, seed), random_rows(references, seed + 1), affordable, seed)
    assert report["documents_with_mass"] >= affordable
    assert sorted(named) == list(range(documents))


@pytest.mark.parametrize("references", [1, 5, 40])
def test_lists_too_short_for_the_budget_grow(monkeypatch, references):
    monkeypatch.setattr(tsds, "SHORTEST_LIST", 1)
    wanted = np.repeat(random_rows(1, 0), references, axis=0)  # all want the same documents
    _, report = chosen(random_rows(60, 1), wanted, affordable=50)
    assert report["documents_with_mass"] >= 50


def test_bandwidth_zero_gives_equal_mass_to_the_nearest():
    vectors, wanted = random_rows(30, 1), random_rows(1, 2)
    named, report = chosen(vectors, wanted, affordable=6, bandwidth=0)
    assert (report["neighbours"], report["documents_with_mass"]) == (6.0, 6)
    nearest = np.argsort(-(vectors.astype(np.float16).astype(np.float32) @ wanted[0]), kind="stable")
    assert set(named[:6]) == set(nearest[:6].tolist())
    assert named[6:] == nearest[6:].tolist()


def test_copies_share_the_mass_of_one_document():
    vectors = cone(directions=20, copies=20)
    named = [chosen(vectors, np.eye(1, vectors.shape[1]), affordable=21, seed=seed)[0][:10] for seed in range(20)]
    copies = [sum(row >= 20 for row in rows) for rows in named]
    assert np.mean(copies) < 1.5  # of 10 drawn; half of them were copies if each counted as much as another document
    uniform = [chosen(vectors, np.eye(1, vectors.shape[1]), 40, seed, bandwidth=0)[0][:10] for seed in range(20)]
    assert np.mean([sum(row >= 20 for row in rows) for rows in uniform]) > 3


def test_identical_documents_are_drawn_in_any_order_each_once():
    named, report = chosen(np.repeat(random_rows(1, 0), 9, axis=0), random_rows(3, 1), affordable=4)
    assert sorted(named) == list(range(9))
    assert report["mean_density"] == pytest.approx(9, abs=0.01)


def test_documents_without_any_known_word_are_copies_of_each_other():
    vectors = np.concatenate([np.zeros((5, 4)), np.eye(4)])
    assert density(vectors, 0.3) == pytest.approx([5] * 5 + [1] * 4)


def test_equal_generators_draw_the_same_and_others_do_not():
    vectors, wanted = random_rows(40, 3), random_rows(5, 4)
    orders = [chosen(vectors, wanted, affordable=30, seed=seed)[0] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_batch_size_changes_nothing(monkeypatch, batch):
    points = random_rows(20, 5).astype(np.float16)
    squared = np.square(points[:, None].astype(float) - points[None].astype(float)).sum(axis=2)
    monkeypatch.setattr(tsds, "BATCH", batch)
    assert density(points, 1.2) == pytest.approx(np.maximum(0, 1 - squared / 1.44).sum(axis=1), abs=1e-5)
