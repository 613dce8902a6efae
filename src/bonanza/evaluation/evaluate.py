"""`bonanza evaluate`: one examination, sat by a model and by what it was tuned from."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bonanza import build
from bonanza.corpus.readers.hugging_face import PREFIX
from bonanza.corpus.readers.open import TYPES
from bonanza.corpus.targets import read_target
from bonanza.errors import FolderError, MissingExtraError, SettingsError
from bonanza.evaluation.harness import HarnessExam
from bonanza.evaluation.intervals import Figure, difference_of, figure_of
from bonanza.evaluation.sheets import Exam, Sheet
from bonanza.evaluation.written import WrittenExam
from bonanza.files import write_text
from bonanza.language_models import LanguageModel, name_of
from bonanza.settings import EvaluateSettings, as_mapping
from bonanza.training import Tuned, open_fresh, quiet_libraries, tuned_at
from bonanza.version import __version__
from bonanza.watching import Silent, Watcher

BASE, TUNED, DIFFERENCE = "base", "tuned", "difference"


@dataclass(frozen=True)
class EvaluateResult:
    """What was measured; `summary` is also in the file."""

    summary: Mapping[str, Any]


def evaluate(
    settings: EvaluateSettings, out: Path | None, cache: Path | None = None, watcher: Watcher | None = None
) -> EvaluateResult:
    """Measure a model, and what it was tuned from beside it.

    Raises
    ------
    UsageError
        If the settings cannot be carried out.
    """
    watcher, began = watcher or Silent(), time.perf_counter()
    if out is not None and not out.parent.is_dir():
        raise FolderError(f"{out}: there is no folder {out.parent}. Make it, or name another.")
    contenders = _contenders(settings)
    exam = build_exam(settings, cache or build.default_cache(), watcher)
    names: dict[str, str] = {}
    sheets: dict[str, Sheet] = {}
    watcher.stage("opening the model")
    with quiet_libraries():
        for role, language_model in contenders:
            watcher.stage(f"{role}: {language_model.name}")
            names[role], sheets[role] = language_model.name, exam.sit(language_model)
            del language_model  # gone before the next one is opened
    summary = {
        "target": settings.target, "models": names, "measures": measures_of(sheets), "items": exam.items(sheets),
        "settings": as_mapping(settings), "seconds": round(time.perf_counter() - began, 1), "bonanza": __version__,
    }  # fmt: skip
    if out is not None:
        write_text(out, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return EvaluateResult(summary)


def build_exam(settings: EvaluateSettings, cache: Path, watcher: Watcher) -> Exam:
    """A file's questions, or the harness's tasks."""
    if settings.target.startswith(PREFIX) or "/" in settings.target or settings.target.endswith(tuple(TYPES)):
        pairs = read_target(settings.target).pairs[: settings.limit]
        return WrittenExam(pairs, settings, cache, watcher.stage)
    names = [name.strip() for name in settings.target.split(",") if name.strip()]
    return HarnessExam(names, settings)


def measures_of(sheets: Mapping[str, Sheet]) -> list[dict[str, Any]]:
    """One row per measure: the figure of each model, and the difference tuned less base."""
    first = next(iter(sheets.values()))
    rows: list[dict[str, Any]] = []
    for measure in first.marks:
        marks = {role: sheet.marks[measure] for role, sheet in sheets.items() if measure in sheet.marks}
        figures = {role: figure_of(each) for role, each in marks.items()}
        if len(marks) == 2:
            figures[DIFFERENCE] = difference_of(marks[TUNED], marks[BASE])
        rows.append(_row(measure, int(first.marks[measure].known.sum()), figures))
    for measure in first.figures:
        told = {role: sheet.figures[measure] for role, sheet in sheets.items() if measure in sheet.figures}
        rows.append(_row(measure, None, told))
    return rows


def _row(measure: str, items: int | None, figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {"measure": measure, "items": items, **{role: asdict(figure) for role, figure in figures.items()}}


def _contenders(settings: EvaluateSettings) -> Iterator[tuple[str, LanguageModel]]:
    """The models, base first, one in memory at a time: an adapter is put onto the base that is open already."""
    tuned = tuned_at(settings.model)
    base = settings.base or (tuned.base if tuned else None)
    return _opened(settings.model, base, tuned)


def _opened(model: str, base: str | None, tuned: Tuned | None) -> Iterator[tuple[str, LanguageModel]]:
    opened = open_fresh(base) if base else None
    if opened is not None:
        yield BASE, opened
    role = TUNED if base else "model"
    if tuned is None or tuned.kind == "model":
        del opened
        yield role, open_fresh(str(tuned.weights) if tuned else model)
        return
    if opened is None or tuned.base != base:
        opened = open_fresh(tuned.base)
    yield role, with_adapter(opened, tuned.weights)


def with_adapter(base: LanguageModel, weights: Path) -> LanguageModel:
    """A tuned model made of its base, which it changes."""
    try:
        from peft import PeftModel
    except ImportError:
        raise MissingExtraError(f"{weights}", "train") from None
    if not (weights / "adapter_model.safetensors").is_file():
        raise SettingsError(f"{weights}: holds no adapter_model.safetensors. Train it anew.")
    model = PeftModel.from_pretrained(base.model, str(weights)).eval()
    precision = base.name.rpartition("/")[2]
    if precision == "torch.float32":  # one matrix product in place of three; in bfloat16 small changes would be lost
        model = model.merge_and_unload()
    return replace(base, model=model, name=f"{name_of(model, str(weights.parent))}/{precision}")
