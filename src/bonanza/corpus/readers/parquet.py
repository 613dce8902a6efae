"""Parquet files, of which only the columns asked for are read."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from bonanza.corpus.readers.rows import Fields, Row
from bonanza.corpus.readers.streams import BrokenFileError, file_fingerprint, reading, shown, size_of
from bonanza.records import Skipped

LARGEST_GROUP = 1 << 23  # [ours] bytes of a row group from which single rows are read: a dozen milliseconds
BATCH_ROWS = 512  # of 1,500 characters: under a mebibyte


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """One record per row."""

    path: Path

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield one row per row; one whose strings are no UTF-8 is skipped."""
        try:
            placed = self._groups().are_small
            for number, value in enumerate(self._values(fields), start=1):
                yield self._row(value, number, placed)
        except BrokenFileError as error:
            yield Skipped(shown(self.path), "broken file", str(error))

    def _row(self, value: dict[str, Any] | None, number: int, placed: bool = True) -> Row | Skipped:
        origin = f"{shown(self.path)}, row {number}"
        return Row(origin, value, number if placed else None) if value is not None else Skipped(origin, "not UTF-8")

    def _groups(self) -> RowGroups:
        import pyarrow

        try:
            with reading(self.path):
                status = self.path.stat()
                return _row_groups(self.path, status.st_mtime_ns, status.st_size)
        except pyarrow.ArrowException as error:
            raise BrokenFileError(str(error)) from error

    def fetch(self, places: Sequence[int], fields: Fields) -> list[Row | Skipped]:
        """Read the rows of some numbers; LookupError if there are none, since the file was changed."""
        import pyarrow

        try:
            found = dict(self._fetched(places, fields))
        except (pyarrow.ArrowException, BrokenFileError) as error:
            raise LookupError(str(error)) from error
        return [found[place] for place in places]

    def _fetched(self, places: Sequence[int], fields: Fields) -> Iterator[tuple[int, Row | Skipped]]:
        """Read the row groups that hold some rows."""
        import pyarrow.parquet

        groups = self._groups()
        with reading(self.path), pyarrow.parquet.ParquetFile(self.path, metadata=groups.metadata) as file:
            columns = fields.among(file.schema_arrow.names)
            for group, numbers in groups.of(places).items():
                table = file.read_row_group(group, columns=columns)
                for number in numbers:
                    (value,) = batch_values(table.slice(number - 1 - groups.starts[group], 1))
                    yield number, self._row(value, number)

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

    def size(self) -> int:
        """Bytes of the file."""
        return size_of(self.path)


@dataclass(frozen=True)
class RowGroups:
    """How the rows of a file lie in it."""

    metadata: Any
    starts: Sequence[int]  # first row of each group, from 0; behind them the number of rows

    @property
    def are_small(self) -> bool:
        """One row is read in milliseconds."""
        sizes = (self.metadata.row_group(group).total_byte_size for group in range(self.metadata.num_row_groups))
        return max(sizes, default=0) <= LARGEST_GROUP

    def of(self, places: Sequence[int]) -> dict[int, list[int]]:
        """Rows, counted from 1, by the group that holds them."""
        found: dict[int, list[int]] = {}
        for number in places:
            if not 1 <= number <= self.starts[-1]:
                raise LookupError(f"row {number} of {self.starts[-1]}")
            found.setdefault(bisect_right(self.starts, number - 1) - 1, []).append(number)
        return found


@lru_cache(maxsize=256)
def _row_groups(path: Path, _modified: int, _size: int) -> RowGroups:
    """Read the end of a file, once as long as it is not changed."""
    import pyarrow.parquet

    metadata = pyarrow.parquet.read_metadata(path)
    counts = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    return RowGroups(metadata, tuple(accumulate(counts, initial=0)))


def batch_values(batch: Any) -> list[dict[str, Any] | None]:
    """The rows of an Arrow batch as dictionaries; None for a row whose strings are no UTF-8."""
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [None]
        return [value for row in range(batch.num_rows) for value in batch_values(batch.slice(row, 1))]
