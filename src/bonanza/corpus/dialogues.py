"""Who says what in a record of instruction data, in the formats that such data comes in.

A record may hold, in this order of preference: question and answer; instruction, input (optional) and output;
messages (role, content); conversations (from, value; ShareGPT); prompt and completion (texts or lists of messages).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonanza.corpus.readers.hugging_face import PREFIX, HuggingFaceDataset
from bonanza.corpus.readers.open import table_of
from bonanza.corpus.readers.rows import Table, parsed_if_text, well_formed
from bonanza.corpus.readers.text import TextFile
from bonanza.corpus.readers.warc import WarcFile
from bonanza.errors import CorpusError
from bonanza.records import Role, Skipped, Turn

Values = Mapping[str, Any]
UNDERSTOOD = (
    "question + answer; instruction (+ input) + output; messages (role, content); conversations (from, value); "
    "prompt + completion"
)
SPEAKERS: Mapping[str, Role] = {
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "model": "assistant",
}  # fmt: skip
UNKNOWN_FORMAT = "unknown format"


class UnusableError(Exception):
    """A record that is in no known format, or has not what belongs in its columns. Never leaves the corpus package."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Cast:
    """Whose messages of a dialogue are read."""

    roles: Mapping[str, Role]  # by the names that dialogues have for them
    refuses_others: bool = False  # a dialogue in which others speak; else what they say is left out


def table_at(path: str, wanted: str) -> Table:
    """The table in a file, or the hf:// dataset, that is to hold what is wanted: "pairs"."""
    if path.startswith(PREFIX):
        return HuggingFaceDataset(path)
    file = Path(path).expanduser()
    if not file.is_file():
        raise CorpusError(f"{path}: there is no such file. Check the path; here is {Path.cwd()}.")
    table = table_of(file, file.name)
    if table is None or isinstance(table, TextFile | WarcFile):
        raise CorpusError(
            f"{path}: not a type of file that can hold {wanted}. "
            "Give jsonl, json, csv (each also .gz or .zst) or parquet."
        )
    return table


def nothing_found(origin: str, wanted: str, skipped: Sequence[Skipped], seen: set[str]) -> str:
    """What to say of data without what is wanted: "pair"; `seen` are its columns."""
    counts = Counter(record.reason for record in skipped)
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items())) or "the file holds no record"
    without = (
        f"no {wanted} with an answer ({reasons})" if set(counts) != {UNKNOWN_FORMAT} else f"no record is a {wanted}"
    )
    found = f" Found were: {well_formed(', '.join(sorted(seen)))}." if UNKNOWN_FORMAT in counts else ""
    return f"{origin}: {without}.{found} Understood are: {UNDERSTOOD}."


def turns_of(values: Values, cast: Cast) -> list[Turn]:
    """What is said in a record, in its order. Raises UnusableError, above all for an empty question or answer."""
    present = {name for name, value in values.items() if value is not None}
    convert = next((convert for needed, convert in FORMATS if present.issuperset(needed)), None)
    if convert is None:
        raise UnusableError(UNKNOWN_FORMAT, well_formed(", ".join(sorted(present))))
    try:
        return convert(values, cast)
    except RecursionError:
        raise UnusableError("nested too deep") from None


def _question_answer(values: Values, _cast: Cast) -> list[Turn]:
    return _exchange(_text(values["question"]), _text(values["answer"]))


def _instruction(values: Values, _cast: Cast) -> list[Turn]:
    parts = [_text(values["instruction"]), _text(values.get("input") or "")]
    return _exchange("\n\n".join(part for part in parts if part.strip()), _text(values["output"]))


def _messages(values: Values, cast: Cast) -> list[Turn]:
    return _spoken(values["messages"], "role", "content", cast)


def _conversations(values: Values, cast: Cast) -> list[Turn]:
    return _spoken(values["conversations"], "from", "value", cast)


def _prompt_completion(values: Values, cast: Cast) -> list[Turn]:
    prompt, completion = values["prompt"], values["completion"]
    if isinstance(prompt, list) or isinstance(completion, list):
        return [*_part(prompt, "user", cast), *_part(completion, "assistant", cast)]
    return _exchange(_text(prompt), _text(completion))


# The columns that a format needs, and what makes turns of a record that has them.
FORMATS: tuple[tuple[tuple[str, ...], Callable[[Values, Cast], list[Turn]]], ...] = (
    (("question", "answer"), _question_answer),
    (("instruction", "output"), _instruction),
    (("messages",), _messages),
    (("conversations",), _conversations),
    (("prompt", "completion"), _prompt_completion),
)


def _part(value: Any, role: Role, cast: Cast) -> list[Turn]:
    return _spoken(value, "role", "content", cast) if isinstance(value, list) else [Turn(role, _text(value))]


def _spoken(value: Any, role: str, content: str, cast: Cast) -> list[Turn]:
    """What the messages of a dialogue say; one without content says nothing."""
    try:
        messages = list(parsed_if_text(value))
        others = [message[role] for message in messages if message[role] not in cast.roles]
        if others and cast.refuses_others:
            raise UnusableError("unknown role", well_formed(str(others[0])[:80]))
        heard = [message for message in messages if message[role] in cast.roles]
        return [Turn(cast.roles[each[role]], _text(each[content])) for each in heard if each[content] is not None]
    except (KeyError, TypeError, ValueError):
        raise UnusableError("broken dialogue") from None


def _exchange(question: str, answer: str) -> list[Turn]:
    if not question.strip():
        raise UnusableError("empty question")
    if not answer.strip():
        raise UnusableError("empty answer")
    return [Turn("user", question), Turn("assistant", answer)]


def _text(value: Any) -> str:
    """A text, a number as text, or the texts among the parts of a message."""
    match value:
        case str():
            return well_formed(value)
        case int() | float() if not isinstance(value, bool):
            return str(value)
        case list():
            return "".join(_text(part["text"] if isinstance(part, dict) and "text" in part else None) for part in value)
    raise UnusableError("not text")
