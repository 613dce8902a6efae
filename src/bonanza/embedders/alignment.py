"""Contrastive alignment: what is the same for every embedder, and the static embedder's own.

Part of the documents is held out; the mean reciprocal rank of their pairs decides whether the aligned embedding is
used at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.info_nce import Recipe, mean_reciprocal_rank, train_table
from bonanza.embedders.static import StaticEmbedder
from bonanza.interfaces import AlignmentReport, Embedder, Pool
from bonanza.settings import AlignmentSettings

Matrix = NDArray[np.float32]
Rows = NDArray[np.int64]

EMBED_BATCH = 4_096  # documents fetched and embedded at a time


@dataclass(frozen=True)
class AlignedEmbedder:
    """An embedder and what alignment did to it."""

    embedder: Embedder
    report: AlignmentReport

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed pairs."""
        return self.embedder.embed(texts)

    def embed_pool(self, pool: Pool) -> NDArray[np.float16]:
        """Embed the pool's documents anew, into a scratch file; the pool's own vectors where nothing changed."""
        if not self.report.used:
            return pool.vectors
        shape = (len(pool), self.embedder.dim)
        with tempfile.TemporaryFile() as scratch:  # the map holds the file open by itself
            vectors = np.memmap(scratch, dtype=np.float16, mode="w+", shape=shape)
        for start in range(0, len(pool), EMBED_BATCH):
            rows = range(start, min(start + EMBED_BATCH, len(pool)))
            vectors[rows.start : rows.stop] = self.embedder.embed([document.text for document in pool.fetch(rows)])
        return vectors


Train = Callable[[Sequence[str], Sequence[str], Rows], Embedder]


def align_and_judge(
    base: Embedder, train: Train, documents: Sequence[str], pairs: Sequence[str], owners: Rows,
    settings: AlignmentSettings, rng: np.random.Generator,
) -> AlignedEmbedder:  # fmt: skip
    """Train on most documents' pairs, judge on the others', and keep the better embedding.

    Parameters
    ----------
    train : learns from documents, pairs and the pairs' documents; returns the aligned embedder
    owners : int64 array, shape (pairs,): the document each pair came from
    """
    judged, learned = _split(len(documents), owners, settings, rng)
    if len(learned) < settings.least_pairs or not len(judged):
        few = f"{len(learned)} pairs to learn from, {settings.least_pairs} needed"
        why = few if len(learned) < settings.least_pairs else "no held-out pair to judge it by"
        note = f"Alignment not tried: {why}."
        return AlignedEmbedder(base, AlignmentReport(len(learned), len(judged), 0.0, 0.0, False, note))
    aligned = train(documents, [pairs[i] for i in learned], owners[learned])
    held_out = [pairs[i] for i in judged]
    before, after = (
        mean_reciprocal_rank(one.embed(documents), one.embed(held_out), owners[judged]) for one in (base, aligned)
    )
    used = after > before
    verdict = "used" if used else "not used: it lowers the rank" if after < before else "not used: it changes nothing"
    note = f"Alignment {verdict}. Mean reciprocal rank of {len(judged)} held-out pairs {before:.3f} -> {after:.3f}."
    return AlignedEmbedder(
        aligned if used else base, AlignmentReport(len(learned), len(judged), before, after, used, note)
    )


def _split(documents: int, owners: Rows, settings: AlignmentSettings, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Pairs to judge by and pairs to learn from; no document has pairs in both."""
    held_out = rng.random(documents) < settings.held_out
    chosen = np.sort(rng.permutation(len(owners))[: settings.most_pairs])
    is_judge = held_out[owners[chosen]]
    return chosen[is_judge], chosen[~is_judge]


@dataclass(frozen=True)
class StaticAligner:
    """Trains the static embedder's token table by InfoNCE: seconds for thousands of pairs, no torch."""

    embedder: StaticEmbedder
    settings: AlignmentSettings

    def align(
        self, documents: Sequence[str], pairs: Sequence[str], owners: Rows, rng: np.random.Generator
    ) -> AlignedEmbedder:
        """Learn; ``pairs[i]`` came from ``documents[owners[i]]``."""

        def train(documents: Sequence[str], pairs: Sequence[str], owners: Rows) -> Embedder:
            features = self.embedder.features(documents), self.embedder.features(pairs)
            return self.embedder.with_table(train_table(*features, owners, self.embedder.table, self._recipe(), rng))

        return align_and_judge(self.embedder, train, documents, pairs, owners, self.settings, rng)

    def _recipe(self) -> Recipe:
        return Recipe(
            temperature=self.settings.table_temperature,
            epochs=self.settings.table_epochs,
            batch_size=self.settings.table_batch_size,
            learning_rate=self.settings.table_learning_rate,
            warmup_ratio=self.settings.warmup_ratio,
            hard_negatives=self.settings.hard_negatives,
            hard_ranks=self.settings.hard_ranks,
        )
