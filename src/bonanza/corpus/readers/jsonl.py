"""JSON Lines (.jsonl, .jsonl.gz, .jsonl.zst) and JSON files that hold a list of records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from bonanza.corpus.readers.rows import Fields, Row
from bonanza.corpus.readers.streams import (
    COMPRESSED,
    BrokenFileError,
    file_fingerprint,
    lines_of,
    open_stream,
    reading,
    shown,
    size_of,
)
from bonanza.records import Skipped

PIECE_BYTES = 1 << 13  # read at a time where a line is looked up
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class JsonLines:
    """One object per line. A line that is none is skipped, and reading goes on with the next."""

    path: Path

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield one row per line that is not blank."""
        return required(fields, _rows_of_lines(self.path, placed=self.path.suffix.lower() not in COMPRESSED))

    def fetch(self, places: Sequence[int], fields: Fields) -> list[Row | Skipped]:
        """Read the lines that begin at some bytes; others may, if the file was changed."""
        with reading(self.path), self.path.open("rb", buffering=0) as file:
            return [_row_of_line(_line_at(file, place), shown(self.path), place) for place in places]

    def fingerprint(self) -> str:
        """Hash of the file."""
        return file_fingerprint(self.path)

    def size(self) -> int:
        """Bytes of the file."""
        return size_of(self.path)


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A list of objects, read as a whole; a file that does not begin with "[" is read as JSON Lines."""

    path: Path

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield one row per object."""
        return required(fields, _rows_of_list(self.path))

    def fingerprint(self) -> str:
        """Hash of the file."""
        return file_fingerprint(self.path)

    def size(self) -> int:
        """Bytes of the file."""
        return size_of(self.path)


def required(fields: Fields | None, rows: Iterator[Row | Skipped]) -> Iterator[Row | Skipped]:
    """Pass the rows on; the first one must have the fields."""
    for row in rows:
        if fields is not None and isinstance(row, Row):
            fields.require(row.values.keys(), row.origin)
            fields = None
        yield row


def _line_at(file: FileIO, place: int) -> bytes:
    file.seek(place)
    line = b""
    while not line.endswith(b"\n") and (piece := file.read(PIECE_BYTES)):
        line += piece if (end := piece.find(b"\n")) < 0 else piece[: end + 1]
    return line


def _rows_of_lines(path: Path, placed: bool = False) -> Iterator[Row | Skipped]:
    try:
        with reading(path), open_stream(path) as stream:
            for number, line in enumerate(lines_of(stream), start=1):
                if line is None:
                    yield Skipped(f"{shown(path)}, line {number}", "line too long")
                elif not line.isspace():
                    place = stream.tell() - len(line) if placed else None
                    yield _row_of_line(line, f"{shown(path)}, line {number}", place)
    except BrokenFileError as error:
        yield Skipped(shown(path), "broken file", str(error))


def _row_of_line(line: bytes, origin: str, place: int | None) -> Row | Skipped:
    try:
        return _row(json.loads(line.removeprefix(BYTE_ORDER_MARK).decode()), origin, place)
    except UnicodeDecodeError as error:
        return Skipped(origin, "not UTF-8", str(error))
    except (ValueError, RecursionError) as error:
        return Skipped(origin, "broken line", str(error))


def _row(value: Any, origin: str, place: int | None = None) -> Row | Skipped:
    if isinstance(value, dict):
        return Row(origin, value, place)
    return Skipped(origin, "not an object", type(value).__name__)


def _rows_of_list(path: Path) -> Iterator[Row | Skipped]:
    try:
        with reading(path), open_stream(path) as stream:
            content = stream.read().removeprefix(BYTE_ORDER_MARK) if _begins_a_list(path) else None
        if content is None:
            yield from _rows_of_lines(path)
            return
        for number, value in enumerate(json.loads(content.decode()), start=1):
            yield _row(value, f"{shown(path)}, record {number}")
    except (BrokenFileError, ValueError, RecursionError) as error:
        yield Skipped(shown(path), "broken file", str(error))


def _begins_a_list(path: Path) -> bool:
    with open_stream(path) as stream:
        return stream.read(1 << 16).removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"[")
