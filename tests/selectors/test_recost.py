"""RECOST, worked out by hand with a language model that counts words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.interfaces import Passage
from bonanza.records import Knowledge, Sample, Turn
from bonanza.selectors.entropies import NO_SCORE
from bonanza.selectors.knowledge import KnowledgeBase
from bonanza.selectors.recost import DEGENERATE, RecostSelector, combined_rank, relative_entropy
from bonanza.settings import RecostSettings
from word_scorer import WordScorer

log = math.log


class Topics:
    """An embedder by the topics and the length of a text."""

    name, words = "topics", ("lake", "bread", "knot", "clock")
    dim = len(words) + 1

    def embed(self, texts):
        rows = [[text.split().count(word) for word in self.words] + [0.5 * len(text.split())] for text in texts]
        counts = np.array(rows, np.float32).reshape(-1, self.dim)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def sample(row: int, prompt: str, response: str) -> Sample:
    return Sample(row, (Turn("user", prompt), Turn("assistant", response)))


# Prompts of two words, responses of two; the model reckons with 10 words, so without knowledge it sees 2 of 12.
SAMPLES = [
    sample(0, "lake deep", "deep water"),  # p = 2/12 and 1/12
    sample(1, "bread hot", "oven oven"),  # 1/12 twice
    sample(2, "knot tight", "rope end"),  # 1/12 twice
    sample(3, "clock slow", "spring wound"),  # 1/12 twice; there is no knowledge of clocks
]
KNOWLEDGE = [
    Knowledge("lake", "lake", "lake deep water cold"),  # 4 words: p = 3/16 and 2/16
    Knowledge("bread", "bread", "bread oven oven warm"),  # 3/16 twice
    Knowledge("knot", "knot", "knot of four words"),  # 1/16 twice: worse than without
]
BARE = [-(log(2 / 12) + log(1 / 12)) / 2, log(12), log(12), log(12)]
INFORMED = [-(log(3 / 16) + log(2 / 16)) / 2, -log(3 / 16), log(16)]


def chosen(samples, keep, knowledge=KNOWLEDGE, scorer=None, told=lambda done, of: None, **settings):
    embedder, scorer = Topics(), scorer or WordScorer()
    base = KnowledgeBase(knowledge, embedder)
    given = RecostSettings(**{"rank": "both", "neighbours": 1, "near_copy": 0.99, **settings})
    return RecostSelector(given, scorer, base, embedder, told).select(samples, keep, np.random.default_rng(0))


def test_the_whole_method_by_hand():
    told: list[tuple[int, int]] = []
    selection = chosen(SAMPLES[:3], 3, told=lambda done, of: told.append((done, of)))
    scores = selection.scores
    assert scores["knowledge"] == [["lake"], ["bread"], ["knot"]]
    assert scores["entropy"] == pytest.approx(BARE[:3])
    assert scores["entropy_with_knowledge"] == pytest.approx(INFORMED)
    assert scores["relative_entropy"] == pytest.approx([BARE[n] - INFORMED[n] for n in range(3)])
    # Entropy with knowledge: bread 1.67, lake 1.88, knot 2.77. Gain: bread 0.81, lake 0.26, knot -0.29.
    assert scores["rank"] == [2, 1, 3]
    assert selection.kept == [1, 0, 2]
    assert selection.left_out == {}
    assert told[-1] == (6, 6)


@pytest.mark.parametrize(
    ("rank", "order"), [("both", [1, 0, 2]), ("entropy", [1, 0, 2]), ("relative", [1, 0, 2]), ("reversed", [0, 1, 2])]
)
def test_the_rule_decides_the_ranking(rank, order):
    # Reversed: ranks by entropy 1, 0, 2 and by gain, low first, 1, 2, 0: all sums are 2, and the first row leads.
    assert chosen(SAMPLES[:3], 3, rank=rank, window=1).kept == order


def test_a_window_takes_the_unlike_before_the_better():
    samples = [*SAMPLES[:2], sample(2, "bread cold", "oven oven"), SAMPLES[2]]
    # Ranking: bread hot, bread cold, lake, knot. A window of two takes lake after bread, since the other bread is near.
    assert chosen(samples, 2, window=1).kept == [1, 2]
    assert chosen(samples, 2, window=2).kept == [1, 0]


def test_a_sample_without_knowledge_gains_nothing():
    selection = chosen([SAMPLES[3]], 1, knowledge=[Knowledge("itself", "clock slow", "clock slow")])
    assert selection.scores["knowledge"] == [[]]
    assert selection.scores["relative_entropy"] == [0.0]
    assert selection.scores["entropy"] == selection.scores["entropy_with_knowledge"] == pytest.approx([BARE[3]])


def test_long_knowledge_is_cut_evenly():
    scorer = WordScorer()
    long = [Knowledge(str(n), "lake", "x" * 500) for n in range(3)]
    chosen(SAMPLES[:1], 1, knowledge=long, scorer=scorer, neighbours=3, knowledge_characters=100)
    assert [len(text) for text in scorer.seen[1].knowledge] == [33, 33, 33]
    assert scorer.seen[0] == Passage(SAMPLES[0].turns)


def test_what_cannot_be_scored_or_repeats_itself_is_left_out_with_its_reason():
    samples = [sample(0, "lake", "  "), sample(1, "lake", "deep " * 60), *SAMPLES[:2]]
    selection = chosen(samples, 4)
    assert selection.left_out == {0: NO_SCORE, 1: DEGENERATE}
    assert sorted(selection.kept) == [2, 3]
    assert selection.scores["rank"] == [None, None, 2, 1]
    assert math.isnan(selection.scores["relative_entropy"][0])
    assert sorted(chosen(samples, 4, flag_degenerate=False).kept) == [1, 2, 3]


def test_nothing_is_kept_where_nothing_can_be_ranked():
    selection = chosen([sample(0, "lake", "")], 1)
    assert (selection.kept, selection.left_out) == ([], {0: NO_SCORE})


def test_equal_inputs_give_equal_selections():
    samples = [sample(n, f"lake {n}", f"deep {n % 3}") for n in range(30)]
    assert chosen(samples, 7) == chosen(samples, 7)


def test_the_ranks_by_hand():
    informed, relative = np.array([1.0, 2.0, 3.0, 3.0]), np.array([0.1, 0.3, 0.2, 0.2])
    assert combined_rank(informed, relative, "entropy").tolist() == [0, 1, 2.5, 2.5]
    assert combined_rank(informed, relative, "relative").tolist() == [3, 0, 1.5, 1.5]
    assert combined_rank(informed, relative, "both").tolist() == [3, 1, 4, 4]
    assert combined_rank(informed, relative, "reversed").tolist() == [0, 4, 4, 4]


def test_relative_entropy_by_hand():
    bare, informed = np.array([2.0, 1.0, 0.0, np.nan]), np.array([0.5, 1.5, 0.0, 1.0])
    np.testing.assert_array_equal(relative_entropy(bare, informed, "difference"), [1.5, -0.5, 0.0, np.nan])
    np.testing.assert_array_equal(relative_entropy(bare, informed, "ratio"), [0.75, -0.5, 0.0, np.nan])


numbers = st.lists(st.tuples(st.integers(0, 5), st.integers(-5, 5)), min_size=1, max_size=8)


@given(numbers, st.data())
def test_ranks_belong_to_samples_not_to_places(pairs, data):
    informed, relative = np.array(pairs, np.float64).T
    order = data.draw(st.permutations(range(len(pairs))))
    for rule in ("both", "entropy", "relative", "reversed"):
        straight = combined_rank(informed, relative, rule)
        assert combined_rank(informed[order], relative[order], rule).tolist() == straight[order].tolist()


@given(numbers)
def test_a_sample_better_in_both_is_ranked_before(pairs):
    informed, relative = np.array(pairs, np.float64).T
    total = combined_rank(informed, relative, "both")
    better = (informed[:, None] < informed) & (relative[:, None] > relative)
    assert (total[:, None] < total)[better].all()
