"""Selects the samples of instruction data worth training on: reads, selects, writes in the data's own format."""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bonanza import build
from bonanza.corpus.instructions import InstructionData, read_samples, require_same_format, write_rows
from bonanza.errors import FolderError, SettingsError
from bonanza.files import replacing
from bonanza.interfaces import Selection, Selector
from bonanza.records import Pair, Sample, Turn
from bonanza.settings import SelectSettings

MANY = 1_000_000  # samples, of which no share is rounded to all
KEPT, OUTRANKED = "kept", "others rank higher"


class Watcher(Protocol):
    """Looks on while samples are selected."""

    def stage(self, name: str) -> None:
        """A stage begins."""
        ...

    def scored(self, done: int, of: int) -> None:
        """So many passages have been scored by the language model."""
        ...


class Silent:
    """Looks away."""

    def stage(self, name: str) -> None:
        """Say nothing."""

    def scored(self, done: int, of: int) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class SelectResult:
    """What was selected, and why."""

    data: InstructionData
    selection: Selection
    summary: Mapping[str, Any]

    @property
    def samples(self) -> list[Sample]:
        """The kept samples, in the data's order."""
        return [self.data.samples[position] for position in sorted(self.selection.kept)]

    @property
    def rows(self) -> list[int]:
        """Positions of the kept rows in the file, from 0, in its order."""
        return [sample.row for sample in self.samples]

    def table(self) -> list[dict[str, Any]]:
        """One row per sample, in the data's order: its scores, whether it was kept, and why not."""
        places = {position: place for place, position in enumerate(self.selection.kept, start=1)}
        return [
            {"row": sample.row, "id": sample.id, **{name: values[position] for name, values in self._scores()},
             "kept": position in places, "place": places.get(position),
             "reason": KEPT if position in places else self.selection.left_out.get(position, OUTRANKED)}
            for position, sample in enumerate(self.data.samples)
        ]  # fmt: skip

    def _scores(self) -> list[tuple[str, Sequence[Any]]]:
        return list(self.selection.scores.items())

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.table())

    def to_dataset(self) -> Any:
        """The kept samples as a Hugging Face dataset of messages."""
        from datasets import Dataset

        return Dataset.from_list(
            [
                {"messages": [{"role": turn.role, "content": turn.text} for turn in sample.turns]}
                for sample in self.samples
            ]
        )


def select(
    settings: SelectSettings, out: Path | None, scores: Path | None = None, cache: Path | None = None,
    watcher: Watcher | None = None,
) -> SelectResult:  # fmt: skip
    """Select, and write the kept rows and the scores of all samples.

    Scores of the language model are kept in the cache as they come: the same command resumes.

    Raises
    ------
    UsageError
        If the settings cannot be carried out.
    """
    watcher, cache, began = watcher or Silent(), cache or build.default_cache(), time.perf_counter()
    given = {"knowledge": settings.knowledge, "target": settings.target}
    build.check_selection(settings.method, settings.lm, given)
    build.check_place(settings)
    if out is not None:
        require_same_format(settings.data, out)
    if scores is not None:
        _require_writable(scores, settings.data, out)
    watcher.stage("reading the samples")
    data = read_samples(settings.data)
    keep = count_of(settings.keep, len(data.samples))
    with build.at_hand(settings, watcher.stage):
        watcher.stage("looking at the samples")
        inputs = build.selection_inputs(settings, data.samples, cache, watcher.scored, watcher.stage)
        selector = build.build_selector(settings.method, settings, inputs)
        selection = selector.select(data.samples, keep, np.random.default_rng(settings.seed))
    result = SelectResult(data, selection, _summary(settings, data, keep, selection, time.perf_counter() - began))
    if out is not None:
        write_rows(settings.data, result.rows, out)
    if scores is not None:
        _write_scores(scores, result.table())
    return result


def outranked(pairs: Sequence[Pair], keep: str, selector: Selector, seed: int) -> dict[str, str]:
    """The pairs that a selection does not keep: by id, why.

    Raises
    ------
    SettingsError
        If `keep` is not understood. More than all pairs means all, less than one means one.
    """
    count = min(max(build.parse_keep(keep)(len(pairs)), 1), len(pairs))
    samples = [
        Sample(row, (Turn("user", pair.question), Turn("assistant", pair.answer))) for row, pair in enumerate(pairs)
    ]
    selection = selector.select(samples, count, np.random.default_rng(seed))
    return {
        pairs[row].id: selection.left_out.get(row, OUTRANKED) for row in set(range(len(pairs))) - set(selection.kept)
    }


def count_of(keep: str, samples: int) -> int:
    """How many samples "1%" or "500" means.

    Raises
    ------
    SettingsError
        If that is none of them, or more than there are.

    >>> count_of("1%", 1000), count_of("500", 1000)
    (10, 500)
    """
    wanted = build.parse_keep(keep)
    count, above_all = wanted(samples), "%" in keep and wanted(MANY) > MANY  # 101% of 20 would be 20
    if above_all or not 1 <= count <= samples:
        raise SettingsError(f"--keep {keep}: that is {count:,} of {samples:,} samples. Keep at least one, at most all.")
    return count


def _summary(
    settings: SelectSettings, data: InstructionData, keep: int, selection: Selection, seconds: float
) -> dict[str, Any]:
    skipped = Counter(record.reason for record in data.skipped)
    left_out = Counter(selection.left_out.values())
    return {
        "rows": data.rows, "samples": len(data.samples), "asked_for": keep, "kept": len(selection.kept),
        "method": settings.method, "lm": settings.lm, "seconds": round(seconds, 1), "skipped": dict(skipped),
        "left_out": dict(left_out),
    }  # fmt: skip


def _require_writable(scores: Path, data: str, out: Path | None) -> None:
    """Refuse, before any work, a file for the scores that is in no folder, or that is the data or the output."""
    if not scores.parent.is_dir():
        raise FolderError(f"{scores}: there is no folder {scores.parent}. Make it, or name another.")
    others = [Path(data).expanduser(), *([out] if out else [])]
    if os.path.realpath(scores) in map(os.path.realpath, others):
        raise SettingsError(
            f"{scores}: is the data or the output, which would be lost. Name another file for --scores."
        )


def _write_scores(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    """A parquet table; JSON lines under any other name."""
    with replacing(path) as partial:
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(list(table)), partial, compression="zstd")
            return
        known = ({name: _known(value) for name, value in row.items()} for row in table)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in known)
        partial.write_text(lines, encoding="utf-8")


def _known(value: Any) -> Any:
    """The value; none for nan, which JSON does not know."""
    return None if isinstance(value, float) and math.isnan(value) else value
