"""Text and Markdown files, each one document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bonanza.corpus.readers.rows import Fields, Row
from bonanza.corpus.readers.streams import file_fingerprint, reading, shown, size_of
from bonanza.records import Skipped, content_id


@dataclass(frozen=True, slots=True)
class TextFile:
    """One row: the whole file, line ends as they are."""

    path: Path
    name: str  # the document's id: the path below the folder or pattern that was asked for

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield the file under the names that are asked for."""
        fields = fields or Fields()
        fields.require((fields.text, fields.id), shown(self.path))
        with reading(self.path):
            content = self.path.read_bytes()
        try:
            yield Row(shown(self.path), {fields.text: content.decode(), fields.id: self.name}, place=0)
        except UnicodeDecodeError as error:
            yield Skipped(shown(self.path), "not UTF-8", str(error))

    def fetch(self, places: Sequence[int], fields: Fields) -> list[Row | Skipped]:
        """Read the file again."""
        return [next(self.rows(fields)) for _ in places]

    def fingerprint(self) -> str:
        """Hash of name and file."""
        return content_id(self.name, file_fingerprint(self.path))

    def size(self) -> int:
        """Bytes of the file."""
        return size_of(self.path)


@dataclass(frozen=True, slots=True)
class UnknownFile:
    """What a folder holds beside files of a type we read: counted, not read."""

    path: Path

    def rows(self, _fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield that it is skipped."""
        reason = "linked folder" if self.path.is_dir() else "unknown file type"
        yield Skipped(shown(self.path), reason, self.path.suffix)

    def fingerprint(self) -> str:
        """Hash of its name."""
        return content_id("unknown", shown(self.path))

    def size(self) -> int:
        """Nothing is read."""
        return 0
