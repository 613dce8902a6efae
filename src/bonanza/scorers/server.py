"""Predictive entropy by a server that says how likely the tokens of a prompt are: vLLM, llama.cpp's Python server.

Asked for is a completion that repeats its prompt with log-probabilities ("echo"); vLLM's own "prompt_logprobs" where a
server does not do that. OpenAI itself gives neither.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from bonanza.errors import EndpointError, EndpointRefusedError, MissingExtraError
from bonanza.interfaces import Passage, Score
from bonanza.scorers.templates import Piece, PlainTemplate
from bonanza.settings import ConnectionSettings

AT_A_TIME = 8  # [ours] requests; every one makes the server read a whole prompt
NAN = float("nan")

TokenLosses = list[tuple[str, float | None]]  # each token's text, and its log-probability; None where unknown


class ServerScorer:
    """Sends prompts as plain text; the tokens whose text ends inside a response are the response's."""

    def __init__(self, model: str, connection: ConnectionSettings, key: str | None) -> None:
        self._model, self._connection = model, connection
        self._client = _client(connection, key)
        self._template = PlainTemplate()
        self._read: Callable[[str], TokenLosses] | None = None  # what the server understands
        self.name = f"openai:{model}@{connection.base_url or os.environ.get('OPENAI_BASE_URL')}/plain"

    def score(self, passages: Sequence[Passage]) -> Iterator[Mapping[int, Score]]:
        """Yield scores one by one, as they come."""
        with ThreadPoolExecutor(min(AT_A_TIME, self._connection.concurrency)) as pool:
            futures = {pool.submit(self._score, passage): position for position, passage in enumerate(passages)}
            try:
                for future in as_completed(futures):
                    yield {futures[future]: future.result()}
            finally:
                for future in futures:
                    future.cancel()

    def _score(self, passage: Passage) -> Score:
        pieces = self._template.pieces(passage)
        losses = self._losses("".join(text for text, _ in pieces))
        scored = [loss for loss, of_response in zip(losses, _responses(losses, pieces), strict=True) if of_response]
        known = [loss for _, loss in scored if loss is not None]
        return Score(-sum(known) / len(known) if known else NAN, len(scored))

    def _losses(self, prompt: str) -> TokenLosses:
        """Ask in the way that the server understands, which the first prompt finds out.

        Raises
        ------
        EndpointRefusedError
            If it understands none.
        """
        for read in (self._read,) if self._read else (self._echoed, self._vllm):
            if losses := read(prompt):
                self._read = read
                return losses
        raise EndpointRefusedError(
            f"{self._client.base_url} gives no log-probabilities of a prompt's tokens. Use a server that does (vLLM; "
            "llama.cpp's Python server started with --logits_all true), or --lm local or hf:PATH."
        )

    def _echoed(self, prompt: str) -> TokenLosses:
        logprobs = self._asked(prompt, {"echo": True, "logprobs": 1}).get("logprobs") or {}
        tokens, values = logprobs.get("tokens") or [], logprobs.get("token_logprobs") or []
        losses = list(zip(tokens, values, strict=False))
        return losses if "".join(tokens).startswith(prompt) or _covers(losses, prompt) else []

    def _vllm(self, prompt: str) -> TokenLosses:
        entries = self._asked(prompt, {"prompt_logprobs": 0}).get("prompt_logprobs") or []
        chosen = [next(iter(entry.values())) if entry else {} for entry in entries]
        losses = [(str(token.get("decoded_token") or ""), token.get("logprob")) for token in chosen]
        return losses if _covers(losses, prompt) else []

    def _asked(self, prompt: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """The first choice of a completion; nothing if the server does not like the question.

        Raises
        ------
        EndpointError
            If the server is gone.
        """
        import openai

        body = {"model": self._model, "prompt": prompt, "max_tokens": 1, "temperature": 0, **more}
        try:
            answer = self._client.post("/completions", cast_to=object, body=body)
            choice = answer["choices"][0]
        except (openai.BadRequestError, openai.UnprocessableEntityError, KeyError, IndexError, TypeError):
            return {}
        except openai.OpenAIError as error:
            kind = EndpointRefusedError if getattr(error, "status_code", None) in (401, 403, 404) else EndpointError
            raise kind(f"{self._client.base_url}: {type(error).__name__}: {str(error)[:300]}") from None
        return choice if isinstance(choice, dict) else {}


def _client(connection: ConnectionSettings, key: str | None) -> Any:
    try:
        import openai
    except ImportError:
        raise MissingExtraError("--lm openai:MODEL", "server") from None
    return openai.OpenAI(
        api_key=key or "none", base_url=connection.base_url, max_retries=connection.retries, timeout=connection.timeout
    )


def _covers(losses: TokenLosses, prompt: str) -> bool:
    """Whether the tokens are the prompt's: their texts may begin with a mark, or hold broken characters."""
    length = sum(len(text) for text, _ in losses)
    return sum(loss is not None for _, loss in losses) > 1 and length >= 0.9 * len(prompt)


def _responses(losses: TokenLosses, pieces: Sequence[Piece]) -> list[bool]:
    """Which tokens end inside a response."""
    ends, end = [], 0
    for text, scored in pieces:
        end += len(text)
        ends.append((end, scored))
    flags, place = [], 0
    for text, _ in losses:
        place += len(text)
        flags.append(next((scored for end, scored in ends if place <= end), False))
    return flags
