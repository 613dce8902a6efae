"""Reads reference sets: files of question-answer pairs in the formats that instruction data comes in (see `dialogues`).

In a dialogue each user message that an assistant message answers gives a pair; system and tool messages are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bonanza.corpus.dialogues import SPEAKERS, Cast, UnusableError, nothing_found, table_at, turns_of
from bonanza.corpus.readers.rows import Row
from bonanza.errors import CorpusError, TargetError
from bonanza.records import Question, Skipped, Target, Turn

ASKING_AND_ANSWERING = Cast(SPEAKERS)


def read_target(path: str) -> Target:
    """Read a reference set from jsonl, json or csv (each also .gz or .zst), parquet, or an hf:// dataset."""
    seen: set[str] = set()
    try:
        records = [record for row in table_at(path, "pairs").rows(None) for record in _records(row, seen)]
    except CorpusError as error:
        raise TargetError(str(error)) from error
    return _target(records, path, seen)


def target_from(pairs: Iterable[tuple[str, str]], origin: str = "memory") -> Target:
    """Make a reference set of questions and answers that are already in memory."""
    rows = (
        Row(f"{origin}, pair {number}", {"question": question, "answer": answer})
        for number, (question, answer) in enumerate(pairs, start=1)
    )
    return _target([record for row in rows for record in _records(row, set())], origin, set())


def _target(records: Sequence[tuple[str, Question] | Skipped], origin: str, seen: set[str]) -> Target:
    """Keep each pair once; refuse a reference set without any."""
    pairs: dict[Question, None] = {}
    skipped: list[Skipped] = []
    for record in records:
        if isinstance(record, Skipped):
            skipped.append(record)
        elif record[1] in pairs:
            skipped.append(Skipped(record[0], "repeated pair", record[1].question[:80]))
        else:
            pairs[record[1]] = None
    if not pairs:
        raise TargetError(nothing_found(origin, "pair", skipped, seen))
    return Target(tuple(pairs), origin, tuple(skipped))


def _records(row: Row | Skipped, seen: set[str]) -> Iterator[tuple[str, Question] | Skipped]:
    """The pairs of one record, each with its origin, or why there is none."""
    if isinstance(row, Skipped):
        yield row
        return
    seen.update(map(str, row.values))
    try:
        for pair in _exchanges(turns_of(row.values, ASKING_AND_ANSWERING)):
            yield row.origin, pair
    except UnusableError as error:
        yield Skipped(row.origin, error.reason, error.detail)


def _exchanges(turns: Iterable[Turn]) -> list[Question]:
    """Each user message with the assistant message that answers it; of several in a row, the last and the first."""
    pairs: list[Question] = []
    question = ""
    for turn in turns:
        if turn.role == "user":
            question = turn.text
        elif question.strip() and turn.text.strip():
            pairs.append(Question(question, turn.text))
            question = ""
    if not pairs:
        raise UnusableError("no answered question")
    return pairs
