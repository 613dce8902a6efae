"""bonanza finds the documents of a corpus worth paying an LLM to read, and keeps the pairs worth training on."""

from typing import TYPE_CHECKING, Any

from bonanza.version import __version__

if TYPE_CHECKING:
    from bonanza.api import compare as compare
    from bonanza.api import extract as extract
    from bonanza.api import select as select
    from bonanza.comparison.compare import CompareResult as CompareResult
    from bonanza.records import Document as Document
    from bonanza.run import ExtractResult as ExtractResult
    from bonanza.selecting import SelectResult as SelectResult

_PUBLIC = {
    "extract": "bonanza.api", "ExtractResult": "bonanza.run", "Document": "bonanza.records",
    "select": "bonanza.api", "SelectResult": "bonanza.selecting",
    "compare": "bonanza.api", "CompareResult": "bonanza.comparison.compare",
}  # fmt: skip

__all__ = ["CompareResult", "Document", "ExtractResult", "SelectResult", "__version__", "compare", "extract", "select"]


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import bonanza` costs nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bonanza' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)
