"""`bonanza.extract`: the main job as a Python function, mirroring the command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bonanza.corpus.readers import MemoryReader
from bonanza.corpus.targets import target_from
from bonanza.records import Document
from bonanza.run import ExtractResult, Watcher, run
from bonanza.settings import settings_from


def extract(
    corpus: str | Path | Sequence[str | Path] | Sequence[Document], target: str | Path | Iterable[tuple[str, str]],
    *, budget: str, llm: str, out: str | Path, cache: str | Path | None = None, watcher: Watcher | None = None,
    **settings: Any,
) -> ExtractResult:  # fmt: skip
    """Choose documents of a corpus, have them read, keep their question-answer pairs, within a budget.

    Running it again with the same arguments resumes; nothing is read twice.

    Parameters
    ----------
    corpus : files, folders, globs, `hf://` datasets; or documents in memory
    target : file of reference pairs; or (question, answer) tuples
    budget : "200k" tokens, "5%" of the documents, "$12.50", "300docs": a hard cap, warm-up and failures included
    llm : "local", "rules" or "recorded[:COLUMN]"
    out : folder for the results; a new one, or that of the same run
    cache : folder of indexed corpora
    settings : any other field of `settings.RunSettings`, nested ones as mappings

    Raises
    ------
    UsageError
        If the call cannot be carried out as written. The message says why and what to do.
    """
    documents = _documents(corpus)
    pairs = None if isinstance(target, str | Path) else target_from(target)
    named = {
        "corpus": ("memory",) if documents is not None else _names(corpus),
        "target": "memory" if pairs is not None else str(target),
    }
    checked = settings_from(settings | named | {"budget": budget, "llm": llm}, "extract")
    reader = None if documents is None else MemoryReader(documents[: checked.limit])
    return run(checked, Path(out), Path(cache) if cache else None, watcher, reader=reader, target=pairs)


def _documents(corpus: Any) -> list[Document] | None:
    if isinstance(corpus, str | Path) or not corpus or not isinstance(corpus[0], Document):
        return None
    return list(corpus)


def _names(corpus: Any) -> tuple[str, ...]:
    return (str(corpus),) if isinstance(corpus, str | Path) else tuple(str(source) for source in corpus)
