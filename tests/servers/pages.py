"""Pages and a target to read from them."""

from __future__ import annotations

from bonanza.records import Document

KEY = "sk-proj-abc123_DEF-456"
TARGET = [(f"Who steers ship {number}?", f"The captain of ship {number} steers it.") for number in range(10)]


def pages(count: int) -> list[Document]:
    """Pages with a title, a story and facts, each of its own."""
    return [
        Document(
            f"page {number}",
            f"The ship of page {number}\n\nShip {number} left harbour {number % 7} in the year {1500 + number}. "
            f"Its captain {number * 37 % 101} steered it past cape {number * 13 % 29}. The crew rested at noon.",
        )
        for number in range(count)
    ]
