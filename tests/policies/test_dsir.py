import numpy as np
import pytest

from bonanza.interfaces import Pool
from bonanza.policies import dsir
from bonanza.policies.dsir import DsirPolicy
from bonanza.records import Document, Question, Target

TARGET = Target((Question("How is bread baked?", "With flour, water, salt, yeast and a hot oven."),) * 5)
BREAD = "The baker mixes flour, water, salt and yeast and bakes the bread in a hot oven."
SEA = "The crew moors the boat with a rope and reefs the sail before the storm comes."


def pool_of(texts: list[str]) -> Pool:
    def fetch(rows):
        return [Document(str(row), texts[row]) for row in rows]

    vectors = np.zeros((len(texts), 2), np.float16)
    return Pool(
        [str(row) for row in range(len(texts))], np.ones(len(texts), np.int64), vectors, 1, fetch, np.ones(len(texts))
    )


def chosen(texts: list[str], seed: int = 0, count: int = 7) -> list[int]:
    policy = DsirPolicy()
    policy.start(pool_of(texts), TARGET, np.random.default_rng(seed))
    named: list[int] = []
    while rows := policy.choose(count):
        named += rows
        policy.learn([])
    return named


def test_documents_in_the_words_of_the_target_come_first():
    order = chosen([SEA, BREAD] * 20)
    assert {row % 2 for row in order[:20]} == {1}


def test_every_document_is_named_once():
    assert sorted(chosen([SEA, BREAD, "", "?!"] * 10)) == list(range(40))


def test_equal_generators_draw_the_same_and_others_do_not():
    texts = [BREAD] * 30
    assert chosen(texts, seed=1) == chosen(texts, seed=1) != chosen(texts, seed=2)


@pytest.mark.parametrize("batch", [1, 7])
def test_the_batch_size_changes_nothing(monkeypatch, batch):
    texts = [SEA, BREAD, f"{SEA} {BREAD}"] * 5
    whole = chosen(texts)
    monkeypatch.setattr(dsir, "BATCH", batch)
    assert chosen(texts) == whole
