"""One comparison: its inputs, its judges, its cells one by one, what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from bonanza import build
from bonanza.comparison.bench import Bench, Inputs, check_budgets, prepared
from bonanza.comparison.cells import Cell, Cells, finished
from bonanza.comparison.curves import draw
from bonanza.comparison.folder import CompareFolder
from bonanza.comparison.judged import Yardstick, useful_at_most, yardstick
from bonanza.comparison.rows import Row, Spread, summarised, tokens_to_reach
from bonanza.corpus.targets import read_target
from bonanza.errors import MissingExtraError, SettingsError
from bonanza.interfaces import Embedder, Reader
from bonanza.records import Target, content_id, folded, pair_text
from bonanza.report.comparison import comparison_report
from bonanza.report.page import comparison_page, write_page
from bonanza.settings import CompareSettings, as_mapping
from bonanza.version import __version__


class Watcher(Protocol):
    """Is told how a comparison goes."""

    def stage(self, text: str) -> None:
        """A long step begins."""

    def step(self, text: str) -> None:
        """One of many steps of a stage begins."""

    def note(self, text: str) -> None:
        """Something that a person should know."""


class Silent:
    """Watches without a word."""

    def stage(self, text: str) -> None:
        """Ignore it."""

    def step(self, text: str) -> None:
        """Ignore it."""

    def note(self, text: str) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class CompareResult:
    """What a comparison found. All of it is also in `folder`."""

    folder: Path
    content: Mapping[str, Any]  # of compare.json

    @property
    def rows(self) -> Sequence[Row]:
        """One per cell and judge."""
        rows: Sequence[Row] = self.content["rows"]
        return rows

    @property
    def summary(self) -> list[Spread]:
        """Mean and standard deviation per policy, budget and judge."""
        return summarised(self.rows)

    @property
    def ended_early(self) -> bool:
        """The comparison was stopped; the rows that it holds are valid."""
        cells = self.content["cells"]
        return bool(cells["done"] < cells["planned"])

    def to_pandas(self) -> Any:
        """The rows as a pandas data frame (needs pandas)."""
        try:
            from pandas import DataFrame
        except ModuleNotFoundError:
            raise MissingExtraError("to_pandas()", "demo") from None
        return DataFrame(list(self.rows))


def compare(
    settings: CompareSettings, out: Path, cache: Path | None = None, watcher: Watcher | None = None,
    stopping: Callable[[], bool] = lambda: False, reader: Reader | None = None, target: Target | None = None,
    test: Target | None = None,
) -> CompareResult:  # fmt: skip
    """Carry out `compare` with checked settings; `reader`, `target` and `test` stand in for the named ones."""
    watcher, cache = watcher or Silent(), cache or build.default_cache()
    judging = _checked(settings)
    with CompareFolder(out) as folder:
        folder.refuse_other({"settings": as_mapping(settings)})
        inputs = Inputs(
            reader or build.build_reader(build.compared(settings, "random")),
            target or read_target(settings.target),
            test or read_target(settings.test),
        )
        _tell_judges(settings, list(judging), watcher)
        bench = prepared(settings, inputs, cache, watcher.stage)
        embedders = {name: _static(bench) if name == "static" else model for name, model in judging.items()}
        owner = {"settings": as_mapping(settings), "inputs": _identity(bench, embedders)}
        folder.refuse_other(owner)
        yardsticks = [_yardstick(bench, name, embedder, cache, watcher) for name, embedder in embedders.items()]
        cells = Cells(bench, yardsticks)
        head = owner | _head(bench, cells, yardsticks)
        for text in head["warnings"]:
            watcher.note(f"warning: {text}")
        _run(cells, head, folder, watcher, stopping)
    return CompareResult(out, folder.content)


def _checked(settings: CompareSettings) -> dict[str, Embedder | None]:
    """Refuse what cannot be compared before anything is read; the judges, with the models that they come with."""
    build.check_compared(settings)
    check_budgets(settings.budgets)
    judges = {name: build.load_judging(name) for name in build.judge_names(settings)}
    if not judges:
        raise SettingsError("no judge is named. Write e.g. --judges auto.")
    return judges


def _tell_judges(settings: CompareSettings, names: Sequence[str], watcher: Watcher) -> None:
    if "auto" in settings.judges:
        watcher.note(f"judges: {', '.join(names)} (chosen by auto)")


def _static(bench: Bench) -> Embedder:
    """The static embedder of this corpus, whichever embedder the policies have."""
    return build.build_embedder(replace(build.compared(bench.settings, "random"), embedder="static"), bench.store)


def _identity(bench: Bench, embedders: Mapping[str, Embedder | None]) -> dict[str, Any]:
    """What a comparison belongs to besides its settings, by content."""
    judges = [name if embedder is None else embedder.name for name, embedder in embedders.items()]
    journaled = bench.settings.llm.startswith("journal")
    return {
        "corpus": bench.store.path.name, "target": bench.inputs.target.id,
        "test": bench.inputs.test.id, "embedder": bench.embedder.name, "judges": judges,
        "readings": content_id(*map(repr, bench.readings)) if journaled else "recorded", "bonanza": __version__,
    }  # fmt: skip


def _yardstick(bench: Bench, name: str, embedder: Embedder | None, cache: Path, watcher: Watcher) -> Yardstick:
    pairs, test = bench.pairs.texts, [pair_text(item.question, item.answer) for item in bench.inputs.test.pairs]
    watcher.stage(f"judge {name}: {len(pairs):,} pairs against {len(test):,} test items")
    tell = lambda done: watcher.step(f"judge {name}: {done:,} of {len(pairs):,} pairs embedded")
    return yardstick(name, build.build_judge(embedder, pairs, test, cache, tell), len(pairs))


def _head(bench: Bench, cells: Cells, yardsticks: Sequence[Yardstick]) -> dict[str, Any]:
    """All of compare.json but the rows."""
    return {
        "documents": bench.documents,
        "pairs": len(bench.pairs),
        "tokens_to_read_everything": bench.everything,
        "budgets": cells.tokens,
        "judges": [measure.name for measure in yardsticks],
        "useful": {measure.name: int(measure.useful.sum()) for measure in yardsticks},
        "seedless": cells.seedless,
        "left_out": bench.left_out,
        "warnings": _warnings(bench, yardsticks),
    }


def _warnings(bench: Bench, yardsticks: Sequence[Yardstick]) -> list[str]:
    lines = []
    reference = {folded(pair.question) for pair in bench.inputs.target.pairs}
    if shared := sum(folded(pair.question) in reference for pair in bench.inputs.test.pairs):
        lines.append(f"{shared:,} questions of the test set stand in the reference set too: the policies know them")
    for measure in yardsticks:
        if _weights(measure.judge.name) == _weights(bench.embedder.name):
            lines.append(f"judge {measure.name} is the policies' own embedder: it is not independent of them")
        found, most = int(measure.useful.sum()), useful_at_most(len(bench.pairs))
        if found < most:
            lines.append(f"judge {measure.name}: only {found:,} pairs, not {most:,}, have anything in common with the "
                         "test set")  # fmt: skip
    return lines


def _weights(name: str) -> str:
    """The part of an embedder's name that is the hash of its model, whatever the model is called."""
    return name.rpartition("-")[2]


def _run(
    cells: Cells, head: Mapping[str, Any], folder: CompareFolder, watcher: Watcher, stopping: Callable[[], bool]
) -> None:
    """Run the cells that are not finished, writing the folder after each."""
    planned, earlier = cells.planned, folder.content.get("rows", [])
    rows = {cell: found for cell in planned if (found := finished(cell, earlier)) is not None}
    _write(folder, head, planned, rows)
    for number, cell in enumerate(planned, start=1):
        if cell in rows:
            continue
        watcher.step(f"cell {number:,} of {len(planned):,}: {cell}")
        found = None if stopping() else cells.run(cell, stopping)
        if found is None:
            break
        rows[cell] = found
        _write(folder, head, planned, rows)
    if not rows or stopping():
        return
    watcher.stage("drawing compare.png and compare.html")
    for name, draw_into in (("compare.png", draw), ("compare.html", _draw_page)):
        try:
            draw_into(folder.path / name, folder.content)
        except MissingExtraError as missing:
            watcher.note(f"{name} not drawn: {missing}")


def _draw_page(path: Path, content: Mapping[str, Any]) -> None:
    spreads = summarised(content["rows"])
    write_page(path, comparison_page(comparison_report(path.parent.resolve().name, content, spreads, tokens_to_reach)))


def _write(
    folder: CompareFolder, head: Mapping[str, Any], planned: Sequence[Cell], rows: Mapping[Cell, Sequence[Row]]
) -> None:
    """Rows in the order of the plan, whatever order they were found in."""
    done = [row for cell in planned for row in rows.get(cell, ())]
    folder.write({**head, "cells": {"done": len(rows), "planned": len(planned)}, "rows": done})
