"""Useful pairs found by each policy after the same number of tokens, on the recorded corpus.

    python benchmarks/useful_pairs.py [--targets gsm8k,mbpp] [--seeds 2] [--policies random,nearest,equal]

A pair is useful if it is among the 3% of all pairs of the corpus that are nearest to the held-out test set (mean cosine
to the 5 nearest test items). Two judges: "static" (the policies' own embedder) and "lexical" (TF-IDF cosine, which
shares nothing with them). Spending is in shares of the tokens that reading everything costs; one run per budget, since
EQUAL's sizes depend on it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bonanza import build
from bonanza.algorithms.similarity import similarity_to_references
from bonanza.corpus.targets import read_target
from bonanza.records import Question, pair_text
from bonanza.run import run
from bonanza.settings import settings_from

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
USEFUL_SHARE = 0.03
BUDGETS = (0.02, 0.05, 0.10, 0.20)
EQUAL_PRESETS: dict[str, dict[str, Any]] = {
    "equal": {},
    "equal-nearest": {"within_cluster": "nearest"},
    "equal-code": {"variant": "code"},
    "equal-released": {"variant": "code", "preset": "released", "clusters": 200, "arms_per_round": 10},
}

Judge = Callable[[Sequence[str], Sequence[str]], np.ndarray]


def main() -> None:
    """Run the grid and print one table per judge."""
    options = _options()
    settings = {"corpus": (str(SHARED / "corpus"),), "budget": "100%", "llm": "recorded", "target": "-"}
    base = settings_from(settings, "benchmark")
    store = build.build_store(build.build_reader(base), options.cache)
    extractor = build.build_extractor(base)
    readings = [extractor.read(document) for row in range(len(store)) for document in store.fetch([row])]
    everything = sum(reading.usage.total for reading in readings)
    pairs = {pair.id: pair_text(pair.question, pair.answer) for reading in readings for pair in reading.pairs}
    print(f"{len(store):,} documents, {len(pairs):,} pairs, {everything:,} tokens to read everything")
    embed = build.build_embedder(base, store).embed
    judges: dict[str, Judge] = {"static": lambda texts, test: _nearness(embed(texts), embed(test)), "lexical": _lexical}
    for target in options.targets.split(","):
        test = _test_items(target, options.judge)
        useful = {name: _useful(judge, pairs, test) for name, judge in judges.items()}
        _grid(options, settings | {"target": _reference(target, options.judge)}, everything, useful, target)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default="gsm8k,mbpp,math")
    parser.add_argument(
        "--policies",
        default="random,nearest,nearest:max,round_robin,dsir,equal,equal-nearest,equal-code,equal-released",
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)))
    parser.add_argument(
        "--judge",
        choices=("test", "half"),
        default="test",
        help="half: second half of the references "
        "judges, the first half is the target: to choose settings without the test set",
    )
    parser.add_argument("--cache", type=Path, default=build.default_cache())
    return parser.parse_args()


def _reference(target: str, judge: str) -> str:
    path = SHARED / "targets" / f"{target}_reference.jsonl"
    if judge == "test":
        return str(path)
    lines = path.read_text().splitlines()
    half = Path(tempfile.mkdtemp()) / f"{target}_half.jsonl"
    half.write_text("\n".join(lines[: len(lines) // 2]) + "\n")
    return str(half)


def _test_items(target: str, judge: str) -> list[Question]:
    if judge == "test":
        return list(read_target(str(SHARED / "targets" / f"{target}_test.jsonl")).pairs)
    pairs = read_target(str(SHARED / "targets" / f"{target}_reference.jsonl")).pairs
    return list(pairs[len(pairs) // 2 :])


def _useful(judge: Judge, pairs: dict[str, str], test: Sequence[Question]) -> set[str]:
    scores = judge(list(pairs.values()), [pair_text(item.question, item.answer) for item in test])
    best = np.argsort(-scores, kind="stable")[: round(USEFUL_SHARE * len(pairs))]
    ids = list(pairs)
    return {ids[i] for i in best}


def _nearness(vectors: np.ndarray, test: np.ndarray) -> np.ndarray:
    return similarity_to_references(vectors, test, "mean5")


def _lexical(texts: Sequence[str], test: Sequence[str]) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2).fit(texts)
    vectors, items = vectorizer.transform(texts), vectorizer.transform(test)
    scores = [_top_mean((vectors[i : i + 5000] @ items.T).toarray()) for i in range(0, len(texts), 5000)]
    return np.concatenate(scores)


def _top_mean(similarity: np.ndarray) -> np.ndarray:
    return np.sort(similarity, axis=1)[:, -5:].mean(axis=1)


def _grid(
    options: argparse.Namespace, settings: dict[str, Any], everything: int, useful: dict[str, set[str]], target: str
) -> None:
    budgets = [float(share) for share in options.budgets.split(",")]
    shares = ", ".join(f"{share:.0%}" for share in budgets)
    print(f"\n{target}: useful pairs (static / lexical) after spending {shares} of the tokens")
    for policy in options.policies.split(","):
        cells, seconds = [], 0.0
        for share in budgets:
            found = [_run(options, settings, policy, int(share * everything), seed) for seed in range(options.seeds)]
            seconds += sum(summary["seconds"]["total"] for _, summary in found)
            counts = [[len(ids & good) for ids, _ in found] for good in useful.values()]
            cells.append(" / ".join(f"{np.mean(some):.0f}±{np.std(some):.0f}" for some in counts))
        print(f"| {policy} | " + " | ".join(cells) + f" | {seconds:.0f} s", flush=True)


def _run(
    options: argparse.Namespace, settings: dict[str, Any], policy: str, tokens: int, seed: int
) -> tuple[set[str], dict[str, Any]]:
    kind, _, view = policy.partition(":")
    extra: dict[str, Any] = {"policy": kind.split("-")[0], "budget": f"{tokens}", "seed": seed, "patience": 0}
    if kind in EQUAL_PRESETS:
        extra["equal"] = EQUAL_PRESETS[kind]
    if view:
        extra["nearest"] = {"view": view}
    with tempfile.TemporaryDirectory() as folder:
        result = run(settings_from(settings | extra, "benchmark"), Path(folder) / "run", options.cache)
        kept = pq.read_table(Path(folder) / "run" / "pairs.parquet", columns=["id", "status"]).to_pylist()
    summary = json.loads(json.dumps(result.summary))
    return {row["id"] for row in kept if row["status"] == "kept"}, summary


if __name__ == "__main__":
    main()
