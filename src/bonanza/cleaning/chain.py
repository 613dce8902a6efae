"""All cleaning of a run, in one order: malformed, ungrounded, contaminated, duplicate.

Each cleaner sees only the pairs that the ones before it kept; so a pair has the first reason that applies, and only
pairs that stay are remembered for finding duplicates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from bonanza.cleaning.decontamination import Decontaminator, Match
from bonanza.cleaning.grounding import GroundingCleaner
from bonanza.cleaning.near_duplicates import NearDuplicateCleaner
from bonanza.cleaning.quality import QualityCleaner
from bonanza.interfaces import Embedder
from bonanza.records import Document, PairNote, Reading
from bonanza.settings import CleaningSettings


@dataclass(frozen=True, slots=True)
class CleaningNotes:
    """What cleaning saw in all pairs."""

    pairs: Mapping[str, PairNote]  # by the id that a pair has after cleaning; only where there is something to note
    matches: Sequence[Match]  # with test items, in the order in which they were found

    def of(self, pair_id: str) -> PairNote:
        """The note on a pair."""
        return self.pairs.get(pair_id, PairNote())


class CleaningChain:
    """A Cleaner made of all cleaners.

    Parameters
    ----------
    fetch : the text of a document by its id; asked once for each reading
    decontaminator : None where nothing is decontaminated
    embedder : needed where `settings.near_duplicates.semantic` is set
    """

    def __init__(
        self, settings: CleaningSettings, fetch: Callable[[str], str], decontaminator: Decontaminator | None = None,
        embedder: Embedder | None = None,
    ) -> None:  # fmt: skip
        once = lru_cache(maxsize=1)(fetch)
        self._quality = QualityCleaner(once, settings.quality)
        self._grounding = GroundingCleaner(once, settings.grounding) if settings.grounded else None
        self._decontaminator = decontaminator
        self._duplicates = NearDuplicateCleaner(settings.near_duplicates, embedder)
        self._notes: dict[str, PairNote] = {}

    def clean(self, reading: Reading) -> Reading:
        """Set status, reason and place of each pair of a reading."""
        cleaned = self._quality.clean(reading)
        for cleaner in (self._grounding, self._decontaminator, self._duplicates):
            cleaned = cleaner.clean(cleaned) if cleaner else cleaned
        for before, after in zip(reading.pairs, cleaned.pairs, strict=True):
            scores = self._grounding.scores if self._grounding else {}
            note = PairNote(self._quality.flags.get(before.id, ()), scores.get(after.id, 1.0))
            if note != PairNote():
                self._notes[after.id] = note
        return cleaned

    def check_document(self, document: Document) -> None:
        """Look for test items in a document; one that is found is among the matches from then on."""
        if self._decontaminator:
            self._decontaminator.check_document(document)

    @property
    def notes(self) -> CleaningNotes:
        """What was seen up to now."""
        matches = self._decontaminator.matches if self._decontaminator else ()
        return CleaningNotes(dict(self._notes), tuple(matches))
