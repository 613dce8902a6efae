"""Calls by OpenAI's Batch API: all that wait travel as one file, at half the price, and are answered within a day.

A batch may cost something from the moment it is asked for. So it is in the ledger before, under a token that the server
is told as well: whatever becomes of this process, the next one finds the batch by its token, waits for it and keeps its
answers (`collect`). Whoever loses sight of a batch raises, and leaves its calls in the ledger as they are.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic, time
from typing import Any, TypeVar

from bonanza.errors import EndpointError, EndpointRefusedError
from bonanza.extractors.server.client import (
    Endpoint,
    Response,
    failures,
    fault_of,
    keep,
    opened,
    refusal,
    understood,
)
from bonanza.extractors.server.dialect import Dialect
from bonanza.extractors.server.faults import Fault
from bonanza.extractors.server.gate import FIRST_PATIENCE, backoff
from bonanza.extractors.server.prompts import Messages
from bonanza.interfaces import CallLedger, OpenBatch
from bonanza.settings import ConnectionSettings, ServerSettings

MOST_LINES = 50_000  # of a batch [OpenAI's guide]
MOST_BYTES = 100_000_000  # of its file; OpenAI took that much at first, and twice as much now
QUIET_SECONDS = 0.5  # [ours] without another call, after which a batch is made of those that wait
FIRST_LOOK, LONGEST_LOOK = 0.2, 30.0  # [ours] seconds between two looks at a batch; each is twice the one before
LONGEST_BIRTH = 30.0  # [ours] seconds after which a batch that is not listed was never made
LEAST_TELLING = 10  # [ours] lines; if all of so many break, it is not for what they ask
ENDS = ("completed", "failed", "expired", "cancelled")
PATH = "/v1/chat/completions"
LABEL = "bonanza"  # of the token in a batch's metadata
RESUMES = "The same command resumes, and pays for nothing twice."

T = TypeVar("T")
Results = dict[int, Response | Fault]  # by number of the call
Questions = Mapping[int, Messages]


class OpenGate:
    """Stands where a `Gate` stands for single calls: a batch has no pace to keep."""

    everything_fails = False

    def slot(self, _tokens: int) -> AbstractAsyncContextManager[None]:
        """Nobody waits."""
        return nullcontext()

    def succeeded(self, _headers: Mapping[str, str]) -> None:
        """Nothing follows."""

    def failed(self, _fault: Fault) -> None:
        """Nothing follows; `BatchClient` says when a server is gone."""


@dataclass(eq=False)
class _Batch:
    """Calls that travel together."""

    questions: dict[int, Messages] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)  # of its file
    grew: float = 0.0  # when the last call came
    left: int = 0  # calls that nobody waits for any more
    may_be_made: bool = False  # it is in the ledger
    results: asyncio.Task[Results] | None = None

    def takes(self, line: bytes, most_lines: int) -> bool:
        return len(self.questions) < most_lines and len(self.content) + len(line) <= MOST_BYTES

    def add(self, number: int, messages: Messages, line: bytes) -> None:
        self.questions[number], self.grew = messages, monotonic()
        self.content += line

    def leave(self) -> None:
        """Give up waiting for a call; a batch that nobody waits for is not made."""
        self.left += 1
        if self.left == len(self.questions) and not self.may_be_made and self.results:
            self.results.cancel()


class BatchClient:
    """Sends chat completions, as `Client` does, but many as one batch."""

    def __init__(
        self, endpoint: Endpoint, server: ServerSettings, connection: ConnectionSettings, ledger: CallLedger
    ) -> None:
        self._endpoint, self._server, self._connection, self._ledger = endpoint, server, connection, ledger
        self._client: Any = None  # made inside the event loop that uses it
        self._ever = False  # the server has answered something
        self._gathering: _Batch | None = None
        self._under_way: set[asyncio.Task[Results]] = set()
        self._most_lines = MOST_LINES  # fewer once the server has found a batch too large; they then go one by one
        self._turn = asyncio.Lock()

    async def send(self, messages: Messages, dialect: Dialect, number: int) -> Response | Fault:
        """Ask once, as part of a batch; the number is the call's in the ledger.

        Raises
        ------
        EndpointError
            If the server is gone; EndpointRefusedError if it says nothing more of a batch that is under way.
        """
        line = self._line(messages, dialect, number)
        if self._gathering is None or not self._gathering.takes(line, self._most_lines):
            self._gathering = self._begun()
        batch = self._gathering
        batch.add(number, messages, line)
        assert batch.results is not None
        try:
            return (await asyncio.shield(batch.results))[number]
        except asyncio.CancelledError:
            batch.leave()
            raise

    def _line(self, messages: Messages, dialect: Dialect, number: int) -> bytes:
        parameters = dialect.parameters(self._server.answer_tokens, self._server.temperature)
        body = {"model": self._endpoint.model, "messages": messages, **parameters}
        line = {"custom_id": str(number), "method": "POST", "url": PATH, "body": body}
        return json.dumps(line).encode() + b"\n"

    def _begun(self) -> _Batch:
        batch = _Batch()
        batch.results = asyncio.ensure_future(self._results(batch))
        self._under_way.add(batch.results)
        batch.results.add_done_callback(self._under_way.discard)
        return batch

    async def _results(self, batch: _Batch) -> Results:
        """See a batch through, from its first call to its answers."""
        while (left := batch.grew + QUIET_SECONDS - monotonic()) > 0:
            await asyncio.sleep(left)
        if self._gathering is batch:
            self._gathering = None
        async with self._turn if self._most_lines < MOST_LINES else nullcontext():
            made = await self._made(batch)
            if isinstance(made, Fault):
                return dict.fromkeys(batch.questions, replace(made, kind="fatal"))
            return await self._answers(made, batch.questions)

    async def collect(self, batch: OpenBatch) -> None:
        """Wait for the answers that an earlier process asked for, and keep them."""
        questions = {number: json.loads(request)["messages"] for number, request in batch.requests.items()}
        name = batch.id or await self._found(batch.token, batch.created + LONGEST_BIRTH)
        never_made = Fault("busy", "the batch of this call was never made")
        results = await self._answers(name, questions) if name else dict.fromkeys(questions, never_made)
        kept = (keep(self._ledger, number, questions[number], results[number], self._server) for number in questions)
        await asyncio.gather(*kept)

    async def close(self) -> None:
        """Look after batches no longer, and close all connections. What the server works at, it goes on with."""
        under_way = list(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    # Making a batch

    async def _made(self, batch: _Batch) -> str | Fault:
        """Have the server make it; its name there."""
        file = await self._asked(partial(self._uploaded, bytes(batch.content)))
        if isinstance(file, Fault):
            return file
        token, batch.may_be_made = secrets.token_hex(16), True
        await self._ledger.submit(token, list(batch.questions))
        made = await self._made_once(file, token)
        if not isinstance(made, Fault):
            await self._ledger.submitted(token, self._endpoint.hidden(made))
        return made

    async def _made_once(self, file: str, token: str) -> str | Fault:
        """Where no answer comes, look for the batch before asking for it again."""
        for tries in range(1, self._connection.retries + 2):
            made = await self._asked(partial(self._created, file, token), repeatable=False)
            if not isinstance(made, Fault) or made.kind in ("fatal", "rejected"):
                return made
            if found := await self._found(token, time() + LONGEST_BIRTH):
                return found
            cause = f"{made.cause.rstrip('.')}; asked for {tries} times, no batch was made"
        raise EndpointError(f"{cause}. {RESUMES}")

    async def _uploaded(self, content: bytes) -> str:
        create = self._api.files.with_raw_response.create
        response = await create(file=("bonanza.jsonl", content), purpose="batch")
        return str(_object(response.content, "id")["id"])

    async def _created(self, file: str, token: str) -> str:
        create = self._api.batches.with_raw_response.create
        response = await create(input_file_id=file, endpoint=PATH, completion_window="24h", metadata={LABEL: token})
        return str(_object(response.content, "id")["id"])

    async def _found(self, token: str, until: float) -> str | None:
        """The batch that was given this token; one that was asked for just now may take a moment to be listed."""
        while (found := await self._followed(partial(self._listed, token))) is None and time() < until:
            await asyncio.sleep(FIRST_LOOK)
        return found

    async def _listed(self, token: str) -> str | None:
        """Look through all batches of the account."""
        after: dict[str, Any] = {}
        while True:
            response = await self._api.batches.with_raw_response.list(limit=100, **after)
            page = _object(response.content, "data")
            batches = _objects(page["data"])
            if found := next((batch for batch in batches if token in str(batch.get("metadata"))), None):
                return str(found.get("id"))
            following = {"after": batches[-1].get("id")} if batches and page.get("has_more") else after
            if following == after:
                return None
            after = following

    # Waiting for it

    async def _answers(self, name: str, questions: Questions) -> Results:
        """What became of each call of a batch, once it has ended."""
        details = await self._ended(name)
        if details["status"] == "failed":
            return dict.fromkeys(questions, self._invalid(name, details, len(questions)))
        results: Results = {}
        for file in (details.get("output_file_id"), details.get("error_file_id")):
            content = await self._followed(partial(self._content, str(file))) if file else b""
            for number, result in self._read(content, questions):
                results.setdefault(number, result)
        stopped = details["status"] != "completed"
        where = f"batch {name} {'was ' * (details['status'] == 'cancelled')}{details['status']} without this line"
        missing = Fault("busy", where) if stopped else Fault("broken", where, "all")
        return _judged(name, {number: results.get(number, missing) for number in questions})

    async def _ended(self, name: str) -> dict[str, Any]:
        """The batch, when no more answers will come."""
        pause = FIRST_LOOK
        while (details := await self._followed(partial(self._looked_at, name)))["status"] not in ENDS:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)
        return details

    async def _looked_at(self, name: str) -> dict[str, Any]:
        response = await self._api.batches.with_raw_response.retrieve(name)
        return _object(response.content, "status")

    async def _content(self, file: str) -> bytes:
        response = await self._api.files.with_raw_response.content(file)
        return bytes(response.content)

    def _read(self, content: bytes, questions: Questions) -> Iterator[tuple[int, Response | Fault]]:
        """What the lines of a file say of these calls; those that cannot be understood say nothing."""
        numbers = {str(number): number for number in questions}
        for line in content.split(b"\n"):
            try:
                row = json.loads(line)
                number, error, response = numbers[row["custom_id"]], row.get("error"), row.get("response")
                if error:
                    yield number, self._not_asked(error.get("code"), error.get("message"))
                else:
                    yield number, self._answer(questions[number], response["status_code"], response["body"])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue

    def _answer(self, messages: Messages, status: int, body: Any) -> Response | Fault:
        """A response as it stands in a file."""
        text = json.dumps(body)
        if status != 200:
            details = body.get("error") if isinstance(body, dict) else None
            return refusal(status, details, text, {}, self._endpoint)
        answer = understood(text.encode(), messages, self._endpoint, self._server)
        return answer if isinstance(answer, Fault) else Response(answer, {})

    def _not_asked(self, code: str, message: str) -> Fault:
        """A line without a response: the server had no time for it, or broke."""
        cause = self._endpoint.shown(f"{code}: {message}")
        in_vain = code in ("batch_expired", "batch_cancelled")
        return Fault("busy", cause) if in_vain else Fault("broken", cause, "prompt")

    def _invalid(self, name: str, details: Mapping[str, Any], lines: int) -> Fault:
        """Why the server did not begin a batch. If it was too large, the next ones are smaller, and go one by one."""
        errors = details.get("errors")
        problems = _objects(errors.get("data")) if isinstance(errors, dict) else []
        told = (f"{problem.get('message')} (line {problem.get('line') or 'unknown'})" for problem in problems[:3])
        cause = self._endpoint.shown(f"batch {name} failed: {'; '.join(told)}")
        if lines == 1 or all(problem.get("code") != "token_limit_exceeded" for problem in problems):
            return Fault("fatal", cause)
        self._most_lines = min(self._most_lines, max(1, lines // 2))
        return Fault("busy", cause)

    # Requests

    @property
    def _api(self) -> Any:
        if self._client is None:
            self._client = opened(self._endpoint, self._connection)
        return self._client

    async def _asked(self, request: Callable[[], Awaitable[T]], repeatable: bool = True) -> T | Fault:
        """Ask until the server answers; a fault is what asking again would not mend, or might do twice.

        Raises
        ------
        EndpointError
            If it fails for longer than a server may be away.
        """
        patience = self._connection.give_up_after if self._ever else min(FIRST_PATIENCE, self._connection.give_up_after)
        end, tries = monotonic() + patience, 0
        while True:
            try:
                result = await request()
            except failures() as error:
                fault = fault_of(error, self._endpoint, self._connection)
            else:
                self._ever = True
                return result
            if fault.kind in ("fatal", "rejected") or not (repeatable or fault.charged == "nothing"):
                return fault
            tries += 1
            pause = max(backoff(tries), fault.wait or 0.0)
            if monotonic() + pause > end:
                cause = fault.cause.rstrip(".")
                raise EndpointError(f"{cause}; so for {patience:g} s, {tries} times in a row. {RESUMES}")
            await asyncio.sleep(pause)

    async def _followed(self, request: Callable[[], Awaitable[T]]) -> T:
        """Ask about a batch that is under way: it is paid for, so it waits for the next process if it must."""
        result = await self._asked(request)
        if isinstance(result, Fault):
            where, cause = self._endpoint.url or "OpenAI", result.cause.rstrip(".")
            raise EndpointRefusedError(
                f"{where} says nothing of a batch that this run has sent there: {cause}. Check --base-url and "
                f"OPENAI_API_KEY: they must be those it was sent with. {RESUMES} If the batch is gone for good, choose "
                "a new --out, and name this folder with --reuse."
            )
        return result


def collect(
    batches: Sequence[OpenBatch], ledger: CallLedger, endpoint: Endpoint, server: ServerSettings,
    connection: ConnectionSettings,
) -> None:  # fmt: skip
    """Wait for all batches that earlier processes left with the server, and keep their answers.

    Raises
    ------
    EndpointError
        If the server is gone; EndpointRefusedError if it says nothing of a batch.
    """

    async def collect_all() -> None:
        client = BatchClient(endpoint, server, connection, ledger)
        try:
            for batch in batches:
                await client.collect(batch)
        finally:
            await client.close()

    loop = asyncio.new_event_loop()
    work = loop.create_task(collect_all())
    # In a thread of its own: whoever calls may be inside an event loop, as in a notebook.
    thread = threading.Thread(target=loop.run_until_complete, args=(asyncio.wait([work]),), daemon=True)
    thread.start()
    try:
        thread.join()
    finally:
        loop.call_soon_threadsafe(work.cancel)
        thread.join()
        loop.close()
    work.result()


def _object(body: bytes, needed: str) -> dict[str, Any]:
    """A JSON object with a field that is needed; what else a server may give raises ValueError."""
    try:
        value = json.loads(body)
    except RecursionError:
        value = None
    if isinstance(value, dict) and needed in value:
        return value
    raise ValueError(f"no JSON object with {needed!r}: {body[:200]!r}")


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects in a JSON list, and nothing of what is none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _judged(name: str, results: Results) -> Results:
    """The results, with the faults fatal if no line of many was answered: the server is at fault, and no document."""
    faults = {number: fault for number, fault in results.items() if isinstance(fault, Fault) and fault.kind == "broken"}
    if len(results) < LEAST_TELLING or len(faults) < len(results):
        return results
    told = f"all {len(results):,} lines of batch {name} failed"
    return {number: replace(fault, kind="fatal", cause=f"{told}: {fault.cause}") for number, fault in faults.items()}
