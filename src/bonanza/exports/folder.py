"""The files of a run's folder (DESIGN, contracts). Each is written whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bonanza.exports.measures import Measures
from bonanza.files import replacing, write_text
from bonanza.records import Pair, PairNote, Reading, Skipped, Target


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """One reading, as the tables show it."""

    round: int
    cluster: int | None
    reading: Reading


@dataclass(frozen=True, slots=True)
class Results:
    """What a run found."""

    documents: Sequence[ReadDocument]
    skipped: Sequence[Skipped]
    target: Target
    measures: Measures  # of the kept pairs, in order
    notes: Mapping[str, PairNote]  # by pair id; only where cleaning saw something
    matches: list[dict[str, Any]] | None  # of pairs and documents with test items; None: not looked for


def write_tables(folder: Path, results: Results) -> None:
    """Write pairs.parquet, documents.parquet, train.jsonl, skipped.jsonl and, if asked for, decontamination.parquet."""
    scores = _scores(results)
    _write_parquet(folder / "pairs.parquet", _pair_columns(results, scores), _pair_schema())
    _write_parquet(folder / "documents.parquet", _document_columns(results.documents, scores), _document_schema())
    lines = [
        json.dumps(_training_row(pair, results, scores), ensure_ascii=False) for pair in kept_pairs(results.documents)
    ]
    write_text(folder / "train.jsonl", _joined(lines))
    if results.matches is not None:
        _write_parquet(folder / "decontamination.parquet", results.matches, _match_schema())
    left_out = [*results.skipped, *results.target.skipped]
    write_text(folder / "skipped.jsonl", _joined(json.dumps(asdict(record), ensure_ascii=False) for record in left_out))


def write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json."""
    write_text(folder / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def kept_pairs(documents: Sequence[ReadDocument]) -> list[Pair]:
    """The kept pairs in the order in which they were found."""
    return [pair for document in documents for pair in document.reading.kept]


def status_counts(documents: Sequence[ReadDocument]) -> dict[str, dict[str, int]]:
    """How many documents and pairs ended in each status."""
    readings = Counter(document.reading.status for document in documents)
    pairs = Counter(pair.status for document in documents for pair in document.reading.pairs)
    return {"documents": dict(sorted(readings.items())), "pairs": dict(sorted(pairs.items()))}


def _joined(lines: Iterable[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _scores(results: Results) -> dict[str, dict[str, float]]:
    """Scores of kept pairs by pair id."""
    pairs = kept_pairs(results.documents)
    measured = zip(pairs, results.measures.similarity, results.measures.utility, strict=True)
    return {
        pair.id: {
            "reference_similarity": round(float(near), 4),
            "utility": round(float(worth), 4),
            "grounding": round(results.notes.get(pair.id, PairNote()).grounding, 4),
        }
        for pair, near, worth in measured
    }


def _training_row(pair: Pair, results: Results, scores: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    # One text: a list that is empty at first has no type to the datasets library.
    flags = ", ".join(results.notes.get(pair.id, PairNote()).flags)
    place = {"document_id": pair.document_id, "char_start": pair.char_start, "char_end": pair.char_end}
    return {
        "messages": [{"role": "user", "content": pair.question}, {"role": "assistant", "content": pair.answer}],
        "metadata": {"id": pair.id, **place, "scores": scores[pair.id], "flags": flags},
    }


def _pair_schema() -> Any:
    import pyarrow as pa

    text, whole = pa.string(), pa.int64()
    scores = pa.struct([(name, pa.float64()) for name in ("reference_similarity", "utility", "grounding")])
    return pa.schema(
        [("id", text), ("question", text), ("answer", text), ("status", text), ("reason", text), ("document_id", text),
         ("char_start", whole), ("char_end", whole), ("evidence", text), ("round", whole), ("cluster", whole),
         ("scores", scores), ("input_tokens", whole), ("output_tokens", whole), ("flags", pa.list_(text))]
    )  # fmt: skip


def _pair_columns(results: Results, scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per pair; a document's tokens are shared out evenly over its pairs, remainders to the first."""
    rows = []
    for document in results.documents:
        usage, pairs = document.reading.usage, document.reading.pairs
        shares = zip(_shared(usage.input_tokens, len(pairs)), _shared(usage.output_tokens, len(pairs)), strict=True)
        for pair, (input_tokens, output_tokens) in zip(pairs, shares, strict=True):
            rows.append(
                {**{name: getattr(pair, name) for name in Pair.__slots__}, "id": pair.id, "round": document.round,
                 "cluster": document.cluster, "scores": scores.get(pair.id) if pair.status == "kept" else None,
                 "input_tokens": input_tokens, "output_tokens": output_tokens,
                 "flags": results.notes.get(pair.id, PairNote()).flags}
            )  # fmt: skip
    return rows


def _shared(total: int, count: int) -> list[int]:
    return [total // count + (position < total % count) for position in range(count)]


def _match_schema() -> Any:
    import pyarrow as pa

    text = pa.string()
    return pa.schema(
        [("kind", text), ("id", text), ("origin", text), ("number", pa.int64()), ("how", text), ("score", pa.float64()),
         ("words", text)]
    )  # fmt: skip


def _document_schema() -> Any:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    return pa.schema(
        [("document_id", text), ("round", whole), ("cluster", whole), ("status", text), ("pairs", whole),
         ("input_tokens", whole), ("output_tokens", whole), ("cost_usd", real), ("utility", real), ("detail", text)]
    )  # fmt: skip


def _document_columns(documents: Sequence[ReadDocument], scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "document_id": reading.document_id, "round": document.round, "cluster": document.cluster,
            "status": reading.status, "pairs": len(reading.pairs), "input_tokens": reading.usage.input_tokens,
            "output_tokens": reading.usage.output_tokens, "cost_usd": reading.cost_usd,
            "utility": float(np.sum([scores[pair.id]["utility"] for pair in reading.kept])), "detail": reading.detail,
        }
        for document in documents
        for reading in [document.reading]
    ]  # fmt: skip


def _write_parquet(path: Path, rows: list[dict[str, Any]], schema: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), partial, compression="zstd")
