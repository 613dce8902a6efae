"""A local file of questions and answers as an examination: answers written by the model, and the loss of the file's.

Answers are generated here, not by a task of lm-evaluation-harness: so a question stands before the model exactly as in
training and scoring, an embedded or freshly tuned model is used as it is, and nothing is asked of any hub.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bonanza import build
from bonanza.evaluation.intervals import Marks
from bonanza.evaluation.matching import matches
from bonanza.evaluation.sheets import Sheet
from bonanza.interfaces import Passage
from bonanza.language_models import LanguageModel
from bonanza.records import Question, Turn
from bonanza.scorers.journaled import JournaledScorer
from bonanza.scorers.transformers import TransformersScorer
from bonanza.settings import EvaluateSettings
from bonanza.training import Writer

EXACT, LOSS = "exact match", "answer loss (nats per token)"
LONGER, MOST_ANSWER_TOKENS, LEAST_ANSWER_TOKENS = 1.25, 256, 16  # [ours] than the longest answer of the file
FIRST_TOKENS = 32  # [ours] of all answers, before any is longer

Told = Callable[[str], None]


class WrittenExam:
    """Questions that a model answers in its own words."""

    def __init__(self, pairs: Sequence[Question], settings: EvaluateSettings, cache: Path, tell: Told) -> None:
        self._pairs, self._settings, self._cache, self._tell = pairs, settings, cache, tell

    def sit(self, language_model: LanguageModel) -> Sheet:
        """Let a model answer."""
        losses = self._losses(language_model)
        answers = self._answers(language_model)
        right = [float(matches(answer, pair.answer)) for answer, pair in zip(answers, self._pairs, strict=True)]
        return Sheet({EXACT: Marks(np.array(right), np.ones(len(right))), LOSS: losses}, answers)

    def items(self, sheets: Mapping[str, Sheet]) -> list[dict[str, Any]]:
        """What was asked, and what each model said."""
        return [
            {"question": pair.question, "answer": pair.answer, **{
                role: {"answer": sheet.answers[place], "match": bool(sheet.marks[EXACT].values[place]),
                       "loss": _known(sheet.marks[LOSS].values[place])} for role, sheet in sheets.items()
            }} for place, pair in enumerate(self._pairs)
        ]  # fmt: skip

    def _losses(self, language_model: LanguageModel) -> Marks:
        """Loss of each answer of the file, weighted by its tokens; nan where it does not fit the model."""
        scorer = TransformersScorer(language_model, self._settings.scorer)
        journaled = JournaledScorer(scorer, self._cache / build.SCORES)
        passages = [Passage((Turn("user", pair.question), Turn("assistant", pair.answer))) for pair in self._pairs]
        values, tokens = np.full(len(passages), np.nan), np.ones(len(passages))
        for batch in journaled.score(passages):
            for place, score in batch.items():
                values[place], tokens[place] = score.entropy, score.tokens
            self._tell(f"scored {int(np.isfinite(values).sum()):,} of {len(values):,} answers")
        return Marks(values, tokens)

    def _answers(self, language_model: LanguageModel) -> list[str]:
        """What the model says to each question: always its likeliest next token."""
        writer, room = Writer(language_model.tokenizer, self._settings.scorer.template), language_model.context_tokens
        most = min(self._settings.answer_tokens or self._usual_length(writer), room // 2)
        said = self._said(language_model, [writer.prompt(pair.question)[most - room :] for pair in self._pairs], most)
        return [text.strip() for text in language_model.tokenizer.batch_decode(said, skip_special_tokens=True)]

    def _said(self, language_model: LanguageModel, prompts: Sequence[list[int]], most: int) -> list[list[int]]:
        """First the beginnings of all answers, then the rest of the long ones: short answers do not wait for them."""
        said: list[list[int]] = [[] for _ in prompts]
        ends, going, size = ends_of(language_model), set(range(len(prompts))), self._settings.batch_size
        for begun, wanted in pairwise((0, *sorted({min(FIRST_TOKENS, most), most}))):
            order = sorted(going, key=lambda place: (-len(prompts[place]), place))
            for places in (order[start : start + size] for start in range(0, len(order), size)):
                texts = [prompts[place] + said[place] for place in places]
                for place, more in zip(places, continued(language_model, texts, wanted - begun), strict=True):
                    said[place] += more
                going -= {place for place in places if wanted == most or said[place][-1] in ends}
                self._tell(f"{len(prompts) - len(going):,} of {len(prompts):,} questions answered")
        return said

    def _usual_length(self, writer: Writer) -> int:
        longest = max(len(writer.tokens(pair.answer)) for pair in self._pairs)
        return min(MOST_ANSWER_TOKENS, max(LEAST_ANSWER_TOKENS, int(LONGER * longest)))


def continued(language_model: LanguageModel, texts: Sequence[list[int]], most_tokens: int) -> list[list[int]]:
    """What the model adds to each text, up to its mark of the end; texts are padded at their beginning."""
    import torch
    import transformers

    toolkit: Any = transformers
    model, ends = language_model.model, ends_of(language_model)
    width, padding = max(map(len, texts)), language_model.tokenizer.eos_token_id or 0
    ids = torch.tensor([[padding] * (width - len(text)) + text for text in texts])
    attended = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in texts])
    plain = toolkit.GenerationConfig(
        max_new_tokens=most_tokens, do_sample=False, pad_token_id=padding, eos_token_id=ends or None
    )
    with torch.inference_mode():
        shown = {"input_ids": ids.to(model.device), "attention_mask": attended.to(model.device)}
        said = model.generate(**shown, generation_config=plain)[:, width:].tolist()
    return [_up_to(ends, tokens) for tokens in said]


def _up_to(ends: Sequence[int], tokens: list[int]) -> list[int]:
    last = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: last + 1]


def ends_of(language_model: LanguageModel) -> list[int]:
    """Tokens that end an answer: the tokenizer's, and those that the model comes with."""
    configured = getattr(language_model.model.generation_config, "eos_token_id", None)
    own = configured if isinstance(configured, list) else [configured]
    return sorted({token for token in (language_model.tokenizer.eos_token_id, *own) if token is not None})


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
