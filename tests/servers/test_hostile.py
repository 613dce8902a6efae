from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers.hostile import (
    CONTENT_KINDS,
    KINDS,
    STATUSES,
    Behaviour,
    HostileServer,
    Request,
    faulty_plan,
    in_turn,
    retry_at,
)

LAKE = "The lake of Alder is deep. Perch and carp live in the lake. The water of Alder is clean in May."
CLOCK = "The clock of Birch is wound every week. A brass weight drives the clock. It loses two seconds a week."
KEY = "sk-very-secret"
ESCAPED_KEY = "sk\\u002dvery\\u002dsecret"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def content(self) -> str:
        return self.body["choices"][0]["message"]["content"]

    @property
    def pairs(self) -> list[dict[str, str]]:
        return json.loads(self.content)["pairs"]


def question(document: str = LAKE, **options: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": "Write pairs."}, {"role": "user", "content": f"<<<\n{document}\n>>>"}]
    return {"model": "any", "messages": messages, **options}


def call(port: int, method: str, path: str, body: bytes | None = None, timeout: float = 5, **headers: str) -> Reply:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        connection.request(method, path, body, headers)
        with connection.getresponse() as response:
            return Reply(response.status, dict(response.getheaders()), response.read())


def post(server: HostileServer, path: str, value: Any, timeout: float = 5) -> Reply:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"}
    return call(server.port, "POST", path, json.dumps(value).encode(), timeout, **headers)


def ask(server: HostileServer, document: str = LAKE, timeout: float = 5, **options: Any) -> Reply:
    return post(server, "/v1/chat/completions", question(document, **options), timeout)


def answer_to(behaviour: Behaviour) -> Reply:
    with HostileServer(plan=in_turn(behaviour)) as server:
        return ask(server)


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer() as running:
        yield running


def test_an_answer_is_a_chat_completion_with_pairs_whose_evidence_stands_in_the_document(server):
    reply = ask(server)
    assert reply.body["object"] == "chat.completion"
    assert reply.body["choices"][0]["finish_reason"] == "stop"
    assert [pair["evidence"] in LAKE and pair["question"].endswith("?") for pair in reply.pairs] == [True, True]


def test_the_same_prompt_has_the_same_answer_and_another_document_other_pairs(server):
    assert ask(server).raw == ask(server).raw
    assert not {p["question"] for p in ask(server).pairs} & {p["question"] for p in ask(server, CLOCK).pairs}


@pytest.mark.parametrize("document", ["", "\n\n", "word", "\ud800 half a character", "湖水很深。鱼在湖里。"])
def test_any_text_can_be_asked_about(server, document):
    assert ask(server, document).status == 200


def test_usage_is_what_is_charged(server):
    reply = ask(server)
    usage, record = reply.body["usage"], server.requests[0]
    assert usage["prompt_tokens"] == -(-len("Write pairs.<<<\n" + LAKE + "\n>>>") // 4) == record.prompt_tokens
    assert usage["completion_tokens"] == -(-len(reply.content) // 4) == record.completion_tokens
    assert usage["total_tokens"] == server.tokens


def test_a_record_holds_what_was_sent_and_the_key_apart(server):
    ask(server, temperature=0)
    record = server.requests[0]
    assert (record.kind, record.path, record.body["temperature"]) == ("ok", "/v1/chat/completions", 0)
    assert LAKE in record.prompt
    assert record.prompt.startswith("Write pairs.")
    assert (record.authorization, KEY in str(record.headers)) == (f"Bearer {KEY}", False)


def test_an_answer_is_cut_at_the_tokens_that_the_client_allows(server):
    reply = ask(server, max_tokens=10)
    assert (reply.body["usage"]["completion_tokens"], reply.body["choices"][0]["finish_reason"]) == (10, "length")


def test_a_connection_serves_many_requests_and_chunked_bodies(server):
    body, headers = json.dumps(question()).encode(), {"Content-Type": "application/json"}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)) as connection:
        for sent in (body, iter([body[:50], body[50:]])):  # an iterator is sent in chunks
            connection.request("POST", "/v1/chat/completions", sent, headers)
            first = connection.sock
            assert json.loads(connection.getresponse().read())["choices"]
        assert connection.sock is first


CONTENTS = {
    "prose": lambda text: text.startswith("Here are") and json.loads(text.split("```json")[1].split("```")[0])["pairs"],
    "think": lambda text: text.startswith("<think>") and json.loads(text.split("</think>")[1])["pairs"],
    "wrong_schema": lambda text: "pairs" not in json.loads(text),
    "no_json": lambda text: "{" not in text,
    "huge": lambda text: len(text) >= 10_000_000 and json.loads(text)["pairs"],
    "echo_key": lambda text: KEY in text and ESCAPED_KEY in text and json.loads(text)["pairs"],
    "length": lambda text: text.count('{"question"') == 2 and text.count('"evidence"') == 1,
    "null_content": lambda text: text is None,
    "content_filter": lambda text: text == "",
    "refusal": lambda text: text is None,
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTENTS)
def test_content_can_be_odd(kind):
    assert CONTENTS[kind](answer_to(Behaviour(kind)).content)


@pytest.mark.parametrize(("kind", "reason"), [("length", "length"), ("content_filter", "content_filter")])
def test_an_answer_can_end_early(kind, reason):
    assert answer_to(Behaviour(kind)).body["choices"][0]["finish_reason"] == reason


def test_choices_and_usage_can_be_missing_or_wrong():
    assert answer_to(Behaviour("empty_choices")).body["choices"] == []
    assert "usage" not in answer_to(Behaviour("no_usage")).body
    assert "cannot" in answer_to(Behaviour("refusal")).body["choices"][0]["message"]["refusal"]
    claims = {kind: answer_to(Behaviour(kind)).body["usage"]["prompt_tokens"] for kind in KINDS if "usage_" in kind}
    assert claims.pop("usage_text").endswith(" tokens")
    assert claims == {"usage_low": 1, "usage_high": 10**9, "usage_negative": -5}


def test_a_plan_can_give_the_content():
    assert answer_to(Behaviour(content='{"pairs": []}')).pairs == []


def test_an_error_has_the_status_headers_and_body_asked_for():
    headers = {"Retry-After": "2", "x-ratelimit-remaining-requests": "0"}
    reply = answer_to(Behaviour("status", 429, headers, content="You are out.", code="insufficient_quota"))
    assert (reply.status, reply.headers["Retry-After"], reply.headers["x-ratelimit-remaining-requests"]) == (
        429,
        "2",
        "0",
    )
    error = {"message": "You are out.", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}
    assert reply.body == {"error": error}


def test_a_plan_can_turn_requests_away_as_options_do():
    assert {kind: answer_to(Behaviour(kind)).status for kind in STATUSES} == STATUSES


def test_a_retry_can_be_asked_for_by_date():
    date = answer_to(Behaviour("status", 503, {"Retry-After": retry_at(60)})).headers["Retry-After"]
    assert 55 < email.utils.parsedate_to_datetime(date).timestamp() - time.time() <= 60


@pytest.mark.parametrize("status", [400, 401, 404, 418, 500, 503, 529])
def test_an_error_holds_the_key_in_both_spellings(status):
    reply = answer_to(Behaviour("echo_key", status))
    assert reply.status == status
    assert (reply.raw.count(KEY.encode()), reply.raw.count(ESCAPED_KEY.encode())) == (1, 1)
    assert reply.body["error"]["message"].count(KEY) == 2


def test_a_redirect_leads_to_a_path_that_answers():
    with HostileServer(plan=in_turn(Behaviour("redirect"))) as server:
        reply = ask(server)
        assert (reply.status, server.tokens) == (307, 0)
        assert post(server, reply.headers["Location"], question()).pairs
        assert server.requests[1].path == "/v1/elsewhere/chat/completions"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("drop", http.client.RemoteDisconnected),
        ("drop_middle", http.client.IncompleteRead),
        ("close_after_headers", http.client.IncompleteRead),
        ("hang", TimeoutError),
        ("truncated_json", json.JSONDecodeError),
        ("not_json", json.JSONDecodeError),
    ],
)
def test_an_answer_that_is_lost_on_its_way_is_charged(kind, error):
    with HostileServer(plan=in_turn(Behaviour(kind))) as server:
        with pytest.raises(error):
            _ = ask(server, timeout=0.2).body
        lost, whole = (
            server.tokens,
            sum(ask(server).body["usage"][f"{part}_tokens"] for part in ("prompt", "completion")),
        )
        assert lost == whole


def test_a_hang_can_have_an_end():
    with (
        HostileServer(plan=in_turn(Behaviour("hang", seconds=0.1))) as server,
        pytest.raises(http.client.RemoteDisconnected),
    ):
        ask(server)


def test_a_slow_answer_arrives_whole_at_last():
    start = time.monotonic()
    assert answer_to(Behaviour("slow_drip", seconds=0.01, size=30)).pairs
    assert time.monotonic() - start > 0.3


@pytest.mark.parametrize(
    ("options", "sent", "status", "message"),
    [
        ({"supports": ("json_object",)}, {"response_format": {"type": "json_schema"}}, 400, "of type 'json_schema'"),
        ({"supports": ()}, {"response_format": {"type": "json_object"}}, 400, "of type 'json_object'"),
        ({"rejects": ("max_tokens",)}, {"max_tokens": 9}, 400, "Use 'max_completion_tokens' instead."),
        ({"rejects": ("temperature",)}, {"temperature": 0}, 400, "'temperature' is not supported with this model"),
        ({"models": ("large", "small")}, {}, 404, "`any` does not exist"),
        ({"key": "sk-other"}, {}, 401, "Incorrect API key"),
        ({}, {"messages": []}, 400, "'messages'"),
    ],
)  # fmt: skip
def test_what_the_server_does_not_take_is_turned_away_for_nothing(options, sent, status, message):
    with HostileServer(**options) as server:
        reply = ask(server, **sent)
        assert reply.status == status
        assert message in reply.body["error"]["message"]
        assert server.tokens == 0


def test_a_response_format_that_is_offered_is_taken(server):
    assert ask(server, response_format={"type": "json_schema"}).status == 200


def test_plans_do_not_see_what_was_turned_away():
    with HostileServer(plan=in_turn(Behaviour("status", 503)), rejects=("seed",)) as server:
        assert [ask(server, seed=1).status, ask(server).status, ask(server).status] == [400, 503, 200]


def test_more_requests_at_a_time_than_slots_are_told_to_wait():
    with HostileServer(slots=2, delay=0.3) as server, ThreadPoolExecutor(5) as threads:
        replies = list(threads.map(lambda number: ask(server, f"{LAKE} {number}"), range(5)))
    assert Counter(reply.status for reply in replies) == {200: 2, 429: 3}
    assert {reply.headers.get("Retry-After") for reply in replies} == {"0.2", None}
    assert server.in_flight_most >= 3


@pytest.mark.parametrize("kind", ["hang", "huge", "ok"])  # "ok" is at work still, "huge" is never read
def test_the_server_stops_while_clients_wait(kind):
    before, body = threading.active_count(), json.dumps(question()).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    behaviour = Behaviour(kind, seconds=60 if kind == "ok" else 0)
    with contextlib.ExitStack() as clients:
        with HostileServer(plan=in_turn(*[behaviour] * 5)) as server:
            for _ in range(5):
                client = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                client.sendall(head.encode() + body)
            while len(server.requests) < 5:
                time.sleep(0.01)
            start = time.monotonic()
        assert time.monotonic() - start < 1
    assert threading.active_count() == before


def test_a_plan_that_fails_is_heard_of():
    server = HostileServer(plan=lambda request, asked: Behaviour("drip"))
    with pytest.raises(ValueError, match="no behaviour 'drip'"), server, pytest.raises(http.client.RemoteDisconnected):
        ask(server)


def test_a_behaviour_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no behaviour 'dorp'; there are bad_request, close_after_headers"):
        Behaviour("dorp")


def test_models_and_counts_can_be_asked_for():
    with HostileServer(key=KEY, models=("large",)) as server:
        assert call(server.port, "GET", "/v1/models").status == 401
        bearer = {"Authorization": f"Bearer {KEY}"}
        assert [row["id"] for row in call(server.port, "GET", "/v1/models", **bearer).body["data"]] == ["large"]
        ask(server, model="large")
        digest = hashlib.sha256(server.requests[0].prompt.encode()).hexdigest()
        assert call(server.port, "GET", "/stats").body == {
            "requests": {"ok": 1}, "tokens": server.tokens, "distinct_prompts": 1,
            "requests_per_prompt": [[digest, 1]], "in_flight_most": 1,
        }  # fmt: skip
        assert call(server.port, "GET", "/v1/nothing", **bearer).status == 404


# Batches


def batch_of(server: HostileServer, count: int = 6) -> str:
    """Uploads questions, makes a batch of them, and gives its id."""
    lines = [
        {"custom_id": f"page-{n}", "method": "POST", "url": "/v1/chat/completions", "body": question(f"{LAKE} No {n}.")}
        for n in range(count)
    ]
    fields = {'name="purpose"': "batch", 'name="file"; filename="a.jsonl"': "\n".join(map(json.dumps, lines))}
    form = (
        "".join(f"--edge\r\nContent-Disposition: form-data; {k}\r\n\r\n{v}\r\n" for k, v in fields.items())
        + "--edge--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=edge"}
    file = call(server.port, "POST", "/v1/files", form.encode(), **kind).body
    assert call(server.port, "GET", f"/v1/files/{file['id']}/content").raw.count(b"custom_id") == count
    made = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return post(server, "/v1/batches", made | {"metadata": {"run": "one"}}).body["id"]


def statuses(server: HostileServer, batch: str) -> list[str]:
    return [call(server.port, "GET", f"/v1/batches/{batch}").body["status"] for _ in range(4)]


def rows(server: HostileServer, batch: str, file: str) -> dict[str, Any]:
    name = call(server.port, "GET", f"/v1/batches/{batch}").body[f"{file}_file_id"]
    lines = call(server.port, "GET", f"/v1/files/{name}/content").raw.splitlines() if name else []
    return {row["custom_id"]: row for row in map(json.loads, lines)}


def test_a_batch_is_answered_in_its_own_order_and_charged(server):
    batch = batch_of(server)
    assert statuses(server, batch) == ["in_progress", "finalizing", "completed", "completed"]
    found = rows(server, batch, "output")
    assert sorted(found) != list(found)
    assert sorted(found) == [f"page-{number}" for number in range(6)]
    body = found["page-3"]["response"]["body"]
    assert body == ask(server, f"{LAKE} No 3.").body
    assert server.stats()["requests"] == {"batch": 6, "ok": 1}
    bodies = [row["response"]["body"] for row in found.values()]
    assert server.tokens == sum(each["usage"]["total_tokens"] for each in [body, *bodies])
    details = call(server.port, "GET", "/v1/batches").body["data"][0]
    assert (details["metadata"], details["request_counts"]) == (
        {"run": "one"},
        {"total": 6, "completed": 6, "failed": 0},
    )


def test_a_batch_can_expire_and_the_rest_is_free():
    with HostileServer(batch_expires_after=2, batch_polls=1) as server:
        batch = batch_of(server)
        assert statuses(server, batch)[0] == "expired"
        assert set(rows(server, batch, "output")) == {"page-0", "page-1"}
        assert {row["error"]["code"] for row in rows(server, batch, "error").values()} == {"batch_expired"}
        assert len(server.requests) == 2


def test_lines_of_a_batch_can_fail():
    with HostileServer(batch_fails=frozenset({1, 4}), batch_polls=1) as server:
        batch = batch_of(server)
        statuses(server, batch)
        failed = rows(server, batch, "error")
        assert {name: row["response"]["status_code"] for name, row in failed.items()} == {"page-1": 500, "page-4": 500}
        assert len(rows(server, batch, "output")) == 4


def test_a_batch_can_be_invalid():
    with HostileServer(batch_invalid=True) as server:
        batch = batch_of(server)
        assert statuses(server, batch)[0] == "failed"
        assert call(server.port, "GET", f"/v1/batches/{batch}").body["errors"]["data"][0]["line"] == 1
        assert server.requests == []


def test_a_cancelled_batch_has_half_of_its_answers(server):
    batch = batch_of(server)
    call(server.port, "GET", f"/v1/batches/{batch}")
    assert post(server, f"/v1/batches/{batch}/cancel", {}).body["status"] == "cancelling"
    assert statuses(server, batch)[0] == "cancelled"
    assert (len(rows(server, batch, "output")), len(rows(server, batch, "error"))) == (3, 0)
    assert post(server, f"/v1/batches/{batch}/cancel", {}).status == 409


def test_the_answer_to_making_a_batch_can_be_lost():
    with HostileServer(batch_lost=1) as server:
        with pytest.raises(http.client.RemoteDisconnected):
            batch_of(server)
        assert [row["metadata"] for row in call(server.port, "GET", "/v1/batches").body["data"]] == [{"run": "one"}]
        assert batch_of(server) == "batch_1"


def test_what_a_plan_does_to_connections_does_not_happen_to_lines_of_a_batch():
    plan = in_turn(Behaviour("drop"), Behaviour("prose"))
    with HostileServer(plan=plan, batch_polls=1) as server:
        for start in ("{", "Here"):
            batch = batch_of(server, 1)
            statuses(server, batch)
            body = rows(server, batch, "output")["page-0"]["response"]["body"]
            assert body["choices"][0]["message"]["content"].startswith(start)


# Faults, and the process form


def kinds(share: float, seed: int) -> list[str]:
    plan = faulty_plan(share, seed)
    requests = [Request(method="POST", path="", headers={}, body=question(f"page {n}")) for n in range(1000)]
    return [plan(request, 0).kind for request in requests]


def test_faults_depend_on_seed_prompt_and_times_asked_alone():
    assert kinds(0.3, 1) == kinds(0.3, 1) != kinds(0.3, 2)
    assert 250 < sum(kind != "ok" for kind in kinds(0.3, 1)) < 350
    assert set(kinds(1.0, 1)) & (CONTENT_KINDS - {"ok"})
    assert len(set(kinds(1.0, 1))) == 15


def test_the_process_serves_faults_and_its_log_agrees_with_its_counts(tmp_path):
    log = tmp_path / "log.jsonl"
    command = [sys.executable, Path(__file__).with_name("hostile.py"), "--faults", "0.5", "--hang", "0.1", "--log", log]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().removeprefix("port "))
            with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port)):
                pass
            for number in range(40):
                body = json.dumps(question(f"{LAKE} {number}")).encode()
                with contextlib.suppress(http.client.HTTPException):
                    call(port, "POST", "/v1/chat/completions", body, **{"Content-Type": "application/json"})
            stats = call(port, "GET", "/stats").body
        finally:
            process.kill()
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert Counter(line["kind"] for line in lines) == stats["requests"]
    assert sum(line["tokens"] for line in lines) == stats["tokens"]
    assert {line["prompt"] for line in lines} == {digest for digest, _ in stats["requests_per_prompt"]}
    assert 8 < stats["requests"]["ok"] < 32
