"""An index of a corpus, made ahead of runs: where its documents stand, and their embeddings.

An index is a cache folder of its own, which runs are given with --cache. Making it again costs what is new: files are
told apart by content. It keeps the static embedder that it learned first, since another one would want all documents
embedded anew; a corpus that grows into other subjects is worth a new index.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonanza import build
from bonanza.clock import timed
from bonanza.corpus.joined import JoinedStore, Store
from bonanza.corpus.readers import Fields, open_corpus
from bonanza.executors.ray import check_executor
from bonanza.files import refuse_foreign, write_text
from bonanza.settings import IndexSettings, as_mapping
from bonanza.version import __version__
from bonanza.watching import Silent, Watcher

NAME = "index.json"


@dataclass(frozen=True)
class IndexResult:
    """What an index holds; `summary` is also in its file index.json."""

    folder: Path
    summary: Mapping[str, Any]


def index(settings: IndexSettings, out: Path, watcher: Watcher | None = None) -> IndexResult:
    """Index a corpus, or what is new of it. A killed process leaves what it has finished to the next.

    Raises
    ------
    UsageError
        If the corpus cannot be read, or the folder holds something else.
    """
    watcher, seconds = watcher or Silent(), dict[str, float]()
    check_executor(settings.executor)
    refuse_foreign(out, NAME, "index of bonanza", harmless=())
    out.mkdir(parents=True, exist_ok=True)
    if not (out / NAME).exists():
        write_text(out / NAME, "{}\n")  # what a killed process leaves is known to be an index
    watcher.stage("reading the corpus")
    with timed(seconds, "read"):
        fields = Fields(settings.text_field, settings.id_field, settings.recorded)
        store = build.build_store(open_corpus(settings.corpus, fields, filters=settings.filters), out)
    watcher.stage("embedding the corpus")
    with build.at_hand(settings, watcher.stage), timed(seconds, "embed"):
        embedder = build.build_index_embedder(settings.embedder, store)
        build.build_vectors(store, embedder, build.embedding(settings, embedder, watcher.stage))
    summary = _summary(settings, store, embedder.name, seconds)
    write_text(out / NAME, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return IndexResult(out, summary)


def _summary(settings: IndexSettings, store: Store, embedder: str, seconds: Mapping[str, float]) -> dict[str, Any]:
    parts = len(store.parts) if isinstance(store, JoinedStore) else 1
    return {
        "documents": len(store), "characters": int(store.lengths.sum()), "parts": parts,
        "skipped": dict(Counter(record.reason for record in store.skipped)), "embedder": embedder,
        "settings": as_mapping(settings), "bonanza": __version__,
        "seconds": {stage: round(took, 3) for stage, took in seconds.items()},
    }  # fmt: skip
