"""Where a report takes its figures from: the tables of a folder that is written, or the journal of a run under way.

Both give columns for all documents and texts for the few pairs that are asked for, so that memory does not grow with
what was read. The journal is opened for reading only, beside the run that writes it, which never waits for that.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bonanza.errors import FolderError
from bonanza.records import Pair

Whole = NDArray[np.int64]
Real = NDArray[np.float64]

BATCH = 8_192  # pairs decoded at a time
MOST_VARIABLES = 500  # per query; SQLite's oldest limit is 999


@dataclass(frozen=True)
class Documents:
    """Every document read, in the order of reading; one entry per document in each column."""

    ids: Sequence[str]
    statuses: Sequence[str]
    found: Whole  # pairs in it
    kept: Whole  # pairs let through; before cleaning all of them
    tokens: Whole
    cost: Real  # US dollars
    utility: Real | None  # sum over its kept pairs; None: not measured yet
    clusters: Sequence[int | None]  # None: read before there were any

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class FoundPair:
    """One pair, and what is known of it."""

    pair: Pair
    cluster: int | None = None
    round: int | None = None
    scores: Mapping[str, float | None] | None = None


@dataclass(frozen=True, slots=True)
class PairStatus:
    """How many pairs ended in a status, and the commonest reasons for it."""

    status: str
    count: int
    reasons: Sequence[tuple[str, int]]


class Source(Protocol):
    """What was read."""

    @property
    def documents(self) -> Documents:
        """All documents."""
        ...

    @property
    def statuses(self) -> Sequence[PairStatus]:
        """How pairs ended; empty before cleaning."""
        ...

    def pairs(self, positions: Whole) -> list[FoundPair]:
        """The pairs at these positions among all, which rise."""
        ...


class WrittenTables:
    """documents.parquet and pairs.parquet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        columns = ["document_id", "status", "pairs", "input_tokens", "output_tokens", "cost_usd", "utility", "cluster"]
        table = _table(folder / "documents.parquet", columns)
        outcomes = _table(folder / "pairs.parquet", ["status", "reason"])
        found = table["pairs"].to_numpy()
        self.documents = Documents(
            ids=table["document_id"].to_pylist(), statuses=table["status"].to_pylist(), found=found,
            kept=_kept(found, outcomes["status"].to_pylist(), folder),
            tokens=table["input_tokens"].to_numpy() + table["output_tokens"].to_numpy(),
            cost=table["cost_usd"].to_numpy(), utility=table["utility"].to_numpy(),
            clusters=table["cluster"].to_pylist(),
        )  # fmt: skip
        self.statuses = _statuses(outcomes)

    def pairs(self, positions: Whole) -> list[FoundPair]:
        """The pairs at these positions among all, which rise."""
        return [_pair_of(row) for row in self._rows(positions)]

    def _rows(self, positions: Whole) -> Iterator[dict[str, Any]]:
        with _understood(self._folder / "pairs.parquet") as path:
            import pyarrow.parquet as pq

            start = 0
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(BATCH):
                    first, last = np.searchsorted(positions, [start, start + len(batch)])
                    yield from batch.take(positions[first:last] - start).to_pylist()
                    start += len(batch)


def _table(path: Path, columns: Sequence[str]) -> Any:
    with _understood(path):
        import pyarrow.parquet as pq

        return pq.read_table(path, columns=list(columns))


@contextmanager
def _understood(path: Path) -> Iterator[Path]:
    """Say what is wrong with a file that cannot be read."""
    try:
        yield path
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(
            f"{path}: cannot be read ({error}). Name the --out folder of a run; the command of the run writes it anew."
        ) from None


def _kept(found: Whole, statuses: Sequence[str], folder: Path) -> Whole:
    """Kept pairs of each document; pairs stand in the order of their documents."""
    if found.sum() != len(statuses):
        raise FolderError(
            f"{folder}: documents.parquet counts {found.sum():,} pairs, pairs.parquet holds {len(statuses):,}. They "
            "are of two runs, or are being replaced: try again, or run the command of the run again."
        )
    flags = np.fromiter((status == "kept" for status in statuses), dtype=np.int64, count=len(statuses))
    before, ends = np.concatenate([[0], flags.cumsum()]), found.cumsum()
    return np.asarray(before[ends] - before[ends - found], dtype=np.int64)


def _statuses(outcomes: Any) -> list[PairStatus]:
    counts = outcomes.group_by(["status", "reason"]).aggregate([([], "count_all")]).to_pylist()
    statuses = Counter[str]()
    for row in counts:
        statuses[row["status"]] += row["count_all"]
    return [PairStatus(status, count, _reasons(counts, status)) for status, count in statuses.most_common()]


def _reasons(counts: Sequence[Mapping[str, Any]], status: str) -> list[tuple[str, int]]:
    """The three commonest reasons of a status."""
    some = [(row["reason"], row["count_all"]) for row in counts if row["status"] == status and row["reason"]]
    return sorted(some, key=lambda one: (-one[1], one[0]))[:3]


def _pair_of(row: Mapping[str, Any]) -> FoundPair:
    pair = Pair(**{name: row[name] for name in Pair.__slots__})
    return FoundPair(pair, row["cluster"], row["round"], row["scores"])


class JournaledReadings:
    """The readings in a journal, as far as they are there: pairs are not cleaned yet."""

    statuses: Sequence[PairStatus] = ()

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        query = (
            "select sequence, document_id, status, json_array_length(reading, '$.pairs'), input_tokens + output_tokens,"
            " cost_usd from readings order by sequence"
        )
        columns = list(zip(*asked(folder, query), strict=True)) or [()] * 6
        self._sequence, ids, statuses, found, tokens, cost = columns
        pairs = np.array(found, dtype=np.int64)
        self.documents = Documents(
            ids, statuses, pairs, pairs, np.array(tokens, dtype=np.int64), np.array(cost, dtype=np.float64),
            utility=None, clusters=[None] * len(ids),
        )  # fmt: skip

    def pairs(self, positions: Whole) -> list[FoundPair]:
        """The pairs at these positions among all, which rise."""
        ends = self.documents.found.cumsum()
        owners = np.searchsorted(ends, positions, side="right")
        readings = self._readings([self._sequence[owner] for owner in np.unique(owners)])
        starts = ends - self.documents.found
        return [
            FoundPair(Pair(**readings[self._sequence[owner]][position - starts[owner]]))
            for position, owner in zip(positions, owners, strict=True)
        ]

    def _readings(self, sequences: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """The pairs of some readings, by their place in the journal."""
        pairs: dict[int, list[dict[str, Any]]] = {}
        for start in range(0, len(sequences), MOST_VARIABLES):
            some = sequences[start : start + MOST_VARIABLES]
            marks = ",".join("?" * len(some))
            query = f"select sequence, json_extract(reading, '$.pairs') from readings where sequence in ({marks})"  # noqa: S608
            pairs |= {sequence: json.loads(text) for sequence, text in asked(self._folder, query, some)}
        return pairs


def asked(folder: Path, query: str, values: Sequence[Any] = ()) -> list[Any]:
    """Ask a journal, whoever writes to it; changes nothing in its folder."""
    path = folder / "journal.sqlite"
    if not path.is_file():
        raise FolderError(f"{folder}: holds no journal.sqlite. Name the --out folder of a run of `bonanza extract`.")
    try:
        with _opened(path) as database:
            return database.execute(query, values).fetchall()
    except sqlite3.DatabaseError as error:
        raise FolderError(f"{path}: the journal cannot be read ({error}). Name the folder of a run.") from None


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open without writing anything beside the journal, as SQLite would do even for reading.

    A write-ahead log without its index belongs to a copied folder: nobody writes there, and a copy of it is opened.
    """
    log, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    with tempfile.TemporaryDirectory() as scratch:
        if log.exists() and not index.exists():
            copies = [shutil.copyfile(file, Path(scratch) / file.name) for file in (path, log)]
            address = copies[0].as_uri()
        else:
            address = path.absolute().as_uri() + ("?mode=ro&readonly_shm=1" if log.exists() else "?immutable=1")
        with closing(sqlite3.connect(address, uri=True, timeout=30)) as database:
            yield database
