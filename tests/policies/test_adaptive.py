"""The adaptive policy on planted worlds: vectors in which it is known what similarity sees and what it does not."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from bonanza.algorithms.similarity import mean_vector, similarity_views, without_centre
from bonanza.interfaces import Pool
from bonanza.policies.adaptive import AdaptivePolicy
from bonanza.records import Pair, Question, Reading, Target, Usage
from bonanza.settings import AdaptiveSettings

DIM = 16


class Lookup:
    """Embeds texts that are numbers of planted vectors, "3\\n" being the fourth."""

    name, dim = "lookup", DIM

    def __init__(self, vectors: np.ndarray) -> None:
        self._vectors = vectors

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return self._vectors[[int(text.split("\n")[0]) for text in texts]].astype(np.float32)


@dataclass
class World:
    vectors: np.ndarray  # documents, then references, then the pair that every page of worth holds
    pairs: Sequence[int]  # pairs in each document
    costs: np.ndarray
    references: int = 20
    statuses: dict[int, str] = field(default_factory=dict)

    @property
    def documents(self) -> int:
        return len(self.pairs)

    def policy(self, **settings: float) -> AdaptivePolicy:
        policy = AdaptivePolicy(AdaptiveSettings(**settings), Lookup(self.vectors))
        rows = self.documents
        pool = Pool(
            [f"d{row}" for row in range(rows)], np.ones(rows, np.int64), self.vectors[:rows].astype(np.float16), rows,
            list, self.costs,
        )  # fmt: skip
        references = range(rows, rows + self.references)
        policy.start(pool, Target(tuple(Question(str(row), "") for row in references)), np.random.default_rng(0))
        return policy

    def reading(self, row: int) -> Reading:
        status = self.statuses.get(row, "kept")
        near = str(self.documents)  # the first reference itself: a perfect pair
        pairs = tuple(Pair(near, "", f"d{row}", number, number, status=status) for number in range(self.pairs[row]))
        return Reading(f"d{row}", "ok" if pairs else "empty", pairs, Usage(10, 10))

    def read(self, policy: AdaptivePolicy, documents: int, count: int = 100) -> list[int]:
        """Rows in the order in which they are read."""
        order: list[int] = []
        while len(order) < documents and (rows := policy.choose(count)):
            assert len(rows) <= count
            policy.learn([self.reading(row) for row in rows])
            order += rows
        return order


def directions(rng: np.random.Generator, rows: int, *parts: np.ndarray, noise: float = 0.15) -> np.ndarray:
    points = sum(parts) + noise * rng.normal(size=(rows, DIM))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def planted(on_topic_with_pairs: int = 60, on_topic_empty: int = 120, elsewhere: int = 420) -> World:
    """On-topic pages come in two kinds of equal similarity; only those that also point along axis 1 hold pairs."""
    rng, axis = np.random.default_rng(0), np.eye(DIM)
    vectors = np.concatenate([
        directions(rng, on_topic_with_pairs, axis[0], 0.8 * axis[1]),
        directions(rng, on_topic_empty, axis[0], 0.8 * axis[2]),
        directions(rng, elsewhere, axis[3]),
        directions(rng, 20, axis[0], noise=0.1),
    ])  # fmt: skip
    pairs = [4] * on_topic_with_pairs + [0] * (on_topic_empty + elsewhere)
    return World(vectors, pairs, np.full(len(pairs), 100.0))


def test_the_first_documents_are_the_nearest_for_their_cost():
    world = planted()
    world.costs = np.random.default_rng(1).uniform(50, 500, world.documents)
    policy = world.policy()
    vectors = world.vectors[: world.documents].astype(np.float16)
    centre = mean_vector(vectors)
    references = without_centre(world.vectors[world.documents :], centre)
    nearness = np.maximum(similarity_views(vectors, references, centre)[:, 1], 1e-3).astype(np.float64)
    assert list(policy.choose(25)) == np.argsort(-(nearness**4) / world.costs, kind="stable")[:25].tolist()


def test_it_learns_which_near_documents_hold_pairs():
    world = planted()
    order = world.read(world.policy(), 100)
    holding = [world.pairs[row] > 0 for row in order]
    assert sum(holding[25:75]) >= 40  # similarity alone would find a third
    assert sum(holding[:25]) <= 20


def test_it_learns_that_pages_off_the_topic_hold_the_pairs():
    world = planted()
    world.pairs = [0] * 180 + [4] * 420
    order = world.read(world.policy(), 400)
    assert sum(row >= 180 for row in order[250:]) > 140


def test_pairs_that_are_not_kept_are_worth_nothing():
    world = planted()
    world.statuses = dict.fromkeys(range(60), "duplicate")
    policy = world.policy()
    world.read(policy, 100)
    assert policy.report()["learned_share"] == 0
    assert policy.report()["note"] == "No useful pair was found: documents are chosen by similarity and cost alone."


def test_without_any_pair_it_stays_with_similarity_and_says_so():
    world = planted()
    world.pairs = [0] * world.documents
    policy = world.policy()
    order = world.read(policy, 180)
    assert set(order[:175]) <= set(range(180))
    assert policy.report()["learned_share"] == 0
    assert policy.report()["note"] == "No useful pair was found: documents are chosen by similarity and cost alone."


@pytest.mark.parametrize("count", [1, 7, 100])
def test_every_document_is_named_once_and_then_none(count):
    world = planted(20, 20, 20)
    policy = world.policy()
    assert sorted(world.read(policy, 10_000, count)) == list(range(60))
    assert list(policy.choose(count)) == []


def test_batches_grow_with_what_was_read():
    world = planted()
    policy, sizes = world.policy(batch=8), []
    while rows := policy.choose(100):
        sizes.append(len(rows))
        policy.learn([world.reading(row) for row in rows])
    assert sizes[:8] == [8] * 8
    assert sizes[-2] > 50
    assert max(sizes) <= 100


def test_equal_inputs_give_equal_choices_whatever_the_generator():
    assert planted().read(planted().policy(), 200) == planted().read(planted().policy(), 200)


def test_documents_that_were_not_read_for_the_budget_teach_nothing():
    world = planted()
    policy = world.policy()
    rows = policy.choose(25)
    policy.learn([world.reading(row) for row in rows[:10]])
    assert not set(rows) & set(policy.choose(25))


def test_identical_documents_are_read_one_by_one_and_it_is_told():
    world = planted(0, 0, 30)
    world.pairs = [1] * 30
    world.vectors[:30] = world.vectors[0]
    policy = world.policy()
    assert sorted(world.read(policy, 30, 10)) == list(range(30))
    assert policy.report()["note"].startswith("No document is nearer to the reference set than any other:")


def test_a_target_that_points_away_from_every_document_is_told():
    rng, axis = np.random.default_rng(0), np.eye(DIM)
    world = World(
        np.concatenate([directions(rng, 50, axis[0], noise=0.05), directions(rng, 20, -axis[0], noise=0.01)]),
        [1] * 50,
        np.full(50, 100.0),
    )
    policy = world.policy()
    assert sorted(world.read(policy, 50)) == list(range(50))
    assert policy.report()["nearest_document"] < 0.5


@pytest.mark.parametrize("references", [1, 5])
def test_few_references_are_enough(references):
    world = planted()
    world.references = references
    assert sum(world.pairs[row] > 0 for row in world.read(world.policy(), 75)[25:]) > 25


def test_scores_do_not_depend_on_how_the_pool_is_cut(monkeypatch):
    whole = planted().read(planted().policy(), 200)
    monkeypatch.setattr("bonanza.policies.adaptive.BATCH", 37)
    monkeypatch.setattr("bonanza.algorithms.similarity.BATCH", 37)
    assert planted().read(planted().policy(), 200) == whole


def test_a_document_without_any_known_token_is_not_near():
    world = planted()
    world.vectors[:180] += 4 * np.eye(DIM)[5]  # all texts share a long common part, as sums of word vectors do
    world.vectors[180:] += 4 * np.eye(DIM)[5]
    world.vectors /= np.linalg.norm(world.vectors, axis=1, keepdims=True)
    world.vectors[300:310] = 0.0
    assert not set(world.read(world.policy(), 100)) & set(range(300, 310))


def test_a_document_whose_vector_is_not_a_number_stops_nothing():
    world = planted()
    world.vectors[7] = np.nan
    assert len(set(world.read(world.policy(), 10_000))) == world.documents
