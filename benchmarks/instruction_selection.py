"""Which samples the methods of `bonanza select` keep: dirty ones, the better of two, those that help.

    python benchmarks/instruction_selection.py dirty
    python benchmarks/instruction_selection.py twins
    python benchmarks/instruction_selection.py downstream --out downstream_selection.jsonl

dirty: rows of Alpaca, a fifth of them corrupted in known ways; the share of corrupted rows among those kept.
twins: rows that Alpaca and Alpaca-GPT4 both answer; how often a score prefers GPT-4's answer, to Alpaca's and to
that of another row. downstream: the embedded model tuned on what each method keeps; loss of held-out Dolly answers.

Knowledge is the first half of Dolly, the other is held out. Scores are kept in --cache: an interrupted run resumes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bonanza import build
from bonanza.selecting import SelectResult, select
from bonanza.selectors.recost import combined_rank
from bonanza.settings import RecostSettings, SelectSettings

INSTRUCTIONS = Path(__file__).resolve().parents[2] / "shared" / "data" / "instructions"
KINDS = ("swapped", "truncated", "shuffled", "wrong language", "repeated", "empty")
FOREIGN = (
    "Das Wetter wird morgen im Norden kühl und regnerisch, im Süden bleibt es meist trocken.",
    "Bitte reichen Sie die Unterlagen bis Ende des Monats bei der zuständigen Stelle ein.",
    "Der Zug nach München hat heute wegen einer Störung eine halbe Stunde Verspätung.",
    "El museo abre todos los días menos el lunes, y la entrada es gratuita para los niños.",
    "Mañana vamos a visitar a mis abuelos, que viven en un pueblo cerca del mar.",
    "La receta lleva dos huevos, una taza de harina y un poco de azúcar moreno.",
    "Le marché se tient chaque samedi matin sur la place devant la mairie.",
    "Nous avons perdu nos clés hier soir, mais un voisin les a retrouvées ce matin.",
    "Il libro racconta la storia di due fratelli che lasciano il paese per cercare lavoro.",
    "La biblioteca resta chiusa durante le feste e riapre a metà gennaio.",
)
RECOST = {
    "recost": {"rank": "both"},
    "recost, ratio": {"rank": "both", "relative": "ratio"},
    "recost, by entropy with knowledge": {"rank": "entropy"},
    "recost, by relative entropy": {"rank": "relative"},
    "recost, reversed": {"rank": "reversed"},
    "recost, no window": {"rank": "both", "window": 1},
    "recost, window as many as kept": {"rank": "both", "window": "keep"},
    "recost, no flag": {"rank": "both", "flag_degenerate": False},
}
METHODS = ("random", "length", "k_center", "perplexity", "ifd")
LONGEST = 1_200  # characters of a row that the downstream training takes
SEEDS = 20  # of the methods that draw; the others choose the same whatever the seed

Row = dict[str, Any]


def main() -> None:
    """Run one of the three measurements and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("dirty", "twins", "downstream"))
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--keep", type=int, default=200, help="dirty: rows to keep; downstream keeps half as many")
    parser.add_argument("--seeds", type=int, default=3, help="downstream: trainings per method")
    parser.add_argument("--held-out", type=int, default=100, help="downstream: Dolly rows to evaluate on")
    parser.add_argument(
        "--out", type=Path, default=Path("downstream_selection.jsonl"), help="downstream: finished cells"
    )
    parser.add_argument("--cache", type=Path, default=build.default_cache())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.cache)
        {"dirty": dirty, "twins": twins, "downstream": downstream}[options.what](options, bench)


@dataclass(frozen=True)
class Bench:
    """Where rows are written, and how they are selected from."""

    folder: Path
    cache: Path

    def select(self, rows: Sequence[Row], method: str, keep: int, seed: int = 0) -> SelectResult:
        """What a method keeps of some rows."""
        data, knowledge = self._written("data", rows), self._written("knowledge", knowledge_rows())
        settings = SelectSettings(str(data), str(keep), method.partition(",")[0], str(knowledge), seed=seed)
        options = dict(RECOST.get(method, {}))
        if options.get("window") == "keep":
            options["window"] = keep
        return select(replace(settings, recost=RecostSettings(**options)), None, cache=self.cache, watcher=Told())

    def _written(self, name: str, rows: Sequence[Row]) -> Path:
        path = self.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path


class Told:
    """Prints how far the model has come, every hundred passages or so."""

    def __init__(self) -> None:
        self._last = 0

    def stage(self, name: str) -> None:
        """Say nothing."""

    def scored(self, done: int, of: int) -> None:
        """Print now and then."""
        if done - self._last >= 100:
            self._last = done
            print(f"scored {done} of {of}", flush=True)


def read(name: str) -> list[Row]:
    """All rows of a file."""
    with gzip.open(INSTRUCTIONS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def knowledge_rows() -> list[Row]:
    """The first half of Dolly."""
    rows = read("dolly")
    return rows[: len(rows) // 2]


def some_alpaca(count: int) -> list[Row]:
    """Rows of Alpaca, drawn once; more rows begin with the same."""
    rows = read("alpaca")
    return [rows[place] for place in np.random.default_rng(0).permutation(len(rows))[:count]]


# Dirty data


def dirty(options: argparse.Namespace, bench: Bench) -> None:
    """Share of corrupted rows among the kept ones, by method and kind."""
    rows, kinds = corrupted(some_alpaca(options.rows))
    print("| method | corrupted of the kept | " + " | ".join(KINDS) + " |\n|---" + "|---" * (1 + len(KINDS)) + "|")
    for method in (*METHODS, *RECOST):
        seeds = SEEDS if method in ("random", "k_center") else 1
        counts, kept = Counter(), 0
        for seed in range(seeds):
            result = bench.select(rows, method, options.keep, seed)
            kept += len(result.rows)
            counts.update(kinds[row] for row in result.rows if row in kinds)
        cells = " | ".join(f"{counts[kind] / seeds:.1f}" if seeds > 1 else str(counts[kind]) for kind in KINDS)
        print(f"| {method} | {counts.total() / kept:.3f} | {cells} |", flush=True)


def corrupted(rows: Sequence[Row]) -> tuple[list[Row], dict[int, str]]:
    """A fifth of the rows corrupted, each kind as often; and which, by position."""
    rng = np.random.default_rng(1)
    victims = rng.permutation(len(rows))[: len(rows) // 5].tolist()
    kinds = {victim: KINDS[place % len(KINDS)] for place, victim in enumerate(victims)}
    spoil = _spoilers(rows, rng)
    return [row | {"output": spoil[kinds[place]](row["output"])} if place in kinds else row
            for place, row in enumerate(rows)], kinds  # fmt: skip


def _spoilers(rows: Sequence[Row], rng: np.random.Generator) -> Mapping[str, Callable[[str], str]]:
    def shuffled(text: str) -> str:
        words = text.split()
        return " ".join(words[place] for place in rng.permutation(len(words)))

    def foreign(text: str) -> str:
        count = min(max(len(text) // 80, 1), len(FOREIGN))
        return " ".join(FOREIGN[place] for place in rng.permutation(len(FOREIGN))[:count])

    def repeated(text: str) -> str:
        words = text.split()[:5]
        return " ".join((words * 40)[: max(len(text.split()), 15)])

    return {
        "swapped": lambda _: rows[int(rng.integers(len(rows)))]["output"],
        "truncated": lambda text: text[: max(len(text) // 3, 1)],
        "shuffled": shuffled, "wrong language": foreign, "repeated": repeated, "empty": lambda _: "",
    }  # fmt: skip


# Twins


def twins(options: argparse.Namespace, bench: Bench) -> None:
    """How often each score prefers the GPT-4 answer to the same instruction."""
    better = {row["id"]: row for row in read("alpaca_gpt4")}
    pairs = [(row, better[row["id"]]) for row in read("alpaca") if row["id"] in better][: options.rows]
    first, second = [row for row, _ in pairs], [row for _, row in pairs]
    swapped = [row | {"output": other["output"]} for row, other in zip(second, second[1:] + second[:1], strict=True)]
    rows = first + second + swapped
    scores = _scores(rows, bench)
    print("| score | GPT-4's answer before Alpaca's | before another row's GPT-4 answer |\n|---|---|---|")
    for name, values in scores.items():
        alpaca, gpt4, other = values.reshape(3, -1)
        print(f"| {name} | {_share(gpt4, alpaca):.2f} | {_share(gpt4, other):.2f} |")


def _scores(rows: Sequence[Row], bench: Bench) -> Mapping[str, np.ndarray]:
    """Higher is preferred."""
    recost = bench.select(rows, "recost", len(rows)).selection.scores
    ifd = bench.select(rows, "ifd", len(rows)).selection.scores
    entropy, informed, relative = (
        np.array(recost[name]) for name in ("entropy", "entropy_with_knowledge", "relative_entropy")
    )
    return {
        "high predictive entropy": entropy, "IFD, highest below 1": np.where(np.array(ifd["ifd"]) < 1, ifd["ifd"], -1),
        "low entropy with knowledge": -informed, "high relative entropy": relative,
        "RECOST, both ranks": -combined_rank(informed, relative, "both"),
        "RECOST, reversed": -combined_rank(informed, relative, "reversed"),
        "length": np.array([len(row["output"]) for row in rows], dtype=float),
    }  # fmt: skip


def _share(ours: np.ndarray, theirs: np.ndarray) -> float:
    """How often ours is higher; equal ones count half."""
    return float(np.mean((ours > theirs) + 0.5 * (ours == theirs)))


# Downstream


def downstream(options: argparse.Namespace, bench: Bench) -> None:
    """Loss of held-out Dolly answers after tuning on what each method keeps."""
    from bonanza.records import Question
    from downstream import Recipe, Setup, Student

    student = Student(Setup("embedded", "test", 0.0, options.keep // 2, options.held_out, Recipe()), "cpu")
    rows, dolly = some_alpaca(options.rows), read("dolly")
    rows, unseen = ([row for row in some if _fits(row)] for some in (rows, dolly[len(dolly) // 2 :]))
    print(f"{len(rows)} of {options.rows} rows are short enough to train on", flush=True)
    held_out = [_question(row) for row in unseen[-options.held_out :]]
    found = _finished(options.out)
    for method, seed in _cells(options.seeds):
        if (method, seed) in found:
            continue
        chosen = [] if method == "zero-shot" else bench.select(rows, method, options.keep // 2, seed).rows
        pairs: list[Question] = [_question(rows[place]) for place in np.random.default_rng(seed).permutation(chosen)]
        loss, _ = student.loss(student.tuned(pairs, seed) if pairs else student.base, held_out)
        found[method, seed] = loss
        with options.out.open("a") as out:
            out.write(json.dumps({"method": method, "seed": seed, "loss": loss}) + "\n")
        print(method, seed, round(loss, 4), flush=True)
    print("| method | loss |\n|---|---|")
    for method in dict.fromkeys(method for method, _ in found):
        losses = [loss for (name, _), loss in found.items() if name == method]
        print(f"| {method} | {np.mean(losses):.3f} ± {np.std(losses):.3f} ({len(losses)}) |")


def _cells(seeds: int) -> Iterator[tuple[str, int]]:
    yield "zero-shot", 0
    for seed in range(seeds):
        yield from ((method, seed) for method in (*METHODS, "recost", "recost, reversed"))


def _finished(path: Path) -> dict[tuple[str, int], float]:
    lines = path.read_text().splitlines() if path.exists() else []
    return {(row["method"], row["seed"]): row["loss"] for row in map(json.loads, lines)}


def _fits(row: Row) -> bool:
    """Whether question and answer fit the 384 tokens that are trained on."""
    return len(row["instruction"] + row["input"] + row["output"]) < LONGEST


def _question(row: Row) -> Any:
    from bonanza.records import Question

    return Question("\n\n".join(part for part in (row["instruction"], row["input"]) if part), row["output"])


if __name__ == "__main__":
    main()
