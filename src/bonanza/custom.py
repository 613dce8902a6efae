"""Policies and extractors of the caller's own: their names, and a check of whatever they answer.

A part that breaks its Protocol would spend money on what nobody meant; so each answer is checked before it is used, and
the first wrong one ends the run with an error that names the part, what it did, and what was expected.
"""

from __future__ import annotations

import inspect
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from bonanza.errors import BonanzaError, ExtractionError, PartError
from bonanza.interfaces import Extractor, Policy, Pool
from bonanza.records import Document, Pair, Reading, ReadingStatus, Target, Usage

PREFIX = "custom:"
POLICY = ("clusters", "start", "choose", "learn", "report")
EXTRACTOR = ("name", "worst_case", "prompt_tokens", "read")
STATUSES: tuple[str, ...] = get_args(ReadingStatus)


@dataclass(frozen=True)
class Custom:
    """Parts of the caller's own, in place of those that the settings name."""

    policy: Policy | None = None
    extractor: Extractor | None = None


BUILT_IN = Custom()  # none


def custom_parts(policy: str | Policy, llm: str | Extractor) -> Custom:
    """Those of the two that are objects, checked.

    Raises
    ------
    PartError
        If one lacks what its Protocol asks for.
    """
    return Custom(
        None if isinstance(policy, str) else CheckedPolicy(policy),
        None if isinstance(llm, str) else CheckedExtractor(llm),
    )


def name_of(part: object) -> str:
    """What stands for a part in settings: its own name if it is text; of an object its `name`, or else its class.

    >>> name_of("adaptive"), name_of(Custom())
    ('adaptive', 'custom:bonanza.custom.Custom')
    """
    if isinstance(part, str):
        return part
    kind = type(part)
    return PREFIX + str(getattr(part, "name", None) or f"{kind.__module__}.{kind.__qualname__}")


class CheckedPolicy:
    """A policy of the caller's own; what it names can be read, and once only."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._name = policy, name_of(policy)
        _require_parts(policy, POLICY, "Policy")

    @property
    def clusters(self) -> NDArray[np.int64] | None:
        """As the policy has them: one for each document."""
        clusters = self._policy.clusters
        if clusters is None:
            return None
        shape = np.shape(clusters)
        self._require(shape == (len(self._pool),), f"has clusters of shape {shape}", f"({len(self._pool)},) or None")
        return clusters

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Start it; a report that could not be written is found now, not when all is paid for."""
        self._pool, self._named = pool, set[int]()
        self._policy.start(pool, target, rng)
        self.report()

    def choose(self, count: int) -> Sequence[int]:
        """What the policy names, after a look at it."""
        rows = [self._row(row) for row in self._policy.choose(count)]
        self._require(len(rows) <= count, f"named {len(rows)} rows", f"at most the {count} that it was asked for")
        self._require(bool(rows or self._named), "named no row at all", "rows to read next, best first")
        for row in rows:
            self._require(row not in self._named, f"named row {row} ({self._pool.ids[row]!r}) twice", "each row once")
            self._named.add(row)
        return rows

    def _row(self, given: Any) -> int:
        try:
            row = operator.index(given)
        except TypeError:
            row = -1
        expected = f"rows are whole numbers from 0 to {len(self._pool) - 1}"
        self._require(0 <= row < len(self._pool), f"named row {given!r}", expected)
        return row

    def learn(self, readings: Sequence[Reading]) -> None:
        """Pass them on."""
        self._policy.learn(readings)

    def report(self) -> Mapping[str, Any]:
        """As the policy has it: values that a file of JSON can hold."""
        report = self._policy.report()
        try:
            fits = isinstance(report, Mapping) and bool(json.dumps(dict(report), allow_nan=False))
        except (TypeError, ValueError):
            fits = False
        self._require(fits, f"reports {report!r:.200}", "a mapping of JSON values: text, finite numbers, lists")
        return report

    def _require(self, holds: bool, what: str, expected: str) -> None:
        if not holds:
            raise PartError(f"policy {self._name!r} {what}; expected: {expected}. Mend it: bonanza.interfaces.Policy.")


class CheckedExtractor:
    """An extractor of the caller's own; what it gives belongs to the document, and takes no more than it said."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor, self._shown = extractor, name_of(extractor)
        _require_parts(extractor, EXTRACTOR, "Extractor")
        self.name = extractor.name
        self._require(isinstance(self.name, str) and bool(self.name), "has no name", "text that names model and prompt")
        waits = inspect.iscoroutinefunction(extractor.read)
        self._require(not waits, "has an asynchronous read", "one that returns a Reading")

    def worst_case(self, document: Document) -> Usage:
        """Tokens that are reserved."""
        usage = self._extractor.worst_case(document)
        self._require(_is_usage(usage), f"foresees {usage!r:.200} at most", "a Usage of whole numbers, 0 or more")
        return usage

    def prompt_tokens(self, document: Document) -> int:
        """Tokens that are likely."""
        tokens = self._extractor.prompt_tokens(document)
        self._require(_is_count(tokens), f"foresees {tokens!r:.200} prompt tokens", "a whole number, 0 or more")
        return tokens

    def read(self, document: Document) -> Reading:
        """What the extractor gives, after a look at it.

        Raises
        ------
        ExtractionError
            If the extractor raises; errors of bonanza's own (EndpointError: nothing can be read any more) stay.
        """
        try:
            reading = self._extractor.read(document)
        except BonanzaError:
            raise
        except Exception as error:
            raise ExtractionError(
                f"extractor {self._shown!r} raised {type(error).__name__} on document {document.id!r}: {error}. What "
                "was read before is kept, and the same call resumes. Mend it, or have it return a Reading whose status "
                'is "failed".'
            ) from error
        self._check(reading, document)
        return reading

    def _check(self, reading: Any, document: Document) -> None:
        on = f"of document {document.id!r}"
        self._require(isinstance(reading, Reading), f"gave {type(reading).__name__} {on}", "a Reading")
        self._require(reading.status in STATUSES, f"gave the status {reading.status!r} {on}", ", ".join(STATUSES))
        odd = next((pair for pair in reading.pairs if not _is_pair(pair)), None)
        self._require(odd is None, f"gave the pair {odd!r:.200} {on}", "a Pair with text as question and answer")
        same = {document.id} == {reading.document_id, *(pair.document_id for pair in reading.pairs)}
        self._require(same, f"gave a reading {on} that names another", "reading and pairs with the document's id")
        used, most = reading.usage, self.worst_case(document)
        self._require(_is_usage(used), f"gave the usage {used!r:.200} {on}", "a Usage of whole numbers, 0 or more")
        within = used.input_tokens <= most.input_tokens and used.output_tokens <= most.output_tokens
        self._require(within, f"took {_shown(used)} for a reading {on}", f"at most its worst_case, {_shown(most)}")

    def _require(self, holds: bool, what: str, expected: str) -> None:
        if not holds:
            raise PartError(
                f"extractor {self._shown!r} {what}; expected: {expected}. Mend it: bonanza.interfaces.Extractor."
            )


def _require_parts(part: object, names: Sequence[str], protocol: str) -> None:
    missing = [name for name in names if not hasattr(part, name)]
    if missing or isinstance(part, type):
        why = f"has no {', '.join(missing)}" if missing else "is a class, not an object of it"
        raise PartError(f"{part!r:.200} {why}. See bonanza.interfaces.{protocol} for what it must do.")


def _is_pair(value: Any) -> bool:
    return isinstance(value, Pair) and all(isinstance(t, str) for t in (value.question, value.answer, value.evidence))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def _is_usage(value: Any) -> bool:
    return isinstance(value, Usage) and _is_count(value.input_tokens) and _is_count(value.output_tokens)


def _shown(usage: Usage) -> str:
    return f"{usage.input_tokens:,} + {usage.output_tokens:,} tokens"
