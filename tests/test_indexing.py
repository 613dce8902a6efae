"""Facts about indexes: made once, grown cheaply, resumed, and used by runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bonanza as package
from bonanza.corpus.readers import documents
from bonanza.errors import FolderError


@pytest.fixture
def pages(tmp_path, monkeypatch) -> Path:
    """Six files that are parts by themselves."""
    monkeypatch.setattr(documents, "LARGE", 200)
    folder = tmp_path / "pages"
    folder.mkdir()
    for number in range(6):
        write(folder / f"{number}.jsonl", 100 * number)
    return folder


def write(path: Path, first: int, count: int = 20) -> None:
    records = [{"id": str(n), "text": f"Lake {n} is {n % 7} metres deep, and {n % 5} kinds of fish live there."}
               for n in range(first, first + count)]  # fmt: skip
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def vectors(folder: Path) -> dict[str, int]:
    """The files of embeddings of parts, and when they were made."""
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("*/vectors-*") if "parts" not in path.name}


def test_an_index_grows_by_what_is_new(pages, tmp_path, bonanza):
    first = bonanza("index", pages, "--out", tmp_path / "index", "--json")
    assert (first.status, json.loads(first.out)["documents"], json.loads(first.out)["parts"]) == (0, 120, 6)
    before = vectors(tmp_path / "index")
    write(pages / "2a.jsonl", 1_000)
    second = bonanza("index", pages, "--out", tmp_path / "index")
    assert "indexed   140 documents in 7 parts" in second.out
    after = vectors(tmp_path / "index")
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2  # of the new file, and of the whole
    summary = json.loads((tmp_path / "index" / "index.json").read_text())
    assert summary["embedder"] == json.loads(first.out)["embedder"]


def test_a_run_reads_and_embeds_nothing_that_is_indexed(pages, tmp_path):
    package.index(pages, out=tmp_path / "index")
    before = sorted(path.name for path in (tmp_path / "index").iterdir()), vectors(tmp_path / "index")
    lakes = [("How deep is lake 3?", "3 metres.")]
    run = package.extract(pages, lakes, budget="5docs", llm="rules", out=tmp_path / "run", cache=tmp_path / "index")
    assert run.summary["documents_total"] == 120
    assert (sorted(path.name for path in (tmp_path / "index").iterdir()), vectors(tmp_path / "index")) == before


def test_the_same_choices_with_an_index_and_without(pages, tmp_path, cache):
    package.index(pages, out=tmp_path / "index")
    arguments = {"target": [("How deep is lake 3?", "3 metres.")], "budget": "9docs", "llm": "rules"}
    for name, place in (("with", tmp_path / "index"), ("without", cache)):
        package.extract(pages, **arguments, out=tmp_path / name, cache=place)
    assert (tmp_path / "with" / "train.jsonl").read_bytes() == (tmp_path / "without" / "train.jsonl").read_bytes()
    assert len({(tmp_path / name / "map.parquet").stat().st_size for name in ("with", "without")}) == 1


def test_other_folders_are_refused_and_stay(pages, tmp_path, bonanza):
    with pytest.raises(FolderError, match="holds no index of bonanza"):
        package.index(pages, out=pages)
    assert len(list(pages.iterdir())) == 6
    assert "is a file" in bonanza("index", pages, "--out", pages / "0.jsonl").err
    assert bonanza("index", tmp_path / "none", "--out", tmp_path / "index").status == 2


@pytest.mark.slow
def test_killed_at_any_moment_it_is_finished_by_the_same_command(pages, tmp_path):
    script = "from bonanza.corpus.readers import documents; documents.LARGE = 200; from bonanza.cli import main; main()"
    command = [sys.executable, "-c", script, "index", str(pages), "--out", str(tmp_path / "index"), "--quiet"]
    for number in range(20):
        write(pages / f"more-{number}.jsonl", 10_000 * (number + 1), 3_000)
    straight = package.index(pages, out=tmp_path / "straight").summary
    kills = 0
    for wait in (1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0):
        process = subprocess.Popen(command)
        time.sleep(wait)
        kills += process.poll() is None
        process.kill()
        process.wait()
    subprocess.run(command, check=True)
    found = json.loads((tmp_path / "index" / "index.json").read_text())
    assert kills >= 3
    assert {key: found[key] for key in ("documents", "embedder")} == {
        key: straight[key] for key in ("documents", "embedder")
    }
    assert whole(tmp_path / "index").read_bytes() == whole(tmp_path / "straight").read_bytes()
    assert not list((tmp_path / "index").glob("*/*.partial"))


def whole(folder: Path) -> Path:
    """The embeddings of the whole corpus."""
    (joined,) = folder.glob("*/joined.json")
    (found,) = joined.parent.glob("vectors-*")
    return found
