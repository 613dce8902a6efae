"""Facts about the journal, on real files: what is added is there for good, once, and for one writer."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import textwrap
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.errors import FolderError
from bonanza.interfaces import Call
from bonanza.journal import CallLog, Journal, readings_of
from bonanza.records import Answer, Pair, Reading, Usage

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
odd_texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["", "\0", "\ud800", "\U0010ffff", "e\u0301 \u202e", "a\u2028b\r\n", "'; drop table readings; --"]),
    st.text(st.characters(), max_size=10),  # unpaired surrogates too
)
places = st.none() | st.integers(0, 10**12)
pairs = st.builds(
    Pair, odd_texts, odd_texts, odd_texts, places, places, odd_texts,
    st.sampled_from(["kept", "duplicate", "malformed"]), odd_texts,
)  # fmt: skip
readings = st.builds(
    Reading,
    ids,
    st.sampled_from(["ok", "empty", "unparsable", "refused", "truncated", "failed"]),
    st.lists(pairs, max_size=3).map(tuple),
    st.builds(Usage, st.integers(0, 2**62), st.integers(0, 2**62)),
    st.floats(0, 1e9),
    odd_texts,
)


def reading(document_id: str) -> Reading:
    pair = Pair("Why?", "So.", document_id, 3, 6, "So.")
    return Reading(document_id, "ok", (pair,), Usage(10, 5), 0.25, "détail")


@given(st.lists(readings, max_size=8, unique_by=lambda reading: reading.document_id))
def test_every_reading_comes_back_as_it_was_added(tmp_path_factory, added):
    folder = tmp_path_factory.mktemp("journal")
    with Journal(folder) as journal:
        for reading in added:
            journal.add([reading])
    with Journal(folder) as journal:
        assert journal.find([reading.document_id for reading in added]) == {r.document_id: r for r in added}
        assert len(journal) == len(added)


def test_finding_among_more_documents_than_sqlite_takes_variables(tmp_path):
    with Journal(tmp_path) as journal:
        for number in (0, 1_700, 39_999):
            journal.add([reading(str(number))])
        assert set(journal.find(map(str, range(40_000)))) == {"0", "1700", "39999"}
        assert journal.find([]) == {}


def test_a_reading_is_durable_as_soon_as_it_is_added(tmp_path):
    script = """
        import os, sys
        from pathlib import Path
        from bonanza.journal import Journal
        from bonanza.records import Reading, Usage
        journal = Journal(Path(sys.argv[1]))
        for name in ("first", "second"):
            journal.add([Reading(name, "ok", (), Usage(10, 5))])
        os._exit(7)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=False)
    assert done.returncode == 7
    with Journal(tmp_path) as journal:
        assert set(journal.find(["first", "second"])) == {"first", "second"}
        assert len(journal) == 2


def test_a_second_process_is_refused_while_the_folder_is_in_use(tmp_path):
    script = """
        import sys
        from pathlib import Path
        from bonanza.errors import FolderError
        from bonanza.journal import Journal
        try:
            Journal(Path(sys.argv[1]))
        except FolderError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with Journal(tmp_path):
        refused = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert refused == f"{tmp_path}: another run is writing to it. Wait for it, or choose another --out.\n"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_all_readings_can_be_had_without_touching_the_journal_even_of_a_killed_run(tmp_path):
    script = """
        import os, sys
        from pathlib import Path
        from bonanza.journal import Journal
        from bonanza.records import Reading, Usage
        journal = Journal(Path(sys.argv[1]))
        for name in ("first", "second"):
            journal.add([Reading(name, "ok", (), Usage(10, 5))])
        os._exit(7)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=False)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert len(before["journal.sqlite-wal"][0]) > 0  # SQLite has not moved them to the main file yet
    assert readings_of(tmp_path) == {name: Reading(name, "ok", (), Usage(10, 5)) for name in ("first", "second")}
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_readings_come_in_the_order_in_which_they_were_paid_for(tmp_path):
    with Journal(tmp_path) as journal:
        for name in ("b", "a", "c"):
            journal.add([reading(name)])
    assert list(readings_of(tmp_path).items()) == [(name, reading(name)) for name in ("b", "a", "c")]


def test_readings_of_a_run_that_is_being_written_are_refused(tmp_path):
    with (
        Journal(tmp_path),
        pytest.raises(FolderError, match=r"a run is writing to it\. Wait for it, or copy the folder"),
    ):
        readings_of(tmp_path)
    assert readings_of(tmp_path) == {}


def test_a_document_cannot_be_added_twice(tmp_path):
    with Journal(tmp_path) as journal:
        journal.add([reading("page")])
        with pytest.raises(sqlite3.IntegrityError):
            journal.add([Reading("page", "empty")])
        assert journal.find(["page"]) == {"page": reading("page")}


def test_a_journal_tells_whom_it_belongs_to(tmp_path):
    owner = {"settings": {"seed": 0, "prices": {"input": 0.5}}, "corpus": "abc", "target": "zwölf"}
    with Journal(tmp_path) as journal:
        assert journal.belongs_to() == {}
        journal.claim({"settings": {"seed": 1}})
        journal.claim(owner)
    with Journal(tmp_path) as journal:
        assert journal.belongs_to() == owner


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path):
    (tmp_path / "journal.sqlite").write_bytes(b"A letter to the editor. " * 100)
    with pytest.raises(FolderError, match=r"journal.sqlite: the journal cannot be used \(file is not a database\)"):
        Journal(tmp_path)
    assert (tmp_path / "journal.sqlite").read_bytes() == b"A letter to the editor. " * 100
    (tmp_path / "journal.sqlite").unlink()
    Journal(tmp_path).close()  # the folder was released


def damage(path: Path) -> None:
    """Overwrite all but the first two pages."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xa5" * (size - 2 * 4096))


def test_a_damaged_journal_is_told_to_the_user(tmp_path):
    with Journal(tmp_path) as journal:
        for number in range(200):
            journal.add([reading(f"page {number}")])
    damage(tmp_path / "journal.sqlite")
    with Journal(tmp_path) as journal, pytest.raises(FolderError, match="if the file is damaged, move it away"):
        journal.find(f"page {number}" for number in range(200))


def test_a_full_disk_is_told_to_the_user(tmp_path):
    with Journal(tmp_path) as journal:
        journal.add([reading("first")])
        journal._database.execute("pragma max_page_count=1")  # never fewer than there are
        with pytest.raises(FolderError, match=r"\(database or disk is full\). If the disk is full, make room"):
            for number in range(1_000):
                journal.add([reading(f"page {number}")])
        assert journal.find(["first"]) == {"first": reading("first")}


@pytest.mark.parametrize("below", ["a-file/run", "/proc/run"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, below):
    (tmp_path / "a-file").write_text("a file")
    with pytest.raises(FolderError, match=r"cannot be written \(.+\). Choose another folder with --out"):
        Journal(tmp_path / below)


def call(document_id: str, key: str) -> Call:
    return Call(document_id, key, json.dumps({"messages": [document_id]}), Usage(100, 50))


def record(folder: Path, *steps) -> list[object]:
    """Carry out steps on a call log, each given the log, in one event loop."""

    async def all_of_them(log: CallLog) -> list[object]:
        return [await step(log) for step in steps]

    with Journal(folder) as journal, closing(CallLog(journal)) as log:
        return asyncio.run(all_of_them(log))


def test_an_answer_is_found_again_by_its_key_until_its_document_is_read(tmp_path):
    answer = Answer("{}", "length", Usage(20, 7), estimated=True)
    record(tmp_path, lambda log: log.begin(call("page", "key")), lambda log: log.answered(1, answer))
    with Journal(tmp_path) as journal:
        with closing(CallLog(journal)) as log:
            assert log.answer("key") == answer
            assert log.answer("other") is None
        assert journal.paid() == {"page": Usage(20, 7)}
        journal.add([Reading("page", "ok", (), Usage(20, 7))])
        with closing(CallLog(journal)) as log:
            assert log.answer("key") is None
        assert journal.paid() == {"page": Usage(20, 7)}
        assert journal.lost() == Usage()


def test_a_call_without_an_answer_is_lost_at_its_worst_and_stays_lost_when_its_document_is_read(tmp_path):
    record(tmp_path, lambda log: log.begin(call("page", "key")), lambda log: log.begin(call("other", "another")))
    record(tmp_path, lambda log: log.failed(2, "HTTP 500", Usage(30, 0)))
    for _ in range(2):
        with Journal(tmp_path) as journal:
            assert journal.lost() == Usage(130, 50)
            assert journal.paid() == {}
    with Journal(tmp_path) as journal:
        journal.add([Reading("page", "ok", (), Usage(20, 7))])
        assert journal.lost() == Usage(130, 50)


def test_a_failed_call_of_a_document_that_was_read_is_part_of_its_reading(tmp_path):
    record(tmp_path, lambda log: log.begin(call("page", "key")), lambda log: log.failed(1, "HTTP 500", Usage(30, 0)))
    with Journal(tmp_path) as journal:
        journal.add([Reading("page", "failed", (), Usage(30, 0))])
        assert journal.lost() == Usage()


def test_a_thousand_calls_at_once_are_all_kept_with_their_requests(tmp_path):
    async def one(log: CallLog, number: int) -> None:
        begun = await log.begin(call(f"page {number}", f"key {number}"))
        await log.answered(begun, Answer(f"answer {number}", "stop", Usage(1, 1)))

    async def many(log: CallLog) -> None:
        await asyncio.gather(*(one(log, number) for number in range(1_000)))

    record(tmp_path, many)
    with Journal(tmp_path) as journal:
        kept = journal.unfinished()
    assert {key: answer.text for key, answer in kept.items()} == {f"key {n}": f"answer {n}" for n in range(1_000)}
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as database:
        rows = database.execute("select document_id, request from calls").fetchall()
    assert all(json.loads(zlib.decompress(request)) == {"messages": [id_]} for id_, request in rows)


def test_a_second_answer_to_the_same_call_is_paid_for_and_not_used(tmp_path):
    first, second = Answer("first", "stop", Usage(1, 1)), Answer("second", "stop", Usage(20, 7))
    begun = [lambda log: log.begin(call("page", "key"))] * 2
    record(tmp_path, *begun, lambda log: log.answered(1, first), lambda log: log.answered(2, second))
    with Journal(tmp_path) as journal:
        assert journal.unfinished() == {"key": first}
        assert journal.lost() == second.usage


def test_answers_of_another_run_are_taken_over_once(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    answer = Answer("{}", "stop", Usage(20, 7))
    record(there, lambda log: log.begin(call("page", "key")), lambda log: log.answered(1, answer),
           lambda log: log.begin(call("page", "unanswered")))  # fmt: skip
    with Journal(here) as journal:
        assert (journal.is_empty, journal.adopt(there), journal.is_empty) == (True, 1, False)
        assert journal.adopt(there) == 0
        assert journal.unfinished() == {"key": answer}
