"""What a comparison shows on the terminal: its progress, and at the end two tables per judge."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bonanza.cli.progress import SECONDS_BETWEEN_LINES, Terminal
from bonanza.comparison.cells import EVERYTHING, ORACLE
from bonanza.comparison.compare import CompareResult
from bonanza.comparison.rows import Spread, tokens_to_reach


class CompareTerminal(Terminal):
    """Watches a comparison."""

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, soft_wrap=True)

    def step(self, text: str) -> None:
        """Show it, where there is no terminal only every few seconds."""
        if self._live is not None or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.stage(text)


def content_of(result: CompareResult) -> dict[str, Any]:
    """What compare.json holds, with means and spreads in place of its rows."""
    return {key: value for key, value in result.content.items() if key != "rows"} | {"summary": result.summary}


def show(result: CompareResult) -> None:
    """Print the tables."""
    console = Console(markup=False, highlight=False)
    lines = [*_head(result.content), *(part for judge in result.content["judges"] for part in _judged(judge, result))]
    for line in [*lines, *_foot(result)]:
        console.print(line, soft_wrap=isinstance(line, str))


def _head(content: Mapping[str, Any]) -> Iterator[str]:
    documents, tokens = content["documents"], content["tokens_to_read_everything"]
    if documents["unknown"]:
        yield (
            f"documents: {documents['known']:,} of {documents['total']:,} are known from the journal; "
            f"{documents['unknown']:,} were never read: unknown, and left out"
        )
    yield f"{content['pairs']:,} pairs in {documents['known']:,} documents; reading everything takes {tokens:,} tokens"
    if content["left_out"]:
        yield "left out: " + ", ".join(f"{reason} {count:,}" for reason, count in content["left_out"].items())


def _foot(result: CompareResult) -> Iterator[str]:
    content = result.content
    yield "\n* best of its column, the oracle aside; ± standard deviation over seeds"
    if seedless := content["seedless"]:
        yield f"run once, since no seed changes them: {', '.join(seedless)}, oracle"
    pictures = [path for path in [result.folder / "compare.png"] if path.exists()]
    yield f"written   {', '.join(map(str, [result.folder / 'compare.json', *pictures]))}"


@dataclass(frozen=True)
class _Figures:
    """What one judge says of all policies but `everything`, by policy and budget."""

    spreads: Mapping[tuple[str, str], Mapping[str, Any]]
    policies: Sequence[str]
    budgets: Sequence[str]  # by size

    def column(self, measure: str, budget: str) -> dict[str, float]:
        """The means of the policies that were run at a budget."""
        found = {policy: self.spreads[policy, budget] for policy in self.policies if (policy, budget) in self.spreads}
        return {policy: one[measure] for policy, one in found.items() if one[measure] is not None}

    def text(self, measure: str, policy: str, budget: str) -> str:
        """A figure, with a star if it is the best of its column."""
        column = self.column(measure, budget)
        if policy not in column:
            return " -"
        rivals = [value for name, value in column.items() if name != ORACLE]
        best = (min if measure == "transport_cost" else max)(rivals, default=None)
        star = "*" if policy != ORACLE and column[policy] == best else " "
        return star + _written(measure, self.spreads[policy, budget])


def _written(measure: str, one: Mapping[str, Any]) -> str:
    if measure != "useful":
        return f"{one[measure]:.3f}"
    if one["useful_sd"] is None:
        return f"{one['useful']:,.0f}"
    digits = 1 if one["useful"] < 10 else 0
    return f"{one['useful']:,.{digits}f}±{one['useful_sd']:,.{digits}f}"


def _judged(judge: str, result: CompareResult) -> Iterator[str | Table]:
    """The tables of one judge."""
    content, useful = result.content, result.content["useful"][judge]
    spreads = [one for one in result.summary if one["judge"] == judge]
    figures = _figures(spreads, content["budgets"])
    half = {policy: _half(figures, policy, useful / 2, content) for policy in figures.policies}
    yield f"\nJudge {judge}: useful pairs found, of {useful:,}; half: tokens spent when half are"
    yield _table(
        [*figures.budgets, "half"],
        ([policy, *(figures.text("useful", policy, budget) for budget in figures.budgets), half[policy]]
         for policy in figures.policies),
    )  # fmt: skip
    yield f"\nJudge {judge}: coverage (higher is better) and transport cost (lower is better)"
    yield _table(
        figures.budgets,
        ([policy, *(" ".join(figures.text(measure, policy, budget) for measure in ("coverage", "transport_cost"))
                    for budget in figures.budgets)]
         for policy in figures.policies),
    )  # fmt: skip
    for one in spreads:
        if one["policy"] == EVERYTHING:
            yield (
                f"everything: {one['useful']:,.0f} useful pairs, coverage {one['coverage']:.3f}, transport cost "
                f"{one['transport_cost']:.3f}"
            )


def _figures(spreads: Iterable[Spread], tokens: Mapping[str, int]) -> _Figures:
    some = {(one["policy"], one["budget"]): one for one in spreads if one["policy"] != EVERYTHING}
    policies = list(dict.fromkeys(policy for policy, _ in some))
    return _Figures(some, policies, sorted({budget for _, budget in some}, key=lambda budget: tokens[budget]))


def _half(figures: _Figures, policy: str, goal: float, content: Mapping[str, Any]) -> str:
    """The share of all tokens at which so many useful pairs are found, on a straight line between budgets."""
    found = [(budget, figures.column("useful", budget).get(policy)) for budget in figures.budgets]
    curve = [(float(content["budgets"][budget]), useful) for budget, useful in found if useful is not None]
    tokens = tokens_to_reach(goal, curve)
    if tokens is None:
        return f"> {figures.budgets[-1]}" if goal else "-"
    return f"{tokens / content['tokens_to_read_everything']:.1%}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    return table
