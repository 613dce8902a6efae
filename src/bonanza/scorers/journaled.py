"""Scores are kept on disk as soon as they are known, batch by batch, and never reckoned twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from bonanza.errors import FolderError
from bonanza.interfaces import Passage, Score, TokenScorer
from bonanza.records import content_id

_TABLE = """
create table if not exists scores (
  key text primary key, -- hash of the scorer's name and the passage
  entropy real, -- null: nan
  tokens integer not null,
  cut integer not null
) without rowid
"""
_MOST_VARIABLES = 500  # keys per query; SQLite's oldest limit is 999


class JournaledScorer:
    """Another scorer, and a file of what it said before. Many processes may share the file."""

    def __init__(self, scorer: TokenScorer, path: Path) -> None:
        self._scorer, self._path = scorer, path
        self.name = scorer.name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connected()) as database:
                database.execute("pragma journal_mode = wal")
                database.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise FolderError(f"{path}: scores cannot be kept here ({error}). Name another cache folder.") from error

    def score(self, passages: Sequence[Passage]) -> Iterator[Mapping[int, Score]]:
        """Yield what is known at once, then what the scorer says, each batch after it is on disk."""
        keys = [self._key(passage) for passage in passages]
        with closing(self._connected()) as database:
            known = _known(database, list(dict.fromkeys(keys)))
            if known:
                yield {position: known[key] for position, key in enumerate(keys) if key in known}
            places = _places(keys, known)
            waiting = list(places)
            for batch in self._scorer.score([passages[places[key][0]] for key in waiting]):
                scores = {waiting[number]: score for number, score in batch.items()}
                _keep(database, scores)
                yield {position: score for key, score in scores.items() for position in places[key]}

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60)

    def _key(self, passage: Passage) -> str:
        turns = (part for turn in passage.turns for part in (turn.role, turn.text))
        return content_id(self.name, *turns, *passage.knowledge, str(len(passage.knowledge)))


def _places(keys: Sequence[str], known: Mapping[str, Score]) -> dict[str, list[int]]:
    """The positions of each key that is not known: equal passages are scored once."""
    places: dict[str, list[int]] = {}
    for position, key in enumerate(keys):
        if key not in known:
            places.setdefault(key, []).append(position)
    return places


def _keep(database: sqlite3.Connection, scores: Mapping[str, Score]) -> None:
    rows = [(key, score.entropy, score.tokens, score.cut) for key, score in scores.items()]
    with database:
        database.executemany("insert or replace into scores values (?, ?, ?, ?)", rows)


def _known(database: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Score]:
    found = {}
    for start in range(0, len(keys), _MOST_VARIABLES):
        some = keys[start : start + _MOST_VARIABLES]
        marks = ", ".join("?" * len(some))
        query = f"select key, entropy, tokens, cut from scores where key in ({marks})"  # noqa: S608 - marks only
        for key, entropy, tokens, cut in database.execute(query, some):
            found[key] = Score(float("nan") if entropy is None else entropy, tokens, cut)
    return found
