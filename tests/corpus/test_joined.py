import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza import build
from bonanza.corpus import joined
from bonanza.corpus.joined import JoinedStore, open_parts, stored
from bonanza.corpus.readers import Corpus, Fields, MemoryReader, documents, open_corpus
from bonanza.corpus.readers.jsonl import JsonLines
from bonanza.embedders.static import fit_static
from bonanza.errors import CorpusError
from bonanza.processes import Processes
from bonanza.records import Document, Skipped, content_id
from commands import child


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Files of more than 200 bytes are parts by themselves, smaller ones come in groups of two or so."""
    monkeypatch.setattr(documents, "LARGE", 200)
    monkeypatch.setattr(documents, "OVERHEAD", 100)


def write(folder: Path, files: dict[str, list[dict[str, str]]]) -> Corpus:
    for name, records in files.items():
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return open_corpus([str(folder)], Fields())


def read(corpus: Corpus) -> list[Document]:
    return [record for record in corpus.read() if isinstance(record, Document)]


texts = ["one", "two ", "three" * 50, "vier"]
suffixes = st.lists(st.sampled_from([f"#{content_id(text)}" for text in texts]), max_size=3).map("".join)
names = st.one_of(  # forged ones, too: as others are called where another document bears their id
    st.sampled_from(["", "a", "b", "c", "b#", *map(content_id, texts)]),
    st.builds(str.__add__, st.sampled_from(["", "a", "b"]), suffixes),
)
records = st.fixed_dictionaries({"id": names, "text": st.sampled_from(texts)})


@given(st.lists(st.lists(records, max_size=4), min_size=1, max_size=5))
def test_parts_joined_are_the_corpus_read_at_once(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("pages")
    corpus = write(folder, {f"{number}.jsonl": some for number, some in enumerate(files)})
    expected = read(corpus)
    if not expected:
        with pytest.raises(CorpusError):
            open_parts(corpus, folder / "cache")
        return
    assert len({document.id for document in expected}) == len(expected)
    store = open_parts(corpus, tmp_path_factory.mktemp("cache"))
    assert store.fetch(range(len(store))) == expected
    assert store.ids == [document.id for document in expected]
    assert store.lengths.tolist() == [len(document.text) for document in expected]
    left_out = sorted(one.reason for one in corpus.read() if isinstance(one, Skipped))
    assert sorted(one.reason for one in store.skipped) == left_out


@pytest.mark.slow
def test_parts_read_by_many_processes_are_those_of_one(tmp_path, monkeypatch):
    corpus = write(tmp_path, {f"{number}.jsonl": pages(number * 4) for number in range(12)})
    here = open_parts(corpus, tmp_path / "here")
    monkeypatch.setattr(joined, "MUCH", 0)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    monkeypatch.setattr(joined, "Processes", counted := Counted())
    there = open_parts(corpus, tmp_path / "there")
    assert counted.items == len(there.parts) > 3
    files = lambda place: {path.relative_to(place): path.read_bytes() for path in place.rglob("*.*") if path.is_file()}
    assert files(tmp_path / "there") == files(tmp_path / "here")
    assert there.fetch(range(len(there))) == here.fetch(range(len(here)))


@pytest.mark.slow
def test_a_file_that_no_process_can_read_is_named(tmp_path, monkeypatch):
    corpus = write(tmp_path, {f"{number}.jsonl": pages(number * 4) for number in range(12)})
    corpus.parts()  # the files are hashed
    (tmp_path / "7.jsonl").unlink()
    monkeypatch.setattr(joined, "MUCH", 0)
    monkeypatch.setattr(JsonLines, "size", lambda self: 1_000)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    with pytest.raises(CorpusError, match=r"7\.jsonl"):
        open_parts(corpus, tmp_path / "cache")


class Counted:
    """Counts what is handed to other processes."""

    def __init__(self) -> None:
        self.items = 0

    def __call__(self, do, work):
        def counting(items):
            self.items += len(items)
            return Processes(do, work)(items)

        return counting


def pages(first: int, count: int = 4) -> list[dict[str, str]]:
    return [{"id": str(n), "text": f"text {n} " * 20} for n in range(first, first + count)]


def parts_of(cache: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_ino for path in cache.glob("*/documents.jsonl")}


def test_a_new_file_or_a_changed_one_costs_only_itself(tmp_path):
    folder, cache = tmp_path / "pages", tmp_path / "cache"
    folder.mkdir()
    first = open_parts(write(folder, {f"{n}.jsonl": pages(10 * n) for n in range(5)}), cache)
    assert isinstance(first, JoinedStore)
    before = parts_of(cache)
    assert len(before) == 5
    second = open_parts(write(folder, {"0a.jsonl": pages(100), "3.jsonl": pages(200)}), cache)
    after = parts_of(cache)
    assert len(after) == 7
    assert before.items() <= after.items()
    assert (len(first), len(second)) == (20, 24)
    assert second.ids[:8] == [str(n) for n in (0, 1, 2, 3, 100, 101, 102, 103)]


def test_a_small_file_more_changes_its_own_group_alone(tmp_path):
    folder, cache = tmp_path / "pages", tmp_path / "cache"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}.txt").write_text(f"page {number}")
    open_parts(open_corpus([str(folder)], Fields()), cache)
    before = set(parts_of(cache))
    assert 5 < len(before) < 40
    (folder / "20a.txt").write_text("another page")
    store = open_parts(open_corpus([str(folder)], Fields()), cache)
    assert store.ids == sorted(path.name for path in folder.iterdir())
    assert 1 <= len(set(parts_of(cache)) - before) <= 2


@pytest.mark.parametrize("damage", ["missing", "cut"])
@pytest.mark.parametrize("name", ["rows.npy", "ids.jsonl", "skipped.jsonl", "joined.json"])
def test_a_damaged_joint_is_made_again(tmp_path, name, damage):
    (tmp_path / "pages").mkdir()
    corpus = write(tmp_path / "pages", {"a.jsonl": pages(0), "b.jsonl": [*pages(2), {"id": "1", "text": "other"}]})
    store = open_parts(corpus, tmp_path / "cache")
    expected, file = (store.ids, store.skipped, store.fetch(range(len(store)))), store.path / name
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    again = open_parts(corpus, tmp_path / "cache")
    assert (again.ids, again.skipped, again.fetch(range(len(again)))) == expected


def test_a_part_that_vanished_from_the_cache_is_built_again(tmp_path):
    (tmp_path / "pages").mkdir()
    corpus = write(tmp_path / "pages", {"a.jsonl": pages(0), "b.jsonl": pages(10)})
    store = open_parts(corpus, tmp_path / "cache")
    assert isinstance(store, JoinedStore)
    path = store.path
    (store.parts[1].path / "complete.json").unlink()
    assert stored(path) is None
    assert len(open_parts(corpus, tmp_path / "cache")) == 8
    assert len(stored(path) or ()) == 8


@pytest.mark.parametrize("row", [-1, 8])
def test_rows_that_are_not_there_are_refused(tmp_path, row):
    (tmp_path / "pages").mkdir()
    store = open_parts(write(tmp_path / "pages", {"a.jsonl": pages(0), "b.jsonl": pages(10)}), tmp_path / "cache")
    with pytest.raises(IndexError, match=f"row {row} of a corpus of 8 documents"):
        store.fetch([row])


class Counting:
    """Embeds with another, and counts."""

    def __init__(self, inner) -> None:
        self.inner, self.texts = inner, 0
        self.name, self.dim = inner.name, inner.dim

    def embed(self, texts):
        self.texts += len(texts)
        return self.inner.embed(texts)


def test_embeddings_of_parts_are_those_of_the_whole_and_made_once(tmp_path):
    folder, cache = tmp_path / "pages", tmp_path / "cache"
    folder.mkdir()
    store = open_parts(write(folder, {f"{n}.jsonl": pages(10 * n) for n in range(5)}), cache)
    embedder = Counting(fit_static([text for batch in store.parts[0].texts(8) for text in batch]))
    vectors = build.build_vectors(store, embedder)
    texts = [document.text for document in store.fetch(range(len(store)))]
    assert np.array_equal(vectors, embedder.inner.embed(texts).astype(np.float16))
    grown = open_parts(write(folder, {"0a.jsonl": pages(100)}), cache)
    build.build_vectors(grown, embedder)
    assert embedder.texts == 20 + 4


class Breaking(Counting):
    """Fails after some texts."""

    def embed(self, texts):
        if self.texts >= 30:
            raise KeyboardInterrupt
        return super().embed(texts)


def test_embedding_goes_on_after_the_last_whole_row(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "EMBEDDING_BATCH", 10)
    store = open_parts(MemoryReader([Document(str(n), f"text {n} and more") for n in range(100)]), tmp_path)
    texts = [document.text for document in store.fetch(range(100))]
    embedder = fit_static(texts)
    with pytest.raises(KeyboardInterrupt):
        build.build_vectors(store, Breaking(embedder))
    (partial,) = store.path.glob("*.partial")
    with partial.open("ab") as file:
        file.write(b"half a row")
    counting = Counting(embedder)
    assert np.array_equal(build.build_vectors(store, counting), embedder.embed(texts).astype(np.float16))
    assert counting.texts == 70
    assert not list(store.path.glob("*.partial"))


SLOWLY = """
import sys, time
from pathlib import Path
from bonanza.corpus.readers import Fields, documents, jsonl, open_corpus
from bonanza.corpus.joined import open_parts

documents.LARGE = 200
rows = jsonl.JsonLines.rows
def slow(self, fields):
    time.sleep(0.2)
    print(self.path.name, flush=True)
    return rows(self, fields)
jsonl.JsonLines.rows = slow
print(len(open_parts(open_corpus([sys.argv[1]], Fields()), Path(sys.argv[2]))), flush=True)
"""


def test_a_killed_process_leaves_its_whole_parts_to_the_next(tmp_path):
    folder, cache = tmp_path / "pages", tmp_path / "cache"
    folder.mkdir()
    write(folder, {f"{n}.jsonl": pages(10 * n) for n in range(6)})
    command = [sys.executable, "-c", SLOWLY, folder, cache]
    with child(command, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(4):
            process.stdout.readline()
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    kept = parts_of(cache)
    assert len(kept) >= 3
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert done[-1] == "24"
    assert len(done) - 1 == 6 - len({name for name in kept if ".partial" not in name})
