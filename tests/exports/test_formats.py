"""Facts about the formats: each loads in the code that is to consume it, or fits that program's documented schema."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bonanza.exporting import ExportSettings, export
from bonanza.exports import files
from bonanza.exports.formats import FORMATS

PROVENANCE = {"id", "document_id", "char_start", "char_end", "evidence", "scores", "flags"}
TABLES = {"parquet", "dataset"}
# LLaMA-Factory, data/README.md
ENTRY_KEYS = {"file_name", "formatting", "columns", "tags"}
COLUMN_KEYS = {"prompt", "query", "response", "history", "messages", "system", "tools"}
TAG_KEYS = {"role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag"}
TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}  # defaults
# Axolotl, docs/config.qmd and its SFTDataset and UserDefinedPrompterType
DATASET_KEYS = {"path", "ds_type", "split", "type", "field_messages", "message_property_mappings", "roles_to_train"}
PROMPTER_KEYS = {"field_instruction", "field_output", "format", "no_input_format"}


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory) -> Path:
    """All formats, the dataset in several shards."""
    out = tmp_path_factory.mktemp("exported") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "ROWS_PER_SHARD", 60)
        export(finished_run, out, ExportSettings(tuple(FORMATS), "20%"))
    return out


@pytest.fixture(scope="module")
def pairs(finished_run) -> list[tuple[str, str]]:
    lines = (finished_run / "train.jsonl").read_text().splitlines()
    return [tuple(turn["content"] for turn in json.loads(line)["messages"]) for line in lines]


def asked_and_answered(row: dict[str, Any]) -> tuple[str, str]:
    """The texts of a row of any format."""
    for question, answer in (("instruction", "output"), ("prompt", "completion")):
        if question in row:
            return row[question], row[answer]
    turns = row.get("messages") or row["conversations"]
    return tuple(turn.get("content") or turn["value"] for turn in turns)


@pytest.mark.parametrize("name", FORMATS)
def test_the_datasets_library_finds_both_sets_of_every_folder(exported, pairs, tmp_path, name):
    from datasets import load_dataset

    sets = load_dataset(str(exported / name), cache_dir=str(tmp_path))
    assert set(sets) == {"train", "validation"}
    rows = {side: list(held) for side, held in sets.items()}
    found = [asked_and_answered(row) for side in rows.values() for row in side]
    assert sorted(found) == sorted(pairs)
    order = {pair: place for place, pair in enumerate(pairs)}
    assert [order[asked_and_answered(row)] for row in rows["train"]] == sorted(
        order[asked_and_answered(row)] for row in rows["train"]
    )
    origins = {side: [row if name in TABLES else row["metadata"] for row in held] for side, held in rows.items()}
    assert all(origin.keys() >= PROVENANCE for held in origins.values() for origin in held)
    documents = [{origin["document_id"] for origin in held} for held in origins.values()]
    assert not documents[0] & documents[1]


def test_a_flag_far_down_does_not_surprise_the_reader(tmp_path):
    from datasets import load_dataset

    row = {"question": "Why?", "answer": "Because.", "id": "1", "document_id": "page", "char_start": 0, "char_end": 9}
    row |= {"evidence": "Because.", "scores": {"utility": 0.5}, "flags": []}
    rows = [*[row] * 200, row | {"flags": ["long", "odd"]}]
    files.write_files([tmp_path / "train.jsonl"], FORMATS["messages"], rows, len(rows), None)
    path = str(tmp_path / "train.jsonl")
    loaded = load_dataset("json", data_files=path, split="train", chunksize=1_000, cache_dir=str(tmp_path / "cache"))
    assert [loaded[row]["metadata"]["flags"] for row in (0, 200)] == ["", "long, odd"]


def test_shards_are_numbered_and_hold_every_pair_once(exported, pairs):
    import pyarrow.parquet

    paths = sorted((exported / "dataset" / "data").glob("train-*"))
    assert [path.name for path in paths] == [f"train-{n:05}-of-{len(paths):05}.parquet" for n in range(len(paths))]
    assert len(paths) > 1
    counts = [pyarrow.parquet.read_metadata(path).num_rows for path in paths]
    assert max(counts) <= 60
    assert sum(counts) == len((exported / "messages" / "train.jsonl").read_text().splitlines())


def test_llama_factory_finds_every_file_by_its_documented_schema(exported, pairs, tmp_path):
    from datasets import load_dataset

    entries = json.loads((exported / "dataset_info.json").read_text())
    described = {entry["file_name"] for entry in entries.values()}
    there = {str(path.relative_to(exported)) for path in exported.rglob("*") if path.suffix in {".jsonl", ".parquet"}}
    assert described == there
    for entry in entries.values():
        assert entry.keys() <= ENTRY_KEYS
        assert entry["columns"].keys() <= COLUMN_KEYS
        assert entry.get("tags", {}).keys() <= TAG_KEYS
        kind = {".jsonl": "json", ".parquet": "parquet"}[Path(entry["file_name"]).suffix]
        path = str(exported / entry["file_name"])
        for row in load_dataset(kind, data_files=path, split="train", cache_dir=str(tmp_path)):
            assert as_llama_factory_reads(row, entry) in pairs


def as_llama_factory_reads(row: dict[str, Any], entry: dict[str, Any]) -> tuple[str, str]:
    """A row by the rules of its data/README.md."""
    columns = entry["columns"]
    if entry["formatting"] == "alpaca":
        query = row[columns["query"]] if "query" in columns else ""
        return "\n".join(part for part in (row[columns["prompt"]], query) if part), row[columns["response"]]
    tags = TAGS | entry.get("tags", {})
    asked, answered = row[columns["messages"]]
    assert (asked[tags["role_tag"]], answered[tags["role_tag"]]) == (tags["user_tag"], tags["assistant_tag"])
    return asked[tags["content_tag"]], answered[tags["content_tag"]]


@pytest.mark.parametrize("name", FORMATS)
def test_what_the_guide_says_to_axolotl_and_llama_factory_fits(finished_run, tmp_path, name):
    export(finished_run, tmp_path / "out", ExportSettings((name,), "20%"))
    axolotl, llama_factory = (yaml.safe_load(text) for text in blocks(tmp_path / "out", "yaml"))
    for entry in (*axolotl["datasets"], *axolotl["test_datasets"]):
        assert entry.keys() <= DATASET_KEYS
        assert (tmp_path / "out" / entry["path"]).is_file()
        assert entry["type"] in ("alpaca", "chat_template") or entry["type"].keys() <= PROMPTER_KEYS
    entries = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert {llama_factory["dataset"], llama_factory["eval_dataset"]} == entries.keys()


def blocks(out: Path, language: str) -> list[str]:
    """Blocks of code in the guide."""
    return re.findall(rf"```{language}\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("name", FORMATS)
def test_what_the_guide_says_to_trl_makes_conversations(exported, pairs, tmp_path, name):
    from datasets import load_dataset

    for row in load_dataset(str(exported / name), split="validation", cache_dir=str(tmp_path)):
        conversation = eval(FORMATS[name].prompt_completion, {"row": row})
        (asked,), (answered,) = conversation["prompt"], conversation["completion"]
        assert (asked["role"], answered["role"]) == ("user", "assistant")
        assert (asked["content"], answered["content"]) in pairs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["messages", "prompt-completion", "dataset"])
def test_the_printed_program_trains_with_trl(finished_run, tiny_models, tmp_path, name):
    out = tmp_path / "out"
    export(finished_run, out, ExportSettings((name,), "20%"))
    (program,) = blocks(out, "python")
    (out / "tune.py").write_text(program)
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "tune.py", str(tiny_models / "llama")]
    done = subprocess.run(command, check=False, cwd=out, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (out / "tuned" / "model.safetensors").exists()
    (state,) = (out / "tuned").glob("checkpoint-*/trainer_state.json")
    assert json.loads(state.read_text())["global_step"] >= 6
