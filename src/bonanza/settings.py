"""Every setting, with the origin of its default beside it.

Origins: [paper] EQUAL, arXiv 2505.12250; [code] the authors' released code; [ours] our choice, reasons in
docs/papers.md. A default of None is filled in from the size of pool and budget, or from the variant, by the part that
uses it, and reported; nothing automatic stays silent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Le, Lt

from bonanza.addresses import without_secrets
from bonanza.errors import SettingsError

Positive = Annotated[int, Ge(1)]
Count = Annotated[int, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
NotNegative = Annotated[float, Ge(0), Lt(float("inf"))]
Above = Annotated[float, Gt(0), Lt(float("inf"))]
Finite = Annotated[float, Gt(float("-inf")), Lt(float("inf"))]

Settings = TypeVar("Settings")

_STRICT = {"extra": "forbid"}  # a misspelt key is an error, not a silent default


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """Contrastive alignment of documents with the pairs they gave (EQUAL, warm-up)."""

    __pydantic_config__ = _STRICT

    held_out: Share = 0.2  # [ours] share of the warm-up documents whose pairs only judge the alignment
    least_pairs: Count = 50  # [ours] with fewer pairs to train on, no alignment is tried
    most_pairs: Positive = 20_000  # [ours] a random sample beyond this many: time and memory stay bounded
    hard_negatives: Count = 7  # [code]
    hard_ranks: tuple[Positive, Positive] = (2, 200)  # [code] mined at these ranks
    warmup_ratio: Share = 0.1  # [code] share of the steps with rising learning rate
    # Sentence-transformers models
    temperature: Above = 0.02  # [code]
    learning_rate: Above = 1e-5  # [code]
    epochs: Positive = 2  # [code]
    batch_size: Positive = 32  # [ours] the code trains on several GPUs; 32 fits 2 cores
    max_tokens: Positive = 512  # [code]
    # Token table of the static embedder; chosen on held-out documents of a mixed corpus, benchmarks/RESULTS.md
    table_temperature: Above = 0.1  # [ours]
    table_learning_rate: Above = 0.02  # [ours]
    table_epochs: Positive = 6  # [ours]
    table_batch_size: Positive = 128  # [ours]


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How far the pairs of a cluster are from the reference set (EQUAL, score of a cluster)."""

    __pydantic_config__ = _STRICT

    solver: Literal["exact", "sinkhorn", "ipot"] | None = None  # paper: exact [ours]; code: ipot [code]
    metric: Literal["cosine", "euclidean"] | None = None  # paper: cosine [paper]; code: euclidean [code]
    regularisation: Above = 0.05  # [ours] for sinkhorn: 5 to 12% above exact on 100 references
    reference_pairs: Positive = 100  # [code] reference pairs compared with, drawn once per run
    # Pairs per comparison. paper: 16 [ours: a transport cost falls with the number of pairs, so arms are compared at a
    # fixed number]; code: 0 = all of the batch [code]
    pairs_per_comparison: Count | None = None
    offset: Finite | None = None  # subtracted from the reward. paper: 0; code: 0.12 [code]
    # Cost of a document that gave no pair [ours]: that of unrelated text, 1 for cosine, square root of 2 for euclidean
    cost_of_nothing: NotNegative | None = None


@dataclass(frozen=True, slots=True)
class EqualSettings:
    """EQUAL: clusters, a bandit over them, optimal transport as the reward."""

    __pydantic_config__ = _STRICT

    variant: Literal["paper", "code"] = "paper"
    # "scaled" [ours]: sizes that fit pool and budget. "released" [code]: 5% warm-up, 1,000 clusters, 50 arms x 10
    # documents, made for 1.46 M documents.
    preset: Literal["scaled", "released"] = "scaled"
    # Sizes; None: from the preset
    warmup_share: Share | None = None  # of the documents of the pool, 0 to 1. released: 0.05 [paper]
    clusters: Positive | Literal["auto", "elbow"] | None = None  # released: 1,000 [code]; elbow [paper]
    arms_per_round: Positive | None = None  # released: 50 [code]
    documents_per_arm: Positive | None = None  # released: 10 [code]
    # Behaviour; None: from the variant
    align: bool = True  # [paper]
    exploration: NotNegative | None = None  # weight of the bonus. paper: 1 / (pulls + 1) [paper]; code: 0.001 [code]
    unpulled: Literal["first", "zero"] | None = None  # paper: first, the limit of the formula; code: zero [code]
    count_warmup: bool | None = None  # warm-up readings are pulls. paper: yes [ours]; code: no [code]
    value: Literal["pooled", "batches"] | None = None  # all pairs of an arm [paper], or the mean of its batches [code]
    neighbour_distance: NotNegative | None = None  # clusters nearer than this share. paper: 0, nobody; code: 0.2 [code]
    within_cluster: Literal["random", "nearest"] = "random"  # [paper] sampled; nearest to the references first [ours]
    first_visits: Literal["number", "nearest"] | None = (
        None  # of arms never pulled. paper: nearest [ours]; code: number
    )
    # paper: plain [ours]; code: "<|user|>..." [code], whose markers make all pairs alike to the static embedder
    pair_format: Literal["chat", "plain"] | None = None
    transport: TransportSettings = field(default_factory=TransportSettings)


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """The default policy [ours]; chosen without any test set, docs/papers.md says on what."""

    __pydantic_config__ = _STRICT

    sharpness: Above = 3.0  # [ours] a pair is worth its similarity to the reference set to this power
    prior_documents: Above = 100.0  # [ours] after this many documents, prior and model weigh the same
    # [ours] on the weights of the linear model, whose features have a spread of about one half to one
    penalty: Annotated[float, Ge(1e-6), Lt(float("inf"))] = 10.0
    batch: Positive = 25  # [ours] documents chosen at a time at first; later an eighth of what was read


@dataclass(frozen=True, slots=True)
class NearestSettings:
    """Documents by their similarity to the reference set, no feedback (the paper's "average similarity" baseline)."""

    __pydantic_config__ = _STRICT

    view: Literal["mean", "max", "mean5"] = "mean"  # [paper] mean; max and the mean of the 5 nearest are usual rivals


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """US dollars per million tokens. Both zero: the LLM is free, and a budget in dollars is refused."""

    __pydantic_config__ = _STRICT

    input: NotNegative | None = None  # None: from the table of known models, or 0
    output: NotNegative | None = None


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The embedded small language model."""

    __pydantic_config__ = _STRICT

    context_tokens: Positive = 2048  # [ours] prompt and answer; longer documents are read in parts
    answer_tokens: Positive = 400  # [ours] most new tokens per part
    pairs_per_part: Positive = 2  # [ours] more would only say the same again
    threads: Positive = 2  # [ours]


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a model behind a server is asked for."""

    __pydantic_config__ = _STRICT

    chunk_characters: Annotated[int, Ge(200)] = 12_000  # [ours] about 3,000 tokens; longer documents are read in pieces
    overlap_characters: Count = 400  # [ours] a few sentences, so that none is torn in two
    answer_tokens: Positive = 2_000  # [ours] most new tokens per call; models that think aloud need more
    pairs_per_chunk: Positive = 8  # [ours] most pairs that are asked for
    temperature: NotNegative = 0.0  # [ours] the same answer to the same question
    style: Annotated[int, Ge(0), Le(10)] = 0  # reference pairs shown for form; --style: 3 [ours]
    mend: bool = False  # a second call mends the pairs [paper: EQUAL, step 6]; it costs as much again
    prompts: str | None = None  # folder of prompts in place of ours


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How a server is reached. Does not decide the outcome: a run may be resumed with other values."""

    __pydantic_config__ = _STRICT

    base_url: str | None = None  # None: $OPENAI_BASE_URL, or OpenAI
    # OpenAI's Batch API: half the price [OpenAI's price list], answers within a day. What paces single calls
    # (concurrency, rpm, tpm) does not apply then.
    batch: bool = False
    concurrency: Positive = 128  # [ours] most calls at a time; fewer while the server pushes back
    rpm: Positive | None = None  # most requests per minute
    tpm: Positive | None = None  # most tokens per minute, prompt and longest answer
    timeout: Above = 180.0  # [ours] seconds for a whole answer
    retries: Count = 3  # [ours] of a call that broke; being told to wait does not count
    give_up_after: Above = 300.0  # [ours] seconds in which every call failed


@dataclass(frozen=True, slots=True)
class RaySettings:
    """How much of a Ray cluster is used. Does not decide the outcome: a run may be resumed with other values."""

    __pydantic_config__ = _STRICT

    workers: Positive | None = None  # None: as many as the nodes have processors for; more: for an autoscaler to add
    processors: Above | None = None  # that each takes. None: 1, or local.threads for the embedded model [ours]
    gpus: NotNegative = 0.0  # that each takes; whoever takes none sees none
    give_up_after: Above = 600.0  # [ours] seconds without any worker


@dataclass(frozen=True, slots=True)
class ScorerSettings:
    """How responses are put before a language model."""

    __pydantic_config__ = _STRICT

    template: Literal["chat", "plain"] = "chat"  # the model's own; plain [ours] where it has none, and for servers
    context_tokens: Positive | None = None  # None: as many as the model can read
    batch_tokens: Positive = 2_048  # [ours] in one forward pass, padding included; 2 cores gain nothing from more


@dataclass(frozen=True, slots=True)
class RecostSettings:
    """RECOST, arXiv 2402.17355. Where the paper is silent, [ours] was chosen by benchmarks/instruction_selection.py."""

    __pydantic_config__ = _STRICT

    neighbours: Positive = 5  # [paper] texts of the knowledge base that a sample is shown with
    knowledge_characters: Positive = 1_000  # [ours] of all of them together; longer ones are cut evenly
    near_copy: Annotated[float, Gt(0), Le(1)] = 0.95  # [ours] cosine from which a text counts as the sample itself
    relative: Literal["difference", "ratio"] = "difference"  # [ours] the paper names the difference
    # Ranks by entropy with knowledge and by relative entropy: both [paper], either alone, or both with the sign of the
    # second reversed: [ours] it let through fewer dirty rows and preferred the better of two answers more often
    rank: Literal["both", "entropy", "relative", "reversed"] = "reversed"
    window: Positive | None = None  # candidates to draw the most distant from; None: half as many as are kept [ours]
    flag_degenerate: bool = True  # [ours] texts that repeat themselves are never kept: any low entropy loves them


@dataclass(frozen=True, slots=True)
class DeliftSettings:
    """DELIFT, arXiv 2411.04425."""

    __pydantic_config__ = _STRICT

    neighbours: Positive = 5  # [ours] nearest samples tried as examples; the paper tries all, at the square of the cost


@dataclass(frozen=True, slots=True)
class RefineSettings:
    """A selection among the pairs that a run has kept, with the reference set as knowledge and as target."""

    __pydantic_config__ = _STRICT

    method: str | None = None  # None: all are kept; --refine recost
    keep: str = "50%"  # [ours]
    lm: str = "local"
    scorer: ScorerSettings = field(default_factory=ScorerSettings)
    recost: RecostSettings = field(default_factory=RecostSettings)
    delift: DeliftSettings = field(default_factory=DeliftSettings)


@dataclass(frozen=True, slots=True)
class SelectSettings:
    """What decides the outcome of `bonanza select`."""

    __pydantic_config__ = _STRICT

    data: str
    keep: str  # "1%" or "500"
    method: str = "recost"  # [ours]
    knowledge: str | None = None  # file of instruction data or documents; recost needs it
    target: str | None = None  # reference set; nearest needs it
    lm: str = "local"  # or hf:PATH, or openai:MODEL at a server that gives log-probabilities of prompts
    embedder: str = "static"
    seed: Count = 0
    scorer: ScorerSettings = field(default_factory=ScorerSettings)
    recost: RecostSettings = field(default_factory=RecostSettings)
    delift: DeliftSettings = field(default_factory=DeliftSettings)
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    executor: str = "local"  # or "ray[:ADDRESS]"
    ray: RaySettings = field(default_factory=RaySettings)


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """What a pair must be like. A flag that is not in `dropped` is only recorded."""

    __pydantic_config__ = _STRICT

    # [ours] the flags that make a pair malformed; all: bonanza.cleaning.quality.FLAGS
    dropped: tuple[str, ...] = ("empty question", "empty answer", "answer repeats question", "not self-contained")
    shortest_question: Count = 8  # [ours] characters
    longest_question: Positive = 8_000  # [ours] characters
    shortest_answer: Count = 1  # [ours] characters; a number or an option is an answer
    longest_answer: Positive = 32_000  # [ours] characters: about 8,000 tokens


@dataclass(frozen=True, slots=True)
class GroundingSettings:
    """Finding the place in a document that a pair comes from."""

    __pydantic_config__ = _STRICT

    similarity: Share = 0.85  # [ours] of a quote and what stands in the document, letter by letter
    shortest_fuzzy: Count = 20  # [ours] characters; a shorter quote must stand there as it is
    longest_fuzzy: Positive = 4_000  # [ours] characters; so no quote takes long to look for
    least_score: Share = 0.0  # [ours] of an answer's numbers and names, the share that the document has; 0: only noted


@dataclass(frozen=True, slots=True)
class DecontaminationSettings:
    """When a pair or document counts as a copy of a test item. Thresholds: benchmarks/cleaning.py, development half."""

    __pydantic_config__ = _STRICT

    ngram: Positive = 13  # words in a row [GPT-3, arXiv 2005.14165, appendix C]
    least_words: Positive = 4  # [ours] words and signs of a short item; a shorter one is not looked for as a whole
    reworded: Above = 10.8  # [ours] rarity of the words in common, in nats, times Dice's coefficient squared
    edited: Above = 1.85  # [ours] square root of that rarity, times the share of equal letters to the power of three
    numbers: Share = 0.6  # [ours] of a test item's numbers the share that an edited or reworded copy has
    similarity: Share | None = None  # [ours] cosine of embeddings; None: the static embedder found no more


@dataclass(frozen=True, slots=True)
class NearDuplicateSettings:
    """When a pair counts as a repetition of one kept before, and a document of one read before."""

    __pydantic_config__ = _STRICT

    similarity: Share = 0.7  # [ours] Jaccard index of the sets of two words in a row, as MinHash estimates it
    # [ours] pairs that differ in a number, a minus sign, a negation or a piece of code differ in meaning
    exact_values: bool = True
    semantic: Share | None = None  # cosine of embeddings; None [ours]: not looked at
    # [ours] the same index for documents, whatever their numbers: copies are not paid for; None: they are
    documents: Share | None = 0.8


@dataclass(frozen=True, slots=True)
class CleaningSettings:
    """Which extracted pairs are kept."""

    __pydantic_config__ = _STRICT

    quality: QualitySettings = field(default_factory=QualitySettings)
    grounded: bool = True  # a pair that stands nowhere in its document is put aside [ours]
    grounding: GroundingSettings = field(default_factory=GroundingSettings)
    decontamination: DecontaminationSettings = field(default_factory=DecontaminationSettings)
    near_duplicates: NearDuplicateSettings = field(default_factory=NearDuplicateSettings)


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """Which documents of a corpus take part; each that does not is counted, by the step that left it out."""

    __pydantic_config__ = _STRICT

    least_characters: Positive | None = None
    most_characters: Positive | None = None
    # ISO 639-1 codes, "en,de". A page whose language cannot be told takes part
    languages: str | None = None


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What decides what an index holds; the fields of `RunSettings` of these names."""

    __pydantic_config__ = _STRICT

    corpus: tuple[str, ...]
    embedder: str = "static"
    text_field: str = "text"
    id_field: str = "id"
    recorded: str | None = None  # column of pairs, for runs with --llm recorded:COLUMN
    filters: FilterSettings = field(default_factory=FilterSettings)
    executor: str = "local"  # or "ray[:ADDRESS]"
    ray: RaySettings = field(default_factory=RaySettings)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What decides the outcome of `bonanza extract`, whole: equal settings and inputs give an equal `train.jsonl`."""

    __pydantic_config__ = _STRICT

    corpus: tuple[str, ...]
    target: str
    budget: str  # "200k" tokens, "5%" of the documents, "$12.50", "300docs"
    llm: str
    policy: str = "adaptive"  # [ours]
    embedder: str = "static"
    seed: Count = 0
    limit: Positive | None = None  # read only the first so many documents of the corpus
    text_field: str = "text"
    id_field: str = "id"
    filters: FilterSettings = field(default_factory=FilterSettings)
    round_size: Positive = 100  # [ours] most documents chosen at a time
    patience: Count = 500  # [ours] documents in a row without any pair after which the run gives up; 0: never
    prices: PriceSettings = field(default_factory=PriceSettings)
    decontaminate: tuple[str, ...] = ()  # files of test items; pairs that hold one are not kept
    cleaning: CleaningSettings = field(default_factory=CleaningSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    adaptive: AdaptiveSettings = field(default_factory=AdaptiveSettings)
    equal: EqualSettings = field(default_factory=EqualSettings)
    nearest: NearestSettings = field(default_factory=NearestSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    local: LocalSettings = field(default_factory=LocalSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    executor: str = "local"  # or "ray[:ADDRESS]"
    ray: RaySettings = field(default_factory=RaySettings)


# Policies of a comparison where none are named
COMPARED = (
    "random", "nearest", "nearest:max", "nearest:mean5", "round_robin", "dsir", "tsds", "equal", "adaptive",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What decides the outcome of `bonanza compare`. A setting named as in `RunSettings` means the same."""

    __pydantic_config__ = _STRICT

    corpus: tuple[str, ...]
    target: str
    test: str  # held-out pairs of the same task: no policy sees them, the judges measure by them
    policies: tuple[str, ...] = COMPARED
    budgets: tuple[str, ...] = ("2%", "5%", "10%")  # of the tokens that reading everything costs; or "200k" tokens
    seeds: Positive = 3  # 0, 1, ... of each policy that draws
    llm: str = "recorded"  # "recorded[:COLUMN]", or "recorded:journal=DIR" of a run
    judges: tuple[str, ...] = ("auto",)
    embedder: str = "static"
    limit: Positive | None = None
    text_field: str = "text"
    id_field: str = "id"
    filters: FilterSettings = field(default_factory=FilterSettings)
    round_size: Positive = 100
    refine: RefineSettings = field(default_factory=RefineSettings)
    adaptive: AdaptiveSettings = field(default_factory=AdaptiveSettings)
    equal: EqualSettings = field(default_factory=EqualSettings)
    nearest: NearestSettings = field(default_factory=NearestSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Low-rank adapters on all linear layers but the head; in float32, whatever the precision of the model."""

    __pydantic_config__ = _STRICT

    rank: Positive = 16  # [ours]
    alpha: Positive = 32  # [ours] twice the rank
    dropout: Share = 0.0  # [ours]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What decides the outcome of `bonanza train`: EQUAL's recipe, fitted to small models and few pairs [ours]."""

    __pydantic_config__ = _STRICT

    data: str  # folder of a run of `bonanza extract`, or a file of instruction data
    model: str  # "local", hf:PATH or PATH
    full: bool = False  # LoRA [paper: both]; what a small machine can do [ours]
    preset: Literal["scaled", "paper"] = "scaled"
    # Sizes; None: from the preset
    epochs: Positive | None = None  # LoRA: 4, full: 2 [paper]
    # paper: 512 [paper]; scaled: as many, or so few that an epoch has 25 steps [ours]
    batch_size: Positive | None = None
    # paper: 1e-5 [paper]; scaled: LoRA 3e-4, chosen on halves of a reference set by benchmarks/downstream.py [ours]
    learning_rate: Above | None = None
    schedule: Literal["cosine", "linear", "constant"] = "cosine"  # [paper]
    warmup_ratio: Share = 0.03  # [ours] share of the steps with rising learning rate; the paper is silent
    lora: LoraSettings = field(default_factory=LoraSettings)
    template: Literal["chat", "plain"] = "chat"  # the model's own; plain [ours] where it has none
    max_tokens: Positive = 2_048  # [ours] of a sample; never more than the model can read
    too_long: Literal["cut", "leave out"] = "cut"  # [ours] cut: the end of a longer sample is lost
    rows_at_once: Positive | None = None  # samples in memory together; None: 8, on a processor 4 [ours]
    gradient_checkpointing: bool = False  # less memory, a third slower
    seed: Count = 0
    checkpoint_seconds: NotNegative = 60.0  # [ours] at most so much work is lost, or 20 times what a checkpoint takes


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """What decides the outcome of `bonanza evaluate`."""

    __pydantic_config__ = _STRICT

    model: str  # folder of `bonanza train`, "local", hf:PATH or PATH
    target: str  # file of questions and answers, or tasks of lm-evaluation-harness: "gsm8k,mbpp"
    base: str | None = None  # to compare with; None: what the model was tuned from, if `bonanza train` tuned it
    limit: Positive | None = None  # only the first so many items, of each task
    batch_size: Positive = 32  # [ours] answers written at a time
    scorer: ScorerSettings = field(default_factory=ScorerSettings)
    # Files
    answer_tokens: Positive | None = None  # most new; None: a quarter over the file's longest, at most 256 [ours]
    # Tasks of lm-evaluation-harness
    fewshot: Count | None = None  # examples before each item; None: as the task has it
    apply_chat_template: bool = False  # [lm-evaluation-harness]
    include_path: str | None = None  # folder with tasks of one's own
    confirm_run_unsafe_code: bool = False  # code that the model writes is executed


def settings_from(mapping: Mapping[str, Any], origin: str) -> RunSettings:
    """Check and convert plain values (YAML, command line) to settings.

    Raises
    ------
    SettingsError
        Naming each key that is unknown, missing, or has a wrong value.
    """
    return _checked(RunSettings, mapping, origin)


def index_settings_from(mapping: Mapping[str, Any], origin: str) -> IndexSettings:
    """The same for an index."""
    return _checked(IndexSettings, mapping, origin)


def compare_settings_from(mapping: Mapping[str, Any], origin: str) -> CompareSettings:
    """The same for a comparison; lists may be written as one text with commas."""
    values = dict(mapping)
    for name in ("policies", "budgets", "judges"):
        if isinstance(values.get(name), str):
            values[name] = tuple(part.strip() for part in values[name].split(",") if part.strip())
    return _checked(CompareSettings, values, origin)


def select_settings_from(mapping: Mapping[str, Any], origin: str) -> SelectSettings:
    """The same for a selection."""
    return _checked(SelectSettings, mapping, origin)


def train_settings_from(mapping: Mapping[str, Any], origin: str) -> TrainSettings:
    """The same for a training."""
    return _checked(TrainSettings, mapping, origin)


def evaluate_settings_from(mapping: Mapping[str, Any], origin: str) -> EvaluateSettings:
    """The same for an evaluation."""
    return _checked(EvaluateSettings, mapping, origin)


def _checked(kind: type[Settings], mapping: Mapping[str, Any], origin: str) -> Settings:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(dict(mapping))
    except ValidationError as error:
        problems = "; ".join(_problem(dict(problem), kind) for problem in error.errors())
        raise SettingsError(f"{origin}: {problems}.") from None


def _problem(problem: Mapping[str, Any], kind: type) -> str:
    keys = _all_keys(kind)
    key = ".".join(str(part) for part in problem["loc"] if part in keys or isinstance(part, int))
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        unknown = str(problem["loc"][-1])
        return f"there is no setting {unknown!r}. Settings: {', '.join(sorted(keys))}"
    if problem["type"] == "missing":
        return f"setting {problem['loc'][-1]!r} is missing"
    return f"setting {key!r} is {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _all_keys(kind: type) -> set[str]:
    """Names of the settings of a class, and of those nested in it."""
    nested: list[Any] = [item.default_factory for item in fields(kind) if isinstance(item.default_factory, type)]
    return {item.name for item in fields(kind)}.union(*(_all_keys(inner) for inner in nested))


def identity(settings: RunSettings) -> dict[str, Any]:
    """What decides the outcome, as plain values: all but how a server is reached, and where the work is done."""
    return {key: value for key, value in as_mapping(settings).items() if key not in ("connection", "executor", "ray")}


def as_mapping(
    settings: RunSettings | CompareSettings | IndexSettings | TrainSettings | EvaluateSettings,
) -> dict[str, Any]:
    """Settings as plain values that YAML and JSON can hold; tuples become lists, addresses lose their secrets."""
    values = {key: _plain(value) for key, value in asdict(settings).items()}
    return values | ({"corpus": list(map(without_secrets, values["corpus"]))} if "corpus" in values else {})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two mappings of settings, one line per key, "key: ours, there theirs".

    >>> differences({"seed": 1, "equal": {"clusters": 5}}, {"seed": 0, "equal": {"clusters": 5}})
    ['seed: 1, there 0']
    """
    lines = []
    for key in sorted(set(ours) | set(theirs)):
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            lines += differences(mine, other, f"{prefix}{key}.")
        elif mine != other:
            lines.append(f"{prefix}{key}: {mine!r}, there {other!r}")
    return lines
