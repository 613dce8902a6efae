"""The run's ledger: every paid answer is durable here before it is used.

One SQLite file in write-ahead mode, one writer, one commit per reading, flushed to disk. The state of a run is the
replay of its journal. Holds no keys and no prompts.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from bonanza.errors import FolderError
from bonanza.records import Pair, Reading, Usage

_TABLES = """
create table if not exists belongs (key text primary key, value text not null) without rowid;
create table if not exists readings (
  sequence integer primary key,
  document_id text not null unique,
  status text not null,
  input_tokens integer not null,
  output_tokens integer not null,
  cost_usd real not null,
  reading text not null
);
"""
_MOST_VARIABLES = 500  # document ids per query; SQLite's oldest limit is 999


class Journal:
    """Readings of one run, kept on disk. Use as a context manager: the folder is locked while it is open."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.sqlite"
        self._lock = locked(folder)
        try:
            self._database = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            for pragma in ("journal_mode=wal", "synchronous=full"):
                self._database.execute(f"pragma {pragma}")
            self._database.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            self._lock.close()
            raise self._unusable(error) from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and release the folder."""
        self._database.close()
        self._lock.close()

    def belongs_to(self) -> dict[str, Any]:
        """What `claim` wrote: the settings and inputs of the run; empty for a new journal."""
        return {key: json.loads(value) for key, value in self._rows("select key, value from belongs")}

    def claim(self, owner: Mapping[str, Any]) -> None:
        """Write down the settings and inputs that this journal belongs to."""
        self._rows("begin immediate")
        for key, value in owner.items():
            self._rows("insert or replace into belongs values (?, ?)", (key, json.dumps(value, sort_keys=True)))
        self._rows("commit")

    def add(self, reading: Reading) -> None:
        """Keep a reading; it is on disk when this returns. A document can be kept once only."""
        usage = reading.usage
        self._rows(
            "insert into readings (document_id, status, input_tokens, output_tokens, cost_usd, reading)"
            " values (?, ?, ?, ?, ?, ?)",
            (reading.document_id, reading.status, usage.input_tokens, usage.output_tokens, reading.cost_usd,
             json.dumps(asdict(reading))),
        )  # fmt: skip

    def find(self, document_ids: Iterable[str]) -> dict[str, Reading]:
        """The readings kept among these documents."""
        wanted = list(document_ids)
        found: dict[str, Reading] = {}
        for start in range(0, len(wanted), _MOST_VARIABLES):
            some = wanted[start : start + _MOST_VARIABLES]
            marks = ",".join("?" * len(some))
            query = f"select reading from readings where document_id in ({marks})"  # noqa: S608 - marks only
            for (text,) in self._rows(query, some):
                reading = _reading(json.loads(text))
                found[reading.document_id] = reading
        return found

    def __len__(self) -> int:
        return int(self._rows("select count(*) from readings")[0][0])

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run one statement; a damaged file or a full disk is told to the user."""
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.IntegrityError:
            raise  # a document twice: our mistake
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: sqlite3.DatabaseError) -> FolderError:
        return FolderError(
            f"{self.path}: the journal cannot be used ({error}). If the disk is full, make room and run the same "
            "command again; if the file is damaged, move it away, or choose another folder with --out."
        )


def readings_of(folder: Path) -> dict[str, Reading]:
    """All readings of a finished or stopped run, by document, in the order in which they were paid for.

    Looks at a copy: SQLite itself would write beside a journal whose run was killed.
    """
    path = folder / "journal.sqlite"
    if not path.is_file():
        raise FolderError(f"{folder}: holds no journal.sqlite. Name the --out folder of a run of `bonanza extract`.")
    with _unchanging(folder), tempfile.TemporaryDirectory() as scratch:
        for name in (path.name, f"{path.name}-wal"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, Path(scratch) / name)
        try:
            with closing(sqlite3.connect(Path(scratch) / path.name)) as copy:
                texts = copy.execute("select reading from readings order by sequence").fetchall()
        except sqlite3.DatabaseError as error:
            raise FolderError(f"{path}: the journal cannot be read ({error}). Choose the folder of a run.") from None
    try:
        readings = [_reading(json.loads(text)) for (text,) in texts]
    except (ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{path}: a reading cannot be understood ({error!r}). The journal is damaged.") from None
    return {reading.document_id: reading for reading in readings}


@contextmanager
def _unchanging(folder: Path) -> Iterator[None]:
    """Let no run write to the folder meanwhile; creates nothing."""
    lock = folder / ".lock"
    if not lock.exists():
        yield
        return
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            raise FolderError(f"{folder}: a run is writing to it. Wait for it, or copy the folder.") from None
        yield


def _reading(values: dict[str, Any]) -> Reading:
    pairs = tuple(Pair(**pair) for pair in values.pop("pairs"))
    return Reading(**values | {"pairs": pairs, "usage": Usage(**values["usage"])})


def locked(folder: Path) -> BinaryIO:
    """Make the folder, and hold it until the process ends or closes the file, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / ".lock", "wb")  # noqa: SIM115 - held open on purpose
    except OSError as error:
        raise FolderError(
            f"{folder}: cannot be written ({error.strerror}). Choose another folder with --out."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise FolderError(f"{folder}: another run is writing to it. Wait for it, or choose another --out.") from None
    return lock
