"""Parquet files, of which only the columns asked for are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonanza.corpus.readers.rows import Fields, Row
from bonanza.corpus.readers.streams import BrokenFileError, file_fingerprint, reading, shown
from bonanza.records import Skipped

BATCH_ROWS = 512  # of 1,500 characters: under a mebibyte


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """One record per row."""

    path: Path

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield one row per row; one whose strings are no UTF-8 is skipped."""
        try:
            for number, value in enumerate(self._values(fields), start=1):
                origin = f"{shown(self.path)}, row {number}"
                yield Row(origin, value) if value is not None else Skipped(origin, "not UTF-8")
        except BrokenFileError as error:
            yield Skipped(shown(self.path), "broken file", str(error))

    def _values(self, fields: Fields | None) -> Iterator[dict[str, Any] | None]:
        import pyarrow
        import pyarrow.parquet

        try:
            with reading(self.path), pyarrow.parquet.ParquetFile(self.path) as file:
                names = file.schema_arrow.names
                if fields is not None:
                    fields.require(names, shown(self.path))
                for batch in file.iter_batches(BATCH_ROWS, columns=fields.among(names) if fields else None):
                    yield from batch_values(batch)
        except pyarrow.ArrowException as error:
            raise BrokenFileError(str(error)) from error

    def fingerprint(self) -> str:
        """Hash of the file."""
        return file_fingerprint(self.path)


def batch_values(batch: Any) -> list[dict[str, Any] | None]:
    """The rows of an Arrow batch as dictionaries; None for a row whose strings are no UTF-8."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [None]
        return [value for row in range(batch.num_rows) for value in batch_values(batch.slice(row, 1))]
