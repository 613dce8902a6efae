"""Comma- and tab-separated files with a header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bonanza.corpus.readers.rows import UNPAIRED_SURROGATE, Fields, Row
from bonanza.corpus.readers.streams import (
    LONGEST_LINE,
    BrokenFileError,
    file_fingerprint,
    open_stream,
    reading,
    shown,
    size_of,
)
from bonanza.records import Skipped


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One record per line, or per several where quotes hold line breaks. Every value is text."""

    path: Path
    delimiter: str = ","

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield one row per record; one with more or fewer values than the header is skipped."""
        csv.field_size_limit(LONGEST_LINE)  # for the whole process; unless told, it is 128 KiB
        try:
            with reading(self.path), open_stream(self.path) as stream:
                # Bytes that are no UTF-8 become unpaired surrogates, so that they cost one record and not the file.
                text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
                yield from self._rows_of_records(_records(text, self.delimiter), fields)
        except BrokenFileError as error:
            yield Skipped(shown(self.path), "broken file", str(error))

    def _rows_of_records(
        self, records: Iterator[tuple[int, list[str] | csv.Error]], fields: Fields | None
    ) -> Iterator[Row | Skipped]:
        header: list[str] = []
        for number, record in records:
            origin = f"{shown(self.path)}, line {number}"
            if header or not isinstance(record, list):
                yield _row(header, record, origin)
                continue
            header = record
            if fields is not None:
                fields.require(header, origin)

    def fingerprint(self) -> str:
        """Hash of the file."""
        return file_fingerprint(self.path)

    def size(self) -> int:
        """Bytes of the file."""
        return size_of(self.path)


def _records(text: io.TextIOWrapper, delimiter: str) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Each record that is not blank, or why it cannot be parsed, with the number of its first line."""
    records = csv.reader(text, delimiter=delimiter, strict=True)
    while True:
        number = records.line_num + 1
        try:
            record = next(records, None)
        except csv.Error as error:
            yield number, error
            continue
        if record is None:
            return
        if record:
            yield number, record


def _row(header: list[str], record: list[str] | csv.Error, origin: str) -> Row | Skipped:
    if isinstance(record, csv.Error):
        return Skipped(origin, "broken line", str(record))
    if len(record) != len(header):
        return Skipped(origin, "broken line", f"{len(record)} values under {len(header)} columns")
    if any(UNPAIRED_SURROGATE.search(value) for value in record):
        return Skipped(origin, "not UTF-8")
    return Row(origin, dict(zip(header, record, strict=True)))
