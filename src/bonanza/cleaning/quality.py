"""Named faults of a pair that need no model to see. Each is only noted, or makes the pair malformed, as settings say.

What they cannot see: whether an answer is right, what language a few words are in (language.py), code that is not
fenced as Python, whether LaTeX that balances compiles.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, get_args

from bonanza.algorithms.language import differ
from bonanza.errors import SettingsError
from bonanza.records import Pair, Reading, folded, pair_text
from bonanza.settings import QualitySettings

Flag = Literal[
    "empty question", "empty answer", "answer repeats question", "not self-contained", "question too short",
    "question too long", "answer too short", "answer too long", "other language", "broken Python", "unbalanced LaTeX",
]  # fmt: skip
FLAGS: tuple[Flag, ...] = get_args(Flag)

LANGUAGE_SAMPLE = 5_000  # [ours] characters of a document that tell its language
LONGEST_CODE = 50_000  # [ours] characters; longer Python is not parsed
_SOURCE = "(?:passage|text|article|document|excerpt|paragraph|section|chapter|page|author|lesson|reading|context)"
# [ours] words that point out of the question
_ELSEWHERE = re.compile(
    rf"\bthe (?:above|given|provided|previous|preceding) {_SOURCE}\b|\bthis {_SOURCE}\b|\bthe passage\b(?! of\b)"
    rf"|\b(?:according to|based on|as per) the {_SOURCE}\b(?! of\b)|\b(?:in|from) the {_SOURCE}\?"
    r"|\b(?:mentioned|described|shown|listed|discussed|stated) (?:above|earlier|previously)\b"
    r"|\b(?:figure|fig\.|exercise|example|listing|exhibit|table) \d|\bthe above\b(?!-)"
    r"|\bthe (?:figure|diagram|image|picture|table|chart) (?:above|shows)\b",
    re.IGNORECASE,
)
_PYTHON = re.compile(
    r"^[ \t]*```[ \t]*(?:python3?|py)[ \t]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE | re.IGNORECASE
)
_FENCED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_LATEX = re.compile(r"\$|\\[a-zA-Z]+\b|\\[(\[]")
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([^{}]*)\}")
_AMOUNT = re.compile(r"\$(?=\d)")


class QualityCleaner:
    """Marks pairs with a fault that the settings name as "malformed"; `flags` holds all faults, by pair id."""

    def __init__(self, fetch: Callable[[str], str], settings: QualitySettings) -> None:
        if unknown := sorted(set(settings.dropped) - set(FLAGS)):
            raise SettingsError(f"quality.dropped: there is no flag {unknown[0]!r}. Flags: {', '.join(FLAGS)}.")
        self._fetch, self._settings = fetch, settings
        self.flags: dict[str, tuple[Flag, ...]] = {}

    def clean(self, reading: Reading) -> Reading:
        """Mark the kept pairs of a reading."""
        if not reading.kept:
            return reading
        text = self._fetch(reading.document_id)[:LANGUAGE_SAMPLE]
        marked = (self._marked(pair, text) if pair.status == "kept" else pair for pair in reading.pairs)
        return replace(reading, pairs=tuple(marked))

    def _marked(self, pair: Pair, document: str) -> Pair:
        flags = tuple(flags_of(pair, document, self._settings))
        if flags:
            self.flags[pair.id] = flags
        dropped = [flag for flag in flags if flag in self._settings.dropped]
        return replace(pair, status="malformed", reason=", ".join(dropped)) if dropped else pair


def flags_of(pair: Pair, document: str, settings: QualitySettings) -> Iterator[Flag]:
    """The faults of a pair, in a fixed order; `document` is (the beginning of) the text that it comes from."""
    question, answer = pair.question.strip(), pair.answer.strip()
    if not question or not answer:
        yield "empty question" if answer else "empty answer"
        return
    if folded(question) == folded(answer):
        yield "answer repeats question"
    if points_elsewhere(question):
        yield "not self-contained"
    yield from _lengths(question, answer, settings)
    both = pair_text(question, answer)
    if differ(document, both):
        yield "other language"
    if not python_parses(both):
        yield "broken Python"
    if not (latex_balances(question) and latex_balances(answer)):
        yield "unbalanced LaTeX"


def _lengths(question: str, answer: str, settings: QualitySettings) -> Iterator[Flag]:
    if len(question) < settings.shortest_question:
        yield "question too short"
    if len(question) > settings.longest_question:
        yield "question too long"
    if len(answer) < settings.shortest_answer:
        yield "answer too short"
    if len(answer) > settings.longest_answer:
        yield "answer too long"


def points_elsewhere(question: str) -> bool:
    """Say whether a question needs something that is not in it.

    >>> points_elsewhere("According to the passage, who sails?"), points_elsewhere("Who sails at dawn?")
    (True, False)
    """
    return _ELSEWHERE.search(question) is not None


def python_parses(text: str) -> bool:
    r"""Say whether all code that is fenced as Python parses. It is never run.

    >>> python_parses("```python\nprint(1)\n```"), python_parses("```py\nprint 1\n```"), python_parses("no code")
    (True, False, True)
    """
    return all(_parses(code) for code in _PYTHON.findall(text) if len(code) <= LONGEST_CODE)


def _parses(code: str) -> bool:
    """The parser refuses nesting beyond its limits with errors of memory or recursion: such code is broken too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in the code
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False
    return True


def latex_balances(text: str) -> bool:
    r"""Say whether all LaTeX of a text has its end. A dollar sign before a figure may also be money.

    >>> latex_balances(r"It costs $5, and $\frac{1}{2}$ of it is mine."), latex_balances(r"$\frac{1}{2$")
    (True, False)
    """
    text = re.sub(r"\\\\", "", _FENCED.sub("", text))
    if not _LATEX.search(text):
        return True
    signs = re.sub(r"\\[${}]", "", text)
    dollars, amounts = signs.count("$"), len(_AMOUNT.findall(signs))
    return (
        (dollars % 2 == 0 or (amounts > 0 and (dollars - amounts) % 2 == 0))
        and (_nests(signs, "{", "}") and _nests(text, r"\(", r"\)") and _nests(text, r"\[", r"\]"))
        and _environments_end(text)
    )


def _nests(text: str, opening: str, closing: str) -> bool:
    depth = 0
    for match in re.finditer(f"({re.escape(opening)})|{re.escape(closing)}", text):
        depth += 1 if match[1] else -1
        if depth < 0:
            return False
    return depth == 0


def _environments_end(text: str) -> bool:
    open_ones: list[str] = []
    for kind, name in _ENVIRONMENT.findall(text):
        if kind == "begin":
            open_ones.append(name)
        elif not open_ones or open_ones.pop() != name:
            return False
    return not open_ones
