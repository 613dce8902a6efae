"""No passage is scored twice: not in one call, not in the next, not after `kill -9`."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bonanza.errors import FolderError
from bonanza.interfaces import Passage, Score
from bonanza.records import Turn
from bonanza.scorers.journaled import JournaledScorer
from word_scorer import WordScorer, passage

SCRIPT = Path(__file__).parents[1] / "word_scorer.py"


def scores_of(scorer: WordScorer, path: Path, passages) -> list[Score]:
    found: dict[int, Score] = {}
    for batch in JournaledScorer(scorer, path).score(passages):
        assert not found.keys() & batch.keys()
        found |= batch
    return [found[position] for position in range(len(passages))]


def started(path: Path, log: Path, count: int, seconds: float) -> subprocess.Popen:
    arguments = [sys.executable, SCRIPT, path, log, count, seconds]
    return subprocess.Popen([*map(str, arguments)], stdout=subprocess.PIPE, text=True)


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_what_is_known_is_not_scored_again(tmp_path):
    first, second, third = WordScorer(), WordScorer(), WordScorer()
    passages = [passage(number) for number in range(7)]
    scores = scores_of(first, tmp_path / "scores.sqlite", passages)
    assert scores == [first.of(each) for each in passages]
    assert scores_of(second, tmp_path / "scores.sqlite", passages) == scores
    assert second.seen == []
    assert scores_of(third, tmp_path / "scores.sqlite", [passage(9), *reversed(passages)])[1:] == scores[::-1]
    assert third.seen == [passage(9)]


def test_equal_passages_are_scored_once(tmp_path):
    scorer = WordScorer()
    passages = [passage(1), passage(2), passage(1), passage(1)]
    assert scores_of(scorer, tmp_path / "scores.sqlite", passages) == [scorer.of(each) for each in passages]
    assert scorer.seen == [passage(1), passage(2)]


def test_what_differs_in_anything_is_scored_by_itself(tmp_path):
    turns = (Turn("user", "a b"), Turn("assistant", "c"))
    passages = [
        Passage(turns), Passage(turns, ("a",)), Passage(turns, ("a", "b")), Passage(turns, ("b", "a")),
        Passage(turns, ("a b",)), Passage((Turn("system", "a b"), turns[1])), Passage((*turns, *turns)),
        Passage((Turn("user", "a"), Turn("assistant", "b"), Turn("user", "1"))),
        Passage((Turn("user", "a"), Turn("assistant", "b")), ("user",)),
    ]  # fmt: skip
    scorer = WordScorer()
    scores_of(scorer, tmp_path / "scores.sqlite", passages)
    assert scorer.seen == passages
    other = WordScorer(name="other words")
    scores_of(other, tmp_path / "scores.sqlite", passages)
    assert other.seen == passages


def test_a_response_without_entropy_stays_without(tmp_path):
    silent = Passage((Turn("user", "a"), Turn("assistant", "")))
    for times in (1, 0):
        scorer = WordScorer()
        (score,) = scores_of(scorer, tmp_path / "scores.sqlite", [silent])
        assert math.isnan(score.entropy)
        assert len(scorer.seen) == times


def test_more_passages_than_sqlite_takes_in_one_query(tmp_path):
    passages = [passage(number) for number in range(1_234)]
    scores = scores_of(WordScorer(batch=400), tmp_path / "scores.sqlite", passages)
    again = WordScorer()
    assert scores_of(again, tmp_path / "scores.sqlite", passages) == scores
    assert again.seen == []


def test_nothing_gives_nothing(tmp_path):
    assert scores_of(WordScorer(), tmp_path / "new" / "folder" / "scores.sqlite", []) == []


def test_whoever_stops_listening_keeps_what_was_said(tmp_path):
    scorer = WordScorer()
    stream = JournaledScorer(scorer, tmp_path / "scores.sqlite").score([passage(number) for number in range(6)])
    next(stream)
    stream.close()
    after = WordScorer()
    scores_of(after, tmp_path / "scores.sqlite", [passage(number) for number in range(6)])
    assert after.seen == [passage(number) for number in range(2, 6)]


def test_a_kill_loses_one_batch_at_most(tmp_path):
    path, log, count = tmp_path / "scores.sqlite", tmp_path / "log", 12
    process = started(path, log, count, 0.05)
    while len(lines(log)) < 4:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = lines(log)
    assert 4 <= len(before) < count
    assert started(path, log, count, 0).communicate()[0] == "done\n"
    twice = [line for line in before if line in lines(log)[len(before) :]]
    assert len(twice) <= WordScorer().batch
    assert len(set(lines(log))) == count


def test_processes_may_share_the_file(tmp_path):
    path, count = tmp_path / "scores.sqlite", 40
    logs = [tmp_path / f"log {number}" for number in range(3)]
    processes = [started(path, log, count, 0.002) for log in logs]
    assert [process.communicate()[0] for process in processes] == ["done\n"] * 3
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("select count(*) from scores").fetchone() == (count,)
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    again = WordScorer()
    passages = [passage(number) for number in range(count)]
    assert scores_of(again, path, passages) == [again.of(each) for each in passages]
    assert again.seen == []


@pytest.mark.parametrize("path", ["a-file/scores.sqlite", "a-file"])
def test_a_file_that_cannot_be_one_is_refused(tmp_path, path):
    (tmp_path / "a-file").write_text("no database, but a text that is longer than a hundred bytes. " * 4)
    with pytest.raises(FolderError, match=r"a-file.*scores cannot be kept here .*Name another cache folder"):
        JournaledScorer(WordScorer(), tmp_path / path)
