"""A map of the corpus: documents and reference pairs in two dimensions.

A finished folder holds no embeddings, so the run itself draws the map and leaves it in `map.parquet`: columns `kind`
("document" or "reference"), `id`, `x`, `y`, `read`, `cluster`; in the metadata of its schema, under "bonanza", the
number of documents, the size of each cluster, and how much of the spread the map shows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonanza.errors import FolderError
from bonanza.files import replacing
from bonanza.interfaces import Rows

NAME = "map.parquet"
MOST_DOCUMENTS = 5_000  # [ours] what a page can hold and an eye can tell apart
LEAST_UNREAD = 1_000  # [ours] of them, if there are so many: what was passed by is half of the picture
MOST_REFERENCES = 500  # [ours]

Points = NDArray[np.float32]  # shape (points, 2)
Vectors = NDArray[np.float16] | NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """One point of the map."""

    id: str
    x: float
    y: float
    read: bool
    cluster: int | None


@dataclass(frozen=True)
class CorpusMap:
    """What a report shows of a corpus as a whole."""

    documents: Sequence[Place]  # a sample
    references: Sequence[Place]
    total: int  # documents in the corpus
    shown: float  # share of the spread of the documents that two dimensions hold; 0 to 1
    sizes: Mapping[int, int]  # documents by cluster


def write_map(
    folder: Path, vectors: Vectors, ids: Sequence[str], read: Sequence[int], target_vectors: Vectors,
    rng: np.random.Generator, clusters: Rows | None = None,
) -> None:  # fmt: skip
    """Project a sample of the corpus and the reference pairs, and leave them in a folder.

    Parameters
    ----------
    vectors : shape (documents, dim); only the rows of the sample are read
    ids : of the documents
    read : rows that were read; they are preferred, but the sample holds unread ones too
    target_vectors : shape (reference pairs, dim)
    clusters : shape (documents,)
    """
    rows = sampled(len(ids), read, rng)
    references = np.sort(rng.permutation(len(target_vectors))[:MOST_REFERENCES])
    documents, targets, shown = projected(vectors[rows], target_vectors[references])
    was_read = np.isin(rows, np.asarray(read, dtype=np.int64))
    columns = {
        "kind": ["document"] * len(rows) + ["reference"] * len(references),
        "id": [ids[row] for row in rows] + [str(reference) for reference in references],
        "x": np.concatenate([documents[:, 0], targets[:, 0]]),
        "y": np.concatenate([documents[:, 1], targets[:, 1]]),
        "read": [*was_read.tolist(), *[False] * len(references)],
        "cluster": [None if clusters is None else int(clusters[row]) for row in rows] + [None] * len(references),
    }
    sizes = {} if clusters is None else dict(zip(*np.unique(clusters, return_counts=True), strict=True))
    about = {"documents": len(ids), "shown": shown, "clusters": {str(key): int(size) for key, size in sizes.items()}}
    _write(folder / NAME, columns, about)


def sampled(documents: int, read: Sequence[int], rng: np.random.Generator) -> Rows:
    """Rows of a sample, rising: read documents first, but room is left for unread ones."""
    read_rows = np.unique(np.asarray(read, dtype=np.int64))
    unread = np.setdiff1d(np.arange(documents), read_rows, assume_unique=True)
    room = MOST_DOCUMENTS - min(len(unread), LEAST_UNREAD)
    chosen = rng.permutation(read_rows)[:room]
    return np.sort(np.concatenate([chosen, rng.permutation(unread)[: MOST_DOCUMENTS - len(chosen)]]))


def projected(documents: Vectors, references: Vectors) -> tuple[Points, Points, float]:
    """Principal components of the documents, of both; and the share of the documents' spread that they hold.

    The sign of an axis is that which makes its largest loading positive, so that equal inputs give equal maps.
    """
    centre = documents.mean(axis=0, dtype=np.float64)
    moved = documents.astype(np.float64) - centre
    values, axes = np.linalg.eigh(moved.T @ moved)  # rising; columns
    axes = axes[:, ::-1][:, :2]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    spread = float(values.sum())
    shown = float(values[-2:].sum()) / spread if spread > 0 else 1.0
    return _points(moved @ axes), _points((references.astype(np.float64) - centre) @ axes), shown


def _points(values: NDArray[np.float64]) -> Points:
    """Two columns, whatever the dimension of the embedding."""
    missing = 2 - values.shape[1]
    return np.pad(values, ((0, 0), (0, missing))).astype(np.float32)


def _write(path: Path, columns: Mapping[str, object], about: Mapping[str, object]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    real, text = pa.float32(), pa.string()
    schema = pa.schema(
        [("kind", text), ("id", text), ("x", real), ("y", real), ("read", pa.bool_()), ("cluster", pa.int64())],
        metadata={"bonanza": json.dumps(about)},
    )
    with replacing(path) as partial:
        pq.write_table(pa.table(columns, schema=schema), partial, compression="zstd")


def read_map(folder: Path) -> CorpusMap | None:
    """The map that a run left; None if there is none."""
    import pyarrow.parquet as pq

    path = folder / NAME
    if not path.exists():
        return None
    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[b"bonanza"])
        rows = table.to_pylist()
        sizes = Counter({int(cluster): int(size) for cluster, size in about["clusters"].items()})
        documents, references = ([_place(row) for row in rows if row["kind"] == kind] for kind in _KINDS)
        return CorpusMap(documents, references, int(about["documents"]), float(about["shown"]), sizes)
    except (ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{path}: is no map of bonanza ({error!r}). Delete it: the report works without.") from None


_KINDS = ("document", "reference")


def _place(row: Mapping[str, object]) -> Place:
    return Place(**{name: row[name] for name in Place.__dataclass_fields__})  # type: ignore[arg-type]
