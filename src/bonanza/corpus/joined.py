"""Several files as one corpus: each is stored by itself, so a new or changed file costs only itself.

A corpus of many files is cut into parts. Every part has a store of its own in the cache, named by its content; what a
killed process has finished of them stays. The corpus is a folder beside them, named by the content of all:

    rows.npy        int64, shape (documents, 2): part and row in it of each document, in reading order
    ids.jsonl       the ids; unique in the whole corpus
    skipped.jsonl   documents of a part that an earlier part holds too
    joined.json     {"parts": [names of their stores], "sizes": {file name: bytes}}, written last
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.corpus.readers import Corpus
from bonanza.corpus.readers.documents import MARK, unique_in_all
from bonanza.corpus.store import (
    COMPLETE,
    IDS,
    SKIPPED,
    DocumentStore,
    building,
    is_stored,
    json_line,
    locked,
    new_file,
    open_store,
    read_lines,
    refuse_nothing,
    refuse_outside,
)
from bonanza.interfaces import Reader
from bonanza.processes import Processes, processors
from bonanza.records import Document, Skipped

ROWS, JOINED = "rows.npy", "joined.json"
MUCH = 1 << 26  # [ours] bytes of files, from which on processes are started to read them: seconds


class JoinedStore:
    """The documents of a corpus of several parts, by row number. Safe to read from many threads."""

    def __init__(self, path: Path, parts: Sequence[DocumentStore]) -> None:
        self.path = path
        self.parts = parts
        self.rows: NDArray[np.int64] = np.load(path / ROWS)
        firsts = np.cumsum([0, *(len(part) for part in self.parts)])
        lengths = np.concatenate([np.zeros(0, np.int64), *(part.lengths for part in self.parts)])
        self.lengths: NDArray[np.int64] = lengths[firsts[self.rows[:, 0]] + self.rows[:, 1]]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def ids(self) -> list[str]:
        """The id of every document, in row order."""
        return read_lines(self.path / IDS)

    @cached_property
    def skipped(self) -> tuple[Skipped, ...]:
        """The records that could not be used, part by part; then the documents that an earlier part holds too."""
        repeated = (Skipped(**line) for line in read_lines(self.path / SKIPPED))
        return (*(record for part in self.parts for record in part.skipped), *repeated)

    def fetch(self, rows: Sequence[int]) -> list[Document]:
        """Read the documents of some rows, in the order asked for."""
        refuse_outside(rows, len(self))
        by_part: dict[int, list[int]] = {}
        for row in rows:
            by_part.setdefault(int(self.rows[row, 0]), []).append(row)
        found: dict[int, Document] = {}
        for part, here in by_part.items():
            found |= zip(here, self.parts[part].fetch(self.rows[here, 1].tolist()), strict=True)
        return [replace(found[row], id=self.ids[row]) for row in rows]


Store = DocumentStore | JoinedStore


def open_parts(reader: Reader, cache: Path) -> Store:
    """Open the store of a reader's documents in a cache folder; build first what is not there, part by part."""
    parts = reader.parts() if isinstance(reader, Corpus) else [reader]
    if len(parts) == 1:
        store = open_store(reader, cache)
        refuse_nothing(len(store), store.skipped)
        return store
    _build(parts, cache)
    stores = [open_store(part, cache) for part in parts]
    path = cache / reader.fingerprint()
    if not _is_whole(path, stores):
        with locked(cache, path.name):
            if not _is_whole(path, stores):
                with building(path) as folder:
                    _join(stores, folder)
    joined = JoinedStore(path, stores)
    refuse_nothing(len(joined), joined.skipped)
    return joined


def _build(parts: Sequence[Corpus | Reader], cache: Path) -> None:
    """Store the parts that are missing on all processors, if that is much."""
    missing = [part for part in parts if isinstance(part, Corpus) and _is_here(part) and not is_stored(part, cache)]
    much = sum(table.size() for part in missing for table in part.tables) > MUCH
    if much and len(missing) > 1 and processors() > 1:
        deque(Processes(partial(_built, cache=cache), "reads the corpus")(missing), maxlen=0)


def _is_here(part: Corpus) -> bool:
    """Whether all of it are files of this machine; others may have been fetched by now, for this process alone."""
    return all(isinstance(getattr(table, "path", None), Path) for table in part.tables)


def _built(part: Corpus, cache: Path) -> None:
    open_store(part, cache)


def stored(path: Path) -> Store | None:
    """A store that was built before, by its folder; None if it is not there any more."""
    if not (path / JOINED).is_file():
        return DocumentStore(path) if (path / COMPLETE).is_file() else None
    places = [path.parent / name for name in json.loads((path / JOINED).read_bytes())["parts"]]
    whole = all((place / COMPLETE).is_file() for place in places)
    return JoinedStore(path, [DocumentStore(place) for place in places]) if whole else None


def _is_whole(path: Path, stores: Sequence[DocumentStore]) -> bool:
    try:
        return bool(json.loads((path / JOINED).read_bytes()) == _proof(path, stores))
    except (OSError, ValueError):
        return False


def _proof(path: Path, stores: Sequence[DocumentStore]) -> dict[str, Any]:
    sizes = {name: (path / name).stat().st_size for name in (ROWS, IDS, SKIPPED)}
    return {"parts": [store.path.name for store in stores], "sizes": sizes}


def _join(stores: Sequence[DocumentStore], folder: Path) -> None:
    """Write what makes one corpus of them. Most ids stand in no need of a look, and are copied as they are."""
    suspects, seen, rows = _suspects(stores), dict[str, int](), []
    with new_file(folder / IDS) as ids, new_file(folder / SKIPPED) as left_out:
        for part, store in enumerate(stores):
            lines = (store.path / IDS).read_bytes().splitlines(keepends=True)
            kept = np.ones(len(store), bool)
            for row in (row for row, id_ in enumerate(store.ids) if id_ in suspects):
                named, reason = unique_in_all(store.ids[row], int(store.hashes[row]), seen)
                kept[row], lines[row] = not reason, b"" if reason else json_line(named)
                if reason:
                    left_out.write(json_line(asdict(Skipped(store.origins([row])[0], reason, named))))
            ids.writelines(lines)
            rows.append(np.stack((np.full(len(store), part), np.arange(len(store))), axis=1)[kept])
    with new_file(folder / ROWS) as file:
        np.save(file, np.concatenate(rows))
    with new_file(folder / JOINED) as file:
        file.write(json_line(_proof(folder, stores)))


def _suspects(stores: Sequence[DocumentStore]) -> set[str]:
    """The ids that `unique_in_all` may rename or leave out, and those that it compares them with."""
    counts = Counter(chain.from_iterable(store.ids for store in stores))
    marked = [id_ for id_ in counts if MARK in id_]
    return {*(id_ for id_, count in counts.items() if count > 1), *marked, *(id_.partition(MARK)[0] for id_ in marked)}
