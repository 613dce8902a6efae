"""A look at a server before a run pays for anything: which models it lists, and how one call is best put to it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from bonanza.extractors.server.answers import parse_answer
from bonanza.extractors.server.client import Client, Endpoint, Response, failures, fault_of, opened
from bonanza.extractors.server.dialect import Dialect
from bonanza.extractors.server.faults import Fault
from bonanza.extractors.server.prompts import Messages, load_prompts
from bonanza.records import Answer
from bonanza.settings import ConnectionSettings, ServerSettings

TEXT = "The lighthouse of Cape Alder is 31 metres high. It was built of granite in 1871."
LONGEST_LIST = 8_000_000  # bytes; proxies list thousands of models


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one question, put in as many ways as the server wanted."""

    answer: Answer | Fault  # the last
    dialect: Dialect  # how it was put then
    pairs: int  # that stand in the answer
    problem: str  # why none do
    seconds: float


def sample_question() -> Messages:
    """The question: pairs of a text of two sentences."""
    return load_prompts(None).extraction(TEXT, 1)


async def listed_models(endpoint: Endpoint, connection: ConnectionSettings) -> list[str] | Fault:
    """The models that a server says it has; costs nothing."""
    client = opened(endpoint, connection)
    try:
        async with asyncio.timeout(connection.timeout):
            async with client.models.with_streaming_response.list() as response:
                return _models(await _body(response), endpoint)
    except failures() as error:
        return fault_of(error, endpoint, connection)
    finally:
        await client.close()


async def _body(response: Any) -> bytes:
    received = bytearray()
    async for part in response.iter_bytes():
        received += part
        if len(received) > LONGEST_LIST:
            break
    return bytes(received)


def _models(body: bytes, endpoint: Endpoint) -> list[str] | Fault:
    """The names in a list of models, as OpenAI writes it or without its frame."""
    try:
        listed = json.loads(body)
        return [endpoint.shown(str(model["id"])) for model in (listed["data"] if isinstance(listed, dict) else listed)]
    except (ValueError, KeyError, TypeError, RecursionError):
        shown = body[:200].decode("utf-8", "replace")
        return Fault("broken", endpoint.shown(f"what it sends is no list of models: {shown}"), status=200)


async def tried(endpoint: Endpoint, server: ServerSettings, connection: ConnectionSettings) -> Tried:
    """Ask once; where a server does not take the way it is put, ask in the next one. What is turned away is free."""
    client, messages, dialect = Client(endpoint, server, connection), sample_question(), Dialect()
    try:
        while True:
            began = time.monotonic()
            result = await client.send(messages, dialect, 0)
            following = _following(dialect, result)
            if following is None:
                return _tried(result, dialect, time.monotonic() - began)
            dialect = following
    finally:
        await client.close()


def _following(dialect: Dialect, result: Response | Fault) -> Dialect | None:
    """As a run does: servers answer 400, some 500, to what they do not understand."""
    if isinstance(result, Response) or result.kind not in ("rejected", "broken") or result.status is None:
        return None
    return dialect.after(result.cause) or dialect.plainer()


def _tried(result: Response | Fault, dialect: Dialect, seconds: float) -> Tried:
    if isinstance(result, Fault):
        return Tried(result, dialect, 0, result.cause, seconds)
    parsed = parse_answer(result.answer.text, cut_off=result.answer.finish == "length")
    return Tried(result.answer, dialect, len(parsed.pairs), parsed.problem, seconds)
