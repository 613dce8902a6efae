"""Adaptive [ours], the default: a contextual bandit over documents that starts from a free similarity ranking.

What a document is worth is the sum over its new pairs of a power of their similarity to the reference set, divided by
what reading it is likely to cost. Before anything is read, its own similarity stands for that of its pairs. Every
reading then teaches a linear model which documents hold many, near, new pairs for their cost: what similarity alone
cannot see. The two are blended, the model's share growing with what was read. The best are read next: the reading
of near documents is never wasted, so nothing is spent on blind exploration.

Why it is this and not something else, with figures: docs/papers.md, "adaptive".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.ridge import Line, fit_ridge
from bonanza.algorithms.similarity import mean_vector, similarity_to_references, similarity_views, without_centre
from bonanza.interfaces import Embedder, Pool
from bonanza.records import Reading, Target, pair_text
from bonanza.settings import AdaptiveSettings

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]

NEAREST = 1  # column of similarity_views: mean of the five nearest references
NO_SIMILARITY = 1e-3  # documents and pairs that point away from the reference set count as barely similar
BATCH = 1_024  # documents scored at a time: few enough to stay in the cache of the processor
GROWTH = 8  # a batch grows to one eighth of what was read


class AdaptivePolicy:
    """Reads the most promising documents, and learns from each batch what promises."""

    clusters = None
    deterministic = True  # the generator is not used

    def __init__(self, settings: AdaptiveSettings, embedder: Embedder) -> None:
        self._settings = settings
        self._embedder = embedder

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Compare every document with the reference set."""
        self._pool = pool
        self._centre = mean_vector(pool.vectors)
        self._references = self._embedded([pair_text(pair.question, pair.answer) for pair in target.pairs])
        views = similarity_views(pool.vectors, self._references, self._centre)
        self._nearness = np.maximum(views[:, NEAREST].astype(np.float64), NO_SIMILARITY)
        self._prior = self._nearness**self._settings.sharpness / pool.costs
        self._features = _standardised(np.column_stack([views, np.log(pool.costs)]))
        self._unread = np.ones(len(pool), dtype=bool)
        self._rows: list[int] = []  # read, in order
        self._worth: list[float] = []  # what each of them gave, per unit of cost
        self._chosen: dict[str, int] = {}

    def choose(self, count: int) -> Sequence[int]:
        """The most promising unread documents."""
        size = min(count, max(self._settings.batch, len(self._rows) // GROWTH), int(self._unread.sum()))
        unread = np.flatnonzero(self._unread)
        scores = self._scores()[unread]
        best = np.argpartition(-scores, size - 1)[:size] if size else np.zeros(0, np.int64)
        rows = unread[best[np.lexsort((best, -scores[best]))]]
        self._unread[rows] = False
        self._chosen = {self._pool.ids[row]: int(row) for row in rows}
        return list(self._chosen.values())

    def learn(self, readings: Sequence[Reading]) -> None:
        """Take in what the documents gave for their cost."""
        rows = [self._chosen[reading.document_id] for reading in readings]
        self._rows += rows
        self._worth += (self._utility(readings) / self._pool.costs[rows]).tolist()

    def report(self) -> Mapping[str, Any]:
        """How much of the scores is learned by now, and how well they foretell."""
        return {
            "learned_share": round(self._learned_share(), 3) if any(self._worth) else 0.0,
            "nearest_document": round(float(self._nearness.max()), 3),
            "note": " ".join(self._notes()),
        }

    def _notes(self) -> Iterator[str]:
        """What a person should know that chose this policy."""
        if self._nearness.max() <= NO_SIMILARITY:
            yield "No document is nearer to the reference set than any other: only cost and what was read decide."
        if not any(self._worth):
            yield "No useful pair was found: documents are chosen by similarity and cost alone."

    def _utility(self, readings: Sequence[Reading]) -> Vector:
        """Sum over the kept pairs of a reading of a power of their similarity: float64 array, shape (readings,)."""
        owners = np.repeat(np.arange(len(readings)), [len(reading.kept) for reading in readings])
        texts = [pair_text(pair.question, pair.answer) for reading in readings for pair in reading.kept]
        if not texts:
            return np.zeros(len(readings))
        similarity = similarity_to_references(self._embedded(texts), self._references, "mean5")
        powers = np.maximum(similarity, 0.0).astype(np.float64) ** self._settings.sharpness
        return np.asarray(np.bincount(owners, weights=powers, minlength=len(readings)), dtype=np.float64)

    def _embedded(self, texts: Sequence[str]) -> Matrix:
        return without_centre(self._embedder.embed(texts), self._centre)

    def _learned_share(self) -> float:
        """Weight of the model against the prior, 0 to 1."""
        return len(self._rows) / (len(self._rows) + self._settings.prior_documents)

    def _scores(self) -> Vector:
        """Promise of every document, read or not: float64 array, shape (documents,), higher is better."""
        if not any(self._worth):
            return self._nearness * self._prior
        worth, share = np.array(self._worth), self._learned_share()
        expected = self._prior * _slope(self._prior[self._rows], worth)
        foretold = np.maximum(self._foretold(self._fitted(worth)), 0.0)
        return np.asarray(self._nearness * (share * foretold + (1 - share) * expected))

    def _fitted(self, worth: Vector) -> Line:
        vectors = np.asarray(self._pool.vectors[self._rows], dtype=np.float32)
        features = np.column_stack([self._features[self._rows], self._scale() * vectors])
        spread = float(worth.std()) or 1.0
        line = fit_ridge(features, worth / spread, self._settings.penalty)
        return Line(line.weights * spread, line.intercept * spread)

    def _foretold(self, line: Line) -> Vector:
        """The model's prediction for every document, in chunks of the memory-mapped vectors."""
        split = self._features.shape[1]
        result = self._features @ line.weights[:split] + line.intercept
        weights = (self._scale() * line.weights[split:]).astype(np.float32)
        for start in range(0, len(result), BATCH):
            result[start : start + BATCH] += np.asarray(self._pool.vectors[start : start + BATCH], np.float32) @ weights
        return result

    def _scale(self) -> float:
        """Brings the columns of unit vectors to a spread of one half."""
        return float(np.sqrt(self._pool.vectors.shape[1]) / 2)


def _standardised(columns: NDArray[np.floating]) -> Matrix:
    """Columns of mean 0 and spread 1; constant ones become 0."""
    spread = columns.std(axis=0)
    return np.asarray((columns - columns.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0), dtype=np.float32)


def _slope(prior: Vector, worth: Vector) -> float:
    """Least-squares factor from the prior to what was found."""
    return float(prior @ worth / (prior @ prior))
