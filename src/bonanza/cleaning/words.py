"""Texts as cleaning compares them: without regard to case, white space, typography or how a number is written."""

from __future__ import annotations

import re
import unicodedata

# Characters that stand for another one in typeset text; one for one, so that places stay places
TYPOGRAPHY = str.maketrans(
    "\u2018\u2019\u201a\u201b\u2032\u201c\u201d\u201e\u201f\u2033\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    "'" * 5 + '"' * 5 + "-" * 7,
)
_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
NUMBER_WORDS = {word: str(value) for value, word in enumerate(_UNITS)} | {
    word: str(10 * value) for value, word in enumerate(_TENS, start=2)
}
_COMPOUNDS = re.compile(rf"\b({'|'.join(_TENS)})[- ]({'|'.join(_UNITS[1:10])})\b")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_MARKED = re.compile(r"\d+(?:\.\d+)?|\\?[^\W\d_]+|[^\w\s]")


def plain(text: str) -> str:
    """A text in lower case with plain quotes and dashes, and its numbers in digits without thousands' commas.

    >>> plain("Twenty-five crews’ 1,000 ropes")
    "25 crews' 1000 ropes"
    """
    folded = unicodedata.normalize("NFKC", text).casefold().translate(TYPOGRAPHY)
    return _THOUSANDS.sub("", _COMPOUNDS.sub(_compound, folded))


def words(text: str) -> list[str]:
    """Runs of letters and numbers, in order.

    >>> words("Three crews: $x_2$ is 1,000.5!")
    ['3', 'crews', 'x', '2', 'is', '1000.5']
    """
    return [NUMBER_WORDS.get(word, word) for word in _WORD.findall(plain(text))]


def words_and_marks(text: str) -> list[str]:
    """The same with every other sign as a token of its own: formulas differ by these.

    >>> words_and_marks("x + 3")
    ['x', '+', '3']
    """
    return [NUMBER_WORDS.get(word, word) for word in _MARKED.findall(plain(text))]


def _compound(match: re.Match[str]) -> str:
    return str(int(NUMBER_WORDS[match[1]]) + int(NUMBER_WORDS[match[2]]))
