"""Random access to the documents of a corpus whose texts stay on disk.

A store is a folder of the cache, named by the fingerprint of its reader. It is built beside its place and moved there
when it is whole; `complete.json`, written last, proves that and holds the size of every file. Not covered: a file
changed without a change of size.

    documents.jsonl   one document per line, in reading order
    ids.jsonl         their ids
    offsets.npy       int64, shape (documents + 1,): where each line begins, and where the last one ends, in bytes
    lengths.npy       int64, shape (documents,): characters of each text
    skipped.jsonl     the records that could not be used
    complete.json     {file name: bytes}
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
import weakref
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bonanza.errors import CorpusError, FolderError
from bonanza.interfaces import Reader
from bonanza.records import Document, Question, Skipped

DOCUMENTS, IDS, SKIPPED = "documents.jsonl", "ids.jsonl", "skipped.jsonl"
OFFSETS, LENGTHS, COMPLETE = "offsets.npy", "lengths.npy", "complete.json"
CANNOT_BE_WRITTEN = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR}
)


class DocumentStore:
    """The documents of one corpus by row number. Safe to read from many threads."""

    def __init__(self, path: Path) -> None:
        self.path = path  # what is derived from the documents, such as embeddings, may be kept in it too
        self.lengths: NDArray[np.int64] = np.load(path / LENGTHS)
        self._offsets: NDArray[np.int64] = np.load(path / OFFSETS)
        self._file = os.open(path / DOCUMENTS, os.O_RDONLY)
        self.close = weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def ids(self) -> list[str]:
        """The id of every document, in row order."""
        with (self.path / IDS).open("rb") as lines:
            return [json.loads(line) for line in lines]

    @cached_property
    def skipped(self) -> tuple[Skipped, ...]:
        """The records that could not be used, in reading order."""
        with (self.path / SKIPPED).open("rb") as lines:
            return tuple(Skipped(**json.loads(line)) for line in lines)

    def fetch(self, rows: Sequence[int]) -> list[Document]:
        """Read the documents of some rows, in the order asked for."""
        return [_document(json.loads(self._line(row))) for row in rows]

    def texts(self, batch_size: int) -> Iterator[list[str]]:
        """Stream all texts in row order."""
        with (self.path / DOCUMENTS).open("rb") as lines:
            for batch in _batches(lines, batch_size):
                yield [json.loads(line)["text"] for line in batch]

    def _line(self, row: int) -> bytes:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of a corpus of {len(self)} documents")
        start, end = int(self._offsets[row]), int(self._offsets[row + 1])
        return b"".join(_pieces(self._file, start, end))


def open_store(reader: Reader, cache: Path) -> DocumentStore:
    """Open the store of a reader's documents in a cache folder; build it first unless it is there and whole."""
    path = cache / reader.fingerprint()
    if not _is_whole(path):
        with _locked(cache, path.name):
            if not _is_whole(path):  # another process may have built it while this one waited
                _build(reader, path)
    return DocumentStore(path)


def _is_whole(path: Path) -> bool:
    """Tell whether everything is there, at the size it was written with."""
    try:
        return bool(json.loads((path / COMPLETE).read_bytes()) == _sizes(path))
    except (OSError, ValueError):
        return False


def _sizes(path: Path) -> dict[str, int]:
    return {name: (path / name).stat().st_size for name in (DOCUMENTS, IDS, OFFSETS, LENGTHS, SKIPPED)}


@contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
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


def _build(reader: Reader, path: Path) -> None:
    """Write the store beside its place and move it there. The caller holds the lock: partial ones are left over."""
    for left_over in path.parent.glob(f"{path.name}.partial-*"):
        shutil.rmtree(left_over)
    partial = Path(tempfile.mkdtemp(prefix=f"{path.name}.partial-", dir=path.parent))
    try:
        _write(reader, partial)
        if path.exists():
            shutil.rmtree(path)
        partial.replace(path)
        _flush_folder(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write(reader: Reader, folder: Path) -> None:
    offsets, lengths, skipped = array("q", [0]), array("q"), Counter[str]()
    with _new(folder / DOCUMENTS) as documents, _new(folder / IDS) as ids, _new(folder / SKIPPED) as left_out:
        for record in reader.read():
            if isinstance(record, Skipped):
                skipped[record.reason] += 1
                left_out.write(_json_line(asdict(record)))
            else:
                offsets.append(offsets[-1] + documents.write(_json_line(_document_values(record))))
                lengths.append(len(record.text))
                ids.write(_json_line(record.id))
    if not lengths:
        raise CorpusError(_nothing(skipped, folder / SKIPPED))
    for name, values in ((OFFSETS, offsets), (LENGTHS, lengths)):
        with _new(folder / name) as file:
            np.save(file, np.frombuffer(values, dtype=np.int64))
    with _new(folder / COMPLETE) as file:
        file.write(_json_line(_sizes(folder)))
    _flush_folder(folder)


def _nothing(skipped: Mapping[str, int], listed: Path) -> str:
    """What to say of a corpus without a document: how often each reason, and the first record."""
    if not skipped:
        return "The corpus holds no record. Name files that hold documents."
    counts = ", ".join(f"{reason}: {count}" for reason, count in sorted(skipped.items()))
    with listed.open("rb") as lines:
        first = Skipped(**json.loads(lines.readline()))
    example = f"The first: {first.origin}: {first.reason}{f' ({first.detail})' if first.detail else ''}"
    return f"The corpus holds no usable document. Skipped were: {counts}. {example}. Check the files and --text-field."


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """A new file, on disk for good when the block ends."""
    with path.open("wb", buffering=1 << 20) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _json_line(value: Any) -> bytes:
    # "replace": the readers leave no unpaired surrogate in texts, but details quote files, and readers can be foreign.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"


def _document_values(document: Document) -> dict[str, Any]:
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


def _batches(lines: BinaryIO, size: int) -> Iterator[list[bytes]]:
    while batch := list(islice(lines, size)):
        yield batch
