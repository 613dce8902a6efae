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
from bonanza.interfaces import CallLedger
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
        """The text without the key, which servers echo, and without halves of characters, which no file can hold."""
        whole = text.encode("utf-8", "replace").decode()
        return whole.replace(self.key, HIDDEN) if self.key else whole

    def shown(self, text: str) -> str:
        """What a server says, as people see it."""
        return self.hidden(text)[:LONGEST_CAUSE]


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

    async def send(self, messages: Messages, dialect: Dialect, _number: int) -> Response | Fault:
        """Ask once."""
        if self._client is None:
            self._client = opened(self._endpoint, self._connection)
        parameters = dialect.parameters(self._server.answer_tokens, self._server.temperature)
        try:
            async with asyncio.timeout(self._connection.timeout):
                return await self._sent(messages, parameters)
        except failures() as error:
            return fault_of(error, self._endpoint, self._connection)

    async def _sent(self, messages: Messages, parameters: Mapping[str, Any]) -> Response | Fault:
        create = self._client.chat.completions.with_streaming_response.create
        body = {"messages": messages, **parameters}  # as it is: the client's own conversion takes as long as the call
        async with create(model=self._endpoint.model, messages=[], extra_body=body) as response:
            received = bytearray()
            async for part in response.iter_bytes():
                received += part
                if len(received) > LONGEST_ANSWER:
                    return Fault("broken", f"an answer of more than {LONGEST_ANSWER:,} bytes", "all")
            answer = understood(bytes(received), messages, self._endpoint, self._server)
            return answer if isinstance(answer, Fault) else Response(answer, response.headers)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()


def understood(body: bytes, messages: Messages, endpoint: Endpoint, server: ServerSettings) -> Answer | Fault:
    """The answer in the body of a response."""
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = choice["message"]
        text = _text(message.get("content"))
        refused = message.get("refusal") or choice.get("finish_reason") == "content_filter"
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        shown = body[:LONGEST_CAUSE].decode("utf-8", "replace")
        return Fault("broken", endpoint.shown(f"a response that is no chat completion: {shown}"), "all")
    finish: Finish = "refused" if refused else "length" if choice.get("finish_reason") == "length" else "stop"
    text = endpoint.hidden(_text(message.get("refusal")) if refused and not text else text)
    expected = Usage(expected_tokens(messages), min(_tokens(text), server.answer_tokens))
    most = Usage(most_tokens(messages), server.answer_tokens)
    usage = _believed(completion.get("usage"), expected, most)
    return Answer(text, finish, usage or expected, usage is None)


def charge(fault: Fault, messages: Messages, server: ServerSettings) -> Usage:
    """What a call without an answer must be taken to have cost."""
    output = server.answer_tokens if fault.charged == "all" else 0
    return Usage() if fault.charged == "nothing" else Usage(expected_tokens(messages), output)


async def keep(
    ledger: CallLedger, number: int, messages: Messages, result: Response | Fault, server: ServerSettings
) -> None:
    """Write down what came of a call."""
    if isinstance(result, Response):
        await ledger.answered(number, result.answer)
    else:
        await ledger.failed(number, result.cause, charge(result, messages, server))


def failures() -> tuple[type[Exception], ...]:
    """What the client raises when a request fails; all else is our mistake."""
    import httpx2
    import openai

    return openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, OSError, ValueError


def fault_of(error: Exception, endpoint: Endpoint, connection: ConnectionSettings) -> Fault:
    """What one of the `failures` means."""
    import openai

    if isinstance(error, TimeoutError):
        return Fault("broken", f"no whole answer within {connection.timeout:g} s", "all")
    if isinstance(error, openai.APIStatusError):
        said = error.response.text or error.message
        return refusal(error.status_code, error.body, said, error.response.headers, endpoint)
    if isinstance(error, openai.APIConnectionError):
        return _broken_connection(error, endpoint)
    return Fault("broken", endpoint.shown(f"the answer broke off ({type(error).__name__}: {error})"), "all")


def refusal(status: int, details: object, text: str, headers: Mapping[str, str], endpoint: Endpoint) -> Fault:
    """What an error status means; `details` are OpenAI's, `text` stands in for them where a server gives none."""
    body = details if isinstance(details, dict) else {}
    code = str(body.get("code") or body.get("type") or "")
    cause = endpoint.shown(f"HTTP {status}: {body.get('message') or text}")
    wait = _retry_after(headers)
    if status in (401, 402, 403, 404) or 300 <= status < 400 or code == "insufficient_quota":
        return Fault("fatal", cause, "nothing", status)
    if status == 429 or (status == 503 and wait is not None):
        return Fault("busy", cause, "nothing" if status == 429 else "prompt", status, wait)
    if status in (408, 409) or status >= 500:
        return Fault("broken", cause, "prompt", status, wait)
    return Fault("rejected", cause, "nothing", status)


def _broken_connection(error: Exception, endpoint: Endpoint) -> Fault:
    """A request that never reached the server is free; of any other the server may have written all."""
    import aiohttp
    import httpx2

    causes = _causes(error)
    # Not ConnectTimeout: the client's transport raises it for servers that hang up without an answer, too.
    unsent = any(isinstance(cause, aiohttp.ClientConnectorError | httpx2.PoolTimeout) for cause in causes)
    what = "no connection" if unsent else "the connection broke"
    cause = str(causes[1]) or type(causes[1]).__name__ if len(causes) > 1 else str(error)
    return Fault("broken", endpoint.shown(f"{what} ({cause})"), "nothing" if unsent else "all")


def _causes(error: BaseException) -> list[BaseException]:
    """The error, what caused it, and so on."""
    return [error] + (_causes(error.__cause__) if error.__cause__ else [])


def opened(endpoint: Endpoint, connection: ConnectionSettings) -> Any:
    """The official client. Made inside the event loop that uses it."""
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
