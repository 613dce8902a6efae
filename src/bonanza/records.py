"""The data that travels through bonanza: documents, pairs, and what reading a document gave.

All frozen; ids are hashes of content, so the same input gets the same id in every run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

ReadingStatus = Literal["ok", "empty", "unparsable", "refused", "truncated", "failed"]
Finish = Literal["stop", "length", "refused"]  # an answer's end: its own, cut off at its limit, declined or filtered
Role = Literal["system", "user", "assistant"]
PairStatus = Literal["kept", "duplicate", "contaminated", "ungrounded", "malformed", "outranked"]

CHARACTERS_PER_TOKEN = 4  # usual estimate for English under a 32k-128k BPE vocabulary; METHODS section 4 prices with it


def content_id(*parts: str) -> str:
    """Name a piece of content by 16 hexadecimal digits of its BLAKE2b hash.

    >>> content_id("a", "b") == content_id("a", "b") != content_id("ab")
    True
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def estimated_tokens(text: str) -> int:
    """Estimate how many tokens a text has: one for every four characters begun.

    >>> estimated_tokens("four"), estimated_tokens("fours"), estimated_tokens("")
    (1, 2, 0)
    """
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def folded(text: str) -> str:
    """A text without regard to case and white space."""
    return " ".join(text.split()).casefold()


def pair_text(question: str, answer: str) -> str:
    """A pair as one text, for embedding."""
    return f"{question}\n{answer}"


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its answer, before it is known where they stand."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of instruction data: a conversation, of which a model learns what the assistant says."""

    row: int  # position in its file, from 0
    turns: tuple[Turn, ...]

    @property
    def prompt(self) -> str:
        """What the assistant answers: all other turns."""
        return "\n\n".join(turn.text for turn in self.turns if turn.role != "assistant")

    @property
    def response(self) -> str:
        """What the assistant says, in all its turns."""
        return "\n\n".join(turn.text for turn in self.turns if turn.role == "assistant")

    @property
    def id(self) -> str:
        """Hash of the conversation."""
        return content_id(*(part for turn in self.turns for part in (turn.role, turn.text)))

    def as_example(self) -> str:
        """The sample as a text to learn from."""
        return f"{self.prompt}\n\n{self.response}"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """One text of an external knowledge base."""

    id: str
    prompt: str  # what it answers; empty for a document
    text: str  # what a model is shown

    @property
    def embedded(self) -> str:
        """What is compared with samples' prompts: the prompt, or the document itself."""
        return self.prompt or self.text


@dataclass(frozen=True, slots=True)
class Document:
    """One page of the corpus."""

    id: str
    text: str
    origin: str = ""  # file and record it came from, for messages
    recorded: tuple[Question, ...] | None = None  # pairs that stand beside the text in the corpus; only replays look


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record of the corpus that could not be used, and why: counted and listed, never only logged."""

    origin: str  # file and line or row
    reason: str  # short, stable, countable: "broken line", "empty text", "repeated document"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of LLM calls. Adds up."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens - other.input_tokens, self.output_tokens - other.output_tokens)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question-answer pair and the place in its document that it came from."""

    question: str
    answer: str
    document_id: str
    char_start: int | None = None  # the evidence is document.text[char_start:char_end]; None: place unknown
    char_end: int | None = None
    evidence: str = ""
    status: PairStatus = "kept"
    reason: str = ""  # why it is not kept; empty when it is

    @property
    def id(self) -> str:
        """Hash of document, place, question and answer."""
        return content_id(self.document_id, str(self.char_start), self.question, self.answer)


@dataclass(frozen=True, slots=True)
class PairNote:
    """What cleaning saw in a pair, kept or not."""

    flags: tuple[str, ...] = ()  # names of weak spots, cleaning/quality.py
    grounding: float = 1.0  # share of the numbers and names of its answer that stand in the document


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one document gave and cost."""

    document_id: str
    status: ReadingStatus
    pairs: tuple[Pair, ...] = ()
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    detail: str = ""  # cause of a status that is not ok, or the raw answer that could not be used
    estimated: bool = False  # some of the usage is reckoned, not reported by a server

    @property
    def kept(self) -> tuple[Pair, ...]:
        """The pairs that cleaning let through."""
        return tuple(pair for pair in self.pairs if pair.status == "kept")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an LLM server gave for one request, and what it took."""

    text: str
    finish: Finish
    usage: Usage
    estimated: bool = False  # the usage is reckoned, not reported


@dataclass(frozen=True, slots=True)
class Target:
    """The reference set: examples of the task that the extracted pairs should help with."""

    pairs: tuple[Question, ...]
    origin: str = ""
    skipped: tuple[Skipped, ...] = ()

    @property
    def id(self) -> str:
        """Hash of all questions and answers, in their order."""
        return content_id(*(part for pair in self.pairs for part in (pair.question, pair.answer)))
