"""Where in its document a pair comes from: the place that its evidence, or else its answer, stands at.

A quote is looked for as it is, then without regard to case, white space and typography, then approximately. The work
is bounded by the lengths of document and quote, whatever they hold.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from bonanza.cleaning.folding import FoldedText, folded_quote
from bonanza.cleaning.words import plain
from bonanza.records import Pair, Reading
from bonanza.settings import GroundingSettings

Fetch = Callable[[str], str]  # from a document's id to its text
Place = tuple[int, int]

ANCHORS = 16  # [ours] of a quote's rarest words, which say where in a text it may stand
MOST_TRIES = 500  # [ours] places inside other words that are passed over before an answer counts as not there
LIKELIEST = 3  # [ours] places that are compared letter by letter
NARROWEST = 64  # [ours] characters of such a place
LONGEST_WHOLE, END = 256, 64  # [ours] characters of a quote that is aligned whole, and of the ends of a longer one
FEW_WORDS = 3  # an answer so short and without a full stop is no sentence: its first word may be a name
_LETTERS = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SENTENCE_STARTS = re.compile(r"(?:^|[.!?:;\n])[\s\"'(*-]*")


class GroundingCleaner:
    """Finds the place of each pair; a pair without one is marked "ungrounded".

    A pair whose span already cuts its evidence out of the document keeps it. `scores` holds the grounding score of
    each pair, by id, where it is below 1.
    """

    def __init__(self, fetch: Fetch, settings: GroundingSettings) -> None:
        self._fetch, self._settings = fetch, settings
        self.scores: dict[str, float] = {}

    def clean(self, reading: Reading) -> Reading:
        """Place the kept pairs of a reading."""
        if not reading.kept:
            return reading
        text = FoldedText(self._fetch(reading.document_id))
        marked = (self._marked(pair, text) if pair.status == "kept" else pair for pair in reading.pairs)
        return replace(reading, pairs=tuple(marked))

    def _marked(self, pair: Pair, text: FoldedText) -> Pair:
        place = stated_place(pair, text.original) or find_pair(pair, text, self._settings)
        if place is None:
            what = "evidence" if pair.evidence.strip() else "answer"
            reason = f"{what} not in the document"
            return replace(pair, char_start=None, char_end=None, status="ungrounded", reason=reason)
        start, end = place
        return self._scored(replace(pair, char_start=start, char_end=end, evidence=text.original[start:end]), text)

    def _scored(self, pair: Pair, text: FoldedText) -> Pair:
        score = grounding_score(pair.answer, text)
        if score < 1.0:
            self.scores[pair.id] = score
        if score >= self._settings.least_score:
            return pair
        reason = f"of the numbers and names in the answer {score:.0%} stand in the document"
        return replace(pair, status="ungrounded", reason=reason)


def stated_place(pair: Pair, text: str) -> Place | None:
    """The place that a pair names itself, if its evidence stands there."""
    if pair.char_start is None or pair.char_end is None or not pair.evidence:
        return None
    within = 0 <= pair.char_start < pair.char_end <= len(text)
    return (
        (pair.char_start, pair.char_end) if within and text[pair.char_start : pair.char_end] == pair.evidence else None
    )


def find_pair(pair: Pair, text: FoldedText, settings: GroundingSettings) -> Place | None:
    """The place of a pair's evidence; of its answer where it has none, first behind its question."""
    if pair.evidence.strip():
        return find_quote(text, pair.evidence, settings)
    question = find_words(text, pair.question)
    behind = find_words(text, pair.answer, question[1]) if question else None
    return behind or find_words(text, pair.answer) or find_alike(text, pair.answer, settings)


def find_quote(text: FoldedText, quote: str, settings: GroundingSettings) -> Place | None:
    r"""Where a quote stands in a text: as it is, as words, or approximately.

    >>> find_quote(FoldedText("The crew\n sails at dawn."), "crew Sails", GroundingSettings())
    (4, 15)
    """
    if quote.strip() and (start := text.original.find(quote)) >= 0:
        return start, start + len(quote)
    return find_words(text, quote) or find_alike(text, quote, settings)


def find_words(text: FoldedText, quote: str, after: int = 0) -> Place | None:
    r"""Where the words of a quote stand, whatever their case, white space and typography; not inside other words.

    >>> find_words(FoldedText("14 crews’\n ropes, 4"), "4"), find_words(FoldedText("14 crews’\n ropes"), "CREWS' Ropes")
    ((18, 19), (3, 16))
    """
    wanted, start = folded_quote(quote), text.folded_position(after)
    for _ in range(MOST_TRIES if wanted else 0):
        if (start := text.folded.find(wanted, start)) < 0:
            return None
        if text.whole_words(start, start + len(wanted)):
            return text.place(start, start + len(wanted))
        start += 1
    return None


def find_alike(text: FoldedText, quote: str, settings: GroundingSettings) -> Place | None:
    """Where something very like a quote stands: the likeliest places, compared letter by letter by rapidfuzz.

    Examples
    --------
    >>> text = FoldedText("At dawn the old crew sails to the island.")
    >>> place = find_alike(text, "the crew sails to teh island", GroundingSettings())
    >>> text.original[slice(*place)]
    'crew sails to the island.'
    """
    wanted = folded_quote(quote)
    if not settings.shortest_fuzzy <= len(wanted) <= settings.longest_fuzzy:
        return None
    found = [
        (score, start + place[0], start + place[1])
        for start, end in _likely_places(text, wanted)
        for score, place in _alike(wanted, text.folded[start:end])
        if score >= settings.similarity
    ]
    best = max(found, key=lambda one: (one[0], -one[1]), default=None)
    return text.place(*text.snapped(*best[1:])) if best else None


def _alike(wanted: str, window: str) -> Iterator[tuple[float, Place]]:
    """The part of a window most like a folded quote; a long quote's part lies between those most like its two ends."""
    from rapidfuzz.distance import Indel
    from rapidfuzz.fuzz import partial_ratio_alignment

    if len(wanted) <= LONGEST_WHOLE:
        first = last = partial_ratio_alignment(wanted, window)
    else:
        first, last = (partial_ratio_alignment(end, window) for end in (wanted[:END], wanted[-END:]))
    if first is not None and last is not None and first.dest_start < last.dest_end:
        place = first.dest_start, last.dest_end
        yield Indel.normalized_similarity(wanted, window[slice(*place)]), place


def _likely_places(text: FoldedText, wanted: str) -> Iterator[Place]:
    """Places of a folded text where the quote's rare words stand as far from each other as in the quote."""
    width = max(len(wanted), NARROWEST)
    if len(text.folded) <= 2 * width:
        yield 0, len(text.folded)
        return
    starts = {word: place for place, word in FoldedText(wanted).placed_words()}
    known = sorted((len(text.occurrences[word]), word) for word in starts if word in text.occurrences)[:ANCHORS]
    votes = Counter((place - starts[word]) // width for _, word in known for place in text.occurrences[word])
    for number, _ in sorted(votes.items(), key=lambda item: (-item[1], item[0]))[:LIKELIEST]:
        yield max(0, number * width - width // 2), min(len(text.folded), number * width + 2 * width + width // 2)


def grounding_score(answer: str, text: FoldedText) -> float:
    """Share of the numbers and names of an answer that stand in the document; 1 for an answer without any [ours].

    A name is a capitalised word that does not begin a sentence, and any capitalised word of an answer of few words.

    >>> grounding_score("In 1911, Amundsen and Scott", FoldedText("Roald Amundsen got there in 1911."))
    0.6666666666666666
    """
    numbers = set(_NUMBER.findall(plain(answer)))
    names = {plain(name) for name in _names(answer)}
    claims = len(numbers) + len(names)
    return (len(numbers & text.numbers) + len(names & text.letters)) / claims if claims else 1.0


def _names(answer: str) -> Iterator[str]:
    beginnings = {match.end() for match in _SENTENCE_STARTS.finditer(answer)}
    short = len(answer.split()) <= FEW_WORDS and not answer.rstrip().endswith((".", "!", "?"))
    for match in _LETTERS.finditer(answer):
        if match[0][0].isupper() and len(match[0]) > 1 and (short or match.start() not in beginnings):
            yield match[0]
