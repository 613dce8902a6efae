"""`bonanza.extract`, `bonanza.select` and `bonanza.compare`: the commands as Python functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bonanza import selecting
from bonanza.comparison import compare as comparison
from bonanza.corpus.readers import MemoryReader
from bonanza.corpus.targets import target_from
from bonanza.records import Document, Target
from bonanza.run import ExtractResult, Watcher, run
from bonanza.settings import COMPARED, compare_settings_from, select_settings_from, settings_from


def extract(
    corpus: str | Path | Sequence[str | Path] | Sequence[Document], target: str | Path | Iterable[tuple[str, str]],
    *, budget: str, llm: str, out: str | Path, cache: str | Path | None = None, watcher: Watcher | None = None,
    reuse: Sequence[str | Path] = (), **settings: Any,
) -> ExtractResult:  # fmt: skip
    """Choose documents of a corpus, have them read, keep their question-answer pairs, within a budget.

    Running it again with the same arguments resumes; nothing is read twice.

    Parameters
    ----------
    corpus : files, folders, globs, `hf://` datasets; or documents in memory
    target : file of reference pairs; or (question, answer) tuples
    budget : "200k" tokens, "5%" of the documents, "$12.50", "300docs": a hard cap, warm-up and failures included
    llm : "openai:MODEL" (any OpenAI-compatible server), "local", "rules", "recorded[:COLUMN]" or "recorded:journal=DIR"
    out : folder for the results; a new one, or that of the same run
    cache : folder of indexed corpora
    reuse : folders of other runs; answers of a server in their journals count as paid for here, and are not asked again
    settings : any other field of `settings.RunSettings`, nested ones as mappings

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    documents, pairs = _documents(corpus), _pairs(target)
    named = {"corpus": _names(corpus, documents), "target": _name(target, pairs)}
    checked = settings_from(settings | named | {"budget": budget, "llm": llm}, "extract")
    reader = None if documents is None else MemoryReader(documents[: checked.limit])
    place, others = Path(cache) if cache else None, [Path(folder) for folder in reuse]
    return run(checked, Path(out), place, watcher, reader=reader, target=pairs, reuse=others)


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
    reader = None if documents is None else MemoryReader(documents[: checked.limit])
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


def _plain_path(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _documents(corpus: Any) -> list[Document] | None:
    if isinstance(corpus, str | Path) or not corpus or not isinstance(corpus[0], Document):
        return None
    return list(corpus)


def _names(corpus: Any, documents: Sequence[Document] | None) -> tuple[str, ...]:
    if documents is not None:
        return ("memory",)
    return (str(corpus),) if isinstance(corpus, str | Path) else tuple(str(source) for source in corpus)


def _pairs(target: str | Path | Iterable[tuple[str, str]]) -> Target | None:
    return None if isinstance(target, str | Path) else target_from(target)


def _name(target: Any, pairs: Target | None) -> str:
    return str(target) if pairs is None else "memory"
