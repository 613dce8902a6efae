"""Useful pairs, coverage and transport cost of every policy at equal tokens: `bonanza compare` on four targets.

    python benchmarks/selection.py [--targets gsm8k,math,mbpp,humaneval] [--budgets 2%,5%,10%,20%] [--seeds 3]

Prints one table per target, then what the adaptive policy reaches against the best of its rivals in each cell, against
the oracle, and against `nearest` in coverage and transport cost. `--judge half` sets the test files aside: the first
half of the reference set is the target and the second half judges. Settings are chosen that way.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import bonanza
from bonanza.comparison.rows import tokens_to_reach

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
RIVALS = ("nearest", "nearest:max", "nearest:mean5", "round_robin", "dsir", "tsds", "equal")
POLICIES = ("random", *RIVALS, "adaptive")
JUDGES = ("lexical", "minilm")
COUNTED = ("2%", "5%", "10%")  # the budgets that the summary is about

Key = tuple[str, str, str, str]  # target, judge, budget, policy
Means = Mapping[Key, Mapping[str, float]]


def main() -> None:
    """Run what is not there yet, and print the tables."""
    options = _options()
    means: dict[Key, Mapping[str, float]] = {}
    contents = {}
    for target in options.targets.split(","):
        result = bonanza.compare(
            SHARED / "corpus", *_files(target, options), policies=options.policies, budgets=options.budgets,
            seeds=options.seeds, judges=options.judges, out=options.out / f"{target}-{options.judge}",
            cache=options.cache, watcher=_Watcher(target),
        )  # fmt: skip
        contents[target] = result.content
        for row in result.summary:
            means[target, row["judge"], row["budget"], row["policy"]] = row
    budgets, policies = options.budgets.split(","), [*options.policies.split(","), "oracle"]
    judges = next(iter(contents.values()))["judges"]
    for target in contents:
        _table(means, target, judges, budgets, policies)
    if set(POLICIES) <= set(policies) and set(COUNTED) <= set(budgets):
        _summary(means, list(contents), judges, COUNTED)
        _savings(means, contents, judges, budgets)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", default="gsm8k,math,mbpp,humaneval")
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--budgets", default="2%,5%,10%,20%")
    parser.add_argument("--judges", default=",".join(JUDGES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--judge", choices=("test", "half"), default="test", help="half: without the test files")
    parser.add_argument("--out", type=Path, default=Path("selection"))
    parser.add_argument("--cache", type=Path, default=None)
    return parser.parse_args()


class _Watcher:
    """Says which target is worked on."""

    def __init__(self, target: str) -> None:
        self._target = target

    def stage(self, text: str) -> None:
        print(f"{self._target}: {text}", flush=True)

    def step(self, text: str) -> None:
        """Too many to print."""

    note = stage


def _files(target: str, options: argparse.Namespace) -> tuple[Path, Path]:
    """Reference set and test set."""
    reference = SHARED / "targets" / f"{target}_reference.jsonl"
    if options.judge == "test":
        return reference, SHARED / "targets" / f"{target}_test.jsonl"
    lines = reference.read_text(encoding="utf-8").splitlines()
    folder = options.out / "halves"
    folder.mkdir(parents=True, exist_ok=True)
    halves = {"reference": lines[: len(lines) // 2], "test": lines[len(lines) // 2 :]}
    for name, half in halves.items():
        (folder / f"{target}_{name}.jsonl").write_text("\n".join(half) + "\n", encoding="utf-8")
    return folder / f"{target}_reference.jsonl", folder / f"{target}_test.jsonl"


def _table(means: Means, target: str, judges: Sequence[str], budgets: Sequence[str], policies: Sequence[str]) -> None:
    """Useful pairs, mean and standard deviation, by each judge."""
    print(f"\n{target}\n\n| policy | {' | '.join(budgets)} |\n|---{'|---' * len(budgets)}|")
    for policy in policies:
        cells = [
            " / ".join(_cell(means.get((target, judge, budget, policy)), "useful", 0) for judge in judges)
            for budget in budgets
        ]
        print(f"| {policy} | {' | '.join(cells)} |")


def _cell(row: Mapping[str, Any] | None, measure: str, digits: int) -> str:
    if row is None:
        return "-"
    spread = f"±{row[f'{measure}_sd']:.{digits}f}" if row[f"{measure}_sd"] else ""
    return f"{row[measure]:.{digits}f}{spread}"


def _summary(means: Means, targets: Sequence[str], judges: Sequence[str], budgets: Sequence[str]) -> None:
    """The adaptive policy against the best rival of each cell, the oracle, and nearest."""
    ratios: dict[Key, float] = {}
    print("\nadaptive / best rival (which one), by target and judge\n")
    print(f"| target, judge | {' | '.join(budgets)} |\n|---{'|---' * len(budgets)}|")
    for target in targets:
        for judge in judges:
            cells = []
            for budget in budgets:
                useful = {policy: means[target, judge, budget, policy]["useful"] for policy in (*RIVALS, "adaptive")}
                best = max(RIVALS, key=lambda name: useful[name])
                ratios[target, judge, budget, best] = useful["adaptive"] / max(useful[best], 1)
                cells.append(f"{ratios[target, judge, budget, best]:.2f} ({best})")
            print(f"| {target}, {judge} | {' | '.join(cells)} |")
    values = list(ratios.values())
    print(f"\ngeometric mean {np.exp(np.mean(np.log(values))):.3f}, least {min(values):.2f}")
    for policy in (*RIVALS, "adaptive"):
        print(
            f"share of the oracle, {policy}: {np.mean([*_oracle_shares(means, targets, judges, budgets, policy)]):.3f}"
        )
    for measure, better in (("coverage", 1), ("transport_cost", -1)):
        against = [
            means[target, judge, budget, "adaptive"][measure] / means[target, judge, budget, "nearest"][measure]
            for target in targets for judge in judges for budget in budgets
        ]  # fmt: skip
        worst = min(against) if better > 0 else max(against)
        print(f"{measure} against nearest: mean {np.mean(against):.3f}, worst {worst:.3f}")


def _savings(means: Means, contents: Mapping[str, Any], judges: Sequence[str], budgets: Sequence[str]) -> None:
    """How many times fewer tokens adaptive takes than reading everything, to half of all useful pairs, and to the
    transport cost of a sample of everything.
    """
    print("\n| target, judge | to half of the useful pairs | to the transport cost of everything |\n|---|---|---|")
    for target, content in contents.items():
        everything = content["tokens_to_read_everything"]
        for judge in judges:
            rows = [means[target, judge, budget, "adaptive"] for budget in budgets]
            whole = means[target, judge, "100%", "everything"]
            half = tokens_to_reach(whole["useful"] / 2, [(row["spent_tokens"], row["useful"]) for row in rows])
            near = [row["spent_tokens"] for row in rows if row["transport_cost"] <= whole["transport_cost"]]
            cells = [
                f"{everything / tokens:.0f} times fewer" if tokens else "-" for tokens in (half, min(near, default=0))
            ]
            print(f"| {target}, {judge} | {cells[0]} | at least {cells[1]} |")


def _oracle_shares(
    means: Means, targets: Sequence[str], judges: Sequence[str], budgets: Sequence[str], policy: str
) -> Iterator[float]:
    for target in targets:
        for judge in judges:
            for budget in budgets:
                oracle = means[target, judge, budget, "oracle"]["useful"]
                yield means[target, judge, budget, policy]["useful"] / oracle


if __name__ == "__main__":
    main()
