"""Entropies are those of one sample at a time by transformers, whatever the batch, its order and its padding."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bonanza.errors import SettingsError
from bonanza.interfaces import Passage
from bonanza.language_models import LanguageModel, open_language_model, without_progress_bars
from bonanza.records import Turn
from bonanza.scorers.templates import ChatTemplate
from bonanza.scorers.transformers import TransformersScorer
from bonanza.settings import ScorerSettings

CONTEXT = 256
WORDS = [
    "lake",
    "deep",
    "bread",
    "oven",
    "perch",
    "shore",
    "40",
    "metres",
    "é",
    "湖",
    "😀",
    "How",
    "is",
    "the",
    "a",
    ",",
    ".",
]
WRITTEN = {
    "plain": lambda role, text: {
        "system": text + "\n\n",
        "user": f"### Instruction:\n{text}\n\n",
        "assistant": f"### Response:\n{text}\n\n",
    }[role],
    "chat": lambda role, text: f"<|start|>{role}\n{text}<|end|>\n",
}


@pytest.fixture(scope="module", params=["llama", "plain-llama", "gpt2"])
def model(request, tiny_models) -> LanguageModel:
    return opened(tiny_models / request.param)


@pytest.fixture(scope="module")
def llama(tiny_models) -> LanguageModel:
    return opened(tiny_models / "llama")


def opened(folder) -> LanguageModel:
    """In float32, whatever the processor prefers."""
    with without_progress_bars():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return LanguageModel(folder.name, model, AutoTokenizer.from_pretrained(folder), "cpu", CONTEXT)


def said(random: Random, most: int) -> str:
    return " ".join(random.choice(WORDS) for _ in range(random.randint(1, most)))


def passages_of(count: int, seed: int = 0) -> list[Passage]:
    """One to three questions and answers, a system message before some, knowledge before some."""
    random = Random(seed)
    made = []
    for _ in range(count):
        turns = [Turn("system", said(random, 4))] * random.randint(0, 1)
        for _ in range(random.randint(1, 3)):
            turns += [Turn("user", said(random, 8)), Turn("assistant", said(random, 8))]
        made.append(Passage(tuple(turns), tuple(said(random, 8) for _ in range(random.randint(0, 2)))))
    return made


def asked(question: str, answer: str, *knowledge: str) -> Passage:
    return Passage((Turn("user", question), Turn("assistant", answer)), knowledge)


def scores_of(model: LanguageModel, passages, **settings) -> list:
    found = {}
    for batch in TransformersScorer(model, ScorerSettings(**settings)).score(passages):
        assert not found.keys() & batch.keys()
        found |= batch
    return [found[position] for position in range(len(passages))]


def tokens(model: LanguageModel, text: str) -> list[int]:
    return model.tokenizer(text, add_special_tokens=False).input_ids


def direct(model: LanguageModel, ids: list[int], scored: list[bool]) -> float:
    """Mean of -log p by one pass over one sample."""
    with torch.inference_mode():
        logs = model.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    losses = [-logs[place - 1, ids[place]].item() for place in range(1, len(ids)) if scored[place]]
    return sum(losses) / len(losses)


def written(model: LanguageModel, passage: Passage) -> tuple[list[int], list[bool]]:
    """Token ids of a passage up to the end of its last response, and which of them are of a response."""
    kind = "chat" if model.tokenizer.chat_template else "plain"
    turns = list(passage.turns)
    first = next(place for place, turn in enumerate(turns) if turn.role == "user")
    if passage.knowledge:
        shown = "\n\n".join(passage.knowledge)
        task = f"Some examples to learn from:\n\n{shown}\n\nNow the task:\n\n{turns[first].text}"
        turns[first] = Turn("user", task)
    begins = model.tokenizer("").input_ids
    ids, scored, context = list(begins), [False] * len(begins), ""
    for turn in turns:
        whole = WRITTEN[kind](turn.role, turn.text)
        if turn.role != "assistant":
            context += whole
            continue
        before, after = whole.split(turn.text) if whole.count(turn.text) == 1 else whole.rsplit(turn.text, 1)
        for text, of_response in ((context + before, False), (turn.text, True)):
            ids += tokens(model, text)
            scored += [of_response] * (len(ids) - len(scored))
        context = after
    return ids, scored


@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_entropies_are_those_of_one_sample_at_a_time(model, batch_tokens):
    passages = passages_of(12)
    for score, passage in zip(scores_of(model, passages, batch_tokens=batch_tokens), passages, strict=True):
        ids, scored = written(model, passage)
        assert (score.tokens, score.cut) == (sum(scored), 0)
        assert score.entropy == pytest.approx(direct(model, ids, scored), abs=1e-4)


def test_the_order_of_the_passages_changes_nothing(model):
    passages = passages_of(15)
    order = Random(1).sample(range(15), 15)
    straight = scores_of(model, passages, batch_tokens=400)
    mixed = scores_of(model, [passages[place] for place in order], batch_tokens=400)
    assert [score.entropy for score in mixed] == pytest.approx([straight[place].entropy for place in order], abs=1e-4)


def test_padding_is_on_the_right_and_changes_nothing_even_for_learned_positions(model):
    short, long = asked("How deep?", "40 metres"), asked("the lake " * 40, "deep " * 30)
    alone = scores_of(model, [short])[0]
    assert scores_of(model, [long, short], batch_tokens=100_000)[1].entropy == pytest.approx(alone.entropy, abs=1e-4)


def test_all_that_the_assistant_says_is_scored_and_nothing_else(llama):
    turns = (Turn("user", "lake"), Turn("assistant", "deep perch"), Turn("user", "oven"), Turn("assistant", "bread"))
    both = scores_of(llama, [Passage(turns)])[0]
    assert both.tokens == len(tokens(llama, "deep perch")) + len(tokens(llama, "bread"))
    ids, scored = written(llama, Passage(turns))
    assert llama.tokenizer.decode([each for each, flag in zip(ids, scored, strict=True) if flag]) == "deep perchbread"


def test_knowledge_changes_the_entropy_and_not_the_tokens_of_a_response(model):
    bare, informed = scores_of(
        model, [asked("How deep?", "é湖 deep"), asked("How deep?", "é湖 deep", "the lake is 40")]
    )
    assert bare.tokens == informed.tokens == len(tokens(model, "é湖 deep"))
    assert abs(bare.entropy - informed.entropy) > 1e-3


def test_white_space_around_what_is_said_counts_for_nothing(llama):
    tidy, loose = scores_of(llama, [asked("How deep?", "40 metres"), asked(" How deep?\n", "\n40 metres  \n")])
    assert tidy == loose


def test_the_template_of_the_model_is_taken_unless_the_plain_one_is_asked_for(llama):
    chat, plain = TransformersScorer(llama, ScorerSettings()), TransformersScorer(llama, ScorerSettings("plain"))
    assert (chat.name, plain.name) == ("llama/chat/256", "llama/plain/256")
    passage = asked("How deep?", "40 metres")
    ids = tokens(llama, "### Instruction:\nHow deep?\n\n### Response:\n")
    scored = [False] * len(ids) + [True] * len(tokens(llama, "40 metres"))
    expected = direct(llama, ids + tokens(llama, "40 metres"), scored)
    assert scores_of(llama, [passage], template="plain")[0].entropy == pytest.approx(expected, abs=1e-4)


def test_a_response_alone_follows_an_empty_question(llama):
    ids = tokens(llama, "<|start|>user\n<|end|>\n<|start|>assistant\n")
    scored = [False] * len(ids) + [True] * len(tokens(llama, "deep"))
    score = scores_of(llama, [Passage((Turn("assistant", "deep"),))])[0]
    assert score.entropy == pytest.approx(direct(llama, ids + tokens(llama, "deep"), scored), abs=1e-4)


def test_a_conversation_that_the_assistant_begins_is_scored_whole(model):
    turns = (Turn("assistant", "perch"), Turn("user", "lake"), Turn("assistant", "deep"))
    assert scores_of(model, [Passage(turns)])[0].tokens == len(tokens(model, "perch")) + len(tokens(model, "deep"))


def test_the_knowledge_goes_first_and_of_it_the_last(llama):
    knowledge = ("the lake " * 10, "bread oven " * 10, "perch " * 10)
    whole = asked("How deep?", "40 metres", *knowledge)
    length = len(written(llama, whole)[0])
    for left in (2, 1, 0):
        shorter = replace(whole, knowledge=knowledge[:left])
        ids, scored = written(llama, shorter)
        score = scores_of(llama, [whole], context_tokens=len(ids))[0]
        assert score.cut == length - len(ids)
        assert score.tokens == len(tokens(llama, "40 metres"))
        assert score.entropy == pytest.approx(direct(llama, ids, scored), abs=1e-4)


def test_then_context_goes_from_its_beginning_but_for_one_token(llama):
    passage = asked("the lake is deep, " * 5 + "is it?", "40 metres", "bread")
    ids, scored = written(llama, replace(passage, knowledge=()))
    room = len(ids) - 10
    score = scores_of(llama, [passage], context_tokens=room)[0]
    left = [ids[0], *ids[11:]]
    assert score.cut == len(written(llama, passage)[0]) - room
    assert score.entropy == pytest.approx(direct(llama, left, [False, *scored[11:]]), abs=1e-4)


def test_a_response_is_never_cut_and_one_that_does_not_fit_has_no_entropy(llama):
    answer = "deep " * 20
    size = len(tokens(llama, answer.strip()))
    just, over = (
        scores_of(llama, [asked("the lake?", answer, "bread")], context_tokens=room)[0] for room in (size + 1, size)
    )
    assert just.tokens == over.tokens == size
    assert not math.isnan(just.entropy)
    assert math.isnan(over.entropy)


def test_passages_that_do_not_fit_do_not_hinder_the_others(llama):
    fits, over, empty = asked("How deep?", "40"), asked("How deep?", "deep " * 300), asked("How deep?", "  ")
    scores = scores_of(llama, [over, fits, empty])
    assert scores[1] == scores_of(llama, [fits])[0]
    assert [math.isnan(score.entropy) for score in scores] == [True, False, True]
    assert scores[2].tokens == 0


def test_nothing_gives_nothing(llama):
    assert list(TransformersScorer(llama, ScorerSettings()).score([])) == []


def test_no_batch_holds_more_tokens_than_allowed_but_for_a_single_passage(llama):
    passages = passages_of(15)
    sizes = [len(written(llama, passage)[0]) for passage in passages]
    batches = list(TransformersScorer(llama, ScorerSettings(batch_tokens=200)).score(passages))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(sizes[position] for position in batch) <= 200
    assert [max(sizes[position] for position in batch) for batch in batches] == sorted(
        (max(sizes[position] for position in batch) for batch in batches), reverse=True
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('only one question') }}", "refuses a conversation of user .only one question."),
        ("{% for m in messages %}{{ loop.revindex }}{{ m.content }}{% endfor %}", "changes earlier turns"),
    ],
)
def test_a_chat_template_that_cannot_be_used_is_refused(llama, template, said):
    class Changed:
        def apply_chat_template(self, messages, **options):
            return llama.tokenizer.apply_chat_template(messages, chat_template=template, **options)

    turns = (Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c"), Turn("assistant", "d"))
    with pytest.raises(SettingsError, match=f"{said}.*--template plain"):
        ChatTemplate(Changed()).pieces(Passage(turns))


def test_equal_weights_have_equal_names_and_others_another(tiny_models, monkeypatch):
    monkeypatch.setattr("bonanza.language_models.has_fast_bfloat16", lambda: False)
    names = [open_language_model(f"hf:{tiny_models / name}").name for name in ("llama", "plain-llama", "gpt2")]
    hashes = [name.rpartition("-")[2] for name in names]
    assert hashes[0] == hashes[1] != hashes[2]
    assert all(name.endswith("/torch.float32") for name in names)


@pytest.mark.parametrize(
    "damage", ["no folder", "no weights", "torn weights", "no tokenizer", "odd tokenizer", "config"]
)
def test_what_is_no_model_is_refused_in_one_line(tiny_models, tmp_path, damage):
    folder = tmp_path / damage.replace(" ", "-")
    if damage != "no folder":
        folder.mkdir()
        for file in (tiny_models / "llama").iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    match damage:
        case "no weights":
            (folder / "model.safetensors").unlink()
        case "torn weights":
            (folder / "model.safetensors").write_bytes(b"torn" * 50)
        case "no tokenizer":
            (folder / "tokenizer.json").unlink()
        case "odd tokenizer":
            (folder / "tokenizer.json").write_text('{"odd": 1}')
        case "config":
            (folder / "config.json").write_text('{"model_ty')
    with pytest.raises(SettingsError, match=r"cannot be opened: .*[^.]\. Give 'local' or hf:PATH\.$"):
        open_language_model(f"hf:{folder}")


@pytest.mark.slow
def test_the_embedded_model_foresees_true_answers_better_than_swapped_ones():
    pairs = [
        ("What is the capital of France?", "The capital of France is Paris."),
        ("How many days has a week?", "A week has seven days."),
        ("At what temperature does water boil at sea level?", "Water boils at 100 degrees Celsius at sea level."),
        ("Which planet is the largest of the solar system?", "Jupiter is the largest planet of the solar system."),
    ]
    true = [asked(question, answer) for question, answer in pairs]
    swapped = [asked(question, pairs[(number + 1) % 4][1]) for number, (question, _) in enumerate(pairs)]
    scores = scores_of(open_language_model("local"), true + swapped)
    for good, bad in zip(scores[:4], scores[4:], strict=True):
        assert good.entropy < bad.entropy - 0.5
        assert good.entropy < 2
