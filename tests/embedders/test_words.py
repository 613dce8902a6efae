"""Words looked up give exactly the tokens that the tokenizer gives for the whole text."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.embedders import words
from bonanza.embedders.static import fit_static
from bonanza.embedders.words import WordTokens

TEXTS = [
    "The harbour master counts boats.",
    "Brot aus Mehl, Wasser und Hefe.",
    "数学的证明需要定理。",
    "x = f(y) - 3.14",
]
SPACES = "".join(map(chr, [*range(33), 0x7F, 0x85, 0xA0, 0xAD, 0x1680, 0x200B, 0x2028, 0x2029, 0x202F, 0x3000, 0xFEFF]))
ODD = st.text(st.sampled_from("abAÉéλΣİß'-.,$`+" + SPACES + "\u0301\u0345\u094d\ufffd数🙂"), max_size=40)


@pytest.fixture(scope="module")
def tokenizer():
    return fit_static(TEXTS * 3).tokenizer


def of_whole(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [list(one.ids) for one in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def of_words(looked_up: WordTokens, texts: Sequence[str]) -> list[list[int]]:
    tokens, rows = looked_up.of(texts)
    assert (np.diff(rows) >= 0).all()
    return [tokens[rows == row].tolist() for row in range(len(texts))]


@given(texts=st.lists(st.one_of(ODD, st.text(max_size=40), st.sampled_from([*TEXTS, "a[UNK]b [UNK]"])), max_size=6))
def test_any_texts_have_the_tokens_that_the_tokenizer_gives_them(tokenizer, texts: list[str]) -> None:
    looked_up = WordTokens(tokenizer)
    assert of_words(looked_up, texts) == of_words(looked_up, texts) == of_whole(tokenizer, texts)


def test_every_character_parts_words_as_the_tokenizer_has_it(tokenizer) -> None:
    every = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]
    texts = ["a" + "b a".join(every[start : start + 500]) + "b" for start in range(0, len(every), 500)]
    assert of_words(WordTokens(tokenizer), texts) == of_whole(tokenizer, texts)


def test_what_is_held_is_bounded_and_changes_nothing(tokenizer, monkeypatch) -> None:
    monkeypatch.setattr(words, "MOST_BYTES", 2_000)
    looked_up = WordTokens(tokenizer)
    for start in range(0, 3_000, 10):
        texts = [f"boat {number} and bread" for number in range(start, start + 10)]
        assert of_words(looked_up, texts) == of_whole(tokenizer, texts)
        assert len(looked_up._numbers) < 40


def test_threads_share_what_is_held(tokenizer) -> None:
    looked_up, wrong = WordTokens(tokenizer), []

    def look(first: int) -> None:
        for start in range(first, first + 400, 20):
            texts = [f"boat {number} and bread" for number in range(start, start + 40)]
            wrong.extend([] if of_words(looked_up, texts) == of_whole(tokenizer, texts) else [start])

    threads = [threading.Thread(target=look, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_copy_for_another_process_holds_no_words(tokenizer) -> None:
    looked_up = WordTokens(tokenizer)
    looked_up.of(TEXTS)
    copy = pickle.loads(pickle.dumps(looked_up))  # as Ray sends it
    assert not copy._numbers
    assert of_words(copy, TEXTS) == of_whole(tokenizer, TEXTS)
