"""Predictive entropy by a server that says how likely the tokens of a prompt are: vLLM, and others in its manner.

Asked for is a completion that repeats its prompt with log-probabilities ("echo"); vLLM's own "prompt_logprobs" where a
server does not do that. OpenAI itself gives neither. A probe comes first, for there are servers whose log-probabilities
stand one token off (llama.cpp's Python server, with models that begin without a mark): these are refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

from bonanza.errors import EndpointError, EndpointRefusedError, MissingExtraError
from bonanza.interfaces import Passage, Score
from bonanza.records import estimated_tokens
from bonanza.scorers.templates import Piece, PlainTemplate
from bonanza.settings import ConnectionSettings

AT_A_TIME = 8  # [ours] requests; every one makes the server read a whole prompt
NAN = float("nan")
PROBE = "The capital of France is Paris. The capital of Italy is"
FARTHEST = 64  # characters that a token whose text is not told may take
MOST_APART = 0.5  # nats between two statements of one log-probability; a server's rounding stays far below

TokenLosses = list[tuple[str, float | None]]  # each token's text, and its log-probability; None where unknown


class _NotAcceptedError(Exception):
    """The server does not take the question: an option that it does not know, or a prompt that is too long."""


class ServerScorer:
    """Sends prompts as plain text; the tokens whose text ends inside a response are the response's."""

    def __init__(self, model: str, connection: ConnectionSettings, key: str | None) -> None:
        self._model, self._connection, self._key = model, connection, key
        self._client = _client(connection, key)
        self._template = PlainTemplate()
        self._read: Callable[[str], TokenLosses] | None = None  # what the server understands
        self.name = f"openai:{model}@{connection.base_url or os.environ.get('OPENAI_BASE_URL')}/plain"

    def score(self, passages: Sequence[Passage]) -> Iterator[Mapping[int, Score]]:
        """Yield scores one by one, as they come."""
        if not passages:
            return
        self._read = read = self._read or self._understood()
        with ThreadPoolExecutor(min(AT_A_TIME, self._connection.concurrency)) as pool:
            futures = {pool.submit(self._score, passage, read): position for position, passage in enumerate(passages)}
            try:
                for future in as_completed(futures):
                    yield {futures[future]: future.result()}
            finally:
                for future in futures:
                    future.cancel()

    def _score(self, passage: Passage, read: Callable[[str], TokenLosses]) -> Score:
        """Where the prompt is not accepted, it is too long: the last knowledge goes, then the one before it."""
        for count in range(len(passage.knowledge), -1, -1):
            pieces = self._template.pieces(replace(passage, knowledge=passage.knowledge[:count]))
            try:
                losses = read("".join(text for text, _ in pieces))
            except _NotAcceptedError:
                continue
            return _score_of(losses, pieces, sum(map(estimated_tokens, passage.knowledge[count:])))
        return Score(NAN, 0, sum(map(estimated_tokens, passage.knowledge)))

    def _understood(self) -> Callable[[str], TokenLosses]:
        """The way of asking that the server understands.

        Raises
        ------
        EndpointRefusedError
            If it understands none, or says what cannot be.
        """
        said = ""
        for read in (self._echoed, self._vllm):
            try:
                told = read(PROBE)
                if PROBE[len(PROBE) // 2 :] in "".join(text for text, _ in told):
                    self._require_right(read, told)
                    return read
            except _NotAcceptedError as error:
                said = f" It said: {error}"
        raise EndpointRefusedError(
            f"{self._client.base_url} gives no log-probabilities of a prompt's tokens.{said} Use a server that does "
            "(vLLM), or --lm local or hf:PATH."
        )

    def _require_right(self, read: Callable[[str], TokenLosses], told: TokenLosses) -> None:
        """What the server itself would say next must be as likely when it reads it in a prompt."""
        text, expected = next(iter(_told(self._asked(PROBE, {"logprobs": 1}))), ("", None))
        again = read(PROBE + text)
        same_tokens = [token for token, _ in again] == [token for token, _ in [*told, (text, expected)]]
        if expected is None or not same_tokens:  # the text makes other tokens of the prompt: nothing to compare
            return
        found = again[-1][1]
        if found is None or abs(found - expected) > MOST_APART:
            raise EndpointRefusedError(
                f"{self._client.base_url}: the log-probabilities of a prompt's tokens are wrong ({found} for a token "
                f"that has {expected:.2f}), as if they stood one token off. Use another server (vLLM), or --lm local "
                "or hf:PATH."
            )

    def _echoed(self, prompt: str) -> TokenLosses:
        answer = self._asked(prompt, {"echo": True, "logprobs": 1})
        usage = answer.get("usage")
        return _told(answer)[: usage.get("prompt_tokens") if isinstance(usage, dict) else None]

    def _vllm(self, prompt: str) -> TokenLosses:
        entries = _choice(self._asked(prompt, {"prompt_logprobs": 0})).get("prompt_logprobs") or []
        chosen = [next(iter(entry.values())) if entry else {} for entry in entries]
        return [(str(token.get("decoded_token") or ""), token.get("logprob")) for token in chosen]

    def _asked(self, prompt: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """A completion of one token; nothing if it is none.

        Raises
        ------
        _NotAcceptedError
            If the server does not like the question.
        EndpointError
            If the server is gone.
        """
        import openai

        body = {"model": self._model, "prompt": prompt, "max_tokens": 1, "temperature": 0, **more}
        try:
            answer = self._client.post("/completions", cast_to=object, body=body)
        except openai.OpenAIError as error:
            status, why = getattr(error, "status_code", None), self._without_key(str(error))
            if status in (400, 413, 422):
                raise _NotAcceptedError(why) from None
            kind = EndpointRefusedError if status in (401, 403, 404) else EndpointError
            raise kind(f"{self._client.base_url}: {type(error).__name__}: {why}") from None
        except ValueError:  # what it sends is not JSON
            return {}
        return answer if isinstance(answer, dict) else {}

    def _without_key(self, text: str) -> str:
        return (text.replace(self._key, "[key]") if self._key else text)[:300]


def _client(connection: ConnectionSettings, key: str | None) -> Any:
    try:
        import openai
    except ImportError:
        raise MissingExtraError("--lm openai:MODEL", "server") from None
    return openai.OpenAI(
        api_key=key or "none", base_url=connection.base_url, max_retries=connection.retries, timeout=connection.timeout
    )


def _choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _told(answer: Mapping[str, Any]) -> TokenLosses:
    """The tokens that a completion tells the log-probabilities of."""
    logprobs = _choice(answer).get("logprobs") or {}
    return list(zip(logprobs.get("tokens") or [], logprobs.get("token_logprobs") or [], strict=False))


def _score_of(losses: TokenLosses, pieces: Sequence[Piece], cut: int) -> Score:
    scored = [loss for (_, loss), of_response in zip(losses, _responses(losses, pieces), strict=True) if of_response]
    known = [loss for loss in scored if loss is not None]
    return Score(-sum(known) / len(known) if known else NAN, len(scored), cut)


def _responses(losses: TokenLosses, pieces: Sequence[Piece]) -> list[bool]:
    """Which tokens end inside a response."""
    flags, end = [], 0
    for text, scored in pieces:
        flags += [scored] * len(text)
        end += len(text)
    places = token_ends([text for text, _ in losses], "".join(text for text, _ in pieces))
    return [0 < place <= end and flags[place - 1] for place in places]


def token_ends(texts: Sequence[str], prompt: str) -> list[int]:
    r"""Where each token ends in a prompt, by the tokens' texts.

    Some texts are not in the prompt: marks of its beginning, parts of characters, texts that were not told. Such a
    token ends where the next that is found begins. Tokens that come after the prompt end beyond it.

    >>> token_ends(["<s>", "a", " b", "\ufffd", "\ufffd", "."], "a b\u00e9.")
    [0, 1, 3, 4, 4, 5]
    """
    ends: list[int] = []
    place = 0
    for number, text in enumerate(texts):
        farthest = place + len(text) + FARTHEST + number - len(ends)
        start = prompt.find(text, place, farthest) if text else -1
        if start >= 0:
            ends += [start] * (number - len(ends)) + [start + len(text)]
            place = start + len(text)
    return ends + [len(prompt) + (place == len(prompt))] * (len(texts) - len(ends))
