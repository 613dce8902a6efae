"""What all cells of a comparison share: the documents whose readings are known, and those readings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonanza import build
from bonanza.budget import Account, Budget, Prices, parse_budget
from bonanza.comparison.pairs import DistinctPairs, distinct_pairs
from bonanza.corpus.joined import Store
from bonanza.errors import CorpusError, FolderError, SettingsError
from bonanza.extractors.replay import ReplayExtractor
from bonanza.interfaces import Embedder, Pool, Reader
from bonanza.journal import readings_of
from bonanza.records import Document, Pair, Reading, Target
from bonanza.settings import CompareSettings

BATCH = 2_048  # documents read from disk at a time


@dataclass(frozen=True)
class Inputs:
    """What is compared on."""

    reader: Reader
    target: Target
    test: Target


@dataclass(frozen=True)
class Bench:
    """Documents, readings and pairs of a comparison."""

    settings: CompareSettings
    inputs: Inputs
    store: Store
    embedder: Embedder
    pool: Pool  # documents whose reading is known; `affordable` is set for each cell
    extractor: ReplayExtractor
    readings: Sequence[Reading]  # of the pool's documents, in its order
    pairs: DistinctPairs
    hidden: int  # pairs of the corpus beyond those that one reading reveals

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """What reading each document takes, shape (documents of the pool,)."""
        return np.array([reading.usage.total for reading in self.readings], dtype=np.int64)

    @property
    def everything(self) -> int:
        """Tokens that reading all documents takes."""
        return int(self.tokens.sum())

    @property
    def documents(self) -> dict[str, int]:
        """How many documents of the corpus are known."""
        known = len(self.pool)
        return {"total": len(self.store), "known": known, "unknown": len(self.store) - known}

    @property
    def left_out(self) -> dict[str, int]:
        """Records and pairs that take no part, by reason."""
        skipped = (("corpus", self.store.skipped), ("target", self.inputs.target.skipped))
        counts = Counter(f"{where}: {one.reason}" for where, some in skipped for one in some)
        counts.update(f"test: {one.reason}" for one in self.inputs.test.skipped)
        pairs = dict(self.pairs.left_out) | ({"beyond what one reading reveals": self.hidden} if self.hidden else {})
        return dict(counts) | {f"pairs: {reason}": count for reason, count in pairs.items()}


def prepared(settings: CompareSettings, inputs: Inputs, cache: Path, tell: Callable[[str], None]) -> Bench:
    """Index and embed the corpus, and gather the readings.

    Raises
    ------
    UsageError
        If no document is known, or those that are hold no pair.
    """
    folder = build.journal_of(settings.llm)
    journaled = readings_of(folder) if folder else None
    tell("reading the corpus")
    store = build.build_store(inputs.reader, cache)
    known, hidden = _recorded(settings, store) if journaled is None else (_known(journaled, store, folder), 0)
    pairs = distinct_pairs(known.values())
    _refuse_nothing(pairs, known.values())
    tell("embedding the corpus")
    embedder = build.build_embedder(build.compared(settings, "random"), store)
    extractor = ReplayExtractor({reading.document_id: reading for reading in known.values()})
    everything = Account(Budget("tokens", math.inf), Prices())
    pool = build.build_pool(store, embedder, everything, extractor, list(known))
    return Bench(settings, inputs, store, embedder, pool, extractor, list(known.values()), pairs, hidden)


def _recorded(settings: CompareSettings, store: Store) -> tuple[dict[int, Reading], int]:
    """What reading each row gives, from the column of the corpus; and how many pairs that leaves hidden."""
    extractor = build.build_extractor(build.compared(settings, "random"))
    known, hidden = dict[int, Reading](), 0
    for rows in _batches(len(store)):
        for row, document in zip(rows, store.fetch(rows), strict=True):
            known[row] = extractor.read(document)
            hidden += len(document.recorded or ()) - len(known[row].pairs)
    return known, hidden


def _known(journaled: Mapping[str, Reading], store: Store, folder: Path | None) -> dict[int, Reading]:
    """The readings of a journal by the rows of the corpus; the other rows are unknown."""
    known = {row: journaled[id_] for row, id_ in enumerate(store.ids) if id_ in journaled}
    if not known:
        raise FolderError(
            f"{folder}: the journal has {len(journaled):,} readings, but none of the {len(store):,} documents of this "
            "corpus. Name the corpus that it was made from, with the same --id-field."
        )
    if changed := sum(_is_changed(known, store, rows) for rows in _batches(len(store))):
        raise FolderError(
            f"{folder}: {changed:,} documents have the ids of documents that the run has read, but other texts. "
            "Name the corpus that it was made from."
        )
    return known


def _is_changed(known: Mapping[int, Reading], store: Store, rows: Sequence[int]) -> int:
    """How many of some documents lack the evidence that was read in them."""
    some = [row for row in rows if row in known]
    return sum(
        any(_is_elsewhere(pair, document) for pair in known[row].pairs)
        for row, document in zip(some, store.fetch(some), strict=True)
    )


def _is_elsewhere(pair: Pair, document: Document) -> bool:
    return pair.char_start is not None and pair.evidence != document.text[pair.char_start : pair.char_end]


def _refuse_nothing(pairs: DistinctPairs, readings: Collection[Reading]) -> None:
    if not len(pairs):
        what = "hold no pair that could be kept"
    elif not any(reading.usage.total for reading in readings):
        what = "took no token"
    else:
        return
    raise CorpusError(
        f"The readings of {len(readings):,} documents {what}: there is nothing to compare. Check --llm, and the corpus."
    )


def _batches(count: int) -> Iterable[range]:
    return (range(start, min(start + BATCH, count)) for start in range(0, count, BATCH))


def check_budgets(budgets: Sequence[str]) -> None:
    """Refuse budgets that no comparison can have, before anything is read."""
    if not budgets:
        raise SettingsError("no budget is named. Write e.g. --budgets 2%,5%,10%.")
    for budget in budgets:
        token_budget(budget, 10**12)


def token_budget(text: str, everything: int) -> Budget:
    """A budget in tokens: a share of what reading everything takes, or a number of them, at most everything.

    >>> token_budget("5%", 1000), token_budget("0.2k", 1000)
    (Budget(kind='tokens', limit=50), Budget(kind='tokens', limit=200))
    """
    try:
        parsed = parse_budget(text, everything)
    except SettingsError:
        parsed = None
    if parsed is None or parsed.kind == "dollars" or (parsed.kind == "documents") != text.strip().endswith("%"):
        raise SettingsError(
            f'budget {text!r} cannot be compared at. Write "5%" (of the tokens that reading everything takes) or '
            '"200k" (tokens); more than none.'
        )
    return Budget("tokens", min(parsed.limit, everything))
