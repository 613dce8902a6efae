"""Reading in this process, one document after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bonanza.interfaces import Extractor
from bonanza.records import Document, Reading


class LocalExecutor:
    """Reads documents in order."""

    def read(self, extractor: Extractor, documents: Sequence[Document]) -> Iterator[Reading]:
        """Yield each reading as soon as it is there."""
        for document in documents:
            yield extractor.read(document)
