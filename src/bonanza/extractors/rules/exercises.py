"""Textbook pages: exercises and worked examples with their solutions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from bonanza.extractors.rules.choices import options_below, spelled_out
from bonanza.extractors.rules.pages import SENTENCE_ENDS, Found, Line, heading, joined, lines_of, trimmed

LABEL_END = r"(?:[ \t]*\d[\d.]{0,6})?\*{0,2}(?:[.:)]\*{0,2}(?:[ \t]+(\S.*)|)|)"
TASK = re.compile(r"(?:#{1,6}[ \t]+)?\*{0,2}(?:Exercise|Problem|Task|Example|Practice|Try [Ii]t)" + LABEL_END)
SOLUTION = re.compile(
    r"(?:#{1,6}[ \t]+)?\*{0,2}(?:(?:Sample |Model |Worked )?[Ss]olution|(?:Sample |Model )?[Aa]nswer)" + LABEL_END
)
INSTRUCTION = re.compile(r"(?:In|For) (?:the following|each of the following|exercises|problems)\b")
LONGEST_INSTRUCTION = 600  # characters

# What an exercise leans on and a text cannot show, and answers that are none.
ELSEWHERE = re.compile(
    r"\[figure|\b(?:the|this|following|in|each) (?:figures?|graphs?|diagrams?|pictures?|images?|tables?)\b|"
    r"\b(?:previous|preceding) (?:exercise|problem|example|question)|"
    r"\b(?:shown|shaded|exercise \d|figure \d|table \d)",
    re.IGNORECASE,
)
PART = re.compile(r"[ⓐ-ⓩ]|\([a-h]\)")
EMPTY_PART = re.compile(r"[ⓐ-ⓩ]\s*(?:[ⓐ-ⓩ]|$)")  # the answer to it was an image
FORMULA = re.compile(r"\$[^$]{0,2000}\$")
ASKS = re.compile(
    r"\b[A-Z][a-z]{2,}|\b[a-z]{2,20} [a-z]{2,20} [a-z]{2,20}"
)  # "Add. 2 + 3" asks for something; "x = 2" does not
NO_ANSWER = re.compile(r"(?:answers?|responses?|solutions?)[^.\n]{0,30} (?:may|will|can) vary\b", re.IGNORECASE)


Kind = Literal["instruction", "heading", "task", "solution", "other"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A paragraph, or the part of one that begins with a label, with the blank lines below it."""

    kind: Kind
    lines: Sequence[Line]


def find(text: str) -> list[Found]:
    r"""Read "Problem. ... Answer: ..." and "Example 3 ... Solution. ...", labels on lines of their own or not.

    The line that opens a group ("In the following exercises, simplify.") is put in front of each of its tasks. An
    exercise that leans on a figure, a table or another exercise is left out, and so is "Answers will vary".

    >>> page = "In the following exercises, simplify.\n\nProblem. 2x + x\nAnswer: 3x"
    >>> [(found.question, found.answer) for found in find(page)]
    [('In the following exercises, simplify. 2x + x', '3x')]
    """
    return list(_pairs(_chunks(lines_of(text))))


def _chunks(lines: Sequence[Line]) -> list[Chunk]:
    """Divide a page after blank lines, and where a label begins a line."""
    starts, after_blank = [], True
    for index, line in enumerate(lines):
        if line.content and (after_blank or _kind(line) in ("task", "solution")):
            starts.append(index)
        after_blank = not line.content and not line.fenced
    return [Chunk(_kind(lines[start]), lines[start:end]) for start, end in pairwise([*starts, len(lines)])]


def _kind(line: Line) -> Kind:
    if line.fenced:
        return "other"
    if TASK.fullmatch(line.content):
        return "task"
    if SOLUTION.fullmatch(line.content):
        return "solution"
    if heading(line):
        return "heading"
    return "instruction" if INSTRUCTION.match(line.content) else "other"


def _pairs(chunks: Sequence[Chunk]) -> Iterator[Found]:
    """Walk from task to task; an instruction holds until something else than an exercise comes."""
    starts = [index for index, chunk in enumerate(chunks) if chunk.kind in ("instruction", "heading", "task")]
    instruction = ""
    for start, end in pairwise([*starts, len(chunks)]):
        section = chunks[start:end]
        if section[0].kind == "task" and (found := _solved(section, instruction)):
            yield found
        if section[0].kind == "instruction":
            instruction = joined(section[0].lines)
        prose = any(chunk.kind == "other" for chunk in section)
        if prose or section[0].kind == "heading" or len(instruction) > LONGEST_INSTRUCTION:
            instruction = ""


def _solved(section: Sequence[Chunk], instruction: str) -> Found | None:
    """Pair a task with its first solution; one whose label stands alone goes on to the end of the section."""
    middle = next((index for index, chunk in enumerate(section) if chunk.kind == "solution"), None)
    if middle is None:
        return None
    task = _task(_all_lines(section[:middle]))
    solution = trimmed(_all_lines(section[middle : _solution_end(section, middle)]))
    answer = spelled_out(_unlabelled(solution, SOLUTION), options_below(task))
    question = f"{instruction} {task}".strip()
    if not task or not _stands_alone(question) or not _is_answer(answer):
        return None
    return Found(question, answer, section[0].lines[0].start, solution[-1].end)


def _stands_alone(question: str) -> bool:
    """Tell whether a question says what to do, with nothing that is not in the text.

    >>> _stands_alone("Simplify the fraction 4/6."), _stands_alone("$4/6$"), _stands_alone("Find x in the figure.")
    (True, False, False)
    """
    asks = ASKS.search(FORMULA.sub(" ", question)) is not None
    return asks and not question.endswith(":") and not ELSEWHERE.search(question)


def _is_answer(answer: str) -> bool:
    r"""Tell an answer from none, and from one that lost a part.

    >>> _is_answer("ⓐ 2 ⓑ 3"), _is_answer("ⓐ\nⓑ 3"), _is_answer("Answers will vary.")
    (True, False, False)
    """
    return bool(answer) and not EMPTY_PART.search(answer) and not NO_ANSWER.match(answer)


def _solution_end(section: Sequence[Chunk], middle: int) -> int:
    """A label alone is followed by the solution up to the next; text beside it by further parts (a), (b) only."""
    first = trimmed(section[middle].lines)
    alone = len(first) == 1 and not _beside_label(first[0], SOLUTION)
    end = middle + 1
    while end < len(section) and section[end].kind == "other" and (alone or _goes_on(section[end - 1], section[end])):
        end += 1
    return end


def _goes_on(above: Chunk, below: Chunk) -> bool:
    """Tell whether a paragraph begins with the name of a part, or the one above ends with it."""
    last = trimmed(above.lines)[-1].content
    return PART.match(below.lines[0].content) is not None or PART.fullmatch(last.split()[-1]) is not None


def _all_lines(chunks: Sequence[Chunk]) -> list[Line]:
    return [line for chunk in chunks for line in chunk.lines]


def _beside_label(line: Line, label: re.Pattern[str]) -> str:
    match = label.fullmatch(line.content)
    return (match[1] or "") if match else ""


def _unlabelled(lines: Sequence[Line], label: re.Pattern[str]) -> str:
    return "\n".join([_beside_label(lines[0], label), *(line.content for line in lines[1:])]).strip()


def _task(lines: Sequence[Line]) -> str:
    r"""Return the text of a task without its label, and without the title that a worked example may have.

    >>> _task(lines_of("Example 2\nAdding Unlike Fractions\nAdd 1/2 and 1/3."))
    'Add 1/2 and 1/3.'
    """
    task = _unlabelled(lines, TASK)
    title, _, rest = task.partition("\n")
    return rest.strip() if rest and "Example" in lines[0].content and _is_title(title) else task


def _is_title(line: str) -> bool:
    """Tell "Adding Unlike Fractions" from "Add these fractions": most longer words are capitalised.

    >>> _is_title("Adding Unlike Fractions"), _is_title("Simplify: 2x"), _is_title("Add the fractions")
    (True, False, False)
    """
    words = [word for word in line.split() if len(word) > 4 and word.isalpha()]
    capitalised = sum(word[0].isupper() for word in words)
    return len(line.split()) > 1 and 2 * len(words) < 3 * capitalised and not line.endswith(SENTENCE_ENDS)
