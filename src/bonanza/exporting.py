"""Exports the kept pairs of a run for training: several formats, split by document, whole or not at all.

The export is made beside its folder and moved there when all of it is written; `export.json` lists its files, so that a
later export replaces these and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bonanza.corpus.readers import Fields, open_corpus
from bonanza.corpus.readers.remote import is_remote
from bonanza.corpus.readers.rows import Row, Table
from bonanza.errors import CorpusError, FolderError, SettingsError
from bonanza.exports.dataset_card import UNKNOWN, Licences, dataset_card
from bonanza.exports.files import files_of, table_schema, write_files
from bonanza.exports.formats import FORMATS, LICENCE, PROVENANCE
from bonanza.exports.guide import dataset_info, guide
from bonanza.exports.hub import push
from bonanza.exports.splits import Side, Split, is_too_coarse, kept_documents, rows_of, share_of, sides_of
from bonanza.journal import unchanging
from bonanza.records import Skipped, content_id
from bonanza.settings import FilterSettings

NAME = "export.json"
USUAL = "5%"  # [ours]
DATASET = "dataset"
SUMMARY_KEYS = frozenset(
    {"documents_total", "documents_read", "pairs_extracted", "pairs_kept", "tokens", "cost_usd", "budget"}
    | {"stop_reason", "policy", "llm", "embedder", "seed", "statuses", "pair_statuses", "left_out"}
)


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What to export, and how."""

    formats: tuple[str, ...] = ("messages",)
    # of the documents; "0": no validation set; None: 5% [ours], or none where a side would be empty
    validation: str | None = None
    seed: int = 0
    licence: str | None = None  # of all sources; None: as the corpus says
    push_to_hub: str | None = None  # name of a dataset on the Hugging Face hub


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written."""

    folder: Path
    files: Sequence[str]  # from the folder
    sides: Mapping[str, Side]  # by name: train, and validation if there is one
    licences: Licences | None  # only looked up for a dataset folder
    address: str | None  # on the hub


@dataclass(frozen=True, slots=True)
class _Run:
    """A finished run of extract."""

    pairs: Path
    summary: Mapping[str, Any]
    settings: Mapping[str, Any]
    documents: Mapping[str, int]  # kept pairs by document
    schema: Any  # of pairs.parquet


def export(folder: Path, out: Path, settings: ExportSettings) -> ExportResult:
    """Export a run's kept pairs to a folder, and that to the hub if it is asked for.

    Raises
    ------
    UsageError
        If the run is not finished, kept nothing, or a side of the split would be empty; if `out` holds anything else.
    EndpointError
        If the hub cannot be reached; the folder stays.
    """
    formats = _formats(settings)
    split = Split(share_of(settings.validation or USUAL), settings.seed)
    out = out.expanduser().absolute()
    _refuse_foreign(out)
    with unchanging(folder):
        run = _finished(folder)
        if settings.validation is None and is_too_coarse(run.documents, split):
            split = Split(0.0, settings.seed)
        sides = sides_of(run.documents, split)
        licences = _licences(run, settings.licence) if DATASET in formats else None
        with _replacing(out) as scratch:
            files = _write(scratch, run, formats, split, sides, licences.by_document if licences else {})
            if licences:
                card = dataset_card(run.summary, run.settings, sides, split, licences)
                _put(scratch / DATASET / "README.md", card)
            written = _write_list(scratch, settings, sides, files)
    address = push(out / DATASET, settings.push_to_hub) if settings.push_to_hub else None
    return ExportResult(out, written, sides, licences, address)


def _formats(settings: ExportSettings) -> list[str]:
    """The formats, each once, in the order of the table; a dataset folder too if it is to be pushed."""
    asked = {*settings.formats, *([DATASET] if settings.push_to_hub else [])}
    if unknown := sorted(asked - FORMATS.keys()):
        raise SettingsError(f"--format {unknown[0]!r} is not known. There are: {', '.join(FORMATS)}.")
    if settings.licence and DATASET not in asked:
        raise SettingsError("--licence stands on the card of a dataset folder. Add --format dataset, or leave it out.")
    return [name for name in FORMATS if name in asked]


def _finished(folder: Path) -> _Run:
    """What a run left; refused if it is not finished, or kept no pair."""
    import pyarrow
    import pyarrow.parquet

    pairs = folder / "pairs.parquet"
    try:
        summary = json.loads((folder / "summary.json").read_bytes())
        settings = _settings(folder)
        documents, schema = kept_documents(pairs), pyarrow.parquet.read_schema(pairs)
    except FileNotFoundError as error:
        raise _unfinished(folder, Path(error.filename or pairs).name) from None
    except (ValueError, KeyError, pyarrow.ArrowException) as error:
        raise FolderError(f"{folder}: its files are damaged ({error}). Run its `bonanza extract` again.") from None
    if not isinstance(summary, dict) or not summary.keys() >= SUMMARY_KEYS:
        raise FolderError(f"{folder}: summary.json is not that of a run of `bonanza extract`.")
    if not summary["pairs_kept"]:
        raise FolderError(f"{folder}: the run kept no pair, so there is nothing to export.")
    if sum(documents.values()) != summary["pairs_kept"] or not set(PROVENANCE) <= set(schema.names):
        raise FolderError(f"{folder}: pairs.parquet and summary.json do not belong together. Resume its run first.")
    return _Run(pairs, summary, settings, documents, schema)


def _unfinished(folder: Path, missing: str) -> FolderError:
    if (folder / "journal.sqlite").exists():
        return FolderError(f"{folder}: the run is not finished: no {missing}. Resume it by the same `bonanza extract`.")
    return FolderError(f"{folder}: holds no {missing}. Name the --out folder of a run of `bonanza extract`.")


def _settings(folder: Path) -> Mapping[str, Any]:
    import yaml

    try:
        settings = yaml.safe_load((folder / "settings.yaml").read_bytes())
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(settings, dict):
        raise ValueError("settings.yaml holds no settings")
    return settings


def _write(
    scratch: Path, run: _Run, formats: Sequence[str], split: Split, sides: Mapping[str, Side],
    licences: Mapping[str, str],
) -> dict[str, dict[str, list[str]]]:  # fmt: skip
    """Write the pairs in each format. Gives the files by format and side."""
    files = {
        name: {side: files_of(name, FORMATS[name], side, held.pairs) for side, held in sides.items()}
        for name in formats
    }
    for name, by_side in files.items():
        licensed = licences if name == DATASET else {}
        schema = table_schema(run.schema, with_licence=bool(licensed))
        for side, names in by_side.items():
            rows = (
                {**row, LICENCE: licensed.get(row["document_id"], UNKNOWN)} for row in rows_of(run.pairs, split, side)
            )
            write_files([scratch / file for file in names], FORMATS[name], rows, sides[side].pairs, schema)
    _put(scratch / "dataset_info.json", dataset_info(files))
    _put(scratch / "README.md", guide(files, sides, split))
    return files


def _write_list(
    scratch: Path, settings: ExportSettings, sides: Mapping[str, Side], files: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[str]:
    """Write export.json. Gives the paths of all files but it."""
    written = sorted(str(path.relative_to(scratch)) for path in scratch.rglob("*") if path.is_file())
    content = {
        "settings": asdict(settings),
        "sets": {name: asdict(side) for name, side in sides.items()},
        "formats": files,
        "files": written,
    }
    _put(scratch / NAME, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return written


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")


def _refuse_foreign(out: Path) -> None:
    """Never replace anything but an earlier export."""
    if out.exists() and not out.is_dir():
        raise FolderError(f"{out}: is a file. Choose a folder with --out.")
    there = {str(path.relative_to(out)) for path in out.rglob("*") if not path.is_dir()} if out.exists() else set()
    try:
        ours = set(json.loads((out / NAME).read_bytes())["files"]) | {NAME}
    except (OSError, ValueError, KeyError, TypeError):
        ours = set()
    if foreign := sorted(there - ours):
        raise FolderError(f"{out}: holds {foreign[0]}, which no export wrote. Choose a new folder with --out.")


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A folder to write to that takes the place of `out` if all goes well, and else vanishes."""
    scratch, old = (out.with_name(f".{out.name}.{part}") for part in ("partial", "old"))
    shutil.rmtree(scratch, ignore_errors=True)  # of an export that was killed
    scratch.mkdir(parents=True)
    try:
        yield scratch
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            os.replace(out, old)
        os.replace(scratch, out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Licensed:
    """The tables of a corpus as one that remembers the licence of the row it gave last."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables
        self.last = UNKNOWN

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield all rows, also those of tables without licences."""
        for table in self._tables:
            for row in table.rows(_with_licence(fields) if _names_licences(table, fields) else fields):
                self.last = str(row.values.get(LICENCE) or "").strip() or UNKNOWN if isinstance(row, Row) else UNKNOWN
                yield row

    def fingerprint(self) -> str:
        """Name the rows by their content."""
        return content_id(*(table.fingerprint() for table in self._tables))

    def size(self) -> int:
        """Bytes of all of them."""
        return sum(table.size() for table in self._tables)


def _with_licence(fields: Fields | None) -> Fields:
    return replace(fields or Fields(), recorded=LICENCE)  # the column that is read beside the text


def _names_licences(table: Table, fields: Fields | None) -> bool:
    try:
        next(iter(table.rows(_with_licence(fields))), None)
    except CorpusError:
        return False
    return True


def _licences(run: _Run, given: str | None) -> Licences:
    """The licences of the documents with kept pairs."""
    if given:
        return Licences({given: len(run.documents)}, {}, given=True)
    by_document = _licences_in_corpus(run)
    counts = Counter(by_document.get(document, UNKNOWN) for document in run.documents)
    return Licences(dict(counts.most_common()), by_document)


def _licences_in_corpus(run: _Run) -> dict[str, str]:
    """What the corpus says of each document with kept pairs, if it can be read again here and says anything.

    Datasets of the hub and files elsewhere are not read again: that would be a download.
    """
    sources = run.settings.get("corpus") or ()
    fields = Fields(run.settings.get("text_field", "text"), run.settings.get("id_field", "id"))
    found: dict[str, str] = {}
    if any(is_remote(str(source)) for source in sources):
        return found
    with suppress(CorpusError, OSError):
        filters = FilterSettings(**(run.settings.get("filters") or {}))
        corpus = open_corpus(sources, fields, run.settings.get("limit"), filters)
        if not any(_names_licences(table, fields) for table in corpus.tables):
            return found
        licensed = _Licensed(corpus.tables)
        for record in replace(corpus, tables=[licensed]).read():
            if not isinstance(record, Skipped) and record.id in run.documents:
                found[record.id] = licensed.last
    return found
