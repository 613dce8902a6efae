"""Contrastive alignment of documents with their pairs: the InfoNCE loss on an embedding table (EQUAL, step 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Rows = NDArray[np.int64]
Features: TypeAlias = Any  # scipy.sparse.csr_matrix of float32, shape (texts, features); its stubs know no dtype

BATCH_OF_DOCUMENTS = 512  # rows of the document-by-pair similarity matrix held at a time while mining


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. Origins of the defaults: `settings.AlignmentSettings`."""

    temperature: float
    epochs: int
    batch_size: int
    learning_rate: float
    warmup_ratio: float
    hard_negatives: int
    hard_ranks: tuple[int, int]


def unit_rows(matrix: NDArray[np.floating]) -> Matrix:
    """Scale rows to length 1; rows of zeros stay zeros."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.where(lengths > 0, lengths, 1.0), dtype=np.float32)


def info_nce(
    documents: Matrix, pairs: Matrix, positive: Rows, ignored: NDArray[np.bool_], temperature: float
) -> tuple[float, Matrix, Matrix]:
    """InfoNCE loss and its gradients.

    ``L = mean_i -log( e^{s(d_i, q_i+)/t} / sum_j e^{s(d_i, q_j)/t} )``, s = inner product of unit rows, j over the
    positive and all negatives (EQUAL, warm-up).

    Parameters
    ----------
    documents : float32 array, shape (n, dim), unit rows
    pairs : float32 array, shape (m, dim), unit rows: positives and negatives of all documents of the batch
    positive : int64 array, shape (n,): the row in `pairs` of each document's positive
    ignored : bool array, shape (n, m): pairs that are no negatives of a document, being its own too
    temperature : t, above 0

    Returns
    -------
    loss : float, nats, lower is better
    gradients with respect to `documents` and `pairs`, in their shapes
    """
    every = np.arange(len(documents))
    logits = documents @ pairs.T / temperature
    logits[ignored] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits)
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    loss = float(-np.log(np.maximum(shares[every, positive], 1e-30)).mean())
    shares[every, positive] -= 1.0
    shares /= len(documents) * temperature
    return loss, shares @ pairs, shares.T @ documents


def through_normalisation(gradient: Matrix, unit: Matrix, lengths: Matrix) -> Matrix:
    """Carry a gradient with respect to ``x / |x|`` back to x; `lengths` is |x|, shape (n, 1)."""
    along = (gradient * unit).sum(axis=1, keepdims=True)
    return np.asarray((gradient - along * unit) / lengths, dtype=np.float32)


def hard_negative_candidates(documents: Matrix, pairs: Matrix, owners: Rows, ranks: tuple[int, int]) -> Rows:
    """For each document the pairs of other documents that stand at `ranks` (first and last, counted from 1) by cosine.

    int64 array, shape (documents, at most last - first + 1). Fewer columns where there are fewer pairs; a document with
    fewer pairs of others than columns has them repeated, one without any has its own.
    """
    first, last = ranks[0] - 1, min(ranks[1], len(pairs))
    ranked = np.empty((len(documents), last), dtype=np.int64)
    for start in range(0, len(documents), BATCH_OF_DOCUMENTS):
        stop = min(start + BATCH_OF_DOCUMENTS, len(documents))
        similarity = documents[start:stop] @ pairs.T
        similarity[np.arange(start, stop)[:, None] == owners] = -np.inf  # its own come last
        ranked[start:stop] = np.argsort(-similarity, axis=1, kind="stable")[:, :last]
    others = np.minimum(len(pairs) - np.bincount(owners, minlength=len(documents)), last)[:, None]
    begin = np.clip(others - 1, 0, first)
    columns = begin + np.arange(max(last - first, min(last, 1))) % np.maximum(others - begin, 1)
    return np.take_along_axis(ranked, columns, axis=1)


def train_table(
    document_features: Features, pair_features: Features, owners: Rows, table: Matrix, recipe: Recipe,
    rng: np.random.Generator,
) -> Matrix:  # fmt: skip
    """Learn the embedding table, shared by documents and pairs, that brings pairs closest to their own documents.

    A text's embedding is ``unit_rows(features @ table)``; with token counts as features the table holds one vector per
    token. Adam; the rate decays linearly, and rises through the warm-up. Each pair is one example: its document is the
    anchor, the other pairs of the batch and `hard_negatives` mined ones are the negatives.

    Parameters
    ----------
    document_features, pair_features : sparse float32 arrays, shapes (n, features) and (m, features)
    owners : int64 array, shape (m,): the row of documents each pair came from
    table : float32 array, shape (features, dim): where to start

    Returns
    -------
    float32 array, shape (features, dim)
    """
    scale = float(np.linalg.norm(table, axis=1).mean()) or 1.0
    table = table / scale
    optimiser = _Adam(table.shape)
    start = unit_rows(document_features @ table), unit_rows(pair_features @ table)
    candidates = hard_negative_candidates(*start, owners, recipe.hard_ranks)
    batches = -(-len(owners) // recipe.batch_size)
    for step in range(recipe.epochs * batches):
        if step % batches == 0:
            order = rng.permutation(len(owners))
        batch = order[step % batches :: batches]
        columns = np.concatenate([batch, _some_of_each(candidates[owners[batch]], recipe.hard_negatives, rng)])
        ignored = owners[columns][None, :] == owners[batch][:, None]
        gradient = _table_gradient(
            table, document_features[owners[batch]], pair_features[columns], ignored, recipe.temperature
        )
        table -= _rate(step, recipe.epochs * batches, recipe) * optimiser.direction(gradient)
    return np.asarray(table * scale, dtype=np.float32)


def _some_of_each(candidates: Rows, count: int, rng: np.random.Generator) -> Rows:
    """`count` random candidates of each row, flat."""
    columns = rng.integers(0, candidates.shape[1], (len(candidates), count))
    return np.take_along_axis(candidates, columns, axis=1).ravel()


def _table_gradient(
    table: Matrix, documents: Features, pairs: Features, ignored: NDArray[np.bool_], temperature: float
) -> Matrix:
    """Gradient of the loss with respect to the table, for one batch; the first pairs are the documents' positives."""
    embedded_documents, embedded_pairs = documents @ table, pairs @ table
    document_lengths, pair_lengths = _lengths(embedded_documents), _lengths(embedded_pairs)
    positive = np.arange(len(embedded_documents))
    ignored[positive, positive] = False
    unit_documents, unit_pairs = embedded_documents / document_lengths, embedded_pairs / pair_lengths
    _, to_documents, to_pairs = info_nce(unit_documents, unit_pairs, positive, ignored, temperature)
    of_documents = documents.T @ through_normalisation(to_documents, unit_documents, document_lengths)
    of_pairs = pairs.T @ through_normalisation(to_pairs, unit_pairs, pair_lengths)
    return np.asarray(of_documents + of_pairs, dtype=np.float32)


def _lengths(matrix: Matrix) -> Matrix:
    return np.asarray(np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-6), dtype=np.float32)


def _rate(step: int, steps: int, recipe: Recipe) -> float:
    warm = max(recipe.warmup_ratio * steps, 1.0)
    return recipe.learning_rate * min((step + 1) / warm, 1.0) * (1.0 - step / steps)


class _Adam:
    """Adam with its usual constants (Kingma and Ba 2015)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.first, self.second, self.steps = np.zeros(shape, np.float32), np.zeros(shape, np.float32), 0

    def direction(self, gradient: Matrix) -> Matrix:
        self.steps += 1
        self.first += 0.1 * (gradient - self.first)
        self.second += 0.001 * (np.square(gradient) - self.second)
        corrected = self.first / (1 - 0.9**self.steps)
        return np.asarray(corrected / (np.sqrt(self.second / (1 - 0.999**self.steps)) + 1e-8), dtype=np.float32)


def mean_reciprocal_rank(documents: Matrix, pairs: Matrix, owners: Rows) -> float:
    """How high a pair ranks its own document among all documents: mean of 1 / rank, 0 to 1, higher is better.

    Ties count against it (the own document is ranked last among equals).

    >>> mean_reciprocal_rank(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[1, 1]], np.array([1, 0]))
    0.6666666666666666
    """
    similarity = pairs @ documents.T
    own = similarity[np.arange(len(pairs)), owners][:, None]
    ranks = (~(similarity < own)).sum(axis=1)  # what is not a number ranks last too
    return float(np.mean(1.0 / ranks))
