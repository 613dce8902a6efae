"""The budget: a hard cap in tokens, documents or dollars, and the account that keeps to it."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from bonanza.errors import SettingsError
from bonanza.records import Usage

Kind = Literal["tokens", "documents", "dollars"]

# Commas between thousands only: "$12,50" must not become 1,250 dollars.
_NUMBER = r"(\d{1,3}(?:,\d{3}){1,4}(?:\.\d+)?|\d{1,15}(?:\.\d+)?|\.\d+)"
_MULTIPLES = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
_HELP = 'Write "200k" (tokens), "5%" (of the documents), "$12.50" or "300docs".'


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens."""

    input: float = 0.0
    output: float = 0.0


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
    budget = _parsed(text.strip().lower().replace("_", ""), documents)
    if budget is None:
        raise SettingsError(f"budget {text!r} is not understood. {_HELP}")
    if budget.limit <= 0:
        raise SettingsError(f"budget {text!r} is less than one document (the corpus has {documents:,}). {_HELP}")
    return budget


def _parsed(text: str, documents: int) -> Budget | None:
    if match := re.fullmatch(_NUMBER + r"\s*%", text):
        share = _number(match[1])
        if share > 100:
            raise SettingsError(f"budget '{text}' is more than the whole corpus. {_HELP}")
        return Budget("documents", int(documents * share / 100))
    if match := re.fullmatch(r"\$\s*" + _NUMBER, text):
        return Budget("dollars", float(_number(match[1])))
    if match := re.fullmatch(_NUMBER + r"\s*([kmb]?)\s*(docs?|documents?|tokens?)?", text):
        kind: Kind = "documents" if (match[3] or "").startswith("doc") else "tokens"
        return Budget(kind, int(_number(match[1]) * _MULTIPLES[match[2]]))
    return None


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


@dataclass(frozen=True, slots=True)
class _Sum:
    """Readings and their tokens, added up."""

    readings: int = 0
    usage: Usage = field(default_factory=Usage)

    def __add__(self, other: _Sum) -> _Sum:
        return _Sum(self.readings + other.readings, self.usage + other.usage)

    def __sub__(self, other: _Sum) -> _Sum:
        return _Sum(self.readings - other.readings, self.usage - other.usage)


_NOTHING = _Sum()


class Account:
    """What is spent and reserved of a budget. ``spent + reserved`` never passes the limit. Safe to use from threads.

    Adds up tokens and readings, and prices the sums: no rounding accumulates, and the order does not matter.
    """

    def __init__(self, budget: Budget, prices: Prices) -> None:
        if not (0 <= prices.input < math.inf and 0 <= prices.output < math.inf):  # NaN would fit any budget
            raise SettingsError(
                f"prices are input {prices.input}, output {prices.output} US dollars per million tokens: "
                "give finite numbers, zero or more."
            )
        if budget.kind == "dollars" and prices.input <= 0 and prices.output <= 0:
            raise SettingsError(
                "a budget in dollars needs the LLM's prices, and none are set. "
                "Give --input-price and --output-price (US dollars per million tokens), or a budget in tokens."
            )
        self.budget, self.prices = budget, prices
        self._lock = threading.Lock()
        self._spent = self._reserved = _NOTHING
        self._held: dict[str, _Sum] = {}  # what is reserved, by document

    @property
    def spent(self) -> float:
        """What the settled readings and lost calls took, in the budget's unit."""
        return self._amount(self._spent)

    @property
    def left(self) -> float:
        """What is neither spent nor reserved, in the budget's unit."""
        return self.budget.limit - self._amount(self._spent + self._reserved)

    def cost(self, usage: Usage) -> float:
        """US dollars for this usage.

        >>> Account(Budget("dollars", 1.0), Prices(input=0.15, output=0.60)).cost(Usage(1_000_000, 500_000))
        0.45
        """
        return (usage.input_tokens * self.prices.input + usage.output_tokens * self.prices.output) / 1_000_000

    def amount(self, usage: Usage, readings: int = 1) -> float:
        """What readings of this usage together take from the budget."""
        return self._amount(_Sum(readings, usage))

    def _amount(self, total: _Sum) -> float:
        if self.budget.kind == "documents":
            return total.readings
        return total.usage.total if self.budget.kind == "tokens" else self.cost(total.usage)

    def reserve(self, document_id: str, worst_case: Usage) -> bool:
        """Set aside the worst case of one reading, in place of what is held for it; False if that does not fit."""
        return self._hold(document_id, _Sum(1, worst_case))

    def reserve_more(self, document_id: str, usage: Usage) -> bool:
        """Set aside so much again for a reading that must be tried once more; False if that does not fit."""
        return self._hold(document_id, self._held.get(document_id, _Sum(1)) + _Sum(0, usage))

    def _hold(self, document_id: str, amount: _Sum) -> bool:
        with self._lock:
            reserved = self._reserved - self._held.get(document_id, _NOTHING) + amount
            if self._amount(self._spent + reserved) > self.budget.limit:
                return False
            self._held[document_id], self._reserved = amount, reserved
            return True

    def settle(self, document_id: str, actual: Usage) -> None:
        """Replace what is held for a reading, if anything is, by what it took."""
        with self._lock:
            self._reserved -= self._held.pop(document_id, _NOTHING)
            self._spent += _Sum(1, actual)

    def owe(self, lost: Usage, paid: Mapping[str, Usage]) -> None:
        """Charge what earlier processes took: `lost` is gone; what is `paid` for, by document, will be settled."""
        with self._lock:
            self._spent += _Sum(0, lost)
            self._held = {document_id: _Sum(1, usage) for document_id, usage in paid.items()}
            self._reserved = sum(self._held.values(), _NOTHING)
