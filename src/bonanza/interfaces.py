"""The seams of bonanza on one page: what each part must do for the others.

The loop knows its parts only as these Protocols; `build.py` plugs concrete ones together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bonanza.records import Answer, Document, Reading, Sample, Skipped, Target, Turn, Usage

Matrix = NDArray[np.float32]  # rows are texts, columns are embedding dimensions
Rows = NDArray[np.int64]  # positions of documents in the pool


class Reader(Protocol):
    """A source of documents. Reading it twice gives the same records in the same order."""

    def read(self) -> Iterator[Document | Skipped]:
        """Yield every record once, streaming: a usable one as Document, any other as Skipped with its reason."""
        ...

    def fingerprint(self) -> str:
        """Name what `read` would yield by content, so that a cached index is never taken for another corpus."""
        ...


class Embedder(Protocol):
    """Turns texts into rows of unit length (a row of zeros for a text without any known token)."""

    @property
    def name(self) -> str:
        """Names model and parameters: equal names mean equal vectors."""
        ...

    @property
    def dim(self) -> int:
        """Number of columns of what `embed` returns."""
        ...

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed texts: float32 array, shape (len(texts), dim)."""
        ...


@dataclass(frozen=True)
class Pool:
    """The documents a policy may choose from, by row number.

    vectors : float16 array, shape (documents, dim), memory-mapped: take slices, never the whole in float64.
    lengths : int64 array, shape (documents,), in characters.
    affordable : documents that the budget is likely to pay for; at least 1, at most len(ids).
    fetch : reads the documents of some rows from disk.
    costs : float64 array, shape (documents,), above 0: what reading each is likely to take, in the budget's unit.
    """

    ids: Sequence[str]
    lengths: NDArray[np.int64]
    vectors: NDArray[np.float16]
    affordable: int
    fetch: Callable[[Sequence[int]], list[Document]]
    costs: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class AlignmentReport:
    """Did contrastive alignment bring pairs closer to their own documents? Measured on held-out pairs.

    The ranks are among all documents of the warm-up sample; mean reciprocal rank is 0 to 1, higher is better.
    """

    trained_on: int  # pairs
    held_out: int  # pairs
    mrr_before: float
    mrr_after: float
    used: bool  # False: it did not help, or there was too little to train on; the unaligned embedding stays
    note: str  # one line that says so


class Aligned(Protocol):
    """An embedding after alignment (or the one before it, where alignment did not help)."""

    @property
    def report(self) -> AlignmentReport:
        """What alignment did."""
        ...

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Embed pairs: float32 array, shape (len(texts), dim), unit rows."""
        ...

    def embed_pool(self, pool: Pool) -> NDArray[np.float16]:
        """Embed every document of the pool: float16 array, shape (documents, dim), unit rows, memory-mapped."""
        ...


class Aligner(Protocol):
    """Learns from documents and the pairs they gave to embed both into one region (EQUAL, step 1)."""

    def align(self, documents: Sequence[str], pairs: Sequence[str], owners: Rows, rng: np.random.Generator) -> Aligned:
        """Learn; ``pairs[i]`` came from ``documents[owners[i]]``."""
        ...


class Priced(Protocol):
    """What reading costs, known beforehand."""

    @property
    def name(self) -> str:
        """Names model and prompt: equal names mean that answers may be reused."""
        ...

    def worst_case(self, document: Document) -> Usage:
        """Tokens that reading this document can take at most if nothing fails. Reserved before reading."""
        ...

    def prompt_tokens(self, document: Document) -> int:
        """Prompt tokens that reading this document is likely to take."""
        ...


class Extractor(Priced, Protocol):
    """Reads a document and returns the question-answer pairs in it."""

    def read(self, document: Document) -> Reading:
        """Read it. Never raises for what a document or an answer holds: that becomes the reading's status."""
        ...


class AsyncExtractor(Priced, Protocol):
    """Reads many documents at a time, waiting for a server."""

    async def read(self, document: Document) -> Reading:
        """Read it, as `Extractor.read`.

        Raises
        ------
        EndpointError
            If the server cannot be used at all; the document is then not read.
        """
        ...

    async def settle(self) -> None:
        """Wait a moment for the calls that are under way, and keep their answers; called when reading was cancelled."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Purse(Protocol):
    """The budget, as seen by what may need more of it than was reserved."""

    def reserve_more(self, document_id: str, usage: Usage) -> bool:
        """Set aside so much again for a reading that must be tried once more; False if that does not fit."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an LLM server, before it is sent."""

    document_id: str
    key: str  # hash of model, prompt and settings: equal keys may share an answer
    request: str  # what is sent, as JSON; never a key of the user's
    most: Usage  # what it can take at most


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch of an earlier process, not all of whose answers are in the ledger."""

    token: str
    id: str | None  # the server's; None: the process ended before it heard of it
    created: float  # seconds since 1970, just before the server was asked to make it
    requests: Mapping[int, str]  # by number of their call, what was sent; those without an answer


class CallLedger(Protocol):
    """Where every request is kept before it is sent, and every answer before it is used."""

    def answer(self, key: str) -> Answer | None:
        """The answer that was paid for already."""
        ...

    async def begin(self, call: Call) -> int:
        """Keep that a request is about to be sent; its number. Durable when this returns, as the others."""
        ...

    async def queue(self, call: Call) -> int:
        """Keep a request that waits to be part of a batch, and takes nothing until then; its number."""
        ...

    async def submit(self, token: str, numbers: Sequence[int]) -> None:
        """Keep that a batch of these calls is about to be sent, under a token that its server is told."""
        ...

    async def submitted(self, token: str, batch_id: str) -> None:
        """Keep what the server calls the batch."""
        ...

    async def answered(self, number: int, answer: Answer) -> None:
        """Keep the answer."""
        ...

    async def failed(self, number: int, cause: str, usage: Usage) -> None:
        """Keep that there is no answer, and what the request must be taken to have cost."""
        ...


class Executor(Protocol):
    """Has documents read, one by one or many at a time."""

    def read(self, documents: Sequence[Document], stopping: Callable[[], bool]) -> Iterator[Sequence[Reading]]:
        """Yield readings as soon as they are there, in any order; ends early when `stopping` says so.

        Raises
        ------
        EndpointError
            If no document can be read any more.
        """
        ...

    def close(self) -> None:
        """Let go of threads and connections."""
        ...


class Cleaner(Protocol):
    """Decides which pairs of a reading are kept. Sees readings in one fixed order; keeps state between them."""

    def clean(self, reading: Reading) -> Reading:
        """Return the reading with status and reason of each pair set."""
        ...


class Screen(Protocol):
    """Tells which chosen documents repeat one that is read, so that nobody pays for them."""

    def repeats(self, document: Document) -> str | None:
        """What it repeats, for people to read; None if nothing."""
        ...

    def remember(self, document: Document) -> None:
        """The document is going to be read."""
        ...


class Policy(Protocol):
    """Decides which documents to read next.

    After `start`, calls alternate: `choose` names rows, `learn` gets the readings of those that were read (a document
    that no longer fitted the budget, or repeats one that was read, has none). A row is named once. Equal inputs and
    generator give equal choices.
    """

    @property
    def clusters(self) -> NDArray[np.int64] | None:
        """Cluster of each document, shape (documents,); None while there are none."""
        ...

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Get to know the documents and the reference set; reads nothing."""
        ...

    def choose(self, count: int) -> Sequence[int]:
        """Rows to read next, best first, at most `count`; empty when all are read."""
        ...

    def learn(self, readings: Sequence[Reading]) -> None:
        """Take in what the chosen documents gave, in the order in which they were chosen."""
        ...

    def report(self) -> Mapping[str, Any]:
        """What a person wants to know of its state, as JSON values: automatic choices, best clusters, alignment."""
        ...


class Judge(Protocol):
    """Says how near question-answer pairs are to a test set that no policy sees. Knows the pairs by number."""

    @property
    def name(self) -> str:
        """Names model and parameters: equal names mean equal judgements."""
        ...

    def similarity(self, pairs: Rows) -> Matrix:
        """Cosine of some pairs to every test item: float32 array, shape (len(pairs), test items). Ask in blocks."""
        ...


class Ledger(Protocol):
    """Where paid answers are kept."""

    def find(self, document_ids: Iterable[str]) -> dict[str, Reading]:
        """The readings already paid for among these documents."""
        ...

    def add(self, readings: Sequence[Reading]) -> None:
        """Keep readings; durable when this returns."""
        ...

    def paid(self) -> dict[str, Usage]:
        """What is kept and paid for, by document: readings, and answers that will be part of one."""
        ...

    def lost(self) -> Usage:
        """What calls took whose answers never came, in processes that ended before their documents were read."""
        ...

    def __len__(self) -> int:
        """How many readings are kept."""
        ...


@dataclass(frozen=True, slots=True)
class Passage:
    """What a causal language model is shown. What the assistant says in it is scored, the rest is context."""

    turns: tuple[Turn, ...]
    knowledge: tuple[str, ...] = ()  # texts shown before the turns, best first; where room is short the last goes first


@dataclass(frozen=True, slots=True)
class Score:
    """Predictive entropy of a response: mean of -log p over its tokens, in nats per token. Lower: better foreseen."""

    entropy: float  # nan: no token to score, or the response alone is longer than the model's context
    tokens: int  # of the response
    cut: int = 0  # tokens of knowledge and context that found no room


class TokenScorer(Protocol):
    """Scores responses under a causal language model."""

    @property
    def name(self) -> str:
        """Names model, template and precision: equal names mean equal scores."""
        ...

    def score(self, passages: Sequence[Passage]) -> Iterator[Mapping[int, Score]]:
        """Yield the scores by position among the passages, batch by batch, in whatever order suits the model.

        Raises
        ------
        EndpointError
            If a server is gone, or cannot say how likely a prompt's tokens are.
        """
        ...


@dataclass(frozen=True)
class Selection:
    """Which samples are kept, and all that led to it. Lists hold one value per sample, in the samples' order."""

    kept: Sequence[int]  # positions among the samples, best first
    scores: Mapping[str, Sequence[Any]]  # by column: entropies, ranks, ids of retrieved knowledge
    left_out: Mapping[int, str]  # by position, why a sample could not be ranked


class Selector(Protocol):
    """Decides which samples of instruction data are worth training on."""

    def select(self, samples: Sequence[Sample], keep: int, rng: np.random.Generator) -> Selection:
        """Keep at most so many; fewer only if the others could not be ranked. Equal inputs give equal choices."""
        ...
