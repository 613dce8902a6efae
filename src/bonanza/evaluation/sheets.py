"""What examinations give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bonanza.evaluation.intervals import Figure, Marks
from bonanza.language_models import LanguageModel


@dataclass(frozen=True)
class Sheet:
    """What one model got in an examination."""

    marks: Mapping[str, Marks]  # by measure; every model's in the same order of items
    answers: Sequence[str] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)  # of measures that are no mean over items


class Exam(Protocol):
    """The same questions for every model."""

    def sit(self, language_model: LanguageModel) -> Sheet:
        """Let a model answer."""
        ...

    def items(self, sheets: Mapping[str, Sheet]) -> list[dict[str, Any]]:
        """What was asked, and what each model said."""
        ...
