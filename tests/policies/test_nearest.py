from dataclasses import dataclass

import numpy as np
import pytest

from bonanza.embedders.static import StaticEmbedder, fit_static
from bonanza.interfaces import Pool
from bonanza.policies.nearest import NearestPolicy
from bonanza.records import Question, Target, pair_text
from bonanza.settings import NearestSettings

TARGET = Target(
    (
        Question("How is bread baked?", "With flour, water, salt and a hot oven."),
        Question("What feeds the yeast?", "Sugar and flour."),
        Question("Who moors a boat?", "The crew, with a rope."),
    )
)
TEXTS = [
    "The crew moors the boat with a rope at the harbour.",
    "Bread needs flour and water; yeast and salt.",
    "The oven bakes the bread of flour, water and yeast.",
    "Planets move around the sun on ellipses.",
    "A rope, a sail, a boat and its crew.",
    "Sugar feeds yeast, and yeast raises the flour.",
]


@dataclass(frozen=True)
class World:
    pool: Pool
    embedder: StaticEmbedder


def world(texts: list[str]) -> World:
    embedder = fit_static([*TEXTS, *(pair_text(pair.question, pair.answer) for pair in TARGET.pairs)])
    vectors = embedder.embed(texts).astype(np.float16)
    ids = [str(row) for row in range(len(texts))]
    return World(Pool(ids, np.ones(len(texts), np.int64), vectors, 1, list, np.ones(len(texts))), embedder)


def ranking(where: World, view: str = "mean", count: int = 2, target: Target = TARGET) -> list[int]:
    policy = NearestPolicy(NearestSettings(view=view), where.embedder)
    policy.start(where.pool, target, np.random.default_rng(0))
    named: list[int] = []
    while rows := policy.choose(count):
        assert len(rows) <= count
        named += rows
        policy.learn([])
    assert policy.choose(count) == []
    return named


@pytest.mark.parametrize("view", ["mean", "max", "mean5"])
def test_documents_come_in_the_order_of_their_similarity(view: str) -> None:
    where = world(TEXTS)
    references = where.embedder.embed([pair_text(pair.question, pair.answer) for pair in TARGET.pairs])
    cosines = where.pool.vectors.astype(np.float32) @ references.T
    similarity = cosines.max(axis=1) if view == "max" else cosines.mean(axis=1)  # of three references, mean5 takes all
    assert ranking(where, view) == sorted(range(len(TEXTS)), key=lambda row: -similarity[row])


def test_a_document_on_nothing_of_the_target_comes_last() -> None:
    assert ranking(world(TEXTS))[-1] == 3


@pytest.mark.parametrize("count", [1, 4, 100])
def test_how_many_are_asked_for_at_a_time_changes_nothing(count: int) -> None:
    assert ranking(world(TEXTS), count=count) == ranking(world(TEXTS))


def test_every_document_is_named_once() -> None:
    assert sorted(ranking(world(TEXTS))) == list(range(len(TEXTS)))


def test_equal_documents_keep_their_order() -> None:
    assert ranking(world([TEXTS[3], TEXTS[1], TEXTS[1], TEXTS[1]])) == [1, 2, 3, 0]


def test_renumbering_the_documents_renumbers_the_ranking() -> None:
    shuffle = [4, 2, 5, 0, 3, 1]  # new row i is old row shuffle[i]
    renumbered = ranking(world([TEXTS[old] for old in shuffle]))
    assert [shuffle[row] for row in renumbered] == ranking(world(TEXTS))


def test_the_order_of_the_target_does_not_matter() -> None:
    assert ranking(world(TEXTS), target=Target(TARGET.pairs[::-1])) == ranking(world(TEXTS))


def test_an_empty_text_is_named_too() -> None:
    assert sorted(ranking(world([*TEXTS, ""]))) == list(range(len(TEXTS) + 1))


def test_a_pool_of_one_document_and_a_target_of_one_pair_are_enough() -> None:
    assert ranking(world(TEXTS[:1]), target=Target(TARGET.pairs[:1])) == [0]


def test_the_report_names_the_view() -> None:
    assert NearestPolicy(NearestSettings(view="max"), world(TEXTS).embedder).report() == {"view": "max"}
