r"""The question-answer pairs in what an LLM wrote.

Wished for is ``{"pairs": [{"question": ..., "answer": ..., "evidence": ...}]}``. What comes is not always that, and is
never trusted: thoughts are taken away, single backslashes of LaTeX mended, and the outermost brackets read as JSON.
Where that fails, the text is cut where pairs begin, and only pieces that are not JSON are repaired, each alone: one
broken pair spoils no other, and json_repair, which returns the last of several values, sees one at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Annotated

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

LONGEST_QUESTION = 2_000  # [ours] characters; longer is a page given back, not a question
LONGEST_ANSWER = 20_000  # [ours] characters; more than any model is given tokens for
LONGEST_EVIDENCE = 5_000  # [ours] characters
MOST_PAIRS = 64  # [ours] from one text; more is a model that no longer stops
MOST_READ = 2_000_000  # [ours] characters of a text that is looked at
MOST_REPAIRED = 100_000  # [ours] characters that json_repair gets of one text
# [ours] json_repair takes up to 4 us per character and mark of a piece (552 s for 100,000 characters of '{"'): this is
# about 4 s in all. A broken pair of 1,500 characters needs 0.03 million.
MOST_REPAIR_STEPS = 1_000_000
MARKS = "{}[]()\"'“”/#"  # where json_repair searches on: brackets, quotes, comments

LISTS = ("pairs", "qa_pairs", "questions", "items", "data")  # names under which models put the pairs

# Commands that JSON would read as a line break or a tab and a word. Only whole words: "\nothing" is no "\not".
COMMANDS = (
    "nabla|natural|ncong|nearrow|neq|newcommand|newline|ngeq|nleq|nonumber|not|notin|nsubseteq|nsupseteq|nwarrow|"
    "tanh|tau|tbinom|tfrac|therefore|theta|thickapprox|thicksim|tilde|times|to|triangle|triangleleft|triangleq|"
    r"triangleright|twoheadrightarrow|tan(?! [a-z]{2})|(?:tag|text(?:bf|it|normal|rm|sc|sf|tt)?)(?= ?\{)"
)
# Those whose rest may begin a line ("e.g.", "u = 3", "exists"): commands only where formulas stand around them.
UNSURE_COMMANDS = "ne|neg|nexists|ni|nless|nmid|nparallel|nu|top"
BACKSLASH = re.compile(
    r"\\(?:"
    rf"(?=(?:{COMMANDS})(?![A-Za-z]))"
    rf"|(?=(?:{UNSURE_COMMANDS})(?![A-Za-z]))(?:(?<=[$({{\[^_=+\-]\\)|(?<=\S \\)|(?=[a-z]+[_^}}$]))"
    # Escapes that stand. "\b" never does, nor "\f" and "\r" before a small letter: "\frac", "\rho", "\bar", "\beta".
    r"""|(["\\/'nt]|[fr](?![a-z])|u[0-9a-fA-F]{4})"""
    r"|)"
)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
THOUGHT = re.compile(r"<(/?)(?:think|thinking|reasoning)>", re.IGNORECASE)
JSON_AT_ONCE = re.compile(r"\s*(?:```\w*\s*)?[{\[]\s*[\"'“{\[]")  # no thoughts: tags can only stand inside strings
BRACKET = re.compile(r"[{\[]")
EMPTY_LIST = re.compile(rf"[\"'](?:{'|'.join(LISTS)})[\"']\s*:\s*\[\s*\]")
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
PAIR_START = re.compile(
    # Up to three plain members may stand before the question. Possessive: no match is tried twice.
    rf"\{{\s*+(?:{_STRING}\s*+:\s*+(?:{_STRING}|[-+.\w]++)\s*+,\s*+){{0,3}}[\"'“”]?(?:question|q|evidence)[\"'“”]?\s*+:",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FoundPair:
    """A pair as the model gave it: stripped, without control characters, encodable as UTF-8."""

    question: str
    answer: str
    evidence: str  # empty if the model gave none


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one text gave."""

    pairs: tuple[FoundPair, ...]
    problem: str = ""  # why it was not usable, in one line that can be sent back to the model
    left_out: int = 0  # pairs that were there but were faulty, cut off at the end, or too many


def parse_answer(text: str, cut_off: bool = False) -> Parsed:
    """Find the pairs in a model's answer; `cut_off` says that it ran into its limit of tokens.

    Never raises: an answer without pairs has a problem, an explicit empty list is usable and has none.

    >>> parse_answer('Sure! {"pairs": [{"question": "Who sails?", "answer": "The crew."}]}').pairs
    (FoundPair(question='Who sails?', answer='The crew.', evidence=''),)
    >>> parse_answer("I cannot do that.")
    Parsed(pairs=(), problem='no JSON found', left_out=0)
    """
    if len(text) > MOST_READ:
        return Parsed((), f"the answer has {len(text):,} characters; at most {MOST_READ:,} are read")
    body = _mended(text if JSON_AT_ONCE.match(text) else _without_thoughts(text))
    items = _whole(body)
    return _checked(items) if items is not None else _from_pieces(body, cut_off)


def _mended(text: str) -> str:
    r"""Double the backslashes that JSON would refuse, or take for something else than the model meant.

    >>> _mended(r'\alpha \\frac \frac12 \(x\) two\nlines \nabla f \notes $\nu$ \t1 \times \u00e9')
    '\\\\alpha \\\\frac \\\\frac12 \\\\(x\\\\) two\\nlines \\\\nabla f \\notes $\\\\nu$ \\t1 \\\\times \\u00e9'
    """
    return BACKSLASH.sub(lambda match: "\\" + (match[1] or "\\"), text)


def _without_thoughts(text: str) -> str:
    """Leave out what stands between tags, before one that was never opened, and after one that is never closed.

    >>> _without_thoughts("Let me see.</think>Well: <think>[x]</think>[1]<thinking>Or")
    'Well: [1]'
    """
    kept: list[str] = []
    start, thinking = 0, False
    for tag in THOUGHT.finditer(text):
        if not tag[1] and not thinking:
            kept.append(text[start : tag.start()])
        elif tag[1] and not thinking:
            kept.clear()
        thinking, start = not tag[1], tag.end()
    return "".join(kept) if thinking else "".join(kept) + text[start:]


@dataclass(frozen=True, slots=True)
class _Number:
    """A number as it was written: 3.10 is not 3.1."""

    written: str

    def __str__(self) -> str:
        return self.written


# Not strict: line breaks inside strings are common and clear.
_DECODER = json.JSONDecoder(strict=False, parse_int=_Number, parse_float=_Number, parse_constant=_Number)


def _whole(text: str) -> list[object] | None:
    """The items of a text whose outermost brackets hold one JSON value; prose and fences may stand around it."""
    opening = BRACKET.search(text)
    end = max(text.rfind("}"), text.rfind("]")) + 1
    if opening is None or "{" in text[end:]:  # a second value that was never closed
        return None
    try:
        return _items(_DECODER.decode(text[opening.start() : end]))
    except (ValueError, RecursionError):
        return None


def _items(value: object) -> list[object]:
    """What should be pairs: the entries of a list, under one of its usual names or none, or a single object."""
    if isinstance(value, dict):
        return next((value[name] for name in LISTS if isinstance(value.get(name), list)), [value])
    return value if isinstance(value, list) else []


def _from_pieces(text: str, cut_off: bool) -> Parsed:
    """Read a text that is not one JSON value, pair by pair."""
    pieces = _pieces(text)
    if not pieces:
        return Parsed((), "" if EMPTY_LIST.search(text) else "no JSON found")
    values = [_first_value(piece) for piece in pieces]
    unclosed = cut_off and BRACKET.search(pieces[-1], values[-1][1]) is not None
    if unclosed and values[-1][0] is None:  # never repaired into half a pair
        del pieces[-1], values[-1]
    repaired = iter(_repaired([piece for piece, (value, _) in zip(pieces, values, strict=True) if value is None]))
    items = [item for value, _ in values for item in (next(repaired) if value is None else _items(value))]
    return _checked(items, int(unclosed)) if items or unclosed else Parsed((), "no JSON found")


def _pieces(text: str) -> list[str]:
    """Cut a text where pairs begin; one that shows no pair and no empty list is one piece from its first bracket on.

    >>> _pieces('[{"question": 1}, {"id": 7, "question": 2}]')
    ['{"question": 1}, ', '{"id": 7, "question": 2}]']
    """
    starts = [match.start() for match in PAIR_START.finditer(text)]
    if not starts and not EMPTY_LIST.search(text):
        starts = [match.start() for match in [BRACKET.search(text)] if match]
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def _first_value(piece: str) -> tuple[object, int]:
    """The JSON value that a piece begins with and where it ends, or (None, 0)."""
    try:
        return _DECODER.raw_decode(piece)
    except (ValueError, RecursionError):
        return None, 0


def _repaired(pieces: Sequence[str]) -> list[list[object]]:
    """The items of each piece that is not JSON; [None] where that fails, and for all after those it has time for."""
    characters = accumulate(map(len, pieces))
    steps = accumulate(len(piece) * sum(map(piece.count, MARKS)) for piece in pieces)
    return [
        _repaired_items(piece) if length <= MOST_REPAIRED and effort <= MOST_REPAIR_STEPS else [None]
        for piece, length, effort in zip(pieces, characters, steps, strict=True)
    ]


def _repaired_items(piece: str) -> list[object]:
    import json_repair

    try:
        value = json_repair.loads(piece, skip_json_loads=True)
    except Exception:  # it names none, and raises ValueError, RecursionError and AssertionError at least
        return [None]
    return [item for item in _items(value) if isinstance(item, dict)]


def _cleaned(value: object) -> object:
    r"""A text without control characters, lone surrogates replaced; anything else as it is.

    >>> _cleaned("\x0c\ud83d\ude00 \ud83d ") == "\U0001f600 \ufffd"
    True
    """
    if not isinstance(value, str):
        return value
    text = CONTROL.sub("", value)
    if not text.isascii():  # UTF-16 joins the two halves of a character that json_repair leaves apart
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.strip()


def _worded(value: object) -> object:
    """A number or truth value as text; anything else as it is."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, _Number | int | float) else value


class _Item(BaseModel):
    """One pair as the model should have written it."""

    model_config = ConfigDict(strict=True, loc_by_alias=False)

    question: Annotated[str, BeforeValidator(_cleaned)] = Field(
        min_length=1, max_length=LONGEST_QUESTION, validation_alias=AliasChoices("question", "q", "Question", "Q")
    )
    answer: Annotated[str, BeforeValidator(_cleaned), BeforeValidator(_worded)] = Field(
        min_length=1, max_length=LONGEST_ANSWER, validation_alias=AliasChoices("answer", "a", "Answer", "A")
    )
    evidence: Annotated[str, BeforeValidator(_cleaned), BeforeValidator(lambda value: value or "")] = Field(
        "", max_length=LONGEST_EVIDENCE, validation_alias=AliasChoices("evidence", "quote", "source", "Evidence")
    )


def _checked(items: Sequence[object], cut: int = 0) -> Parsed:
    """Keep the items that are pairs, each once; the first fault is the problem if none is."""
    pairs: dict[FoundPair, None] = {}
    problem, left_out = "", cut
    for number, item in enumerate(items):
        try:
            valid = _Item.model_validate(item)
            pairs[FoundPair(valid.question, valid.answer, valid.evidence)] = None
        except ValidationError as error:
            problem = problem or f"pairs[{number}]{_fault(error)}"
            left_out += 1
    if cut:
        problem = problem or "the answer was cut off before its first pair was whole"
    return Parsed(tuple(pairs)[:MOST_PAIRS], "" if pairs else problem, left_out + max(0, len(pairs) - MOST_PAIRS))


def _fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = "".join(f".{name}" for name in first["loc"])
    match first["type"]:
        case "missing":
            return f"{where} is missing"
        case "string_too_short":
            return f"{where} is blank"
        case "string_too_long":
            return f"{where} has more than {first['ctx']['max_length']:,} characters"
        case "string_type":
            return f"{where} is not a string"
        case _:
            return f"{where} is not a JSON object"
