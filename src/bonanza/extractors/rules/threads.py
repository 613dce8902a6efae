"""Forum threads: a question in full, then the answers it got."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from bonanza.extractors.rules.pages import Found, Line, heading, is_question, joined, lines_of, trimmed

QUESTION = re.compile(r"question(?: \d{1,4})?", re.IGNORECASE)
ANSWER = re.compile(
    r"(?:(?:accepted |best |top )?answer(?: \d{1,4})?|\d{1,4} answers?)(?: \([^()]{1,60}\)| by .{1,60}| - .{1,60})?",
    re.IGNORECASE,
)
ACCEPTED = re.compile(r"\b(?:accepted|best)\b", re.IGNORECASE)
ABOUT_THE_POST = re.compile(r"(?:asked|posted|tags?|viewed|score|votes?|active|modified)\b[: ].{0,80}", re.IGNORECASE)


def find(text: str) -> list[Found]:
    r"""Read a question and its accepted answer, or else the first, below lines that say "Question" and "Answer".

    The question is what stands above the answers, and it must be one. Lines about the post are left out. Without a
    line "Question" the page must be one thread: other headings than its title mean that it is something else.

    >>> page = "How do I reef?\n\nThe wind is strong.\n\nAnswer 1\n\nLower the sail."
    >>> [(found.question, found.answer) for found in find(page)]
    [('How do I reef?\n\nThe wind is strong.', 'Lower the sail.')]
    """
    lines = lines_of(text)
    marks = [index for index, line in enumerate(lines) if _marker(line, ANSWER) or _marker(line, QUESTION)]
    parts = [lines[start:end] for start, end in pairwise([*marks, len(lines)])]
    asked_first = bool(marks) and _marker(lines[marks[0]], QUESTION)
    if not asked_first and any(_is_heading(line) for line in lines[1:]):
        return []
    groups: list[list[Sequence[Line]]] = [[lines[: marks[0]]]] if marks else []
    for part in parts:
        if _marker(part[0], QUESTION):
            groups.append([part[1:]])
        else:
            groups[-1].append(part)
    return [found for group in groups if (found := _thread(group[0], group[1:]))]


def _is_heading(line: Line) -> bool:
    return heading(line) is not None and not _marker(line, ANSWER) and not _marker(line, QUESTION)


def _marker(line: Line, marker: re.Pattern[str]) -> bool:
    marked = heading(line)
    content = marked[1] if marked else line.content.strip("*").removesuffix(":")
    return not line.fenced and marker.fullmatch(content) is not None


def _thread(asked: Sequence[Line], answers: Sequence[Sequence[Line]]) -> Found | None:
    asked = trimmed([line for line in asked if line.fenced or not ABOUT_THE_POST.fullmatch(line.content)])
    given = [part for part in answers if len(trimmed(part)) > 1]
    if not asked or not given or not any(is_question(line.content.lstrip("# ")) for line in asked):
        return None
    chosen = next((part for part in given if ACCEPTED.search(part[0].content)), given[0])
    body = trimmed([line for line in chosen[1:] if line.fenced or not ABOUT_THE_POST.fullmatch(line.content)])
    if not body:
        return None
    return Found(joined(asked).lstrip("# "), joined(body), asked[0].start, body[-1].end)
