"""Facts about training: what is learned, that it resumes to the same weights, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bonanza.errors import FolderError, SettingsError
from bonanza.language_models import open_language_model
from bonanza.records import Sample, Turn
from bonanza.settings import TrainSettings
from bonanza.training import COMPLETE, Recipe, Writer, keeps_apart, lessons_of, recipe_of, train, tuned_at

PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl")


class Stopper:
    """Asks to stop after some steps."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self) -> bool:
        self._left -= 1
        return self._left <= 0


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    rows = [{"question": f"How deep is lake {n}?", "answer": f"It is {n} metres deep."} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def settings(pairs, tiny_models) -> TrainSettings:
    return TrainSettings(str(pairs), f"hf:{tiny_models / 'llama'}", epochs=2, batch_size=2, checkpoint_seconds=0.0)


def opened(tiny_models: Path, name: str) -> Any:
    return open_language_model(f"hf:{tiny_models / name}").tokenizer


def turns(*texts: str) -> tuple[Turn, ...]:
    return tuple(
        Turn("user" if number % 2 == 0 else "assistant", text) for number, text in enumerate(texts)
    )  # fmt: skip


@pytest.mark.parametrize("name", ["llama", "plain-llama", "gpt2"])
def test_only_what_the_assistant_says_is_learned_and_where_it_ends(tiny_models, name):
    tokenizer = opened(tiny_models, name)
    lesson = Writer(tokenizer, "chat").lesson(turns("How deep?", "40 metres.", "And long?", "A mile."))
    learned = [token for token, scored in zip(lesson.ids, lesson.learned, strict=True) if scored]
    assert tokenizer.decode(learned) == "40 metres.A mile." + tokenizer.eos_token
    assert lesson.ids[-1] == tokenizer.eos_token_id
    assert "How deep?" in tokenizer.decode(lesson.ids)


@pytest.mark.parametrize("name", ["llama", "plain-llama"])
def test_a_prompt_is_the_beginning_of_a_lesson(tiny_models, name):
    writer = Writer(opened(tiny_models, name), "chat")
    lesson, prompt = writer.lesson(turns("How deep?", "40 metres.")), writer.prompt("How deep?")
    assert lesson.ids[: len(prompt)] == prompt
    assert lesson.learned.index(True) == len(prompt)


def test_samples_that_are_too_long_are_cut_or_left_out_and_counted(tiny_models):
    writer = Writer(opened(tiny_models, "llama"), "chat")
    samples = [
        Sample(0, turns("Short?", "Yes.")),
        Sample(1, turns("Short?", "long " * 40)),
        Sample(2, turns("long " * 40, "Yes.")),
    ]
    cut = lessons_of(samples, writer, 60, cut=True)
    assert [len(lesson.ids) <= 60 for lesson in cut.kept] == [True, True]
    assert (cut.cut, cut.left_out) == (1, {"no room for the answer": 1})
    left = lessons_of(samples, writer, 60, cut=False)
    assert (len(left.kept), left.cut, left.left_out) == (1, 0, {"too long": 2})


def test_the_recipe_is_the_papers_or_fits_the_data():
    settings = TrainSettings("data", "local")
    few = 100
    assert recipe_of(replace(settings, preset="paper"), few, 64, "cpu", 9) == Recipe(4, 512, 4, True, 1e-5, 64)
    assert recipe_of(replace(settings, preset="paper", full=True), few, 64, "cuda", 9) == Recipe(
        2, 512, 8, False, 1e-5, 64
    )
    assert recipe_of(settings, few, 64, "cpu", 9) == Recipe(4, 4, 4, True, 3e-4, 64)
    assert recipe_of(settings, few, 64, "cpu", 1) == Recipe(4, 4, 1, False, 3e-4, 64)
    assert recipe_of(settings, 60_000, 64, "cuda", 9).batch_size == 512
    assert recipe_of(replace(settings, batch_size=7), few, 64, "cuda", 9).rows_at_once == 7
    assert recipe_of(replace(settings, batch_size=9), few, 64, "cpu", 9).rows_at_once == 3
    assert recipe_of(settings, few, 64, "cpu", 2) == Recipe(4, 4, 2, True, 3e-4, 64)
    assert recipe_of(replace(settings, rows_at_once=4), few, 64, "cpu", 2) == Recipe(4, 4, 4, False, 3e-4, 64)


def test_samples_in_one_row_are_learned_as_one_at_a_time(settings, tmp_path):
    still = replace(settings, batch_size=4)
    joined = train(still, tmp_path / "joined")
    single = train(replace(still, rows_at_once=1), tmp_path / "single")
    assert (joined.summary["recipe"]["joined"], single.summary["recipe"]["joined"]) == (True, False)
    losses = [[entry["loss"] for entry in one.summary["losses"]] for one in (joined, single)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("name", ["llama", "plain-llama", "gpt2"])
def test_models_that_keep_samples_apart_say_of_each_what_they_say_of_it_alone(tiny_models, name):
    model, first, second = open_language_model(f"hf:{tiny_models / name}"), [5, 6, 7, 8], [9, 8, 7]
    assert keeps_apart(model, first)
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2]])
    with torch.inference_mode():
        joined = model.model(input_ids=torch.tensor([first + second]), position_ids=positions, use_cache=False).logits
        alone = model.model(input_ids=torch.tensor([second])).logits
    torch.testing.assert_close(joined[:, 4:], alone, rtol=1e-4, atol=1e-4)


def test_models_that_see_across_samples_or_know_no_positions_are_told(tiny_models):
    model = open_language_model(f"hf:{tiny_models / 'llama'}")
    blind = lambda input_ids, position_ids, use_cache: model.model(input_ids=input_ids, use_cache=use_cache)
    without = lambda input_ids, use_cache: model.model(input_ids=input_ids, use_cache=use_cache)
    assert keeps_apart(model, [5, 6, 7])
    short = lambda input_ids, position_ids, use_cache: torch.zeros(3) + torch.zeros(input_ids.shape[1])
    for call in (blind, without, short):
        call.get_input_embeddings = model.model.get_input_embeddings
        assert not keeps_apart(replace(model, model=call), [5, 6, 7])


def test_a_stopped_training_resumes_to_the_same_weights(settings, tmp_path):
    whole = train(settings, tmp_path / "whole")
    assert not train(settings, tmp_path / "stopped", stopping=Stopper(3)).finished
    broken_off = tmp_path / "stopped" / "checkpoints" / "checkpoint-99"
    broken_off.mkdir()
    (broken_off / "adapter_model.safetensors").write_bytes(b"half")
    resumed = train(settings, tmp_path / "stopped")
    name = "adapter/adapter_model.safetensors"
    assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert resumed.summary["losses"] == whole.summary["losses"]
    assert resumed.summary["steps"] == 8


def test_a_finished_training_holds_no_pickles_and_is_not_done_again(settings, tmp_path):
    out = tmp_path / "tuned"
    first = train(settings, out)
    assert not [path for pattern in PICKLES for path in out.rglob(pattern)]
    assert not (out / "checkpoints").exists()
    before = (out / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns
    again = train(settings, out)
    assert again.was_finished
    assert again.summary == first.summary
    assert (out / "adapter" / "adapter_model.safetensors").stat().st_mtime_ns == before
    assert tuned_at(f"hf:{out}").base == settings.model


def test_training_lowers_the_loss_and_says_what_it_took(settings, tmp_path):
    summary = train(replace(settings, epochs=10, learning_rate=0.02), tmp_path / "tuned").summary
    assert summary["losses"][-1]["loss"] < summary["losses"][0]["loss"] - 2
    assert summary["samples"] == {"rows": 8, "trained_on": 8, "cut": 0, "left_out": {}}
    assert 0 < summary["tokens"]["answers"] < summary["tokens"]["all"]
    assert 0 < summary["parameters"]["trained"] < summary["parameters"]["all"]
    assert summary["steps"] == 40


def test_full_tuning_leaves_a_model_that_opens(settings, tmp_path):
    train(replace(settings, full=True, learning_rate=1e-3), tmp_path / "tuned")
    tuned = open_language_model(f"hf:{tmp_path / 'tuned' / 'model'}")
    assert tuned.name != open_language_model(settings.model).name
    assert tuned.tokenizer.chat_template


def test_the_model_that_others_hold_is_not_changed(settings, tmp_path):
    held = open_language_model(settings.model)
    before = {key: value.clone() for key, value in held.model.state_dict().items()}
    train(settings, tmp_path / "tuned")
    assert all((held.model.state_dict()[key] == value).all() for key, value in before.items())


def test_other_settings_in_the_same_folder_are_refused_with_the_difference(settings, tmp_path):
    train(settings, tmp_path / "tuned", stopping=Stopper(1))
    assert (tmp_path / "tuned" / "checkpoints" / "checkpoint-1" / COMPLETE).is_file()
    with pytest.raises(FolderError, match=r"settings.epochs: 3, there 2"):
        train(replace(settings, epochs=3), tmp_path / "tuned")
    with pytest.raises(FolderError, match="not finished"):
        tuned_at(str(tmp_path / "tuned"))


def test_other_data_and_other_weights_in_the_same_folder_are_refused(settings, tmp_path, tiny_models):
    train(settings, tmp_path / "tuned", stopping=Stopper(1))
    other = tmp_path / "other.jsonl"
    other.write_text('{"question": "Why?", "answer": "So."}\n', encoding="utf-8")
    with pytest.raises(FolderError, match="data: "):
        train(replace(settings, data=str(other)), tmp_path / "tuned")
    with pytest.raises(FolderError, match="model: "):
        train(replace(settings, model=f"hf:{tiny_models / 'gpt2'}"), tmp_path / "tuned")


def test_folders_that_hold_something_else_are_refused(settings, tmp_path):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FolderError, match="holds no training"):
        train(settings, tmp_path)
    with pytest.raises(FolderError, match=r"holds no train\.jsonl"):
        train(replace(settings, data=str(tmp_path)), tmp_path / "tuned")


def test_a_run_of_extract_is_trained_on_by_its_folder(settings, tmp_path, pairs):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "train.jsonl").write_bytes(pairs.read_bytes())
    result = train(replace(settings, data=str(tmp_path / "run")), tmp_path / "tuned", stopping=Stopper(1))
    assert not result.finished
    assert train(settings, tmp_path / "tuned").finished  # equal content is the same data


def test_pickled_weights_are_refused(settings, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(SettingsError, match="safetensors"):
        train(replace(settings, model=f"hf:{tmp_path / 'model'}"), tmp_path / "tuned")
