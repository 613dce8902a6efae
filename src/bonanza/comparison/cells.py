"""The cells of a comparison: one policy, one seed, one budget. Each is the very loop of `bonanza extract`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bonanza import build
from bonanza.budget import Account, Budget, Prices
from bonanza.cleaning.exact import ExactCleaner
from bonanza.comparison.bench import Bench, token_budget
from bonanza.comparison.judged import Yardstick, worth, worth_per_token
from bonanza.comparison.rows import Row
from bonanza.executors.local import LocalExecutor
from bonanza.interfaces import Policy, Rows
from bonanza.loop import Parts, Progress, rounds
from bonanza.policies.oracle import OraclePolicy
from bonanza.records import Reading, Usage
from bonanza.settings import CompareSettings

ORACLE, EVERYTHING = "oracle", "everything"
ALL = "100%"


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the loop, and who judges it."""

    policy: str
    seed: int
    budget: str
    judges: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.policy} at {self.budget}, seed {self.seed}"


class Cells:
    """Plans and runs the cells of a comparison.

    `everything` reads all known documents; `oracle` goes by the useful pairs of each, one oracle per judge. With a
    journal, both mean all that is known, not all that the corpus holds.
    """

    def __init__(self, bench: Bench, yardsticks: Sequence[Yardstick]) -> None:
        self._bench = bench
        self._yardsticks = {one.name: one for one in yardsticks}
        self.policies = policies_of(bench.settings)
        self.seedless = [name for name in self.policies if _is_seedless(bench, name)]
        held = [bench.pairs.of(reading.pairs) for reading in bench.readings]
        self._oracles = {one.name: _oracle(one, held, bench) for one in yardsticks}

    @property
    def planned(self) -> list[Cell]:
        """All cells, policy by policy; a policy that draws nothing has one seed."""
        settings, judges = self._bench.settings, tuple(self._yardsticks)
        cells = [
            Cell(policy, seed, budget, judges)
            for policy in self.policies
            for budget in dict.fromkeys(settings.budgets)
            for seed in range(1 if policy in self.seedless else settings.seeds)
        ]
        oracles = [Cell(ORACLE, 0, budget, (judge,)) for judge in judges for budget in dict.fromkeys(settings.budgets)]
        return [*cells, *oracles, Cell(EVERYTHING, 0, ALL, judges)]

    @property
    def tokens(self) -> dict[str, int]:
        """The tokens of each budget."""
        return {budget: int(self._budget(budget).limit) for budget in (*self._bench.settings.budgets, ALL)}

    def run(self, cell: Cell, stopping: Callable[[], bool]) -> list[Row] | None:
        """Run one cell and judge what it kept; None if it was stopped."""
        bench = self._bench
        account = Account(self._budget(cell.budget), Prices())
        pool = replace(bench.pool, affordable=build.affordable(account, bench.pool.costs))
        policy, started = self._policy(cell), time.perf_counter()
        policy.start(pool, bench.inputs.target, np.random.default_rng(cell.seed))
        seconds = time.perf_counter() - started
        executor = LocalExecutor(bench.extractor)
        parts = Parts(pool, policy, bench.extractor, executor, ExactCleaner(), MemoryLedger(), account)
        progress = list(rounds(parts, bench.settings.round_size, 0, stopping))[-1]
        if progress.stop_reason == "interrupted":
            return None
        return self._judged(cell, progress, seconds + progress.seconds["choose"])

    def _budget(self, text: str) -> Budget:
        return token_budget(text, self._bench.everything)

    def _policy(self, cell: Cell) -> Policy:
        if cell.policy == ORACLE:
            return self._oracles[cell.judges[0]]
        return _built(self._bench, "random" if cell.policy == EVERYTHING else cell.policy)

    def _judged(self, cell: Cell, progress: Progress, seconds: float) -> list[Row]:
        pairs = self._bench.pairs.of(pair for item in progress.read for pair in item.reading.kept)
        rows = []
        for judge in cell.judges:
            found = worth(self._yardsticks[judge], pairs)
            rows.append(
                Row(policy=cell.policy, seed=cell.seed, budget=cell.budget, judge=judge,
                    spent_tokens=progress.usage.total, pairs=len(pairs), documents=len(progress.read),
                    useful=found.useful, coverage=round(found.coverage, 6),
                    transport_cost=None if found.transport_cost is None else round(found.transport_cost, 6),
                    seconds=round(seconds, 3))
            )  # fmt: skip
        return rows


def policies_of(settings: CompareSettings) -> list[str]:
    """The policies to run on every budget, each once; random is always among them."""
    return [name for name in dict.fromkeys(("random", *settings.policies)) if name not in (ORACLE, EVERYTHING)]


def finished(cell: Cell, rows: Iterable[Row]) -> list[Row] | None:
    """The rows of a cell among those of an earlier run; None unless all are there."""
    found = {row["judge"]: row for row in rows if _is_of(cell, row)}
    return [found[judge] for judge in cell.judges] if set(found) >= set(cell.judges) else None


def _is_of(cell: Cell, row: Mapping[str, object]) -> bool:
    return (row["policy"], row["seed"], row["budget"]) == (cell.policy, cell.seed, cell.budget)


def _built(bench: Bench, policy: str) -> Policy:
    return build.build_policy(build.compared(bench.settings, policy), bench.embedder)


def _is_seedless(bench: Bench, policy: str) -> bool:
    """A policy says so by a true attribute `deterministic`."""
    return bool(getattr(_built(bench, policy), "deterministic", False))


def _oracle(measure: Yardstick, held: Sequence[Rows], bench: Bench) -> OraclePolicy:
    """`held`: the pairs of each document."""
    useful = [frozenset(pairs[measure.useful[pairs]].tolist()) for pairs in held]
    return OraclePolicy(worth_per_token(useful, bench.tokens))


class MemoryLedger:
    """A ledger for the length of one cell."""

    def __init__(self) -> None:
        self._readings: dict[str, Reading] = {}

    def find(self, document_ids: Iterable[str]) -> dict[str, Reading]:
        """Those among these documents that were read."""
        return {id_: self._readings[id_] for id_ in document_ids if id_ in self._readings}

    def add(self, readings: Sequence[Reading]) -> None:
        """Keep readings."""
        self._readings.update((reading.document_id, reading) for reading in readings)

    def paid(self) -> dict[str, Usage]:
        """Nothing: a cell begins anew."""
        return {}

    def lost(self) -> Usage:
        """Nothing: a replay calls nobody."""
        return Usage()

    def __len__(self) -> int:
        return len(self._readings)
