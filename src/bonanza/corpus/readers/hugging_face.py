"""Hugging Face datasets, from the hub or from a local folder, by the `datasets` library.

``hf://datasets/OWNER/NAME[:SPLIT]`` is a dataset of the hub, ``hf:///folder[:SPLIT]`` and ``hf://./folder[:SPLIT]`` one
on this machine: written by `save_to_disk`, or a folder of data files. Without a split it is "train", or the only one
there is. ``:CONFIG:SPLIT`` names a configuration too. A dataset of the hub is downloaded as a whole; code that comes
with a dataset is never run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonanza.corpus.readers.parquet import batch_values
from bonanza.corpus.readers.rows import Fields, Row
from bonanza.errors import CorpusError, MissingExtraError
from bonanza.records import Skipped

PREFIX = "hf://"
HUB = "datasets/"
LOCAL = ("/", "./", "../", "~/")
BATCH_ROWS = 512


@dataclass(frozen=True, slots=True)
class HuggingFaceDataset:
    """One split of a dataset; a record per row."""

    source: str  # as the user typed it

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield one row per row; columns that are not asked for, such as images, are never decoded."""
        dataset = _open(self.source)
        names = dataset.column_names
        if fields is not None:
            fields.require(names, self.source)
            dataset = dataset.select_columns(fields.among(names))
        for number, value in enumerate(_values(dataset), start=1):
            origin = f"{self.source}, row {number}"
            yield Row(origin, value) if value is not None else Skipped(origin, "not UTF-8")

    def fingerprint(self) -> str:
        """Hash of all rows: the hub's names and the library's own fingerprints say too little about content."""
        dataset = _open(self.source)
        digest = hashlib.blake2b(repr(dataset.features).encode(), digest_size=16)
        for batch in _batches(dataset):
            digest.update(batch.serialize())
        return digest.hexdigest()

    def size(self) -> int:
        """Bytes of its columns in memory."""
        return int(_open(self.source).data.nbytes)


def _values(dataset: Any) -> Iterator[dict[str, Any] | None]:
    for batch in _batches(dataset):
        yield from batch_values(batch)


def _batches(dataset: Any) -> Iterator[Any]:
    for table in dataset.with_format("arrow").iter(BATCH_ROWS):
        yield from table.combine_chunks().to_batches()


def _open(source: str) -> Any:
    """Load the split that the source names."""
    name, config, split = _parts(source)
    loaded = _load(source, name, config)
    splits = loaded if isinstance(loaded, dict) else {str(loaded.split or "train"): loaded}
    wanted = split or (next(iter(splits)) if len(splits) == 1 else "train")
    if wanted not in splits:
        raise CorpusError(
            f"{source}: there is no split {wanted!r}. It has: {', '.join(splits)}. Name one: {PREFIX}{name}:SPLIT"
        )
    return splits[wanted]


def _parts(source: str) -> tuple[str, str | None, str | None]:
    """Folder or hub name, configuration and split."""
    name, *options = source.removeprefix(PREFIX).split(":")
    if len(options) > 2 or not name.startswith((HUB, *LOCAL)) or name == HUB:
        raise CorpusError(
            f"{source}: not a dataset's name. Write {PREFIX}datasets/OWNER/NAME:SPLIT or {PREFIX}/FOLDER:SPLIT."
        )
    return name, options[0] if len(options) == 2 else None, options[-1] if options else None


def _load(source: str, name: str, config: str | None) -> Any:
    try:
        import datasets
        from datasets.exceptions import DatasetsError
    except ImportError:
        raise MissingExtraError("Reading hf:// corpora", "hf") from None
    datasets.config.HF_DATASETS_TRUST_REMOTE_CODE = False  # before version 4 the library could run a dataset's code
    try:
        if name.startswith(HUB):
            return datasets.load_dataset(name.removeprefix(HUB), config)
        folder = Path(name).expanduser().absolute()
        if any((folder / proof).is_file() for proof in ("state.json", "dataset_dict.json")):
            return datasets.load_from_disk(str(folder))
        return datasets.load_dataset(str(folder), config)
    except (DatasetsError, ValueError, OSError, RuntimeError) as error:  # hub and Arrow errors are among the last three
        raise CorpusError(f"{source}: the dataset cannot be loaded. {_first_line(error.__cause__ or error)}") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
