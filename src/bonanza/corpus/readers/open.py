"""Finds the files that a user means, and the format of each."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

from bonanza.corpus.filters import check_filters
from bonanza.corpus.readers.csv import CsvFile
from bonanza.corpus.readers.documents import ALL, Corpus
from bonanza.corpus.readers.hugging_face import PREFIX, HuggingFaceDataset
from bonanza.corpus.readers.jsonl import JsonFile, JsonLines
from bonanza.corpus.readers.parquet import ParquetFile
from bonanza.corpus.readers.remote import is_remote, remote_tables
from bonanza.corpus.readers.rows import Fields, Table
from bonanza.corpus.readers.streams import COMPRESSED, ending_of, shown
from bonanza.corpus.readers.text import TextFile, UnknownFile
from bonanza.corpus.readers.warc import ENDINGS, WarcFile
from bonanza.errors import CorpusError, SettingsError
from bonanza.settings import FilterSettings

TYPES_OF_TEXT = (".txt", ".md")
TYPES_OF_LINES: Mapping[str, Callable[[Path], Table]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": JsonFile,
    ".csv": CsvFile,
    ".tsv": partial(CsvFile, delimiter="\t"),
}
TYPES: Mapping[str, Callable[[Path], Table]] = {
    ".parquet": ParquetFile,
    **dict.fromkeys(ENDINGS, WarcFile),
    **{kind + end: table for kind, table in TYPES_OF_LINES.items() for end in ("", *COMPRESSED)},
}
KNOWN = "jsonl, json, csv or tsv (each also .gz or .zst), parquet, warc or wet (also .gz), txt, md"
ON_THIS_MACHINE = "file://"


def open_corpus(
    sources: Sequence[str], fields: Fields, limit: int | None = None, filters: FilterSettings = ALL
) -> Corpus:
    """Open files, folders, patterns, addresses and hf:// datasets as one corpus of at most `limit` documents."""
    check_filters(filters)
    if limit is not None and limit < 1:
        raise SettingsError(f"--limit {limit}: no document would be read. Give 1 or more, or leave it out.")
    if not sources:
        raise CorpusError("No corpus was named. Name files, folders, patterns or hf:// datasets.")
    return Corpus(tuple(table for source in sources for table in _tables(source)), fields, limit, filters)


def table_of(path: Path, name: str) -> Table | None:
    """The table in a file by the ending of its name; None for a type we do not read."""
    return None if path.is_dir() else _table_by_name(path, name)


def _table_by_name(path: Path, name: str) -> Table | None:
    ending = ending_of(path)
    if ending in TYPES_OF_TEXT:
        return TextFile(path, name)
    open_table = TYPES.get(ending)
    return open_table(path) if open_table else None


def _tables(source: str) -> list[Table]:
    if source.startswith(PREFIX):
        return [HuggingFaceDataset(source)]
    source = source.removeprefix(ON_THIS_MACHINE)
    if is_remote(source):
        return remote_tables(source, _table_by_name, KNOWN)
    path = Path(source).expanduser()
    if path.is_dir():
        return _known(source, "folder", list(_files_below(path)))
    if not path.exists():
        return _known(source, "pattern", _matches(source))
    table = table_of(path, path.name)
    if table is None:
        raise CorpusError(f"{source}: not a type of file that can be read. Give one of: {KNOWN}.")
    return [table]


def _known(source: str, kind: str, files: list[tuple[Path, str]]) -> list[Table]:
    """The tables in the files of a folder or pattern, of which at least one must be of a known type."""
    tables = [table_of(path, name) or UnknownFile(path) for path, name in files]
    if all(isinstance(table, UnknownFile) for table in tables):
        found = f"{len(tables)} files of other types" if tables else "nothing"
        raise CorpusError(f"{source}: the {kind} holds {found}. Put there, or name, files of type {KNOWN}.")
    return tables


def _files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file in the folder and below it with its path from there, sorted; hidden ones are left out."""
    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(parent, name).is_symlink()]  # never followed: they can form circles
        found += [Path(parent, name) for name in (*names, *links) if not name.startswith(".")]
    named = ((path, shown(path.relative_to(folder))) for path in found)
    return iter(sorted(named, key=lambda pair: pair[1]))


def _refuse(error: OSError) -> None:
    raise CorpusError(
        f"{error.filename}: cannot be read ({error.strerror}). Check that it is yours to read."
    ) from error


def _matches(pattern: str) -> list[tuple[Path, str]]:
    """Every file that a pattern matches, or that lies in a folder which it matches.

    Each comes with its path from the last folder that the pattern names in full.
    """
    if not glob.has_magic(pattern):
        raise CorpusError(f"{pattern}: there is no such file or folder. Check the path; here is {Path.cwd()}.")
    # Path.glob knows no pattern that begins at the root, nor one with "..".
    matches = [Path(match) for match in sorted(glob.glob(str(Path(pattern).expanduser()), recursive=True))]  # noqa: PTH207
    files = [path for path in matches if path.is_file()]
    folders = [] if "**" in pattern else [path for path in matches if path.is_dir()]
    base = Path(*takewhile(lambda part: not glob.has_magic(part), Path(pattern).expanduser().parts))
    below = [path for folder in folders for path, _ in _files_below(folder)]
    return [(path, shown(path.relative_to(base))) for path in (*files, *below)]
