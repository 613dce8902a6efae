"""Facts about the live page: it follows a run, and lets nobody else in."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from seen_pages import Seen

from bonanza.cli.report import page_of
from bonanza.errors import UsageError
from bonanza.journal import Journal
from bonanza.records import Pair, Reading, Usage
from bonanza.report.live import LivePage, LiveServer
from commands import child


@pytest.fixture(scope="module")
def folder(run_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("live")
    shutil.copyfile(run_folder / "journal.sqlite", folder / "journal.sqlite")
    return folder


@pytest.fixture(scope="module")
def server(folder) -> Iterator[LiveServer]:
    with LiveServer(LivePage(folder, lambda: page_of(folder, None)), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: LiveServer, path: str, method: str = "GET", host: str | None = None):
    """Status, headers and text of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


def test_the_page_follows_the_journal(server, folder):
    status, headers, text = ask(server, "/fragment?since=")
    assert status == 200
    assert ask(server, f"/fragment?since={headers['X-Stamp']}")[0] == 204
    with Journal(folder) as journal:
        journal.add([Reading("another", "ok", (Pair("Is it new?", "It is.", "another"),), Usage(9, 1))])
        status, headers, later = ask(server, f"/fragment?since={headers['X-Stamp']}")
    assert status == 200
    assert Seen(later).data["pairs"][-1]["q"] == "Is it new?"
    assert "Is it new?" not in text


def test_a_live_page_may_ask_its_own_server_only(server):
    status, headers, text = ask(server, "/")
    assert status == 200 and headers["X-Frame-Options"] == "DENY"
    policy = next(value for name, value in Seen(text).attributes if name == "content" and "default-src" in value)
    assert "connect-src 'self'" in policy and "default-src 'none'" in policy


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example", "[::1]"])
def test_other_hosts_are_refused(server, host):
    assert ask(server, "/", host=host)[0] == 403


@pytest.mark.parametrize(
    "path",
    ["/journal.sqlite", "/../settings.yaml", "/%2e%2e/settings.yaml", "//etc/passwd", "/fragment/..", "/favicon.ico"],
)
def test_no_file_is_served(server, path):
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(server, method):
    assert ask(server, "/", method)[0] == 501


def test_only_this_computer_is_listened_to(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_folder_that_is_just_being_written_shows_what_it_held(server, folder):
    (folder / "summary.json").write_text("{")
    assert ask(server, "/fragment?since=")[0] == 200
    (folder / "summary.json").unlink()


def test_a_taken_port_is_said_in_one_line(server):
    with pytest.raises(UsageError, match=f"port {server.server_port} cannot be used"):
        LiveServer(server.live, server.server_port)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_with_status_zero(unfinished_folder, how):
    command = [
        sys.executable,
        "-c",
        "from bonanza.cli import main; main()",
        "serve",
        str(unfinished_folder),
        "--port",
        "0",
    ]
    with child(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        socket.create_connection(("127.0.0.1", port)).close()
        process.send_signal(how)
        assert process.communicate(timeout=20)[0].strip() == "ended"
    assert process.returncode == 0
