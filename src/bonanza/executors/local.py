"""Reading in this process, one document after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bonanza.interfaces import Extractor
from bonanza.records import Document, Reading


class LocalExecutor:
    """Reads documents in order."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor

    def read(self, documents: Sequence[Document], stopping: Callable[[], bool]) -> Iterator[Sequence[Reading]]:
        """Yield each reading as soon as it is there."""
        for document in documents:
            if stopping():
                return
            yield [self._extractor.read(document)]

    def close(self) -> None:
        """Nothing is held."""
