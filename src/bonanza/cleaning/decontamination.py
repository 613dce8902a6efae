"""Keeps test sets out: pairs and documents that repeat a test item, word for word, edited or reworded.

Four looks, the surest first: n words in a row of a question or answer; a short question as a whole; rare words in
common (reworded), or letters in the same order (edited); nearness of embeddings, where a threshold is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bonanza.cleaning.overlap import Likeness, Passages, SharedWords, WholeItems, prose
from bonanza.cleaning.words import words, words_and_marks
from bonanza.interfaces import Embedder, Matrix
from bonanza.records import Document, Pair, Question, Reading, Target, pair_text
from bonanza.settings import DecontaminationSettings

How = Literal["words in a row", "whole question", "reworded", "edited", "embedding"]
Kind = Literal["pair", "document"]


@dataclass(frozen=True, slots=True)
class TestItem:
    """One item of a test set."""

    __test__ = False  # no test case, whatever pytest makes of the name

    origin: str  # the file, or what the benchmark is called
    number: int  # its place there, from 1
    question: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A text of ours that repeats a test item: one row of decontamination.parquet."""

    kind: Kind
    id: str  # of the pair or document
    origin: str  # of the test item
    number: int
    how: How
    score: float  # 1 for words in a row and whole questions; else what the setting of the same name is compared with
    words: str  # in common

    @property
    def reason(self) -> str:
        """Why a pair is not kept."""
        return f"test item {self.number} of {self.origin}: {self.how} ({self.score:.2f})"


@dataclass(frozen=True, slots=True)
class _Finding:
    item: int
    how: How
    score: float
    words: str


def items_of(pairs: Sequence[Question], origin: str) -> list[TestItem]:
    """Test items of pairs in their order."""
    return [TestItem(origin, number, pair.question, pair.answer) for number, pair in enumerate(pairs, start=1)]


class Decontaminator:
    """Marks pairs that repeat a test item as "contaminated"; `matches` grows with each, and with each document.

    Parameters
    ----------
    items : all items of all test sets
    background : some texts of the corpus, a thousand or more, that tell how rare words are
    embedder : needed where `settings.similarity` is set
    """

    def __init__(
        self, items: Sequence[TestItem], settings: DecontaminationSettings, background: Iterable[str],
        embedder: Embedder | None = None,
    ) -> None:  # fmt: skip
        questions = [item.question for item in items]
        self.items, self._settings, self._embedder = items, settings, embedder
        self._passages = Passages([*questions, *(item.answer for item in items)], settings.ngram)
        short = {number: questions[number] for number in self._passages.without if number < len(items)}
        self._whole = WholeItems(short, settings.least_words)
        self._shared = SharedWords(questions, background)
        self._vectors = self._embedded(questions)
        self.matches: list[Match] = []

    def clean(self, reading: Reading) -> Reading:
        """Mark the kept pairs of a reading."""
        vectors = iter(self._embedded([pair.question for pair in reading.kept]))
        marked = (self._marked(pair, next(vectors, None)) if pair.status == "kept" else pair for pair in reading.pairs)
        return replace(reading, pairs=tuple(marked))

    def check_document(self, document: Document) -> Match | None:
        """The test item that a document repeats, if any; some sentences in a row are compared with each item."""
        found = self._verbatim(document.text) or self._likest(self._shared.alike_within(document.text))
        return self._noted(found, "document", document.id) if found else None

    def _marked(self, pair: Pair, vector: Matrix | None) -> Pair:
        found = (
            self._verbatim(pair_text(pair.question, pair.answer))
            or self._likest(self._shared.alike(pair.question))
            or self._near(vector)
        )
        if found is None:
            return pair
        return replace(pair, status="contaminated", reason=self._noted(found, "pair", pair.id).reason)

    def _verbatim(self, text: str) -> _Finding | None:
        if found := self._passages.find(words(text)):
            return _Finding(found[0] % len(self.items), "words in a row", 1.0, found[1])
        if found := self._whole.find(words_and_marks(text)):
            return _Finding(found[0], "whole question", 1.0, found[1])
        return None

    def _likest(self, likenesses: Iterable[Likeness]) -> _Finding | None:
        """The first that one of the two thresholds lets through."""
        for likeness in likenesses:
            if likeness.numbers < self._settings.numbers:
                continue
            if likeness.edited >= self._settings.edited:
                return _Finding(likeness.item, "edited", likeness.edited, likeness.words)
            if likeness.reworded >= self._settings.reworded:
                return _Finding(likeness.item, "reworded", likeness.reworded, likeness.words)
        return None

    def _near(self, vector: Matrix | None) -> _Finding | None:
        if vector is None or self._settings.similarity is None or not self.items:
            return None
        cosines = self._vectors @ vector
        nearest = int(np.argmax(cosines))
        if cosines[nearest] < self._settings.similarity:
            return None
        return _Finding(nearest, "embedding", float(cosines[nearest]), "")

    def _embedded(self, texts: Sequence[str]) -> Matrix:
        """Unit rows of questions without code; no rows where embeddings are not looked at."""
        if self._embedder is None or self._settings.similarity is None:
            return np.zeros((0, 0), np.float32)
        return self._embedder.embed([prose(text) for text in texts])

    def _noted(self, found: _Finding, kind: Kind, content: str) -> Match:
        item = self.items[found.item]
        match = Match(kind, content, item.origin, item.number, found.how, found.score, found.words)
        self.matches.append(match)
        return match


def overlaps(
    target: Target, items: Sequence[TestItem], settings: DecontaminationSettings, embedder: Embedder | None = None
) -> list[Match]:
    """The pairs of a reference set that repeat a test item; the id of each is its number in the reference set, from 1.

    How rare a word is, the items themselves tell, and the reference set.
    """
    background = [*(item.question for item in items), *(pair.question for pair in target.pairs)]
    decontaminator = Decontaminator(items, settings, background, embedder)
    pairs = (Pair(pair.question, pair.answer, target.origin) for pair in target.pairs)
    found: list[Match] = []
    for number, pair in enumerate(pairs, start=1):
        decontaminator.clean(Reading(target.origin, "ok", (pair,)))
        found += [replace(match, id=str(number)) for match in decontaminator.matches[len(found) :]]
    return found
