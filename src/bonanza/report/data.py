"""What the report of a run says, read from its folder: finished, ended early, or still under way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bonanza.budget import Budget, parse_budget
from bonanza.errors import CorpusError, FolderError, SettingsError
from bonanza.records import Document
from bonanza.report.clusters import Cluster, clusters_of
from bonanza.report.corpus_map import CorpusMap, read_map
from bonanza.report.sources import Documents, FoundPair, JournaledReadings, PairStatus, Source, WrittenTables, asked

MOST_PAIRS = 2_000  # [ours] in the browser of pairs
PAIRS_FOR_WORDS = 20_000  # [ours] that tell what sets clusters apart
CURVE_POINTS = 400  # [ours]
CONTEXT = 160  # [ours] characters before and after the evidence
SKIPPED_LOOKED_AT = 10_000  # lines, for an example of each reason
TITLE = 60  # characters of a document that name it on the map


@dataclass(frozen=True)
class Corpus:
    """The documents' texts, where they are at hand."""

    ids: Sequence[str]
    fetch: Callable[[Sequence[int]], list[Document]]

    def texts(self, ids: Sequence[str]) -> dict[str, str]:
        """The texts of some documents, by id; those not in the corpus are missing, all if its files were changed."""
        wanted = set(ids)
        rows = [row for row, id_ in enumerate(self.ids) if id_ in wanted]
        with suppress(CorpusError):
            return {document.id: document.text for document in self.fetch(rows)}
        return {}


@dataclass(frozen=True, slots=True)
class Headline:
    """The figures at the top. None: not known (yet)."""

    documents_total: int | None
    documents_read: int
    pairs_found: int
    pairs_kept: int | None
    tokens: int
    cost_usd: float
    budget: Budget | None
    spent: float | None  # in the budget's unit
    stop_reason: str | None  # None: no result is written yet
    transport_start: float | None
    transport_end: float | None

    @property
    def pairs(self) -> int:
        """Pairs kept; before cleaning, pairs found."""
        return self.pairs_found if self.pairs_kept is None else self.pairs_kept

    @property
    def tokens_of_everything(self) -> int | None:
        """Reckoned: as many tokens for every document as those that were read took on average."""
        if not self.documents_total or not self.documents_read:
            return None
        return round(self.documents_total * self.tokens / self.documents_read)

    @property
    def saved_share(self) -> float | None:
        """Of the tokens that reading everything takes, by that reckoning; 0 to 1."""
        everything = self.tokens_of_everything
        return None if not everything else 1 - self.tokens / everything


@dataclass(frozen=True)
class Curve:
    """Pairs, and useful ones, by tokens spent; one entry per point."""

    tokens: Sequence[int]
    documents: Sequence[int]
    pairs: Sequence[int]
    utility: Sequence[float]  # empty: not measured
    costs: Sequence[Mapping[str, float]]  # {tokens, cost}: transport cost on the way, where the run measured it


@dataclass(frozen=True, slots=True)
class LeftOut:
    """So many of something were left out, for one reason."""

    what: str
    reason: str
    count: int
    example: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage of a document, in its context; empty context: the document is not at hand."""

    before: str
    passage: str
    after: str


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A pair of the browser."""

    found: FoundPair
    evidence: Evidence


@dataclass(frozen=True)
class RunReport:
    """All that the page of a run shows."""

    name: str
    headline: Headline
    documents: Documents
    curve: Curve
    map: CorpusMap | None
    titles: Mapping[str, str]  # beginnings of the documents on the map, by id
    clusters: Sequence[Cluster]
    left_out: Sequence[LeftOut]
    pairs: Sequence[ShownPair]  # a sample
    has_corpus: bool
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]


def read_run(folder: Path, corpus: Corpus | None = None) -> RunReport:
    """Read a run's folder. The journal counts where it holds more readings than the tables, as in a resumed run."""
    owner, summary = owner_of(folder), _summary(folder)
    source, is_written = _source(folder, summary)
    documents = source.documents
    kept_summary = summary if is_written else {}
    settings = owner.get("settings", {})
    corpus_map = read_map(folder)
    sample = source.pairs(evenly(int(documents.found.sum()), PAIRS_FOR_WORDS))
    shown = [sample[position] for position in evenly(len(sample), MOST_PAIRS)]
    return RunReport(
        name=folder.resolve().name,
        headline=_headline(documents, kept_summary, settings, corpus.ids if corpus else (), summary),
        documents=documents,
        curve=_curve(documents, kept_summary),
        map=corpus_map,
        titles=_titles(corpus_map, corpus),
        clusters=clusters_of(documents, sample, corpus_map, kept_summary.get("policy_report", {})),
        left_out=list(_left_out(folder, documents, source.statuses, kept_summary)),
        pairs=_shown(shown, corpus),
        has_corpus=corpus is not None,
        settings=settings,
        provenance={key: value for key, value in owner.items() if key != "settings"} | _outcome(kept_summary),
    )


def evenly(total: int, most: int) -> Any:
    """At most so many positions, spread evenly: int64 array, rising.

    >>> evenly(10, 4).tolist(), evenly(2, 4).tolist()
    ([0, 2, 5, 7], [0, 1])
    """
    count = min(total, most)
    return np.arange(count, dtype=np.int64) * total // max(count, 1)


def owner_of(folder: Path) -> dict[str, Any]:
    """What the journal belongs to: settings, corpus, target, embedder, extractor, version."""
    return {key: json.loads(value) for key, value in asked(folder, "select key, value from belongs")}


def _summary(folder: Path) -> dict[str, Any]:
    """summary.json, which is written last; empty without one."""
    path = folder / "summary.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        content = error
    if isinstance(content, dict) and {"tokens", "budget", "stop_reason"} <= content.keys():
        return content
    raise FolderError(f"{path}: is no summary of a run, or is damaged. Run the command of the run again.")


def _source(folder: Path, summary: Mapping[str, Any]) -> tuple[Source, bool]:
    """The tables if they hold all that was read, else the journal."""
    journaled = asked(folder, "select count(*) from readings")[0][0]
    if summary and journaled <= summary.get("documents_read", 0):
        return WrittenTables(folder), True
    return JournaledReadings(folder), False


def _headline(
    documents: Documents, summary: Mapping[str, Any], settings: Mapping[str, Any], ids: Sequence[str],
    earlier: Mapping[str, Any],
) -> Headline:  # fmt: skip
    """From the summary; while a run is under way from the readings so far, and from what an earlier summary knew."""
    total = earlier.get("documents_total") or len(ids) or None
    tokens, cost = summary.get("tokens", {}).get("total"), summary.get("cost_usd")
    tokens = int(documents.tokens.sum()) if tokens is None else tokens
    cost = float(documents.cost.sum()) if cost is None else cost
    budget = _budget(summary, settings, total)
    spent = summary["budget"]["spent"] if summary else _spent(budget, len(documents), tokens, cost)
    transport = summary.get("transport_cost", {})
    return Headline(
        total, len(documents), int(documents.found.sum()), int(documents.kept.sum()) if summary else None, tokens, cost,
        budget, spent, summary.get("stop_reason"), transport.get("start"), transport.get("end"),
    )  # fmt: skip


def _budget(summary: Mapping[str, Any], settings: Mapping[str, Any], total: int | None) -> Budget | None:
    if summary:
        return Budget(summary["budget"]["kind"], summary["budget"]["limit"])
    try:
        return parse_budget(str(settings.get("budget", "")), total or 0)
    except SettingsError:  # a share of documents that are not counted yet
        return None


def _spent(budget: Budget | None, documents: int, tokens: int, cost: float) -> float | None:
    return None if budget is None else {"documents": documents, "tokens": tokens, "dollars": cost}[budget.kind]


def _curve(documents: Documents, summary: Mapping[str, Any]) -> Curve:
    """Sums after each document, thinned out; the last is always there."""
    points = evenly(len(documents), CURVE_POINTS)
    points = np.unique(np.append(points, len(documents) - 1)) if len(documents) else points
    utility = documents.utility
    return Curve(
        tokens=[0, *documents.tokens.cumsum()[points].tolist()],
        documents=[0, *(points + 1).tolist()],
        pairs=[0, *documents.kept.cumsum()[points].tolist()],
        utility=[] if utility is None else [0.0, *utility.cumsum()[points].round(2).tolist()],
        costs=[point for point in summary.get("transport_curve", ()) if point.get("cost") is not None],
    )


def _titles(corpus_map: CorpusMap | None, corpus: Corpus | None) -> dict[str, str]:
    if corpus_map is None or corpus is None:
        return {}
    texts = corpus.texts([place.id for place in corpus_map.documents])
    return {id_: " ".join(text[: 4 * TITLE].split())[:TITLE] for id_, text in texts.items()}


def _left_out(
    folder: Path, documents: Documents, statuses: Sequence[PairStatus], summary: Mapping[str, Any]
) -> Iterator[LeftOut]:
    """Pairs that were not kept, documents that gave nothing, records that were never read."""
    for status in statuses:
        if status.status != "kept":
            reasons = "; ".join(f"{reason} ({count:,})" for reason, count in status.reasons)
            yield LeftOut("pair found, not kept", status.status, status.count, reasons)
    for reading, count in Counter(documents.statuses).most_common():
        if reading != "ok":
            yield LeftOut("document read", reading, count)
    examples = _examples(folder)
    for key, count in summary.get("left_out", {}).items():
        where, _, reason = key.partition(": ")
        what = {"corpus": "record of the corpus", "chosen": "document chosen", "target": "record of the target"}
        yield LeftOut(what.get(where, where), reason, count, examples.get(reason, ""))


def _examples(folder: Path) -> dict[str, str]:
    """The first record of each reason among the first lines of skipped.jsonl."""
    path, examples = folder / "skipped.jsonl", dict[str, str]()
    if path.exists():
        with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in islice(lines, SKIPPED_LOOKED_AT):
                record = json.loads(line)
                examples.setdefault(record["reason"], f"{record['origin']} {record['detail']}".strip())
    return examples


def _shown(pairs: Sequence[FoundPair], corpus: Corpus | None) -> list[ShownPair]:
    texts = corpus.texts([found.pair.document_id for found in pairs]) if corpus else {}
    return [ShownPair(found, _evidence(found, texts.get(found.pair.document_id, ""))) for found in pairs]


def _evidence(found: FoundPair, text: str) -> Evidence:
    """The evidence where it stands in its document; alone if it does not stand there."""
    pair, start, end = found.pair, found.pair.char_start, found.pair.char_end
    if start is None or end is None or not pair.evidence or text[start:end] != pair.evidence:
        return Evidence("", pair.evidence, "")
    return Evidence(text[max(start - CONTEXT, 0) : start], pair.evidence, text[end : end + CONTEXT])


def _outcome(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the summary tells beyond the headline."""
    names = ("rounds", "seconds", "prices", "policy_report", "stop_detail")
    return {name: summary[name] for name in names if summary.get(name)}


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as a person would write them into a file."""
    return yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True) if settings else ""
