"""The static embedder: speed, the power of the inverse document frequency, and what alignment gains.

    python benchmarks/static_embedder.py

Rarity: useful pairs that a plain ranking by similarity finds for 2, 5 and 10% of the tokens, by the lexical judge.
The first half of each reference set ranks, the second half judges; no test file is read.
Alignment: 2,000 pairs of random documents train the token table; the mean reciprocal rank of pairs of other documents
is taken among 3,000 documents that the training never saw.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bonanza import build
from bonanza.algorithms.info_nce import mean_reciprocal_rank
from bonanza.algorithms.similarity import similarity_to_references
from bonanza.comparison.judged import yardstick
from bonanza.corpus.targets import read_target
from bonanza.embedders import static
from bonanza.embedders.alignment import StaticAligner
from bonanza.interfaces import Embedder
from bonanza.judges.lexical import lexical_judge
from bonanza.records import Reading, pair_text
from bonanza.settings import AlignmentSettings, settings_from

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TARGETS = ("gsm8k", "math", "mbpp", "humaneval")
RARITIES = (0.5, 1.0, 1.5, 2.0, 3.0)
TRAINING_PAIRS = 2_000


def main() -> None:
    """Print the three tables."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    settings = {"corpus": (str(SHARED / "corpus"),), "budget": "100%", "llm": "recorded", "target": "-"}
    base = settings_from(settings, "benchmark")
    store = build.build_store(build.build_reader(base), build.default_cache())
    documents = store.fetch(range(len(store)))
    readings = [build.build_extractor(base).read(document) for document in documents]
    texts = [document.text for document in documents]
    sample = np.sort(np.random.default_rng(0).permutation(len(texts))[: static.SAMPLE])
    _rarities(texts, [texts[i] for i in sample], readings)
    embedder = _timed(texts, [texts[i] for i in sample])
    _alignment(embedder, texts, readings)


def _timed(texts: Sequence[str], sample: Sequence[str]) -> static.StaticEmbedder:
    began = time.perf_counter()
    embedder = static.fit_static(sample)
    fitted = time.perf_counter()
    embedder.embed(texts)
    seconds = time.perf_counter() - fitted
    characters = sum(map(len, texts)) / len(texts)
    print(
        f"\nfit {fitted - began:.1f} s, embed {len(texts) / seconds:,.0f} documents/s of {characters:,.0f} characters"
    )
    return embedder


def _rarities(texts: Sequence[str], sample: Sequence[str], readings: Sequence[Reading]) -> None:
    pairs = [pair_text(pair.question, pair.answer) for reading in readings for pair in reading.pairs]
    owners = np.repeat(np.arange(len(readings)), [len(reading.pairs) for reading in readings])
    tokens = np.array([reading.usage.total for reading in readings])
    halves = {target: _halves(target) for target in TARGETS}
    useful = {target: _useful_per_document(pairs, judge, owners, len(texts)) for target, (_, judge) in halves.items()}
    print("| rarity | target | mean | max | mean5 |\n|---|---|---|---|---|")
    for rarity in RARITIES:
        static.RARITY = rarity
        embedder = static.fit_static(sample)
        vectors = embedder.embed(texts)
        for target, (references, _) in halves.items():
            found = [
                _found(similarity_to_references(vectors, embedder.embed(references), view), useful[target], tokens)
                for view in ("mean", "max", "mean5")
            ]
            print(f"| {rarity} | {target} | {' | '.join(found)} |", flush=True)
    static.RARITY = 1.5


def _halves(target: str) -> tuple[list[str], list[str]]:
    pairs = read_target(str(SHARED / "targets" / f"{target}_reference.jsonl")).pairs
    texts = [pair_text(pair.question, pair.answer) for pair in pairs]
    return texts[: len(texts) // 2], texts[len(texts) // 2 :]


def _useful_per_document(pairs: list[str], judge: list[str], owners: np.ndarray, documents: int) -> np.ndarray:
    useful = yardstick("lexical", lexical_judge(pairs, judge), len(pairs)).useful
    return np.bincount(owners[useful], minlength=documents)


def _found(similarity: np.ndarray, useful: np.ndarray, tokens: np.ndarray) -> str:
    order = np.argsort(-similarity, kind="stable")
    spent = np.cumsum(tokens[order]) / tokens.sum()
    return " / ".join(str(int(useful[order[spent <= share]].sum())) for share in (0.02, 0.05, 0.10))


def _alignment(embedder: static.StaticEmbedder, texts: Sequence[str], readings: Sequence[Reading]) -> None:
    print("\n| seed | pairs | seconds | held out, before | after | unseen documents, before | after |")
    print("|---|---|---|---|---|---|---|")
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(texts))
        counts = np.cumsum([len(readings[row].pairs) for row in order])
        warmup = order[: int(np.searchsorted(counts, TRAINING_PAIRS / 0.8)) + 1]
        began = time.perf_counter()
        pairs, owners = _pairs_of(warmup, readings)
        aligner = StaticAligner(embedder, AlignmentSettings())
        aligned = aligner.align([texts[row] for row in warmup], pairs, owners, np.random.default_rng(seed))
        seconds, report = time.perf_counter() - began, aligned.report
        before, after = (_unseen(one, order[-3_000:], texts, readings) for one in (embedder, aligned.embedder))
        figures = f"{report.mrr_before:.3f} | {report.mrr_after:.3f} | {before:.3f} | {after:.3f}"
        print(f"| {seed} | {report.trained_on:,} | {seconds:.1f} | {figures} |", flush=True)


def _pairs_of(rows: np.ndarray, readings: Sequence[Reading]) -> tuple[list[str], np.ndarray]:
    pairs = [pair_text(pair.question, pair.answer) for row in rows for pair in readings[row].pairs]
    return pairs, np.repeat(np.arange(len(rows)), [len(readings[row].pairs) for row in rows])


def _unseen(embedder: Embedder, rows: np.ndarray, texts: Sequence[str], readings: Sequence[Reading]) -> float:
    pairs, owners = _pairs_of(rows, readings)
    some = np.random.default_rng(0).permutation(len(pairs))[:2_000]
    documents = embedder.embed([texts[row] for row in rows])
    return mean_reciprocal_rank(documents, embedder.embed([pairs[i] for i in some]), owners[some])


if __name__ == "__main__":
    main()
