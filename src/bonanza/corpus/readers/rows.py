"""What every format is read into: rows of named values, before it is known which of them are documents."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bonanza.errors import CorpusError
from bonanza.records import Skipped

DEFAULT_ID_FIELD = "id"
UNPAIRED_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: JSON escapes can hold one, UTF-8 cannot


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file."""

    origin: str  # "pages.jsonl, line 3"
    values: Mapping[str, Any]
    place: int | None = None  # where its table's `fetch` finds it again; None: only by reading all rows before it


@dataclass(frozen=True, slots=True)
class Fields:
    """Which columns of a corpus hold what."""

    text: str = "text"
    id: str = DEFAULT_ID_FIELD  # a record without it is named by the hash of its text
    recorded: str | None = None  # list of {question, answer} that stands beside the text; None: not read

    def require(self, names: Collection[str], where: str) -> None:
        """Refuse a source whose first record, or schema, lacks a column that was asked for."""
        has = f"The record has: {well_formed(', '.join(sorted(names)))}. Choose one with"
        if self.text not in names:
            raise CorpusError(f"{where}: no text in field {self.text!r}. {has} --text-field.")
        if self.id not in names and self.id != DEFAULT_ID_FIELD:
            raise CorpusError(f"{where}: no id in field {self.id!r}. {has} --id-field.")
        if self.recorded is not None and self.recorded not in names:
            raise CorpusError(f"{where}: no recorded pairs in field {self.recorded!r}. {has} --llm recorded:FIELD.")

    def among(self, names: Collection[str]) -> list[str]:
        """The columns to read, of those that are there."""
        asked_for = dict.fromkeys(name for name in (self.text, self.id, self.recorded) if name is not None)
        return [name for name in asked_for if name in names]


class Table(Protocol):
    """A file, or anything else, that holds rows. Reading it twice gives the same rows in the same order."""

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield every row, streaming. None: with all its columns, and none of them required."""
        ...

    def fingerprint(self) -> str:
        """Name the rows by their content, in hexadecimal digits."""
        ...

    def size(self) -> int:
        """Bytes to read, about."""
        ...


def well_formed(text: str) -> str:
    r"""The text with U+FFFD in place of each unpaired surrogate, so that it can be written as UTF-8.

    >>> well_formed("caf\u00e9 \ud83d!")
    'café �!'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return UNPAIRED_SURROGATE.sub("\ufffd", text)
    return text


def parsed_if_text(value: Any) -> Any:
    """A value that a column of strings holds as JSON; anything else as it is. Raises ValueError for broken JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except RecursionError:
        raise ValueError("nested too deep") from None
