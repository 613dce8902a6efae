"""Writes pairs to files of training programs, one row at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from bonanza.exports.formats import LICENCE, PROVENANCE, Format, Row, provenance

ROWS_PER_SHARD = 100_000  # [ours] at about 1 kB a pair far below the 500 MB that the hub's own writer aims at
BATCH_ROWS = 4_096  # in memory at a time


def files_of(name: str, form: Format, side: str, pairs: int) -> list[str]:
    """The files of one side, from the export's folder; pairs beyond the first shard only in a dataset folder."""
    if name != "dataset":
        return [f"{name}/{side}.{form.ending}"]
    shards = -(-pairs // ROWS_PER_SHARD)
    return [f"{name}/data/{side}-{shard:05}-of-{shards:05}.parquet" for shard in range(shards)]


def write_files(paths: list[Path], form: Format, rows: Iterable[Row], pairs: int, schema: Any) -> None:
    """Write the pairs, evenly over the files."""
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    remaining = iter(rows)
    each = -(-pairs // len(paths))
    for path in paths:
        if form.is_table:
            _write_table(path, form, islice(remaining, each), schema)
        else:
            _write_lines(path, form, remaining)


def table_schema(source: Any, *, with_licence: bool) -> Any:
    """The columns of a table of messages, with the types that provenance has in pairs.parquet."""
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    extra = [(LICENCE, pa.string())] if with_licence else []
    known = [(name, source.field(name).type) for name in PROVENANCE]
    return pa.schema([("messages", pa.list_(message)), *known, *extra])


def _write_lines(path: Path, form: Format, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            # One text: readers guess types by the first megabytes, and a list that is empty there is one of nothing.
            metadata = {**provenance(row), "flags": ", ".join(row["flags"])}
            file.write(json.dumps({**form.columns(row), "metadata": metadata}, ensure_ascii=False) + "\n")


def _write_table(path: Path, form: Format, rows: Iterator[Row], schema: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := [_record(form, row) for row in islice(rows, BATCH_ROWS)]:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _record(form: Format, row: Row) -> Mapping[str, Any]:
    return {**form.columns(row), **provenance(row), LICENCE: row.get(LICENCE)}
