"""The budget: a hard cap in tokens, documents or dollars, and the account that keeps to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bonanza.errors import SettingsError
from bonanza.records import Usage
from bonanza.settings import PriceSettings

Kind = Literal["tokens", "documents", "dollars"]

_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_MULTIPLES = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
_HELP = 'Write "200k" (tokens), "5%" (of the documents), "$12.50" or "300docs".'


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit that is never passed."""

    kind: Kind
    limit: float

    @property
    def unit(self) -> str:
        """How amounts are written for people."""
        return {"tokens": "tokens", "documents": "documents", "dollars": "US dollars"}[self.kind]


def parse_budget(text: str, documents: int) -> Budget:
    """Understand what a user typed; a share of the documents becomes a number of them, rounded down.

    >>> parse_budget("200k", 1000)
    Budget(kind='tokens', limit=200000)
    >>> parse_budget("5%", 1000), parse_budget("300docs", 1000), parse_budget("$12.50", 1000)
    (Budget(kind='documents', limit=50), Budget(kind='documents', limit=300), Budget(kind='dollars', limit=12.5))

    Raises
    ------
    SettingsError
        If the text is none of these forms, or the amount is not above zero.
    """
    budget = _parsed(text.strip().lower().replace(",", "").replace("_", ""), documents)
    if budget is None:
        raise SettingsError(f"budget {text!r} is not understood. {_HELP}")
    if budget.limit <= 0:
        raise SettingsError(f"budget {text!r} is less than one document (the corpus has {documents:,}). {_HELP}")
    return budget


def _parsed(text: str, documents: int) -> Budget | None:
    if match := re.fullmatch(_NUMBER + r"\s*%", text):
        share = float(match[1])
        if share > 100:
            raise SettingsError(f"budget '{text}' is more than the whole corpus. {_HELP}")
        return Budget("documents", int(documents * share / 100 + 1e-9))
    if match := re.fullmatch(r"\$\s*" + _NUMBER, text):
        return Budget("dollars", float(match[1]))
    if match := re.fullmatch(_NUMBER + r"\s*([kmb]?)\s*(docs?|documents?|tokens?)?", text):
        kind: Kind = "documents" if (match[3] or "").startswith("doc") else "tokens"
        return Budget(kind, int(float(match[1]) * _MULTIPLES[match[2]] + 1e-9))
    return None


class Account:
    """What is spent and reserved of a budget. ``spent + reserved`` never passes the limit."""

    def __init__(self, budget: Budget, prices: PriceSettings) -> None:
        if budget.kind == "dollars" and prices.input <= 0 and prices.output <= 0:
            raise SettingsError(
                "a budget in dollars needs the LLM's prices, and none are set. "
                "Give --input-price and --output-price (US dollars per million tokens), or a budget in tokens."
            )
        self.budget, self.prices = budget, prices
        self.spent = 0.0
        self._reserved = 0.0

    @property
    def left(self) -> float:
        """What is neither spent nor reserved, in the budget's unit."""
        return self.budget.limit - self.spent - self._reserved

    def cost(self, usage: Usage) -> float:
        """US dollars for this usage.

        >>> Account(Budget("dollars", 1.0), PriceSettings(input=0.15, output=0.60)).cost(Usage(1_000_000, 500_000))
        0.45
        """
        return (usage.input_tokens * self.prices.input + usage.output_tokens * self.prices.output) / 1_000_000

    def amount(self, usage: Usage) -> float:
        """What one reading of this usage takes from the budget."""
        if self.budget.kind == "tokens":
            return usage.total
        return self.cost(usage) if self.budget.kind == "dollars" else 1

    def reserve(self, worst_case: Usage) -> bool:
        """Set aside the worst case of one reading; False, and nothing set aside, if it does not fit."""
        amount = self.amount(worst_case)
        if amount > self.left:
            return False
        self._reserved += amount
        return True

    def settle(self, worst_case: Usage, actual: Usage) -> None:
        """Replace the reservation of one reading by what it took."""
        self._reserved = max(self._reserved - self.amount(worst_case), 0.0)
        self.spent += self.amount(actual)
