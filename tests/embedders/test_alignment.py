from dataclasses import dataclass, replace

import numpy as np
import pytest

from bonanza.algorithms.info_nce import mean_reciprocal_rank
from bonanza.embedders import alignment
from bonanza.embedders.alignment import AlignedEmbedder, StaticAligner, align_and_judge
from bonanza.embedders.static import StaticEmbedder, fit_static
from bonanza.interfaces import AlignmentReport, Pool
from bonanza.records import Document
from bonanza.settings import AlignmentSettings

SETTINGS = AlignmentSettings(table_epochs=6)
WORDS, DOCUMENTS = 40, 150


@dataclass(frozen=True)
class Planted:
    """Documents in one vocabulary and pairs in another, word by word: only what is learned can bring them together."""

    embedder: StaticEmbedder
    documents: list[str]
    pairs: list[str]
    owners: np.ndarray

    def aligned(self, settings: AlignmentSettings = SETTINGS, seed: int = 0) -> AlignedEmbedder:
        aligner = StaticAligner(self.embedder, settings)
        return aligner.align(self.documents, self.pairs, self.owners, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def planted() -> Planted:
    rng = np.random.default_rng(0)
    chosen = [rng.choice(WORDS, 4, replace=False) for _ in range(DOCUMENTS)]
    owners = np.repeat(np.arange(DOCUMENTS), 2)
    documents = [" ".join(f"page{word:02}" for word in words) for words in chosen]
    pairs = [" ".join(f"pair{word:02}" for word in rng.permutation(chosen[owner])[:3]) for owner in owners]
    return Planted(fit_static(documents + pairs), documents, pairs, owners)


def pool_of(texts: list[str], embedder: StaticEmbedder) -> Pool:
    documents = [Document(str(row), text) for row, text in enumerate(texts)]
    return Pool(
        [document.id for document in documents], np.array([len(text) for text in texts]),
        embedder.embed(texts).astype(np.float16), 1, lambda rows: [documents[row] for row in rows],
        np.ones(len(texts)),
    )  # fmt: skip


def test_alignment_raises_the_rank_of_held_out_pairs_and_says_so(planted: Planted) -> None:
    report = planted.aligned().report
    assert report.used
    assert report.mrr_after > 2 * report.mrr_before
    assert report.note == (
        f"Alignment used. Mean reciprocal rank of {report.held_out} held-out pairs "
        f"{report.mrr_before:.3f} -> {report.mrr_after:.3f}."
    )


def test_the_reported_ranks_are_those_of_pairs_of_documents_that_were_not_learned_from(planted: Planted) -> None:
    aligned = planted.aligned()
    held_out = np.random.default_rng(0).random(len(planted.documents)) < SETTINGS.held_out  # the first draw
    judged = held_out[planted.owners]
    asked = [pair for pair, is_judge in zip(planted.pairs, judged, strict=True) if is_judge]
    assert aligned.report.held_out == len(asked)
    assert aligned.report.trained_on + len(asked) == len(planted.pairs)
    for embedder, expected in (
        (planted.embedder, aligned.report.mrr_before),
        (aligned, aligned.report.mrr_after),
    ):
        rank = mean_reciprocal_rank(embedder.embed(planted.documents), embedder.embed(asked), planted.owners[judged])
        assert rank == pytest.approx(expected)


def test_no_document_is_both_learned_from_and_judged_by(planted: Planted) -> None:
    judged, learned = alignment._split(DOCUMENTS, planted.owners, SETTINGS, np.random.default_rng(0))
    assert not set(planted.owners[judged]) & set(planted.owners[learned])
    assert sorted([*judged, *learned]) == list(range(len(planted.owners)))


def test_only_so_many_pairs_are_used(planted: Planted) -> None:
    report = planted.aligned(replace(SETTINGS, most_pairs=100)).report
    assert report.trained_on + report.held_out == 100


def test_an_alignment_that_lowers_the_rank_is_not_used_and_says_so(planted: Planted) -> None:
    # One vector for all words is the worst that can be learned: nothing is told apart any more.
    same_words = [planted.documents[owner] for owner in planted.owners]
    collapsed = planted.embedder.with_table(np.ones_like(planted.embedder.table))
    aligned = align_and_judge(
        planted.embedder, lambda *_: collapsed, planted.documents, same_words, planted.owners, SETTINGS,
        np.random.default_rng(0),
    )  # fmt: skip
    assert aligned.report.mrr_after < aligned.report.mrr_before
    assert not aligned.report.used
    assert aligned.report.note.startswith("Alignment not used: it lowers the rank. Mean reciprocal rank of ")
    assert aligned.embedder is planted.embedder


def test_an_absurd_learning_rate_does_no_harm(planted: Planted) -> None:
    begins = [planted.documents[owner][: len("page00 page00")] for owner in planted.owners]
    aligned = replace(planted, pairs=begins).aligned(replace(SETTINGS, table_learning_rate=1e3))
    vectors = aligned.embed(planted.pairs)
    assert np.isfinite(vectors).all()
    assert aligned.report.used == (aligned.report.mrr_after > aligned.report.mrr_before)


def test_an_alignment_that_changes_nothing_is_not_used_and_says_so(planted: Planted) -> None:
    report = planted.aligned(replace(SETTINGS, table_learning_rate=0.0)).report
    assert not report.used
    assert report.note.startswith("Alignment not used: it changes nothing. ")


@pytest.mark.parametrize("count", [0, 1, 10])
def test_too_few_pairs_are_not_tried_and_said_so(planted: Planted, count: int) -> None:
    few = replace(planted, pairs=planted.pairs[:count], owners=planted.owners[:count])
    aligned = few.aligned()
    assert not aligned.report.used
    assert aligned.report.note == (
        f"Alignment not tried: {aligned.report.trained_on} pairs to learn from, {SETTINGS.least_pairs} needed."
    )
    np.testing.assert_array_equal(aligned.embed(planted.pairs), planted.embedder.embed(planted.pairs))


def test_no_documents_at_all_are_not_tried(planted: Planted) -> None:
    nothing = replace(planted, documents=[], pairs=[], owners=np.zeros(0, np.int64))
    assert not nothing.aligned().report.used


def test_nobody_to_judge_by_is_not_tried(planted: Planted) -> None:
    report = planted.aligned(replace(SETTINGS, held_out=0.0)).report
    assert not report.used
    assert report.held_out == 0


def test_pairs_of_one_document_alone_are_no_error(planted: Planted) -> None:
    lone = replace(planted, owners=np.full(len(planted.owners), 3))
    assert not lone.aligned(replace(SETTINGS, least_pairs=1)).report.used


def test_equal_generators_align_equally(planted: Planted) -> None:
    first, second = planted.aligned(), planted.aligned()
    assert first.report == second.report
    assert first.embedder.name == second.embedder.name != planted.embedder.name


def test_alignment_leaves_the_base_as_it_is(planted: Planted) -> None:
    before = planted.embedder.table.copy()
    planted.aligned()
    np.testing.assert_array_equal(planted.embedder.table, before)


@pytest.mark.parametrize("batch", [4_096, 7])
def test_embedding_the_pool_is_embedding_its_texts(
    planted: Planted, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(alignment, "EMBED_BATCH", batch)
    aligned = planted.aligned()
    vectors = aligned.embed_pool(pool_of(planted.documents, planted.embedder))
    assert vectors.dtype == np.float16
    assert isinstance(vectors, np.memmap)
    np.testing.assert_array_equal(vectors, aligned.embed(planted.documents).astype(np.float16))


def test_where_nothing_changed_the_pool_keeps_its_vectors(planted: Planted) -> None:
    pool = pool_of(planted.documents, planted.embedder)
    unchanged = AlignedEmbedder(planted.embedder, AlignmentReport(0, 0, 0.0, 0.0, False, "Not tried."))
    assert unchanged.embed_pool(pool) is pool.vectors
