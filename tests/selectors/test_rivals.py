"""RECOST's rivals on a few samples, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bonanza.records import Question, Sample, Target, Turn
from bonanza.selectors.delift import DeliftSelector
from bonanza.selectors.entropies import NO_SCORE
from bonanza.selectors.perplexity import ABOVE_ONE, IfdSelector, PerplexitySelector, highest
from bonanza.selectors.plain import KCenterSelector, LengthSelector, NearestSelector, RandomSelector
from bonanza.settings import DeliftSettings
from word_scorer import WordScorer


class Letters:
    """An embedder that counts letters."""

    name, dim = "letters", 4

    def embed(self, texts):
        counts = np.array([[text.count(letter) for letter in "abcd"] for text in texts], np.float32) + 0.01
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def sample(prompt: str, response: str) -> Sample:
    return Sample(0, (Turn("user", prompt), Turn("assistant", response)))


def silent(done: int, of: int) -> None:
    """Tell nobody."""


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_random_keeps_each_at_most_once_and_depends_on_the_seed_alone():
    samples = [sample("a", "b")] * 50
    kept = RandomSelector().select(samples, 20, rng()).kept
    assert len(set(kept)) == 20
    assert kept == RandomSelector().select(samples, 20, rng()).kept
    assert kept != RandomSelector().select(samples, 20, rng(1)).kept


def test_length_keeps_the_longest_responses():
    samples = [sample("a" * 99, "b"), sample("a", "bbb"), sample("a", "bb"), sample("a", "ccc")]
    selection = LengthSelector().select(samples, 3, rng())
    assert selection.kept == [1, 3, 2]
    assert selection.scores == {"length": [1, 3, 2, 3]}


def test_nearest_keeps_what_is_nearest_to_the_target_on_average():
    samples = [sample("a", "a"), sample("b", "b"), sample("a", "b"), sample("c", "c")]
    target = Target((Question("b", "b"), Question("bb", "b"), Question("b", "a")))
    assert NearestSelector(Letters(), target).select(samples, 3, rng()).kept == [1, 2, 0]


def test_k_centers_are_far_from_one_another():
    samples = [sample(letter, letter) for letter in "aaabbbcccd"]
    for seed in range(5):
        kept = KCenterSelector(Letters()).select(samples, 4, rng(seed)).kept
        assert {samples[position].prompt for position in kept} == set("abcd")


# The model: (times the word stood before + 1) / (words before + 10)
HARD, EASY, HINDERED = sample("one two", "three"), sample("one", "one one"), sample("three four", "five")
EMPTY = sample("one", " ")


def test_perplexity_keeps_the_worst_foreseen():
    selection = PerplexitySelector(WordScorer(), silent).select([EASY, EMPTY, HARD], 3, rng())
    assert selection.scores["entropy"] == pytest.approx([-math.log(2 / 11), math.nan, math.log(12)], nan_ok=True)
    assert selection.kept == [2, 0]
    assert selection.left_out == {1: NO_SCORE}


def test_ifd_keeps_the_highest_below_one():
    helped = sample("five six", "five five")
    selection = IfdSelector(WordScorer(), silent).select([EASY, helped, HINDERED, EMPTY], 4, rng())
    ratios = [math.log(11 / 2) / math.log(10), math.log(12 / 2) / math.log(10), math.log(12) / math.log(10), math.nan]
    assert selection.scores["ifd"] == pytest.approx(ratios, nan_ok=True)
    assert selection.kept == [1, 0]
    assert selection.left_out == {2: ABOVE_ONE, 3: NO_SCORE}


def test_a_response_that_is_certain_has_no_ifd():
    class Certain(WordScorer):
        def of(self, passage):
            return super().of(passage).__class__(0.0, 1)

    selection = IfdSelector(Certain(), silent).select([EASY], 1, rng())
    assert (selection.kept, selection.left_out) == ([], {0: NO_SCORE})


def test_highest_never_names_nan():
    assert highest(np.array([np.nan, 2.0, 5.0, 2.0, np.nan]), 4) == [2, 1, 3]


def test_delift_by_hand():
    teacher, pupil, stranger = sample("a b", "a a a a"), sample("a c", "a"), sample("d", "d d")
    selection = DeliftSelector(DeliftSettings(neighbours=2), WordScorer(), Letters(), silent).select(
        [pupil, stranger, teacher], 2, rng()
    )
    # The pupil alone: 2 of 12; with the teacher's 6 words, 5 of them "a": 7 of 18.
    # The teacher alone: 2 of 12; with the pupil's 3 words, 2 of them "a": 4 of 15. The stranger's 3 words help nobody.
    for_pupil, for_teacher = math.log(7 / 18 * 12 / 2), math.log(4 / 15 * 12 / 2)
    assert selection.scores["utility"] == pytest.approx([for_teacher, 0, for_pupil])
    assert selection.kept == [2, 0]


def test_delift_leaves_out_what_has_no_score_and_shows_nobody_itself():
    scorer = WordScorer()
    samples = [sample("a", "a"), sample("a", "a"), EMPTY, sample("b a", "a b")]
    selection = DeliftSelector(DeliftSettings(neighbours=3), scorer, Letters(), silent).select(samples, 4, rng())
    assert selection.left_out == {2: NO_SCORE}
    assert sorted(selection.kept) == [0, 1, 3]
    for passage in scorer.seen[4:]:
        assert not passage.knowledge[0].startswith(f"{passage.turns[0].text}\n")
