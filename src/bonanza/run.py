"""One run of the main job: its folder, its inputs, the loop, what it leaves behind."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from bonanza import build
from bonanza.budget import Account
from bonanza.cleaning.chain import CleaningChain
from bonanza.cleaning.decontamination import Match, overlaps
from bonanza.clock import timed
from bonanza.corpus.targets import read_target
from bonanza.custom import BUILT_IN, Custom
from bonanza.errors import EndpointRefusedError, FolderError, MissingExtraError
from bonanza.exports.card import card
from bonanza.exports.folder import (
    ReadDocument,
    Results,
    kept_pairs,
    status_counts,
    write_summary,
    write_tables,
)
from bonanza.exports.measures import Measures, embedded, measure
from bonanza.files import refuse_foreign, write_text
from bonanza.interfaces import Embedder, Policy, Reader
from bonanza.journal import Journal
from bonanza.loop import Parts, Progress, rounds
from bonanza.records import Pair, Reading, Skipped, Target, Usage, content_id
from bonanza.report.corpus_map import write_map
from bonanza.selecting import outranked
from bonanza.settings import RunSettings, as_mapping, differences, identity
from bonanza.version import __version__

VALID_BUT_EARLY = ("budget too small", "no more pairs", "interrupted", "endpoint gone")


class Watcher(Protocol):
    """Is told how a run goes."""

    def stage(self, text: str) -> None:
        """A long step begins."""

    def reading(self, reading: Reading) -> None:
        """A document was read just now."""

    def round(self, progress: Progress, account: Account, policy: Policy) -> None:
        """A round is done."""

    def scored(self, done: int, of: int) -> None:
        """A language model has scored so many passages of a refinement."""


class Silent:
    """Watches without a word."""

    def stage(self, text: str) -> None:
        """Ignore it."""

    def reading(self, reading: Reading) -> None:
        """Ignore it."""

    def round(self, progress: Progress, account: Account, policy: Policy) -> None:
        """Ignore it."""

    def scored(self, done: int, of: int) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class ExtractResult:
    """What a run found. All of it is also in `folder`."""

    folder: Path
    summary: Mapping[str, Any]
    pairs: Sequence[Pair]  # the kept ones

    @property
    def ended_early(self) -> bool:
        """The run stopped before its budget was spent or its corpus read; what it holds is valid."""
        return self.summary["stop_reason"] in VALID_BUT_EARLY

    def to_pandas(self) -> Any:
        """Every pair, kept or not, as a pandas data frame (needs pandas)."""
        import pyarrow.parquet as pq

        try:
            return pq.read_table(self.folder / "pairs.parquet").to_pandas()
        except ModuleNotFoundError:
            raise MissingExtraError("to_pandas()", "demo") from None

    def to_dataset(self) -> Any:
        """The kept pairs as a Hugging Face dataset with a `messages` column (needs the extra "hf")."""
        try:
            from datasets import Dataset
        except ModuleNotFoundError:
            raise MissingExtraError("to_dataset()", "hf") from None
        with (self.folder / "train.jsonl").open(encoding="utf-8", newline="\n") as lines:
            return Dataset.from_list([json.loads(line) for line in lines])


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    documents: int
    skipped: int  # records of the corpus that could not be used
    references: int
    extractor: str
    policy: str
    affordable: int  # documents that the budget is likely to pay for
    usage: Usage  # of a document, likely
    account: Account


def plan(settings: RunSettings, cache: Path | None = None) -> Plan:
    """Say what `run` would do, without calling or writing anything but the index of the corpus."""
    build.check_names(settings)
    settings = replace(settings, executor=build.LOCAL)  # no cluster is called either
    with tempfile.TemporaryDirectory() as scratch, Journal(Path(scratch)) as journal, ExitStack() as held:
        inputs = read_target(settings.target), build.build_reader(settings)
        job = _prepared(settings, *inputs, cache or build.default_cache(), journal, Path(scratch), Silent(), held)
        pool, parts = job.parts.pool, job.parts
        usage = build.likely_usage(pool.lengths, pool.fetch, parts.extractor)
        return Plan(
            len(pool), len(job.skipped), len(job.target.pairs), parts.extractor.name, settings.policy, pool.affordable,
            usage, parts.account,
        )  # fmt: skip


@dataclass(frozen=True)
class _Job:
    """A run that is ready to go."""

    settings: RunSettings
    target: Target
    skipped: Sequence[Skipped]  # records of the corpus that could not be used
    unknown: int  # documents that a replayed journal never read
    met: Sequence[Match]  # reference pairs that are test items
    embedder: Embedder
    parts: Parts
    cleaner: CleaningChain
    selection: build.SelectionInputs  # of a refinement
    journal: Journal
    clock: _Clock


def run(
    settings: RunSettings, out: Path, cache: Path | None = None, watcher: Watcher | None = None,
    stopping: Callable[[], bool] = lambda: False, reader: Reader | None = None, target: Target | None = None,
    reuse: Sequence[Path] = (), custom: Custom = BUILT_IN,
) -> ExtractResult:  # fmt: skip
    """Carry out `extract` with checked settings; `reader`, `target` and `custom` parts stand in for the named ones.

    `reuse`: folders of other runs; answers in their journals that this run needs are taken over as paid for.
    """
    watcher = watcher or Silent()
    build.check_names(settings, custom)
    refuse_foreign(out, "journal.sqlite", "run of bonanza")
    with Journal(out) as journal, ExitStack() as place:
        _refuse_other(out, journal, {"settings": identity(settings)})
        inputs = target or read_target(settings.target), reader or build.build_reader(settings)
        for folder in reuse:
            journal.adopt(folder)
        place.enter_context(build.at_hand(settings, watcher.stage))
        with ExitStack() as held:  # what reads makes room, on a cluster, for what refines
            job = _prepared(settings, *inputs, cache or build.default_cache(), journal, out, watcher, held, custom)
            write_text(out / "settings.yaml", yaml.safe_dump(as_mapping(settings), sort_keys=False, allow_unicode=True))
            progress = _loop(job, watcher, stopping)
        watcher.stage("writing the results")
        return _finish(job, progress, out)


def _prepared(
    settings: RunSettings, target: Target, reader: Reader, cache: Path, journal: Journal, out: Path, watcher: Watcher,
    held: ExitStack, custom: Custom = BUILT_IN,
) -> _Job:  # fmt: skip
    """Index and embed the corpus, build the parts, and claim the folder for this run."""
    clock = _Clock()
    watcher.stage("reading the corpus")
    with clock.timed("embed"):
        store = build.build_store(reader, cache)
    account, items = build.build_account(settings, len(store)), build.test_items(settings)
    watcher.stage("embedding the corpus")
    with clock.timed("embed"):
        embedder = build.build_embedder(settings, store)
        how = build.reading(settings, target, journal, account, watcher.stage, custom.extractor)
        extractor, executor = held.enter_context(how)
    owner = {
        "settings": identity(settings), "corpus": store.path.name, "target": target.id,
        "embedder": embedder.name, "extractor": extractor.name, "bonanza": __version__,
        "decontaminate": content_id(*(f"{item.question}\n{item.answer}" for item in items)),
    }  # fmt: skip
    _refuse_other(out, journal, owner)
    with clock.timed("embed"):
        rows = build.known_rows(settings, store)
        embed_all = build.embedding(settings, embedder, watcher.stage)
        pool = build.build_pool(store, embedder, account, extractor, rows, embed_all)
    policy = custom.policy or build.build_policy(settings, embedder)
    journal.claim(owner)
    cleaner = build.build_cleaner(settings, store, items, embedder)
    met = overlaps(target, items, settings.cleaning.decontamination, embedder) if items else []
    parts = Parts(pool, policy, extractor, executor, cleaner, journal, account, build.build_screen(settings))
    selection = build.refine_inputs(settings, target, embedder, cache, watcher.scored, watcher.stage)
    unknown = len(store) - len(pool)
    return _Job(settings, target, store.skipped, unknown, met, embedder, parts, cleaner, selection, journal, clock)


def _loop(job: _Job, watcher: Watcher, stopping: Callable[[], bool]) -> Progress:
    settings, parts = job.settings, job.parts
    with job.clock.timed("choose"):
        parts.policy.start(parts.pool, job.target, np.random.default_rng(settings.seed))
    progress = Progress()
    watcher.stage("reading documents")
    for progress in rounds(parts, settings.round_size, settings.patience, stopping, watcher.reading):
        watcher.round(progress, parts.account, parts.policy)
    job.clock.add(progress.seconds)
    if isinstance(progress.gone, EndpointRefusedError) and not progress.read:
        raise progress.gone
    return progress


def _finish(job: _Job, progress: Progress, out: Path) -> ExtractResult:
    """Write the folder."""
    documents = _refined(job, progress)
    pairs = kept_pairs(documents)
    measures = measure(pairs, job.target, job.embedder, job.settings.seed)
    left_out, matches = [*job.skipped, *progress.passed_over, *progress.repeated], _matches(job, progress)
    write_tables(out, Results(documents, left_out, job.target, measures, job.cleaner.notes.pairs, matches))
    summary = _summary(job, progress, documents, measures)
    write_text(out / "README.md", card(summary, job.settings.target))
    write_summary(out, summary)
    pool, references = job.parts.pool, embedded(job.target.pairs, job.embedder)
    read, rng = [item.row for item in progress.read], np.random.default_rng(job.settings.seed)
    write_map(out, pool.vectors, pool.ids, read, references, rng, job.parts.policy.clusters)
    return ExtractResult(out, summary, pairs)


def _refined(job: _Job, progress: Progress) -> list[ReadDocument]:
    """What was read; of the kept pairs only the best if that is wanted, and unless the run was asked to stop."""
    documents = [ReadDocument(item.round, item.cluster, item.reading) for item in progress.read]
    refine, pairs = job.settings.refine, kept_pairs(documents)
    if refine.method is None or not pairs or progress.stop_reason == "interrupted":
        return documents
    selector = build.build_selector(refine.method, refine, job.selection)
    with job.clock.timed("clean"):
        gone = outranked(pairs, refine.keep, selector, job.settings.seed)
    return [replace(item, reading=_without(item.reading, gone, refine.method)) for item in documents]


def _without(reading: Reading, gone: Mapping[str, str], method: str) -> Reading:
    """A reading with its kept pairs that are among `gone` marked so."""
    return replace(
        reading,
        pairs=tuple(
            replace(pair, status="outranked", reason=f"{method}: {gone[pair.id]}")
            if pair.status == "kept" and pair.id in gone
            else pair
            for pair in reading.pairs
        ),
    )


def _matches(job: _Job, progress: Progress) -> list[dict[str, Any]] | None:
    """Pairs and documents that hold a test item. Such documents stay: each of their pairs was looked at by itself."""
    if not job.settings.decontaminate:
        return None
    for item in progress.read:
        job.cleaner.check_document(job.parts.pool.fetch([item.row])[0])
    return [asdict(match) for match in job.cleaner.notes.matches]


def _summary(job: _Job, progress: Progress, documents: Sequence[ReadDocument], measures: Measures) -> dict[str, Any]:
    settings, account = job.settings, job.parts.account
    report, statuses = dict(job.parts.policy.report()), status_counts(documents)
    usage, unread = progress.usage, _unread(job.journal, documents)
    total, kept = usage + unread, statuses["pairs"].get("kept", 0)
    spent, cost = account.amount(total, len(documents)), account.cost(total)
    warmup = sum(item.reading.usage.total for item in progress.read[: report.get("warmup", 0)])
    return {
        "documents_total": len(job.parts.pool),
        "documents_read": len(documents),
        "pairs_extracted": sum(statuses["pairs"].values()),
        "pairs_kept": kept,
        "tokens": {
            "input": total.input_tokens, "output": total.output_tokens, "warmup": warmup, "total": total.total,
            "unread": unread.total, "estimated_documents": sum(item.reading.estimated for item in documents),
        },
        "cost_usd": cost,
        "cost_usd_per_1000_pairs": 1000 * cost / kept if kept else None,
        "prices": asdict(account.prices),
        "budget": {
            "kind": account.budget.kind, "limit": account.budget.limit, "spent": spent,
            "left": account.budget.limit - spent,
        },
        "stop_reason": progress.stop_reason,
        "stop_detail": str(progress.gone or ""),
        "rounds": progress.round,
        **{name: getattr(settings, name) for name in ("policy", "llm", "embedder", "seed")},
        "seconds": job.clock.report(),
        "transport_cost": {"start": measures.cost_at_start, "end": measures.cost_at_end},
        "transport_curve": _transport_curve(documents, measures),
        "statuses": statuses["documents"],
        "pair_statuses": statuses["pairs"],
        "left_out": _left_out(job, progress),
        "reference_pairs_in_tests": len(job.met),
        "policy_report": report,
    }  # fmt: skip


def _transport_curve(documents: Sequence[ReadDocument], measures: Measures) -> list[dict[str, float]]:
    """Transport cost of the pairs that were there when so many tokens were spent."""
    tokens = np.cumsum([document.reading.usage.total for document in documents])
    kept = np.cumsum([len(document.reading.kept) for document in documents])
    return [
        {"tokens": int(tokens[np.searchsorted(kept, count)]), "pairs": count, "cost": cost}
        for count, cost in measures.curve
    ]


def _unread(journal: Journal, documents: Sequence[ReadDocument]) -> Usage:
    """What calls took that are part of no reading: their answers are lost, or wait for the run to be resumed."""
    read = sum((document.reading.usage for document in documents), Usage())
    return journal.lost() + sum(journal.paid().values(), Usage()) - read


def _left_out(job: _Job, progress: Progress) -> dict[str, int]:
    """How many records were left out, by reason."""
    counts = {"corpus: never read in the journal": job.unknown} if job.unknown else {}
    chosen = [*progress.passed_over, *progress.repeated]
    records_of = (("corpus", job.skipped), ("chosen", chosen), ("target", job.target.skipped))
    for where, records in records_of:
        for record in records:
            key = f"{where}: {record.reason}"
            counts[key] = counts.get(key, 0) + 1
    return counts


def _refuse_other(out: Path, journal: Journal, owner: Mapping[str, Any]) -> None:
    """A folder belongs to one run: equal settings, corpus and target."""
    there = {} if journal.is_empty else journal.belongs_to()
    lines = differences(owner, {key: there[key] for key in owner if key in there}) if there else []
    if lines:
        raise FolderError(
            f"{out}: belongs to a run with other settings. Here {'; '.join(lines)}. "
            "Use those settings to resume it, or choose another folder with --out."
        )


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def timed(self, stage: str) -> AbstractContextManager[None]:
        return timed(self.seconds, stage)

    def add(self, seconds: Mapping[str, float]) -> None:
        for stage, some in seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + some

    def report(self) -> dict[str, float]:
        stages = {stage: round(self.seconds.get(stage, 0.0), 3) for stage in ("embed", "choose", "read", "clean")}
        return stages | {"total": round(time.perf_counter() - self._start, 3)}
