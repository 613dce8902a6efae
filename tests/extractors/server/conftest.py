"""Documents, a target, and runs against a real server on localhost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bonanza
from bonanza.run import ExtractResult
from servers.hostile import HostileServer
from servers.pages import KEY, TARGET, pages

Run = Callable[..., ExtractResult]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def extract(tmp_path: Path) -> Run:
    """Run on pages held in memory; the same call resumes."""

    def run(
        host: HostileServer, /, documents: Any = 12, *, budget: str = "100%", name: str = "run", **more: Any
    ) -> ExtractResult:
        documents = pages(documents) if isinstance(documents, int) else documents
        connection = {"base_url": host.url, "timeout": 5.0} | more.pop("connection", {})
        return bonanza.extract(
            documents, TARGET, budget=budget, out=tmp_path / name, cache=tmp_path / "cache", connection=connection,
            **{"policy": "random", "llm": "openai:hostile"} | more,
        )  # fmt: skip

    return run
