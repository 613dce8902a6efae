"""Which pairs of a run a model trains on, and which it is validated on: a document is never on both sides."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonanza.errors import SettingsError
from bonanza.exports.formats import PROVENANCE, Row
from bonanza.records import content_id

TRAIN, VALIDATION = "train", "validation"
BATCH_ROWS = 4_096  # of pairs.parquet in memory at a time


@dataclass(frozen=True, slots=True)
class Split:
    """Sides of documents, by a hash of their ids: the side of one does not depend on the others."""

    share: float  # of the documents, expected in the validation set; 0 to 1
    seed: int

    def side(self, document_id: str) -> str:
        """The side of a document."""
        digits = content_id(str(self.seed), document_id)
        return VALIDATION if int(digits, 16) < self.share * 16 ** len(digits) else TRAIN


@dataclass(frozen=True, slots=True)
class Side:
    """What one side of a split holds."""

    documents: int
    pairs: int


def share_of(text: str) -> float:
    """The share that "5%" means; "0" is no validation set.

    >>> share_of("5%"), share_of("0")
    (0.05, 0.0)
    """
    number = text.strip()
    try:
        percentage = float(number.removesuffix("%")) if number.endswith("%") or number == "0" else -1.0
    except ValueError:
        percentage = -1.0
    if not 0 <= percentage < 100:
        raise SettingsError(f'--validation {text!r} is not understood. Write "5%", below 100%; or 0 for none.')
    return percentage / 100


def sides_of(documents: Mapping[str, int], split: Split) -> dict[str, Side]:
    """What each side holds, of documents with so many kept pairs.

    Raises
    ------
    SettingsError
        If a side that is asked for would hold nothing.
    """
    pairs: dict[str, list[int]] = {side: [] for side in ((TRAIN, VALIDATION) if split.share else (TRAIN,))}
    for document_id, count in documents.items():
        pairs[split.side(document_id)].append(count)
    empty = [name for name, counts in pairs.items() if not counts]
    if empty:
        raise SettingsError(
            f"--validation {100 * split.share:g}%: of {len(documents):,} documents with kept pairs, none "
            f"would be in the {empty[0]} set. Give another share or --seed, or --validation 0 for no validation set."
        )
    return {name: Side(len(counts), sum(counts)) for name, counts in pairs.items()}


def is_too_coarse(documents: Collection[str], split: Split) -> bool:
    """There are so few documents that a side would be empty."""
    return len({split.side(document_id) for document_id in documents}) < 2


def kept_documents(pairs: Path) -> dict[str, int]:
    """How many kept pairs each document has that has any, in the order of pairs.parquet."""
    counts: dict[str, int] = {}
    for row in _kept(pairs, ["document_id", "status"]):
        counts[row["document_id"]] = counts.get(row["document_id"], 0) + 1
    return counts


def rows_of(pairs: Path, split: Split, side: str) -> Iterator[Row]:
    """The kept pairs of one side, streamed, in the order of pairs.parquet."""
    columns = ["question", "answer", "status", *PROVENANCE]
    return (row for row in _kept(pairs, columns) if split.side(row["document_id"]) == side)


def _kept(pairs: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    import pyarrow.compute
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(pairs) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=columns):
            yield from batch.filter(pyarrow.compute.equal(batch["status"], "kept")).to_pylist()
