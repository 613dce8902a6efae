"""Options to choose from, as quizzes and exercises print them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

LETTERS = "ABCDEFGH"
OPTION = re.compile(r"(?:[-*+][ \t]+)?(?:\[[ xX]\][ \t]*)?(?:\*\*|\*|✓[ \t]*)?\(?([A-Ha-h])[).:][ \t]+(\S.*)")
NUMBERED = re.compile(r"([1-8])[.)][ \t]+(\S.*)")
MARK = re.compile(r"\[[xX]\]|✓|✔|\((?:correct|right)(?: answer)?\)", re.IGNORECASE)
LONE_LETTER = re.compile(r"\(?([A-Ha-h])[.)]?")
LETTER_AND_TEXT = re.compile(r"\(?([A-H])[.):][ \t]+\S.*")
POINTS_AT_OPTIONS = re.compile(r"\b(?:of these|of the following|of the below)\b|^which\b.{0,80}\bnot\b", re.IGNORECASE)
OPTION_WORDS = frozenset({"true", "false"})


def options_on(line: str) -> dict[str, str]:
    """Read the lettered options on a line: one, or several in order with semicolons between them.

    >>> options_on("A) Oslo; B) Rome"), options_on("(b) Rome"), options_on("A fine day")
    ({'A': 'Oslo', 'B': 'Rome'}, {'B': 'Rome'}, {})
    """
    match = OPTION.fullmatch(line.strip())
    if not match:
        return {}
    letter, rest = match[1].upper(), match[2]
    options = {}
    for following in LETTERS[LETTERS.index(letter) + 1 :]:
        own, separator, rest_after = rest.partition(f"; {following}) ")
        if not separator:
            break
        options[letter] = own.strip()
        letter, rest = following, rest_after
    return options | {letter: rest.strip()}


def without_mark(option: str) -> str:
    """Take off what marks an option as the right one.

    >>> without_mark("Rome (correct)"), without_mark("Rome**")
    ('Rome', 'Rome')
    """
    return MARK.sub("", option).strip(" *")


def spelled_out(answer: str, options: Mapping[str, str]) -> str:
    """Replace a letter by the option it stands for.

    >>> spelled_out("b", {"A": "Oslo", "B": "Rome"}), spelled_out("B", {"A": "B", "B": "K"})
    ('Rome', 'B')
    """
    if answer in options.values():
        return answer
    match = LONE_LETTER.fullmatch(answer) or LETTER_AND_TEXT.fullmatch(answer)
    return options.get(match[1].upper(), answer) if match else answer


def options_below(question: str) -> dict[str, str]:
    r"""Read the options that follow a question's first line, lettered, or numbered from 1 (then 1 is A).

    >>> options_below("Which is a city?\n1. Rome\n2. Norway")
    {'A': 'Rome', 'B': 'Norway'}
    """
    options: dict[str, str] = {}
    for line in question.split("\n")[1:]:
        if match := NUMBERED.fullmatch(line.strip()):
            options[LETTERS[int(match[1]) - 1]] = match[2]
        options |= options_on(line)
    return options


def with_options(question: str, options: Sequence[str]) -> str:
    """Add the options to a question that cannot be answered without them.

    >>> with_options("The sea is salty.", ["True", "False"])
    'The sea is salty. Options: True, False.'
    >>> with_options("What is the capital of Italy?", ["Oslo", "Rome"])
    'What is the capital of Italy?'
    """
    needed = POINTS_AT_OPTIONS.search(question) or {option.casefold() for option in options} <= OPTION_WORDS
    return f"{question} Options: {', '.join(options).rstrip('.')}." if needed and options else question
