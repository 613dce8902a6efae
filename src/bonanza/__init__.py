"""bonanza finds the documents of a corpus worth paying an LLM to read, and keeps the pairs worth training on."""

from typing import TYPE_CHECKING, Any

from bonanza.version import __version__

if TYPE_CHECKING:
    from bonanza.api import compare as compare
    from bonanza.api import documents as documents
    from bonanza.api import evaluate as evaluate
    from bonanza.api import export as export
    from bonanza.api import extract as extract
    from bonanza.api import index as index
    from bonanza.api import select as select
    from bonanza.api import train as train
    from bonanza.comparison.compare import CompareResult as CompareResult
    from bonanza.evaluation.evaluate import EvaluateResult as EvaluateResult
    from bonanza.exporting import ExportResult as ExportResult
    from bonanza.indexing import IndexResult as IndexResult
    from bonanza.records import Document as Document
    from bonanza.run import ExtractResult as ExtractResult
    from bonanza.selecting import SelectResult as SelectResult
    from bonanza.training import TrainResult as TrainResult

_PUBLIC = {
    "extract": "bonanza.api", "ExtractResult": "bonanza.run", "Document": "bonanza.records",
    "select": "bonanza.api", "SelectResult": "bonanza.selecting",
    "documents": "bonanza.api",
    "compare": "bonanza.api", "CompareResult": "bonanza.comparison.compare",
    "index": "bonanza.api", "IndexResult": "bonanza.indexing",
    "export": "bonanza.api", "ExportResult": "bonanza.exporting",
    "train": "bonanza.api", "TrainResult": "bonanza.training",
    "evaluate": "bonanza.api", "EvaluateResult": "bonanza.evaluation.evaluate",
}  # fmt: skip

__all__ = [
    "CompareResult", "Document", "EvaluateResult", "ExportResult", "ExtractResult", "IndexResult", "SelectResult",
    "TrainResult", "__version__", "compare", "documents", "evaluate", "export", "extract", "index", "select", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import public names on first use, so that `import bonanza` costs nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'bonanza' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PUBLIC[name]), name)
