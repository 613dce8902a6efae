"""Texts that repeat themselves: a causal model foresees them too well, whatever they say."""

from __future__ import annotations

import re
import zlib
from itertools import pairwise

LEAST_WORDS = 12  # [ours] in shorter texts a repeated word says nothing
LEAST_DISTINCT = 0.35  # [ours] share of distinct words among all; English answers of 12 to 300 words keep above 0.4
LEAST_DISTINCT_PAIRS = 0.5  # [ours] share of distinct pairs of neighbouring words
LEAST_COMPRESSED = 0.2  # [ours] size after zlib over size before; English answers keep above 0.3
LEAST_BYTES = 200  # for which compression tells something
WORD = re.compile(r"\w+")


def repeats_itself(text: str) -> bool:
    """Whether a text mostly says again what it said: by distinct words and word pairs, and by how it compresses.

    >>> repeats_itself("Water boils at 100 degrees Celsius at sea level, and at less on a mountain.")
    False
    >>> repeats_itself("the the the the the the the the the the the the the the")
    True
    """
    words = WORD.findall(text.casefold())
    if len(words) < LEAST_WORDS:  # or a text that is written without spaces
        return _compresses(text)
    pairs = list(pairwise(words))
    few_words = len(set(words)) < LEAST_DISTINCT * min(len(words), 100)
    few_pairs = len(set(pairs)) < LEAST_DISTINCT_PAIRS * len(pairs)
    return few_words or few_pairs or _compresses(text)


def _compresses(text: str) -> bool:
    encoded = text.encode("utf-8", "replace")
    return len(encoded) >= LEAST_BYTES and len(zlib.compress(encoded)) < LEAST_COMPRESSED * len(encoded)
