"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from bonanza.errors import FolderError


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


def refuse_foreign(out: Path, proof: str, what: str, harmless: Collection[str] = (".lock",)) -> None:
    """Never write into a folder that holds something else.

    Parameters
    ----------
    proof : the file that shows that the folder is ours
    what : what the folder would hold then, for the message
    harmless : files that show nothing either way
    """
    if out.exists() and not out.is_dir():
        raise FolderError(f"{out}: is a file. Choose a folder with --out.")
    if out.is_dir() and not (out / proof).exists() and any(path.name not in harmless for path in out.iterdir()):
        raise FolderError(f"{out}: is not empty and holds no {what}. Choose a new folder with --out.")
