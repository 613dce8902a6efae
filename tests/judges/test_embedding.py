from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bonanza.embedders.static import StaticEmbedder, fit_static
from bonanza.judges import embedding
from bonanza.judges.embedding import EmbeddingJudge, embedding_judge

PAIRS = [f"How deep is lake {number}?\nLake {number} is {number} metres deep." for number in range(7)]
TEST = ["How deep is lake 3?\nLake 3 is 3 metres deep.", "Which fish live here?\nPerch."]


@dataclass(frozen=True)
class Counting:
    """An embedder that remembers how many texts it was given."""

    inner: StaticEmbedder
    counts: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def dim(self) -> int:
        return self.inner.dim

    def embed(self, texts):
        self.counts.append(len(texts))
        return self.inner.embed(texts)


@pytest.fixture
def embedder() -> Counting:
    return Counting(fit_static([*PAIRS, *TEST]))


def judged(embedder: Counting, pairs: list[str], cache: Path) -> EmbeddingJudge:
    return embedding_judge(embedder, pairs, TEST, cache, lambda done: None)


def test_similarity_is_the_cosine_of_the_embeddings(embedder, tmp_path):
    judge = judged(embedder, PAIRS, tmp_path)
    expected = embedder.embed(PAIRS).astype(np.float16).astype(np.float32) @ embedder.embed(TEST).T
    np.testing.assert_allclose(judge.similarity(np.array([5, 0])), expected[[5, 0]], atol=1e-3)
    assert judge.similarity(np.arange(7))[3, 0] == pytest.approx(1.0, abs=1e-3)
    assert judge.name == embedder.name


def test_a_second_comparison_embeds_nothing_again(embedder, tmp_path):
    first = judged(embedder, PAIRS, tmp_path)
    assert embedder.counts == [7, 2]
    second = judged(embedder, PAIRS, tmp_path)
    assert embedder.counts == [7, 2]
    np.testing.assert_array_equal(first.vectors, second.vectors)


def test_other_pairs_are_embedded_anew(embedder, tmp_path):
    judged(embedder, PAIRS, tmp_path)
    other = judged(embedder, [*PAIRS[:-1], "What drives the clock?\nA weight."], tmp_path)
    assert embedder.counts == [7, 2, 7]
    assert not np.array_equal(other.vectors, judged(embedder, PAIRS, tmp_path).vectors)


def test_what_was_embedded_before_a_stop_is_not_embedded_again(embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "BLOCK", 3)
    told = []

    def stop_at_the_last(done: int) -> None:
        told.append(done)
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedding_judge(embedder, PAIRS, TEST, tmp_path, stop_at_the_last)
    assert (told, embedder.counts) == ([0, 3, 6], [3, 3])
    judge = judged(embedder, PAIRS, tmp_path)
    assert embedder.counts == [3, 3, 1, 2]
    np.testing.assert_array_equal(judge.vectors, embedder.embed(PAIRS).astype(np.float16))
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.slow
def test_minilm_judges_a_comparison_and_its_vectors_are_kept(small_corpus, tmp_path):
    import bonanza

    arguments = {"policies": "nearest", "budgets": "10%", "judges": "auto", "cache": tmp_path / "cache"}
    sources = small_corpus.path, small_corpus.target, small_corpus.test
    first = bonanza.compare(*sources, **arguments, out=tmp_path / "first")
    assert first.content["judges"] == ["lexical", "minilm"]
    kept = sorted((tmp_path / "cache" / "judges").rglob("*.npy"))  # of the pairs, and of the test items
    assert {len(np.load(path, allow_pickle=False)) for path in kept} == {first.content["pairs"], 24}
    written = [path.stat().st_mtime_ns for path in kept]
    second = bonanza.compare(*sources, **arguments, out=tmp_path / "second")
    assert [path.stat().st_mtime_ns for path in kept] == written
    without = [[{**row, "seconds": 0} for row in result.rows] for result in (first, second)]
    assert without[0] == without[1]
    found = {row["policy"]: row["useful"] for row in first.rows if row["judge"] == "minilm" and row["seed"] == 0}
    assert found["oracle"] >= found["nearest"] > found["random"]
