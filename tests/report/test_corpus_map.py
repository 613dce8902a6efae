"""Facts about the map of a corpus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.errors import FolderError
from bonanza.report import corpus_map
from bonanza.report.corpus_map import projected, read_map, sampled, write_map


def some(documents: int, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(documents, dim)).astype(np.float16)


@given(st.integers(1, 60), st.integers(0, 60), st.integers(1, 40), st.integers(0, 20))
def test_a_sample_prefers_read_documents_but_shows_unread_ones(documents, read, most, least):
    read, least = min(read, documents), min(least, most)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_map, "MOST_DOCUMENTS", most)
        patch.setattr(corpus_map, "LEAST_UNREAD", least)
        rows = sampled(documents, list(range(read)), np.random.default_rng(0)).tolist()
    shown_read = sum(row < read for row in rows)
    assert rows == sorted(set(rows)) and len(rows) == min(documents, most)
    assert shown_read == min(read, most - min(least, documents - read))


def test_the_map_keeps_the_directions_of_greatest_spread():
    vectors = some(200) * np.array([1, 5, 1, 9, 1, 1], dtype=np.float16)
    places, _, shown = projected(vectors, vectors[:3])
    first, second = (abs(np.corrcoef(places[:, axis], vectors[:, column])[0, 1]) for axis, column in ((0, 3), (1, 1)))
    assert first > 0.99 and second > 0.99
    assert 0.9 < shown < 1.0


def test_references_are_shown_where_equal_documents_are():
    vectors = some(50)
    places, references, _ = projected(vectors, vectors[:5])
    assert np.allclose(places[:5], references)


def test_equal_inputs_give_equal_maps_whatever_the_sign_of_an_axis():
    vectors = some(50)
    places, _, _ = projected(vectors, vectors[:2])
    mirrored, _, _ = projected(vectors[::-1], vectors[:2])
    assert np.allclose(places, mirrored[::-1], atol=1e-5)


@pytest.mark.parametrize(("documents", "dim"), [(1, 4), (5, 1), (2, 2)])
def test_tiny_corpora_have_a_map(tmp_path, documents, dim):
    vectors = some(documents, dim)
    write_map(tmp_path, vectors, [str(row) for row in range(documents)], [0], vectors, np.random.default_rng(0))
    found = read_map(tmp_path)
    assert found is not None and len(found.documents) == len(found.references) == documents
    assert all(np.isfinite([place.x, place.y]).all() for place in found.documents)


def test_a_map_comes_back_as_it_was_written(tmp_path):
    vectors, clusters = some(30), np.arange(30) % 4
    ids = [f"document {row}" for row in range(30)]
    write_map(tmp_path, vectors, ids, [3, 7], vectors[:2], np.random.default_rng(0), clusters)
    found = read_map(tmp_path)
    assert found is not None and found.total == 30
    assert [place.id for place in found.documents if place.read] == ["document 3", "document 7"]
    assert [place.cluster for place in found.documents] == clusters.tolist()
    assert dict(found.sizes) == {0: 8, 1: 8, 2: 7, 3: 7}


def test_another_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "map.parquet").write_bytes(b"no parquet")
    with pytest.raises(FolderError, match="is no map"):
        read_map(tmp_path)
