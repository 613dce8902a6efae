"""The whole job against a real model server: llama.cpp with the embedded model, behind its OpenAI-compatible API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from servers.llama_cpp import llama_cpp_server

pytestmark = pytest.mark.slow

PAGES = [
    "Lake Alder is 40 metres deep. Perch and two kinds of carp live in it. It freezes over in January, and the ice is "
    "thick enough to walk on until the middle of March.",
    "To bake rye bread, mix 500 grams of rye flour with 350 grams of water and 10 grams of salt. Let it rise for "
    "twelve hours. Bake it for fifty minutes at 220 degrees, and let it cool for an hour before you cut it.",
    "Home | About | Contact | Imprint | Login | Register | Cart (0) | Privacy | Terms",
]


@pytest.fixture(scope="module")
def url():
    """The server's address, as soon as it answers."""
    with llama_cpp_server("--n_ctx", 4096) as address:
        yield address


def test_a_run_through_llama_cpp_from_the_command_line(url, tmp_path):
    corpus, target = tmp_path / "pages.jsonl", tmp_path / "target.jsonl"
    corpus.write_text("".join(json.dumps({"id": f"page {n}", "text": text}) + "\n" for n, text in enumerate(PAGES)))
    target.write_text(json.dumps({"question": "How deep is the lake?", "answer": "It is 40 metres deep."}) + "\n")
    command = [
        Path(sys.executable).with_name("bonanza"), "extract", corpus, "--target", target, "--budget", "100%",
        "--llm", "openai:smollm2", "--base-url", url, "--out", tmp_path / "run", "--cache", tmp_path / "cache",
        "--set", "server.answer_tokens=500", "--set", "server.pairs_per_chunk=3",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    done = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "run" / "documents.parquet").to_pylist()
    assert [row["status"] in ("ok", "empty", "truncated", "unparsable") for row in rows] == [True] * 3
    assert any(row["pairs"] for row in rows)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["tokens"]["estimated_documents"] <= 1  # the one whose schema the server failed on
    assert summary["tokens"]["input"] > 3 * 400
    assert summary["tokens"]["output"] > 0
    again = subprocess.run([*map(str, command)], check=False, capture_output=True, text=True, env=environment)
    assert again.returncode == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["tokens"] == summary["tokens"]
