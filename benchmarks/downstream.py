"""Loss on the target of a model tuned on the pairs that each policy finds.

    OMP_WAIT_POLICY=passive HF_HUB_OFFLINE=1 python benchmarks/downstream.py --out downstream.jsonl

For each target, policy and seed: choose documents of the recorded corpus for a share of the tokens that reading all of
it costs, draw some of the kept pairs, tune a small chat model on them (LoRA, loss on the answers only), and measure the
loss of the held-out answers in nats per answer token; lower is better. Zero-shot is the same model untuned;
"reference" tunes on the reference set itself, about the best that pairs can do. A policy without chance in it chooses
once; its spread is that of the drawn pairs and of the training. Every finished cell is a line of --out, and is not done
again. Needs the extras "train" and "local".

The mark that ends an answer counts neither in tuning nor in evaluation: any pairs teach it, and short answers teach to
stop early.
"""

from __future__ import annotations

import argparse
import copy
import functools
import gc
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bonanza import build
from bonanza.corpus.targets import read_target
from bonanza.language_models import EMBEDDED, LanguageModel, open_language_model
from bonanza.records import Question, Target
from bonanza.run import run
from bonanza.settings import settings_from

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SETTINGS = {"corpus": (str(SHARED / "corpus"),), "budget": "100%", "llm": "recorded", "target": "-"}
ZERO_SHOT, REFERENCE = "zero-shot", "reference"
WITHOUT_CHANCE = ("nearest", "round_robin", "adaptive")  # policies that choose the same whatever the seed
EVALUATION_BATCH = 4  # items at a time, of like length
CPU_BATCH = 2  # pairs at a time on a processor, gradients summed to the batch: less memory, a tenth slower

Tokens = dict[str, list[int]]  # input_ids, and completion_mask: 1 where the answer stands


@dataclass(frozen=True)
class Recipe:
    """How the model is tuned [ours]; chosen on halves of the gsm8k reference set, never on a test set."""

    learning_rate: float = 3e-4
    rank: int = 16  # LoRA, on all linear layers but the head, in float32; the model is bfloat16 where that is fast
    epochs: int = 1
    batch_size: int = 8
    warmup_steps: int = 5
    max_length: int = 384  # tokens of question and answer; longer ones are cut


@dataclass(frozen=True)
class Setup:
    """What every cell of a table has in common."""

    model: str
    judge: str
    budget: float  # share of the tokens that reading everything costs, 0 to 1
    pairs: int
    held_out: int
    recipe: Recipe


@dataclass(frozen=True, order=True)
class Cell:
    """One figure of the table."""

    target: str
    policy: str
    seed: int


def main() -> None:
    """Measure the cells that are not finished yet, and print the table."""
    options = _options()
    setup = Setup(
        options.model, options.judge, options.budget, options.pairs, options.held_out, Recipe(**_given(options))
    )
    for policy in set(options.policies.split(",")) - {REFERENCE}:
        build.check_names(settings_from(SETTINGS | _policy_settings(policy), "benchmark"))
    rows = _finished(options.out, setup)
    corpus, student = Corpus(setup, options.cache), Student(setup, options.device)
    for cell in _cells(options):
        if cell not in rows:
            rows[cell] = _measure(cell, setup, corpus, student)
            with options.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(asdict(cell) | rows[cell] | {"setup": asdict(setup)}) + "\n")
            print(f"{cell.target} {cell.policy} {cell.seed}: {json.dumps(rows[cell])}", flush=True)
    print(_table(rows, options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="results, one JSON object per line; resumed if there")
    parser.add_argument("--targets", default="gsm8k,mbpp")
    parser.add_argument("--policies", default="random,nearest,nearest:max,equal,adaptive")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=0.05, help="share of the tokens of reading everything")
    parser.add_argument("--pairs", type=int, default=400, help="pairs to tune on")
    parser.add_argument("--held-out", type=int, default=200, help="items to evaluate on, the same for all")
    parser.add_argument(
        "--judge",
        choices=("test", "half"),
        default="test",
        help="half: second half of the references is held out, the first half is the target",
    )
    parser.add_argument("--model", default="embedded", help="embedded (SmolLM2-135M-Instruct), or a Hugging Face path")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--cache", type=Path, default=build.default_cache())
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    return parser.parse_args()


def _given(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in asdict(Recipe())}


def _cells(options: argparse.Namespace) -> Iterator[Cell]:
    """Seed by seed, so that a table is whole, if coarse, as early as possible."""
    targets = options.targets.split(",")
    yield from (Cell(target, ZERO_SHOT, 0) for target in targets)
    for seed in range(options.seeds):
        yield from (Cell(target, policy, seed) for target in targets for policy in options.policies.split(","))


def _finished(path: Path, setup: Setup) -> dict[Cell, dict[str, Any]]:
    """Cells of earlier runs with this setup."""
    rows = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        row = json.loads(line)
        if row.pop("setup") == asdict(setup):
            rows[Cell(row.pop("target"), row.pop("policy"), row.pop("seed"))] = row
    return rows


def _measure(cell: Cell, setup: Setup, corpus: Corpus, student: Student) -> dict[str, Any]:
    """Choose, tune, evaluate."""
    start = time.perf_counter()
    pool, spent = corpus.pairs(cell) if cell.policy != ZERO_SHOT else ((), 0)
    drawn = _draw(pool, setup.pairs, cell.seed)
    chosen = time.perf_counter()
    model = student.tuned(drawn, cell.seed) if drawn else student.base
    tuned = time.perf_counter()
    loss, tokens = student.loss(model, _held_out(cell.target, setup))
    marks = (start, chosen, tuned, time.perf_counter())
    del model
    gc.collect()  # a trainer and its model hold each other
    seconds = dict(zip(("choose", "tune", "evaluate"), np.diff(marks).round(1).tolist(), strict=True))
    kept = {"pairs_kept": len(pool), "pairs_drawn": len(drawn), "tokens_spent": spent}
    return {"loss": round(loss, 5), "answer_tokens": tokens, **kept, "seconds": seconds}


def _draw(items: Sequence[Question], count: int, seed: int) -> list[Question]:
    rows = np.random.default_rng(seed).permutation(len(items))[:count]
    return [items[row] for row in rows]


def _reference(target: str, judge: str) -> Target:
    """What the policies look at."""
    whole = read_target(str(SHARED / "targets" / f"{target}_reference.jsonl"))
    return whole if judge == "test" else Target(whole.pairs[: len(whole.pairs) // 2], whole.origin)


def _held_out(target: str, setup: Setup) -> list[Question]:
    """What the tuned models are judged by; no policy has seen it."""
    kind = "test" if setup.judge == "test" else "reference"
    pairs = read_target(str(SHARED / "targets" / f"{target}_{kind}.jsonl")).pairs
    return _draw(pairs if kind == "test" else pairs[len(pairs) // 2 :], setup.held_out, seed=0)


class Corpus:
    """The recorded corpus, and what the product chooses from it."""

    def __init__(self, setup: Setup, cache: Path) -> None:
        self._setup, self._cache = setup, cache

    def pairs(self, cell: Cell) -> tuple[Sequence[Question], int]:
        """The pairs to draw from, and the tokens they cost."""
        if cell.policy == REFERENCE:
            return _reference(cell.target, self._setup.judge).pairs, 0
        return self._chosen(cell.target, cell.policy, 0 if cell.policy.startswith(WITHOUT_CHANCE) else cell.seed)

    @functools.cache  # noqa: B019 - one corpus per program
    def _chosen(self, target: str, policy: str, seed: int) -> tuple[Sequence[Question], int]:
        budget = f"{int(self._setup.budget * self._everything)}"
        settings = SETTINGS | _policy_settings(policy) | {"budget": budget, "seed": seed, "patience": 0}
        reference = _reference(target, self._setup.judge)
        with tempfile.TemporaryDirectory() as folder:
            result = run(settings_from(settings, "benchmark"), Path(folder) / "run", self._cache, target=reference)
        return [Question(pair.question, pair.answer) for pair in result.pairs], result.summary["tokens"]["total"]

    @functools.cached_property
    def _everything(self) -> int:
        """Tokens that reading every document costs."""
        settings = settings_from(SETTINGS, "benchmark")
        store = build.build_store(build.build_reader(settings), self._cache)
        extractor = build.build_extractor(settings)
        return sum(extractor.read(document).usage.total for row in range(len(store)) for document in store.fetch([row]))


def _policy_settings(policy: str) -> dict[str, Any]:
    """Settings of a policy by its name in the table: "nearest:max" is the policy nearest with the view max."""
    return {"policy": policy.partition(":")[0], **build.VARIANTS.get(policy, {})}


class Student:
    """The model that is tuned. Loaded at its first use."""

    def __init__(self, setup: Setup, device: str) -> None:
        import torch

        self._setup = setup
        self._device = device if device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")

    @functools.cached_property
    def base(self) -> Any:
        """The model as it comes."""
        return self._opened.model.to(self._device)

    @functools.cached_property
    def _opened(self) -> LanguageModel:
        return open_language_model(EMBEDDED if self._setup.model == "embedded" else self._setup.model)

    @property
    def _dtype(self) -> Any:
        return self.base.dtype

    @property
    def _tokenizer(self) -> Any:
        return self._opened.tokenizer

    def tuned(self, pairs: Sequence[Question], seed: int) -> Any:
        """A copy of the base, tuned on pairs."""
        from datasets import Dataset
        from peft import LoraConfig

        rank = self._setup.recipe.rank
        with tempfile.TemporaryDirectory() as folder:
            trainer = _answer_trainer()(
                copy.deepcopy(self.base),
                self._training(folder, seed),
                train_dataset=Dataset.from_list(self._arranged(pairs)),
                processing_class=self._tokenizer,
                peft_config=LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"),
            )
            trainer.train()
        return trainer.model.eval()

    def _arranged(self, pairs: Sequence[Question]) -> list[Tokens]:
        """The pairs as drawn, but by length inside each batch, where a processor takes them a few at a time.

        Batches of like length would give a batch of one-word answers the weight of a batch of long ones.
        """
        tokens, size = [self._tokens(pair) for pair in pairs], self._setup.recipe.batch_size
        batches = [tokens[start : start + size] for start in range(0, len(tokens), size)]
        return [item for batch in batches for item in sorted(batch, key=lambda item: len(item["input_ids"]))]

    def _training(self, folder: str, seed: int) -> Any:
        import torch
        from trl import SFTConfig

        recipe = self._setup.recipe
        at_once = min(CPU_BATCH, recipe.batch_size) if self._device == "cpu" else recipe.batch_size
        return SFTConfig(
            output_dir=folder,
            seed=seed,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=recipe.warmup_steps,
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=-(-recipe.batch_size // at_once),
            train_sampling_strategy="sequential",
            max_length=recipe.max_length,
            completion_only_loss=True,
            bf16=self._dtype is not torch.float32,  # autocast: the LoRA weights and their optimiser stay in float32
            gradient_checkpointing=False,
            use_cpu=self._device == "cpu",
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )

    def loss(self, model: Any, items: Sequence[Question]) -> tuple[float, int]:
        """Mean loss of the answers' tokens, in nats, and how many tokens they have."""
        import torch

        tokens = sorted(map(self._tokens, items), key=lambda item: len(item["input_ids"]))
        losses = []
        for start in range(0, len(tokens), EVALUATION_BATCH):
            batch = _padded(tokens[start : start + EVALUATION_BATCH])
            with torch.no_grad(), torch.autocast(self._device, torch.bfloat16, self._dtype is torch.bfloat16):
                losses.append(answer_losses(model, *(part.to(self._device) for part in batch)).cpu())
        every = torch.cat(losses).double()
        return float(every.mean()), len(every)

    def _tokens(self, pair: Question) -> Tokens:
        """A pair in the model's own chat format, up to the last token of the answer itself."""
        question = [{"role": "user", "content": pair.question}]
        prompt = self._tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
        before, answer = (self._tokenizer(text, add_special_tokens=False).input_ids for text in (prompt, pair.answer))
        most, mask = self._setup.recipe.max_length, [0] * len(before) + [1] * len(answer)
        return {"input_ids": (before + answer)[:most], "completion_mask": mask[:most]}


def answer_losses(model: Any, ids: Any, attended: Any, answers: Any) -> Any:
    """Loss of every answer token in nats: float32 tensor, shape (answer tokens,).

    Parameters
    ----------
    ids, attended, answers : int64 tensors, shape (texts, width)
        Tokens; 1 where there is a text; the tokens of the answers, -100 elsewhere.
    """
    import torch

    kept = answers.shape[1] - int((answers != -100).any(dim=0).int().argmax()) + 1  # from before the first answer on
    logits = model(input_ids=ids, attention_mask=attended, logits_to_keep=kept).logits[:, :-1]
    wanted = answers[:, 1 - kept :]
    here = wanted != -100
    return torch.nn.functional.cross_entropy(logits[here].float(), wanted[here], reduction="none")


def _padded(batch: Sequence[Tokens]) -> tuple[Any, Any, Any]:
    """Tokens of one width, as `answer_losses` wants them."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.tensor(item["input_ids"]) for item in batch]
    masks = [torch.tensor(item["completion_mask"]) for item in batch]
    answers = [row.masked_fill(mask == 0, -100) for row, mask in zip(ids, masks, strict=True)]
    attended = [torch.ones_like(row) for row in ids]
    return pad_sequence(ids, True), pad_sequence(attended, True), pad_sequence(answers, True, -100)


def _answer_trainer() -> Any:
    """The trainer with the loss that evaluation has; TRL's own scores the tokens of the questions too."""
    from trl import SFTTrainer

    class AnswerTrainer(SFTTrainer):
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            losses = answer_losses(model, inputs["input_ids"], inputs["attention_mask"], inputs["labels"])
            return losses.sum() / (len(losses) if num_items_in_batch is None else num_items_in_batch)

    return AnswerTrainer


def _table(rows: Mapping[Cell, dict[str, Any]], options: argparse.Namespace) -> str:
    """Loss by policy and target: mean and standard deviation over the seeds, and how many there are."""
    targets = options.targets.split(",")
    lines = ["| policy | " + " | ".join(targets) + " |", "|---" * (len(targets) + 1) + "|"]
    for policy in (ZERO_SHOT, *options.policies.split(",")):
        found = [
            [row["loss"] for cell, row in rows.items() if (cell.target, cell.policy) == (target, policy)]
            for target in targets
        ]
        lines.append(f"| {policy} | " + " | ".join(_mean(losses) for losses in found) + " |")
    return "\n".join(lines)


def _mean(losses: Sequence[float]) -> str:
    return f"{np.mean(losses):.3f} ± {np.std(losses):.3f} ({len(losses)})" if losses else "-"


if __name__ == "__main__":
    main()
