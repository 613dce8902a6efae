"""Reads a knowledge base: instruction data, whose samples are shown whole, or any corpus of documents."""

from __future__ import annotations

from bonanza.corpus.instructions import read_samples
from bonanza.corpus.readers.open import open_corpus
from bonanza.corpus.readers.rows import Fields
from bonanza.errors import CorpusError
from bonanza.records import Document, Knowledge, Target


def read_knowledge(path: str) -> list[Knowledge]:
    """Read instruction data; if it is none, documents with a field "text".

    Raises
    ------
    CorpusError
        If it holds neither.
    """
    try:
        data = read_samples(path)
    except CorpusError as no_samples:
        return _documents(path, no_samples)
    return [Knowledge(f"{path}, row {sample.row}", sample.prompt, sample.as_example()) for sample in data.samples]


def knowledge_of(target: Target) -> list[Knowledge]:
    """The pairs of a reference set."""
    return [
        Knowledge(f"{target.origin}, pair {number}", pair.question, f"{pair.question}\n\n{pair.answer}")
        for number, pair in enumerate(target.pairs, start=1)
    ]


def _documents(path: str, no_samples: CorpusError) -> list[Knowledge]:
    try:
        records = list(open_corpus((path,), Fields()).read())
    except CorpusError as error:
        raise CorpusError(f"{no_samples} It is no corpus of documents either: {error}") from None
    found = [Knowledge(record.id, "", record.text) for record in records if isinstance(record, Document)]
    if not found:
        raise CorpusError(f"{path}: a knowledge base without any text. {no_samples}")
    return found
