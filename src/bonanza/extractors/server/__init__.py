"""Reading by a language model behind any OpenAI-compatible server: OpenAI, vLLM, SGLang, llama.cpp, Ollama, proxies.

A document is cut into chunks that overlap; each chunk is a call, with a second one where the first answer cannot be
used, and one more with the refining pass. Every call is in the ledger before it is sent and when it is answered.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from bonanza.algorithms.chunking import Chunk, split_text
from bonanza.extractors.server.answers import FoundPair, Parsed, parse_answer
from bonanza.extractors.server.calls import Asked, Caller
from bonanza.extractors.server.client import Endpoint, expected_tokens
from bonanza.extractors.server.prompts import Messages, Prompts
from bonanza.interfaces import CallLedger, Purse
from bonanza.records import Answer, Document, Pair, Reading, ReadingStatus, Usage, content_id
from bonanza.settings import ConnectionSettings, ServerSettings

MOST_BYTES_PER_TOKEN = 8  # of an answer that refining sees; most tokens are no longer than a word [ours]
LONGEST_DETAIL = 2_000  # characters of an unusable answer that the reading shows; the journal holds all of it
# Of several chunks without any pair the first of these names the reading
WORST_FIRST: tuple[ReadingStatus, ...] = ("failed", "truncated", "unparsable", "refused", "empty")
_DECLINES = re.compile(
    r"\s*(?:i'?m sorry|i am sorry|sorry,|i can(?:'|no)t|i cannot|i won't|i am unable)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Read:
    """What came of a chunk."""

    status: ReadingStatus
    pairs: tuple[Pair, ...]
    usage: Usage
    estimated: bool
    detail: str = ""


class ServerExtractor:
    """Has a server extract pairs; many documents at a time."""

    def __init__(
        self, endpoint: Endpoint, prompts: Prompts, server: ServerSettings, connection: ConnectionSettings,
        ledger: CallLedger, purse: Purse,
    ) -> None:  # fmt: skip
        self._prompts, self._settings, self._endpoint = prompts, server, endpoint
        self._caller = Caller(endpoint, server, connection, ledger, purse)
        self.name = f"openai:{endpoint.model}/{prompts.id}/{content_id(repr(server))}"

    def worst_case(self, document: Document) -> Usage:
        """A call for each chunk, and one more where pairs are mended. Tries beyond these reserve for themselves."""
        chunks = self._chunks(document)
        calls = [self._caller.most(self._extraction(document, chunk)) for chunk in chunks]
        if self._settings.mend:
            calls += [self._refining(document, chunk) for chunk in chunks]
        return sum(calls, Usage())

    def _refining(self, document: Document, chunk: Chunk) -> Usage:
        """The most that refining can take: the pairs that it sees are an answer of at most the longest length."""
        bare = self._caller.most(self._prompts.mending(chunk.of(document.text), ()))
        return bare + Usage(self._settings.answer_tokens * MOST_BYTES_PER_TOKEN)

    def prompt_tokens(self, document: Document) -> int:
        """Of one call for each chunk."""
        chunks = self._chunks(document)
        return sum(expected_tokens(self._extraction(document, chunk)) for chunk in chunks)

    async def read(self, document: Document) -> Reading:
        """Read all chunks; one unusable chunk does not lose the pairs of the others."""
        read = await _together([self._chunk(document, chunk) for chunk in self._chunks(document)])
        pairs = tuple(dict.fromkeys(pair for one in read for pair in one.pairs))
        statuses = Counter(one.status for one in read)
        status = "ok" if pairs else next(status for status in WORST_FIRST if statuses[status])
        usage, estimated = sum((one.usage for one in read), Usage()), any(one.estimated for one in read)
        return Reading(document.id, status, pairs, usage, detail=_detail(read), estimated=estimated)

    async def _chunk(self, document: Document, chunk: Chunk) -> _Read:
        messages = self._extraction(document, chunk)
        asked = await self._caller.ask(document.id, messages)
        if asked.answer is None:
            return _Read("failed", (), asked.usage, True, asked.cause)
        if asked.answer.finish == "refused":
            return _Read("refused", (), asked.usage, asked.estimated, asked.answer.text)
        parsed = _parsed(asked.answer)
        if parsed.problem and asked.answer.finish == "stop":
            return await self._again(document, chunk, messages, asked, parsed.problem)
        return await self._usable(document, chunk, asked.answer, parsed, asked)

    async def _again(self, document: Document, chunk: Chunk, messages: Messages, asked: Asked, problem: str) -> _Read:
        """Ask once more, with what was wrong."""
        assert asked.answer is not None
        refused = _DECLINES.match(asked.answer.text) is not None
        useless: ReadingStatus = "refused" if refused else "unparsable"
        shown = f"{problem}: {asked.answer.text}"
        if refused:
            return _Read(useless, (), asked.usage, asked.estimated, shown)
        messages = self._prompts.once_more(messages, asked.answer.text, problem)
        if not await self._caller.can_ask_more(document.id, messages):
            return _Read(useless, (), asked.usage, asked.estimated, f"no budget to ask again; {shown}")
        second = _added(asked.usage, await self._caller.ask(document.id, messages))
        if second.answer is None or (parsed := _parsed(second.answer)).problem:
            text = second.answer.text if second.answer else second.cause
            return _Read(useless, (), second.usage, second.estimated, f"{problem}: {text}")
        return await self._usable(document, chunk, second.answer, parsed, second)

    async def _usable(self, document: Document, chunk: Chunk, answer: Answer, parsed: Parsed, asked: Asked) -> _Read:
        """The pairs of an answer, mended if that is wanted."""
        if self._settings.mend and parsed.pairs:
            messages = self._prompts.mending(chunk.of(document.text), parsed.pairs)
            asked = _added(asked.usage, await self._caller.ask(document.id, messages))
            mended = _parsed(asked.answer) if asked.answer else None
            parsed = mended if mended and mended.pairs else parsed
        cut_off = answer.finish == "length"
        pairs = tuple(self._located(pair, document, chunk) for pair in parsed.pairs)
        status: ReadingStatus = "ok" if pairs else "truncated" if cut_off else "empty"
        notes = [f"{parsed.left_out} pairs of the answer could not be used"] * (parsed.left_out > 0)
        notes += [f"answer cut off at {self._settings.answer_tokens} tokens"] * cut_off
        return _Read(status, pairs, asked.usage, asked.estimated, "; ".join(notes))

    def _located(self, pair: FoundPair, document: Document, chunk: Chunk) -> Pair:
        """The pair, and where its evidence stands in the whole document."""
        hidden = self._endpoint.hidden
        sides = hidden(pair.question), hidden(pair.answer)
        place = find_quote(document.text, pair.evidence, chunk.start, chunk.end)
        if place is None:
            return Pair(*sides, document.id, evidence=hidden(pair.evidence))
        start, end = place
        return Pair(*sides, document.id, start, end, document.text[start:end])

    def _chunks(self, document: Document) -> list[Chunk]:
        """The pieces of a document; one that repeats another to the letter would give the same pairs."""
        settings, text = self._settings, document.text
        chunks = split_text(text, settings.chunk_characters, settings.overlap_characters)
        return list({chunk.of(text): chunk for chunk in reversed(chunks)}.values())[::-1]

    def _extraction(self, document: Document, chunk: Chunk) -> Messages:
        return self._prompts.extraction(chunk.of(document.text), self._settings.pairs_per_chunk)

    async def settle(self) -> None:
        """Wait a moment for calls under way."""
        await self._caller.settle()

    async def close(self) -> None:
        """Close connections."""
        await self._caller.close()


def find_quote(text: str, quote: str, start: int, end: int) -> tuple[int, int] | None:
    r"""Where a quote stands in a text: exactly, or with other white space between its words.

    >>> find_quote("The crew\n sails at dawn.", "crew sails", 0, 24)
    (4, 15)
    """
    if not quote:
        return None
    if (place := text.find(quote, start, end)) >= 0:
        return place, place + len(quote)
    words = quote.split()
    match = re.compile(r"\s+".join(map(re.escape, words))).search(text, start, end) if words else None
    return match.span() if match else None


def _parsed(answer: Answer) -> Parsed:
    return parse_answer(answer.text, cut_off=answer.finish == "length")


def _added(before: Usage, asked: Asked) -> Asked:
    return Asked(asked.answer, before + asked.usage, asked.estimated, asked.cause)


def _detail(read: Sequence[_Read]) -> str:
    """What a person should know of chunks that gave less than they could."""
    told = [one.detail for one in read if one.detail]
    parts = f"{len(told)} of {len(read)} chunks: " if len(read) > 1 and told else ""
    return (parts + "; ".join(dict.fromkeys(told)))[:LONGEST_DETAIL]


async def _together(work: Sequence[Coroutine[Any, Any, _Read]]) -> list[_Read]:
    """All results; if one raises, the others are given up."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
