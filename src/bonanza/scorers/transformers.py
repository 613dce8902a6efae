"""Predictive entropy under a causal language model in this process, by transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bonanza.interfaces import Passage, Score
from bonanza.language_models import LanguageModel
from bonanza.scorers.templates import ChatTemplate, PlainTemplate, Template
from bonanza.settings import ScorerSettings

NAN = float("nan")
NOT_SCORED = -100


ScoreAll = Callable[[Iterable[list[Passage]]], Iterable[tuple[int, list[Score]]]]  # by number of the batch


@dataclass(frozen=True, slots=True)
class Encoded:
    """A passage as the model sees it."""

    ids: list[int]
    scored: list[bool]  # one per id
    cut: int  # tokens that found no room
    fits: bool

    @property
    def first(self) -> int:
        """Position of the first scored token."""
        return self.scored.index(True)


class TransformersScorer:
    """Tokenizes pieces by themselves, so that a response has the same tokens whatever stands before it."""

    def __init__(self, language_model: LanguageModel, settings: ScorerSettings) -> None:
        self._model, self._tokenizer = language_model.model, language_model.tokenizer
        self._device, self._settings = language_model.device, settings
        plain = settings.template == "plain" or not getattr(self._tokenizer, "chat_template", None)
        self._template: Template = PlainTemplate() if plain else ChatTemplate(self._tokenizer)
        mark = self._tokenizer("").input_ids[:1]  # of a text's beginning; chat templates write it themselves
        self._beginning = mark if plain and mark == [self._tokenizer.bos_token_id] else []
        self._room = min(settings.context_tokens or language_model.context_tokens, language_model.context_tokens)
        self.name = f"{language_model.name}/{'plain' if plain else 'chat'}/{self._room}"

    def score(self, passages: Sequence[Passage]) -> Iterator[Mapping[int, Score]]:
        """Longest first, so that a machine too small for them says so at once; batches of like length."""
        encoded = [self._encoded(passage) for passage in passages]
        unfit, parts = self._arranged(encoded)
        if unfit:
            yield unfit
        for positions in parts:
            yield dict(zip(positions, self._scores([encoded[position] for position in positions]), strict=True))

    def arranged(self, passages: Sequence[Passage]) -> tuple[dict[int, Score], list[list[int]]]:
        """The passages that do not fit, with their scores, and the positions of the others, batch by batch."""
        return self._arranged([self._encoded(passage) for passage in passages])

    def score_batch(self, passages: Sequence[Passage]) -> list[Score]:
        """The scores of a batch of passages that fit, in one forward pass."""
        return self._scores([self._encoded(passage) for passage in passages])

    def _arranged(self, encoded: Sequence[Encoded]) -> tuple[dict[int, Score], list[list[int]]]:
        unfit = {
            position: Score(NAN, sum(item.scored), item.cut) for position, item in enumerate(encoded) if not item.fits
        }
        order = sorted(set(range(len(encoded))) - set(unfit), key=lambda each: (-len(encoded[each].ids), each))
        parts = batches([len(encoded[position].ids) for position in order], self._settings.batch_tokens)
        return unfit, [[order[place] for place in part] for part in parts]

    def _encoded(self, passage: Passage) -> Encoded:
        """Cut where it is too long: knowledge first, its last text first; then context from its beginning."""
        item = self._tokens(passage)
        cut, knowledge = 0, passage.knowledge
        while len(item.ids) > self._room and knowledge:
            knowledge = knowledge[:-1]
            shorter = self._tokens(replace(passage, knowledge=knowledge))
            cut += len(item.ids) - len(shorter.ids)
            item = shorter
        return _shortened(item, self._room, cut)

    def _tokens(self, passage: Passage) -> Encoded:
        pieces = [(self._beginning, False)]
        pieces += [
            (self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids, scored)
            for text, scored in self._template.pieces(passage)
        ]
        ids = [token for some, _ in pieces for token in some]
        return Encoded(ids, [scored for some, scored in pieces for _ in some], 0, True)

    def _scores(self, items: Sequence[Encoded]) -> list[Score]:
        """One forward pass. The last position is shown to the model in vain: nothing follows it."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        ids = pad_sequence([torch.tensor(item.ids) for item in items], batch_first=True)
        attended = pad_sequence([torch.ones(len(item.ids), dtype=torch.long) for item in items], batch_first=True)
        scored = pad_sequence([torch.tensor(item.scored) for item in items], batch_first=True)
        kept = ids.shape[1] - min(item.first for item in items) + 1
        losses = self._losses(ids, attended, ids.masked_fill(~scored, NOT_SCORED), kept)
        entropies = (losses / scored.sum(dim=1)).tolist()
        return [Score(each, sum(item.scored), item.cut) for each, item in zip(entropies, items, strict=True)]

    def _losses(self, ids: Any, attended: Any, wanted: Any, kept: int) -> Any:
        """Sum of -log p of the wanted tokens, in nats, by row; the head works on the last `kept` positions only."""
        import torch

        with torch.inference_mode():
            shown = {"input_ids": ids.to(self._device), "attention_mask": attended.to(self._device)}
            logits = self._model(**shown, logits_to_keep=kept, use_cache=False).logits[:, :-1]
            after = wanted[:, 1 - kept :].to(logits.device)
            there = after != NOT_SCORED
            each = torch.nn.functional.cross_entropy(logits[there].float(), after[there], reduction="none").double()
            sums = torch.zeros(len(ids), dtype=torch.float64, device=logits.device)
            return sums.index_add_(0, there.nonzero()[:, 0], each).cpu()


class SpreadScorer:
    """A scorer that has its batches scored elsewhere: the same ones, so that the scores are the same."""

    def __init__(self, here: TransformersScorer, score_all: ScoreAll) -> None:
        self._here, self._score_all = here, score_all
        self.name = here.name

    def score(self, passages: Sequence[Passage]) -> Iterator[Mapping[int, Score]]:
        """As the scorer itself would, in whatever order the batches come back."""
        unfit, parts = self._here.arranged(passages)
        if unfit:
            yield unfit
        for number, scores in self._score_all([passages[position] for position in part] for part in parts):
            yield dict(zip(parts[number], scores, strict=True))


def batches(lengths: Sequence[int], most_tokens: int) -> list[range]:
    """Cut falling lengths into batches of at most so many tokens, padding included; a longer one goes alone.

    >>> batches([5, 4, 2, 1], 8)
    [range(0, 1), range(1, 3), range(3, 4)]
    """
    starts = [0]
    for position in range(1, len(lengths)):
        if (position - starts[-1] + 1) * lengths[starts[-1]] > most_tokens:
            starts.append(position)
    return [range(start, end) for start, end in zip(starts, [*starts[1:], len(lengths)], strict=True) if start < end]


def _shortened(item: Encoded, room: int, cut: int) -> Encoded:
    """Leave out context from its beginning until the passage fits, all but one token to foresee the response from."""
    context = [position for position, flag in enumerate(item.scored) if not flag]
    gone = set(context[1:][: max(len(item.ids) - room, 0)])
    left = [position for position in range(len(item.ids)) if position not in gone]
    ids, scored = [item.ids[position] for position in left], [item.scored[position] for position in left]
    return Encoded(ids, scored, cut + len(gone), len(ids) <= room and any(scored) and not scored[0])
