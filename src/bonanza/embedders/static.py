"""The default embedder: one vector per token, learned from the corpus itself. No model to download, CPU only.

Byte-pair tokens; a token's vector is its row of a truncated SVD of the corpus' TF-IDF matrix (latent semantic
analysis), times a power of its inverse document frequency; a text is the sum of its tokens' vectors, each weighted by
1 + log(count), scaled to length 1. About 5,000 pages a second on 2 cores.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.info_nce import unit_rows
from bonanza.embedders.words import WordTokens

Matrix = NDArray[np.float32]

VOCABULARY = 16_000  # [ours] byte-pair entries; measured on a corpus of docstrings, benchmarks/RESULTS.md
DIMENSIONS = 256  # [ours]
RARITY = 1.5  # [ours] power of the inverse document frequency; benchmarks/RESULTS.md compares 0.5 to 3
SAMPLE = 10_000  # [ours] most documents that vocabulary and vectors are learned from
SAMPLE_CHARACTERS = 4_000  # [ours] of each of them
BATCH = 1_024  # texts tokenised at a time
RECIPE = f"static-1-{VOCABULARY}-{DIMENSIONS}-{RARITY}-{SAMPLE}-{SAMPLE_CHARACTERS}"  # names what fitting depends on


@dataclass(frozen=True)
class StaticEmbedder:
    """Token vectors. `name` carries a hash of vocabulary and table, so that equal names mean equal vectors."""

    words: WordTokens
    table: Matrix  # (vocabulary, dim)
    name: str

    @property
    def tokenizer(self) -> Any:
        """The tokenizers.Tokenizer."""
        return self.words.tokenizer

    @property
    def dim(self) -> int:
        """Number of columns of the token table."""
        return int(self.table.shape[1])

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts: float32 array, shape (len(texts), dim), unit rows (zeros where no token is known)."""
        parts = [unit_rows(features @ self.table) for features in self._batches(texts)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dim), np.float32)

    def features(self, texts: Sequence[str]) -> Any:
        """Token weights ``1 + log(count)``: sparse float32 array, shape (len(texts), vocabulary)."""
        from scipy.sparse import csr_matrix, vstack

        parts = list(self._batches(texts))
        return vstack(parts, format="csr") if parts else csr_matrix((0, len(self.table)), dtype=np.float32)

    def _batches(self, texts: Sequence[str]) -> Iterator[Any]:
        for start in range(0, len(texts), BATCH):
            yield token_weights(self.words, texts[start : start + BATCH], len(self.table))

    def with_table(self, table: Matrix) -> StaticEmbedder:
        """The same tokens with other vectors."""
        return StaticEmbedder(self.words, table, _name(self.tokenizer, table))

    def save(self, folder: Path) -> None:
        """Write tokenizer and table, whole or not at all; where another process was first, its files stay."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as scratch:
            partial = Path(scratch) / "whole"
            partial.mkdir()
            self.tokenizer.save(str(partial / "tokenizer.json"))
            with open(partial / "table.npy", "wb") as file:
                np.save(file, self.table, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            if not (folder / "table.npy").exists():
                with contextlib.suppress(FileExistsError):
                    partial.rename(folder)


def load_static(folder: Path) -> StaticEmbedder | None:
    """Read what `save` wrote; None if there is nothing whole."""
    from tokenizers import Tokenizer

    if not (folder / "table.npy").exists():
        return None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    table = np.load(folder / "table.npy", allow_pickle=False)
    return StaticEmbedder(WordTokens(tokenizer), table, _name(tokenizer, table))


def fit_static(texts: Sequence[str], seed: int = 0) -> StaticEmbedder:
    """Learn vocabulary and token vectors from a sample of the corpus.

    Few or odd texts give fewer dimensions, never an error: the dimension is at most the number of texts and of tokens.
    """
    clipped = [text[:SAMPLE_CHARACTERS] for text in texts]
    tokenizer = _trained_tokenizer(clipped)
    size = tokenizer.get_vocab_size()
    words = WordTokens(tokenizer)
    counts = StaticEmbedder(words, np.zeros((size, 1), np.float32), "").features(clipped)
    document_frequency = np.bincount(counts.indices, minlength=size)
    smoothed = np.log((1 + len(clipped)) / (1 + document_frequency)) + 1.0  # as in scikit-learn
    inverse = smoothed**RARITY
    table = (_token_directions(counts, inverse, seed) * inverse[:, None]).astype(np.float32)
    return StaticEmbedder(words, table, _name(tokenizer, table))


def _trained_tokenizer(texts: Sequence[str]) -> Any:
    """Byte pairs on lower-cased words. Not WordPiece: its trainer gives another vocabulary each time it is run."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _token_directions(counts: Any, inverse: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Right singular vectors of the row-normalised TF-IDF matrix: float64 array, shape (vocabulary, dim)."""
    from scipy.sparse import diags
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize
    from threadpoolctl import threadpool_limits

    dimensions = min(DIMENSIONS, *counts.shape)
    if dimensions < 2:
        return np.ones((counts.shape[1], 1))
    weighted = normalize(counts @ diags(inverse))
    with np.errstate(divide="ignore", invalid="ignore"), threadpool_limits(1):  # equal texts explain no variance
        components = TruncatedSVD(dimensions, random_state=seed).fit(weighted).components_
    return np.asarray(components.T, dtype=np.float64)


def token_weights(words: WordTokens, texts: Sequence[str], vocabulary: int) -> Any:
    """``1 + log(count)`` of each token of each text: sparse float32 array, shape (len(texts), vocabulary)."""
    from scipy.sparse import csr_matrix

    tokens, rows = words.of(texts)
    places, counts = np.unique(rows * vocabulary + tokens, return_counts=True)
    weights = (1.0 + np.log(counts)).astype(np.float32)
    return csr_matrix((weights, (places // vocabulary, places % vocabulary)), (len(texts), vocabulary))


def _name(tokenizer: Any, table: Matrix) -> str:
    digest = hashlib.blake2b(np.ascontiguousarray(table).tobytes(), digest_size=6)
    digest.update(json.dumps(tokenizer.get_vocab(), sort_keys=True).encode())
    return f"static-{table.shape[1]}-{digest.hexdigest()}"
