"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place when all is written."""
    partial = path.with_name(path.name + ".partial")
    yield partial
    os.replace(partial, path)


def write_text(path: Path, text: str) -> None:
    """Replace a file by a whole new one; half characters, which UTF-8 cannot hold, become question marks."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace", newline="\n")
