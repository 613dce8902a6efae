"""Texts that repeat themselves: a causal model foresees them too well, whatever they say."""

from __future__ import annotations

import re
import zlib
from itertools import pairwise

LEAST_WORDS = 12  # [ours] in shorter texts a repeated word says nothing
# [ours] flags 1 of 10,000 Alpaca answers, 2 of 2,981 of Dolly, 12 of 2,015 of CodeAlpaca, 99% of five words repeated
LEAST_DISTINCT = 0.35  # share of distinct words among all, or among a hundred
LEAST_DISTINCT_PAIRS = 0.4  # share of distinct pairs of neighbouring words, where words are few too
LEAST_PAIRS = 0.3  # the same, whatever the words
LEAST_COMPRESSED = 0.15  # size after zlib over size before
LEAST_BYTES = 200  # for which compression tells something
WORD = re.compile(r"\w+")


def repeats_itself(text: str) -> bool:
    """Whether a text mostly says again what it said: by its distinct words and word pairs, or by how it compresses.

    >>> repeats_itself("Water boils at 100 degrees Celsius at sea level, and at less on a mountain.")
    False
    >>> repeats_itself("the the the the the the the the the the the the the the")
    True
    """
    words = WORD.findall(text.casefold())
    if len(words) < LEAST_WORDS:  # or a text that is written without spaces
        return _compresses(text)
    pairs = list(pairwise(words))
    distinct_pairs = len(set(pairs)) / len(pairs)
    few_words = len(set(words)) < LEAST_DISTINCT * min(len(words), 100)
    return distinct_pairs < (LEAST_DISTINCT_PAIRS if few_words else LEAST_PAIRS) or _compresses(text)


def _compresses(text: str) -> bool:
    encoded = text.encode("utf-8", "replace")
    return len(encoded) >= LEAST_BYTES and len(zlib.compress(encoded)) < LEAST_COMPRESSED * len(encoded)
