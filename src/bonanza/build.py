"""Settings to objects: the only module that names concrete classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bonanza.budget import Account, parse_budget
from bonanza.corpus.readers import Fields, open_corpus
from bonanza.corpus.store import DocumentStore, open_store
from bonanza.embedders.alignment import AlignedEmbedder, StaticAligner
from bonanza.embedders.cached import embed_corpus
from bonanza.embedders.sentence_transformers import (
    SentenceTransformerAligner,
    SentenceTransformerEmbedder,
    load_sentence_transformer,
)
from bonanza.embedders.static import RECIPE, SAMPLE, StaticEmbedder, fit_static, load_static
from bonanza.errors import SettingsError
from bonanza.extractors.local import LocalExtractor
from bonanza.extractors.recorded import RecordedExtractor
from bonanza.extractors.rules import RulesExtractor
from bonanza.interfaces import Aligner, AlignmentReport, Embedder, Extractor, Policy, Pool, Reader
from bonanza.policies.dsir import DsirPolicy
from bonanza.policies.equal import EqualPolicy
from bonanza.policies.nearest import NearestPolicy
from bonanza.policies.random import RandomPolicy
from bonanza.policies.round_robin import RoundRobinPolicy
from bonanza.records import Usage
from bonanza.settings import RunSettings

POLICIES = ("equal", "nearest", "round_robin", "dsir", "random")
RECORDED_COLUMN = "qa_pairs"
EMBEDDING_BATCH = 2_048  # texts read from disk and embedded at a time
COST_SAMPLE = 200  # documents whose prompts tell how many the budget is likely to pay for
TYPICAL_ANSWER = 0.25  # [ours] completion tokens per prompt token; recorded corpora give 0.24


def default_cache() -> Path:
    """Folder of indexed corpora: $BONANZA_CACHE, or bonanza/ in the user's cache folder."""
    if given := os.environ.get("BONANZA_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bonanza"


def build_reader(settings: RunSettings) -> Reader:
    """The corpus that the settings name."""
    kind, _, column = settings.llm.partition(":")
    recorded = (column or RECORDED_COLUMN) if kind == "recorded" else None
    fields = Fields(text=settings.text_field, id=settings.id_field, recorded=recorded)
    return open_corpus(settings.corpus, fields, settings.limit)


def build_store(reader: Reader, cache: Path) -> DocumentStore:
    """The documents, indexed on disk."""
    return open_store(reader, cache)


def build_extractor(settings: RunSettings) -> Extractor:
    """What reads documents; `check_names` has refused unknown names."""
    makers: dict[str, Callable[[], Extractor]] = {
        "recorded": RecordedExtractor,
        "rules": RulesExtractor,
        "local": lambda: LocalExtractor(settings.local),
    }
    return makers[settings.llm.partition(":")[0]]()


def build_embedder(settings: RunSettings, store: DocumentStore) -> Embedder:
    """The embedder; the static one is learned from the corpus once, and kept beside it."""
    if settings.embedder != "static":
        return load_sentence_transformer(settings.embedder)
    folder = store.path / RECIPE
    if (kept := load_static(folder)) is not None:
        return kept
    rows = np.sort(np.random.default_rng(0).permutation(len(store))[:SAMPLE])
    fitted = fit_static([document.text for document in store.fetch(rows.tolist())])
    fitted.save(folder)
    return fitted


def build_pool(store: DocumentStore, embedder: Embedder, affordable: int) -> Pool:
    """What policies choose from."""
    vectors = embed_corpus(store.texts(EMBEDDING_BATCH), len(store), embedder, store.path)
    return Pool(store.ids, store.lengths, vectors, affordable, store.fetch)


def build_account(settings: RunSettings, documents: int) -> Account:
    """The budget."""
    return Account(parse_budget(settings.budget, documents), settings.prices)


def affordable(account: Account, store: DocumentStore, extractor: Extractor) -> int:
    """How many documents the budget is likely to pay for, by the mean prompt of a fixed sample and a typical answer."""
    if account.budget.kind == "documents":
        return int(max(1, min(account.budget.limit, len(store))))
    rows = np.sort(np.random.default_rng(0).permutation(len(store))[:COST_SAMPLE])
    worst = [extractor.worst_case(document) for document in store.fetch(rows.tolist())]
    typical = [
        Usage(most.input_tokens, min(most.output_tokens, round(TYPICAL_ANSWER * most.input_tokens))) for most in worst
    ]
    mean = float(np.mean([account.amount(usage) for usage in typical]))
    return int(np.clip(account.budget.limit / max(mean, 1e-12), 1, len(store)))


def build_policy(settings: RunSettings, embedder: Embedder) -> Policy:
    """What chooses documents; `check_names` has refused unknown names."""
    makers: dict[str, Callable[[], Policy]] = {
        "random": RandomPolicy,
        "round_robin": lambda: RoundRobinPolicy(embedder),
        "dsir": DsirPolicy,
        "nearest": lambda: NearestPolicy(settings.nearest, embedder),
        "equal": lambda: EqualPolicy(settings.equal, _unaligned(embedder), _aligner(settings, embedder)),
    }
    return makers[settings.policy]()


def _unaligned(embedder: Embedder) -> AlignedEmbedder:
    return AlignedEmbedder(embedder, AlignmentReport(0, 0, 0.0, 0.0, False, "Alignment is switched off."))


def _aligner(settings: RunSettings, embedder: Embedder) -> Aligner:
    if isinstance(embedder, StaticEmbedder):
        return StaticAligner(embedder, settings.alignment)
    if isinstance(embedder, SentenceTransformerEmbedder):
        return SentenceTransformerAligner(embedder, settings.alignment)
    raise SettingsError(f"embedder {embedder.name!r} cannot be aligned; set equal.align to false.")


def check_names(settings: RunSettings) -> None:
    """Refuse unknown names before anything is read."""
    if settings.policy not in POLICIES:
        raise SettingsError(f"policy {settings.policy!r} is not known. There are: {', '.join(POLICIES)}.")
    known: Sequence[str] = ("local", "rules", "recorded")
    kind, colon, column = settings.llm.partition(":")
    if kind not in known or (colon and (kind != "recorded" or not column)):
        raise SettingsError(f"llm {settings.llm!r} is not known. There are: local, rules, recorded[:COLUMN].")
