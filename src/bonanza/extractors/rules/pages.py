"""What every layout needs: the lines of a page with their places, passages of lines, headings and titles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

FENCES = ("```", "~~~")
HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*)")
SENTENCE_ENDS = (".", "!", "?", ":", ";", ",")
LONGEST_TITLE = 120  # characters; a longer first line is prose

QUESTION_WORD = re.compile(
    r"(what|why|how|when|where|which|who|whose|whom|is|are|am|was|were|can|could|do|does|did|should|shall|will|would|"
    r"may|must)\b",
    re.IGNORECASE,
)
BEFORE_A_QUESTION_WORD = re.compile(r"(if|in|on|at|for|to|from|under|with|by)\b", re.IGNORECASE)
TO_THE_READER = re.compile(
    r"(do you (have|need|want)|are you (ready|looking|stuck)|is (something|anything|there anything)|"
    r"(can't|cannot) find|what('s| is| comes) (next|new))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A question and its answer, and where the two stand: text[start:end] holds both."""

    question: str
    answer: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line without trailing space, and its place: text[start:end] == content."""

    content: str
    start: int
    fenced: bool  # part of a code block between fences, or a fence

    @property
    def end(self) -> int:
        """Where the content ends."""
        return self.start + len(self.content)


def lines_of(text: str) -> list[Line]:
    r"""Split a page into lines.

    >>> [(line.content, line.start) for line in lines_of("one \ntwo")]
    [('one', 0), ('two', 5)]
    """
    lines, start, fenced = [], 0, False
    for raw in text.split("\n"):
        fence = raw.lstrip().startswith(FENCES)
        lines.append(Line(raw.rstrip(), start, fenced or fence))
        fenced ^= fence
        start += len(raw) + 1
    return lines


def trimmed(lines: Sequence[Line]) -> Sequence[Line]:
    """Leave out blank lines at both ends."""
    first, last = 0, len(lines)
    while first < last and not lines[first].content:
        first += 1
    while last > first and not lines[last - 1].content:
        last -= 1
    return lines[first:last]


def joined(lines: Sequence[Line]) -> str:
    r"""Put lines together again.

    >>> joined(lines_of("\n  code  \n\nmore\n"))
    '  code\n\nmore'
    """
    return "\n".join(line.content for line in trimmed(lines))


def paragraphs(lines: Sequence[Line]) -> list[Sequence[Line]]:
    r"""Group lines by the blank lines between them; a fenced block is never divided.

    >>> [joined(group) for group in paragraphs(lines_of("a\nb\n\n\nc"))]
    ['a\nb', 'c']
    """
    groups: list[list[Line]] = [[]]
    for line in lines:
        if line.content or line.fenced:
            groups[-1].append(line)
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def heading(line: Line) -> tuple[int, str] | None:
    """Level and text of a markdown heading.

    >>> heading(lines_of("## Why? ##")[0])
    (2, 'Why?')
    """
    if line.fenced or not (match := HEADING.fullmatch(line.content)):
        return None
    return len(match[1]), match[2].rstrip("#").rstrip().strip("*")


def page_title(lines: Sequence[Line]) -> str:
    r"""Return the first line, if it is a title: a heading, or a short line alone that does not end like a sentence.

    >>> page_title(lines_of("# Sailing\nText")), page_title(lines_of("It rained.\n\nText"))
    ('Sailing', '')
    """
    lines = trimmed(lines)
    if not lines:
        return ""
    if marked := heading(lines[0]):
        return marked[1][:LONGEST_TITLE]
    alone = len(lines) == 1 or not lines[1].content
    content = lines[0].content.strip()
    return content if alone and len(content) <= LONGEST_TITLE and not content.endswith(SENTENCE_ENDS) else ""


def is_question(text: str) -> bool:
    """Tell a full question, with its mark, from a slogan or a word to the reader.

    >>> is_question("What is a fjord?"), is_question("Need help?"), is_question("Do you have questions?")
    (True, False, False)
    """
    return text.endswith("?") and (opens_a_question(text) or _opens_after_preposition(text))


def opens_a_question(text: str) -> bool:
    """Tell whether three words or more begin as a question does, with or without its mark.

    >>> opens_a_question("How long may a fjord be"), opens_a_question("Why sail?"), opens_a_question("Sailing for you")
    (True, False, False)
    """
    return _long_enough(text) and QUESTION_WORD.match(text) is not None


def _opens_after_preposition(text: str) -> bool:
    return _long_enough(text) and BEFORE_A_QUESTION_WORD.match(text) is not None


def _long_enough(text: str) -> bool:
    return len(text.split(maxsplit=2)) == 3 and not TO_THE_READER.match(text)


def without_fence(answer: str) -> str:
    r"""Take the fence off an answer that is one fenced block and nothing else.

    >>> without_fence("```python\nprint(1)\n```")
    'print(1)'
    """
    lines = answer.split("\n")
    fences = [index for index, line in enumerate(lines) if line.startswith(FENCES)]
    return "\n".join(lines[1:-1]).strip("\n") if len(lines) > 2 and fences == [0, len(lines) - 1] else answer
