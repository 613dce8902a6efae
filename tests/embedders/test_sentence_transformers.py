import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the library is imported

import numpy as np
import pytest

from bonanza.embedders.sentence_transformers import (
    SentenceTransformerAligner,
    SentenceTransformerEmbedder,
    load_sentence_transformer,
)
from bonanza.errors import SettingsError
from bonanza.settings import AlignmentSettings

pytestmark = pytest.mark.slow

KINDS = ("harbour", "bakery", "library", "workshop", "garden", "theatre")
GOODS = ("ropes", "loaves", "novels", "hammers", "roses", "masks", "lamps", "kettles", "maps", "clocks")


@pytest.fixture(scope="module")
def minilm() -> SentenceTransformerEmbedder:
    return load_sentence_transformer("minilm")


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return [f"The {kind} of the town sells {goods} on market days." for kind in KINDS for goods in GOODS]


@pytest.fixture(scope="module")
def pairs() -> list[str]:
    return [f"Where in town are {goods} sold?\nAt the {kind}." for kind in KINDS for goods in GOODS]


def test_rows_have_length_one(minilm: SentenceTransformerEmbedder) -> None:
    vectors = minilm.embed(["A boat in the harbour.", "", "数学", "word " * 3_000])
    assert vectors.shape == (4, minilm.dim) == (4, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_rows(minilm: SentenceTransformerEmbedder) -> None:
    assert minilm.embed([]).shape == (0, 384)


def test_texts_that_mean_the_same_are_nearer(minilm: SentenceTransformerEmbedder) -> None:
    boat, ship, bread = minilm.embed(["A boat leaves the harbour.", "The ship departs from port.", "Bread is baked."])
    assert boat @ ship > boat @ bread + 0.3


def test_the_same_model_has_the_same_name_and_vectors(minilm: SentenceTransformerEmbedder) -> None:
    again = load_sentence_transformer("minilm")
    assert again.name == minilm.name
    assert again.name.startswith("minilm-")
    np.testing.assert_array_equal(again.embed(["A boat."]), minilm.embed(["A boat."]))


def test_a_few_steps_of_tuning_change_a_copy_and_report(
    minilm: SentenceTransformerEmbedder, documents: list[str], pairs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = minilm.embed(documents)
    settings = AlignmentSettings(least_pairs=30, epochs=1, batch_size=16, hard_negatives=2, learning_rate=1e-4)
    aligner = SentenceTransformerAligner(minilm, settings)
    aligned = aligner.align(documents, pairs, np.arange(len(pairs)), np.random.default_rng(0))

    assert aligned.report.trained_on + aligned.report.held_out == len(pairs)
    assert 0 < aligned.report.mrr_before <= 1
    assert 0 < aligned.report.mrr_after <= 1
    assert aligned.report.note.startswith("Alignment ")
    np.testing.assert_allclose(np.linalg.norm(aligned.embed(pairs), axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(minilm.embed(documents), before)
    assert (aligned.embedder.name != minilm.name) == aligned.report.used
    assert capsys.readouterr().out == ""  # standard output belongs to the command line


def test_tuning_learns_and_equal_seeds_learn_the_same(
    minilm: SentenceTransformerEmbedder, documents: list[str], pairs: list[str]
) -> None:
    from bonanza.embedders.sentence_transformers import _fine_tuned

    settings = AlignmentSettings(epochs=1, batch_size=16, learning_rate=1e-4)
    examples = {"anchor": documents, "positive": pairs}
    first, second = (_fine_tuned(minilm, examples, settings, seed=0) for _ in range(2))
    own = [np.sum(one.embed(documents) * one.embed(pairs), axis=1) for one in (minilm, first)]
    others = [one.embed(documents) @ one.embed(pairs).T for one in (minilm, first)]
    assert np.mean(own[1]) - np.mean(others[1]) > np.mean(own[0]) - np.mean(others[0])
    assert first.name == second.name != minilm.name


def test_a_folder_that_is_no_model_is_refused_with_what_to_give() -> None:
    with pytest.raises(SettingsError, match=r"'/nonexistent': not a model that can be loaded \(.+\)\. Give 'static'"):
        load_sentence_transformer("/nonexistent")
