"""The formats that pairs are exported in, and how each is named to the programs that train on it.

The programs' own words: LLaMA-Factory, data/README.md; Axolotl, docs/dataset-formats and docs/config.qmd; TRL,
docs/source/dataset_formats.md. All of them ignore columns that they are not told of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]  # a kept pair as pairs.parquet has it

PROVENANCE = ("id", "document_id", "char_start", "char_end", "evidence", "scores", "flags")
LICENCE = "license"  # column of the corpus, and of the dataset folder


@dataclass(frozen=True, slots=True)
class Format:
    """One format: what its rows are, and what a program must be told to read them."""

    ending: str
    columns: Callable[[Row], dict[str, Any]]  # of a pair; its provenance comes beside them
    llama_factory: Mapping[str, Any]  # entry of dataset_info.json, less the file
    axolotl: Mapping[str, Any]  # entry under `datasets`, less the path
    prompt_completion: str  # Python for TRL: a row's conversation, what is asked and what is learned

    @property
    def is_table(self) -> bool:
        """It is parquet, whose provenance has columns of its own; in JSON lines it is under `metadata`."""
        return self.ending == "parquet"


def provenance(pair: Row) -> dict[str, Any]:
    """Where a pair comes from."""
    return {name: pair[name] for name in PROVENANCE}


def _messages(pair: Row) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": pair["question"]},
            {"role": "assistant", "content": pair["answer"]},
        ]
    }


def _alpaca(pair: Row) -> dict[str, Any]:
    return {"instruction": pair["question"], "input": "", "output": pair["answer"]}


def _sharegpt(pair: Row) -> dict[str, Any]:
    return {
        "conversations": [{"from": "human", "value": pair["question"]}, {"from": "gpt", "value": pair["answer"]}],
    }


def _prompt_completion(pair: Row) -> dict[str, Any]:
    return {"prompt": pair["question"], "completion": pair["answer"]}


_OF_MESSAGES: dict[str, Any] = {
    "columns": _messages,
    "llama_factory": {
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
            "system_tag": "system",
        },
    },
    "axolotl": {
        "type": "chat_template",
        "field_messages": "messages",
        "message_property_mappings": {"role": "role", "content": "content"},
        "roles_to_train": ["assistant"],
    },
    "prompt_completion": '{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}',
}  # fmt: skip


def _of_texts(question: str, answer: str) -> str:
    """A conversation of two columns of text."""
    return (
        f'{{"prompt": [{{"role": "user", "content": row["{question}"]}}], '
        f'"completion": [{{"role": "assistant", "content": row["{answer}"]}}]}}'
    )


FORMATS: Mapping[str, Format] = {
    "messages": Format("jsonl", **_OF_MESSAGES),
    "alpaca": Format(
        "jsonl",
        _alpaca,
        {
            "formatting": "alpaca",
            "columns": {"prompt": "instruction", "query": "input", "response": "output"},
        },
        {"type": "alpaca"},
        _of_texts("instruction", "output"),
    ),
    "sharegpt": Format(
        "jsonl",
        _sharegpt,
        {
            "formatting": "sharegpt",
            "columns": {"messages": "conversations"},
            "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
        },
        {
            "type": "chat_template",
            "field_messages": "conversations",
            "message_property_mappings": {"role": "from", "content": "value"},
            "roles_to_train": ["assistant"],
        },
        '{"prompt": [{"role": "user", "content": row["conversations"][0]["value"]}], '
        '"completion": [{"role": "assistant", "content": row["conversations"][1]["value"]}]}',
    ),
    "prompt-completion": Format(
        "jsonl",
        _prompt_completion,
        {"formatting": "alpaca", "columns": {"prompt": "prompt", "response": "completion"}},
        {
            "type": {
                "field_instruction": "prompt",
                "field_output": "completion",
                "format": "{instruction}\n",
                "no_input_format": "{instruction}\n",
            }
        },
        _of_texts("prompt", "completion"),
    ),
    "parquet": Format("parquet", **_OF_MESSAGES),
    "dataset": Format("parquet", **_OF_MESSAGES),  # a folder for the Hugging Face hub, with a card
}
