"""What tells training programs of an export's files: dataset_info.json, and a page of settings to copy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from bonanza.exports.formats import FORMATS
from bonanza.exports.markdown import table
from bonanza.exports.splits import TRAIN, VALIDATION, Side, Split

Files = Mapping[str, Mapping[str, list[str]]]  # by format and side, from the export's folder

MODEL = "Qwen/Qwen3-0.6B"  # [ours] small, with a chat template; only an example
# EQUAL's recipe [paper]: 2 epochs of all weights, or 4 of LoRA, at 1e-5 with cosine decay. Its batch of 512 is for sets
# of 100,000 pairs and more; 32 [ours] gives a few thousand pairs enough steps.
_EPOCHS, _LORA_EPOCHS = 2, 4
_RECIPE = {"batch": 8, "accumulation": 4, "rate": 1e-5, "tokens": 1024}

_PAGE = """\
# Pairs to train on

{sides}

{how}

Each row keeps where its pair comes from: `id`, `document_id`, `char_start`, `char_end`, `evidence`, `scores` and
`flags`, under `metadata` in JSON lines, as columns in parquet. The programs below ignore them. Run everything in this
folder.

## TRL

All weights are trained, on the answers alone; the model needs a chat template. Save as `tune.py`, run
`python tune.py MODEL`.

```python
{trl}```

## Axolotl

```yaml
{axolotl}```

## LLaMA-Factory

`dataset_info.json` describes every file.

```yaml
{llama_factory}```
"""

_TRL = """\
import sys

import torch
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer


def conversation(row):
    return {conversation}


data = load_dataset({kind}, data_files={files})
data = data.map(conversation, remove_columns=data["train"].column_names)
trainer = SFTTrainer(
    model=sys.argv[1] if len(sys.argv) > 1 else "{model}",
    args=SFTConfig(
        output_dir="tuned",
        num_train_epochs={epochs},
        per_device_train_batch_size={batch},
        gradient_accumulation_steps={accumulation},
        learning_rate={rate},
        lr_scheduler_type="cosine",
        max_length={tokens},
        bf16=torch.cuda.is_available(),
    ),
    train_dataset=data["train"],{evaluated}
)
trainer.train()
trainer.save_model()
"""


def dataset_info(files: Files) -> str:
    """LLaMA-Factory's dataset_info.json: an entry for each file."""
    entries = {
        _entry_name(name): {"file_name": name, **FORMATS[form].llama_factory}
        for form, sides in files.items()
        for names in sides.values()
        for name in names
    }
    return json.dumps(entries, indent=2) + "\n"


def guide(files: Files, sides: Mapping[str, Side], split: Split) -> str:
    """The page: README.md of an export."""
    form = next(name for name in FORMATS if name in files)
    rows = [(name, f"{side.documents:,}", f"{side.pairs:,}") for name, side in sides.items()]
    return _PAGE.format(
        sides=table(("set", "documents", "pairs"), rows), how=how_split(split), trl=_trl(form, files[form]),
        axolotl=_yaml(_axolotl(form, files[form])), llama_factory=_yaml(_llama_factory(files[form])),
    )  # fmt: skip


def how_split(split: Split) -> str:
    """How pairs were shared out, in words."""
    if not split.share:
        return "There is no validation set."
    return (
        f"About {100 * split.share:g}% of the documents are for validation, chosen by a hash of their ids (seed "
        f"{split.seed}); no document is in both sets."
    )


def _entry_name(file: str) -> str:
    return "bonanza_" + str(PurePosixPath(file).with_suffix("")).replace("/data/", "_").replace("/", "_")


def _trl(form: str, sides: Mapping[str, list[str]]) -> str:
    kind = "parquet" if FORMATS[form].is_table else "json"
    evaluated = '\n    eval_dataset=data["validation"],' if VALIDATION in sides else ""
    return _TRL.format(
        conversation=FORMATS[form].prompt_completion, kind=json.dumps(kind), files=json.dumps(sides), model=MODEL,
        evaluated=evaluated, epochs=_EPOCHS, **_RECIPE,
    )  # fmt: skip


def _axolotl(form: str, sides: Mapping[str, list[str]]) -> dict[str, Any]:
    """A run of Axolotl; where there are several files, one entry for each."""
    kind = "parquet" if FORMATS[form].is_table else "json"
    told = {"ds_type": kind, "split": "train", **FORMATS[form].axolotl}  # a file's only split is called "train"
    entries = {side: [{"path": name, **told} for name in names] for side, names in sides.items()}
    tested = {"test_datasets": entries[VALIDATION]} if VALIDATION in entries else {}
    return {
        "base_model": MODEL, "datasets": entries[TRAIN], **tested, "adapter": "lora", "lora_r": 16, "lora_alpha": 32,
        "lora_target_linear": True, "sequence_len": _RECIPE["tokens"], "num_epochs": _LORA_EPOCHS,
        "micro_batch_size": _RECIPE["batch"], "gradient_accumulation_steps": _RECIPE["accumulation"],
        "learning_rate": _RECIPE["rate"], "lr_scheduler": "cosine", "optimizer": "adamw_torch", "output_dir": "tuned",
    }  # fmt: skip


def _llama_factory(sides: Mapping[str, list[str]]) -> dict[str, Any]:
    names = {side: ",".join(map(_entry_name, files)) for side, files in sides.items()}
    evaluated = {"eval_dataset": names[VALIDATION]} if VALIDATION in names else {}
    return {
        "model_name_or_path": MODEL, "stage": "sft", "do_train": True, "finetuning_type": "lora", "dataset_dir": ".",
        "dataset": names[TRAIN], **evaluated, "template": "qwen3", "cutoff_len": _RECIPE["tokens"],
        "num_train_epochs": float(_LORA_EPOCHS), "per_device_train_batch_size": _RECIPE["batch"],
        "gradient_accumulation_steps": _RECIPE["accumulation"], "learning_rate": _RECIPE["rate"],
        "lr_scheduler_type": "cosine", "output_dir": "tuned",
    }  # fmt: skip


def _yaml(content: Mapping[str, Any]) -> str:
    import yaml

    dumper = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})  # equal entries are written out
    return str(yaml.dump(content, Dumper=dumper, sort_keys=False))
