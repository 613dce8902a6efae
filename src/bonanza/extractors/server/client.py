"""One call to an OpenAI-compatible server by the official client; whatever happens becomes an answer or a fault.

The client's own retries are off: they would escape the ledger. Redirects are not followed: a key goes to one host only.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from bonanza.errors import MissingExtraError
from bonanza.extractors.server.dialect import Dialect
from bonanza.extractors.server.faults import Fault
from bonanza.extractors.server.gate import seconds_of
from bonanza.extractors.server.prompts import Messages
from bonanza.records import Answer, Finish, Usage
from bonanza.settings import ConnectionSettings, ServerSettings

LONGEST_ANSWER = 32_000_000  # bytes of a response; more is not listened to
LONGEST_CAUSE = 500  # characters of a server's message
BYTES_PER_TOKEN = 4  # usual estimate for English; for other scripts it is on the safe side
TOKENS_PER_MESSAGE = 8  # roles and separators that a chat template adds
LEAST_BELIEVED = 0.25  # [ours] of the estimate; a server that reports less than a quarter of it has not counted
HIDDEN = "[key]"


@dataclass(frozen=True)
class Endpoint:
    """Where answers come from."""

    model: str
    url: str | None  # None: the client's own, OpenAI
    key: str | None = field(repr=False)

    def hidden(self, text: str) -> str:
        """The text without the key: servers echo."""
        return text.replace(self.key, HIDDEN) if self.key else text


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, and what the server says of its limits."""

    answer: Answer
    headers: Mapping[str, str]


class Client:
    """Sends chat completions."""

    def __init__(self, endpoint: Endpoint, server: ServerSettings, connection: ConnectionSettings) -> None:
        self._endpoint, self._server, self._connection = endpoint, server, connection
        self._client: Any = None  # made inside the event loop that uses it

    async def send(self, messages: Messages, dialect: Dialect) -> Response | Fault:
        """Ask once."""
        import httpx2
        import openai

        if self._client is None:
            self._client = _opened(self._endpoint, self._connection)
        parameters = dialect.parameters(self._server.answer_tokens, self._server.temperature)
        try:
            async with asyncio.timeout(self._connection.timeout):
                return await self._sent(messages, parameters)
        except (TimeoutError, openai.APITimeoutError):
            return Fault("broken", f"no whole answer within {self._connection.timeout:g} s", "all")
        except openai.APIStatusError as error:
            return self._refusal(error)
        except openai.APIConnectionError as error:
            return self._broken_connection(error)
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, OSError, ValueError) as error:
            return Fault("broken", self._shown(f"the answer broke off ({type(error).__name__}: {error})"), "all")

    async def _sent(self, messages: Messages, parameters: Mapping[str, Any]) -> Response | Fault:
        create = self._client.chat.completions.with_streaming_response.create
        async with create(model=self._endpoint.model, messages=messages, **parameters) as response:
            body = bytearray()
            async for part in response.iter_bytes():
                body += part
                if len(body) > LONGEST_ANSWER:
                    return Fault("broken", f"an answer of more than {LONGEST_ANSWER:,} bytes", "all")
            return self._understood(bytes(body), messages, response.headers)

    def _understood(self, body: bytes, messages: Messages, headers: Mapping[str, str]) -> Response | Fault:
        """The answer in the body of a response."""
        try:
            completion = json.loads(body)
            choice = completion["choices"][0]
            message = choice["message"]
            text = _text(message.get("content"))
            refused = message.get("refusal") or choice.get("finish_reason") == "content_filter"
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            shown = body[:LONGEST_CAUSE].decode("utf-8", "replace")
            return Fault("broken", self._shown(f"a response that is no chat completion: {shown}"), "all")
        finish: Finish = "refused" if refused else "length" if choice.get("finish_reason") == "length" else "stop"
        text = self._endpoint.hidden(_text(message.get("refusal")) if refused and not text else text)
        expected = Usage(expected_tokens(messages), min(_tokens(text), self._server.answer_tokens))
        most = Usage(most_tokens(messages), self._server.answer_tokens)
        usage = _believed(completion.get("usage"), expected, most)
        return Response(Answer(text, finish, usage or expected, usage is None), headers)

    def _refusal(self, error: Any) -> Fault:
        """What a response with an error status means."""
        status, body = error.status_code, error.body if isinstance(error.body, dict) else {}
        code = str(body.get("code") or body.get("type") or "")
        said = body.get("message") or error.response.text or error.message
        cause = self._shown(f"HTTP {status}: {said}")
        wait = _retry_after(error.response.headers)
        if status in (401, 402, 403, 404) or 300 <= status < 400 or code == "insufficient_quota":
            return Fault("fatal", cause, "nothing", status)
        if status == 429 or (status == 503 and wait is not None):
            return Fault("busy", cause, "nothing", status, wait)
        if status in (408, 409) or status >= 500:
            return Fault("broken", cause, "prompt", status, wait)
        return Fault("rejected", cause, "nothing", status)

    def _broken_connection(self, error: Exception) -> Fault:
        """A request that never reached the server is free; of any other the server may have written all."""
        import httpx2

        cause = error.__cause__ or error
        unsent = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
        what = "no connection" if unsent else "the connection broke"
        return Fault("broken", self._shown(f"{what} ({cause or type(cause).__name__})"), "nothing" if unsent else "all")

    def _shown(self, text: str) -> str:
        return self._endpoint.hidden(text)[:LONGEST_CAUSE]

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()


def _opened(endpoint: Endpoint, connection: ConnectionSettings) -> Any:
    import httpx2
    import openai

    limits = httpx2.Limits(max_connections=connection.concurrency, max_keepalive_connections=connection.concurrency)
    try:
        transport = openai.DefaultAioHttpClient(limits=limits, follow_redirects=False, timeout=connection.timeout)
    except RuntimeError:
        raise MissingExtraError("--llm openai:MODEL", "server") from None
    return openai.AsyncOpenAI(
        api_key=endpoint.key or "none",  # the client insists on one; local servers do not look
        base_url=endpoint.url, max_retries=0, http_client=transport, timeout=connection.timeout,
    )  # fmt: skip


def _text(content: Any) -> str:
    """A message's content: text, or a list of parts with text."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def expected_tokens(messages: Messages) -> int:
    """Prompt tokens that a request is likely to take: a token for every four bytes.

    >>> expected_tokens([{"role": "user", "content": "Why do ships float?"}])
    13
    """
    return sum(_tokens(message["content"]) + TOKENS_PER_MESSAGE for message in messages)


def most_tokens(messages: Messages) -> int:
    """Prompt tokens that a request can take at most: no tokenizer makes more than one of a byte.

    >>> most_tokens([{"role": "user", "content": "Why do ships float?"}])
    27
    """
    return sum(len(message["content"].encode("utf-8", "replace")) + TOKENS_PER_MESSAGE for message in messages)


def _believed(reported: Any, expected: Usage, most: Usage) -> Usage | None:
    """The usage that a server reports, if it can be true; None if it must be reckoned."""
    given = reported if isinstance(reported, dict) else {}
    prompt, written = given.get("prompt_tokens"), given.get("completion_tokens")
    if type(prompt) is not int or type(written) is not int:
        return None
    believed = expected.input_tokens * LEAST_BELIEVED <= prompt <= most.input_tokens
    return Usage(prompt, written) if believed and _may_be(written, expected, most) else None


def _may_be(written: int, expected: Usage, most: Usage) -> bool:
    return expected.output_tokens * LEAST_BELIEVED <= written <= most.output_tokens


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, by any of the headers in use."""
    if (milliseconds := seconds_of(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    if (seconds := seconds_of(text)) is not None:
        return seconds
    try:
        return max(parsedate_to_datetime(text).timestamp() - time(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
