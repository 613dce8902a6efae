"""A real server: llama.cpp's Python one, with the embedded model."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bonanza.language_models import embedded_model
from commands import child


@contextmanager
def llama_cpp_server(*options: Any) -> Iterator[str]:
    """Start it; its address, as soon as it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-W", "ignore", "-m", "llama_cpp.server", "--model", embedded_model(), "--host", "127.0.0.1",
        "--port", port, "--n_threads", 2, *options,
    ]  # fmt: skip
    with child(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
