"""The embedded small language model: SmolLM2-135M-Instruct under llama.cpp, offline, on a CPU.

Answers are held to the JSON schema of pairs by a grammar, so they always parse. Good enough to run the whole job for
real; its pairs are on topic but thin, not to train on.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bonanza.algorithms.chunking import Chunk, split_text
from bonanza.errors import MissingExtraError, SettingsError
from bonanza.language_models import MODEL_FILE, embedded_model
from bonanza.records import Document, Pair, Reading, ReadingStatus, Usage
from bonanza.settings import LocalSettings

INSTRUCTIONS = (
    "You write study questions. Read the document and write up to {pairs} questions that it answers, each with its "
    "complete answer taken from the document. Each question must be understandable without seeing the document: name "
    "the thing it asks about."
)
LEAST_ROOM = 100  # tokens of a document that must fit beside instructions and answer
REPEAT_PENALTY = 1.1  # [ours] without it this model repeats one sentence until its tokens run out
QUOTES = '"""'
FRAME = f"Document:\n{QUOTES}\n{{document}}\n{QUOTES}\n\nWrite the questions and answers."
FRAME_TOKENS = 60  # chat template, roles and the lines around the document; checked against the tokenizer in tests


class LocalExtractor:
    """Asks the embedded model for pairs, part by part of a document."""

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._model = _loaded(settings)
        self._instructions = INSTRUCTIONS.format(pairs=settings.pairs_per_part)
        self._frame = FRAME_TOKENS + self._tokens(self._instructions)
        self._room = settings.context_tokens - settings.answer_tokens - self._frame  # for a part, in tokens
        if self._room < LEAST_ROOM:
            raise SettingsError(
                f"local.context_tokens {settings.context_tokens} leaves {self._room} tokens for a document beside the "
                f"answer ({settings.answer_tokens}) and the instructions ({self._frame}); {LEAST_ROOM} are needed."
            )
        self.name = f"{MODEL_FILE}/{settings.answer_tokens}/{settings.pairs_per_part}"

    def worst_case(self, document: Document) -> Usage:
        """Every part's prompt, and the longest answer to each."""
        parts = self._parts(document)
        prompt = sum(self._tokens(part.of(document.text)) for part in parts)
        return Usage(prompt + len(parts) * self._frame, len(parts) * self._settings.answer_tokens)

    def prompt_tokens(self, document: Document) -> int:
        """As many as the worst case has: prompts are known."""
        return self.worst_case(document).input_tokens

    def read(self, document: Document) -> Reading:
        """Read all parts; the reading is "truncated" if an answer ran into its limit and no pair came of it."""
        pairs: list[Pair] = []
        usage, cut_off = Usage(), 0
        for part in self._parts(document):
            answer = self._ask(part.of(document.text))
            usage += Usage(answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])
            cut_off += answer["choices"][0]["finish_reason"] == "length"
            pairs += _pairs(answer["choices"][0]["message"]["content"], document, part)
        status: ReadingStatus = "ok" if pairs else "truncated" if cut_off else "empty"
        detail = f"{cut_off} answers cut off at {self._settings.answer_tokens} tokens" if cut_off else ""
        return Reading(document.id, status, tuple(dict.fromkeys(pairs)), usage, detail=detail)

    def _ask(self, text: str) -> Any:
        self._model.reset()  # the answer must not depend on what was read before
        return self._model.create_chat_completion(
            messages=[
                {"role": "system", "content": self._instructions},
                {"role": "user", "content": FRAME.format(document=_defused(text))},
            ],
            response_format={"type": "json_object", "schema": _schema(self._settings.pairs_per_part)},
            temperature=0.0,
            repeat_penalty=REPEAT_PENALTY,
            seed=0,
            max_tokens=self._settings.answer_tokens,
        )

    def _parts(self, document: Document) -> list[Chunk]:
        """Pieces that fit the context; halved until they do, whatever script they are written in."""
        most = self._room * 3  # characters; English has about four to a token
        while True:
            parts = split_text(document.text, most)
            if most <= 1 or all(self._tokens(part.of(document.text)) <= self._room for part in parts):
                return parts
            most //= 2

    def _tokens(self, text: str) -> int:
        return len(self._model.tokenize(_defused(text).encode(), add_bos=False, special=False))


def _defused(text: str) -> str:
    """A text that can neither end its own message nor the quotes it stands in, nor fail to be encoded.

    >>> _defused("<|im_end|>")
    '< |im_end|>'
    """
    return _encodable(text).replace("<|", "< |").replace(QUOTES, "'''")


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _loaded(settings: LocalSettings) -> Any:
    try:
        from llama_cpp import Llama
    except ImportError:
        raise MissingExtraError("--llm local", "local") from None
    path, threads = str(embedded_model()), settings.threads
    return Llama(path, n_ctx=settings.context_tokens, n_threads=threads, n_threads_batch=threads, seed=0, verbose=False)


def _schema(pairs: int) -> dict[str, Any]:
    """JSON schema of an answer: one to so many pairs, none of them endless. Left free, this model finds none."""
    question = {"type": "string", "pattern": '^[A-Z][a-z]+ [^"\\\\\\n]{10,120}[?]$'}
    answer = {"type": "string", "minLength": 3, "maxLength": 400}
    pair = _object({"question": question, "answer": answer})
    return _object({"pairs": {"type": "array", "items": pair, "minItems": 1, "maxItems": pairs}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_WHOLE_PAIR = re.compile(r'\{\s*"question"\s*:\s*"(?:[^"\\]|\\.)*"\s*,\s*"answer"\s*:\s*"(?:[^"\\]|\\.)*"\s*\}')


def _pairs(content: str, document: Document, part: Chunk) -> list[Pair]:
    """The pairs of an answer; of one that was cut off, those that are whole.

    Not strict: the grammar lets line breaks into strings.
    """
    try:
        found = json.loads(content, strict=False)["pairs"]
    except json.JSONDecodeError:
        found = [json.loads(whole, strict=False) for whole in _WHOLE_PAIR.findall(content)]
    sides = ((_encodable(pair["question"]).strip(), _encodable(pair["answer"]).strip()) for pair in found)
    return [_located(question, answer, document, part) for question, answer in sides]


def _located(question: str, answer: str, document: Document, part: Chunk) -> Pair:
    """The answer's place, where it stands in the part word for word; else the part it was made from."""
    start = document.text.find(answer, part.start, part.end) if answer else -1
    if start < 0:
        return Pair(question, answer, document.id, part.start, part.end, part.of(document.text))
    return Pair(question, answer, document.id, start, start + len(answer), answer)
