"""Facts about the table of clusters."""

from __future__ import annotations

from bonanza.records import Pair
from bonanza.report.clusters import distinctive_words
from bonanza.report.sources import FoundPair


def pair(cluster: int, question: str, answer: str = "") -> FoundPair:
    return FoundPair(Pair(question, answer, "document"), cluster)


def test_words_are_those_that_the_other_clusters_lack():
    words = distinctive_words(
        [pair(0, "sailing water boat", "sailing"), pair(0, "sailing water"), pair(1, "baking water flour", "baking")]
    )
    assert words[0][:2] == ["sailing", "boat"]
    assert words[1][:2] == ["baking", "flour"]
    assert words[0][-1] == words[1][-1] == "water"


def test_pairs_without_words_have_none():
    assert distinctive_words([pair(0, "12 34", "!")]) == {}
    assert distinctive_words([]) == {}
