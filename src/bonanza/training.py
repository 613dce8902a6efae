"""Tunes a language model on instruction data, LoRA or full: on what the assistant says, and where it ends.

The folder: settings.json (what the training belongs to), checkpoints/ until it is finished, then adapter/ or model/,
and training.json, written last. A checkpoint counts once its last file is there, so a killed training resumes from a
whole one. Weights are safetensors. Optimizer and random states in checkpoints are our own; they are read back by
torch.load(weights_only=True), which runs no code that a file may hold.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, cast

from bonanza.corpus.instructions import InstructionData, read_samples
from bonanza.errors import FolderError, MissingExtraError, SettingsError
from bonanza.files import refuse_foreign, write_text
from bonanza.interfaces import Passage
from bonanza.journal import locked
from bonanza.language_models import (
    EMBEDDED,
    HUGGING_FACE,
    LanguageModel,
    has_fast_bfloat16,
    open_language_model,
    without_progress_bars,
)
from bonanza.records import Sample, Turn, content_id
from bonanza.scorers.templates import ChatTemplate, PlainTemplate, Template
from bonanza.settings import TrainSettings, as_mapping, differences
from bonanza.version import __version__
from bonanza.watching import Silent, Watcher

SETTINGS, REPORT, CHECKPOINTS, COMPLETE = "settings.json", "training.json", "checkpoints", "complete.json"
ADAPTER, MODEL = "adapter", "model"
TRAINING_FILE = "train.jsonl"  # of a run of extract
FREE = ("data", "checkpoint_seconds")  # settings that do not decide the outcome; the data's content does
PAPER_BATCH, LEAST_STEPS = 512, 25  # [paper]; [ours] steps an epoch has at least, where there are as many samples
PROBED = 32  # tokens of a sample that tell whether a model keeps samples apart
GPU_ROWS, CPU_ROWS = 8, 4  # [ours] at once; a processor gains nothing from more, and pads for nothing
LOGGED = 200  # figures of the loss that are kept, about
WRITING_SHARE = 20  # [ours] computing takes at least so many times as long as writing checkpoints
SECONDS_BETWEEN_LINES = 5.0
IGNORED = -100  # label of a token that is not learned


@dataclass(frozen=True)
class TrainResult:
    """What a training left behind. All of it is also in `folder`."""

    folder: Path
    summary: Mapping[str, Any]  # empty while it is not finished
    was_finished: bool = False  # before it was called

    @property
    def finished(self) -> bool:
        """Whether it went through to its end."""
        return bool(self.summary)


@dataclass(frozen=True)
class Tuned:
    """What `train` made, found again."""

    kind: str  # "adapter" or "model"
    base: str  # name of the model that was tuned
    template: str
    weights: Path


@dataclass(frozen=True, slots=True)
class Lesson:
    """A sample as the model sees it."""

    ids: list[int]
    learned: list[bool]  # one per id

    def row(self) -> dict[str, list[int]]:
        """As the trainer wants it."""
        labels = [token if learned else IGNORED for token, learned in zip(self.ids, self.learned, strict=True)]
        return {"input_ids": self.ids, "labels": labels}


@dataclass(frozen=True)
class Lessons:
    """All that is trained on, and what is not."""

    kept: Sequence[Lesson]
    cut: int  # samples whose end found no room
    left_out: Mapping[str, int]  # by reason, how many


@dataclass(frozen=True)
class Recipe:
    """The settings with nothing left open."""

    epochs: int
    batch_size: int
    rows_at_once: int
    joined: bool  # these stand in one row, without padding
    learning_rate: float
    max_tokens: int


class Writer:
    """Puts conversations before a model as bonanza's scorers do, and marks the end of the last response."""

    def __init__(self, tokenizer: Any, template: str) -> None:
        plain = template == "plain" or not getattr(tokenizer, "chat_template", None)
        self._tokenizer = tokenizer
        self._template: Template = PlainTemplate() if plain else ChatTemplate(tokenizer)
        mark = tokenizer("").input_ids[:1]  # of a text's beginning; chat templates write it themselves
        self._beginning: list[int] = mark if plain and mark == [tokenizer.bos_token_id] else []

    def lesson(self, turns: tuple[Turn, ...]) -> Lesson:
        """A conversation, up to the end of its last response."""
        ids, learned = list(self._beginning), [False] * len(self._beginning)
        for text, scored in self._template.pieces(Passage(turns)):
            some = self.tokens(text)
            ids, learned = ids + some, learned + [scored] * len(some)
        end = self._tokenizer.eos_token_id
        return Lesson(ids, learned) if end is None else Lesson([*ids, end], [*learned, True])

    def prompt(self, question: str) -> list[int]:
        """A question, up to where the assistant begins to speak."""
        lesson = self.lesson((Turn("user", question), Turn("assistant", "-")))
        return lesson.ids[: lesson.learned.index(True)]

    def tokens(self, text: str) -> list[int]:
        """A piece of text by itself."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids)


def train(
    settings: TrainSettings, out: Path, watcher: Watcher | None = None, stopping: Callable[[], bool] = lambda: False
) -> TrainResult:
    """Tune, or go on with what an earlier process began in the same folder.

    Raises
    ------
    UsageError
        If the settings cannot be carried out, or the folder holds something else.
    """
    watcher = watcher or Silent()
    data = _data_file(settings.data)
    refuse_foreign(out, SETTINGS, "training of bonanza")
    watcher.stage("reading the samples")
    samples = read_samples(data)
    with closing(locked(out)):
        owner = _owner(settings, samples.samples)
        _refuse_other(out, owner)
        if (out / REPORT).exists():
            return TrainResult(out, json.loads((out / REPORT).read_text(encoding="utf-8")), was_finished=True)
        _require_packages()
        watcher.stage("opening the model")
        language_model = open_fresh(settings.model)
        owner["model"] = language_model.name
        _refuse_other(out, owner)
        _write_json(out / SETTINGS, owner)
        with quiet_libraries():
            return _tuned(_job(settings, samples, language_model, out), watcher, stopping)


def tuned_at(name: str) -> Tuned | None:
    """What `train` left in a folder; None for any other name.

    Raises
    ------
    FolderError
        If the training there is not finished.
    """
    folder = Path(name.removeprefix(HUGGING_FACE)).expanduser()
    if not (folder / REPORT).is_file():
        if (folder / CHECKPOINTS).is_dir():
            raise FolderError(f"{folder}: the training is not finished. Give its `bonanza train` command once more.")
        return None
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    return Tuned(report["kind"], report["model"], report["settings"]["template"], folder / report["kind"])


def open_fresh(name: str) -> LanguageModel:
    """Open a model that nobody else holds, so that it may be changed; pickled weights in a folder are refused."""
    folder = Path(name.removeprefix(HUGGING_FACE)).expanduser()
    if name != EMBEDDED and folder.is_dir() and not any(folder.glob("*.safetensors")):
        raise SettingsError(f"{folder}: holds no *.safetensors. Weights in other formats are not read; convert them.")
    return open_language_model.__wrapped__(name)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Without what transformers, peft and TRL warn each other of: old names, and a base without a file of settings."""
    log = logging.getLogger("transformers")
    before = log.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "Could not find a config file")
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False")  # GPT-2; what it should be is clear
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(before)


@dataclass(frozen=True)
class _Job:
    """A training that is ready to go."""

    settings: TrainSettings
    data: InstructionData
    lessons: Lessons
    recipe: Recipe
    language_model: LanguageModel
    out: Path

    @property
    def kind(self) -> str:
        return MODEL if self.settings.full else ADAPTER

    @property
    def steps(self) -> int:
        return ceil(len(self.lessons.kept) / self.recipe.batch_size) * self.recipe.epochs


def _job(settings: TrainSettings, data: InstructionData, language_model: LanguageModel, out: Path) -> _Job:
    most = min(settings.max_tokens, language_model.context_tokens)
    writer = Writer(language_model.tokenizer, settings.template)
    lessons = lessons_of(data.samples, writer, most, settings.too_long == "cut")
    if not lessons.kept:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in lessons.left_out.items())
        raise SettingsError(f"{data.path}: no sample can be trained on ({reasons}). Raise --max-tokens.")
    recipe = recipe_of(settings, len(lessons.kept), most, language_model.device, joinable(language_model, lessons.kept))
    return _Job(settings, data, lessons, recipe, language_model, out)


def lessons_of(samples: Sequence[Sample], writer: Writer, most_tokens: int, cut: bool) -> Lessons:
    """The samples as the model sees them. What is too long loses its end, or is left out."""
    kept, shortened, left_out = [], 0, Counter[str]()
    for sample in samples:
        lesson = writer.lesson(sample.turns)
        fits = len(lesson.ids) <= most_tokens
        if not fits and not cut:
            left_out["too long"] += 1
        elif not any(lesson.learned[1:most_tokens]):  # the first token is never foreseen
            left_out["no room for the answer"] += 1
        else:
            kept.append(Lesson(lesson.ids[:most_tokens], lesson.learned[:most_tokens]))
            shortened += not fits
    return Lessons(kept, shortened, dict(left_out))


def joinable(language_model: LanguageModel, lessons: Sequence[Lesson]) -> int:
    """How many samples may stand in one row."""
    if language_model.device != "cpu" or not keeps_apart(language_model, lessons[0].ids):
        return 1
    return max(1, language_model.context_tokens // max(len(lesson.ids) for lesson in lessons))


def keeps_apart(language_model: LanguageModel, ids: list[int]) -> bool:
    """Whether samples that stand in one row do not see each other if their positions begin anew. Not all models do."""
    import torch

    model, ids = language_model.model, ids[:PROBED]
    others = [(token + 1) % model.get_input_embeddings().num_embeddings for token in ids]
    positions = torch.tensor([[*range(len(ids)), *range(len(ids))]])
    with torch.inference_mode():
        try:
            first, second = (
                model(input_ids=torch.tensor([before + ids]), position_ids=positions, use_cache=False).logits
                for before in (ids, others)
            )
        except (TypeError, ValueError, RuntimeError):  # a model without positions, or without room for two samples
            return False
    return torch.equal(first[:, len(ids) :], second[:, len(ids) :])


def recipe_of(settings: TrainSettings, samples: int, max_tokens: int, device: str, joinable: int) -> Recipe:
    """Fill in what the settings leave open: EQUAL's values, or those that fit few samples and small models."""
    paper = settings.preset == "paper"
    few = max(1, samples // LEAST_STEPS)
    batch = settings.batch_size or (PAPER_BATCH if paper else min(PAPER_BATCH, few))
    rate = settings.learning_rate or (1e-5 if paper or settings.full else 3e-4)
    usual = min(CPU_ROWS, joinable) if device == "cpu" else GPU_ROWS
    most = settings.rows_at_once or usual
    at_once = next(rows for rows in range(min(most, batch), 0, -1) if batch % rows == 0)
    joined = device == "cpu" and 1 < at_once <= joinable
    return Recipe(settings.epochs or (2 if settings.full else 4), batch, at_once, joined, rate, max_tokens)


def _tuned(job: _Job, watcher: Watcher, stopping: Callable[[], bool]) -> TrainResult:
    """Train from the last whole checkpoint on, and write the result unless it was stopped."""
    checkpoint = _last_checkpoint(job.out / CHECKPOINTS)
    spent = json.loads((checkpoint / COMPLETE).read_text(encoding="utf-8"))["seconds"] if checkpoint else 0.0
    watcher.stage(f"going on after {checkpoint.name}" if checkpoint else "preparing the training")
    began = time.perf_counter()
    seconds: Callable[[], float] = lambda: spent + time.perf_counter() - began
    trainer = _trainer(job)
    trainer.add_callback(_keeper(job, watcher, stopping, seconds))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < trainer.state.max_steps:
        return TrainResult(job.out, {})
    watcher.stage("writing the tuned model")
    _save(trainer.model, job)
    summary = _summary(job, trainer, seconds())
    _write_json(job.out / REPORT, summary)
    shutil.rmtree(job.out / CHECKPOINTS, ignore_errors=True)
    return TrainResult(job.out, summary)


def _trainer(job: _Job) -> Any:
    """TRL's trainer. What is drawn at its making, such as an adapter's first weights, follows the seed."""
    import trl
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback, set_seed

    toolkit, lora = cast(Any, trl), job.settings.lora
    model, tokenizer = job.language_model.model, job.language_model.tokenizer
    shape: dict[str, Any] = {"r": lora.rank, "lora_alpha": lora.alpha, "lora_dropout": lora.dropout}
    adapter = LoraConfig(**shape, target_modules="all-linear", task_type="CAUSAL_LM")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    set_seed(job.settings.seed)
    with without_progress_bars():
        trainer = toolkit.SFTTrainer(
            model.float() if job.settings.full else model,  # steps of a small rate vanish in bfloat16
            _arguments(job),
            train_dataset=Dataset.from_list([lesson.row() for lesson in job.lessons.kept]),
            processing_class=tokenizer,
            peft_config=None if job.settings.full else adapter,
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(job: _Job) -> Any:
    import trl

    settings, recipe, toolkit = job.settings, job.recipe, cast(Any, trl)
    return toolkit.SFTConfig(
        output_dir=str(job.out / CHECKPOINTS),
        seed=settings.seed,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.rows_at_once,
        padding_free=recipe.joined,
        gradient_accumulation_steps=recipe.batch_size // recipe.rows_at_once,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=settings.schedule if settings.schedule != "constant" else "constant_with_warmup",
        warmup_steps=ceil(settings.warmup_ratio * job.steps),
        max_length=None,  # the samples are cut already
        dataset_kwargs={"skip_prepare_dataset": True},
        bf16=has_fast_bfloat16(),  # autocast: what is trained, and its optimizer, stay in float32
        gradient_checkpointing=settings.gradient_checkpointing,
        use_cpu=job.language_model.device == "cpu",
        report_to="none",
        logging_steps=ceil(job.steps / LOGGED),
        logging_first_step=True,
        save_strategy="no",  # the keeper says when
        save_total_limit=2,  # the last whole one stays until the next is whole
        disable_tqdm=True,
    )


def _keeper(job: _Job, watcher: Watcher, stopping: Callable[[], bool], seconds: Callable[[], float]) -> Any:
    """Has checkpoints written when it is time to, or when the training is to stop; tells how far it has come."""
    from transformers import TrainerCallback

    class Keeper(TrainerCallback):
        asked, told, due = 0.0, 0.0, seconds() + job.settings.checkpoint_seconds

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.asked = seconds()
            if self.asked - self.told > SECONDS_BETWEEN_LINES:
                self.told = self.asked
                watcher.stage(f"step {state.global_step:,} of {state.max_steps:,}{_loss(state)}")
            control.should_training_stop = control.should_training_stop or stopping()
            if state.global_step < state.max_steps:
                control.should_save = control.should_training_stop or self.asked >= self.due

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _write_json(Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE, {"seconds": seconds()})
            writing = seconds() - self.asked
            self.due = seconds() + max(job.settings.checkpoint_seconds, WRITING_SHARE * writing)

    return Keeper()


def _loss(state: Any) -> str:
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    return f", loss {losses[-1]:.3f}" if losses else ""


def _last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; those that were broken off are removed."""
    found = {int(path.name.rpartition("-")[2]): path for path in folder.glob("checkpoint-*")}
    for step, path in list(found.items()):
        if not (path / COMPLETE).is_file():
            shutil.rmtree(found.pop(step))
    return found[max(found)] if found else None


def _save(model: Any, job: _Job) -> None:
    """Write the tuned weights and the tokenizer, whole or not at all."""
    import torch

    place, partial = job.out / job.kind, job.out / f"{job.kind}.partial"
    for path in (place, partial):
        shutil.rmtree(path, ignore_errors=True)
    with without_progress_bars():
        if job.settings.full:
            model.to(getattr(torch, job.language_model.precision)).save_pretrained(partial)
        else:
            model.save_pretrained(partial, save_embedding_layers=False)
        job.language_model.tokenizer.save_pretrained(partial)
    os.replace(partial, place)


def _summary(job: _Job, trainer: Any, seconds: float) -> dict[str, Any]:
    lessons, data = job.lessons.kept, job.data
    parameters = list(trainer.model.parameters())
    skipped = Counter(record.reason for record in data.skipped)
    return {
        "kind": job.kind, "model": job.settings.model, "base": job.language_model.name,
        "settings": as_mapping(job.settings), "recipe": asdict(job.recipe),
        "samples": {
            "rows": data.rows, "trained_on": len(lessons), "cut": job.lessons.cut,
            "left_out": dict(skipped + Counter(job.lessons.left_out)),
        },
        "tokens": {  # of one epoch
            "all": sum(len(lesson.ids) for lesson in lessons), "answers": sum(sum(each.learned) for each in lessons),
        },
        "parameters": {
            "trained": sum(each.numel() for each in parameters if each.requires_grad),
            "all": sum(each.numel() for each in parameters),
        },
        "losses": [
            {"step": entry["step"], "loss": entry["loss"]} for entry in trainer.state.log_history if "loss" in entry
        ],
        "steps": trainer.state.global_step, "seconds": round(seconds, 1), "device": job.language_model.device,
        "bonanza": __version__,
    }  # fmt: skip


def _owner(settings: TrainSettings, samples: Sequence[Sample]) -> dict[str, Any]:
    """What a folder belongs to, so far as it is known without the model."""
    deciding = {key: value for key, value in as_mapping(settings).items() if key not in FREE}
    return {"settings": deciding, "data": content_id(*(sample.id for sample in samples)), "bonanza": __version__}


def _data_file(data: str) -> str:
    """The file that is meant: of a run of extract, its training file."""
    folder = Path(data).expanduser()
    if not folder.is_dir():
        return data
    if not (folder / TRAINING_FILE).is_file():
        raise FolderError(
            f"{data}: holds no {TRAINING_FILE}. Name the --out folder of a finished `bonanza extract`, or a file."
        )
    return str(folder / TRAINING_FILE)


def _refuse_other(out: Path, owner: Mapping[str, Any]) -> None:
    """A folder belongs to one training: equal settings, data and model."""
    if not (out / SETTINGS).exists():
        return
    there = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    if lines := differences(owner, {key: value for key, value in there.items() if key in owner}):
        raise FolderError(
            f"{out}: belongs to a training with other settings. Here {'; '.join(lines)}. "
            "Use those settings to resume it, or choose another folder with --out."
        )


def _require_packages() -> None:
    try:
        import datasets  # noqa: F401 - only whether they are there
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError:
        raise MissingExtraError("bonanza train", "train") from None


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
