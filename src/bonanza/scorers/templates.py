"""How a passage is put before a model: pieces of text, of which those that the assistant says are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bonanza.errors import SettingsError
from bonanza.interfaces import Passage
from bonanza.records import Turn

KNOWLEDGE = "Some examples to learn from:\n\n{examples}\n\nNow the task:\n\n{task}"  # [ours]
PLAIN = {"system": "{text}\n\n", "user": "### Instruction:\n{text}\n\n", "assistant": "### Response:\n{text}\n\n"}

Piece = tuple[str, bool]  # text, and whether it is scored


class Template(Protocol):
    """Writes passages as text."""

    def pieces(self, passage: Passage) -> list[Piece]:
        """The passage, up to the end of the last response; what marks its end is not scored."""
        ...


class PlainTemplate:
    """Headings in plain text, for models and servers without a chat template (Alpaca's form, shortened)."""

    def pieces(self, passage: Passage) -> list[Piece]:
        """Headings are context, responses are scored."""
        pieces: list[Piece] = []
        for turn in informed(passage):
            before, after = PLAIN[turn.role].split("{text}")
            scored = turn.role == "assistant"
            pieces += [(before, False), (turn.text, scored), (after, False)]
        return joined(pieces)


class ChatTemplate:
    """The template that comes with a model's tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def pieces(self, passage: Passage) -> list[Piece]:
        """What the template writes around the responses is context."""
        pieces: list[Piece] = []
        turns = informed(passage)
        for position, turn in enumerate(turns):
            if turn.role == "assistant":
                written = "".join(text for text, _ in pieces)
                pieces += [(self._context(turns[:position], written), False), (turn.text, True)]
        return joined(pieces)

    def _context(self, turns: Sequence[Turn], written: str) -> str:
        """What follows what is written already, up to where the assistant begins to speak."""
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        whole = self._applied(messages)
        if not whole.startswith(written):
            raise SettingsError(
                "the model's chat template changes earlier turns when later ones follow, so that they cannot be scored "
                "together. Choose --template plain."
            )
        return whole[len(written) :]

    def _applied(self, messages: Sequence[Mapping[str, str]]) -> str:
        from jinja2 import TemplateError

        try:
            return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        except (TemplateError, ValueError) as error:
            raise SettingsError(
                f"the model's chat template refuses a conversation of {', '.join(each['role'] for each in messages)} "
                f"({error}). Choose --template plain."
            ) from error


def informed(passage: Passage) -> tuple[Turn, ...]:
    """The turns with the knowledge in front of the first that a user says; where the assistant begins, of an empty one.

    White space around turns goes: templates differ in what they leave of it.
    """
    turns = tuple(Turn(turn.role, turn.text.strip()) for turn in passage.turns)
    begin = next((place for place, turn in enumerate(turns) if turn.role != "system"), len(turns))
    if all(turn.role != "user" for turn in turns[begin : begin + 1]):
        turns = (*turns[:begin], Turn("user", ""), *turns[begin:])
    if not passage.knowledge:
        return turns
    first = next(position for position, turn in enumerate(turns) if turn.role == "user")
    task = KNOWLEDGE.format(examples="\n\n".join(passage.knowledge), task=turns[first].text)
    return (*turns[:first], Turn("user", task), *turns[first + 1 :])


def joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one kind as one piece; empty ones and what follows the last response left out."""
    merged: list[Piece] = []
    for text, scored in pieces:
        if text and merged and merged[-1][1] == scored:
            merged[-1] = (merged[-1][0] + text, scored)
        elif text:
            merged.append((text, scored))
    return merged if not merged or merged[-1][1] else merged[:-1]
