"""A language model that can be worked out by hand: words are as likely as they were frequent before.

As a process of its own: `python tests/word_scorer.py SCORES LOG COUNT SECONDS` scores so many passages through a
journal, takes so long for each batch, and writes a line into the log for every passage that it scored.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bonanza.interfaces import Passage, Score
from bonanza.records import Turn
from bonanza.scorers.journaled import JournaledScorer

VOCABULARY = 10  # words that the model reckons with


@dataclass
class WordScorer:
    """p(word) = (times it stood in knowledge and context + 1) / (words of knowledge and context + VOCABULARY)."""

    batch: int = 2
    seconds: float = 0.0
    name: str = "words"
    seen: list[Passage] = field(default_factory=list)  # every passage that was scored, in that order

    def score(self, passages: Sequence[Passage]) -> Iterator[Mapping[int, Score]]:
        for start in range(0, len(passages), self.batch):
            some = passages[start : start + self.batch]
            time.sleep(self.seconds)
            self.seen += some
            yield {start + place: self.of(passage) for place, passage in enumerate(some)}

    def of(self, passage: Passage) -> Score:
        before = " ".join(passage.knowledge).split()
        losses = []
        for turn in passage.turns:
            if turn.role == "assistant":
                chances = [(before.count(word) + 1) / (len(before) + VOCABULARY) for word in turn.text.split()]
                losses += [-math.log(chance) for chance in chances]
            before += turn.text.split()
        return Score(sum(losses) / len(losses) if losses else math.nan, len(losses))


def passage(number: int) -> Passage:
    return Passage((Turn("user", f"count to {number}"), Turn("assistant", f"one two {number}")))


@dataclass
class Logged:
    """A scorer that writes down what it is asked, at once."""

    scorer: WordScorer
    log: Path

    @property
    def name(self) -> str:
        return self.scorer.name

    def score(self, passages: Sequence[Passage]) -> Iterator[Mapping[int, Score]]:
        for batch in self.scorer.score(passages):
            with open(self.log, "a") as file:
                file.write("".join(f"{passages[position].turns[1].text}\n" for position in batch))
            yield batch


def main(scores: str, log: str, count: str, seconds: str) -> None:
    scorer = JournaledScorer(Logged(WordScorer(seconds=float(seconds)), Path(log)), Path(scores))
    for _ in scorer.score([passage(number) for number in range(int(count))]):
        pass
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
