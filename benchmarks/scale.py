"""Seconds and memory of every stage, from ten thousand to a million documents, and how they grow.

    python benchmarks/scale.py [--documents 10000,100000,1000000] [--folder DIR] [--policy adaptive] [--readings 2000]

Documents are made of the paragraphs of real pages of ../shared/data/corpus, drawn at random (seed 0) until there are
about 1,500 characters; each bears the recorded pairs of one of its pages. They lie in ten parquet files, and are made
once per folder. Every size is run in a process of its own, with an empty cache. Stages: index (the texts read, checked
and stored), embedding (the static embedder learned from a sample, and all texts embedded; beside it its raw speed on
those texts in memory), a start and choices of the policy, 2,000 readings from recorded pairs into the journal with
cleaning, writing the results, the report, and the index again with 1% more documents in a file of its own. Memory is
the highest that was resident in each stage; pages of the mapped file of embeddings count as far as they are cached.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pyarrow
import pyarrow.parquet

DATA = Path("../shared/data")
TARGET = DATA / "targets" / "gsm8k_reference.jsonl"
CHARACTERS, FILES, BATCH = 1_500, 10, 10_000
SAMPLE = 20_000  # texts of which the embedder's raw speed is taken


def main() -> None:
    """Run every size, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", default="10000,100000,1000000")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "bonanza-scale")
    parser.add_argument("--policy", default="adaptive")
    parser.add_argument("--readings", type=int, default=2_000)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, options.folder, options.policy, options.readings)))
        return
    results = {}
    for count in map(int, options.documents.split(",")):
        corpus(count, options.folder)
        results[count] = one_size(count, options)
        print("\n".join(lines(count, results[count])), flush=True)
    print("\n".join(growth(results)))


def one_size(count: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """The figures of one size, from a process of its own."""
    command = [sys.executable, __file__, "--one", str(count), "--folder", str(options.folder)]
    command += ["--policy", options.policy, "--readings", str(options.readings)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def corpus(count: int, folder: Path) -> Path:
    """The files of a corpus of that size; made unless they are there."""
    place = folder / str(count)
    if not (place / f"part-{FILES - 1}.parquet").exists():
        place.mkdir(parents=True, exist_ok=True)
        pages, rng = paragraphs(), random.Random(0)
        for number in range(FILES):
            write(place / f"part-{number}.parquet", number * (count // FILES), count // FILES, pages, rng)
    return place


def paragraphs() -> tuple[list[str], list[str]]:
    """All paragraphs of the real pages, and the recorded pairs of each page."""
    texts, pairs = [], []
    for file in sorted((DATA / "corpus").glob("*.parquet")):
        table = pyarrow.parquet.read_table(file, columns=["text", "qa_pairs"])
        for row in table.to_pylist():
            texts += [part for part in row["text"].split("\n\n") if len(part) > 20]
            pairs.append(row["qa_pairs"] if isinstance(row["qa_pairs"], str) else json.dumps(row["qa_pairs"]))
    return texts, pairs


def write(path: Path, first: int, count: int, pages: tuple[list[str], list[str]], rng: random.Random) -> None:
    """One file, in row groups of a thousand."""
    schema = pyarrow.schema([("id", pyarrow.string()), ("text", pyarrow.string()), ("qa_pairs", pyarrow.string())])
    with pyarrow.parquet.ParquetWriter(path.with_suffix(".partial"), schema, compression="zstd") as writer:
        for start in range(first, first + count, BATCH):
            rows = range(start, min(start + BATCH, first + count))
            made = [recombined(pages[0], rng) for _ in rows]
            columns = {"id": [f"page-{row}" for row in rows], "text": made}
            columns["qa_pairs"] = [rng.choice(pages[1]) for _ in rows]
            writer.write_table(pyarrow.table(columns, schema), row_group_size=1_000)
    path.with_suffix(".partial").replace(path)


def recombined(parts: list[str], rng: random.Random) -> str:
    """Random paragraphs, up to 1,500 characters."""
    found: list[str] = []
    while sum(map(len, found)) < CHARACTERS:
        found.append(parts[int(rng.random() * len(parts))])
    return "\n\n".join(found)[:CHARACTERS]


@dataclass
class Stages:
    """Seconds and MiB of each stage."""

    found: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a block."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        began = time.perf_counter()
        yield
        self.found[name] = [time.perf_counter() - began, peak()]
        print(f"{name}: {self.found[name][0]:.2f} s", file=sys.stderr, flush=True)


def peak() -> float:
    """Highest resident memory since it was reset, in MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def measured(count: int, folder: Path, policy: str, readings: int) -> dict[str, list[float]]:
    """Run all stages on one size."""
    from bonanza import build
    from bonanza.journal import Journal
    from bonanza.report.data import read_run
    from bonanza.report.page import run_page, write_page
    from bonanza.run import Silent, run
    from bonanza.settings import settings_from

    stages = Stages()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        cache, out = Path(scratch) / "cache", Path(scratch) / "run"
        values = {"corpus": (str(folder / str(count)),), "target": str(TARGET), "llm": "recorded", "policy": policy}
        settings = settings_from(values | {"budget": f"{readings}docs", "patience": 0}, "benchmark")
        with stages.stage("index"):
            store = build.build_store(build.build_reader(settings), cache)
        with stages.stage("learn the embedder"):
            embedder = build.build_index_embedder("static", store)
        with (
            Journal(Path(scratch)) as journal,
            build.reading(
                settings, build.read_target(settings.target), journal, build.build_account(settings, len(store)), print
            ) as (extractor, _),
            stages.stage("embed"),
        ):
            pool = build.build_pool(
                store, embedder, build.build_account(settings, len(store)), extractor,
                embed_all=build.embedding(settings, embedder, print),
            )  # fmt: skip
        texts = [document.text for document in store.fetch(range(min(SAMPLE, len(store))))]
        with stages.stage(f"embed {len(texts):,} in memory"):
            embedder.embed(texts)
        rows = random.Random(1).sample(range(len(store)), 1_000)
        with stages.stage("fetch 1,000 documents one by one"):
            for row in rows:
                pool.fetch([row])
        clock = Choices(Silent())
        with stages.stage(f"run with {readings:,} readings"):
            run(settings, out, cache, clock)
        stages.found |= clock.figures()
        with stages.stage("report"):
            write_page(out / "report.html", run_page(read_run(out, None)))
        grown = replace(settings, corpus=(str(with_more(folder / str(count), Path(scratch) / "grown", count // 100)),))
        with stages.stage("index 1% more"):
            build.build_vectors(build.build_store(build.build_reader(grown), cache), embedder)
        size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        stages.found["cache, MiB on disk"] = [size / 2**20, 0]
    return stages.found


def with_more(corpus: Path, place: Path, count: int) -> Path:
    """A folder with the files of a corpus and one more."""
    place.mkdir()
    for file in corpus.iterdir():
        (place / file.name).symlink_to(file.absolute())
    write(place / "part-more.parquet", 10**9, count, paragraphs(), random.Random(2))
    return place


class Choices:
    """Looks on, and notes when rounds end."""

    def __init__(self, silent: object) -> None:
        self._silent, self._choose = silent, [0.0]

    def __getattr__(self, name: str) -> object:
        return getattr(self._silent, name)

    def round(self, progress: object, account: object, policy: object) -> None:
        """Seconds of choosing so far."""
        self._choose.append(progress.seconds["choose"])

    def figures(self) -> dict[str, list[float]]:
        """The first choice, and the median of the later ones."""
        each = [after - before for before, after in pairwise(self._choose)]
        later = sorted(each[1:]) or [math.nan]
        return {"first choice": [each[0], 0], "later choices, median": [later[len(later) // 2], 0],
                "later choices, highest": [later[-1], 0]}  # fmt: skip


def lines(count: int, found: dict[str, list[float]]) -> Iterator[str]:
    """The figures of one size."""
    yield f"{count:,} documents"
    for name, (seconds, memory) in found.items():
        yield f"  {name:40} {seconds:10.2f}" + (f" s {memory:8.0f} MiB" if memory else "")


def growth(results: dict[int, dict[str, list[float]]]) -> Iterator[str]:
    """How each stage grows from one size to the next, as exponents of the number of documents."""
    sizes = sorted(results)
    for smaller, larger in pairwise(sizes):
        yield f"from {smaller:,} to {larger:,}: times seconds (exponent), times memory"
        for name, (seconds, memory) in results[larger].items():
            if name in results[smaller] and results[smaller][name][0] > 0:
                before, held = results[smaller][name]
                exponent = math.log(seconds / before) / math.log(larger / smaller)
                yield f"  {name:40} {seconds / before:6.1f} ({exponent:.2f})  {memory / held if held else 0:6.2f}"


if __name__ == "__main__":
    main()
