"""Reads reference sets: files of question-answer pairs in the formats that instruction data comes in.

A record may hold, in this order of preference: question and answer; instruction, input (optional) and output;
messages (role, content); conversations (from, value; ShareGPT); prompt and completion (texts or lists of messages). In
a dialogue each user message that an assistant message answers gives a pair; system and tool messages are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bonanza.corpus.readers.hugging_face import PREFIX, HuggingFaceDataset
from bonanza.corpus.readers.open import table_of
from bonanza.corpus.readers.rows import Row, Table, parsed_if_text, well_formed
from bonanza.corpus.readers.text import TextFile
from bonanza.errors import CorpusError, TargetError
from bonanza.records import Question, Skipped, Target

Values = Mapping[str, Any]
UNDERSTOOD = (
    "question + answer; instruction (+ input) + output; messages (role, content); conversations (from, value); "
    "prompt + completion"
)
ROLES = {
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "model": "assistant",
}  # fmt: skip


class _UnusableError(Exception):
    """A record that has the columns of a format but not what belongs in them."""


def read_target(path: str) -> Target:
    """Read a reference set from jsonl, json or csv (each also .gz or .zst), parquet, or an hf:// dataset."""
    table = _table(path)
    seen: Counter[str] = Counter()
    try:
        records = [record for row in table.rows(None) for record in _records(row, seen)]
    except CorpusError as error:
        raise TargetError(str(error)) from error
    return _target(records, path, seen)


def target_from(pairs: Iterable[tuple[str, str]], origin: str = "memory") -> Target:
    """Make a reference set of questions and answers that are already in memory."""
    rows = (
        Row(f"{origin}, pair {number}", {"question": question, "answer": answer})
        for number, (question, answer) in enumerate(pairs, start=1)
    )
    return _target([record for row in rows for record in _records(row, Counter())], origin, {})


def _table(path: str) -> Table:
    if path.startswith(PREFIX):
        return HuggingFaceDataset(path)
    file = Path(path).expanduser()
    if not file.is_file():
        raise TargetError(f"{path}: there is no such file. Check the path; here is {Path.cwd()}.")
    table = table_of(file, file.name)
    if table is None or isinstance(table, TextFile):
        raise TargetError(
            f"{path}: not a type of file that can hold pairs. Give jsonl, json, csv (each also .gz or .zst) or parquet."
        )
    return table


def _target(records: Sequence[tuple[str, Question] | Skipped], origin: str, seen: Mapping[str, int]) -> Target:
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
        raise TargetError(_nothing(origin, skipped, seen))
    return Target(tuple(pairs), origin, tuple(skipped))


def _nothing(origin: str, skipped: Sequence[Skipped], seen: Mapping[str, int]) -> str:
    """What to say of a reference set without a pair."""
    counts = Counter(record.reason for record in skipped)
    if counts and set(counts) == {"unknown format"}:
        return f"{origin}: no record is a pair. Found were: {', '.join(sorted(seen))}. Understood are: {UNDERSTOOD}."
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items())) or "the file holds no record"
    return f"{origin}: no pair with an answer ({reasons}). Understood are: {UNDERSTOOD}."


def _records(row: Row | Skipped, seen: Counter[str]) -> Iterator[tuple[str, Question] | Skipped]:
    """The pairs of one record, each with its origin, or why there is none."""
    if isinstance(row, Skipped):
        yield row
        return
    seen.update(map(str, row.values))
    present = {name for name, value in row.values.items() if value is not None}
    convert = next((convert for needed, convert in FORMATS if present.issuperset(needed)), None)
    if convert is None:
        yield Skipped(row.origin, "unknown format", ", ".join(sorted(present)))
        return
    try:
        for question, answer in convert(row.values):
            yield row.origin, Question(well_formed(question), well_formed(answer))
    except _UnusableError as error:
        yield Skipped(row.origin, str(error))


def _question_answer(values: Values) -> list[tuple[str, str]]:
    return [_pair(_text(values["question"]), _text(values["answer"]))]


def _instruction(values: Values) -> list[tuple[str, str]]:
    parts = [_text(values["instruction"]), _text(values.get("input") or "")]
    return [_pair("\n\n".join(part for part in parts if part.strip()), _text(values["output"]))]


def _messages(values: Values) -> list[tuple[str, str]]:
    return _exchanges(_turns(values["messages"], "role", "content"))


def _conversations(values: Values) -> list[tuple[str, str]]:
    return _exchanges(_turns(values["conversations"], "from", "value"))


def _prompt_completion(values: Values) -> list[tuple[str, str]]:
    prompt, completion = values["prompt"], values["completion"]
    if isinstance(prompt, list) or isinstance(completion, list):
        return _exchanges([*_said(prompt, "user"), *_said(completion, "assistant")])
    return [_pair(_text(prompt), _text(completion))]


# The columns that a format needs, and what makes pairs of a record that has them.
FORMATS: tuple[tuple[tuple[str, ...], Callable[[Values], list[tuple[str, str]]]], ...] = (
    (("question", "answer"), _question_answer),
    (("instruction", "output"), _instruction),
    (("messages",), _messages),
    (("conversations",), _conversations),
    (("prompt", "completion"), _prompt_completion),
)


def _said(value: Any, role: str) -> list[tuple[str, str]]:
    return _turns(value, "role", "content") if isinstance(value, list) else [(role, _text(value))]


def _turns(value: Any, role: str, content: str) -> list[tuple[str, str]]:
    """Who said what: (role, text) of each message of users and assistants."""
    try:
        messages = parsed_if_text(value)
        spoken = [message for message in messages if message[role] in ROLES]
        return [(ROLES[message[role]], _text(message[content])) for message in spoken if message[content] is not None]
    except (KeyError, TypeError, ValueError):
        raise _UnusableError("broken dialogue") from None


def _exchanges(turns: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each user message with the assistant message that answers it; of several in a row, the last and the first."""
    pairs: list[tuple[str, str]] = []
    question = ""
    for role, text in turns:
        if role == "user":
            question = text
        elif question.strip() and text.strip():
            pairs.append((question, text))
            question = ""
    if not pairs:
        raise _UnusableError("no answered question")
    return pairs


def _pair(question: str, answer: str) -> tuple[str, str]:
    if not question.strip():
        raise _UnusableError("empty question")
    if not answer.strip():
        raise _UnusableError("empty answer")
    return question, answer


def _text(value: Any) -> str:
    """A text, a number as text, or the texts among the parts of a message."""
    match value:
        case str():
            return value
        case int() | float() if not isinstance(value, bool):
            return str(value)
        case list():
            return "".join(_text(part["text"] if isinstance(part, dict) and "text" in part else None) for part in value)
    raise _UnusableError("not text")
