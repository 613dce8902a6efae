"""Data inside a page, for its scripts: JSON that no text can break out of, and no more of it than a page can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

Row = TypeVar("Row")


def script_json(value: Any) -> str:
    r"""JSON for an element <script type="application/json">: holds no <, > or &, so no text in it ends the element.

    >>> script_json({"text": "</script>"})
    '{"text":"\\u003c/script\\u003e"}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).translate(_ESCAPES)


def fitting(rows: Sequence[Row], most_bytes: int, shown: Callable[[Row], Any]) -> list[Row]:
    """As many rows, evenly spread, as fit when `shown` of each is put into a page.

    >>> fitting(["a" * 98] * 10, 500, lambda row: row) == ["a" * 98] * 5
    True
    """
    sizes = [len(script_json(shown(row)).encode("utf-8", "replace")) for row in rows]
    count = len(rows)
    while count:
        places = [place * len(rows) // count for place in range(count)]
        size = sum(sizes[place] for place in places)
        if size <= most_bytes:
            return [rows[place] for place in places]
        count = min(count - 1, count * most_bytes // size)
    return []
