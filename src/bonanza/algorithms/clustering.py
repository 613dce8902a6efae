"""k-means over document embeddings, batch by batch, and the distances between clusters (EQUAL, steps 2 and 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

BATCH = 65_536  # rows converted to float32 at a time: 64 MiB at 256 dimensions
POINTS_PER_CENTROID = 256  # faiss' own default: more do not change the centroids noticeably


def fit_centroids(
    vectors: NDArray[np.floating], clusters: int, rng: np.random.Generator, iterations: int = 20
) -> Matrix:
    """Find cluster centres by k-means (faiss, squared Euclidean distance) on at most 256 points per cluster.

    Parameters
    ----------
    vectors : float array, shape (documents, dim); may be memory-mapped, only the sample is read
    clusters : at least 1, at most the number of documents
    iterations : of Lloyd's algorithm; 20 is the authors' script's and faiss' usual choice

    Returns
    -------
    float32 array, shape (clusters, dim)
    """
    import faiss

    wanted = min(len(vectors), clusters * POINTS_PER_CENTROID)
    rows = np.sort(rng.choice(len(vectors), wanted, replace=False))
    sample = np.ascontiguousarray(vectors[rows], dtype=np.float32)
    kmeans = faiss.Kmeans(
        sample.shape[1], clusters, niter=iterations, seed=int(rng.integers(2**31)),
        min_points_per_centroid=1, max_points_per_centroid=POINTS_PER_CENTROID,
    )  # fmt: skip
    kmeans.train(sample)
    return np.asarray(kmeans.centroids, dtype=np.float32)


def assign(vectors: NDArray[np.floating], centroids: Matrix) -> NDArray[np.int64]:
    """Number of the nearest centroid for each row, batch by batch: int64 array, shape (documents,)."""
    half_norms = 0.5 * np.square(centroids).sum(axis=1)
    labels = np.empty(len(vectors), dtype=np.int64)
    for start in range(0, len(vectors), BATCH):
        batch = np.asarray(vectors[start : start + BATCH], dtype=np.float32)
        labels[start : start + BATCH] = np.argmax(batch @ centroids.T - half_norms, axis=1)
    return labels


def cluster_moments(vectors: NDArray[np.floating], labels: NDArray[np.int64], clusters: int) -> tuple[Matrix, Matrix]:
    """Mean and standard deviation of each cluster in each dimension: two float32 arrays, shape (clusters, dim)."""
    from scipy.sparse import csr_matrix

    sizes = np.maximum(np.bincount(labels, minlength=clusters), 1)[:, None]
    sums = np.zeros((2, clusters, vectors.shape[1]))
    for start in range(0, len(vectors), BATCH):
        batch = np.asarray(vectors[start : start + BATCH], dtype=np.float32)
        part = labels[start : start + BATCH]
        members = csr_matrix((np.ones(len(part), np.float32), (part, np.arange(len(part)))), (clusters, len(part)))
        sums += members @ batch, members @ np.square(batch)
    mean = sums[0] / sizes
    deviation = np.sqrt(np.maximum(sums[1] / sizes - np.square(mean), 0.0))
    return mean.astype(np.float32), deviation.astype(np.float32)


def gaussian_distances(mean: NDArray[np.floating], deviation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Squared 2-Wasserstein distance between every two Gaussians with diagonal covariance.

    ``|m_i - m_j|^2 + sum_d (sd_id - sd_jd)^2`` for all pairs at once, by matrix products (EQUAL's released code, where
    clusters below 0.2 are neighbours).

    Parameters
    ----------
    mean, deviation : float arrays, shape (clusters, dim)

    Returns
    -------
    float64 array, shape (clusters, clusters), symmetric, zero diagonal

    Examples
    --------
    >>> gaussian_distances(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [1.0, 2.0]]))
    array([[ 0., 26.],
           [26.,  0.]])
    """
    points = np.concatenate([mean, deviation], axis=1).astype(np.float64)
    norms = np.square(points).sum(axis=1)
    distances = np.maximum(norms[:, None] + norms - 2.0 * points @ points.T, 0.0)
    np.fill_diagonal(distances, 0.0)
    return np.asarray(distances, dtype=np.float64)


def elbow(vectors: NDArray[np.floating], candidates: list[int], rng: np.random.Generator) -> int:
    """Number of clusters at the bend of the error curve (the paper's choice of K).

    Runs k-means for every candidate on one sample of at most 20,000 rows; the bend is the candidate farthest below the
    straight line from the first to the last point of the curve, both axes scaled to 0..1.

    Parameters
    ----------
    candidates : increasing numbers of clusters, at least one
    """
    rows = np.sort(rng.choice(len(vectors), min(len(vectors), 20_000), replace=False))
    sample = np.asarray(vectors[rows], dtype=np.float32)
    if len(candidates) < 3:
        return candidates[0]
    errors = []
    for clusters in candidates:
        centroids = fit_centroids(sample, clusters, rng, iterations=8)
        errors.append(float(np.square(sample - centroids[assign(sample, centroids)]).sum()))
    return candidates[bend(np.array(candidates, dtype=np.float64), np.array(errors))]


def bend(steps: NDArray[np.float64], errors: NDArray[np.float64]) -> int:
    """Position of the point farthest below the chord of a falling curve, both axes scaled to 0..1.

    >>> bend(np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 2.0, 1.0, 0.0]))
    1
    """
    across = (steps - steps[0]) / (steps[-1] - steps[0])
    fall = errors[0] - errors[-1]
    height = (errors - errors[-1]) / fall if fall > 0 else 1.0 - across
    return int(np.argmax((1.0 - across) - height))
