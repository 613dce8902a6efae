import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonanza.algorithms import clustering
from bonanza.algorithms.clustering import assign, bend, cluster_moments, elbow, fit_centroids, gaussian_distances
from bonanza.algorithms.info_nce import unit_rows

seeds = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=30)


def planted(clusters: int, per_cluster: int, dim: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows in tight clusters, shuffled, and the cluster of each."""
    centres = np.linalg.qr(rng.normal(size=(dim, clusters)))[0].T  # orthogonal: no two near each other by chance
    labels = rng.permutation(np.repeat(np.arange(clusters), per_cluster))
    return unit_rows(centres[labels] + 0.05 * rng.normal(size=(len(labels), dim))), labels


def same_partition(found: np.ndarray, true: np.ndarray) -> bool:
    return bool((np.equal.outer(found, found) == np.equal.outer(true, true)).all())


@few
@given(st.integers(1, 7), st.integers(1, 6), seeds)
def test_gaussian_distances_follow_the_formula(clusters: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean, deviation = rng.normal(size=(clusters, dim)), rng.random((clusters, dim))
    expected = np.zeros((clusters, clusters))
    for i in range(clusters):
        for j in range(clusters):
            for d in range(dim):
                expected[i, j] += (mean[i, d] - mean[j, d]) ** 2 + (deviation[i, d] - deviation[j, d]) ** 2
    np.testing.assert_allclose(gaussian_distances(mean, deviation), expected, atol=1e-12)


def test_gaussian_distances_of_equal_clusters_are_nothing_and_never_negative() -> None:
    mean = np.full((3, 50), 1 / 3, dtype=np.float32)
    distances = gaussian_distances(mean, mean * 0.1)
    assert (distances >= 0).all()
    assert (distances < 1e-12).all()


@pytest.mark.parametrize("batch", [65_536, 7, 1])
def test_each_row_goes_to_its_nearest_centroid(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(clustering, "BATCH", batch)
    rng = np.random.default_rng(0)
    vectors, centroids = rng.normal(size=(50, 6)).astype(np.float32), rng.normal(size=(8, 6)).astype(np.float32)
    expected = [min(range(8), key=lambda k: float(np.sum((row - centroids[k]) ** 2))) for row in vectors]
    assert assign(vectors, centroids).tolist() == expected


@pytest.mark.parametrize("batch", [65_536, 7, 1])
def test_moments_are_the_mean_and_deviation_of_each_cluster(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(clustering, "BATCH", batch)
    rng = np.random.default_rng(1)
    vectors, labels = rng.normal(size=(60, 5)).astype(np.float32), rng.integers(0, 4, 60)
    mean, deviation = cluster_moments(vectors, labels, 4)
    for cluster in range(4):
        np.testing.assert_allclose(mean[cluster], vectors[labels == cluster].mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(deviation[cluster], vectors[labels == cluster].std(axis=0), atol=1e-5)


def test_moments_of_clusters_of_one_and_of_none_are_finite() -> None:
    vectors = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float16)
    mean, deviation = cluster_moments(vectors, np.array([0, 2]), 3)
    assert mean.tolist() == [[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]]
    assert (deviation == 0).all()


def test_equal_generators_give_equal_centroids() -> None:
    vectors, _ = planted(5, 30, 16, np.random.default_rng(2))
    first, second = (fit_centroids(vectors, 5, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_another_generator_gives_other_centroids() -> None:
    vectors = np.random.default_rng(3).normal(size=(200, 8)).astype(np.float32)
    first, second = (fit_centroids(vectors, 5, np.random.default_rng(seed)) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_planted_clusters_are_found_up_to_a_few_splits() -> None:
    vectors, labels = planted(6, 40, 16, np.random.default_rng(4))
    found = assign(vectors, fit_centroids(vectors, 12, np.random.default_rng(0)))
    # k-means from a random start may split one cluster and join two others; with twice as many it must not join any
    assert all(len(np.unique(labels[found == cluster])) == 1 for cluster in np.unique(found))


def test_half_precision_vectors_give_the_same_clusters() -> None:
    vectors, _ = planted(4, 30, 16, np.random.default_rng(5))
    halves = vectors.astype(np.float16)
    wide, narrow = (assign(v, fit_centroids(v, 4, np.random.default_rng(0))) for v in (vectors, halves))
    assert same_partition(wide, narrow)


def test_as_many_clusters_as_documents_puts_each_alone() -> None:
    vectors = np.eye(6, dtype=np.float32)
    assert len(set(assign(vectors, fit_centroids(vectors, 6, np.random.default_rng(0))).tolist())) == 6


def test_identical_documents_give_finite_centroids() -> None:
    vectors = np.full((12, 4), 0.5, dtype=np.float32)
    centroids = fit_centroids(vectors, 3, np.random.default_rng(0))
    assert np.isfinite(centroids).all()
    np.testing.assert_allclose(centroids, 0.5, atol=0.01)


def test_only_a_sample_of_256_documents_per_cluster_is_read() -> None:
    class Counting(np.ndarray):
        rows_read = 0

        def __getitem__(self, rows):
            Counting.rows_read += len(rows)
            return np.asarray(self)[rows]

    vectors = np.random.default_rng(6).normal(size=(2_000, 4)).astype(np.float32).view(Counting)
    fit_centroids(vectors, 3, np.random.default_rng(0))
    assert Counting.rows_read == 3 * 256


@pytest.mark.parametrize("planted_clusters", [8, 16, 32])
def test_elbow_finds_about_as_many_clusters_as_were_planted(planted_clusters: int) -> None:
    vectors, _ = planted(planted_clusters, 640 // planted_clusters, 48, np.random.default_rng(planted_clusters))
    chosen = elbow(vectors, [2, 4, 8, 16, 32, 64, 128], np.random.default_rng(0))
    assert planted_clusters <= chosen <= 2 * planted_clusters


def test_elbow_of_one_or_two_candidates_is_the_first() -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert elbow(vectors, [3], np.random.default_rng(0)) == 3
    assert elbow(vectors, [2, 3], np.random.default_rng(0)) == 2


def test_bend_is_the_point_farthest_below_the_chord() -> None:
    # Scaled: across 0, 1/4, 1/2, 3/4, 1; height 1, 0.5, 0.1, 0.05, 0; below the chord 0, 0.25, 0.4, 0.2, 0
    assert bend(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([100.0, 50.0, 10.0, 5.0, 0.0])) == 2


def test_bend_of_a_flat_or_rising_curve_is_the_first_point() -> None:
    steps = np.array([1.0, 2.0, 3.0])
    assert bend(steps, np.array([4.0, 4.0, 4.0])) == 0
    assert bend(steps, np.array([4.0, 5.0, 6.0])) == 0


@few
@given(st.floats(0.01, 1000), st.floats(0.01, 1000))
def test_bend_does_not_depend_on_the_units(across: float, up: float) -> None:
    steps, errors = np.array([1.0, 2.0, 4.0, 8.0]), np.array([9.0, 4.0, 1.0, 0.5])
    assert bend(steps * across, errors * up) == bend(steps, errors)
