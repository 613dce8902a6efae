"""Makes documents of rows, and says of each row that is none why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bonanza.corpus.readers.rows import Fields, Row, Table, parsed_if_text, well_formed
from bonanza.records import Document, Question, Skipped, content_id

READER_VERSION = "2"  # part of every fingerprint: raise it when the same files would give other documents


@dataclass(frozen=True)
class Corpus:
    """Several tables read one after the other as one corpus; ids are unique in all of it."""

    tables: Sequence[Table]
    fields: Fields
    limit: int | None = None  # stop after that many documents

    def read(self) -> Iterator[Document | Skipped]:
        """Yield every record once, streaming: a usable one as Document, any other as Skipped with its reason."""
        rows = (row for table in self.tables for row in table.rows(self.fields))
        return _first(self.limit, _unique(_document(row, self.fields) for row in rows))

    def fingerprint(self) -> str:
        """Hash of the files' content and of what is read from them; where they lie does not matter."""
        return content_id(
            READER_VERSION, repr(self.fields), repr(self.limit), *(table.fingerprint() for table in self.tables)
        )


@dataclass(frozen=True)
class MemoryReader:
    """Documents that are already in memory."""

    documents: Sequence[Document]

    def read(self) -> Iterator[Document | Skipped]:
        """Yield every document once; an empty or repeated one as Skipped with its reason."""
        return _unique(_usable(document) for document in self.documents)

    def fingerprint(self) -> str:
        """Hash of the documents."""
        return content_id(READER_VERSION, *(part for document in self.documents for part in _parts(document)))


def _parts(document: Document) -> tuple[str, str, str, str]:
    return document.id, document.text, document.origin, repr(document.recorded)


def _document(row: Row | Skipped, fields: Fields) -> Document | Skipped:
    if isinstance(row, Skipped):
        return row
    if fields.text not in row.values:
        return Skipped(row.origin, "no text field", f"it has: {', '.join(sorted(row.values))}")
    text, name = row.values[fields.text], _whole(row.values.get(fields.id))
    if text is not None and not isinstance(text, str):
        return Skipped(row.origin, "not text", type(text).__name__)
    if not isinstance(name, str | int):
        return Skipped(row.origin, "not an id", type(name).__name__)
    try:
        recorded = _recorded(row.values.get(fields.recorded)) if fields.recorded is not None else None
    except ValueError as error:
        return Skipped(row.origin, "not recorded pairs", str(error))
    return _usable(Document(str(name), text or "", row.origin, recorded))


def _whole(name: Any) -> Any:
    """Undo what a missing id does to a column of numbers (1, 2, none become 1.0, 2.0, NaN); "" is no id."""
    if isinstance(name, float):
        return "" if math.isnan(name) else int(name) if name.is_integer() else name
    return "" if name is None else name


def _recorded(value: Any) -> tuple[Question, ...]:
    """Read a list of {question, answer}, JSON of one, or the dictionary of lists that Hugging Face makes of it."""
    match parsed_if_text(value or []):
        case list(entries):
            return tuple(_question(entry) for entry in entries)
        case {"question": list(questions), "answer": list(answers)}:
            entries = [{"question": q, "answer": a} for q, a in zip(questions, answers, strict=True)]
            return tuple(_question(entry) for entry in entries)
    raise ValueError(f"expected a list of {{question, answer}}, found {str(value)[:80]}")


def _question(entry: Any) -> Question:
    match entry:
        case {"question": str(question), "answer": str(answer)}:
            return Question(well_formed(question), well_formed(answer))
    raise ValueError(f"expected {{question, answer}}, found {str(entry)[:80]}")


def _usable(document: Document) -> Document | Skipped:
    """Check the text; take off a byte order mark, replace unpaired surrogates, name what has no name."""
    given = document.text.removeprefix("\ufeff")
    text = well_formed(given)
    if not text.strip():
        return Skipped(document.origin, "empty text")
    if "\0" in text:
        return Skipped(document.origin, "NUL character", f"at {text.index(chr(0))}")
    origin = document.origin if text == given else f"{document.origin} (unpaired surrogates replaced)"
    return replace(document, id=well_formed(document.id) or content_id(text), text=text, origin=origin)


def _unique(records: Iterable[Document | Skipped]) -> Iterator[Document | Skipped]:
    """Let each document pass once. One that bears the id of another gets the hash of its text behind it."""
    texts: dict[str, int] = {}  # id -> hash of its text
    for record in records:
        if isinstance(record, Skipped):
            yield record
            continue
        named = record if texts.get(record.id, hash(record.text)) == hash(record.text) else _renamed(record)
        if named.id in texts:
            reason = "repeated text" if named.id == content_id(named.text) else "repeated document"
            yield Skipped(named.origin, reason, named.id)
        else:
            texts[named.id] = hash(named.text)
            yield named


def _renamed(document: Document) -> Document:
    return replace(document, id=f"{document.id}#{content_id(document.text)}")


def _first(limit: int | None, records: Iterator[Document | Skipped]) -> Iterator[Document | Skipped]:
    """Stop after `limit` documents."""
    documents = 0
    for record in records:
        yield record
        documents += isinstance(record, Document)
        if documents == limit:
            return
