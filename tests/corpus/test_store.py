import gzip
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonanza.corpus.joined import open_parts
from bonanza.corpus.readers import Fields, MemoryReader, open_corpus, parquet
from bonanza.corpus.store import DocumentStore, open_store
from bonanza.errors import CorpusError, FolderError
from bonanza.records import Document, Question, Skipped
from commands import child

any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
pairs = st.none() | st.lists(st.builds(Question, any_text, any_text), max_size=2).map(tuple)
documents = st.builds(Document, any_text, any_text.filter(str.strip), any_text, pairs)


@dataclass
class CountingReader:
    """Says how often it was read."""

    records: list[Document | Skipped]
    times_read: int = 0

    def read(self) -> Iterator[Document | Skipped]:
        self.times_read += 1
        yield from self.records

    def fingerprint(self) -> str:
        return "counting"


def three_pages() -> CountingReader:
    found = [
        Document("1", "one"),
        Skipped("pages, line 2", "broken line", "half \ud800"),
        Document("2", "zwölf"),
        Document("3", "3"),
    ]
    return CountingReader(found)


def state(store: DocumentStore) -> tuple[list[str], list[int], tuple[Skipped, ...], list[Document]]:
    return store.ids, store.lengths.tolist(), store.skipped, store.fetch(range(len(store)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=st.lists(documents, min_size=1, max_size=12), chosen=st.lists(st.integers(0, 11), max_size=20))
def test_fetching_gives_what_the_reader_gave_in_its_order(tmp_path, written, chosen):
    reader = MemoryReader(written)
    usable = [record for record in reader.read() if isinstance(record, Document)]
    store = open_store(reader, tmp_path)
    rows = [row % len(usable) for row in chosen]
    assert store.fetch(rows) == [usable[row] for row in rows]
    assert store.ids == [document.id for document in usable]
    assert store.lengths.dtype == np.int64
    assert store.lengths.tolist() == [len(document.text) for document in usable]
    assert [text for batch in store.texts(5) for text in batch] == [document.text for document in usable]
    assert store.skipped == tuple(record for record in reader.read() if isinstance(record, Skipped))


def test_a_store_is_built_once_and_used_again(tmp_path):
    reader = three_pages()
    first, second = open_store(reader, tmp_path), open_store(reader, tmp_path)
    assert reader.times_read == 1
    assert state(first) == state(second)
    assert second.path == tmp_path / "counting"
    assert [skipped.detail for skipped in second.skipped] == ["half ?"]


def test_batches_of_texts_have_the_size_asked_for(tmp_path):
    assert list(open_store(three_pages(), tmp_path).texts(2)) == [["one", "zwölf"], ["3"]]


@pytest.mark.parametrize("row", [-1, 3])
def test_rows_that_are_not_there_are_refused(tmp_path, row):
    with pytest.raises(IndexError, match=f"row {row} of a corpus of 3 documents"):
        open_store(three_pages(), tmp_path).fetch([row])


def test_numpy_rows_are_rows(tmp_path):
    (document,) = open_store(three_pages(), tmp_path).fetch(np.array([2]))
    assert document.id == "3"


def test_files_of_others_in_the_folder_do_no_harm(tmp_path):
    reader = three_pages()
    (open_store(reader, tmp_path).path / "embeddings.npy").write_bytes(b"derived")
    assert (open_store(reader, tmp_path).path / "embeddings.npy").read_bytes() == b"derived"
    assert reader.times_read == 1


@pytest.mark.parametrize(
    "name",
    ["documents.jsonl", "ids.jsonl", "offsets.npy", "lengths.npy", "hashes.npy", "skipped.jsonl", "complete.json"],
)
@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_damaged_store_is_rebuilt(tmp_path, name, damage):
    reader = three_pages()
    expected = state(open_store(reader, tmp_path))
    file = tmp_path / "counting" / name
    content = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    assert state(open_store(reader, tmp_path)) == expected
    assert reader.times_read == 2


@pytest.mark.parametrize("proof", ["{}", "[]", "null", '{"documents.jsonl": "many"}'])
def test_a_proof_of_completeness_that_proves_nothing_is_not_believed(tmp_path, proof):
    reader = three_pages()
    expected = state(open_store(reader, tmp_path))
    (tmp_path / "counting" / "complete.json").write_text(proof)
    assert state(open_store(reader, tmp_path)) == expected
    assert reader.times_read == 2


def test_what_a_stopped_build_left_is_removed(tmp_path):
    left_over = tmp_path / "counting.partial-1234"
    left_over.mkdir()
    (left_over / "documents.jsonl").write_text('{"id": "1", "te')
    (tmp_path / "counting").mkdir()
    assert len(open_store(three_pages(), tmp_path)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counting", "counting.lock"]


def test_a_reader_that_fails_leaves_nothing_behind(tmp_path):
    class Failing(CountingReader):
        def read(self) -> Iterator[Document | Skipped]:
            yield Document("1", "one")
            raise CorpusError("the disk is gone")

    with pytest.raises(CorpusError, match="the disk is gone"):
        open_store(Failing([]), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["counting.lock"]
    assert len(open_store(three_pages(), tmp_path)) == 3


SLOW_BUILD = """
import sys, time
from pathlib import Path
from bonanza.corpus.store import open_store
from bonanza.records import Document

class Slow:
    def read(self):
        for number in range(5000):
            yield Document(str(number), f"text {number} " * 200)
            if number == 3000:
                print("half-way", flush=True)
                time.sleep(60)
    def fingerprint(self):
        return "counting"

open_store(Slow(), Path(sys.argv[1]))
"""


def test_a_build_killed_half_way_is_done_again_from_the_start(tmp_path):
    with child([sys.executable, "-c", SLOW_BUILD, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"half-way\n"
        process.send_signal(signal.SIGKILL)
    (left_over,) = tmp_path.glob("counting.partial-*")
    assert (left_over / "documents.jsonl").stat().st_size > 0
    assert open_store(three_pages(), tmp_path).ids == ["1", "2", "3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counting", "counting.lock"]


BUILD = """
import sys
from pathlib import Path
from bonanza.corpus.joined import open_parts
from bonanza.corpus.readers import Fields, open_corpus
from bonanza.corpus.store import open_store

store = open_store(open_corpus([sys.argv[1]], Fields()), Path(sys.argv[2]))
print(store.path.stat().st_ino, store.fetch([2999])[0].text)
"""


def test_many_processes_that_open_the_same_corpus_build_it_once(tmp_path):
    pages = tmp_path / "pages.jsonl"
    pages.write_text("".join(json.dumps({"text": f"text {number}"}) + "\n" for number in range(3000)))
    command = [sys.executable, "-c", BUILD, pages, tmp_path / "cache"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate()[0] for process in running}
    assert len(answers) == 1
    assert answers.pop().endswith("text 2999\n")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_threads_may_fetch_at_once(tmp_path):
    store = open_store(MemoryReader([Document(str(number), f"text {number} " * 50) for number in range(500)]), tmp_path)
    start = threading.Barrier(8)

    def fetch(offset: int) -> list[str]:
        start.wait()
        return [document.id for row in range(500) for document in store.fetch([(row + offset) % 500])]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(fetch, range(8)))
    assert results == [[str((row + offset) % 500) for row in range(500)] for offset in range(8)]


def test_an_empty_corpus_is_refused_with_what_was_skipped(tmp_path):
    skipped = [Skipped("a", "broken line"), Skipped("b", "empty text"), Skipped("c", "broken line")]
    with pytest.raises(
        CorpusError,
        match=r"Skipped were: broken line: 2, empty text: 1. The first: a: broken line. Check the files",
    ):
        open_parts(CountingReader(skipped), tmp_path / "some")
    with pytest.raises(CorpusError, match="The corpus holds no record"):
        open_parts(CountingReader([]), tmp_path / "none")


def test_a_cache_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(
        FolderError, match=r"cache: the corpus cannot be stored here .*File exists.*. Make room, or name another"
    ):
        open_store(three_pages(), tmp_path / "cache")


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path):
    class FullDisk(CountingReader):
        def read(self) -> Iterator[Document | Skipped]:
            with open("/dev/full", "wb", buffering=0) as disk:
                disk.write(b"x")
            yield Document("1", "one")

    with pytest.raises(FolderError, match="No space left on device"):
        open_store(FullDisk([]), tmp_path)
    assert not list(tmp_path.glob("*partial*"))


def test_a_store_keeps_no_file_open_once_it_is_gone(tmp_path):
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    store = open_store(three_pages(), tmp_path)
    del store
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files


def test_a_corpus_that_changes_gets_another_store_and_the_old_one_says_so(tmp_path):
    pages = tmp_path / "pages.jsonl"
    pages.write_text('{"text": "a"}\n')
    first = open_store(open_corpus([str(pages)], Fields()), tmp_path / "cache")
    pages.write_text('{"text": "b"}\n')
    second = open_store(open_corpus([str(pages)], Fields()), tmp_path / "cache")
    assert second.fetch([0])[0].text == "b"
    with pytest.raises(CorpusError, match=r"pages.jsonl, line 1: has changed since the corpus was read"):
        first.fetch([0])


RECORDS = [{"id": f"page {n}", "text": f"text {n}, schön \U0001f427 " * (n + 1)} for n in range(30)]


def lines(records: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=n % 2 == 0) + "\n\n" for n, record in enumerate(records)).encode()


def write_corpus(path: Path, records: list[dict[str, str]] = RECORDS) -> Path:
    """The records in the format that the name asks for."""
    table = pyarrow.Table.from_pylist(records)
    match path.name:
        case "pages.parquet" | "large.parquet":
            pq.write_table(table, path, row_group_size=7)
        case "pages.jsonl":
            path.write_bytes(b"\xef\xbb\xbf" + lines(records))
        case "pages.jsonl.gz":
            path.write_bytes(gzip.compress(lines(records)))
        case "pages.csv":
            pyarrow.csv.write_csv(table, path)
        case "pages":
            path.mkdir(exist_ok=True)
            for number, record in enumerate(records):
                (path / f"{number:02}.md").write_text(record["text"], encoding="utf-8")
    return path


STANDING, COPIED = ("pages.jsonl", "pages.parquet", "pages"), ("pages.jsonl.gz", "pages.csv", "large.parquet")


@pytest.mark.parametrize("name", STANDING + COPIED)
def test_documents_are_the_same_wherever_their_texts_stand(tmp_path, monkeypatch, name):
    monkeypatch.setattr(parquet, "LARGEST_GROUP", 100 if name == "large.parquet" else 1 << 20)
    reader = open_corpus([str(write_corpus(tmp_path / name))], Fields())
    store = open_store(reader, tmp_path / "cache")
    expected = list(reader.read())
    rows = [29, 0, 7, 7, 6, 13, 14]
    assert store.fetch(rows) == [expected[row] for row in rows]
    assert [text for batch in store.texts(4) for text in batch] == [record["text"] for record in RECORDS]
    assert [text for batch in store.texts(4, 11) for text in batch] == [record["text"] for record in RECORDS[11:]]
    copied = b"sch" in (store.path / "documents.jsonl").read_bytes()
    assert copied == (name in COPIED)


@pytest.mark.parametrize("name", STANDING)
@pytest.mark.parametrize("change", ["shorter", "other texts", "gone", "rubbish"])
def test_a_file_that_changes_under_a_store_is_noticed(tmp_path, name, change):
    path = write_corpus(tmp_path / name)
    store = open_store(open_corpus([str(path)], Fields()), tmp_path / "cache")
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if change == "shorter":
        write_corpus(path, RECORDS[:3])
    elif change == "other texts":
        write_corpus(path, [record | {"text": record["text"] + "."} for record in RECORDS])
    elif change == "rubbish":
        for file in [path / f"{n:02}.md" for n in range(30)] if name == "pages" else [path]:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"\xff\xfe{[" * 1000)
    for read in (lambda: store.fetch([20]), lambda: list(store.texts(8))):
        with pytest.raises(CorpusError, match=r"has changed since the corpus was read|cannot be read"):
            read()


def test_equal_files_elsewhere_are_read_there(tmp_path):
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_bytes(lines(RECORDS))
    open_store(open_corpus([str(old)], Fields()), tmp_path / "cache")
    old.rename(new)
    store = open_store(open_corpus([str(new)], Fields()), tmp_path / "cache")
    assert [document.text for document in store.fetch(range(30))] == [record["text"] for record in RECORDS]
    assert len(list((tmp_path / "cache").glob("*/complete.json"))) == 1


def test_unpaired_surrogates_anywhere_do_not_stop_a_build(tmp_path):
    document = Document("1", "a\ud800", "origin\ud800", (Question("q\ud800", "a"),))
    (stored,) = open_store(MemoryReader([document]), tmp_path).fetch([0])
    assert (stored.text, stored.recorded) == ("a�", (Question("q?", "a"),))
