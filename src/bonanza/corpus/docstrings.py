"""The documentation of installed Python packages as a corpus: one document per long public docstring.

Sources are parsed, never imported or run. Covered: docstrings of modules, classes, functions and methods, and what
numpy attaches to its C objects by `add_newdoc`. Not covered: other docstrings made at run time (C extensions, Cython,
templates filled by decorators), names that begin with an underscore, docstrings under `SHORTEST` characters. The name
of a document is a guess where a package exports an object elsewhere: `numpy.mean` is found, `pandas.DataFrame` is
`pandas.core.frame.DataFrame`.
"""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from itertools import groupby, takewhile
from pathlib import Path

from bonanza.errors import CorpusError
from bonanza.records import Document, Skipped, content_id

READER_VERSION = "docstrings-1"  # part of the fingerprint: raise it when the same sources would give other documents
SHORTEST = 300  # characters of a docstring that is worth a page; shorter ones are rarely more than a signature in words

DEMO_LIBRARIES = ("networkx", "numpy", "ot", "pandas", "scipy", "sklearn", "sympy")
DEMO_STANDARD_LIBRARY = (
    "argparse", "ast", "asyncio", "base64", "bisect", "codecs", "collections", "concurrent", "configparser",
    "contextlib", "dataclasses", "datetime", "difflib", "doctest", "email", "enum", "fractions", "functools",
    "graphlib", "heapq", "http", "inspect", "ipaddress", "json", "locale", "logging", "multiprocessing", "optparse",
    "os", "pickletools", "platform", "queue", "random", "shutil", "smtplib", "socket", "statistics", "string",
    "subprocess", "tarfile", "tempfile", "textwrap", "threading", "timeit", "traceback", "typing", "unittest",
    "urllib", "weakref", "zipfile",
)  # fmt: skip
DEMO_PACKAGES = DEMO_LIBRARIES + DEMO_STANDARD_LIBRARY

# Where the subject of demo_target.jsonl, statistical tests, is documented: for judging a run, never for choosing.
# sklearn.feature_selection has a few tests too (chi2, f_classif), among many selectors; it is not counted.
DEMO_TARGET_MODULES = ("scipy.stats", "scipy.stats.contingency", "scipy.stats.mstats")

SKIPPED_FOLDERS = frozenset({
    "__pycache__", "_antlr", "benchmarks", "test", "tests",
    "_external", "_vendor", "extern", "externals", "vendored",  # copies of other projects
    "array_api_compat", "array_api_extra", "cobyqa", "pyprima",  # the same, inside scipy
})  # fmt: skip
SKIPPED_FILES = frozenset({"__main__.py", "conftest.py", "setup.py"})

# "%(before_notes)s" alone on its line: a template that scipy fills when it is imported.
PLACEHOLDER_LINE = re.compile(r"^[ \t]*%\(\w+\)s[ \t]*(?:\n|\Z)", re.MULTILINE)

# What reading and `ast.parse` raise for a file that cannot be read (the last two: expressions nested too deep).
UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """A Python file of a package."""

    module: str  # dotted, private parts included: "scipy.stats._stats_py"
    origin: str  # relative to the folder that holds the package: "scipy/stats/_stats_py.py"
    path: Path

    @property
    def package(self) -> str:
        """The top-level name."""
        return self.module.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Entry:
    """A docstring where it was found."""

    name: str  # public and qualified: "scipy.stats.ttest_ind"
    signature: str  # "(a, b, *, axis=0)"; empty for a module
    docstring: str  # cleaned
    line: int


class DocstringReader:
    """Reads the docstrings of installed packages ("scipy") or of parts of them ("scipy.stats")."""

    def __init__(self, packages: Sequence[str] = DEMO_PACKAGES) -> None:
        for name in packages:
            if not all(part.isidentifier() for part in name.split(".")):
                raise CorpusError(f"{name!r} is not the name of a Python package. Write it as in 'import scipy.stats'.")
        self.packages = tuple(sorted(set(packages)))

    def read(self) -> Iterator[Document | Skipped]:
        """Yield what is not installed first, then package by package, sorted by id."""
        files: set[SourceFile] = set()
        for name in self.packages:
            found = source_files(name)
            if not found:
                yield Skipped(name, "package not installed", f"No Python source of {name} is on sys.path.")
            files |= found
        for _, of_package in groupby(sorted(files), key=lambda file: file.package):
            yield from _read_package(of_package)

    def fingerprint(self) -> str:
        """Name the reader, the packages and their versions; a package without a version counts by its sources."""
        distributions = importlib.metadata.packages_distributions()
        versions = (f"{name}=={_version(name, distributions)}" for name in self.packages)
        return content_id(READER_VERSION, *versions)


def module_of(document_id: str) -> str:
    """Find the module that a document of this reader describes a part of; its package must be installed.

    >>> module_of("statistics.NormalDist.overlap")
    'statistics'
    """
    parts = document_id.split(".")
    folders = _folders(parts[0])
    while len(parts) > 1 and not any(_is_module(folder.joinpath(*parts)) for folder in folders):
        parts.pop()
    return ".".join(parts)


def source_files(name: str) -> frozenset[SourceFile]:
    """Find the Python files of a package, or of a part of one, without tests and vendored projects."""
    found = set()
    for folder in _folders(name.partition(".")[0]):
        start = folder.joinpath(*name.split("."))
        alone = start.with_suffix(".py")
        for path in (alone,) if alone.is_file() else _walk(start):
            relative = path.relative_to(folder)
            module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            found.add(SourceFile(module, relative.as_posix(), path))
    return frozenset(found)


def _folders(package: str) -> list[Path]:
    """The folders that hold a top-level package: one, or several for a namespace package, or none."""
    spec = PathFinder.find_spec(package)  # asks sys.path only, so it finds the sources of frozen modules too
    if spec is None:
        return []
    places = spec.submodule_search_locations or filter(None, [spec.origin])
    return [Path(place).parent for place in places]


def _is_module(path: Path) -> bool:
    return path.is_dir() or path.with_suffix(".py").is_file()


def _walk(start: Path) -> Iterator[Path]:
    """The Python files below a folder whose names can be imported."""
    for parent, folders, names in os.walk(start):
        folders[:] = [folder for folder in folders if folder not in SKIPPED_FOLDERS and folder.isidentifier()]
        for name in names:
            wanted = name not in SKIPPED_FILES and not name.startswith("test_")
            if wanted and name.endswith(".py") and name.removesuffix(".py").isidentifier():
                yield Path(parent, name)


def _version(name: str, distributions: Mapping[str, Sequence[str]]) -> str:
    package = name.partition(".")[0]
    if package in sys.stdlib_module_names:
        return platform.python_version()
    if package in distributions:
        return ",".join(importlib.metadata.version(each) for each in sorted(set(distributions[package])))
    sources = sorted(source_files(name))
    return content_id(*(content_id(file.origin, file.path.read_text("latin-1")) for file in sources))


def _read_package(files: Iterable[SourceFile]) -> Iterator[Document | Skipped]:
    """Broken files first, then each id once: of several docstrings for one public name the longest is kept."""
    documents: list[Document] = []
    for file in files:
        try:
            tree = _parse(file.path.read_bytes())
        except UNREADABLE as error:
            yield Skipped(file.origin, "broken file", f"{type(error).__name__}: {error}")
        else:
            documents += [_document(entry, file) for entry in _entries(tree, file.module)]
    documents.sort(key=lambda document: (document.id, -len(document.text), document.origin))
    for document_id, (longest, *others) in groupby(documents, key=lambda document: document.id):
        yield longest
        yield from (Skipped(other.origin, "repeated id", document_id) for other in others)


def _parse(source: bytes) -> ast.Module:
    """Parse without the warnings about foreign code (invalid escapes, "is" with a literal): we cannot mend it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _document(entry: Entry, file: SourceFile) -> Document:
    text = f"{entry.name}{entry.signature}\n\n{entry.docstring}"
    return Document(entry.name, text, origin=f"{file.origin}:{entry.line}")


def _entries(tree: ast.Module, module: str) -> Iterator[Entry]:
    """The public docstrings of a file that are long enough."""
    prefix = _public(module)
    found = [Entry(name, _signature(node), _docstring(node), node.lineno) for name, node in _definitions(tree, prefix)]
    if module == prefix:
        found.append(Entry(module, "", _docstring(tree), 1))
    found += _added_docstrings(tree, package=module.partition(".")[0])
    return (entry for entry in found if len(entry.docstring) >= SHORTEST)


def _public(module: str) -> str:
    """Where the public finds what a module defines: "sklearn.metrics._plot.roc_curve" gives "sklearn.metrics"."""
    package, *parts = module.split(".")
    return ".".join([package, *takewhile(lambda part: not part.startswith("_"), parts)])


def _definitions(parent: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    """Public classes, functions and methods, those under "if" and "try" included, but not those inside functions."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.If | ast.Try | ast.ExceptHandler):
            yield from _definitions(node, prefix)
        elif isinstance(node, Definition) and not node.name.startswith("_"):
            name = f"{prefix}.{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node, name)


def _signature(node: Definition) -> str:
    """Arguments as the source has them; a class is called like its own `__init__`, if it has one."""
    if isinstance(node, Function):
        return f"({ast.unparse(node.args)})"
    constructors = (child for child in node.body if isinstance(child, Function) and child.name == "__init__")
    return next((_signature(constructor) for constructor in constructors), "")


def _docstring(node: Definition | ast.Module) -> str:
    return PLACEHOLDER_LINE.sub("", ast.get_docstring(node) or "").strip()


def _added_docstrings(tree: ast.Module, package: str) -> Iterator[Entry]:
    """Calls of numpy: `add_newdoc(module, name, text)` and `add_newdoc(module, name, (attribute, text))`."""
    for statement in tree.body:
        match statement:
            case ast.Expr(
                ast.Call(ast.Name("add_newdoc"), [ast.Constant(str(module)), ast.Constant(str(name)), added])
            ):
                match added:
                    case ast.Constant(str(text)):
                        parts = [name]
                    case ast.Tuple([ast.Constant(str(attribute)), ast.Constant(str(text))]):
                        parts = [name, attribute]
                    case _:
                        continue
                if module.partition(".")[0] == package and not any(part.startswith("_") for part in parts):
                    yield Entry(".".join([_public(module), *parts]), "", inspect.cleandoc(text), statement.lineno)
