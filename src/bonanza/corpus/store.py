"""Random access to the documents of a corpus whose texts stay on disk.

A store is a folder of the cache, named by the fingerprint of its reader. It is built beside its place and moved there
when it is whole; `complete.json`, written last, proves that and holds the size of every file. Not covered: a file
changed without a change of size.

    documents.jsonl   one document per line, in reading order; or where it stands: {id, origin, table, place}
    ids.jsonl         their ids
    offsets.npy       int64, shape (documents + 1,): where each line begins, and where the last one ends, in bytes
    lengths.npy       int64, shape (documents,): characters of each text
    hashes.npy        uint64, shape (documents,): hash of each text
    skipped.jsonl     the records that could not be used
    sources.json      {"tables": [files], "fields": columns}: where what stands elsewhere stands
    complete.json     {file name: bytes}

Texts are copied from where a single document cannot be read by itself (compressed files, csv, large row groups, hubs).
Elsewhere they stay; each is checked by its hash when it is fetched, so a file that was changed is noticed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bonanza.corpus.readers import Corpus, Fields
from bonanza.corpus.readers.documents import Place, document_of, text_hash
from bonanza.corpus.readers.jsonl import JsonLines
from bonanza.corpus.readers.open import table_of
from bonanza.corpus.readers.parquet import ParquetFile
from bonanza.corpus.readers.rows import Row, Table
from bonanza.corpus.readers.text import TextFile, UnknownFile
from bonanza.errors import CorpusError, FolderError
from bonanza.files import write_text
from bonanza.interfaces import Reader
from bonanza.records import Document, Question, Skipped

DOCUMENTS, IDS, SKIPPED, SOURCES = "documents.jsonl", "ids.jsonl", "skipped.jsonl", "sources.json"
PLACED = (JsonLines, ParquetFile, TextFile)  # tables of which single rows can be read
TABLE, PLACE = "table", "place"  # of a document that stands elsewhere
OFFSETS, LENGTHS, HASHES, COMPLETE = "offsets.npy", "lengths.npy", "hashes.npy", "complete.json"
CANNOT_BE_WRITTEN = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR}
)


class DocumentStore:
    """The documents of one corpus by row number. Safe to read from many threads."""

    def __init__(self, path: Path) -> None:
        self.path = path  # what is derived from the documents, such as embeddings, may be kept in it too
        self.lengths: NDArray[np.int64] = np.load(path / LENGTHS)
        self.hashes: NDArray[np.uint64] = np.load(path / HASHES)  # shape (documents,): equal texts have equal ones
        self._offsets: NDArray[np.int64] = np.load(path / OFFSETS)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def ids(self) -> list[str]:
        """The id of every document, in row order."""
        return read_lines(self.path / IDS)

    @cached_property
    def skipped(self) -> tuple[Skipped, ...]:
        """The records that could not be used, in reading order."""
        return tuple(Skipped(**line) for line in read_lines(self.path / SKIPPED))

    def fetch(self, rows: Sequence[int]) -> list[Document]:
        """Read the documents of some rows, in the order asked for."""
        refuse_outside(rows, len(self))
        lines = self._lines(rows)
        standing = self._standing([line for line in lines if PLACE in line])
        return [
            self._checked(row, standing[line[TABLE], line[PLACE]], line) if PLACE in line else _document(line)
            for row, line in zip(rows, lines, strict=True)
        ]

    def origins(self, rows: Sequence[int]) -> list[str]:
        """Where the documents of some rows come from; their files are not looked at."""
        return [line["origin"] for line in self._lines(rows)]

    def texts(self, batch_size: int, first: int = 0) -> Iterator[list[str]]:
        """Stream all texts in row order, from the row `first` on."""
        texts = self._texts(first)
        while batch := list(islice(texts, batch_size)):
            yield batch

    def _texts(self, first: int) -> Iterator[str]:
        rows: Iterator[Row | Skipped] = iter(())
        table = None
        with (self.path / DOCUMENTS).open("rb") as lines:
            lines.seek(int(self._offsets[first]))
            for row, line in enumerate(map(json.loads, lines), start=first):
                if PLACE not in line:
                    yield line["text"]
                    continue
                if line[TABLE] != table:
                    table = line[TABLE]
                    rows = self._tables[table].rows(replace(self._fields, recorded=None))
                found = next((one for one in rows if isinstance(one, Row) and one.place == line[PLACE]), None)
                yield self._checked(row, found, line).text

    def _standing(self, lines: Sequence[Mapping[str, Any]]) -> dict[Place, Row | Skipped | None]:
        """The rows that stand in the files, by their places; None for those that are not there any more."""
        wanted: dict[int, set[int]] = {}
        for line in lines:
            wanted.setdefault(line[TABLE], set()).add(line[PLACE])
        found: dict[Place, Row | Skipped | None] = {}
        for number, places in wanted.items():
            rows = self._fetched(self._tables[number], sorted(places))
            found |= {(number, place): row for place, row in zip(sorted(places), rows, strict=True)}
        return found

    def _fetched(self, table: Table, places: Sequence[int]) -> Sequence[Row | Skipped | None]:
        try:
            return table.fetch(places, self._fields) if isinstance(table, PLACED) else [None] * len(places)
        except LookupError:
            return [None] * len(places)

    def _checked(self, row: int, found: Row | Skipped | None, line: Mapping[str, Any]) -> Document:
        """The document that was found, unless it is another."""
        document = document_of(found, self._fields) if found else None
        if not isinstance(document, Document) or text_hash(document.text) != int(self.hashes[row]):
            raise CorpusError(
                f"{line['origin']}: has changed since the corpus was read. Put the file back, or begin anew with a new "
                "--out: what changed is then read again."
            )
        return Document(line["id"], document.text, line["origin"], document.recorded)

    @cached_property
    def _fields(self) -> Fields:
        return Fields(**json.loads((self.path / SOURCES).read_bytes())["fields"])

    @cached_property
    def _tables(self) -> list[Table]:
        names = json.loads((self.path / SOURCES).read_bytes())["tables"]
        return [table_of(Path(name), name) or UnknownFile(Path(name)) for name in names]

    def _lines(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The lines of documents.jsonl; the file is not held open, for a corpus may have many parts."""
        with (self.path / DOCUMENTS).open("rb", buffering=0) as file:
            ends = ((int(self._offsets[row]), int(self._offsets[row + 1])) for row in rows)
            return [json.loads(b"".join(_pieces(file.fileno(), *end))) for end in ends]


def read_lines(path: Path) -> list[Any]:
    """The values in a file of JSON lines."""
    values: list[Any] = json.loads(b"[%s]" % b",".join(path.read_bytes().splitlines()))
    return values


def refuse_outside(rows: Sequence[int], documents: int) -> None:
    """Rows are counted from 0, and none from the end."""
    for row in rows:
        if not 0 <= row < documents:
            raise IndexError(f"row {row} of a corpus of {documents} documents")


def open_store(reader: Reader, cache: Path) -> DocumentStore:
    """Open the store of a reader's documents in a cache folder; build it first unless it is there and whole."""
    path = cache / reader.fingerprint()
    if not _is_whole(path):
        with locked(cache, path.name):
            if not _is_whole(path):  # another process may have built it while this one waited
                with building(path) as folder:
                    _write(reader, folder)
    sources = _sources(reader)
    if not (path / SOURCES).is_file() or (path / SOURCES).read_text(encoding="utf-8") != sources:
        with locked(cache, path.name):  # equal files may lie elsewhere than when they were read first
            write_text(path / SOURCES, sources)
    return DocumentStore(path)


def is_stored(reader: Reader, cache: Path) -> bool:
    """Whether `open_store` has nothing to read."""
    return _is_whole(cache / reader.fingerprint())


def _sources(reader: Reader) -> str:
    """Where the files lie now."""
    tables = reader.tables if isinstance(reader, Corpus) else ()
    fields = asdict(reader.fields) if isinstance(reader, Corpus) else {}
    files = [os.fspath(table.path.absolute()) if isinstance(table, PLACED) else "" for table in tables]
    return json.dumps({"tables": files, "fields": fields})


def _is_whole(path: Path) -> bool:
    """Tell whether everything is there, at the size it was written with."""
    try:
        return bool(json.loads((path / COMPLETE).read_bytes()) == _sizes(path))
    except (OSError, ValueError):
        return False


def _sizes(path: Path) -> dict[str, int]:
    return {name: (path / name).stat().st_size for name in (DOCUMENTS, IDS, OFFSETS, LENGTHS, HASHES, SKIPPED)}


@contextmanager
def locked(cache: Path, name: str) -> Iterator[None]:
    """Let one process at a time build the store of that name; say what is wrong with a cache that cannot be written."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{name}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        if error.errno not in CANNOT_BE_WRITTEN:
            raise
        raise FolderError(
            f"{cache}: the corpus cannot be stored here ({error}). Make room, or name another cache folder."
        ) from error


@contextmanager
def building(path: Path) -> Iterator[Path]:
    """A folder to write to, which is moved to its place when the block ends, in place of what is there.

    The caller holds the lock: partial ones are left over.
    """
    for left_over in path.parent.glob(f"{path.name}.partial-*"):
        shutil.rmtree(left_over)
    partial = Path(tempfile.mkdtemp(prefix=f"{path.name}.partial-", dir=path.parent))
    try:
        yield partial
        flush_folder(partial)
        if path.exists():
            shutil.rmtree(path)
        partial.replace(path)
        flush_folder(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write(reader: Reader, folder: Path) -> None:
    offsets, lengths, hashes = array("q", [0]), array("q"), array("Q")
    with (
        new_file(folder / DOCUMENTS) as documents,
        new_file(folder / IDS) as ids,
        new_file(folder / SKIPPED) as left_out,
    ):
        for record, place in reader.placed() if isinstance(reader, Corpus) else ((one, None) for one in reader.read()):
            if isinstance(record, Skipped):
                left_out.write(json_line(asdict(record)))
            else:
                offsets.append(offsets[-1] + documents.write(json_line(_document_values(record, place))))
                lengths.append(len(record.text))
                hashes.append(text_hash(record.text))
                ids.write(json_line(record.id))
    for name, values, kind in ((OFFSETS, offsets, np.int64), (LENGTHS, lengths, np.int64), (HASHES, hashes, np.uint64)):
        with new_file(folder / name) as file:
            np.save(file, np.array(values, dtype=kind))
    with new_file(folder / COMPLETE) as file:
        file.write(json_line(_sizes(folder)))


def refuse_nothing(documents: int, skipped: Sequence[Skipped]) -> None:
    """A corpus without a document is refused; how often each reason, and the first record."""
    if documents:
        return
    if not skipped:
        raise CorpusError("The corpus holds no record. Name files that hold documents.")
    counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(Counter(one.reason for one in skipped).items()))
    first = skipped[0]
    example = f"The first: {first.origin}: {first.reason}{f' ({first.detail})' if first.detail else ''}"
    raise CorpusError(
        f"The corpus holds no usable document. Skipped were: {counts}. {example}. Check the files and --text-field."
    )


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, on disk for good when the block ends."""
    with path.open("wb", buffering=1 << 20) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def json_line(value: Any) -> bytes:
    """A value as a line of a file."""
    # "replace": the readers leave no unpaired surrogate in texts, but details quote files, and readers can be foreign.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _document_values(document: Document, place: Place | None) -> dict[str, Any]:
    if place is not None:
        return {"id": document.id, "origin": document.origin, TABLE: place[0], PLACE: place[1]}
    recorded = document.recorded
    return {
        "id": document.id,
        "text": document.text,
        "origin": document.origin,
        "recorded": None if recorded is None else [[pair.question, pair.answer] for pair in recorded],
    }


def _document(values: Mapping[str, Any]) -> Document:
    recorded = values["recorded"]
    pairs = None if recorded is None else tuple(Question(*pair) for pair in recorded)
    return Document(values["id"], values["text"], values["origin"], pairs)


def _pieces(file: int, start: int, end: int) -> Iterator[bytes]:
    """The bytes from start to end; one system call may give fewer than asked for."""
    while start < end:
        piece = os.pread(file, end - start, start)
        if not piece:
            raise CorpusError(
                f"The cached corpus ends before byte {end}: it was changed. Delete the cache and run again."
            )
        yield piece
        start += len(piece)
