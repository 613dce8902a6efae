import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from bonanza.errors import CorpusError
from bonanza.judges.lexical import lexical_judge

PAIRS = [
    "How deep is the lake?\nThe lake is forty metres deep.",
    "How long does bread bake?\nBread bakes forty minutes.",
    "Which fish live in the lake?\nPerch and carp live in the lake.",
    "Is the knot safe?\nThe knot holds.",
]
TEST = ["Is the lake deep?\nIt is deep.", "What is a quasar?\nA nucleus."]


def test_similarity_is_the_cosine_of_weighted_words():
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2).fit(PAIRS)
    expected = vectorizer.transform(PAIRS).toarray() @ vectorizer.transform(TEST).toarray().T
    similarity = lexical_judge(PAIRS, TEST).similarity(np.array([2, 0, 1, 3]))
    assert similarity.dtype == np.float32
    np.testing.assert_allclose(similarity, expected[[2, 0, 1, 3]], atol=1e-6)


def test_a_text_is_as_near_to_itself_as_can_be_and_not_at_all_to_one_without_its_words():
    similarity = lexical_judge(PAIRS, [PAIRS[0], "quasar nucleus"]).similarity(np.arange(4))
    assert similarity[0, 0] == pytest.approx(1.0)
    assert similarity[:, 0].argmax() == 0
    assert not similarity[:, 1].any()


def test_asking_in_blocks_changes_nothing():
    judge = lexical_judge(PAIRS, TEST)
    blocks = [judge.similarity(rows) for rows in (np.array([0]), np.array([1, 2]), np.array([3]))]
    np.testing.assert_array_equal(np.concatenate(blocks), judge.similarity(np.arange(4)))


def test_pairs_without_a_common_word_are_refused():
    with pytest.raises(CorpusError, match=r"judge 'lexical': the 2 pairs of the corpus have no word in common\. Give"):
        lexical_judge(["one two", "three four"], TEST)


def test_a_single_pair_can_be_judged():
    assert lexical_judge(PAIRS[:1], TEST).similarity(np.array([0]))[0, 0] > 0
