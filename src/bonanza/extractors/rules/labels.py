"""Pages that write "Q:" before each question and "A:" before each answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from bonanza.extractors.rules.choices import options_below, options_on, spelled_out
from bonanza.extractors.rules.pages import Found, Line, heading, lines_of, trimmed

QUESTION = re.compile(r"(?:#{1,6}[ \t]+)?\*{0,2}(?:Q|Question)(?:[ \t]*#?\d{1,3})?\*{0,2}[:.)]\*{0,2}(?:[ \t]+(\S.*)|)")
ANSWER = re.compile(r"(?:#{1,6}[ \t]+)?\*{0,2}(?:A|Ans|Answer)(?:[ \t]*#?\d{1,3})?\*{0,2}[:.]\*{0,2}(?:[ \t]+(\S.*)|)")
RULE = re.compile(r"[-*_=]{3,}")


def find(text: str) -> list[Found]:
    r"""Read "Q: ... A: ..." and "Question 3: ... Answer: ...", numbered or bold, on one line or several.

    An answer goes on up to the next label, heading or rule; a letter is replaced by the option it names.

    >>> [(found.question, found.answer) for found in find("Q1: Who sails?\nA: The crew.")]
    [('Who sails?', 'The crew.')]
    """
    lines = lines_of(text)
    starts = [index for index, line in enumerate(lines) if _label(line, QUESTION)]
    pairs = (_pair(lines[start:end]) for start, end in pairwise([*starts, len(lines)]))
    return [pair for pair in pairs if pair]


def _label(line: Line, label: re.Pattern[str]) -> re.Match[str] | None:
    return None if line.fenced else label.fullmatch(line.content)


def _pair(section: Sequence[Line]) -> Found | None:
    """Divide the lines from one question label to the next at the first answer label."""
    middle = next((index for index in range(len(section)) if _begins_answer(section, index)), None)
    if middle is None:
        return None
    last = next((index for index in range(middle + 1, len(section)) if _closes(section[index])), len(section))
    question = _unlabelled(section[:middle], QUESTION)
    answer = spelled_out(_unlabelled(section[middle:last], ANSWER), options_below(question))
    if not question or not answer:
        return None
    return Found(question, answer, section[0].start, trimmed(section[:last])[-1].end)


def _begins_answer(section: Sequence[Line], index: int) -> bool:
    """Tell an answer's "A." from the first of some options."""
    option = options_on(section[index].content) and any(
        options_on(line.content) for line in section[index + 1 : index + 2]
    )
    return not option and _label(section[index], ANSWER) is not None


def _closes(line: Line) -> bool:
    closing = heading(line) or RULE.fullmatch(line.content) or ANSWER.fullmatch(line.content)
    return not line.fenced and closing is not None


def _unlabelled(lines: Sequence[Line], label: re.Pattern[str]) -> str:
    """Put the lines together without the label on the first one."""
    match = label.fullmatch(lines[0].content)
    first = (match[1] or "").removesuffix("**") if match else lines[0].content
    return "\n".join([first, *(line.content for line in lines[1:])]).strip()
