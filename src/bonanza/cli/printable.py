"""Text of documents, models and files on the terminal: never a control character, never more than a line."""

from __future__ import annotations

LONGEST_MESSAGE = 2_000  # characters


def printable(text: str, most: int) -> str:
    r"""Put a text on one line, control characters as spaces, cut to `most` characters.

    >>> printable("a\x1b[31m\nb", 20), printable("abcdef", 5)
    ('a [31m b', 'ab...')
    """
    plain = "".join(character if character.isprintable() else " " for character in text[: 10 * most])
    line = " ".join(plain.split())
    return line if len(line) <= most else line[: most - 3] + "..."
