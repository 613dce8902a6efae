from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from bonanza.algorithms import info_nce as module
from bonanza.algorithms.info_nce import (
    Recipe,
    hard_negative_candidates,
    info_nce,
    mean_reciprocal_rank,
    through_normalisation,
    train_table,
    unit_rows,
)

RECIPE = Recipe(
    temperature=0.1, epochs=4, batch_size=32, learning_rate=0.02, warmup_ratio=0.1, hard_negatives=3, hard_ranks=(2, 20)
)
seeds = st.integers(0, 2**32 - 1)


def cloud(rows: int, dim: int, seed: int) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(rows, dim)))


def finite_differences(value, point: np.ndarray, step: float = 1e-6) -> np.ndarray:
    slope = np.zeros_like(point)
    for place in np.ndindex(point.shape):
        ahead, behind = point.copy(), point.copy()
        ahead[place] += step
        behind[place] -= step
        slope[place] = (value(ahead) - value(behind)) / (2 * step)
    return slope


def planted(documents: int, seed: int) -> tuple[csr_matrix, csr_matrix, np.ndarray, np.ndarray]:
    """Documents of 3 words of their own; each has two pairs, of 3 answer words that stand for those words.

    The starting table knows nothing of which answer word stands for which.
    """
    rng = np.random.default_rng(seed)
    words = 30
    chosen = np.array([rng.choice(words, 3, replace=False) for _ in range(documents)])
    owners = np.repeat(np.arange(documents), 2)
    document_features = np.zeros((documents, 2 * words), dtype=np.float32)
    np.put_along_axis(document_features, chosen, 1.0, axis=1)
    pair_features = np.zeros((len(owners), 2 * words), dtype=np.float32)
    np.put_along_axis(pair_features, chosen[owners] + words, 1.0, axis=1)
    table = rng.normal(size=(2 * words, 24)).astype(np.float32)
    return csr_matrix(document_features), csr_matrix(pair_features), owners, table


def rank_with(table: np.ndarray, documents: csr_matrix, pairs: csr_matrix, owners: np.ndarray) -> float:
    return mean_reciprocal_rank(unit_rows(documents @ table), unit_rows(pairs @ table), owners)


def loss_with(
    table: np.ndarray, documents: csr_matrix, pairs: csr_matrix, owners: np.ndarray, temperature: float = 0.1
) -> float:
    own = owners[None, :] == owners[:, None]
    np.fill_diagonal(own, False)
    anchors = unit_rows(documents @ table)[owners]
    return info_nce(anchors, unit_rows(pairs @ table), np.arange(len(owners)), own, temperature)[0]


def test_the_loss_of_two_documents_by_hand() -> None:
    documents, pairs = np.eye(2), np.array([[1.0, 0.0], [0.6, 0.8]])
    # t = 0.5. Document 0: cosines 1 and 0.6, logits 2 and 1.2: -log(e^2 / (e^2 + e^1.2)) = log(1 + e^-0.8) = 0.37110
    # Document 1: cosines 0 and 0.8, logits 0 and 1.6, positive the second: log(1 + e^-1.6) = 0.18390
    loss, _, _ = info_nce(documents, pairs, np.array([0, 1]), np.zeros((2, 2), dtype=np.bool_), 0.5)
    assert loss == pytest.approx((0.37110 + 0.18390) / 2, abs=1e-5)


def test_ignored_pairs_leave_loss_and_gradient_untouched() -> None:
    documents, pairs = cloud(3, 4, 0), cloud(5, 4, 1)
    none = np.zeros((3, 4), dtype=np.bool_)
    without = info_nce(documents, pairs[:4], np.arange(3), none, 0.1)
    ignored = np.concatenate([none, np.ones((3, 1), dtype=np.bool_)], axis=1)
    loss, of_documents, of_pairs = info_nce(documents, pairs, np.arange(3), ignored, 0.1)
    assert loss == pytest.approx(without[0], rel=1e-6)
    np.testing.assert_allclose(of_documents, without[1], rtol=1e-5, atol=1e-6)
    assert (of_pairs[4] == 0).all()


def test_a_document_with_no_negatives_has_no_loss() -> None:
    loss, of_documents, of_pairs = info_nce(
        cloud(1, 4, 0), cloud(1, 4, 1), np.array([0]), np.zeros((1, 1), dtype=np.bool_), 0.02
    )
    assert loss == 0
    assert not of_documents.any()
    assert not of_pairs.any()


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 4), st.integers(0, 3), seeds)
def test_gradients_match_finite_differences(count: int, extra: int, seed: int) -> None:
    documents, pairs = cloud(count, 3, seed).astype(float), cloud(count + extra, 3, seed + 1).astype(float)
    positive = np.arange(count)
    ignored = np.random.default_rng(seed).random((count, count + extra)) < 0.3
    ignored[positive, positive] = False
    _, of_documents, of_pairs = info_nce(documents, pairs, positive, ignored, 0.2)
    by_documents = finite_differences(lambda d: info_nce(d, pairs, positive, ignored, 0.2)[0], documents)
    by_pairs = finite_differences(lambda p: info_nce(documents, p, positive, ignored, 0.2)[0], pairs)
    np.testing.assert_allclose(of_documents, by_documents, atol=1e-6)
    np.testing.assert_allclose(of_pairs, by_pairs, atol=1e-6)


def test_the_gradient_through_normalisation_matches_finite_differences() -> None:
    rng = np.random.default_rng(2)
    point, direction = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    lengths = np.linalg.norm(point, axis=1, keepdims=True)
    slope = finite_differences(lambda p: float((p / np.linalg.norm(p, axis=1, keepdims=True) * direction).sum()), point)
    np.testing.assert_allclose(through_normalisation(direction, point / lengths, lengths), slope, atol=1e-6)


def test_the_gradient_of_the_table_matches_finite_differences() -> None:
    rng = np.random.default_rng(3)
    documents = csr_matrix(rng.random((3, 6)) * (rng.random((3, 6)) < 0.6))
    pairs = csr_matrix(rng.random((5, 6)) * (rng.random((5, 6)) < 0.6) + 0.01)
    owners_of_batch, owners_of_columns = np.array([0, 1, 0]), np.array([0, 1, 0, 1, 2])
    ignored = owners_of_columns[None, :] == owners_of_batch[:, None]
    table = rng.normal(size=(6, 4))

    def loss(table: np.ndarray) -> float:
        own = ignored.copy()
        own[np.arange(3), np.arange(3)] = False
        unit = [m @ table / np.linalg.norm(m @ table, axis=1, keepdims=True) for m in (documents, pairs)]
        return info_nce(*unit, np.arange(3), own, 0.3)[0]

    gradient = module._table_gradient(table, documents, pairs, ignored.copy(), 0.3)
    np.testing.assert_allclose(gradient, finite_differences(loss, table), atol=2e-5)  # float32 inside


def test_training_lowers_the_loss_and_raises_the_rank_on_planted_words() -> None:
    documents, pairs, owners, table = planted(60, 0)
    trained = train_table(documents, pairs, owners, table, RECIPE, np.random.default_rng(0))
    assert loss_with(trained, documents, pairs, owners) < 0.5 * loss_with(table, documents, pairs, owners)
    assert rank_with(table, documents, pairs, owners) < 0.3
    assert rank_with(trained, documents, pairs, owners) > 0.8


def test_training_helps_documents_it_has_not_seen() -> None:
    documents, pairs, owners, table = planted(160, 1)
    seen = owners < 120
    trained = train_table(documents[:120], pairs[seen], owners[seen], table, RECIPE, np.random.default_rng(0))
    unseen = documents[120:], pairs[~seen], owners[~seen] - 120
    assert rank_with(trained, *unseen) > rank_with(table, *unseen) + 0.3


def test_equal_generators_train_equal_tables() -> None:
    documents, pairs, owners, table = planted(20, 2)
    first, second = (train_table(documents, pairs, owners, table, RECIPE, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_training_leaves_the_starting_table_as_it_is() -> None:
    documents, pairs, owners, table = planted(20, 3)
    before = table.copy()
    train_table(documents, pairs, owners, table, RECIPE, np.random.default_rng(0))
    np.testing.assert_array_equal(table, before)


def test_training_does_not_depend_on_the_scale_of_the_table() -> None:
    documents, pairs, owners, table = planted(20, 4)
    once = train_table(documents, pairs, owners, table, RECIPE, np.random.default_rng(0))
    scaled = train_table(documents, pairs, owners, table * 64, RECIPE, np.random.default_rng(0))
    np.testing.assert_allclose(scaled, once * 64, rtol=1e-4, atol=1e-3)


def test_tokens_that_nothing_contains_keep_their_vectors() -> None:
    documents, pairs, owners, table = planted(6, 5)
    absent = np.asarray(documents.sum(axis=0) + pairs.sum(axis=0)).ravel() == 0
    assert absent.any()
    trained = train_table(documents, pairs, owners, table, RECIPE, np.random.default_rng(0))
    np.testing.assert_allclose(trained[absent], table[absent], rtol=1e-5)


def test_training_goes_through_texts_without_any_known_token() -> None:
    documents, pairs, owners, table = planted(20, 6)
    documents, pairs = documents.tolil(), pairs.tolil()
    documents[0] = 0
    pairs[1] = 0
    documents, pairs = documents.tocsr(), pairs.tocsr()
    trained = train_table(documents, pairs, owners, table, RECIPE, np.random.default_rng(0))
    assert np.isfinite(trained).all()


def test_without_hard_negatives_the_batch_alone_teaches() -> None:
    documents, pairs, owners, table = planted(60, 7)
    trained = train_table(documents, pairs, owners, table, replace(RECIPE, hard_negatives=0), np.random.default_rng(0))
    assert rank_with(trained, documents, pairs, owners) > 0.8


def test_hard_negatives_stand_at_the_asked_ranks() -> None:
    pairs = np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.5, 0.5], [0.0, 1.0]])
    owners = np.array([0, 1, 1, 1, 1])
    # From the document [1, 0], its own pair 0 left out: 1, 2, 3, 4 at ranks 1 to 4
    assert hard_negative_candidates(np.array([[1.0, 0.0], [0.0, 1.0]]), pairs, owners, (2, 3))[0].tolist() == [2, 3]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=25), st.integers(1, 4), st.integers(0, 30), seeds)
def test_hard_negatives_are_never_a_documents_own_while_others_exist(
    owners: list[int], first: int, width: int, seed: int
) -> None:
    own = np.array(owners)
    candidates = hard_negative_candidates(cloud(6, 4, seed), cloud(len(own), 4, seed + 1), own, (first, first + width))
    assert len(candidates) == 6
    for document in range(6):
        if (own != document).any():
            assert (own[candidates[document]] != document).all()


def test_mining_in_batches_of_documents_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    documents, pairs, owners = cloud(11, 4, 0), cloud(60, 4, 1), np.arange(60) % 11
    whole = hard_negative_candidates(documents, pairs, owners, (2, 20))
    monkeypatch.setattr(module, "BATCH_OF_DOCUMENTS", 3)
    np.testing.assert_array_equal(hard_negative_candidates(documents, pairs, owners, (2, 20)), whole)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3), seeds)
def test_the_rank_counts_every_document_at_least_as_similar(documents: int, pairs: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, asked = (rng.integers(-2, 3, (count, dim)).astype(np.float32) for count in (documents, pairs))  # many ties
    owners = rng.integers(0, documents, pairs)
    reciprocal = [
        1 / sum(float(pair @ row) >= float(pair @ rows[owner]) for row in rows)
        for pair, owner in zip(asked, owners, strict=True)
    ]
    assert mean_reciprocal_rank(rows, asked, owners) == pytest.approx(np.mean(reciprocal))


def test_an_embedding_that_tells_nothing_apart_ranks_last() -> None:
    assert mean_reciprocal_rank(np.ones((8, 2)), np.ones((3, 2)), np.array([0, 4, 7])) == pytest.approx(1 / 8)


def test_an_embedding_that_went_astray_ranks_last_and_is_never_preferred() -> None:
    astray = np.full((3, 2), np.nan, dtype=np.float32)
    assert mean_reciprocal_rank(np.eye(2, dtype=np.float32), astray, np.array([0, 1, 1])) == pytest.approx(1 / 2)


def test_unit_rows_leave_zeros_alone() -> None:
    np.testing.assert_allclose(unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
