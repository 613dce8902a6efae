"""Seconds and memory that the adaptive policy takes to choose from a million documents.

    python benchmarks/choose.py [--documents 1000000] [--dim 256] [--references 500] [--read 2000]

The vectors are random directions in a memory-mapped float16 file: what they say does not matter to the time.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bonanza.interfaces import Pool
from bonanza.policies.adaptive import AdaptivePolicy
from bonanza.records import Pair, Question, Reading, Target, Usage
from bonanza.settings import AdaptiveSettings

BLOCK = 50_000


class RandomEmbedder:
    """Unit vectors that have nothing to do with the texts."""

    name = "random"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._rng = np.random.default_rng(1)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Draw a direction for each text."""
        return unit(self._rng.normal(size=(len(texts), self.dim)))


def main() -> None:
    """Time the start and the choices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--references", type=int, default=500)
    parser.add_argument("--read", type=int, default=2_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pool = make_pool(Path(folder) / "vectors", options.documents, options.dim)
        policy = AdaptivePolicy(AdaptiveSettings(), RandomEmbedder(options.dim))
        target = Target(tuple(Question(f"question {number}", "answer") for number in range(options.references)))
        before, began = resident(), time.perf_counter()
        policy.start(pool, target, np.random.default_rng(0))
        print(f"start: {time.perf_counter() - began:.2f} s")
        choosing, learning, read = [], [], 0
        while read < options.read:
            began = time.perf_counter()
            rows = policy.choose(100)
            choosing.append(time.perf_counter() - began)
            policy.learn([reading(pool.ids[row], row) for row in rows])
            learning.append(time.perf_counter() - began - choosing[-1])
            read += len(rows)
    print(f"choose: median {np.median(choosing):.2f} s, highest {max(choosing):.2f} s, {len(choosing)} batches")
    print(f"learn: median {np.median(learning):.3f} s")
    print(f"resident: {resident():,} MiB at most, {before:,} MiB before the start")


def make_pool(path: Path, documents: int, dim: int) -> Pool:
    """A pool on disk."""
    rng = np.random.default_rng(0)
    vectors = np.memmap(path, dtype=np.float16, mode="w+", shape=(documents, dim))
    for start in range(0, documents, BLOCK):
        count = min(BLOCK, documents - start)
        vectors[start : start + count] = unit(rng.normal(size=(count, dim)))
    vectors.flush()
    lengths = rng.integers(500, 8_000, documents)
    fetch = lambda rows: []
    return Pool([str(row) for row in range(documents)], lengths, vectors, 20_000, fetch, 350.0 + lengths / 4)


def unit(points: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def reading(id_: str, row: int) -> Reading:
    """Zero to four pairs."""
    pairs = tuple(Pair(f"question {row} {number}", "answer", id_) for number in range(row % 5))
    return Reading(id_, "ok" if pairs else "empty", pairs, Usage(500, 100))


def resident() -> int:
    """Peak resident memory in MiB; the memory-mapped file counts as far as it is cached."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
