"""Facts about `bonanza doctor`: what it finds out, what it says to do, and that no key is ever shown."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import bonanza.doctor
from bonanza.doctor import Finding, Package, packages
from commands import Outcome
from servers.hostile import Behaviour, HostileServer

KEY = "sk-very-secret-0123456789"
PAGE = b"<html><body><h1>Welcome to the hotel's wifi</h1></body></html>"


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


Doctor = Callable[..., dict[str, Finding]]


@pytest.fixture
def doctor(bonanza) -> Doctor:
    """What is found, by subject; the key is nowhere, and the status says whether there is a problem."""

    def call(*arguments: Any) -> dict[str, Finding]:
        outcome = bonanza("doctor", *arguments, "--json")
        shown = json.loads(outcome.out)
        assert KEY not in outcome.out + outcome.err
        assert KEY[:8] not in outcome.out + outcome.err
        assert outcome.status == (3 if shown["status"] == "problem" else 0)
        found = [Finding(**finding) for finding in shown["findings"]]
        assert all(finding.advice for finding in found if finding.status == "problem")
        return {finding.subject: finding for finding in found}

    return call


@pytest.fixture
def ask(doctor) -> Doctor:
    """Ask a server."""
    return lambda url, *more, model="hostile": doctor("--llm", f"openai:{model}", "--base-url", url, *more)


@contextmanager
def answering(status: int, body: bytes, seconds: float = 0.0, content_type: str = "application/json") -> Iterator[str]:
    """A server that gives every request the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(seconds)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Be silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# The installation


def test_a_whole_installation_is_well(bonanza, cache):
    outcome = bonanza("doctor")
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "all is well" or lines[-1].endswith(("warning", "warnings"))
    assert any(line.startswith("ok       python       3.") for line in lines)
    assert any(line.startswith("ok       extra        server: ") for line in lines)
    assert not any(" dev: " in line for line in lines)


def test_findings_can_be_had_as_json(bonanza):
    shown = json.loads(bonanza("doctor", "--json").out)
    assert set(shown) == {"status", "findings"}
    assert {finding["status"] for finding in shown["findings"]} <= {"ok", "warning", "problem"}
    assert set(shown["findings"][0]) == {"status", "subject", "text", "advice"}


def test_no_heavy_package_is_imported():
    import subprocess
    import sys

    code = (
        "import sys; from bonanza.doctor import Request, examine; list(examine(Request(cache=None)));"
        "print([name for name in ('torch', 'transformers', 'datasets', 'trl', 'openai') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_a_missing_extra_names_its_install_line_and_what_one_misses(bonanza, monkeypatch):
    really = bonanza_version()
    monkeypatch.setattr("bonanza.doctor._version", lambda name: None if name == "matplotlib" else really(name))
    outcome = bonanza("doctor")
    assert outcome.status == 0
    assert "warning  extra        plot: not installed; without it: compare.png\n" in outcome.out
    assert "           -> pip install 'bonanza[plot]'\n" in outcome.out


def bonanza_version() -> Callable[[str], str | None]:
    return bonanza.doctor._version


def test_a_package_that_is_too_old_is_named_with_what_is_there(bonanza, monkeypatch):
    really = bonanza_version()
    monkeypatch.setattr("bonanza.doctor._version", lambda name: "1.9.0" if name == "openai" else really(name))
    told = " ".join(bonanza("doctor").out.split())
    assert "server: without openai[aiohttp]>=3" not in told
    assert "server: without openai>=3 (there is 1.9.0); without it: --llm openai:MODEL" in told


def test_a_missing_package_of_bonanzas_own_is_a_problem(bonanza, monkeypatch):
    really = bonanza_version()
    monkeypatch.setattr("bonanza.doctor._version", lambda name: None if name == "rensa" else really(name))
    outcome = bonanza("doctor")
    assert outcome.status == 3
    assert "problem  bonanza" in outcome.out
    assert "-> pip install 'rensa>=0.3'\n" in outcome.out
    assert "1 problem" in outcome.out.splitlines()[-1]


def test_packages_of_an_extra_are_those_beyond_bonanzas_own():
    assert all(package.fits for package in packages(""))
    assert {package.name for package in packages("hf")} == {"datasets"}
    assert packages("plot")[0] == Package("matplotlib>=3.8", "matplotlib", bonanza_version()("matplotlib"), True)
    assert packages("no such extra") == []


# The computer


def test_a_cache_that_cannot_be_written_is_a_problem(doctor, tmp_path):
    (tmp_path / "file").write_text("")
    found = doctor("--cache", tmp_path / "file" / "cache")["cache"]
    assert (found.status, found.text) == ("problem", f"{tmp_path / 'file' / 'cache'}: cannot be written")
    assert "--cache" in found.advice


def test_the_cache_is_measured(doctor, tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "texts").write_bytes(b"x" * 3 * 2**20)
    assert doctor("--cache", tmp_path)["cache"].text.startswith(f"{tmp_path}: 3.0 MiB in it, ")
    assert doctor("--cache", tmp_path / "new")["cache"].text.startswith(f"{tmp_path / 'new'}: 0 bytes in it, ")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("free", "status"), [(2**20, "problem"), (2**30, "warning"), (2**33, "ok")])
def test_a_full_disk_is_told(doctor, monkeypatch, tmp_path, free, status):
    usage = type(shutil.disk_usage(tmp_path))(2**40, 2**40 - free, free)
    monkeypatch.setattr("bonanza.doctor.shutil.disk_usage", lambda place: usage)
    found = doctor("--cache", tmp_path)["cache"]
    assert (found.status, "Make room" in found.advice) == (status, status != "ok")


def test_a_gpu_that_torch_cannot_use_is_told(doctor, monkeypatch, tmp_path):
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'NVIDIA X100, 81920 MiB'\n")
    command.chmod(0o755)
    monkeypatch.setattr("bonanza.doctor.shutil.which", lambda name: str(command))
    for build, status in (("2.13.0+cpu", "warning"), ("2.13.0+cu130", "ok"), (None, "ok")):
        monkeypatch.setattr("bonanza.doctor._version", lambda name, build=build: build)
        found = doctor()["accelerator"]
        assert found.status == status
        assert found.text.startswith("NVIDIA X100, 81920 MiB")


# The server


def test_a_good_server_is_not_called_unless_asked(ask):
    with HostileServer(key=KEY, models=("hostile", "other")) as server:
        found = ask(server.url)
        assert server.requests == []
    assert found["server"].text == f"{server.url} answers, and lists 2 models"
    assert (found["key"].text, found["model"].text) == ("OPENAI_API_KEY is set", "hostile is listed")
    assert "With --call it is asked one question, which may cost money" in found["model"].advice
    assert "call" not in found


def test_a_call_finds_out_how_the_server_wants_to_be_asked(ask):
    with HostileServer(key=KEY, supports=("json_object",), rejects=("max_tokens", "temperature")) as server:
        found = ask(server.url, "--call")
        assert server.stats()["requests"]["ok"] == 1
    assert found["call"].status == "ok"
    assert "it takes JSON mode with a schema, max_completion_tokens, its own temperature; " in found["call"].text
    assert found["model"].advice == ""


def test_a_call_whose_answer_holds_no_pair_is_a_warning(ask):
    with HostileServer(plan=lambda *_: Behaviour("no_json")) as server:
        found = ask(server.url, "--call")["call"]
    assert found.status == "warning"
    assert "it takes a JSON schema, max_tokens; " in found.text
    assert "but its answer held no pair: no JSON found" in found.text


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour("not_json"), "a response that is no chat completion: <html>"),
        (Behaviour("status", 503), "HTTP 503: The server is rude"),
        (Behaviour("status", 429, code="insufficient_quota"), "HTTP 429"),
        (Behaviour("drop"), "no answer: the connection broke"),
        (Behaviour("echo_key", 400), "HTTP 400: Your key is [key]"),
    ],
)
def test_a_call_that_fails_is_a_problem(ask, behaviour, said):
    with HostileServer(plan=lambda *_: behaviour) as server:
        found = ask(server.url, "--call")["call"]
    assert found.status == "problem"
    assert said in found.text


def test_a_server_that_is_not_there(ask):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = ask(f"http://127.0.0.1:{port}/v1", "--call")
    assert found["server"].status == "problem"
    assert f"http://127.0.0.1:{port}/v1 does not answer: no connection" in found["server"].text
    assert "Start the server, check --base-url" in found["server"].advice
    assert "call" not in found


def test_a_wrong_key(ask):
    with HostileServer(key="another") as server:
        found = ask(server.url, "--call")
    assert found["server"].text == f"{server.url} refuses the key: HTTP 401: Incorrect API key provided."
    assert found["server"].advice == "Check OPENAI_API_KEY."
    assert "call" not in found


def test_a_model_that_is_not_listed(ask):
    with HostileServer(models=("qwen3-8b", "qwen3-14b", "llama")) as server:
        found = ask(server.url, model="qwen3-8")
        called = ask(server.url, "--call", model="qwen3-8")
        latest = ask(server.url, model="llama")
    assert found["model"].status == "problem"
    assert found["model"].text == "qwen3-8 is not listed. Listed: qwen3-8b, qwen3-14b and 1 more."
    assert (called["model"].status, called["call"].status) == ("warning", "problem")
    assert "does not exist or you do not have access to it" in called["call"].text
    assert latest["model"].status == "ok"


def test_a_tag_may_stand_behind_a_models_name(ask):
    with answering(200, b'{"data": [{"id": "qwen3:latest"}]}') as url:
        assert ask(url, model="qwen3")["model"].status == "ok"


def test_a_slow_server(ask):
    with answering(200, b'{"data": []}', seconds=1.0) as url:
        found = ask(url, "--timeout", "0.2")
    assert found["server"].text == f"{url} does not answer: no whole answer within 0.2 s"
    assert "--timeout" in found["server"].advice


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, PAGE, "lists no models: what it sends is no list of models: <html>"),
        (200, b'{"data": 7}', 'what it sends is no list of models: {"data": 7}'),
        (200, b"[" * 100_000, "what it sends is no list of models"),
        (404, PAGE, "lists no models: HTTP 404: <html>"),
        (307, b"", "lists no models: HTTP 307"),
        (500, b'{"error": "\x1b[31mon fire\x1b[0m"}', "lists no models: HTTP 500"),
        (200, f'{{"data": "{KEY}"}}'.encode(), "[key]"),
    ],
)
def test_what_is_no_list_of_models(ask, bonanza, status, body, said):
    with answering(status, body, content_type="text/html") as url:
        found = ask(url)["server"]
        printed = bonanza("doctor", "--llm", "openai:hostile", "--base-url", url).out
    assert found.status == "problem"
    assert said in found.text
    assert "\x1b" not in printed + found.text
    assert KEY not in printed
    expected = "Look at the server's log" if status == 500 else "The address of most servers ends in /v1"
    assert found.advice.startswith(expected)


def test_a_server_without_a_list_may_still_be_called(ask):
    with answering(404, PAGE) as url:
        found = ask(url, "--call")
    assert (found["server"].status, found["call"].status) == ("warning", "problem")


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", f"{KEY}\u00e4"])
def test_a_key_with_white_space_is_told_without_showing_it(ask, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with HostileServer(key=KEY) as server:
        found = ask(server.url)
    assert found["key"].status == "problem"
    assert "holds white space or other characters that no key has" in found["key"].text
    assert "server" not in found


def test_without_a_key(doctor, ask, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    found = doctor("--llm", "openai:gpt-4o-mini")
    assert found["key"].status == "problem"
    assert found["key"].advice == "Set it: export OPENAI_API_KEY=..."
    assert found["prices"].text == "$0.15 / $0.6 per million tokens (prompt / answer)"
    with HostileServer() as server:
        found = ask(server.url)
    assert (found["key"].status, found["model"].status) == ("ok", "ok")


def test_an_address_with_a_secret_is_refused_and_not_shown(bonanza, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:hunter2@127.0.0.1/v1")
    outcome = bonanza("doctor", "--llm", "openai:hostile")
    assert outcome.status == 3
    assert "base_url holds a user, password or query" in " ".join(outcome.out.split())
    assert "hunter2" not in outcome.out + outcome.err


def test_a_missing_package_for_servers_is_a_problem(doctor, monkeypatch):
    monkeypatch.setattr("bonanza.build.find_spec", lambda name: None)
    found = doctor("--llm", "openai:hostile")["llm"]
    assert (found.status, found.advice) == ("problem", "pip install 'bonanza[server]'")


def test_other_readers(doctor):
    assert doctor("--llm", "rules")["llm"].text == "rules needs nothing else"
    assert doctor("--llm", "local")["llm"].text.startswith("local is SmolLM2-135M-Instruct.Q4_1.gguf, ")
    unknown = doctor("--llm", "oracle")["llm"]
    assert unknown.status == "problem"
    assert "llm 'oracle' is not known. There are: openai:MODEL" in unknown.text


# Language models


def test_a_language_model_is_opened(doctor, tiny_models):
    found = doctor("--lm", f"hf:{tiny_models / 'llama'}")["lm"]
    assert found.status == "ok"
    assert "is open on " in found.text


def test_a_language_model_that_cannot_be_opened_is_a_problem(doctor):
    assert "cannot be opened" in doctor("--lm", "hf:/no/model")["lm"].text
    assert "lm 'best' is not known" in doctor("--lm", "best")["lm"].text


def test_a_language_model_behind_a_server_is_asked_only_with_call(doctor):
    with HostileServer() as server:
        found = doctor("--lm", "openai:hostile", "--base-url", server.url)
        assert found["lm"].status == "warning"
        asked = doctor("--lm", "openai:hostile", "--base-url", server.url, "--call")
    assert asked["lm"].status == "problem"


def test_wrong_use_has_status_two(bonanza):
    outcome: Outcome = bonanza("doctor", "--timeout", "0")
    assert (outcome.status, outcome.out) == (2, "")


def test_the_command_line_fits_a_log(bonanza, tmp_path: Path):
    with answering(200, PAGE) as url:
        outcome = bonanza("doctor", "--llm", "openai:hostile", "--base-url", url, "--cache", tmp_path)
    assert max(len(line) for line in outcome.out.splitlines() if str(tmp_path) not in line) <= 80
    assert outcome.err == f"asking {url} for its models\n"
