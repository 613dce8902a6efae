"""`bonanza.extract`, `bonanza.select` and `bonanza.compare`: the commands as Python functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bonanza import exporting, indexing, selecting, training
from bonanza.comparison import compare as comparison
from bonanza.corpus.readers import MemoryReader
from bonanza.corpus.targets import target_from
from bonanza.custom import custom_parts, name_of
from bonanza.errors import CorpusError
from bonanza.evaluation import evaluate as evaluation
from bonanza.interfaces import Extractor, Policy
from bonanza.records import Document, Target, content_id
from bonanza.run import ExtractResult, Watcher, run
from bonanza.settings import (
    COMPARED,
    compare_settings_from,
    evaluate_settings_from,
    index_settings_from,
    select_settings_from,
    settings_from,
    train_settings_from,
)
from bonanza.watching import Watcher as Stages

LONGEST_PATH = 4_096  # characters: Linux' limit; what is longer is a text


def extract(
    corpus: str | Path | Sequence[str | Path] | Sequence[Document], target: str | Path | Iterable[tuple[str, str]],
    *, budget: str, llm: str | Extractor, out: str | Path, policy: str | Policy = "adaptive",
    cache: str | Path | None = None, watcher: Watcher | None = None, reuse: Sequence[str | Path] = (), **settings: Any,
) -> ExtractResult:  # fmt: skip
    """Choose documents of a corpus, have them read, keep their question-answer pairs, within a budget.

    Running it again with the same arguments resumes; nothing is read twice.

    Parameters
    ----------
    corpus : files, folders, globs, `hf://` datasets, addresses (`s3://`, `gs://`, `http(s)://`); or documents in memory
        (`bonanza.documents` makes them of texts)
    target : file of reference pairs; or (question, answer) tuples
    budget : "200k" tokens, "5%" of the documents, "$12.50", "300docs": a hard cap, warm-up and failures included
    llm : "openai:MODEL" (any OpenAI-compatible server), "local", "rules", "recorded[:COLUMN]",
        "recorded:journal=DIR"; or an object of one's own, as `bonanza.interfaces.Extractor`
    out : folder for the results; a new one, or that of the same run
    policy : "adaptive", "equal", "nearest", "round_robin", "dsir", "tsds" or "random"; or an object of one's own, as
        `bonanza.interfaces.Policy`. In settings, an object stands by its `name` (where it has none, by its class): give
        what chooses or reads otherwise another name, for a folder belongs to one run
    cache : folder of indexed corpora
    reuse : folders of other runs; answers of a server in their journals count as paid for here, and are not asked again
    settings : any other field of `settings.RunSettings`, nested ones as mappings

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    documents, pairs, custom = _documents(corpus), _pairs(target), custom_parts(policy, llm)
    named = {"corpus": _names(corpus, documents), "target": _name(target, pairs)}
    named |= {"budget": budget, "llm": name_of(llm), "policy": name_of(policy)}
    checked = settings_from(settings | named, "extract")
    reader = None if documents is None else MemoryReader(documents, checked.limit, checked.filters)
    place, others = Path(cache) if cache else None, [Path(folder) for folder in reuse]
    return run(checked, Path(out), place, watcher, reader=reader, target=pairs, reuse=others, custom=custom)


def documents(texts: Iterable[str]) -> list[Document]:
    """Make documents of texts in memory; the id of each is the hash of its text.

    >>> documents(["The jib is a sail."])
    [Document(id='849a7d187c07d48c', text='The jib is a sail.', origin='text 1', recorded=None)]

    Raises
    ------
    CorpusError
        If one of them is no text.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise CorpusError(f"text {number} is {type(text).__name__}: {text!r:.60}. Give texts.")
    return [Document(content_id(text), text, f"text {number}") for number, text in enumerate(texts, start=1)]


def compare(
    corpus: str | Path | Sequence[str | Path] | Sequence[Document], target: str | Path | Iterable[tuple[str, str]],
    test: str | Path | Iterable[tuple[str, str]], *, policies: str | Sequence[str] = COMPARED,
    budgets: str | Sequence[str] = ("2%", "5%", "10%"), seeds: int = 3, llm: str = "recorded",
    judges: str | Sequence[str] = ("auto",), out: str | Path, cache: str | Path | None = None,
    watcher: comparison.Watcher | None = None, **settings: Any,
) -> comparison.CompareResult:  # fmt: skip
    """Hold policies side by side at equal spend, on readings that are known: at no further cost.

    Running it again with the same arguments resumes; finished cells are not run twice.

    Parameters
    ----------
    corpus, target : as for `extract`
    test : held-out pairs of the target's task, which no policy sees
    policies : as for `extract`, and variants such as "nearest:max" or "equal:code"; random, oracle and everything are
        always there
    budgets : "5%" of the tokens that reading everything takes (not of the documents), or "200k" tokens
    seeds : runs of each policy that draws at random
    llm : "recorded[:COLUMN]", or "recorded:journal=DIR" with the folder of a run of `extract`, whose readings are all
        that is known
    judges : "auto", "lexical", "minilm", "static", or sentence-transformers models
    out : folder for the results; a new one, or that of the same comparison
    cache : folder of indexed corpora
    settings : any other field of `settings.CompareSettings`, nested ones as mappings

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    documents, pairs, held_out = _documents(corpus), _pairs(target), _pairs(test)
    named = {
        "corpus": _names(corpus, documents), "target": _name(target, pairs), "test": _name(test, held_out),
        "policies": policies, "budgets": budgets, "seeds": seeds, "llm": llm, "judges": judges,
    }  # fmt: skip
    checked = compare_settings_from(settings | named, "compare")
    reader = None if documents is None else MemoryReader(documents, checked.limit, checked.filters)
    place = Path(cache) if cache else None
    return comparison.compare(checked, Path(out), place, watcher, reader=reader, target=pairs, test=held_out)


def select(
    data: str | Path, *, keep: str, method: str = "recost", out: str | Path | None = None,
    scores: str | Path | None = None, cache: str | Path | None = None, watcher: selecting.Watcher | None = None,
    **settings: Any,
) -> selecting.SelectResult:  # fmt: skip
    """Select the samples of instruction data that are worth training on.

    Scores of the language model are kept in the cache as they come: the same call goes on where an earlier one ended.

    Parameters
    ----------
    data : file of Alpaca, ShareGPT, messages or prompt/completion rows (jsonl, json, csv, parquet)
    keep : "1%" of the samples, or "500" of them
    method : "recost", "ifd", "perplexity", "delift", "k_center", "nearest", "length" or "random"
    out : file for the kept rows, in the format of the data
    scores : file for the scores of all samples; parquet, or JSON lines by any other name
    cache : folder for scores
    settings : any other field of `settings.SelectSettings`: knowledge, target, lm, embedder, seed, recost, scorer, ...

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    values = settings | {"data": str(data), "keep": keep, "method": method}
    checked = select_settings_from({key: _plain_path(value) for key, value in values.items()}, "select")
    out, scores, cache = (Path(place) if place else None for place in (out, scores, cache))
    return selecting.select(checked, out, scores, cache, watcher)


def index(
    corpus: str | Path | Sequence[str | Path], *, out: str | Path, watcher: Stages | None = None,
    **settings: Any,
) -> indexing.IndexResult:  # fmt: skip
    """Index a corpus ahead of runs, or what is new of it; give runs the index as `cache`.

    Parameters
    ----------
    corpus : files, folders, globs, `hf://` datasets
    out : folder for the index; a new one, or that of an earlier index
    settings : any other field of `settings.IndexSettings`: embedder, text_field, id_field, recorded

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    checked = index_settings_from(settings | {"corpus": _names(corpus, None)}, "index")
    return indexing.index(checked, Path(out), watcher)


def export(
    folder: str | Path, out: str | Path, *, formats: str | Sequence[str] = ("messages",), validation: str | None = None,
    seed: int = 0, licence: str | None = None, push_to_hub: str | None = None,
) -> exporting.ExportResult:  # fmt: skip
    """Write a run's kept pairs for training programs, split by document.

    Parameters
    ----------
    folder : of a finished run of `extract`
    out : folder for the export; an earlier export there is replaced
    formats : "messages", "alpaca", "sharegpt", "prompt-completion", "parquet", "dataset"
    validation : share of the documents to validate on; "0" for none; None: 5%, or none of too few documents
    seed : another seed, another split
    licence : of all sources, for the card of a dataset folder; None: as the corpus says
    push_to_hub : name of a dataset on the Hugging Face hub; the token is HF_TOKEN's

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    names = (formats,) if isinstance(formats, str) else tuple(formats)
    settings = exporting.ExportSettings(names, validation, seed, licence, push_to_hub)
    return exporting.export(Path(folder), Path(out), settings)


def train(
    data: str | Path, *, model: str | Path, out: str | Path, watcher: Stages | None = None, **settings: Any
) -> training.TrainResult:
    """Tune a language model on instruction data, on what the assistant says alone.

    The same call goes on where an earlier one ended.

    Parameters
    ----------
    data : folder of a run of `extract`, or a file of instruction data
    model : "local", "hf:PATH" or a path
    out : folder for the tuned model; a new one, or that of the same training
    settings : any other field of `settings.TrainSettings`: full, preset, epochs, lora, max_tokens, seed, ...

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    checked = train_settings_from(settings | {"data": str(data), "model": str(model)}, "train")
    return training.train(checked, Path(out), watcher)


def evaluate(
    model: str | Path, *, target: str | Path, out: str | Path | None = None, cache: str | Path | None = None,
    watcher: Stages | None = None, **settings: Any,
) -> evaluation.EvaluateResult:  # fmt: skip
    """Measure a model on a task, and what it was tuned from beside it, with intervals of 95%.

    Parameters
    ----------
    model : folder of `train`, "local", "hf:PATH" or a path
    target : file of questions and answers, or tasks of lm-evaluation-harness: "gsm8k,mbpp"
    out : file for the figures and all answers
    cache : folder for scores
    settings : any other field of `settings.EvaluateSettings`: base, limit, batch_size, fewshot, ...

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    checked = evaluate_settings_from(settings | {"model": str(model), "target": str(target)}, "evaluate")
    out, cache = (Path(place) if place else None for place in (out, cache))
    return evaluation.evaluate(checked, out, cache, watcher)


def _plain_path(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _documents(corpus: Any) -> list[Document] | None:
    if isinstance(corpus, str | Path) or not corpus or not isinstance(corpus[0], Document):
        return None
    return list(corpus)


def _names(corpus: Any, documents: Sequence[Document] | None) -> tuple[str, ...]:
    if documents is not None:
        return ("memory",)
    names = (str(corpus),) if isinstance(corpus, str | Path) else tuple(str(source) for source in corpus)
    for number, name in enumerate(names, start=1):
        if "\n" in name or len(name) > LONGEST_PATH:
            raise CorpusError(
                f"corpus, item {number}: {name[:60]!r}... is a text, not a path. Give texts as "
                "bonanza.documents([text, ...])."
            )
    return names


def _pairs(target: str | Path | Iterable[tuple[str, str]]) -> Target | None:
    return None if isinstance(target, str | Path) else target_from(target)


def _name(target: Any, pairs: Target | None) -> str:
    return str(target) if pairs is None else "memory"
