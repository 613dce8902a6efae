"""Facts about cutting long texts: nothing is lost, pieces fit, neighbours overlap."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bonanza.algorithms.chunking import split_text

texts = st.one_of(
    st.text(),
    st.lists(st.sampled_from(["word ", "End. ", "Line\n", "\n\n", "# Head\n", " ", "\t\r\n", "日本語。"])).map("".join),
)


@given(texts, st.integers(2, 60), st.data())
def test_pieces_fit_cover_the_text_and_go_forward_whatever_the_overlap(text, most, data):
    overlap = data.draw(st.integers(0, (most - 1) // 2))
    chunks = split_text(text, most, overlap)
    assert chunks[0].start == 0
    assert chunks[-1].end == len(text)
    assert all(chunk.end - chunk.start <= most for chunk in chunks)
    for one, following in pairwise(chunks):
        assert one.start < following.start <= one.end < following.end
        assert one.end - following.start <= overlap


@given(st.lists(st.sampled_from(["one", "two", "three"]), min_size=1, max_size=300), st.integers(40, 90))
def test_what_is_shorter_than_the_overlap_stands_whole_in_some_piece(words, most):
    text = " ".join(words)
    pieces = [chunk.of(text) for chunk in split_text(text, most, overlap=19)]
    for first in range(0, len(text) - 11):
        assert any(text[first : first + 6] in piece for piece in pieces)


def test_a_heading_is_the_best_place_to_cut():
    text = "# One\n\nA paragraph here.\n\n# Two\n\nAnother one, which is longer."
    first, *_ = split_text(text, 45)
    assert first.of(text) == "# One\n\nA paragraph here.\n\n"


def test_two_megabytes_of_one_word_are_cut_at_once():
    text = "word" * 500_000
    chunks = split_text(text, 12_000, 400)
    assert "".join([chunks[0].of(text), *(text[one.end : two.end] for one, two in pairwise(chunks))]) == text
