"""All pairs that a comparison can find: each once, by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonanza.cleaning.exact import ExactCleaner, content_key
from bonanza.records import Pair, Reading, pair_text

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class DistinctPairs:
    """Pairs that differ by more than case and white space, wherever they stand; numbered from 0."""

    texts: Sequence[str]
    numbers: Mapping[str, int]  # by content
    left_out: Mapping[str, int]  # pairs that are not among them, by status

    def __len__(self) -> int:
        return len(self.texts)

    def of(self, pairs: Iterable[Pair]) -> Rows:
        """Numbers of some pairs, each once; those with an empty side have none."""
        contents = {content_key(pair) for pair in pairs}
        return np.array(sorted(self.numbers[one] for one in contents & self.numbers.keys()), dtype=np.int64)


def distinct_pairs(readings: Iterable[Reading]) -> DistinctPairs:
    """Number the pairs of all readings."""
    cleaner, numbers, texts, statuses = ExactCleaner(), dict[str, int](), list[str](), Counter[str]()
    for reading in readings:
        cleaned = cleaner.clean(reading)
        statuses.update(pair.status for pair in cleaned.pairs)
        for pair in cleaned.kept:
            numbers[content_key(pair)] = len(texts)
            texts.append(pair_text(pair.question, pair.answer))
    del statuses["kept"]
    return DistinctPairs(texts, numbers, dict(sorted(statuses.items())))
