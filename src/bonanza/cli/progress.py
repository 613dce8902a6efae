"""What a run shows on the terminal: a live panel, or plain lines where there is no terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bonanza.budget import Account
from bonanza.estimate import Estimate
from bonanza.interfaces import Policy
from bonanza.loop import Progress
from bonanza.records import Reading
from bonanza.run import Plan

SECONDS_BETWEEN_LINES = 5.0


class Terminal:
    """Watches a run. Text of documents never passes through here; everything else is printed without markup."""

    def __init__(self, quiet: bool = False, title: str = "") -> None:
        self._console = Console(stderr=True, quiet=quiet, markup=False, highlight=False)
        self._title = title
        self._live: Live | None = None
        self._started = time.monotonic()
        self._last_line = 0.0
        self._note = ""
        self._first_spent: float | None = None
        self._scored_from: tuple[int, float] | None = None
        self._in_round = 0
        self._pace = Pace()
        self._panel_shown = Group()

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.quiet:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def stage(self, text: str) -> None:
        """A long step begins."""
        if self._live is not None:
            self._live.update(Text(f"{self._title}{text} ..."))
        else:
            self._console.print(f"{self._title}{text}")

    def reading(self, reading: Reading) -> None:
        """Show that documents are being read, between two rounds."""
        self._in_round += 1
        self._pace.count()
        text = f"{self._title}reading documents: {self._in_round:,} in this round{self._pace}"
        if self._live is not None:
            self._live.update(Group(Text(text), self._panel_shown))
        elif time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(text, soft_wrap=True)

    def round(self, progress: Progress, account: Account, policy: Policy) -> None:
        """Show where the run stands."""
        report = policy.report()
        self._show_note(report)
        self._in_round = 0
        if self._live is not None:
            self._panel_shown = self._panel(progress, account, report)
            self._live.update(self._panel_shown, refresh=True)
        elif progress.stop_reason or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            line = ", ".join([*self._lines(progress, account), *_best_in_words(report)])
            self._console.print(f"{self._title}{line}", soft_wrap=True)

    def scored(self, done: int, of: int) -> None:
        """Show how far a language model has come."""
        if self._scored_from is None or done < self._scored_from[0]:
            self._scored_from = done, time.monotonic()
        gained, seconds = done - self._scored_from[0], time.monotonic() - self._scored_from[1]
        left = _about(seconds / gained * (of - done)) if gained and done < of else ""
        text = f"{self._title}scored {done:,} of {of:,} passages{left}"
        if self._live is not None:
            self._live.update(Text(text))
        elif done == of or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self._console.print(text, soft_wrap=True)

    def _show_note(self, report: Mapping[str, Any]) -> None:
        """Say once what the alignment did."""
        note = report.get("alignment", {}).get("note", "")
        if note and note != self._note:
            self._note = note
            per_round = f"{report['arms_per_round']} x {report['documents_per_arm']} documents a round"
            sizes = f"{report['clusters']} clusters, {per_round}"
            self._console.print(f"{self._title}{note} Then {sizes}.", soft_wrap=True)

    def _lines(self, progress: Progress, account: Account) -> list[str]:
        """What is spent, and what it gave; each fits 80 columns."""
        share = account.spent / account.budget.limit
        spent = spent_of(account.spent, account.budget.limit, account.budget.kind)
        read, kept = f"{len(progress.read):,} documents read", f"{_kept(progress):,} pairs kept"
        return [
            f"round {progress.round}: {spent} spent ({share:.0%})",
            f"{read}{self._pace}, {kept}{self._time_left(share)}",
        ]

    def _time_left(self, share: float) -> str:
        """Time left at the rate so far: from the second round on, and only once more than what is replayed was read."""
        if self._first_spent is None or not self._pace.counted:
            self._first_spent, self._started = share, time.monotonic()
            return ""
        gained = share - self._first_spent
        if gained <= 0 or share >= 1:
            return ""
        seconds = (time.monotonic() - self._started) / gained * (1 - share)
        return _about(seconds)

    def _panel(self, progress: Progress, account: Account, report: Mapping[str, Any]) -> Group:
        share = account.spent / account.budget.limit
        # Padded, though by nothing: a bar by itself ends no line.
        bar = ProgressBar(total=1.0, completed=min(share, 1.0), width=min(60, self._console.width - 2))
        spent, read = self._lines(progress, account)
        return Group(Text(self._title + spent), Text(read), Padding(bar, 0), *_best_clusters(report))


class Pace:
    """How many documents are read in what time; those that a resumed run replays are none."""

    def __init__(self) -> None:
        self.counted = 0
        self._since = self._last = 0.0

    def count(self) -> None:
        """A document was read."""
        self._last = time.monotonic()
        self._since = self._since if self.counted else self._last
        self.counted += 1

    def __str__(self) -> str:
        """In parentheses; nothing until there is something to tell."""
        seconds = self._last - self._since
        return f" ({_rate((self.counted - 1) / seconds)})" if self.counted > 1 and seconds > 0 else ""


def _rate(per_second: float) -> str:
    """A rate in a unit in which it is above one, where there is one.

    >>> _rate(12.345), _rate(0.5), _rate(0.001)
    ('12 a second', '30 a minute', '3.6 an hour')
    """
    units = (("a second", 1), ("a minute", 60), ("an hour", 3600))
    unit, seconds = next((one for one in units if per_second * one[1] >= 1), units[-1])
    rate = per_second * seconds
    return f"{rate:,.{0 if rate >= 10 else 1}f} {unit}"


def _about(seconds: float) -> str:
    return f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"


def _best_in_words(report: Mapping[str, Any]) -> list[str]:
    """The clusters of highest reward, for a log."""
    best = report.get("best_clusters") or []
    told = ", ".join(f"{arm['cluster']} ({arm['reward']:.3f})" for arm in best)
    return [f"best clusters {told}"] if told else []


def _best_clusters(report: Mapping[str, Any]) -> list[Table]:
    best = report.get("best_clusters") or []
    if not best:
        return []
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("best clusters", "reward", "pulls", "unread of"):
        table.add_column(name, justify="right")
    for arm in best:
        table.add_row(
            str(arm["cluster"]),
            f"{arm['reward']:.3f}",
            f"{arm['pulls']:.1f}",
            f"{arm['unread']:,} of {arm['documents']:,}",
        )
    return [table]


def _kept(progress: Progress) -> int:
    return sum(len(item.reading.kept) for item in progress.read)


def spent_of(spent: float, limit: float, kind: str) -> str:
    """How much of a budget is spent, for people.

    >>> spent_of(1234, 1234567, "tokens"), spent_of(1.2, 12.5, "dollars")
    ('1,234 of 1,234,567 tokens', '$1.20 of $12.50')
    """
    return f"${spent:,.2f} of ${limit:,.2f}" if kind == "dollars" else f"{spent:,.0f} of {limit:,.0f} {kind}"


def summary_lines(summary: Mapping[str, Any], out: Path) -> list[str]:
    """The end of a run, on one screen."""
    tokens, budget, cost = summary["tokens"], summary["budget"], summary["transport_cost"]
    spent = spent_of(budget["spent"], budget["limit"], budget["kind"])
    statuses, pair_statuses = _counts(summary["statuses"]), _counts(summary["pair_statuses"])
    lines = [
        f"{summary['stop_reason']}: {spent}",
        f"read      {summary['documents_read']:,} of {summary['documents_total']:,} documents  {statuses}",
        f"pairs     {summary['pairs_kept']:,} kept of {summary['pairs_extracted']:,}  {pair_statuses}",
        f"tokens    {tokens['total']:,} ({tokens['input']:,} prompt, {tokens['output']:,} completion)",
    ]
    lines += _money_lines(summary)
    if cost["end"] is not None:
        fall = f"{cost['start']:.4f} at the start, {cost['end']:.4f} of all; lower is closer"
        lines.append(f"transport cost to the target  {fall}")
    if note := summary["policy_report"].get("note"):
        lines.append(f"{summary['policy']:9} {note}")
    if summary["left_out"]:
        lines.append(f"left out  {_counts(summary['left_out'])[1:-1]}; listed in {out / 'skipped.jsonl'}")
    if met := summary["reference_pairs_in_tests"]:
        lines.append(f"warning   {met:,} pairs of the target are test items too: figures on those will flatter")
    return [*lines, f"written   {out / 'train.jsonl'}"]


def _money_lines(summary: Mapping[str, Any]) -> list[str]:
    tokens, prices, lines = summary["tokens"], summary["prices"], []
    if summary["cost_usd"]:
        each = summary["cost_usd_per_1000_pairs"]
        per_thousand = f", ${each:,.2f} per 1,000 kept pairs" if each is not None else ""
        at = f"${prices['input']:g} / ${prices['output']:g} per million tokens"
        lines.append(f"cost      ${summary['cost_usd']:.4f}{per_thousand}, at {at}")
    if reckoned := tokens["estimated_documents"]:
        lines.append(f"          {reckoned:,} documents: some tokens are reckoned, the server's figures were missing")
    if tokens["unread"]:
        lines.append(f"          {tokens['unread']:,} tokens went into documents that are not read to the end")
    return lines


def plan_lines(plan: Plan) -> list[str]:
    """What a run would do, on one screen."""
    budget, each, prices = plan.account.budget, plan.usage, plan.account.prices
    lines = [
        f"corpus    {plan.documents:,} documents, {plan.skipped:,} records left out",
        f"target    {plan.references:,} reference pairs",
        f"read by   {plan.extractor}, chosen by {plan.policy}",
        f"budget    {spent_of(0, budget.limit, budget.kind)} spent; pays for about {plan.affordable:,} documents",
        f"each      about {each.input_tokens:,} prompt and {each.output_tokens:,} completion tokens",
    ]
    if cost := plan.account.cost(each):
        lines.append(
            f"prices    ${prices.input:g} / ${prices.output:g} per million tokens, about ${cost:.5f} per document"
        )
    return [*lines, "Nothing was called, and nothing written but the index of the corpus."]


def plan_content(plan: Plan) -> dict[str, Any]:
    """The same as plain values."""
    account = plan.account
    return {
        "documents": plan.documents, "skipped": plan.skipped, "references": plan.references, "llm": plan.extractor,
        "policy": plan.policy, "affordable": plan.affordable, "tokens_per_document": asdict(plan.usage),
        "budget": {"kind": account.budget.kind, "limit": account.budget.limit}, "prices": asdict(account.prices),
    }  # fmt: skip


def estimate_lines(estimate: Estimate, out: Path) -> list[str]:
    """What a budget would buy, on one screen."""
    pilot = estimate.pilot
    lines = [
        f"pilot     {pilot['documents_read']:,} documents read, {pilot['pairs_kept']:,} pairs kept",
        "the whole budget would give, with an interval of 80% (later documents tend to hold fewer pairs):",
    ]
    for name, unit, interval in (
        ("documents", "", estimate.documents), ("pairs", "", estimate.pairs), ("tokens", "", estimate.tokens),
        ("dollars", "$", estimate.cost_usd), ("minutes", "", estimate.minutes),
    ):  # fmt: skip
        if name != "dollars" or interval.expected:
            shown = _rounded if name in ("dollars", "minutes") else _whole
            expected, low, high = (unit + shown(some) for some in (interval.expected, interval.low, interval.high))
            lines.append(f"{name:9} {expected}  ({low} to {high})")
    return [*lines, f"written   {out}; `bonanza extract --reuse {out}` uses its answers"]


def _whole(value: float) -> str:
    """A count, to three digits.

    >>> _whole(60), _whole(12345.6)
    ('60', '12,300')
    """
    return _rounded(value).partition(".")[0]


def _rounded(value: float) -> str:
    """Three digits.

    >>> _rounded(12345.6), _rounded(1.2345), _rounded(0.0123)
    ('12,300', '1.23', '0.0123')
    """
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, digits):,.{max(digits, 0)}f}"


def _counts(counts: Mapping[str, int]) -> str:
    return "(" + ", ".join(f"{name} {count:,}" for name, count in counts.items()) + ")" if counts else ""
