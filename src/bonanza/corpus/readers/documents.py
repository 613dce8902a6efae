"""Makes documents of rows, and says of each row that is none why."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from bonanza.corpus.filters import check_filters, filtered
from bonanza.corpus.readers.rows import Fields, Row, Table, parsed_if_text, well_formed
from bonanza.records import Document, Question, Skipped, content_id
from bonanza.settings import FilterSettings

LARGE = 1 << 22  # [ours] bytes of a file that is a part by itself, and of a group of small ones on average
OVERHEAD = 1 << 14  # [ours] bytes that a small file counts for beside its own: at most some 256 to a group on average
READER_VERSION = "4"  # part of every fingerprint: raise it when the same files would give other documents
FILTERS_VERSION = "filters-1"  # the same for what the filters leave out

ALL = FilterSettings()  # every document takes part
MARK = "#"  # between an id that another document bears and the hash of the text
Place = tuple[int, int]  # number of a table, and place of a row in it


@dataclass(frozen=True)
class Corpus:
    """Several tables read one after the other as one corpus; ids are unique in all of it."""

    tables: Sequence[Table]
    fields: Fields
    limit: int | None = None  # stop after that many documents that take part
    filters: FilterSettings = ALL

    def read(self) -> Iterator[Document | Skipped]:
        """Yield every record once, streaming: a usable one as Document, any other as Skipped with its reason."""
        return (record for record, _ in self.placed())

    def placed(self) -> Iterator[tuple[Document | Skipped, Place | None]]:
        """The same, each with where it can be fetched again, if it can."""
        places: deque[Place | None] = deque()
        records = (filtered(document_of(row, self.fields), self.filters) for row in self._rows(places))
        for record in _first(self.limit, _unique(records)):
            yield record, places.popleft()

    def _rows(self, places: deque[Place | None]) -> Iterator[Row | Skipped]:
        """All rows; the place of each is noted."""
        for number, table in enumerate(self.tables):
            for row in table.rows(self.fields):
                place = row.place if isinstance(row, Row) else None
                places.append(None if place is None else (number, place))
                yield row

    def parts(self) -> Sequence[Corpus]:
        """Itself in pieces that can be read by themselves, in order: large files alone, small ones in groups.

        A group ends where the hash of a file falls below its size, so a file more or less changes its own group alone.
        """
        if self.limit is not None:
            return [self]
        groups: list[list[int]] = [[]]
        for number, table in enumerate(self.tables):
            size = table.size()
            groups += [[]] if size > LARGE else []
            groups[-1].append(number)
            groups += [[]] if int(self.hashes[number], 16) % LARGE < size + OVERHEAD else []
        return [self._part(group) for group in groups if group]

    def _part(self, numbers: Sequence[int]) -> Corpus:
        part = Corpus([self.tables[number] for number in numbers], self.fields, filters=self.filters)
        part.__dict__["hashes"] = [self.hashes[number] for number in numbers]  # the files are hashed once
        return part

    @cached_property
    def hashes(self) -> list[str]:
        """The fingerprint of each table."""
        return [table.fingerprint() for table in self.tables]

    def fingerprint(self) -> str:
        """Hash of the files' content and of what is read from them; where they lie does not matter."""
        return content_id(READER_VERSION, repr(self.fields), repr(self.limit), *_named(self.filters), *self.hashes)


@dataclass(frozen=True)
class MemoryReader:
    """Documents that are already in memory."""

    documents: Sequence[Document]
    limit: int | None = None  # stop after that many documents that take part
    filters: FilterSettings = ALL

    def __post_init__(self) -> None:
        check_filters(self.filters)

    def read(self) -> Iterator[Document | Skipped]:
        """Yield every document once; an empty, repeated or filtered one as Skipped with its reason."""
        return _first(self.limit, _unique(filtered(_usable(document), self.filters) for document in self.documents))

    def fingerprint(self) -> str:
        """Hash of the documents."""
        limit = () if self.limit is None else (repr(self.limit),)
        parts = (part for document in self.documents for part in _parts(document))
        return content_id(READER_VERSION, *limit, *_named(self.filters), *parts)


def _named(filters: FilterSettings) -> tuple[str, ...]:
    """What filters add to a fingerprint: nothing where every document takes part."""
    return () if filters == ALL else (FILTERS_VERSION, repr(filters))


def _parts(document: Document) -> tuple[str, str, str, str]:
    return document.id, document.text, document.origin, repr(document.recorded)


def document_of(row: Row | Skipped, fields: Fields) -> Document | Skipped:
    """The document that a row is, or why it is none."""
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
    seen: dict[str, int] = {}
    for record in records:
        if isinstance(record, Skipped):
            yield record
            continue
        named, reason = unique_in_all(record.id, text_hash(record.text), seen)
        named_so = record if named == record.id else replace(record, id=named)
        yield Skipped(record.origin, reason, named) if reason else named_so


@lru_cache(maxsize=1)  # asked for by whoever makes ids unique, and at once again by whoever stores it
def text_hash(text: str) -> int:
    """The number that `content_id` writes in hexadecimal digits."""
    return int(content_id(text), 16)


def unique_in_all(id_: str, text: int, seen: dict[str, int]) -> tuple[str, str]:
    """The id that a document bears among those before it, and why it is left out ("" if it is not).

    It is the given one, or that with the hash of the document's text behind it, as often as it takes until nobody bears
    it. Hashes of its own text that it comes with are taken off before: whoever was renamed in a part of the corpus is
    then called as if all of it had been read at once.

    Parameters
    ----------
    text : hash of its text
    seen : ids of the documents before it, and hashes of their texts; the document joins them
    """
    own = f"{text:016x}"
    given = named = _without(f"{MARK}{own}", id_)
    while seen.get(named, text) != text:
        named += f"{MARK}{own}"
    if named in seen:
        return named, "repeated text" if given == own else "repeated document"
    seen[named] = text
    return named, ""


def _without(suffix: str, id_: str) -> str:
    """An id without what was put behind it, however often; never nothing."""
    while id_.endswith(suffix) and id_ != suffix:
        id_ = id_.removesuffix(suffix)
    return id_


def _first(limit: int | None, records: Iterator[Document | Skipped]) -> Iterator[Document | Skipped]:
    """Stop after `limit` documents."""
    documents = 0
    for record in records:
        yield record
        documents += isinstance(record, Document)
        if documents == limit:
            return
