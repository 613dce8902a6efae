"""Figures and texts as people read them."""

from __future__ import annotations

NOT_KNOWN = "-"


def whole(value: float | None) -> str:
    """A count.

    >>> whole(12345.0), whole(None)
    ('12,345', '-')
    """
    return NOT_KNOWN if value is None else f"{value:,.0f}"


def real(value: float | None, digits: int = 3) -> str:
    """A measure.

    >>> real(0.12345), real(2.0, 1), real(None)
    ('0.123', '2.0', '-')
    """
    return NOT_KNOWN if value is None else f"{value:,.{digits}f}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as a percentage; a share that is not nothing or all is never shown as that.

    >>> percent(0.256), percent(0.9999), percent(0.0004), percent(1.0), percent(None)
    ('26%', '99.99%', '0.04%', '100%', '-')
    """
    if share is None:
        return NOT_KNOWN
    near_an_end = 0 < share < 0.01 or 0.99 < share < 1
    return f"{100 * share:.2f}%" if near_an_end else f"{100 * share:.0f}%"


def dollars(value: float | None) -> str:
    """A price; small ones with more digits.

    >>> dollars(12.5), dollars(0.01234), dollars(0.0), dollars(None)
    ('$12.50', '$0.0123', '$0', '-')
    """
    if value is None:
        return NOT_KNOWN
    if not value:
        return "$0"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def short(text: str, most: int) -> str:
    """The text, or its beginning and an ellipsis.

    >>> short("abcdef", 4), short("abc", 4)
    ('abc…', 'abc')
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def middle_cut(text: str, most: int) -> str:
    """The text, or its beginning and its end.

    >>> middle_cut("abcdefghij", 7), middle_cut("abc", 7)
    ('abc … hij', 'abc')
    """
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"
