"""Knowledge is what is nearest, but never the sample itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bonanza.algorithms.info_nce import unit_rows
from bonanza.embedders.static import fit_static
from bonanza.records import Knowledge, Sample, Turn
from bonanza.selectors import knowledge
from bonanza.selectors.knowledge import KnowledgeBase


@dataclass(frozen=True)
class Given:
    """An embedder of numbers: "3" is row 3."""

    rows: np.ndarray
    name: str = "given"

    @property
    def dim(self) -> int:
        return self.rows.shape[1]

    def embed(self, texts):
        return self.rows[[int(text.split()[0]) for text in texts]]


def sample(prompt: str, response: str = "yes", row: int = 0) -> Sample:
    return Sample(row, (Turn("user", prompt), Turn("assistant", response)))


def random_rows(count: int, dim: int = 16) -> np.ndarray:
    return unit_rows(np.random.default_rng(0).normal(size=(count, dim)).astype(np.float32))


def items(count: int) -> list[Knowledge]:
    return [Knowledge(str(number), f"{number} ?", f"{number} ? an answer") for number in range(count)]


def test_the_nearest_come_first_as_comparing_all_would_tell():
    rows = random_rows(300)
    found = KnowledgeBase(items(200), Given(rows)).nearest([sample(f"{n} x") for n in range(200, 300)], 5, 1.0)
    for number, near in enumerate(found, start=200):
        expected = np.argsort(-(rows[:200] @ rows[number]), kind="stable")[:5]
        assert [int(item.id) for item in near] == expected.tolist()


def test_an_approximate_index_finds_nearly_all_of_them(monkeypatch):
    monkeypatch.setattr(knowledge, "EXACT_BELOW", 1_000)
    rows = random_rows(4_100)
    asked = [sample(f"{number} x") for number in range(4_000, 4_100)]
    large, small = KnowledgeBase(items(4_000), Given(rows)), KnowledgeBase(items(999), Given(rows))
    assert (large.is_exact, small.is_exact) == (False, True)
    truth = np.argsort(-(rows[4_000:] @ rows[:4_000].T), axis=1)[:, :5]
    found = large.nearest(asked, 5, 1.0)
    hits = sum(int(item.id) in best for near, best in zip(found, truth, strict=True) for item in near)
    assert hits >= 0.97 * truth.size


ANSWER = "Lake Alder is forty metres deep at its northern shore."
COPIES = [
    Knowledge("same prompt", "How deep is lake Alder?", "How deep is lake Alder?\n\nNobody knows."),
    Knowledge("same but for case and space", "how deep  is LAKE alder?\n", "something else"),
    Knowledge("same response", "Tell me of lakes.", f"Tell me of lakes.\n\n{ANSWER.upper()}"),
    Knowledge("document with the response", "", f"Of lakes: {ANSWER} Perch live in it."),
]
OTHERS = [
    Knowledge("other lake", "How deep is lake Birch?", "How deep is lake Birch?\n\nIt has no bottom."),
    Knowledge("document", "", "Lakes are deep in the north."),
    Knowledge("bread", "How is bread baked?", "How is bread baked?\n\nIn an oven."),
]


@pytest.fixture(scope="module")
def embedder():
    texts = [item.text for item in COPIES + OTHERS] * 3
    return fit_static(texts)


def test_the_sample_itself_and_its_copies_are_no_knowledge(embedder):
    base = KnowledgeBase(COPIES + OTHERS, embedder)
    (found,) = base.nearest([sample("How deep is lake Alder?", ANSWER)], 5, near_copy=1.0)
    assert {item.id for item in found} == {item.id for item in OTHERS}


def test_what_is_nearer_than_the_threshold_is_a_copy():
    angles = np.array([0, 0.1, 0.4, 1.0])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    base = KnowledgeBase(items(4)[1:], Given(rows))
    for threshold, expected in ((0.9999, ["1", "2", "3"]), (0.95, ["2", "3"]), (0.9, ["3"]), (0.1, [])):
        assert [item.id for item in base.nearest([sample("0 x")], 5, threshold)[0]] == expected


def test_a_short_response_is_in_many_texts_and_makes_no_copy():
    base = KnowledgeBase(items(3), Given(random_rows(4)))
    assert len(base.nearest([sample("3 x", "an answer")], 5, 1.0)[0]) == 3


def test_however_many_copies_there_are_others_are_found():
    rows = np.repeat(np.eye(2, dtype=np.float32), [1_000, 5], axis=0)
    rows[1_000:, 0] = 0.5
    found = KnowledgeBase(items(1_005), Given(unit_rows(rows))).nearest([sample("0 x"), sample("1001 x")], 5, 0.95)
    assert sorted(int(item.id) for item in found[0]) == list(range(1_000, 1_005))
    assert all(int(item.id) < 1_000 for item in found[1])
    assert len(found[1]) == 5


def test_where_no_more_are_left_there_are_fewer():
    base = KnowledgeBase(items(3), Given(random_rows(4)))
    assert len(base) == 3
    assert len(base.nearest([sample("3 x")], 5, 1.0)[0]) == 3
    assert base.nearest([sample("0 ?")], 5, 1.0)[0] != []
    assert KnowledgeBase(items(1), Given(random_rows(2))).nearest([sample("0 ?")], 5, 1.0) == [[]]
