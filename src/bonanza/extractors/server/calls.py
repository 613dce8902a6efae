"""A question to the server until it is answered: in the ledger, within the budget, tried again where that helps."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from bonanza.errors import EndpointRefusedError
from bonanza.extractors.server.batch import BatchClient, OpenGate
from bonanza.extractors.server.client import Client, Endpoint, Response, charge, expected_tokens, keep, most_tokens
from bonanza.extractors.server.dialect import Dialect
from bonanza.extractors.server.faults import Fault
from bonanza.extractors.server.gate import Gate, backoff
from bonanza.extractors.server.prompts import Messages
from bonanza.interfaces import Call, CallLedger, Purse
from bonanza.records import Answer, Usage, content_id
from bonanza.settings import ConnectionSettings, ServerSettings

MOST_WAITS = 40  # [ours] times that one call is turned away as too many before its document counts as failed
LOOK_SECONDS = 0.05  # how often it is looked whether the budget has room for another try
IDLE_SECONDS = 0.5  # with no call under way, after which it will have none
SETTLE_SECONDS = 2.5  # for calls under way when a run is stopped; a stop takes at most five


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a question."""

    answer: Answer | None
    usage: Usage  # of all tries
    estimated: bool
    cause: str = ""  # why there is no answer


class Caller:
    """Asks questions."""

    def __init__(
        self, endpoint: Endpoint, server: ServerSettings, connection: ConnectionSettings, ledger: CallLedger,
        purse: Purse,
    ) -> None:  # fmt: skip
        self._endpoint, self._server, self._connection = endpoint, server, connection
        self._ledger, self._purse = ledger, purse
        self._client: Client | BatchClient = Client(endpoint, server, connection)
        self._gate: Gate | OpenGate = Gate(connection)
        if connection.batch:
            self._client, self._gate = BatchClient(endpoint, server, connection, ledger), OpenGate()
        self._begin = ledger.queue if connection.batch else ledger.begin
        self._dialect, self._proven = Dialect(), False
        self._refused: EndpointRefusedError | None = None
        self._first = asyncio.Lock()  # the first call finds the dialect; the others wait for it
        self._under_way: set[asyncio.Task[Response | Fault]] = set()

    def most(self, messages: Messages) -> Usage:
        """What one try can take."""
        return Usage(most_tokens(messages), self._server.answer_tokens)

    async def can_ask_more(self, document_id: str, messages: Messages) -> bool:
        """Set aside what one more question can take, beyond what was reserved for the document."""
        return await self._more(document_id, self.most(messages))

    async def _more(self, document_id: str, usage: Usage) -> bool:
        """Set aside so much again; waits for documents being read, which mostly take less than is reserved for them."""
        idle = 0
        while not self._purse.reserve_more(document_id, usage):
            idle = 0 if self._under_way else idle + 1
            if idle * LOOK_SECONDS > IDLE_SECONDS:
                return False
            await asyncio.sleep(LOOK_SECONDS)
        return True

    async def ask(self, document_id: str, messages: Messages) -> Asked:
        """Get an answer, the one that was paid for earlier if there is one.

        Raises
        ------
        EndpointError
            If the server is gone; EndpointRefusedError if it refuses every request.
        """
        request = json.dumps({"model": self._endpoint.model, "messages": messages}, ensure_ascii=False)
        key = content_id(document_id, request, str(self._server.answer_tokens), str(self._server.temperature))
        if kept := self._ledger.answer(key):
            return Asked(kept, kept.usage, kept.estimated)
        call = Call(document_id, key, request, self.most(messages))
        async with self._first:
            if not self._proven and not self._connection.batch:  # a batch of one call takes as long as one of all
                return await self._answered(call, messages)
        return await self._answered(call, messages)

    async def _answered(self, call: Call, messages: Messages) -> Asked:
        """Try until there is an answer, or no use in trying."""
        spent, broken, waits = Usage(), 0, 0
        while True:
            async with self._gate.slot(expected_tokens(messages) + self._server.answer_tokens):
                if self._refused is not None:
                    raise self._refused  # another call has heard it meanwhile
                dialect = self._dialect
                result = await self._under_shield(call, messages, dialect)
            if isinstance(result, Response):
                self._proven = True
                self._gate.succeeded(result.headers)
                answer = result.answer
                return Asked(answer, spent + answer.usage, answer.estimated or spent != Usage())
            spent += charge(result, messages, self._server)
            if result.kind == "fatal":
                self._refused = self._refusal(result)
                raise self._refused
            if result.kind == "rejected" and self._adapts(dialect, result):
                continue
            self._gate.failed(result)
            if not self._gate.everything_fails:
                broken += result.kind == "broken" and result.charged != "nothing"  # no connection is nobody's fault
                waits += result.kind == "busy"
            if result.kind == "rejected" or broken > self._connection.retries or waits > MOST_WAITS:
                return Asked(None, spent, True, result.cause)
            if result.charged != "nothing" and not await self._more(call.document_id, call.most):
                return Asked(None, spent, True, f"{result.cause}; the budget leaves nothing for another try")
            if result.kind == "broken":
                self._downgrade(dialect, result, broken)
                await asyncio.sleep(max(backoff(broken), result.wait or 0.0))

    def _refusal(self, fault: Fault) -> EndpointRefusedError:
        where = self._endpoint.url or "OpenAI"
        batch = (" in batches", ", or go on without --batch") if self._connection.batch else ("", "")
        return EndpointRefusedError(
            f"{where} does not serve model {self._endpoint.model!r}{batch[0]}: {fault.cause.rstrip('.')}. "
            f"Check the model's name, --base-url and OPENAI_API_KEY{batch[1]}."
        )

    def _adapts(self, dialect: Dialect, fault: Fault) -> bool:
        """Whether another way to put the request is worth a try; it is then the way for all requests."""
        if dialect != self._dialect:
            return True  # another call has found a better one meanwhile
        following = dialect.after(fault.cause) or (None if self._proven else dialect.plainer())
        if following is not None:
            self._dialect = following
        return following is not None

    def _downgrade(self, dialect: Dialect, fault: Fault, broken: int) -> None:
        """Some servers answer 500 to a JSON schema: before the first answer, two of these count as a complaint."""
        if not self._proven and fault.status is not None and broken > 1 and dialect == self._dialect:
            self._dialect = dialect.plainer() or dialect

    async def _under_shield(self, call: Call, messages: Messages, dialect: Dialect) -> Response | Fault:
        """Send and keep; goes on when whoever waits is cancelled, for the answer may be paid for already."""
        task = asyncio.ensure_future(self._kept(call, messages, dialect))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _kept(self, call: Call, messages: Messages, dialect: Dialect) -> Response | Fault:
        number = await self._begin(call)
        result = await self._client.send(messages, dialect, number)
        await keep(self._ledger, number, messages, result, self._server)
        return result

    async def settle(self) -> None:
        """Wait a moment for calls under way; a batch takes too long, and is not lost."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=0 if self._connection.batch else SETTLE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def close(self) -> None:
        """Close connections."""
        await self._client.close()
