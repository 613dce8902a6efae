r"""Whether an answer says what the reference says.

What is compared is the final answer: what follows the last "####" (GSM8K), else what the last \boxed{} holds (MATH),
else what follows the last "answer is" or "answer:", else the whole text. Where the reference's is a number, numbers are
compared; an answer that marks no final one is taken by its last number. Else letters must be equal, but for case, white
space, and the signs around them.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:/\d+)?"
_NUMBER = re.compile(rf"(?:(?<![\w)])-)?{NUMBER}")  # a hyphen after a letter or digit is no minus
_WHOLE_NUMBER = re.compile(rf"[\s$£€\\(]*(-?{NUMBER})[\s$%\\).]*")
_FRACTION = re.compile(r"\\[dt]?frac\{(-?\d+)\}\{(\d+)\}")
_SAID = re.compile(r"answer(?: is|:)[ \t:]*(\S[^\n]*)", re.IGNORECASE)
_AROUND = " \t\n$.,;:!?'\"`*()[]"


def matches(answer: str, reference: str) -> bool:
    r"""Whether the final answers are the same.

    >>> matches("So she makes 9 * 2 = $18.00 a day", "She sells nine.\n#### 18")
    True
    >>> matches("The answer is  paris.", "Paris"), matches("x+1", "x-1")
    (True, False)
    """
    wanted = final_answer(reference)
    number = number_of(reference if wanted is None else wanted)
    given = final_answer(answer)
    if number is not None:
        return number == (last_number(answer) if given is None else last_number(given))
    words = normalised(reference if wanted is None else wanted)
    return words in (normalised(answer), normalised(given or answer))


def final_answer(text: str) -> str | None:
    r"""What a text marks as its final answer.

    >>> final_answer("Thus $\\boxed{\\frac{1}{2}}$, done."), final_answer("no mark")
    ('\\frac{1}{2}', None)
    """
    if "####" in text:
        return text.rpartition("####")[2].strip().partition("\n")[0]
    if (boxed := _boxed(text)) is not None:
        return boxed
    said = _SAID.findall(text)
    return said[-1] if said else None


def number_of(text: str) -> Fraction | None:
    """The number that a text is.

    >>> number_of("$1,250.50"), number_of("1/2"), number_of("two 2")
    (Fraction(2501, 2), Fraction(1, 2), None)
    """
    found = _WHOLE_NUMBER.fullmatch(_plain(text))
    return _value(found[1]) if found else None


def last_number(text: str) -> Fraction | None:
    """The last number that stands in a text.

    >>> last_number("3 of 4 are 75%"), last_number("none")
    (Fraction(75, 1), None)
    """
    found = _NUMBER.findall(_plain(text))
    return _value(found[-1]) if found else None


def normalised(text: str) -> str:
    """A text without case, and without what makes no difference to what it says."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_AROUND)


def _plain(text: str) -> str:
    return _FRACTION.sub(r"\1/\2", text.replace("\N{MINUS SIGN}", "-").replace("{,}", ",").replace("\\!", ""))


def _value(number: str) -> Fraction | None:
    above, _, below = number.replace(",", "").partition("/")
    return Fraction(above) / Fraction(below or 1) if Fraction(below or 1) else None


def _boxed(text: str) -> str | None:
    r"""What stands between the braces of the last \boxed."""
    start = text.rfind("\\boxed{") + len("\\boxed{")
    depth = 1
    for place in range(start, len(text) if start >= len("\\boxed{") else 0):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start:place]
    return None
