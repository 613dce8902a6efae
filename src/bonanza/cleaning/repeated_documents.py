"""Documents that say again what one that was read said: copies, mirrors, other editions. They are not paid for."""

from __future__ import annotations

from functools import lru_cache

from bonanza.cleaning.wordings import Wordings, signature_of
from bonanza.records import Document

_signature = lru_cache(maxsize=1)(signature_of)  # whoever does not repeat is remembered at once


class RepeatedDocuments:
    """A Screen by wording: looks at the chosen documents alone, so it costs nothing for the rest of the corpus."""

    def __init__(self, least: float) -> None:
        self._ids: list[str] = []
        self._wordings = Wordings(least)

    def repeats(self, document: Document) -> str | None:
        """The document that is repeated, and how alike it is; None if there is none."""
        found = self._wordings.repeated(_signature(document.text))
        return f"wording like {self._ids[found[0]]} ({found[1]:.2f})" if found else None

    def remember(self, document: Document) -> None:
        """It is going to be read."""
        self._ids.append(document.id)
        self._wordings.add(_signature(document.text))
