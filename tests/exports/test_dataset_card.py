"""Facts about the dataset card: a header that the hub reads, figures of the run, and texts that stay texts."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml

from bonanza.exporting import ExportSettings, export
from bonanza.exports.dataset_card import KNOWN_LICENCES


def card_of(run: Path, out: Path, **settings) -> tuple[dict, str]:
    """Header and text of the card."""
    export(run, out, ExportSettings(("dataset",), "20%", **settings))
    _, header, text = (out / "dataset" / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(header), text


def test_the_header_names_sets_size_and_licences(finished_run, tmp_path):
    header, text = card_of(finished_run, tmp_path / "out")
    assert header["license"] == ["cc-by-sa-4.0", "mit", "other", "unknown"]
    assert set(header["license"]) <= KNOWN_LICENCES
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*"},
        {"split": "validation", "path": "data/validation-*"},
    ]
    assert "The licence of some or all of the sources is unknown" in text
    assert "| `CC-BY-SA-4.0 (Wikipedia)` | " in text
    assert r"| `ask 'us' \| <b>first</b> --- license: mit` | " in text


def test_the_figures_are_those_of_the_run(finished_run, tmp_path):
    _, text = card_of(finished_run, tmp_path / "out")
    summary = json.loads((finished_run / "summary.json").read_text())
    assert f"{summary['pairs_kept']:,} question-answer pairs" in text
    assert f"| pairs extracted / kept | {summary['pairs_extracted']:,} / {summary['pairs_kept']:,} |" in text
    assert f"| `pair: duplicate` | {summary['pair_statuses']['duplicate']} |" in text
    assert f"| cost | ${summary['cost_usd']:,.4f} |" in text
    assert "| corpus | `pages 'x'.jsonl`, 200 documents |" in text
    assert str(finished_run.parent) not in text  # where it lies says who ran it


def test_each_pair_has_the_licence_of_its_document(finished_run, small_corpus, tmp_path):
    card_of(finished_run, tmp_path / "out")
    corpus = [json.loads(line) for line in (finished_run.parent / "pages `x`.jsonl").read_text().splitlines()]
    licences = {page["id"]: page["license"] for page in corpus}
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "dataset" / "data").to_pylist()
    assert all(row["license"] == (licences[row["document_id"]].strip() or "unknown") for row in rows)


def test_a_licence_that_is_given_stands_alone(finished_run, tmp_path):
    header, text = card_of(finished_run, tmp_path / "out", licence="CC-BY-4.0")
    assert header["license"] == "cc-by-4.0"
    assert "As stated by whoever exported this: `CC-BY-4.0`." in text
    assert "| `license` |" not in text


@pytest.mark.parametrize("change", ["gone", "without licences"])
def test_unknown_licences_are_said_plainly(finished_run, tmp_path, change):
    corpus = finished_run.parent / "pages `x`.jsonl"
    kept = corpus.read_text()
    try:
        corpus.unlink()
        if change == "without licences":
            corpus.write_text(kept.replace('"license"', '"other"'))
        header, text = card_of(finished_run, tmp_path / "out")
    finally:
        corpus.write_text(kept)
    assert header["license"] == "unknown"
    assert "The licence of some or all of the sources is unknown" in text
    assert "license" not in pyarrow.parquet.read_table(tmp_path / "out" / "dataset" / "data").column_names
