"""A real HTTP server that speaks the OpenAI chat-completions API on localhost, and is rude when asked to be.

In a test: `with HostileServer(plan=in_turn(Behaviour("drop"))) as server: ...`. As a process of its own:
`python tests/servers/hostile.py --faults 0.3 --log requests.jsonl` prints "port N" and serves until it is killed.

Charged are the prompt and all that was written for it, whether or not it reached the client: bytes / 4, rounded up.
Answers of status 3xx and 4xx are free; those of 5xx cost their prompt.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import email.utils
import hashlib
import http.client
import json
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TextIO

# What happens on the wire, to an answer that was written and is charged.
WIRE_KINDS = {"drop", "drop_middle", "close_after_headers", "hang", "slow_drip", "truncated_json", "not_json"}
# Turned away, or broken; all but the first two are also what the server's options lead to.
STATUSES = {"status": 500, "redirect": 307, "unknown_model": 404, "wrong_key": 401, "no_slot": 429}
STATUSES |= {"unsupported": 400, "bad_request": 400}
# Good, odd in its content, without content, or with a usage that is not so.
CONTENT_KINDS = {"ok", "prose", "think", "wrong_schema", "no_json", "huge", "length", "echo_key"}
CONTENT_KINDS |= {"empty_choices", "null_content", "refusal", "content_filter"}
CONTENT_KINDS |= {"no_usage", "usage_low", "usage_high", "usage_negative", "usage_text"}
KINDS = WIRE_KINDS | CONTENT_KINDS | STATUSES.keys()
ELSEWHERE = "/v1/elsewhere/chat/completions"  # where a redirect leads; it answers like the usual path
MODEL = "hostile"
CREATED = 1_700_000_000  # a constant, so that the same prompt has the same answer to the byte
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")
LONGEST_SENTENCE = 300  # characters of a text without full stops that one answer repeats


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client sent; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes = b""
    body: Any = None  # parsed, where it is JSON

    @cached_property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each message of a chat request; none if it is not one."""
        messages = self.body.get("messages") if isinstance(self.body, dict) else None
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            return []
        return [(str(message.get("role")), _text(message.get("content"))) for message in messages]

    @cached_property
    def prompt(self) -> str:
        """All message contents joined."""
        return "\n".join(text for _, text in self.messages)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the prompt."""
        return _digest(self.prompt)

    @property
    def prompt_tokens(self) -> int:
        """What the prompt costs."""
        return tokens("".join(text for _, text in self.messages))

    @property
    def most_tokens(self) -> int | None:
        """The longest answer that the client asked for."""
        most = self.body.get("max_completion_tokens", self.body.get("max_tokens"))
        return most if isinstance(most, int) else None

    @property
    def key(self) -> str:
        """The API key, or nothing."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def route(self) -> tuple[str, ...]:
        """Method and parts of the path."""
        return (self.method, *self.path.partition("?")[0].strip("/").split("/"))


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one request is answered; a status of 400 or more makes it an error, whatever its kind."""

    kind: str = "ok"
    status: int | None = None  # None: the kind's own, which is 500 for "status" and 200 for most
    headers: Mapping[str, str] = field(default_factory=dict)  # sent besides, or in place of, the usual ones
    seconds: float = 0.0  # hang: its limit, 0 for none; slow_drip: between two bytes; else a wait besides `delay`
    content: str | None = None  # in place of the pairs, or of an error's message
    param: str | None = None  # of an error: the parameter at fault
    code: str | None = None  # of an error, such as "insufficient_quota"
    size: int = 10_000_000  # huge: bytes of content; slow_drip: bytes sent one by one before the rest

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no behaviour {self.kind!r}; there are {', '.join(sorted(KINDS))}")

    @property
    def sent_status(self) -> int:
        """The HTTP status that the answer carries."""
        return self.status or STATUSES.get(self.kind, 200)


# Of a request, and of how often its prompt came before; those turned away by the server's options are not counted.
Plan = Callable[[Request, int], Behaviour]
WRONG_KEY = Behaviour("wrong_key", content="Incorrect API key provided.", code="invalid_api_key")


@dataclass(frozen=True, slots=True)
class Record:
    """A chat request, or line of a batch, that the server had."""

    time: float  # of its arrival, on the monotonic clock
    prompt: str
    kind: str  # the behaviour's, or "batch"
    prompt_tokens: int  # as charged
    completion_tokens: int
    headers: Mapping[str, str]  # without the authorization
    authorization: str | None
    path: str
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, the text that was written for it, and what it costs."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def cost(self, request: Request) -> tuple[int, int]:
        """Tokens of prompt and answer; who is turned away pays nothing."""
        return (0, 0) if 300 <= self.status < 500 else (request.prompt_tokens, tokens(self.text))

    def head(self) -> bytes:
        """Status line and headers, announcing the whole body."""
        phrase = http.client.responses.get(self.status, "Unknown")
        usual = {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        lines = (f"{name}: {value}\r\n" for name, value in (usual | dict(self.headers)).items())
        return f"HTTP/1.1 {self.status} {phrase}\r\n{''.join(lines)}\r\n".encode("latin-1")


def tokens(text: str) -> int:
    """What a text costs.

    >>> tokens("seven b"), tokens("")
    (2, 0)
    """
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def retry_at(seconds: float) -> str:
    """The HTTP-date so many seconds from now, for a Retry-After header; dates have whole seconds."""
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


# Plans


def obedient(request: Request, asked: int) -> Behaviour:
    """Answer well, always."""
    return Behaviour()


def in_turn(*behaviours: Behaviour) -> Plan:
    """Treat the first, second, ... request with the same prompt like this, and all later ones well."""
    return lambda request, asked: behaviours[asked] if asked < len(behaviours) else Behaviour()


def faulty_plan(share: float, seed: int = 0, hang: float = 1.0) -> Plan:
    """Fail this share of requests in random ways, by a hash of seed, prompt and times asked; hang so many seconds."""
    faults = [
        *(Behaviour(kind) for kind in ("drop", "drop_middle", "close_after_headers", "truncated_json", "prose")),
        *(Behaviour(kind) for kind in ("empty_choices", "wrong_schema", "length", "no_json")),
        *(Behaviour(kind) for kind in ("no_usage", "usage_low", "usage_high")),
        *(Behaviour("status", status) for status in (429, 500, 503)),
        Behaviour("status", 429, {"Retry-After": "0.05"}),
        Behaviour("hang", seconds=hang),
        Behaviour("slow_drip", seconds=0.01, size=40),
    ]

    def plan(request: Request, asked: int) -> Behaviour:
        dice = random.Random(f"{seed} {request.digest} {asked}")
        return dice.choice(faults) if dice.random() < share else Behaviour()

    return plan


# What is answered


def pairs_of(message: str, most: int) -> list[dict[str, str]]:
    """Pairs on sentences from the middle of a message, where the document stands; the evidence is there to the letter.

    >>> pairs_of("Read this. The lake of Alder is deep. Now write.", 1)[0]["evidence"]
    'The lake of Alder is deep.'
    """
    middle, reach = len(message) // 2, most * LONGEST_SENTENCE
    pieces = SENTENCE_END.split(message[max(0, middle - reach) : middle + reach])
    sentences = [piece for piece in pieces if len(piece.split()) >= 3] or [piece for piece in pieces if piece.strip()]
    first = max(0, len(sentences) - most) // 2
    chosen = [sentence.strip()[:LONGEST_SENTENCE] for sentence in sentences[first : first + most]]
    mark = _digest(message)[:8]  # other documents, other questions
    questions = [f"What does the text say about {_rarest(text)} ({mark}-{n})?" for n, text in enumerate(chosen)]
    return [{"question": q, "answer": text, "evidence": text} for q, text in zip(questions, chosen, strict=True)]


def _rarest(sentence: str) -> str:
    """The longest word stands for it."""
    return max(re.findall(r"\w+", sentence), key=len, default=sentence)


def answer(request: Request, behaviour: Behaviour, pairs: int) -> Answer:
    """The whole answer, before anything happens to it on the wire."""
    if behaviour.sent_status >= 400:
        return error(behaviour, request.key)
    if behaviour.sent_status >= 300:
        return Answer(b"", behaviour.sent_status, {"Location": ELSEWHERE, **behaviour.headers})
    text, finish_reason = _written(request, behaviour, pairs)
    body = json.dumps(_completion(request, behaviour, text, finish_reason)).encode()
    if behaviour.kind == "not_json":
        page = b"<html><body><h1>Welcome to the hotel's wifi</h1></body></html>"
        return Answer(page, behaviour.sent_status, {"Content-Type": "text/html", **behaviour.headers}, text)
    if behaviour.kind == "truncated_json":
        body = body[: len(body) * 2 // 3]
    return Answer(body, behaviour.sent_status, behaviour.headers, text)


def error(behaviour: Behaviour, key: str = "") -> Answer:
    """An error in the form that OpenAI gives it."""
    status = behaviour.sent_status
    code = behaviour.code or ("rate_limit_exceeded" if status == 429 else None)
    details = {
        "message": behaviour.content or f"The server is rude: {behaviour.kind}.",
        "type": "server_error" if status >= 500 else code if status == 429 else "invalid_request_error",
        "param": behaviour.param,
        "code": code,
    }
    body = json.dumps({"error": details})
    if behaviour.kind == "echo_key":
        body = body.replace('"message": "', f'"message": "{_told(key)}')
    return Answer(body.encode(), status, behaviour.headers)


def _written(request: Request, behaviour: Behaviour, pairs: int) -> tuple[str, str]:
    """What the model writes, and why it stops."""
    content = behaviour.content
    if content is None:
        user = next((text for role, text in reversed(request.messages) if role == "user"), request.prompt)
        content = json.dumps({"pairs": pairs_of(user, pairs)}, ensure_ascii=False)
    match behaviour.kind:
        case "huge":  # it heeds no limit
            pair = {"question": "How much?", "answer": "word " * (behaviour.size // 5), "evidence": "word"}
            return json.dumps({"pairs": [pair]}), "stop"
        case "length":
            second = content.find('{"question"', content.find('{"question"') + 1)
            return content[: second + 30 if second >= 0 else len(content) // 2], "length"
        case "prose":
            content = f"Here are the pairs {{as you asked}}:\n\n```json\n{content}\n```\n\nI hope they help!"
        case "think":
            content = f'<think>\nThe user wants {{"pairs": []}} with questions in it.\n</think>\n\n{content}'
        case "wrong_schema":
            content = json.dumps({"items": [{"q": "What?", "a": 1}, None]})
        case "no_json":
            content = "I read the document with care and have no questions."
        case "echo_key":
            content = content.replace('"answer": "', f'"answer": "{_told(request.key)}')
        case "refusal":
            content = "I cannot help with that."
        case "null_content":
            content = ""
    most = request.most_tokens
    if most is None or tokens(content) <= most:
        return content, "content_filter" if behaviour.kind == "content_filter" else "stop"
    return content.encode("utf-8", "replace")[: 4 * most].decode("utf-8", "ignore"), "length"


def _completion(request: Request, behaviour: Behaviour, text: str, finish_reason: str) -> dict[str, Any]:
    """The chat completion that holds the text."""
    kind = behaviour.kind
    content = {"null_content": None, "refusal": None, "content_filter": ""}.get(kind, text)
    message = {"role": "assistant", "content": content, "refusal": text if kind == "refusal" else None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    completion = {
        "id": f"chatcmpl-{request.digest[:24]}",
        "object": "chat.completion",
        "created": CREATED,
        "model": request.body.get("model", MODEL),
        "choices": [] if kind == "empty_choices" else [choice],
    }
    usage = _usage(request.prompt_tokens, tokens(text), kind)
    return completion if kind == "no_usage" else completion | {"usage": usage}


def _usage(prompt: int, written: int, kind: str) -> dict[str, Any]:
    if kind == "usage_text":
        return {"prompt_tokens": f"{prompt} tokens", "completion_tokens": "a few", "total_tokens": "unknown"}
    claim = {"usage_low": 1, "usage_high": 10**9, "usage_negative": -5}.get(kind)
    prompt, written = (prompt, written) if claim is None else (claim, claim)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _told(key: str) -> str:
    """A key as it stands in JSON, plain and escaped.

    >>> print(_told("sk-1"), end="it")
    Your key is sk-1, which is sk\\u002d1. it
    """
    plain = json.dumps(key)[1:-1]
    escaped = plain.replace("-", "\\u002d")
    return f"Your key is {plain}, which is {escaped}. "


def _text(content: Any) -> str:
    """The text of a message, which may come in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _as_json(value: Any) -> Answer:
    return Answer(json.dumps(value).encode())


def _as_list(rows: list[Any]) -> Answer:
    return _as_json({"object": "list", "data": rows, "has_more": False})


def _parsed(raw: bytes) -> Any:
    """JSON, or None for what is not."""
    try:
        return json.loads(raw)
    except ValueError:
        return None


# The wire


@dataclass(frozen=True, slots=True)
class Connection:
    """HTTP/1.1 to one client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def read(self) -> Request | None:
        """The next request, or None once the client has gone."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("expect") == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        raw = await self._body(headers)
        body = _parsed(raw) if "json" in headers.get("content-type", "") else None
        return Request(method=method, path=path, headers=headers, raw=raw, body=body)

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        chunks = [b""]
        while size := int(await self.reader.readline(), 16):
            chunks.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readline()
        return b"".join(chunks)

    async def send(self, reply: Answer, behaviour: Behaviour) -> bool:
        """Put an answer on the wire as rudely as asked; true if the connection stays open."""
        match behaviour.kind:
            case "drop":
                return False
            case "hang":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(behaviour.seconds or None):
                        await self.reader.read()  # until the client goes away
                return False
            case "close_after_headers" | "drop_middle":
                sent = len(reply.body) // 2 if behaviour.kind == "drop_middle" else 0
                self.writer.write(reply.head() + reply.body[:sent])
                return False
            case "slow_drip":
                await self._drip(reply, behaviour)
            case _:
                self.writer.write(reply.head() + reply.body)
        await self.writer.drain()
        return reply.headers.get("Connection") != "close"

    async def _drip(self, reply: Answer, behaviour: Behaviour) -> None:
        self.writer.write(reply.head())
        for byte in reply.body[: behaviour.size]:
            self.writer.write(bytes([byte]))
            await self.writer.drain()
            await asyncio.sleep(behaviour.seconds)
        self.writer.write(reply.body[behaviour.size :])


# The server


@dataclass(kw_only=True, eq=False)
class HostileServer:
    """The server in a thread of its own, from `with` to its end; a plan that fails raises there."""

    plan: Plan = obedient
    pairs: int = 2  # in one answer
    delay: float = 0.0  # seconds of work for an answer; who is turned away need not wait
    supports: tuple[str, ...] = ("json_schema", "json_object")  # types of response_format besides "text"
    rejects: tuple[str, ...] = ()  # parameters that lead to status 400
    models: tuple[str, ...] = ()  # others lead to status 404; none: whatever is asked for is there
    key: str | None = None  # another one leads to status 401
    slots: int | None = None  # more requests at a time lead to status 429
    batch_polls: int = 3  # a batch has ended when it is asked for the third time
    batch_expires_after: int | None = None  # lines that are answered before the batch expires
    batch_fails: frozenset[int] = frozenset()  # positions of lines that end in status 500
    batch_invalid: bool = False  # batches fail their validation
    batch_limit: int | None = None  # batches of more lines fail their validation, as too large
    batch_lost: int = 0  # so many batches are accepted without the client hearing of it
    batch_lost_by: str = "drop"  # or "hang": what the client sees of it
    batch_unmade: int = 0  # so many batches are asked for in vain before: status 500
    batch_noise: tuple[bytes, ...] = ()  # lines that stand in each output file besides
    log: Path | None = None  # gets a line of JSON for each finished request
    keep: bool = True  # whether `requests` are kept
    port: int = 0  # 0: any free one

    def __post_init__(self) -> None:
        self.tokens = 0  # charged for all requests together
        self.in_flight_most = 0  # chat requests at one time
        self._in_flight = 0
        self._records: list[Record] = []
        self._kinds: Counter[str] = Counter()
        self._prompts: Counter[str] = Counter()  # by digest: requests
        self._asked: Counter[str] = Counter()  # by digest: requests that the plan saw
        self._batches = Batches(self)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._failures: list[Exception] = []
        self._log_file: TextIO | None = None

    @property
    def url(self) -> str:
        """What a client calls the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> list[Record]:
        """Chat requests so far, in the order of their arrival."""
        return list(self._records)

    def stats(self) -> dict[str, Any]:
        """Counts, as GET /stats gives them."""
        return {
            "requests": dict(self._kinds),
            "tokens": self.tokens,
            "distinct_prompts": len(self._prompts),
            "requests_per_prompt": list(self._prompts.items()),
            "in_flight_most": self.in_flight_most,
        }

    def __enter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self.port = listening.getsockname()[1]
        self._log_file = self.log.open("a", encoding="utf-8", buffering=1) if self.log else None
        self._loop, self._stop = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), name="hostile server", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, error_type: object, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=5)
        assert not self._thread.is_alive(), "the server does not stop"
        if self._log_file:
            self._log_file.close()
        if self._failures and error_type is None:
            raise self._failures[0]

    def _run(self, listening: socket.socket) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(listening))

    async def _serve(self, listening: socket.socket) -> None:
        server = await asyncio.start_server(self._connection, sock=listening, limit=2**20)
        await self._stop.wait()
        server.close()
        await asyncio.sleep(0.01)  # what was accepted just now reaches its handler
        connections = dict(self._connections)
        for task, writer in connections.items():
            writer.transport.abort()  # an answer that the client never reads would keep it open
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        connection = Connection(reader, writer)
        try:
            while (request := await connection.read()) and await self._exchange(request, connection):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        except Exception as failure:  # raised again where the test is
            self._failures.append(failure)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            del self._connections[task]

    async def _exchange(self, request: Request, connection: Connection) -> bool:
        """Answer one request; true if the connection stays open."""
        stays = request.headers.get("connection", "").lower() != "close"
        match request.route:
            case ("POST", "v1", *_, "chat", "completions"):
                return await self._chat(request, connection) and stays
            case ("GET", "stats"):
                reply = _as_json(self.stats())
            case _ if self._is_stranger(request):
                reply = error(WRONG_KEY)
            case ("GET", "v1", "models"):
                reply = _as_list([{"id": name, "object": "model"} for name in self.models or (MODEL,)])
            case _:
                reply = self._batches.answer(request)
        created = request.route == ("POST", "v1", "batches") and reply.status == 200
        lost = created and self._batches.created <= self.batch_lost
        return await connection.send(reply, Behaviour(self.batch_lost_by if lost else "ok")) and stays

    async def _chat(self, request: Request, connection: Connection) -> bool:
        self._in_flight += 1
        self.in_flight_most = max(self.in_flight_most, self._in_flight)
        try:
            behaviour = self.decide(request)
            reply = self.begin(request, behaviour, behaviour.kind)
            return await self._deliver(request, behaviour, reply, connection)
        finally:
            self._in_flight -= 1

    async def _deliver(self, request: Request, behaviour: Behaviour, reply: Answer, connection: Connection) -> bool:
        worked = 0.0 if 300 <= reply.status < 500 else self.delay
        paused = 0.0 if behaviour.kind in ("hang", "slow_drip") else behaviour.seconds
        try:
            await asyncio.sleep(worked + paused)
            return await connection.send(reply, behaviour)
        finally:
            self.finish(request, behaviour.kind, reply)

    def decide(self, request: Request) -> Behaviour:
        """What happens to a chat request: it is turned away, or else treated as planned."""
        if refusal := self._refusal(request):
            return refusal
        asked = self._asked[request.digest]
        self._asked[request.digest] += 1
        return self.plan(request, asked)

    def begin(self, request: Request, behaviour: Behaviour, kind: str) -> Answer:
        """Write the answer, charge for it and record the request."""
        reply = answer(request, behaviour, self.pairs)
        cost = reply.cost(request)
        self.tokens += sum(cost)
        self._kinds[kind] += 1
        self._prompts[request.digest] += 1
        if self.keep:
            self._records.append(_record(request, kind, cost))
        return reply

    def finish(self, request: Request, kind: str, reply: Answer) -> None:
        """Log a request whose connection is done with."""
        if self._log_file:
            line = {"prompt": request.digest, "kind": kind, "tokens": sum(reply.cost(request))}
            self._log_file.write(json.dumps(line) + "\n")

    def _is_stranger(self, request: Request) -> bool:
        return self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}"

    def _refusal(self, request: Request) -> Behaviour | None:
        """Why a chat request is turned away, in the words of real servers; None if it is not."""
        if self._is_stranger(request):
            return WRONG_KEY
        if not request.messages:
            return Behaviour("bad_request", content="Missing required parameter: 'messages'.", param="messages")
        model, wanted = request.body.get("model"), request.body.get("response_format") or {}
        if self.models and model not in self.models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            return Behaviour("unknown_model", content=message, code="model_not_found")
        if wanted.get("type", "text") not in ("text", *self.supports):
            return _unsupported(f"'response_format' of type '{wanted['type']}'", "response_format")
        if rejected := next((name for name in self.rejects if name in request.body), None):
            return _unsupported(f"'{rejected}'", rejected)
        if self.slots is not None and self._in_flight > self.slots:
            return Behaviour("no_slot", headers={"Retry-After": "0.2"}, content="Too many requests at a time.")
        return None


def _unsupported(what: str, param: str) -> Behaviour:
    message = f"Unsupported parameter: {what} is not supported with this model."
    advice = " Use 'max_completion_tokens' instead." if param == "max_tokens" else ""
    return Behaviour("unsupported", content=message + advice, param=param, code="unsupported_parameter")


def _record(request: Request, kind: str, cost: tuple[int, int]) -> Record:
    headers = dict(request.headers)
    authorization = headers.pop("authorization", None)
    return Record(time.monotonic(), request.prompt, kind, *cost, headers, authorization, request.path, request.body)


# The Batch API


@dataclass(slots=True)
class Batch:
    """A batch as clients see it, and what the server knows of it."""

    details: dict[str, Any]
    headers: Mapping[str, str]  # of the request that made it
    lines: list[Any]
    polls: int = 0

    def move(self, status: str) -> None:
        """Enter a status, and note when it was entered first."""
        self.details["status"] = status
        self.details[f"{status}_at"] = self.details.get(f"{status}_at") or int(time.time())

    def fail(self, code: str, message: str, line: int | None) -> None:
        """Do not begin."""
        problem = {"code": code, "message": message, "param": None, "line": line}
        self.details["errors"] = {"object": "list", "data": [problem]}
        self.move("failed")


class Batches:
    """The Files and Batch APIs: a batch takes a step whenever it is asked for, and does all its work in the last."""

    def __init__(self, server: HostileServer) -> None:
        self._server = server
        self._files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self._batches: dict[str, Batch] = {}

    @property
    def created(self) -> int:
        """Batches so far."""
        return len(self._batches)

    def answer(self, request: Request) -> Answer:
        """Answer any request that is not a chat."""
        match request.route:
            case ("POST", "v1", "files"):
                return self._upload(request)
            case ("GET", "v1", "files", name) if name in self._files:
                return _as_json(self._files[name][0])
            case ("GET", "v1", "files", name, "content") if name in self._files:
                return Answer(self._files[name][1], headers={"Content-Type": "application/octet-stream"})
            case ("POST", "v1", "batches"):
                return self._create(request)
            case ("GET", "v1", "batches"):
                return _as_list([batch.details for batch in reversed(self._batches.values())])
            case ("GET", "v1", "batches", name) if name in self._batches:
                return self._step(self._batches[name])
            case ("POST", "v1", "batches", name, "cancel") if name in self._batches:
                return self._cancel(self._batches[name])
        return error(Behaviour("status", 404, content=f"No such thing here: {request.method} {request.path}"))

    def _upload(self, request: Request) -> Answer:
        form = _form(request)
        if form.get("purpose") != b"batch" or "file" not in form:
            return error(Behaviour("bad_request", content="A 'file' and the 'purpose' batch are needed."))
        return _as_json(self._files[self._store(form["file"], "batch")][0])

    def _store(self, content: bytes, purpose: str) -> str:
        name = f"file-{len(self._files)}"
        details = {"id": name, "object": "file", "bytes": len(content), "created_at": int(time.time())}
        self._files[name] = details | {"filename": f"{name}.jsonl", "purpose": purpose, "status": "processed"}, content
        return name

    def _create(self, request: Request) -> Answer:
        asked = request.body or {}
        if self._server.batch_unmade > 0:
            self._server.batch_unmade -= 1
            return error(Behaviour("status", 500))
        if asked.get("input_file_id") not in self._files or asked.get("endpoint") != "/v1/chat/completions":
            return error(Behaviour("bad_request", content="No such 'input_file_id', or another 'endpoint' than chat."))
        lines = [_parsed(line) for line in self._files[asked["input_file_id"]][1].splitlines()]
        details: dict[str, Any] = dict.fromkeys(("errors", "output_file_id", "error_file_id", "metadata"))
        details |= {"id": f"batch_{self.created}", "object": "batch", "status": "validating", **asked}
        details["created_at"] = int(time.time())
        details["request_counts"] = {"total": len(lines), "completed": 0, "failed": 0}
        self._batches[details["id"]] = Batch(details, request.headers, lines)
        return _as_json(details)

    def _cancel(self, batch: Batch) -> Answer:
        if batch.details["status"] not in ("validating", "in_progress", "finalizing"):
            return error(Behaviour("status", 409, content=f"Cannot cancel a batch that is {batch.details['status']}."))
        batch.move("cancelling")
        return _as_json(batch.details)

    def _step(self, batch: Batch) -> Answer:
        batch.polls += 1
        most, expires_after = self._server.batch_polls, self._server.batch_expires_after
        limit = self._server.batch_limit
        match batch.details["status"]:
            case "cancelling":  # half of the lines were answered if it was at work; nothing is heard of the others
                self._end(batch, "cancelled", len(batch.lines) // 2 if batch.polls > 1 else 0)
            case "validating" if self._server.batch_invalid:
                batch.fail("invalid_json_line", "This line is not JSON.", 1)
            case "validating" if limit is not None and len(batch.lines) > limit:
                batch.fail("token_limit_exceeded", f"Enqueued token limit reached for {MODEL}.", None)
            case "validating" | "in_progress" | "finalizing" if batch.polls < most:
                batch.move("finalizing" if batch.polls == most - 1 else "in_progress")
            case "validating" | "in_progress" | "finalizing" if expires_after is not None:
                self._end(batch, "expired", expires_after)
            case "validating" | "in_progress" | "finalizing":
                self._end(batch, "completed", len(batch.lines))
        return _as_json(batch.details)

    def _end(self, batch: Batch, status: str, answered: int) -> None:
        rows = [self._row(batch, position) for position in range(min(answered, len(batch.lines)))]
        if status == "expired":
            rows += [_late(line) for line in batch.lines[answered:]]
        random.Random(batch.details["id"]).shuffle(rows)
        parts: dict[str, list[str]] = {"output_file_id": [], "error_file_id": []}
        for row in rows:
            good = row["error"] is None and row["response"]["status_code"] == 200
            parts["output_file_id" if good else "error_file_id"].append(json.dumps(row) + "\n")
        noise = b"".join(line + b"\n" for line in self._server.batch_noise)
        for name, part in parts.items():
            batch.details[name] = self._store(noise + "".join(part).encode(), "batch_output") if part else None
        completed, failed = (len(part) for part in parts.values())
        batch.details["request_counts"] |= {"completed": completed, "failed": failed}
        batch.move(status)

    def _row(self, batch: Batch, position: int) -> dict[str, Any]:
        """Serve one line as if it were asked; what plans do to connections cannot happen to it."""
        line = batch.lines[position]
        request = Request(method="POST", path=line.get("url", ""), headers=batch.headers, body=line["body"])
        behaviour = self._server.decide(request)
        if position in self._server.batch_fails:
            behaviour = Behaviour("status", 500)
        elif behaviour.kind in WIRE_KINDS:
            behaviour = Behaviour()
        reply = self._server.begin(request, behaviour, "batch")
        self._server.finish(request, "batch", reply)
        response = {"status_code": reply.status, "request_id": f"req_{position}", "body": json.loads(reply.body)}
        return {"id": f"batch_req_{position}", "custom_id": line["custom_id"], "response": response, "error": None}


def _late(line: Any) -> dict[str, Any]:
    message = "This request could not be executed before the completion window expired."
    refusal = {"code": "batch_expired", "message": message}
    return {"id": "batch_req_late", "custom_id": line["custom_id"], "response": None, "error": refusal}


def _form(request: Request) -> dict[str, bytes]:
    """The fields of a multipart form."""
    boundary = re.search(r'boundary="?([^";]+)', request.headers.get("content-type", ""))
    fields = {}
    for part in request.raw.split(b"--" + boundary[1].encode())[1:-1] if boundary else ():
        head, _, value = part.partition(b"\r\n\r\n")
        if name := re.search(rb'[; ]name="([^"]*)"', head):
            fields[name[1].decode()] = value.removesuffix(b"\r\n")
    return fields


def main(arguments: list[str] | None = None) -> None:
    """Serve as a process of its own until killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds of work for an answer")
    parser.add_argument("--faults", type=float, default=0.0, help="share of requests that fail, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--hang", type=float, default=1.0, help="seconds that a fault may hang")
    parser.add_argument("--slots", type=int, help="requests at one time before status 429")
    parser.add_argument("--pairs", type=int, default=2, help="pairs in an answer")
    parser.add_argument("--log", type=Path, help="file that gets a line of JSON for each finished request")
    chosen = vars(parser.parse_args(arguments))
    plan = faulty_plan(chosen.pop("faults"), chosen.pop("seed"), chosen.pop("hang"))
    with contextlib.suppress(KeyboardInterrupt), HostileServer(plan=plan, keep=False, **chosen) as server:
        print("port", server.port, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
