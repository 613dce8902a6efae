import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonanza.algorithms import similarity
from bonanza.algorithms.info_nce import unit_rows
from bonanza.algorithms.similarity import pair_utility, similarity_to_references, usefulness_threshold

seeds = st.integers(0, 2**32 - 1)


def cloud(rows: int, dim: int, seed: int) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(rows, dim)))


def by_hand(vectors: np.ndarray, references: np.ndarray, view: str) -> list[float]:
    result = []
    for vector in vectors:
        cosines = sorted((float(vector @ reference) for reference in references), reverse=True)
        kept = {"mean": cosines, "max": cosines[:1], "mean5": cosines[:5]}[view]
        result.append(sum(kept) / len(kept))
    return result


@pytest.mark.parametrize("view", ["mean", "max", "mean5"])
@pytest.mark.parametrize("references", [1, 4, 5, 12])
@pytest.mark.parametrize("batch", [16_384, 7])
def test_each_view_matches_plain_loops(
    monkeypatch: pytest.MonkeyPatch, view: similarity.View, references: int, batch: int
) -> None:
    monkeypatch.setattr(similarity, "BATCH", batch)
    vectors, target = cloud(20, 6, 0), cloud(references, 6, 1)
    found = similarity_to_references(vectors, target, view)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(vectors, target, view), atol=1e-6)


def test_no_documents_have_no_similarities() -> None:
    assert similarity_to_references(np.zeros((0, 3), np.float16), np.eye(3, dtype=np.float32)).shape == (0,)


def test_half_precision_changes_little() -> None:
    vectors, target = cloud(30, 16, 2), cloud(8, 16, 3)
    narrow = similarity_to_references(vectors.astype(np.float16), target, "mean5")
    np.testing.assert_allclose(narrow, similarity_to_references(vectors, target, "mean5"), atol=1e-3)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), seeds)
def test_max_is_at_least_mean5_is_at_least_mean(references: int, seed: int) -> None:
    vectors, target = cloud(10, 5, seed), cloud(references, 5, seed + 1)
    mean, mean5, highest = (similarity_to_references(vectors, target, view) for view in ("mean", "mean5", "max"))
    assert (highest >= mean5 - 1e-6).all()
    assert (mean5 >= mean - 1e-6).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 12), seeds)
def test_the_order_of_references_does_not_matter(references: int, seed: int) -> None:
    vectors, target = cloud(10, 5, seed), cloud(references, 5, seed + 1)
    shuffled = target[np.random.default_rng(seed).permutation(references)]
    for view in ("mean", "max", "mean5"):
        np.testing.assert_allclose(
            similarity_to_references(vectors, shuffled, view),
            similarity_to_references(vectors, target, view),
            atol=1e-6,
        )
    assert usefulness_threshold(shuffled) == pytest.approx(usefulness_threshold(target), abs=1e-6)


@pytest.mark.parametrize("references", [2, 4, 6, 20])
def test_the_threshold_is_the_lower_quartile_of_how_near_references_are_to_the_others(references: int) -> None:
    target = cloud(references, 6, 4)
    each = [by_hand(target[[i]], np.delete(target, i, axis=0), "mean5")[0] for i in range(references)]
    assert usefulness_threshold(target) == pytest.approx(np.quantile(each, 0.25), abs=1e-6)


def test_the_threshold_of_identical_references_is_one() -> None:
    assert usefulness_threshold(np.repeat(cloud(1, 6, 5), 10, axis=0)) == pytest.approx(1.0)


def test_one_reference_alone_has_a_fixed_threshold() -> None:
    assert usefulness_threshold(cloud(1, 6, 6)) == 0.5


def test_finding_the_threshold_leaves_the_references_as_they_are() -> None:
    target = cloud(8, 6, 7)
    before = target.copy()
    usefulness_threshold(target)
    np.testing.assert_array_equal(target, before)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), st.floats(-1, 1))
def test_utility_rises_with_similarity_and_stays_between_0_and_1(cosines: list[float], threshold: float) -> None:
    utility = pair_utility(np.sort(np.array(cosines)), threshold)
    assert (np.diff(utility) >= 0).all()
    assert ((utility >= 0) & (utility <= 1)).all()


def test_utility_is_one_half_at_the_threshold_and_073_one_sharpness_above() -> None:
    np.testing.assert_allclose(pair_utility(np.array([0.4, 0.43]), 0.4), [0.5, 1 / (1 + np.exp(-1))], atol=1e-12)


def test_utility_of_extreme_values_does_not_overflow() -> None:
    assert pair_utility(np.array([-1e9, 1e9]), 0.0) == pytest.approx([0.0, 1.0], abs=1e-12)


@pytest.mark.parametrize("references", [1, 4, 5, 300])
@pytest.mark.parametrize("batch", [16_384, 7])
def test_views_without_the_common_part_match_plain_loops(
    monkeypatch: pytest.MonkeyPatch, references: int, batch: int
) -> None:
    monkeypatch.setattr(similarity, "BATCH", batch)
    vectors = unit_rows(cloud(40, 6, 1) + 2.0)  # all of them share a long common part
    centre = similarity.mean_vector(vectors.astype(np.float16))
    assert centre == pytest.approx(vectors.mean(axis=0), abs=1e-3)
    moved = unit_rows(vectors - centre)
    assert similarity.without_centre(vectors, centre) == pytest.approx(moved, abs=1e-5)
    theirs = similarity.without_centre(unit_rows(cloud(references, 6, 2) + 2.0), centre)
    found = similarity.similarity_views(vectors, theirs, centre)
    expected = np.array([by_hand(moved, theirs, view) for view in ("mean", "mean5", "max")]).T
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_text_that_is_nothing_but_the_common_part_is_similar_to_nothing() -> None:
    centre = np.array([0.6, 0.8], dtype=np.float32)
    assert not similarity.without_centre(centre[None, :], centre).any()
