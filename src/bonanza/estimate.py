"""What a budget would buy, from a pilot: documents that the policy chooses, read for real, inside a budget of its own.

The pilot's means are carried over to as many documents as the budget pays for. The intervals are those of a bootstrap
over the pilot's documents [ours]: they hold what chance in thirty documents can do, not that later documents are
farther from the target, so pairs are the better case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bonanza import build
from bonanza.budget import Account, parse_budget
from bonanza.errors import UsageError
from bonanza.records import Usage
from bonanza.run import Watcher, run
from bonanza.settings import RunSettings

RESAMPLES = 2_000
LEVELS = (10.0, 90.0)  # percentiles: an interval of 80%


@dataclass(frozen=True, slots=True)
class Interval:
    """An expectation, and where it lies with a probability of 80%."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """What the whole budget would give."""

    pilot: Mapping[str, Any]  # summary of the pilot
    documents: Interval
    pairs: Interval
    tokens: Interval
    cost_usd: Interval
    minutes: Interval


def estimate(
    settings: RunSettings, pilot: str, out: Path, cache: Path | None = None, watcher: Watcher | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Estimate:  # fmt: skip
    """Read a pilot into a folder, which resumes, and carry its means over to the budget of the settings.

    Raises
    ------
    UsageError
        If the pilot read nothing.
    """
    parse_budget(settings.budget, 10**12)  # refused before anything is paid for
    summary = run(replace(settings, budget=pilot), out, cache, watcher, stopping).summary
    documents = pq.read_table(out / "documents.parquet").to_pydict()
    if not documents["document_id"]:
        raise UsageError(f"{out}: the pilot read nothing ({summary['stop_reason']}). Give a larger --pilot.")
    kept = _kept_by_document(out, documents["document_id"])
    account = Account(parse_budget(settings.budget, summary["documents_total"]), build.build_prices(settings))
    readings = np.column_stack([documents["input_tokens"], documents["output_tokens"], kept]).astype(np.float64)
    return _carried_over(readings, account, summary)


def _kept_by_document(out: Path, documents: list[str]) -> list[int]:
    pairs = pq.read_table(out / "pairs.parquet", columns=["document_id", "status"]).to_pydict()
    counts = dict.fromkeys(documents, 0)
    for document, status in zip(pairs["document_id"], pairs["status"], strict=True):
        counts[document] += status == "kept"
    return list(counts.values())


def _carried_over(readings: NDArray[np.float64], account: Account, summary: Mapping[str, Any]) -> Estimate:
    """Bootstrap: columns of `readings` are prompt tokens, completion tokens and kept pairs of each document."""
    rng = np.random.default_rng(0)
    means = readings[rng.integers(0, len(readings), (RESAMPLES, len(readings)))].mean(axis=1)
    rows = np.vstack([readings.mean(axis=0), means])  # the first is what is expected
    thousands = [Usage(int(1_000 * prompt), int(1_000 * written)) for prompt, written, _ in rows]
    each = np.maximum([account.amount(usage, 1_000) / 1_000 for usage in thousands], 1e-12)
    count = np.minimum(account.budget.limit / each, summary["documents_total"])
    seconds = summary["seconds"]["read"] / len(readings)
    dollars = (rows[:, 0] * account.prices.input + rows[:, 1] * account.prices.output) / 1e6
    tokens = rows[:, 0] + rows[:, 1]
    figures = (np.ones_like(count), rows[:, 2], tokens, dollars, np.full_like(count, seconds / 60))
    return Estimate(summary, *(_interval(count * figure) for figure in figures))


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values[1:], LEVELS)
    return Interval(float(values[0]), float(low), float(high))
