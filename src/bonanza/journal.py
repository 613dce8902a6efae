"""The run's ledger: every paid answer is durable here before it is used.

One SQLite file in write-ahead mode, one writer, flushed to disk at every commit. The state of a run is the replay of
its journal. A request to an LLM server is kept before it is sent, so that one whose answer never came is counted too,
and its answer before it is used. Holds no keys.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import queue
import shutil
import sqlite3
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bonanza.errors import FolderError
from bonanza.interfaces import Call, OpenBatch
from bonanza.records import Answer, Pair, Reading, Usage

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
create table if not exists calls (
  number integer primary key,
  document_id text not null,
  key text not null,
  -- sent; queued: sent if one of `batches` holds it, and else free; answered; failed; lost: sent or failed for a
  -- reading that its process did not finish
  status text not null,
  input_tokens integer not null, -- the most it can take while it is "sent" or "queued"
  output_tokens integer not null,
  estimated integer not null default 1,
  finish text,
  answer text, -- or the cause of a failure
  request blob not null -- JSON, compressed by zlib
);
create table if not exists batches (
  token text primary key, -- the server knows it too
  id text, -- the server's; null until it is heard of
  created real not null, -- seconds since 1970
  numbers text not null -- of its calls, as JSON
) without rowid;
create index if not exists calls_of_document on calls (document_id);
create unique index if not exists answered_once on calls (key) where status = 'answered';
"""
_UNREAD = "document_id not in (select document_id from readings)"  # calls that are part of no reading
_SUM = "coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0)"
_LOSE = f"update calls set status = 'lost' where status in ('sent', 'failed') and {_UNREAD}"  # noqa: S608 - constants
_HELD = "status = 'queued' and number in (select value from batches, json_each(numbers))"  # in a batch under way
_LOST = f"select {_SUM} from calls where status = 'lost' or {_HELD}"  # noqa: S608 - constants
_WAITING = f"from calls where status = 'answered' and {_UNREAD}"
_MOST_VARIABLES = 500  # document ids per query; SQLite's oldest limit is 999

Statement = tuple[str, Sequence[Any]]


class Journal:
    """Readings of one run, kept on disk. Use as a context manager: the folder is locked while it is open."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.sqlite"
        self._lock = locked(folder)
        self._one_at_a_time = threading.RLock()
        try:
            self._database = sqlite3.connect(self.path, isolation_level=None, timeout=30, check_same_thread=False)
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
        """Write down the settings and inputs that this journal belongs to, in place of those before."""
        values = [(key, json.dumps(value, sort_keys=True)) for key, value in owner.items()]
        insert = "insert into belongs values (?, ?)"
        self.write([("delete from belongs", ()), *((insert, value) for value in values)])

    def add(self, readings: Sequence[Reading]) -> None:
        """Keep readings; they are on disk when this returns. A document can be kept once only."""
        insert = (
            "insert into readings (document_id, status, input_tokens, output_tokens, cost_usd, reading)"
            " values (?, ?, ?, ?, ?, ?)"
        )
        self.write([(insert, _columns(reading)) for reading in readings])

    def write(self, statements: Sequence[Statement]) -> list[int]:
        """Carry out statements together: all are on disk when this returns, or none. The row that each inserted."""
        with self._one_at_a_time:
            self._rows("begin immediate")
            try:
                rows = [self._inserted(*statement) for statement in statements]
            except BaseException:
                self._database.rollback()
                raise
            self._rows("commit")
            return rows

    def paid(self) -> dict[str, Usage]:
        """What is kept and paid for, by document: readings, and answers that will be part of one."""
        readings = "select document_id, input_tokens, output_tokens from readings"
        answers = f"select document_id, {_SUM} {_WAITING} group by document_id"
        return {id_: Usage(*some) for id_, *some in [*self._rows(readings), *self._rows(answers)]}

    def lost(self) -> Usage:
        """What calls took whose answers never came and that are part of no reading, now or later.

        Calls of a batch under way count at the most they can take, until its answers are here.
        """
        self.write([(_LOSE, ())])
        return Usage(*self._rows(_LOST)[0])

    @property
    def is_empty(self) -> bool:
        """Nothing was paid for, or may have been."""
        taking = f"input_tokens + output_tokens > 0 and (status != 'queued' or {_HELD})"
        paid = f"select 1 from calls where {taking} limit 1"  # noqa: S608 - constants
        return not len(self) and not self._rows(paid)

    def adopt(self, folder: Path) -> int:
        """Take over the answers of another run's journal, as paid for here; how many are new."""
        columns = "document_id, key, input_tokens, output_tokens, estimated, finish, answer, request"
        there = _rows_of(folder, f"select {columns} from calls where status = 'answered'")  # noqa: S608 - constants
        insert = f"insert or ignore into calls ({columns}, status) values (?, ?, ?, ?, ?, ?, ?, ?, 'answered')"  # noqa: S608
        before = self._rows("select count(*) from calls")[0][0]
        self.write([(insert, row) for row in there])
        return int(self._rows("select count(*) from calls")[0][0] - before)

    def unfinished(self) -> dict[str, Answer]:
        """Answers for documents that are not read to the end, by the key of their call."""
        query = f"select key, answer, finish, input_tokens, output_tokens, estimated {_WAITING}"
        return {
            key: Answer(text, finish, Usage(input_, output), bool(estimated))
            for key, text, finish, input_, output, estimated in self._rows(query)
        }

    def open_batches(self) -> list[OpenBatch]:
        """Batches with calls that have neither an answer nor a failure."""
        rows = self._rows("select token, id, created from batches")
        batches = (OpenBatch(token, id_, created, self._queued(token)) for token, id_, created in rows)
        return [batch for batch in batches if batch.requests]

    def _queued(self, token: str) -> dict[int, str]:
        numbers = "select value from batches, json_each(numbers) where token = ?"
        query = f"select number, request from calls where status = 'queued' and number in ({numbers})"  # noqa: S608
        return {number: zlib.decompress(request).decode() for number, request in self._rows(query, (token,))}

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
        return self._executed(query, values).fetchall()

    def _inserted(self, query: str, values: Sequence[Any]) -> int:
        return self._executed(query, values).lastrowid or 0

    def _executed(self, query: str, values: Sequence[Any]) -> sqlite3.Cursor:
        """Run one statement; a damaged file or a full disk is told to the user."""
        try:
            with self._one_at_a_time:
                return self._database.execute(query, values)
        except sqlite3.IntegrityError:
            raise  # a document twice: our mistake
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from None

    def _unusable(self, error: sqlite3.DatabaseError) -> FolderError:
        return FolderError(
            f"{self.path}: the journal cannot be used ({error}). If the disk is full, make room and run the same "
            "command again; if the file is damaged, move it away, or choose another folder with --out."
        )


def _columns(reading: Reading) -> tuple[Any, ...]:
    usage = reading.usage
    return (
        reading.document_id, reading.status, usage.input_tokens, usage.output_tokens, reading.cost_usd,
        json.dumps(asdict(reading)),
    )  # fmt: skip


class CallLog:
    """The calls of a run, written from an event loop. Many are committed at a time: a disk takes as long for one."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._answers = journal.unfinished()
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="bonanza-journal", daemon=True)
        self._writer.start()

    def answer(self, key: str) -> Answer | None:
        """The answer that an earlier process paid for."""
        return self._answers.get(key)

    async def begin(self, call: Call) -> int:
        """Keep that a request is about to be sent; its number."""
        return await self._begun(call, "sent")

    async def queue(self, call: Call) -> int:
        """Keep a request that waits to be part of a batch, and takes nothing until then; its number."""
        return await self._begun(call, "queued")

    async def _begun(self, call: Call, status: str) -> int:
        return await self._written(
            "insert into calls (document_id, key, status, input_tokens, output_tokens, request)"
            " values (?, ?, ?, ?, ?, ?)",
            (call.document_id, call.key, status, call.most.input_tokens, call.most.output_tokens),
            call.request,
        )

    async def submit(self, token: str, numbers: Sequence[int]) -> None:
        """Keep that a batch of these calls is about to be sent, under a token that its server is told."""
        values = (token, time.time(), json.dumps(list(numbers)))
        await self._written("insert into batches (token, created, numbers) values (?, ?, ?)", values)

    async def submitted(self, token: str, batch_id: str) -> None:
        """Keep what the server calls the batch."""
        await self._written("update batches set id = ? where token = ?", (batch_id, token))

    async def answered(self, number: int, answer: Answer) -> None:
        """Keep the answer; as a failure that was paid for if another call has it: a key is answered once."""
        usage = answer.usage
        await self._written(
            "update calls set status = case when exists (select 1 from calls as other where other.key = calls.key and"
            " other.status = 'answered') then 'failed' else 'answered' end, input_tokens = ?, output_tokens = ?,"
            " estimated = ?, finish = ?, answer = ? where number = ?",
            (usage.input_tokens, usage.output_tokens, answer.estimated, answer.finish, answer.text, number),
        )

    async def failed(self, number: int, cause: str, usage: Usage) -> None:
        """Keep that there is no answer, and what the request must be taken to have cost."""
        await self._written(
            "update calls set status = 'failed', input_tokens = ?, output_tokens = ?, answer = ? where number = ?",
            (usage.input_tokens, usage.output_tokens, cause, number),
        )

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._waiting.put(None)
        self._writer.join()

    async def _written(self, query: str, values: Sequence[Any], request: str | None = None) -> int:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.put(_Write(query, values, request, done))
        return await done

    def _write(self) -> None:
        """Take all that waits, commit it, tell those who wait, until there is nothing more to come."""
        while (write := self._waiting.get()) is not None:
            writes = [write]
            while not self._waiting.empty() and len(writes) < _MOST_VARIABLES:
                if (following := self._waiting.get()) is None:
                    self._waiting.put(None)
                    break
                writes.append(following)
            self._commit(writes)

    def _commit(self, writes: Sequence[_Write]) -> None:
        try:
            rows = self._journal.write([(write.query, write.columns()) for write in writes])
        except Exception as error:  # whoever waits must hear of it, whatever it is
            _tell(writes, [error] * len(writes))
        else:
            _tell(writes, rows)


@dataclass(frozen=True, slots=True)
class _Write:
    query: str
    values: Sequence[Any]
    request: str | None  # the last column of a new call
    done: asyncio.Future[int]

    def columns(self) -> Sequence[Any]:
        """All values; the request is compressed here, where nobody waits for the processor."""
        if self.request is None:
            return self.values
        return *self.values, zlib.compress(self.request.encode("utf-8", "replace"), 1)


def _tell(writes: Sequence[_Write], results: Sequence[int | Exception]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        writes[0].done.get_loop().call_soon_threadsafe(_tell_all, writes, results)


def _tell_all(writes: Sequence[_Write], results: Sequence[int | Exception]) -> None:
    for write, result in zip(writes, results, strict=True):
        if write.done.done():
            continue  # cancelled meanwhile
        if isinstance(result, Exception):
            write.done.set_exception(result)
        else:
            write.done.set_result(result)


def readings_of(folder: Path) -> dict[str, Reading]:
    """All readings of a finished or stopped run, by document, in the order in which they were paid for."""
    texts = _rows_of(folder, "select reading from readings order by sequence")
    try:
        readings = [_reading(json.loads(text)) for (text,) in texts]
    except (ValueError, KeyError, TypeError) as error:
        raise FolderError(
            f"{folder / 'journal.sqlite'}: a reading cannot be understood ({error!r}). The journal is damaged."
        ) from None
    return {reading.document_id: reading for reading in readings}


def _rows_of(folder: Path, query: str) -> list[Any]:
    """Ask the journal of another run. Looks at a copy: SQLite itself would write beside one whose run was killed."""
    path = folder / "journal.sqlite"
    if not path.is_file():
        raise FolderError(f"{folder}: holds no journal.sqlite. Name the --out folder of a run of `bonanza extract`.")
    with unchanging(folder), tempfile.TemporaryDirectory() as scratch:
        for name in (path.name, f"{path.name}-wal"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, Path(scratch) / name)
        try:
            with closing(sqlite3.connect(Path(scratch) / path.name)) as copy:
                return copy.execute(query).fetchall()
        except sqlite3.DatabaseError as error:
            raise FolderError(f"{path}: the journal cannot be read ({error}). Choose the folder of a run.") from None


@contextmanager
def unchanging(folder: Path) -> Iterator[None]:
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
