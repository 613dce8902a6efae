"""Causal language models of a few thousand random weights, with tokenizers learned from a few sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bonanza.language_models import without_progress_bars

SENTENCES = [
    "The lake is deep, and perch live in it. How deep is the lake? It is 40 metres deep at the northern shore.",
    "Bread bakes in a hot oven. Instruction: Response: Some examples to learn from: Now the task:",
]
CHAT = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
CONTEXT = 256  # tokens


def write_tiny_models(folder: Path) -> Path:
    """Three models, by folder: "llama" with a chat template, "plain-llama" with a mark of the beginning, and "gpt2"."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    plain, chat, marked = _tokenizer(), _tokenizer(chat_template=CHAT), _tokenizer(begins=True)
    size = len(plain)
    # Weights far from zero, so that the probabilities are far from equal
    llama = LlamaForCausalLM(LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=CONTEXT, initializer_range=0.5,
    ))  # fmt: skip
    gpt2 = GPT2LMHeadModel(GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, initializer_range=0.5,
        bos_token_id=0, eos_token_id=1,
    ))  # fmt: skip
    for name, model, tokenizer in (("llama", llama, chat), ("plain-llama", llama, marked), ("gpt2", gpt2, plain)):
        with without_progress_bars():
            model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def _tokenizer(*, begins: bool = False, chat_template: str | None = None) -> Any:
    """Byte-level pairs, so that a letter beyond ASCII takes several tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=["<|start|>", "<|end|>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(SENTENCES, trainer)
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|start|> $A", special_tokens=[("<|start|>", 0)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|start|>", eos_token="<|end|>", model_max_length=CONTEXT,
        chat_template=chat_template,
    )  # fmt: skip
