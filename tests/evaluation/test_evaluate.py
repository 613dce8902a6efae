"""Facts about `bonanza evaluate`: base and tuned side by side, on files and on tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bonanza.errors import FolderError, SettingsError, TargetError
from bonanza.evaluation import written
from bonanza.evaluation.evaluate import evaluate, with_adapter
from bonanza.evaluation.written import EXACT, LOSS, continued
from bonanza.language_models import open_language_model
from bonanza.settings import EvaluateSettings, TrainSettings
from bonanza.training import Writer, train

TASK = """
task: lakes
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: 8
metric_list:
  - metric: exact_match
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [{"question": f"How deep is lake {n}?", "answer": f"{n} metres"} for n in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, pairs, tiny_models) -> Path:
    """A model that has learned the pairs by heart."""
    out = tmp_path_factory.mktemp("tuned") / "run"
    settings = TrainSettings(
        str(pairs), f"hf:{tiny_models / 'llama'}", full=True, epochs=60, batch_size=3, learning_rate=0.01
    )  # fmt: skip
    train(settings, out)
    return out


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, pairs, tiny_models) -> Path:
    out = tmp_path_factory.mktemp("adapter") / "run"
    train(TrainSettings(str(pairs), f"hf:{tiny_models / 'llama'}", epochs=10, batch_size=1, learning_rate=0.02), out)
    return out


def rows_of(settings: EvaluateSettings, cache: Path) -> dict[str, dict[str, Any]]:
    return {row["measure"]: row for row in evaluate(settings, None, cache).summary["measures"]}


def test_a_model_that_knows_the_answers_gives_them(tuned, pairs, cache):
    rows = rows_of(EvaluateSettings(str(tuned), str(pairs)), cache)
    assert (rows[EXACT]["base"]["value"], rows[EXACT]["tuned"]["value"]) == (0, 1)
    assert rows[EXACT]["difference"]["value"] == 1
    assert rows[LOSS]["tuned"]["value"] < 0.1 < rows[LOSS]["base"]["value"]


def test_an_adapter_is_put_onto_its_base(adapter, pairs, cache, tmp_path):
    out = tmp_path / "result.json"
    summary = evaluate(EvaluateSettings(str(adapter), str(pairs), limit=2), out, cache).summary
    assert json.loads(out.read_text()) == json.loads(json.dumps(summary))
    assert list(summary["models"]) == ["base", "tuned"]
    assert summary["measures"][1]["difference"]["value"] < 0
    assert [set(item) for item in summary["items"]] == [{"question", "answer", "base", "tuned"}] * 2


def test_the_base_side_is_the_base_alone(adapter, pairs, cache, tiny_models):
    beside = rows_of(EvaluateSettings(str(adapter), str(pairs)), cache)[LOSS]["base"]
    alone = rows_of(EvaluateSettings(f"hf:{tiny_models / 'llama'}", str(pairs)), cache)[LOSS]
    assert alone["model"] == beside
    assert "difference" not in alone


def test_another_base_may_be_named(adapter, pairs, cache, tiny_models):
    settings = EvaluateSettings(str(adapter), str(pairs), base=f"hf:{tiny_models / 'gpt2'}", limit=1)
    models = evaluate(settings, None, cache).summary["models"]
    assert models["base"].startswith("gpt2-")
    assert models["tuned"].startswith("run-")


def test_padding_does_not_change_what_a_model_says(tiny_models):
    opened = open_language_model(f"hf:{tiny_models / 'llama'}")
    prompts = [opened.tokenizer(text).input_ids for text in ("How deep?", "How deep is the lake at its shore?")]
    assert continued(opened, prompts, 12) == [continued(opened, [prompt], 12)[0] for prompt in prompts]


@pytest.mark.parametrize("first", [1, 3, 12, 40])
def test_long_answers_are_broken_off_and_taken_up_again_without_a_trace(adapter, pairs, cache, monkeypatch, first):
    settings = EvaluateSettings(str(adapter), str(pairs), answer_tokens=12, batch_size=2)
    whole = evaluate(settings, None, cache).summary["items"]
    monkeypatch.setattr(written, "FIRST_TOKENS", first)
    assert evaluate(settings, None, cache).summary["items"] == whole


def test_an_answer_ends_with_the_models_mark_of_the_end(tuned, pairs):
    opened = open_language_model(f"hf:{tuned / 'model'}")
    question = json.loads(pairs.read_text().splitlines()[0])["question"]
    (said,) = continued(opened, [Writer(opened.tokenizer, "chat").prompt(question)], 60)
    assert len(said) < 60
    assert said[-1] == opened.tokenizer.eos_token_id
    assert opened.tokenizer.eos_token_id not in said[:-1]


def test_targets_and_folders_that_are_not_there_are_refused(adapter, tmp_path, pairs, cache):
    with pytest.raises(TargetError, match="no such file"):
        evaluate(EvaluateSettings(str(adapter), str(tmp_path / "none.jsonl")), None, cache)
    with pytest.raises(FolderError, match="no folder"):
        evaluate(EvaluateSettings(str(adapter), str(pairs)), tmp_path / "none" / "result.json", cache)


@pytest.mark.slow  # the harness reads the files of all its tasks
def test_tasks_of_the_harness_run_for_both_models(tuned, pairs, cache, tmp_path):
    (tmp_path / "lakes.yaml").write_text(TASK.format(data=pairs), encoding="utf-8")
    settings = EvaluateSettings(
        str(tuned), "lakes", include_path=str(tmp_path), fewshot=0, apply_chat_template=True, limit=2
    )  # fmt: skip
    rows = rows_of(settings, cache)
    row = rows["lakes: exact_match,none"]
    assert (row["items"], row["base"]["value"], row["tuned"]["value"]) == (2, 0, 1)


@pytest.mark.slow
def test_tasks_that_execute_code_need_consent_and_others_a_connection(adapter, cache):
    for target in ("humaneval", "gsm8k,mbpp"):
        with pytest.raises(SettingsError, match="--confirm-run-unsafe-code"):
            evaluate(EvaluateSettings(str(adapter), target), None, cache)
    with pytest.raises(TargetError, match="neither a file nor a task"):
        evaluate(EvaluateSettings(str(adapter), "no_such_task"), None, cache)
    with pytest.raises(TargetError, match="run once with a connection"):
        evaluate(EvaluateSettings(str(adapter), "gsm8k"), None, cache)


def test_a_merged_adapter_says_what_it_says_beside_its_base(adapter, pairs, cache, tiny_models):
    import torch
    from peft import PeftModel

    from bonanza.training import open_fresh, quiet_libraries, tuned_at

    tuned, ids = tuned_at(str(adapter)), torch.arange(1, 9)[None]
    assert tuned is not None
    base = open_fresh(f"hf:{tiny_models / 'llama'}")
    with quiet_libraries():
        beside = PeftModel.from_pretrained(open_fresh(f"hf:{tiny_models / 'llama'}").model, str(tuned.weights)).eval()
    with torch.inference_mode(), quiet_libraries():
        alone = base.model(ids).logits
        merged = with_adapter(base, tuned.weights).model(ids).logits
        assert torch.allclose(merged, beside(ids).logits, atol=1e-4)
        assert not torch.allclose(merged, alone, atol=1e-2)
