"""Reads instruction data as samples, and writes chosen rows of it in its own format.

A row's position counts the records of the file from 0, usable or not; blank lines and a CSV header are no records. The
reader and the writer count alike, so that a sample's `row` names the same record to both.

One row is one sample, in the formats of `dialogues`: whatever the assistant says in it is its response. System messages
are kept as turns of their own, blank messages are left out. A dialogue in which anyone else speaks, such as a tool, is
skipped as a whole ("unknown role"): without that message its answers would rest on nothing that the sample holds.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, dropwhile, islice, repeat
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from bonanza.corpus.dialogues import SPEAKERS, Cast, UnusableError, nothing_found, table_at, turns_of
from bonanza.corpus.readers.hugging_face import PREFIX
from bonanza.corpus.readers.jsonl import BYTE_ORDER_MARK
from bonanza.corpus.readers.open import TYPES
from bonanza.corpus.readers.rows import Row
from bonanza.corpus.readers.streams import (
    COMPRESSED,
    LONGEST_LINE,
    BrokenFileError,
    ending_of,
    lines_of,
    open_stream,
    reading,
    shown,
)
from bonanza.errors import CorpusError, FolderError, SettingsError
from bonanza.records import Sample, Skipped, Turn

EVERYONE = Cast({**SPEAKERS, "system": "system", "developer": "system"}, refuses_others=True)
FAMILIES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
DELIMITERS = {"csv": ",", "tsv": "\t"}
BEGINNING_BYTES = 1 << 16  # as far as the reader of JSON looks for the "[" of a list
JSON_SPACE = " \t\n\r"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class InstructionData:
    """What a file of instruction data holds."""

    path: str
    rows: int  # usable or not
    samples: tuple[Sample, ...]
    skipped: tuple[Skipped, ...]  # the rows that are no sample, and what broke the file off


def read_samples(path: str) -> InstructionData:
    """Read all samples of a jsonl, json, csv or tsv file (each also .gz or .zst), of parquet, or an hf:// dataset."""
    seen: set[str] = set()
    records = [_sample(row, position, seen) for position, row in enumerate(_rows_at(path))]
    samples = tuple(record for record in records if isinstance(record, Sample))
    skipped = tuple(record for record in records if isinstance(record, Skipped))
    if not samples:
        raise CorpusError(nothing_found(path, "sample", skipped, seen))
    broken_off = sum(record.reason == "broken file" for record in skipped)
    return InstructionData(path, len(records) - broken_off, samples, skipped)


def require_same_format(data_path: str, out: Path) -> None:
    """Refuse data that is not there, and an output of another format than it, in no folder, or that is the data."""
    if data_path.startswith(PREFIX):
        raise SettingsError(
            f"{data_path}: rows of a dataset cannot be written in its own format. "
            "Write it to a parquet file first (Dataset.to_parquet) and name that."
        )
    table_at(data_path, "samples")
    data = Path(data_path).expanduser()
    family = _family(data)
    if _family(out) != family:
        endings = ", ".join(ending for ending in TYPES if _family(Path(f"x{ending}")) == family)
        raise SettingsError(
            f"{shown(out)}: what is chosen from {data_path} has its format. Give a name that ends in one of: {endings}."
        )
    if not out.parent.is_dir():
        raise FolderError(f"{shown(out)}: there is no folder {shown(out.parent)}. Make it, or name another.")
    if os.path.realpath(out) == os.path.realpath(data):
        raise SettingsError(f"{shown(out)}: is the data itself, which would be lost. Name another file.")


def write_rows(data_path: str, rows: Sequence[int], out: Path) -> None:
    """Write the chosen rows of the data to a file of its own format, whole or not at all.

    The rows stand in the data's order and are copied as they are: text formats byte by byte, parquet with its schema.
    The output is compressed as its name says. See `require_same_format` for what is refused.
    """
    require_same_format(data_path, out)
    chosen = frozenset(map(int, rows))
    assert len(chosen) == len(rows), "a row is chosen twice"
    data = Path(data_path).expanduser()
    with _replacing(out) as file:
        if _family(data) == "parquet":
            _copy_parquet(data, chosen, file)
        else:
            with _compressing(file, out) as stream:
                for part in _text_parts(data, chosen):
                    stream.write(part)


def _rows_at(path: str) -> Iterator[Row | Skipped]:
    try:
        yield from table_at(path, "samples").rows(None)
    except (ValueError, OverflowError) as error:  # of values that Arrow holds and Python cannot, such as the year 10000
        raise CorpusError(
            f"{path}: a column holds values that cannot be read ({error}). Leave that column out."
        ) from error


def _sample(row: Row | Skipped, position: int, seen: set[str]) -> Sample | Skipped:
    if isinstance(row, Skipped):
        return row
    seen.update(row.values)
    try:
        return Sample(
            position, _conversation({name: value for name, value in row.values.items() if not _is_nan(value)})
        )
    except UnusableError as error:
        return Skipped(row.origin, error.reason, error.detail)


def _is_nan(value: Any) -> bool:
    """Whether it is what pandas writes for a missing value."""
    return isinstance(value, float) and math.isnan(value)


def _conversation(values: Mapping[str, Any]) -> tuple[Turn, ...]:
    """What is said, of which an assistant must say something after a user."""
    turns = tuple(turn for turn in turns_of(values, EVERYONE) if turn.text.strip())
    since_question = dropwhile(lambda turn: turn.role != "user", turns)
    if not any(turn.role == "assistant" for turn in since_question):
        raise UnusableError("no answered question")
    return turns


def _family(path: Path) -> str | None:
    """The format of a file by its name, whether compressed or not; None for one that we do not read."""
    ending = ending_of(path)
    kind = ending.removesuffix(path.suffix.lower()) if path.suffix.lower() in COMPRESSED else ending
    return FAMILIES.get(kind) if ending in TYPES else None


@contextmanager
def _replacing(out: Path) -> Iterator[BinaryIO]:
    """A file that takes the output's place once it is whole."""
    partial = out.with_name(f"{out.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, out)
    except OSError as error:
        raise FolderError(f"{shown(out)}: cannot be written ({error.strerror}). Name another file.") from error
    finally:
        with suppress(OSError):  # it is not there: moved, or never made
            partial.unlink()


@contextmanager
def _compressing(file: BinaryIO, out: Path) -> Iterator[BinaryIO]:
    """The file as a stream that compresses by the ending of the output's name."""
    match out.suffix.lower():
        case ".gz":
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                yield cast(BinaryIO, packed)
        case ".zst":
            import zstandard

            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as packed:
                yield packed
        case _:
            yield file


def _text_parts(data: Path, chosen: frozenset[int]) -> Iterator[bytes]:
    """The content of the output, in pieces."""
    family = _family(data)
    try:
        if family in DELIMITERS:
            yield from _table_parts(data, chosen, DELIMITERS[family])
        elif family == "json" and _begins_a_list(data):
            yield from _list_parts(data, chosen)
        else:
            yield from _among(chosen, _lines(data), data)
    except (BrokenFileError, ValueError, IndexError, RecursionError) as error:
        raise _changed(data) from error


def _among(chosen: frozenset[int], records: Iterable[T | None], data: Path) -> Iterator[T]:
    """The chosen records; reading ends with the last of them."""
    found = 0
    for position, record in enumerate(islice(records, max(chosen, default=-1) + 1)):
        if position in chosen and record is not None:
            found += 1
            yield record
    if found < len(chosen):
        raise _changed(data)


def _changed(data: Path) -> CorpusError:
    return CorpusError(
        f"{shown(data)}: not all chosen rows can be found. It has changed since it was read: read and choose anew."
    )


def _lines(data: Path) -> Iterator[bytes | None]:
    """Each line that is not blank; None for one that is too long."""
    with reading(data), open_stream(data) as stream:
        yield from (line for line in lines_of(stream) if line is None or not line.isspace())


def _begins_a_list(data: Path) -> bool:
    """Whether a JSON file is a list, and not lines: as the reader tells it."""
    with reading(data), open_stream(data) as stream:
        return stream.read(BEGINNING_BYTES).removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"[")


def _list_parts(data: Path, chosen: frozenset[int]) -> Iterator[bytes]:
    """A list of the chosen items, with the brackets and what stands between the first two items as they are."""
    with reading(data), open_stream(data) as stream:
        text = stream.read().decode()
    items = _items(text)
    begin, end = (items[0][0], items[-1][1]) if items else (len(text), len(text))
    separator = text[items[0][1] : items[1][0]] if len(items) > 1 else ","
    yield text[:begin].encode()
    for number, (start, stop) in enumerate(_among(chosen, items, data)):
        yield (separator * (number > 0) + text[start:stop]).encode()
    yield text[end:].encode()


def _items(text: str) -> list[tuple[int, int]]:
    """Where each item of a JSON list begins and ends."""
    items = []
    decoder = json.JSONDecoder()
    place = _next_mark(text, text.index("[") + 1)
    while text[place] != "]":
        end = decoder.raw_decode(text, place)[1]
        items.append((place, end))
        place = _next_mark(text, end)
        if text[place] == ",":
            place = _next_mark(text, place + 1)
    return items


def _next_mark(text: str, place: int) -> int:
    while text[place] in JSON_SPACE:
        place += 1
    return place


def _table_parts(data: Path, chosen: frozenset[int], delimiter: str) -> Iterator[bytes]:
    """The header of a CSV file, which is the first record that can be parsed, and the chosen records."""
    records = _records(data, delimiter)
    broken_before = 0
    for record, is_parsed in records:
        if is_parsed:
            yield record
            break
        broken_before += 1
    yield from _among(chosen, chain(repeat(None, broken_before), (record for record, _ in records)), data)


def _records(data: Path, delimiter: str) -> Iterator[tuple[bytes, bool]]:
    """Each record that is not blank, as it stands in the file, and whether it can be parsed."""
    csv.field_size_limit(LONGEST_LINE)  # for the whole process, as the reader sets it
    lines: list[str] = []  # of the record that is being parsed
    with reading(data), open_stream(data) as stream:
        text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
        for values in _parsed(csv.reader(_noted(text, lines), delimiter=delimiter, strict=True)):
            if values is None or values:
                yield "".join(lines).encode(errors="surrogateescape"), values is not None
            lines.clear()


def _noted(text: Iterable[str], lines: list[str]) -> Iterator[str]:
    """The text's lines, each put down as it stands; the parser does not see the first one's byte order mark."""
    for number, line in enumerate(text):
        lines.append(line)
        yield line if number else line.removeprefix("\ufeff")


def _parsed(records: Iterator[list[str]]) -> Iterator[list[str] | None]:
    """The values of each record; None for one that cannot be parsed."""
    while True:
        try:
            values: list[str] | None = next(records)
        except StopIteration:
            return
        except csv.Error:
            values = None
        yield values


def _copy_parquet(data: Path, chosen: frozenset[int], out: BinaryIO) -> None:
    """Write the chosen rows with the data's schema, one row group at a time."""
    import pyarrow.parquet

    with _open_parquet(data) as file:
        schema = file.schema_arrow
    with pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for table in _chosen_tables(data, chosen):
            writer.write_table(table)


def _chosen_tables(data: Path, chosen: frozenset[int]) -> Iterator[Any]:
    """The chosen rows of each row group that has any."""
    first = 0
    with _open_parquet(data) as file:
        if max(chosen, default=-1) >= file.metadata.num_rows:
            raise _changed(data)
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            is_chosen = [row in chosen for row in range(first, first + size)]
            first += size
            if any(is_chosen):
                yield file.read_row_group(group).filter(is_chosen)


@contextmanager
def _open_parquet(data: Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        with reading(data), pyarrow.parquet.ParquetFile(data) as file:
            yield file
    except (BrokenFileError, pyarrow.ArrowException) as error:
        raise _changed(data) from error
