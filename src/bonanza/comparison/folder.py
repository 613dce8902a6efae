"""The folder of a comparison: `compare.json`, whole after every cell, and only ever that of one comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from bonanza.errors import FolderError
from bonanza.files import refuse_foreign, write_text
from bonanza.journal import locked
from bonanza.settings import differences

NAME = "compare.json"
OURS = (".lock", f"{NAME}.partial")  # what a run that was killed at its start leaves


class CompareFolder:
    """Reads and writes compare.json. Use as a context manager: the folder is locked while it is open."""

    def __init__(self, path: Path) -> None:
        refuse_foreign(path, NAME, NAME, OURS)
        self.path = path
        self._lock = locked(path)
        try:
            self.content: Mapping[str, Any] = read_content(path / NAME)
        except FolderError:
            self._lock.close()
            raise

    def __enter__(self) -> CompareFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()

    def refuse_other(self, owner: Mapping[str, Any]) -> None:
        """A folder belongs to one comparison: equal settings and inputs."""
        there = self.content
        lines = differences(owner, {key: there[key] for key in owner if key in there}) if there else []
        if lines:
            raise FolderError(
                f"{self.path}: belongs to a comparison with other settings. Here {'; '.join(lines)}. "
                "Use those settings to resume it, or choose another folder with --out."
            )

    def write(self, content: Mapping[str, Any]) -> None:
        """Replace compare.json."""
        write_text(self.path / NAME, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        self.content = content


def read_content(path: Path) -> dict[str, Any]:
    """What an earlier run left; empty where there is nothing."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        content = error
    if isinstance(content, dict) and {"settings", "inputs", "rows"} <= content.keys():
        return content
    raise FolderError(f"{path}: is not a comparison of bonanza, or is damaged. Choose another folder with --out.")
