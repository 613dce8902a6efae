"""Readings that were paid for before: the same answers at the same price, at no further cost."""

from __future__ import annotations

from collections.abc import Mapping

from bonanza.errors import ExtractionError
from bonanza.records import Document, Reading, Usage


class ReplayExtractor:
    """Gives back known readings. What a document that was never read holds is unknown, and never guessed."""

    name = "replay"

    def __init__(self, readings: Mapping[str, Reading]) -> None:
        """`readings`: by document id."""
        self._readings = readings

    def worst_case(self, document: Document) -> Usage:
        """Exactly what reading took."""
        return self.read(document).usage

    def prompt_tokens(self, document: Document) -> int:
        """As many as the worst case has: prompts are known."""
        return self.read(document).usage.input_tokens

    def read(self, document: Document) -> Reading:
        """The reading as it was."""
        if (reading := self._readings.get(document.id)) is None:
            raise ExtractionError(
                f"{document.origin or document.id}: was never read, so its pairs are unknown. Replay only documents "
                "that have a reading."
            )
        return reading
