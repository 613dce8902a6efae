"""Untrusted text in Markdown: shown as it is, never interpreted."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 200  # characters


def code(text: str) -> str:
    r"""A text on one line as code, also within a table.

    >>> code("a|b`<b>\n"), code("")
    ("`a\\|b'<b>`", '(none)')
    """
    plain = "".join(character if character.isprintable() else " " for character in text[: 10 * LONGEST])
    line = " ".join(plain.split())[:LONGEST].replace("`", "'").replace("\\", "/").replace("|", "\\|")
    return f"`{line}`" if line else "(none)"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table whose cells are Markdown already."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
