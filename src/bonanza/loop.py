"""The main job: choose, read, clean, learn, until the budget is spent. The same loop for every policy.

Every reading is in the ledger before it is used, and a reading that the ledger already holds is used instead of paying
again; so a resumed run goes the way of an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Literal

from bonanza.budget import Account
from bonanza.clock import timed
from bonanza.errors import EndpointError, FolderError
from bonanza.interfaces import Cleaner, Executor, Ledger, Policy, Pool, Priced, Screen
from bonanza.records import Document, Reading, Skipped, Usage

StopReason = Literal[
    "budget spent", "budget too small", "all documents read", "policy chose no more", "no more pairs", "interrupted",
    "endpoint gone",
]  # fmt: skip

RESUMABLE = ("interrupted", "endpoint gone")  # ends before the end
REPEATED = "repeats a document that is read"
PASSED_OVER_IN_A_ROW = 100  # documents that do not fit what is left of the budget, after which it counts as spent


@dataclass(frozen=True)
class Parts:
    """What the loop runs on."""

    pool: Pool
    policy: Policy
    extractor: Priced
    executor: Executor
    cleaner: Cleaner
    ledger: Ledger
    account: Account
    screen: Screen | None = None  # None: repeated documents are read too


@dataclass(frozen=True, slots=True)
class DocumentRead:
    """One reading and when it happened."""

    row: int
    round: int  # counted from 1
    cluster: int | None
    reading: Reading  # cleaned


@dataclass(slots=True)
class Progress:
    """Where a run stands. Grows round by round."""

    round: int = 0
    read: list[DocumentRead] = field(default_factory=list)
    passed_over: list[Skipped] = field(default_factory=list)  # documents chosen that no longer fitted the budget
    passed_over_in_a_row: int = 0
    repeated: list[Skipped] = field(default_factory=list)  # documents chosen that repeat one that is read
    stop_reason: StopReason | None = None
    gone: EndpointError | None = None  # why nothing can be read any more
    seconds: dict[str, float] = field(default_factory=lambda: {"choose": 0.0, "read": 0.0, "clean": 0.0})

    def timed(self, what: str) -> AbstractContextManager[None]:
        """Add the time that the block takes; learning counts as choosing."""
        return timed(self.seconds, what)

    @property
    def usage(self) -> Usage:
        """Tokens of all readings."""
        return sum((item.reading.usage for item in self.read), Usage())


Tell = Callable[[Reading], None]


def _nobody(_reading: Reading) -> None:
    """Tell nobody."""


def rounds(
    parts: Parts, round_size: int, patience: int, stopping: Callable[[], bool] = lambda: False, tell: Tell = _nobody
) -> Iterator[Progress]:
    """Run to the end, yielding the state after each round; the last one carries the reason for stopping.

    Parameters
    ----------
    round_size : most documents per round
    patience : documents in a row without any kept pair after which the run gives up; 0: never
    stopping : asked before each document that must be paid for; True ends the run as "interrupted". What the ledger
        holds is replayed first, so that a resumed run that is stopped again has all of it.
    tell : is given each reading as soon as it is in the ledger, before cleaning; not those that are replayed
    """
    progress = Progress()
    parts.account.owe(parts.ledger.lost(), parts.ledger.paid())
    while progress.stop_reason is None:
        with progress.timed("choose"):
            rows = list(parts.policy.choose(round_size))
        progress.round += 1
        reason = _read_round(parts, rows, progress, stopping, tell) if rows else _exhausted(parts, progress)
        progress.stop_reason = reason or _gives_up(progress, patience)
        if progress.stop_reason not in (None, *RESUMABLE):
            _refuse_to_pay_twice(parts, len(progress.read))
        yield progress


def _read_round(
    parts: Parts, rows: Sequence[int], progress: Progress, stopping: Callable[[], bool], tell: Tell
) -> StopReason | None:
    """Read what fits of the chosen documents, in waves whose worst cases fit the budget together."""
    waiting = list(zip(rows, parts.pool.fetch(rows), strict=True))
    paid = parts.ledger.find(document.id for _, document in waiting)
    first = len(progress.read)
    while waiting:
        wave, waiting = _wave(parts, waiting, paid, progress)
        with progress.timed("read"):
            readings = _readings(parts, [document for _, document in wave], paid, progress, stopping, tell)
        with progress.timed("clean"):
            progress.read += _cleaned(parts, wave, readings, progress.round)
        if len(readings) < len(wave):
            return "endpoint gone" if progress.gone else "interrupted"
        if _spent(parts, progress):
            break
    with progress.timed("choose"):
        parts.policy.learn([item.reading for item in progress.read[first:]])
    return _budget_reason(progress) if _spent(parts, progress) else None


Chosen = list[tuple[int, Document]]


def _wave(parts: Parts, waiting: Chosen, paid: Mapping[str, Reading], progress: Progress) -> tuple[Chosen, Chosen]:
    """Split into what can be read now and what must wait until reservations are settled; what repeats is left out.

    A document that does not fit although nothing is reserved is passed over, and counted. So a document is read exactly
    if its worst case fits what the documents before it have left, whatever the size of rounds and waves. One that
    was paid for already needs no reservation.
    """
    wave: Chosen = []
    for position, (row, document) in enumerate(waiting):
        worst_case = parts.extractor.worst_case(document)
        if parts.screen and (repeated := parts.screen.repeats(document)):
            progress.repeated.append(Skipped(document.origin or document.id, REPEATED, repeated))
        elif document.id in paid or parts.account.reserve(document.id, worst_case):
            wave.append((row, document))
            progress.passed_over_in_a_row = 0
            if parts.screen:
                parts.screen.remember(document)
        elif wave:
            return wave, waiting[position:]
        else:
            amount = f"{parts.account.amount(worst_case):.6g} {parts.account.budget.unit}"
            where, reason = document.origin or document.id, "over what was left of the budget"
            progress.passed_over.append(Skipped(where, reason, f"may take {amount}, more than was left"))
            progress.passed_over_in_a_row += 1
            if progress.passed_over_in_a_row >= PASSED_OVER_IN_A_ROW and _all_replayed(parts, progress):
                break
    return wave, []


def _readings(
    parts: Parts, documents: Sequence[Document], paid: Mapping[str, Reading], progress: Progress,
    stopping: Callable[[], bool], tell: Tell,
) -> dict[str, Reading]:  # fmt: skip
    """The readings of a wave, by document: from the ledger, or read now and kept there first. Fewer when stopped."""
    found = {document.id: paid[document.id] for document in documents if document.id in paid}
    for document_id, reading in found.items():
        parts.account.settle(document_id, reading.usage)
    unread = [document for document in documents if document.id not in found]
    if not unread or stopping():
        return found
    _refuse_to_pay_twice(parts, len(progress.read) + len(found))
    try:
        for readings in parts.executor.read(unread, stopping):
            priced = [replace(reading, cost_usd=parts.account.cost(reading.usage)) for reading in readings]
            parts.ledger.add(priced)
            for reading in priced:
                parts.account.settle(reading.document_id, reading.usage)  # at once: another may need to try again
                tell(reading)
                found[reading.document_id] = reading
    except EndpointError as error:
        progress.gone = error
    return found


def _refuse_to_pay_twice(parts: Parts, replayed: int) -> None:
    """All that the ledger holds must have been replayed, and so charged, before anything more is paid for."""
    if (stray := len(parts.ledger) - replayed) > 0:
        raise FolderError(
            f"The journal holds {stray} readings that this run would not choose: it was made by another version, or by "
            "a computer that reckons otherwise. Nothing was read. Choose another folder with --out."
        )


def _cleaned(parts: Parts, wave: Chosen, readings: dict[str, Reading], round_number: int) -> Iterator[DocumentRead]:
    """Clean in the order in which the documents were chosen, whatever order they were read in."""
    clusters = parts.policy.clusters
    for row, document in wave:
        if (reading := readings.get(document.id)) is None:
            continue  # interrupted before its turn
        cluster = None if clusters is None else int(clusters[row])
        yield DocumentRead(row, round_number, cluster, parts.cleaner.clean(reading))


def _spent(parts: Parts, progress: Progress) -> bool:
    least = 1 if parts.account.budget.kind == "documents" else 1e-9
    nothing_fits = parts.account.left < least or progress.passed_over_in_a_row >= PASSED_OVER_IN_A_ROW
    return nothing_fits and _all_replayed(parts, progress)


def _all_replayed(parts: Parts, progress: Progress) -> bool:
    """Nothing that was paid for before is still to come; calls that a killed process lost may have used up the rest."""
    return len(progress.read) >= len(parts.ledger)


def _budget_reason(progress: Progress) -> StopReason:
    return "budget spent" if progress.read else "budget too small"


def _exhausted(parts: Parts, progress: Progress) -> StopReason:
    if progress.passed_over:
        return _budget_reason(progress)
    seen = len(progress.read) + len(progress.repeated)
    return "policy chose no more" if seen < len(parts.pool) else "all documents read"


def _gives_up(progress: Progress, patience: int) -> StopReason | None:
    recent = progress.read[-patience:] if patience else []
    if patience and len(recent) == patience and not any(item.reading.kept for item in recent):
        return "no more pairs"
    return None
