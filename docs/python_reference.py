"""Shows our docstrings as they are meant, on the page of the Python reference."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Function, Module

PARAMETERS = re.compile(r"(?<=Parameters\n----------\n).+?(?=\n\n|\Z)", re.DOTALL)
ENTRY = re.compile(r"^(?P<names>\w[\w, ]*) : (?P<text>.+)$", re.MULTILINE)


class PythonReference(Extension):
    """What stands behind a parameter's colon is a text, and the type is the signature's; modules go unmentioned."""

    def on_function(self, *, func: Function, **_others: Any) -> None:
        """Put the text behind a parameter's colon on a line of its own, where numpydoc has descriptions."""
        if func.docstring is None:
            return
        mapping = [one.name.lstrip("*") for one in func.parameters if one.name.startswith("**")]

        def rewritten(entry: re.Match[str]) -> str:
            names = [name.strip() for name in entry["names"].split(",")]
            return f"{', '.join('**' * (name in mapping) + name for name in names)}\n    {entry['text']}"

        func.docstring.value = PARAMETERS.sub(lambda found: ENTRY.sub(rewritten, found[0]), func.docstring.value)

    def on_module(self, *, mod: Module, **_others: Any) -> None:
        """Leave out what a module says of itself: the page says it."""
        mod.docstring = None
