"""Facts about the split: by document, the same every time, and whoever else is there."""

from __future__ import annotations

import pytest

from bonanza.errors import SettingsError
from bonanza.exports.splits import Side, Split, kept_documents, rows_of, share_of, sides_of

DOCUMENTS = {f"page {number}": number % 4 + 1 for number in range(2_000)}


def side_of_each(split: Split) -> dict[str, str]:
    return {name: split.side(name) for name in DOCUMENTS}


def test_the_side_of_a_document_follows_from_its_id_and_the_seed():
    split = Split(0.1, seed=0)
    assert side_of_each(split) == side_of_each(Split(0.1, seed=0))
    assert side_of_each(split) != side_of_each(Split(0.1, seed=1))
    validation = [name for name, side in side_of_each(split).items() if side == "validation"]
    assert 150 < len(validation) < 250  # 200 expected, with a standard deviation of 13
    wider = side_of_each(Split(0.2, seed=0))
    assert all(wider[name] == "validation" for name in validation)


def test_counts_are_of_documents_and_of_pairs():
    sides = sides_of(DOCUMENTS, Split(0.1, seed=0))
    assert list(sides) == ["train", "validation"]
    assert sum(side.documents for side in sides.values()) == len(DOCUMENTS)
    assert sum(side.pairs for side in sides.values()) == sum(DOCUMENTS.values())
    assert sides_of(DOCUMENTS, Split(0.0, seed=0)) == {"train": Side(2_000, sum(DOCUMENTS.values()))}


@pytest.mark.parametrize(("share", "empty"), [(0.0001, "validation"), (0.9999, "train")])
def test_a_share_that_leaves_a_side_empty_is_refused(share, empty):
    with pytest.raises(SettingsError, match=f"of 4 documents with kept pairs, none would be in the {empty} set"):
        sides_of(dict.fromkeys("abcd", 1), Split(share, seed=0))


@pytest.mark.parametrize("text", ["5", "0.05", "100%", "-1%", "nan%", "five", "", "%"])
def test_a_share_is_a_percentage(text):
    with pytest.raises(SettingsError, match="is not understood"):
        share_of(text)


def test_rows_of_both_sides_are_the_kept_pairs_in_order(finished_run):
    import pyarrow.parquet

    path = finished_run / "pairs.parquet"
    table = pyarrow.parquet.read_table(path).to_pylist()
    kept = [row["id"] for row in table if row["status"] == "kept"]
    assert len(kept) < len(table)
    split = Split(0.3, seed=0)
    train, validation = (list(rows_of(path, split, side)) for side in ("train", "validation"))
    ids = {row["id"] for row in validation}
    assert [row["id"] for row in train] == [name for name in kept if name not in ids]
    assert sorted(row["id"] for row in [*train, *validation]) == sorted(kept)
    assert not {row["document_id"] for row in train} & {row["document_id"] for row in validation}
    assert sum(kept_documents(path).values()) == len(kept)
