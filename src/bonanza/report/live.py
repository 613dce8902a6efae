"""A page served to this computer alone, that follows a run while it goes on.

Two addresses, `/` and `/fragment`, and nothing else: no file is ever looked up by what a client asks for. Requests
that name another host are refused, so that no web site can reach in through a name that points here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from bonanza.errors import BonanzaError, UsageError
from bonanza.report.page import Page, fragment, whole_page

HOST = "127.0.0.1"
POLL_SECONDS = 2.0  # [ours]
REST = 4  # [ours] times as long as making a page takes, the next one waits: a large run costs a fifth of a core
WATCHED = ("journal.sqlite", "journal.sqlite-wal", "summary.json", "map.parquet", "compare.json")
CLIENT_SECONDS = 10  # after which a silent client is left alone


class LivePage:
    """The page of a folder, made anew when the folder has changed. Safe to use from threads."""

    def __init__(self, folder: Path, make: Callable[[], Page]) -> None:
        self._folder, self._make = folder, make
        self._lock = threading.Lock()
        self._due = 0.0
        self.stamp, self.page = self._found(), make()

    def refresh(self) -> tuple[str, Page]:
        """The stamp and the page; those before, if the folder is just being written or was looked at just now."""
        with self._lock:
            if (found := self._found()) != self.stamp and time.monotonic() >= self._due:
                started = time.monotonic()
                with suppress(BonanzaError):  # files of two moments: the next look sees them whole
                    self.page, self.stamp = self._make(), found
                self._due = time.monotonic() + REST * (time.monotonic() - started)
            return self.stamp, self.page

    def _found(self) -> str:
        """Changes whenever one of the files does."""
        paths = [self._folder / name for name in WATCHED]
        states = [path.stat() for path in paths if path.exists()]
        return "-".join(f"{state.st_mtime_ns:x}.{state.st_size:x}" for state in states)


class LiveServer(ThreadingHTTPServer):
    """Serves a live page; port 0 takes any that is free."""

    daemon_threads = True

    def __init__(self, live: LivePage, port: int) -> None:
        self.live = live
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port} cannot be used ({error}). Give another with --port; 0 takes any.") from None

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer
    server_version, sys_version = "bonanza", ""
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        """Answer the two addresses."""
        asked = urlsplit(self.path)
        if self.headers.get("Host") not in self._hosts():
            self._answer(403, "This page is for this computer only.")
        elif asked.path == "/":
            self._answer(200, whole_page(self.server.live.refresh()[1], POLL_SECONDS), "text/html")
        elif asked.path == "/fragment":
            self._news(parse_qs(asked.query).get("since", [""])[0])
        else:
            self._answer(404, "There is nothing here.")

    def _hosts(self) -> tuple[str, ...]:
        port = self.server.server_port
        return f"{HOST}:{port}", f"localhost:{port}"

    def _news(self, since: str) -> None:
        stamp, page = self.server.live.refresh()
        if since == stamp:
            self._answer(204, "")
        else:
            self._answer(200, fragment(page), "text/html", stamp)

    def _answer(self, status: int, text: str, kind: str = "text/plain", stamp: str = "") -> None:
        body = text.encode("utf-8", "replace")
        headers = {
            "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
        }  # fmt: skip
        if status != 204:
            headers |= {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body))}
        self.send_response(status)
        for name, value in (headers | ({"X-Stamp": stamp} if stamp else {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""
