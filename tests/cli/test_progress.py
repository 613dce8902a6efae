"""Facts about what a run shows while it goes on: in a terminal of 80 columns, and in a log."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bonanza.cli.progress import Pace

ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@pytest.fixture
def line(small_corpus, tmp_path) -> list[Any]:
    given = [small_corpus.path, "--target", small_corpus.target, "--llm", "recorded", "--out", tmp_path / "run"]
    return ["extract", *given, "--policy", "equal", "--budget", "60k", "--set", "round_size=20"]


def shown(text: str) -> list[str]:
    """What a terminal shows, without its colours and movements."""
    return [part.rstrip() for part in re.split(r"[\r\n]+", ANSI.sub("", text)) if part.strip()]


def test_a_terminal_of_eighty_columns_shows_budget_rate_and_best_clusters(bonanza, line, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    outcome = bonanza(*line)
    assert outcome.status == 0
    lines = [part for part in shown(outcome.err) if "learn from" not in part]  # a note: terminals wrap it
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert re.search(r"^round \d+: [\d,]+ of 60,000 tokens spent \(\d+%\)$", text, re.MULTILINE)
    assert re.search(r"^\d+ documents read \([\d,.]+ a second\), \d+ pairs kept", text, re.MULTILINE)
    assert "━━━━━━" in text
    assert re.search(r"best clusters +reward +pulls +unread of\n +\d+ +\d\.\d{3}", text)


def test_a_log_has_the_same_in_one_line_and_no_escape(bonanza, line):
    outcome = bonanza(*line)
    assert "\x1b" not in outcome.err + outcome.out
    *_, last = (part for part in outcome.err.splitlines() if part.startswith("round "))
    assert re.fullmatch(
        r"round \d+: [\d,]+ of 60,000 tokens spent \(\d+%\), \d+ documents read \([\d,.]+ a second\), \d+ pairs kept, "
        r"best clusters (\d+ \(\d\.\d{3}\)(, )?)+",
        last,
    )


def test_a_resumed_run_has_no_rate_of_what_it_replays(bonanza, line):
    bonanza(*line)
    replayed = [part for part in bonanza(*line).err.splitlines() if part.startswith("round ")]
    assert replayed
    assert not any("a second" in part or "left" in part for part in replayed)


def test_quiet_shows_nothing_though_the_terminal_could(bonanza, line, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    outcome = bonanza(*line, "--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_the_final_summary_fits_one_screen(bonanza, line):
    assert len(bonanza(*line).out.splitlines()) <= 24


def test_a_pace_needs_two_documents(monkeypatch):
    clock = iter([10.0, 14.0, 18.0])
    monkeypatch.setattr("bonanza.cli.progress.time.monotonic", lambda: next(clock))
    pace, told = Pace(), []
    for _ in range(3):
        pace.count()
        told.append(str(pace))
    assert told == ["", " (15 a minute)", " (15 a minute)"]
