"""Quizzes: a question, options to choose from, and which of them is right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bonanza.extractors.rules.choices import LETTERS, MARK, options_on, spelled_out, with_options, without_mark
from bonanza.extractors.rules.pages import Found, Line, heading, is_question, joined, lines_of

ANSWER = re.compile(r"(?:the )?(?:correct |right )?(?:answer|ans)(?: is)?[:.][ \t]*(\S.*)", re.IGNORECASE)
KEY = re.compile(r"(?:answer key|answers|key|correct answers)\b:?(.*)", re.IGNORECASE)
KEY_ENTRY = re.compile(r"(?<!\S)(\d{1,3})[.):-]?[ \t]*([A-Ha-h])(?![^\s,;.)])")
NUMBER = re.compile(r"(?:question |q)?(\d{1,3})[.):][ \t]+", re.IGNORECASE)
LONGEST_QUESTION = 30  # lines above the options


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its options; first and last are positions among the lines, the last one is not included."""

    question: str
    number: int | None
    options: Mapping[str, str]
    marked: Sequence[str]  # letters of the options that are marked as right
    first: int
    last: int


def find(text: str) -> list[Found]:
    r"""Read questions with lettered options whose right one is marked, named below them, or in a key at the end.

    A question with an answer line right below it needs no options. Options are added where the question points at
    them.

    >>> page = "What is the capital of Italy?\nA) Oslo; B) Rome\nAnswer: B"
    >>> [(found.question, found.answer) for found in find(page)]
    [('What is the capital of Italy?', 'Rome')]
    """
    lines = lines_of(text)
    key = _key(lines)
    found = [_answered(lines, item, key) for item in _items(lines)]
    return [pair for pair in found if pair] + _without_options(lines)


def _items(lines: Sequence[Line]) -> list[Item]:
    items, index = list[Item](), 0
    while index < len(lines):
        options, marked, last = _options(lines, index)
        if len(options) > 1:
            first = _question_start(lines, index, items[-1].last if items else 0)
            question = joined(lines[first:index])
            number = NUMBER.match(question)
            bare = (question[number.end() :] if number else question).lstrip("#* ").rstrip("*")
            items.append(Item(bare, int(number[1]) if number else None, options, marked, first, last))
        index = max(last, index + 1)
    return items


def _options(lines: Sequence[Line], start: int) -> tuple[dict[str, str], list[str], int]:
    """Read options from a line on, in the order of the alphabet; blank lines may stand between them.

    Returns them without marks, the letters of the marked ones, and the position after the last option.
    """
    options: dict[str, str] = {}
    marked, last = list[str](), start
    for index in range(start, len(lines)):
        content = lines[index].content
        here = options_on(content)
        if here and next(iter(here)) == LETTERS[len(options) : len(options) + 1]:
            if MARK.search(content) or content.lstrip("-+ ").startswith("*"):
                marked.extend(here)
            options |= {letter: without_mark(option) for letter, option in here.items()}
            last = index + 1
        elif content or not options:
            break
    return options, marked, last


def _question_start(lines: Sequence[Line], options: int, earliest: int) -> int:
    """Find the paragraph above the options; one blank line may lie between."""
    last = options
    while last > earliest and not lines[last - 1].content and options - last < 1:
        last -= 1
    first = last
    while first > max(earliest, last - LONGEST_QUESTION) and lines[first - 1].content:
        if ANSWER.fullmatch(lines[first - 1].content):
            break
        first -= 1
    return first


def _answered(lines: Sequence[Line], item: Item, key: Mapping[int, str]) -> Found | None:
    """Take the answer from the line below the options, else from a mark, else from the key."""
    last = item.last
    below = next((index for index in range(last, min(last + 2, len(lines))) if lines[index].content), None)
    named = ANSWER.fullmatch(lines[below].content.strip().replace("**", "")) if below is not None else None
    if named and below is not None:
        answer, last = spelled_out(named[1], item.options), below + 1
    elif len(item.marked) == 1:
        answer = item.options[item.marked[0]]
    else:
        answer = item.options.get(key.get(item.number or 0, ""), "")
    if not answer or not item.question:
        return None
    question = with_options(item.question, list(item.options.values()))
    return Found(question, answer, lines[item.first].start, lines[last - 1].end)


def _key(lines: Sequence[Line]) -> dict[int, str]:
    r"""Read the last key of the page: "Answers: 1. B, 2. C", on its line or on those below.

    >>> _key(lines_of("Answer key\n1. b\n2) C"))
    {1: 'B', 2: 'C'}
    """
    starts = [index for index, line in enumerate(lines) if KEY.fullmatch(line.content.strip("#* "))]
    if not starts:
        return {}
    entries = (entry for line in lines[starts[-1] :] for entry in KEY_ENTRY.findall(line.content))
    return {int(number): letter.upper() for number, letter in entries}


def _without_options(lines: Sequence[Line]) -> list[Found]:
    found = []
    for above, below in pairwise(lines):
        question = NUMBER.sub("", above.content.strip("#* "), count=1)
        named = ANSWER.fullmatch(below.content.replace("**", ""))
        if named and is_question(question) and not heading(below):
            found.append(Found(question, named[1], above.start, below.end))
    return found
