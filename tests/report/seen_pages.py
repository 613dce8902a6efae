"""Pages as a browser without scripts sees them, and what tries to be more than text in them."""

from __future__ import annotations

import json
import sqlite3
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bonanza.cli.report import page_of, stored_corpus
from bonanza.report.corpus_map import write_map
from bonanza.report.page import whole_page

HOSTILE = (
    "<script>window.caught = 1</script>",
    '<img src=x onerror="window.caught = 1">',
    "</script><script>window.caught = 1</script>",
    "<!--<script>",
    "[link](javascript:window.caught=1) <a href='javascript:window.caught=1'>here</a>",
    "x" * 100_000,
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\u2028\u2029 \x00\x07 {{ 7 * 7 }} {% raw %} $$x^2$$",
    "@id{safe} @{title}{safe} $index",
)


def draw_map(folder: Path) -> None:
    """Leave a map in the folder, of vectors by chance."""
    corpus = stored_corpus(folder, None)
    assert corpus is not None
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(corpus.ids), 8)).astype(np.float16)
    rows = {id_: row for row, id_ in enumerate(corpus.ids)}
    read = [rows[id_] for id_ in pq.read_table(folder / "documents.parquet")["document_id"].to_pylist()]
    clusters = np.arange(len(corpus.ids)) % 2
    write_map(folder, vectors, corpus.ids, read, rng.normal(size=(6, 8)).astype(np.float32), rng, clusters)


def journaled(folder: Path) -> int:
    """How many readings a journal holds."""
    database = sqlite3.connect(f"file:{folder / 'journal.sqlite'}?mode=ro", uri=True)
    count = database.execute("select count(*) from readings").fetchone()[0]
    database.close()
    return int(count)


class Seen(HTMLParser):
    """What a browser without scripts makes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._script = dict(attrs).get("id") or f"script {len(self.scripts)}" if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All words between the tags."""
        return " ".join(" ".join(self.texts).split())

    @property
    def data(self) -> dict[str, Any]:
        """What the page's scripts are given."""
        return json.loads(self.scripts["data"])


@cache
def seen(folder: Path, corpora: Path | None = None) -> Seen:
    """The page of a folder, which must not change, parsed."""
    return Seen(whole_page(page_of(folder, corpora)))
