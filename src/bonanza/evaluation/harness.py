"""Named tasks of lm-evaluation-harness as an examination.

The harness asks, filters and marks; each item's marks give the intervals here. A task that executes what a model writes
is refused before anything of it is loaded, unless the harness's own consent flag is given.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from bonanza.errors import MissingExtraError, SettingsError, TargetError
from bonanza.evaluation.intervals import Figure, Marks
from bonanza.evaluation.sheets import Sheet
from bonanza.language_models import LanguageModel
from bonanza.settings import EvaluateSettings

CONSENT = "HF_ALLOW_CODE_EVAL"  # the harness's tasks look for it besides the flag
NORMAL = 1.96  # for 95%


class HarnessExam:
    """Tasks, found and allowed; their data is loaded when the first model sits."""

    def __init__(self, names: Sequence[str], settings: EvaluateSettings) -> None:
        self._names, self._settings = list(names), settings
        self._manager = _task_manager(settings.include_path)
        self._refuse_unknown()
        self._refuse_unsafe()

    def sit(self, language_model: LanguageModel) -> Sheet:
        """Have the harness ask a model."""
        with _consent(self._settings.confirm_run_unsafe_code):
            report = self._evaluated(language_model)
        marks: dict[str, Marks] = {}
        figures: dict[str, Figure] = {}
        for task, samples in report["samples"].items():
            for name, values in _by_measure(samples).items():
                told = report["results"][task].get(name)
                if _is_mean(values, told):
                    marks[f"{task}: {name}"] = Marks(np.array(values, dtype=float), np.ones(len(values)))
                elif isinstance(told, int | float):
                    figures[f"{task}: {name}"] = _told_figure(report["results"][task], name)
        return Sheet(marks, figures=figures)

    def items(self, sheets: Mapping[str, Sheet]) -> list[dict[str, Any]]:
        """None: the harness's own data is not repeated."""
        return []

    def _evaluated(self, language_model: LanguageModel) -> Mapping[str, Any]:
        from lm_eval.evaluator import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        settings = self._settings
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        model = HFLM(
            pretrained=language_model.model, tokenizer=language_model.tokenizer, backend="causal",
            batch_size=settings.batch_size, max_length=language_model.context_tokens,
        )  # fmt: skip
        try:
            report: Mapping[str, Any] = simple_evaluate(
                model, tasks=self._names, num_fewshot=settings.fewshot, limit=settings.limit, bootstrap_iters=1000,
                task_manager=self._manager, apply_chat_template=settings.apply_chat_template,
                confirm_run_unsafe_code=settings.confirm_run_unsafe_code,
            )  # fmt: skip
        except (OSError, ImportError) as error:  # a dataset out of reach is an OSError
            raise TargetError(self._out_of_reach(error)) from error
        return report

    def _refuse_unknown(self) -> None:
        for name in self._names:
            if name not in self._manager.task_index:
                raise TargetError(
                    f"target {name!r} is neither a file nor a task of lm-evaluation-harness. `lm_eval ls tasks` lists "
                    "its tasks; --include-path names a folder with others."
                )

    def _refuse_unsafe(self) -> None:
        unsafe = sorted({task for name in self._names for task in self._unsafe(name, set())})
        if unsafe and not self._settings.confirm_run_unsafe_code:
            raise SettingsError(
                f"{', '.join(unsafe)}: executes the code that the model writes, unconfined. Where that is safe, allow "
                "it with --confirm-run-unsafe-code."
            )

    def _unsafe(self, name: str, seen: set[str]) -> Iterator[str]:
        """The tasks of a name, of a group or of a tag that execute code."""
        entry = self._manager.task_index.get(name)
        if entry is None or name in seen:
            return
        seen.add(name)
        config = entry.cfg or {}
        if config.get("unsafe_code"):
            yield name
        told = config.get("task")
        members = told if isinstance(told, list) else []
        tagged = [task for task, other in self._manager.task_index.items() if name in other.tags]
        for member in [*members, *tagged]:
            yield from self._unsafe(member if isinstance(member, str) else str(member.get("task")), seen)

    def _out_of_reach(self, error: Exception) -> str:
        """One line for what a task needs and this machine has not."""
        why = " ".join(str(error).split())[:300].rstrip(".")
        return (
            f"target {self._settings.target}: something that it needs is not here: {why}. Tasks load their data from "
            "the Hugging Face hub: run once with a connection, or measure on a local file of questions and answers."
        )


@functools.cache
def _task_manager(include_path: str | None) -> Any:
    """The harness's list of tasks; it reads thousands of files for that."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise MissingExtraError("a --target that is no file", "eval") from None
    return TaskManager(include_path=include_path)


@contextmanager
def _consent(given: bool) -> Iterator[None]:
    """What tasks that execute code look for in the environment, for as long as they run."""
    before = os.environ.get(CONSENT)
    if given:
        os.environ[CONSENT] = "1"
    try:
        yield
    finally:
        if given and before is None:
            del os.environ[CONSENT]


def _by_measure(samples: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The marks of each measure "metric,filter", in the order of the items."""
    marks: dict[str, list[Any]] = {}
    for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
        for metric in sample["metrics"]:
            marks.setdefault(f"{metric},{sample['filter']}", []).append(sample[metric])
    return marks


def _is_mean(values: Sequence[Any], told: Any) -> bool:
    """Whether the harness's own figure is the mean over items."""
    numbers = all(isinstance(value, int | float | np.number | np.bool_) for value in values)
    return bool(numbers and isinstance(told, int | float) and np.isclose(np.mean(np.array(values, dtype=float)), told))


def _told_figure(results: Mapping[str, Any], name: str) -> Figure:
    """A measure that is no mean over items, with the harness's own standard error."""
    metric, _, filtered = name.partition(",")
    value, error = float(results[name]), results.get(f"{metric}_stderr,{filtered}")
    if not isinstance(error, int | float):
        return Figure(value, None, None)
    return Figure(value, value - NORMAL * error, value + NORMAL * error)
