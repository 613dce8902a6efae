"""Tokens of texts, word by word: most words of a corpus were met before, and are looked up.

Exactly what the tokenizer says of the whole texts, about three times as fast: it never joins what whitespace parts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import chain, repeat
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 128 * 2**20  # [ours] of words that are held; then they are forgotten
WORD_BYTES = 150  # that a word takes besides its characters and tokens, roughly
UNKNOWN = -1

_CONTROL = re.compile("[\x0b\x0c\x1c-\x1f\x85]")  # whitespace to Python; the normalizer takes it out of words


class WordTokens:
    """Looks words up, and has a tokenizer look at new ones. Safe to use from many threads.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer with the normalizer and the pre-tokenizer of BERT
    """

    _numbers: dict[str, int]
    _starts: NDArray[np.int64]  # of the tokens of each word among all of them
    _tokens: NDArray[np.int64]
    _held: int

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self._lock = tokenizer, Lock()
        self._forget()

    def __reduce__(self) -> Any:
        return WordTokens, (self.tokenizer,)

    def of(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tokens of all texts one after the other, and the number of the text that each stands in."""
        words = [_CONTROL.sub("", text).split() for text in texts]
        flat = list(chain.from_iterable(words))
        with self._lock:
            numbers = self._numbers_of(flat)
            starts, tokens = self._starts, self._tokens
        lengths = np.diff(starts)[numbers]
        before = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) + np.repeat(starts[numbers] - before, lengths)
        texts_of_words = np.repeat(np.arange(len(texts)), [len(each) for each in words])
        return tokens[places], np.repeat(texts_of_words, lengths)

    def _numbers_of(self, words: Sequence[str]) -> NDArray[np.int64]:
        if self._held > MOST_BYTES:
            self._forget()
        numbers = self._looked_up(words)
        (places,) = np.nonzero(numbers == UNKNOWN)
        if len(places):
            new = [words[place] for place in places.tolist()]
            self._learn(list(dict.fromkeys(new)))
            numbers[places] = self._looked_up(new)
        return numbers

    def _looked_up(self, words: Sequence[str]) -> NDArray[np.int64]:
        return np.fromiter(map(self._numbers.get, words, repeat(UNKNOWN)), np.int64, len(words))

    def _learn(self, words: Sequence[str]) -> None:
        found = [one.ids for one in self.tokenizer.encode_batch_fast(words, add_special_tokens=False)]
        tokens = np.fromiter(chain.from_iterable(found), np.int64)
        ends = self._starts[-1] + np.cumsum([len(each) for each in found])
        self._numbers |= zip(words, range(len(self._numbers), len(self._numbers) + len(words)), strict=True)
        self._tokens, self._starts = np.concatenate([self._tokens, tokens]), np.concatenate([self._starts, ends])
        self._held += sum(map(sys.getsizeof, words)) + WORD_BYTES * len(words) + tokens.nbytes

    def _forget(self) -> None:
        self._numbers, self._starts, self._tokens, self._held = {}, np.zeros(1, np.int64), np.zeros(0, np.int64), 0
