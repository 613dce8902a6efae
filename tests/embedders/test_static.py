import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonanza.embedders import static
from bonanza.embedders.static import fit_static, load_static, token_weights

TEXTS = [
    "The t-test compares the means of two samples.",
    "A permutation test makes no assumption on the distribution.",
    "Bread rises when the yeast feeds on sugar.",
    "Flour, water, yeast and salt make bread.",
    "The harbour master counts the boats at the pier.",
    "Boats leave the harbour at high tide.",
]
UNICODE = [
    "数学的证明需要定理。",
    "απόδειξη του θεωρήματος",
    "доказательство теоремы",
    "नमस्ते दुनिया",
    "🙂🙃 emoji",
    "\x00\x07",
]


@pytest.fixture(scope="module")
def fitted() -> static.StaticEmbedder:
    return fit_static(TEXTS)


def lengths_of(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=1)


def test_two_fits_on_the_same_texts_are_equal_in_name_and_vectors(fitted: static.StaticEmbedder) -> None:
    again = fit_static(TEXTS)
    assert again.name == fitted.name
    np.testing.assert_array_equal(again.embed(TEXTS), fitted.embed(TEXTS))


def test_a_fit_in_another_process_has_the_same_name(fitted: static.StaticEmbedder) -> None:
    code = f"from bonanza.embedders.static import fit_static; print(fit_static({TEXTS!r}).name)"
    there = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
    )
    assert there.stdout.strip() == fitted.name


def test_other_texts_or_another_seed_give_another_name(fitted: static.StaticEmbedder) -> None:
    assert len({fitted.name, fit_static(TEXTS[:-1]).name, fit_static(TEXTS, seed=1).name}) >= 2
    assert fit_static(TEXTS[:-1]).name != fitted.name


def test_what_is_saved_and_read_again_is_the_same(fitted: static.StaticEmbedder, tmp_path: Path) -> None:
    fitted.save(tmp_path / "new" / "folder")
    again = load_static(tmp_path / "new" / "folder")
    assert again is not None
    assert again.name == fitted.name
    np.testing.assert_array_equal(again.embed(TEXTS + UNICODE), fitted.embed(TEXTS + UNICODE))


def test_a_folder_without_the_table_holds_nothing(fitted: static.StaticEmbedder, tmp_path: Path) -> None:
    assert load_static(tmp_path / "absent") is None
    fitted.save(tmp_path)
    (tmp_path / "table.npy").unlink()
    assert load_static(tmp_path) is None


def test_rows_have_length_one_or_are_zero(fitted: static.StaticEmbedder) -> None:
    lengths = lengths_of(fitted.embed([*TEXTS, "", "   ", *UNICODE]))
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))
    assert np.allclose(lengths[: len(TEXTS)], 1, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_can_be_embedded(fitted: static.StaticEmbedder, texts: list[str]) -> None:
    vectors = fitted.embed(texts)
    assert vectors.shape == (len(texts), fitted.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_an_empty_text_is_a_row_of_zeros(fitted: static.StaticEmbedder) -> None:
    assert not fitted.embed(["", "\n\t "]).any()


def test_no_texts_give_no_rows(fitted: static.StaticEmbedder) -> None:
    assert fitted.embed([]).shape == (0, fitted.dim)
    assert fitted.features([]).shape == (0, len(fitted.table))


def test_one_text_embeds_the_same_alone_and_among_others(fitted: static.StaticEmbedder) -> None:
    alone = np.concatenate([fitted.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(fitted.embed(TEXTS), alone, atol=1e-6)


def test_embedding_in_batches_changes_nothing(fitted: static.StaticEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, features = fitted.embed(TEXTS), fitted.features(TEXTS)
    monkeypatch.setattr(static, "BATCH", 2)
    np.testing.assert_allclose(fitted.embed(TEXTS), whole, atol=1e-6)
    assert (fitted.features(TEXTS) != features).nnz == 0


def test_upper_and_lower_case_are_one(fitted: static.StaticEmbedder) -> None:
    np.testing.assert_array_equal(fitted.embed(["BOATS Leave"]), fitted.embed(["boats leave"]))


def test_texts_on_one_matter_are_nearer_than_texts_on_two(fitted: static.StaticEmbedder) -> None:
    bread, more_bread, boats = fitted.embed(
        ["yeast and flour for bread", "sugar for the yeast", "boats in the harbour"]
    )
    assert bread @ more_bread > bread @ boats + 0.1


def test_token_weights_are_one_plus_the_logarithm_of_the_count(fitted: static.StaticEmbedder) -> None:
    weights = token_weights(fitted.words, ["bread bread bread boats", ""], len(fitted.table)).toarray()
    ids = {token: fitted.tokenizer.token_to_id(token) for token in ("bread", "boats")}
    assert weights[0, ids["bread"]] == pytest.approx(1 + np.log(3))
    assert weights[0, ids["boats"]] == pytest.approx(1.0)
    assert np.count_nonzero(weights[0]) == 2
    assert not weights[1].any()


def test_an_embedding_is_the_scaled_sum_of_its_tokens_vectors(fitted: static.StaticEmbedder) -> None:
    row = lambda token: fitted.table[fitted.tokenizer.token_to_id(token)]
    expected = (1 + np.log(2)) * row("bread") + row("boats")
    np.testing.assert_allclose(fitted.embed(["bread boats bread"])[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_another_table_means_another_name_and_leaves_the_first_alone(fitted: static.StaticEmbedder) -> None:
    before = fitted.embed(TEXTS)
    other = fitted.with_table(fitted.table[:, ::-1].copy() * 2)
    assert other.name != fitted.name
    np.testing.assert_allclose(other.embed(TEXTS), before[:, ::-1], atol=1e-6)
    np.testing.assert_array_equal(fitted.embed(TEXTS), before)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(["One document alone about boats and bread."], id="one document"),
        pytest.param(["boats", "bread"], id="two words"),
        pytest.param(["a"], id="one letter"),
        pytest.param([""], id="one empty text"),
        pytest.param(["", "", "boats at sea"], id="mostly empty"),
        pytest.param(["the same text"] * 5, id="identical texts"),
        pytest.param(UNICODE, id="other scripts"),
        pytest.param(["word " * 5_000, "boats"], id="longer than what is learned from"),
        pytest.param([], id="no texts"),
    ],
)
def test_few_or_odd_texts_are_no_error(texts: list[str]) -> None:
    embedder = fit_static(texts)
    lengths = lengths_of(embedder.embed([*texts, "boats"]))
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))


def test_other_scripts_are_told_apart() -> None:
    embedder = fit_static(UNICODE * 2 + TEXTS)
    greek, russian, chinese = embedder.embed(["θεωρήματος", "теоремы", "定理"])
    assert max(greek @ russian, greek @ chinese, russian @ chinese) < 0.5
    assert min(lengths_of(np.stack([greek, russian, chinese]))) > 0.99
