"""Selection without a language model: at random, by length, by nearness to a target, by k centres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bonanza.algorithms.coreset import farthest_first
from bonanza.algorithms.similarity import similarity_to_references
from bonanza.interfaces import Embedder, Selection
from bonanza.records import Sample, Target, pair_text


class RandomSelector:
    """Any samples: what every method must beat."""

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Draw without replacement."""
        return Selection(rng.permutation(len(samples))[:keep].tolist(), {}, {})


class LengthSelector:
    """The longest responses, in characters: a rival that is hard to beat (arXiv 2402.04833)."""

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Longest first, of equally long ones the first."""
        lengths = np.array([len(sample.response) for sample in samples])
        return Selection(np.argsort(-lengths, kind="stable")[:keep].tolist(), {"length": lengths.tolist()}, {})


class NearestSelector:
    """The samples nearest to a reference set: mean cosine of sample and references."""

    def __init__(self, embedder: Embedder, target: Target) -> None:
        self._embedder, self._target = embedder, target

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Nearest first."""
        references = self._embedder.embed([pair_text(pair.question, pair.answer) for pair in self._target.pairs])
        similarity = similarity_to_references(self._embedder.embed(texts_of(samples)), references)
        kept = np.argsort(-similarity, kind="stable")[:keep].tolist()
        return Selection(kept, {"reference_similarity": similarity.tolist()}, {})


class KCenterSelector:
    """Samples far from one another: greedy k centres on embeddings (DiverseEvol, arXiv 2311.08182)."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Begins with a sample drawn at random."""
        vectors = self._embedder.embed(texts_of(samples))
        return Selection(farthest_first(vectors, keep, int(rng.integers(len(samples)))).tolist(), {}, {})


def texts_of(samples: Sequence[Sample]) -> list[str]:
    """What is embedded of each sample: prompt and response."""
    return [pair_text(sample.prompt, sample.response) for sample in samples]
