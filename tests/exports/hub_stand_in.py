"""A small part of the Hugging Face hub's HTTP interface, on localhost, that keeps what it is sent.

What the client calls to create a dataset and upload a folder to it: create, validate-yaml, tree, preupload, the batch
interface of Git LFS with its uploads, and commit. Parquet goes by LFS, as on the hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any, Self

USER = "someone"


class HubStandIn:
    """Use as a context manager."""

    def __init__(self, token: str, fails: dict[str, int] | None = None) -> None:
        self.token = token
        self.fails = fails or {}  # statuses by a part of the path
        self.repos: dict[str, dict[str, Any]] = {}  # what was asked for at the creation of each dataset
        self.files: dict[str, dict[str, bytes]] = {}  # by dataset and path
        self.objects: dict[str, bytes] = {}  # of LFS, by hash
        self.requests: list[str] = []

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def create(self, body: dict[str, Any]) -> tuple[int, Any]:
        name = f"{body.get('organization') or USER}/{body['name']}"
        there = name in self.repos
        self.repos.setdefault(name, body)
        self.files.setdefault(name, {})
        answer = {"url": f"{self.address}/datasets/{name}", "name": name, "id": name}
        return (409, answer | {"error": "You already created this dataset"}) if there else (200, answer)

    def tree(self, name: str) -> tuple[int, Any]:
        files = self.files[name].items()
        return 200, [{"type": "file", "path": path, "size": len(held), "oid": _oid(held)} for path, held in files]

    def preupload(self, body: dict[str, Any]) -> tuple[int, Any]:
        def mode(path: str) -> str:
            return "lfs" if PurePosixPath(path).suffix == ".parquet" else "regular"

        files = [file["path"] for file in body["files"]]
        return 200, {"files": [{"path": path, "uploadMode": mode(path), "shouldIgnore": False} for path in files]}

    def batch(self, body: dict[str, Any]) -> tuple[int, Any]:
        def actions(oid: str) -> dict[str, Any]:
            return {} if oid in self.objects else {"actions": {"upload": {"href": f"{self.address}/lfs/{oid}"}}}

        asked = [(item["oid"], item["size"]) for item in body["objects"]]
        return 200, {"transfer": "basic", "objects": [{"oid": oid, "size": size} | actions(oid) for oid, size in asked]}

    def commit(self, name: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        files = self.files[name]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        oid = "0" * 40
        return 200, {"success": True, "commitOid": oid, "commitUrl": f"{self.address}/datasets/{name}/commit/{oid}"}


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def do_PUT(self) -> None:
        oid, content = self.path.removeprefix("/lfs/"), self._body()
        good = hashlib.sha256(content).hexdigest() == oid
        if good:
            self.hub.objects[oid] = content
        self._send(200 if good else 400, {})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, raw: bytes) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        broken = next((status for part, status in self.hub.fails.items() if part in self.path), None)
        if broken is not None:
            self._send(broken, {"error": f"broken for {self.headers['Authorization']}"})
        elif self.headers["Authorization"] != f"Bearer {self.hub.token}":
            self._send(401, {"error": f"Invalid token {self.headers['Authorization']}"})
        else:
            self._send(*self._routed(raw))

    def _routed(self, raw: bytes) -> tuple[int, Any]:
        path = self.path.split("?")[0]
        name = "/".join(path.removeprefix("/api").removeprefix("/datasets/").removesuffix(".git").split("/")[:2])
        if path == "/api/repos/create":
            return self.hub.create(json.loads(raw))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.endswith("/info/lfs/objects/batch"):
            return self.hub.batch(json.loads(raw))
        if "/tree/" in path:
            return self.hub.tree(name)
        if "/preupload/" in path:
            return self.hub.preupload(json.loads(raw))
        if "/commit/" in path:
            return self.hub.commit(name, [json.loads(line) for line in raw.splitlines()])
        return 404, {"error": f"no {path}"}

    def _send(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""
