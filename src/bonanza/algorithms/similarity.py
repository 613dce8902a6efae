"""Similarity of many texts to a small reference set, in chunks, and what a pair is worth to the target."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]
View = Literal["mean", "max", "mean5"]

BATCH = 16_384  # rows compared at a time
ROUNDING = 1e-2  # [ours] length below which a difference of two unit vectors in float16 says nothing
SHARPNESS = 0.03  # [ours] cosine over which the utility of a pair goes from 0.5 to 0.73


def similarity_to_references(
    vectors: NDArray[np.floating], references: Matrix, view: View = "mean"
) -> NDArray[np.float32]:
    """Cosine of each row to a reference set.

    Parameters
    ----------
    vectors : float array, shape (texts, dim), unit rows; may be memory-mapped, read in chunks
    references : float32 array, shape (references, dim), unit rows, at least one
    view : mean over all references, maximum, or mean of the five nearest

    Returns
    -------
    float32 array, shape (texts,), -1 to 1, higher is more similar
    """
    result = np.empty(len(vectors), dtype=np.float32)
    centre = references.mean(axis=0)
    for start in range(0, len(vectors), BATCH):
        batch = np.asarray(vectors[start : start + BATCH], dtype=np.float32)
        scores = batch @ centre if view == "mean" else nearest_mean(batch @ references.T, 1 if view == "max" else 5)
        result[start : start + BATCH] = scores
    return result


def mean_vector(vectors: NDArray[np.floating]) -> Matrix:
    """What all texts have in common: float32 array, shape (dim,). Read in chunks.

    Sums of word vectors share a long common part that says nothing about a text; similarities are clearer without it
    (Mu and Viswanath, All-but-the-Top, arXiv 1702.01417, section 2: there the first principal components go too).
    """
    total = np.zeros(vectors.shape[1])
    for start in range(0, len(vectors), BATCH):
        total += np.asarray(vectors[start : start + BATCH], dtype=np.float32).sum(axis=0, dtype=np.float64)
    return np.asarray(total / max(len(vectors), 1), dtype=np.float32)


def without_centre(vectors: NDArray[np.floating], centre: Matrix) -> Matrix:
    """Rows without their common part, scaled to length 1 again: float32 array, the shape of `vectors`.

    A row that is nothing but the common part stays near 0: what float16 rounded off it is not a direction. A row of
    zeros (a text without any known token) stays one.
    """
    rows = np.asarray(vectors, dtype=np.float32)
    moved = np.where(rows.any(axis=1, keepdims=True), rows - centre, 0.0)
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), ROUNDING), dtype=np.float32)


def similarity_views(vectors: NDArray[np.floating], references: Matrix, centre: Matrix) -> Matrix:
    """Cosines to a reference set, seen in three ways, after the common part of all texts is taken away.

    Parameters
    ----------
    vectors : float array, shape (texts, dim); may be memory-mapped, read in chunks
    references : float32 array, shape (references, dim), unit rows, already without `centre`
    centre : float32 array, shape (dim,), of `mean_vector`

    Returns
    -------
    float32 array, shape (texts, 3): mean over the references, mean of the five nearest, maximum; -1 to 1
    """
    result = np.empty((len(vectors), 3), dtype=np.float32)
    rows = max(BATCH // max(len(references) // 256, 1), 1)
    for start in range(0, len(vectors), rows):
        similarity = without_centre(vectors[start : start + rows], centre) @ references.T
        views = similarity.mean(axis=1), nearest_mean(similarity, 5), similarity.max(axis=1)
        result[start : start + rows] = np.stack(views, axis=1)
    return result


def nearest_mean(similarity: Matrix, nearest: int) -> Matrix:
    """Mean of the highest values of each row, of all where it has fewer: float32 array, shape (rows,)."""
    nearest = min(nearest, similarity.shape[1])
    top = np.partition(similarity, similarity.shape[1] - nearest, axis=1)[:, -nearest:]
    return np.asarray(top.mean(axis=1), dtype=np.float32)


def nearest_rows(vectors: NDArray[np.floating], references: Matrix, count: int) -> NDArray[np.int64]:
    """The rows most similar to each reference, best first; equal ones by row.

    Parameters
    ----------
    vectors : float array, shape (texts, dim), unit rows; may be memory-mapped, read in chunks
    references : float32 array, shape (references, dim), unit rows
    count : rows per reference, at most the number of texts

    Returns
    -------
    int64 array, shape (references, count)
    """
    best = np.empty((len(references), 0), dtype=np.float32)
    rows = np.empty((len(references), 0), dtype=np.int64)
    for start in range(0, len(vectors), BATCH):
        batch = np.asarray(vectors[start : start + BATCH], dtype=np.float32)
        best = np.concatenate([best, references @ batch.T], axis=1)
        found = np.broadcast_to(np.arange(start, start + len(batch)), (len(references), len(batch)))
        rows = np.concatenate([rows, found], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :count]
        best, rows = np.take_along_axis(best, order, axis=1), np.take_along_axis(rows, order, axis=1)
    return rows


def usefulness_threshold(references: Matrix) -> float:
    """Lower quartile of how near the references are to each other [ours]: mean cosine to the 5 nearest others."""
    if len(references) < 2:
        return 0.5
    similarity = references @ references.T
    np.fill_diagonal(similarity, -1.0)
    return float(np.quantile(nearest_mean(similarity, min(5, len(references) - 1)), 0.25))


def pair_utility(similarity: NDArray[np.floating], threshold: float) -> Vector:
    """What pairs are worth to the target, 0 to 1 [ours]: a soft count of pairs as near to it as its own examples are.

    ``1 / (1 + exp(-(s - threshold) / 0.03))`` with s the mean cosine to the 5 nearest references ("mean5").

    >>> pair_utility(np.array([0.5, 0.8]), 0.5).round(3)
    array([0.5, 1. ])
    """
    exponent = np.clip((similarity.astype(np.float64) - threshold) / SHARPNESS, -50.0, 50.0)
    return np.asarray(1.0 / (1.0 + np.exp(-exponent)))
