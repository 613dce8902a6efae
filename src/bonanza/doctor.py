"""Looks at the installation and at what a run would need, and says what to do about what it finds.

Nothing is changed, and nothing is paid for unless a call was asked for. The key is used, and never shown.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from bonanza import build
from bonanza.errors import BonanzaError, MissingExtraError, SettingsError
from bonanza.extractors.server.client import Endpoint, expected_tokens
from bonanza.extractors.server.faults import Fault
from bonanza.extractors.server.probe import Tried, listed_models, sample_question, tried
from bonanza.interfaces import Passage
from bonanza.language_models import EMBEDDED, embedded_model, open_language_model
from bonanza.records import Turn
from bonanza.scorers.server import ServerScorer
from bonanza.settings import ConnectionSettings, RunSettings, ServerSettings
from bonanza.version import __version__

Status = Literal["ok", "warning", "problem"]

NAME = "bonanza"
GIVES = {  # by extra, what is missing without it
    "server": "--llm openai:MODEL: reading by any OpenAI-compatible server",
    "local": "--llm local and --lm local: the embedded language model",
    "hf": "corpora at hf://datasets/..., --push-to-hub, to_dataset()",
    "sentence-transformers": "--embedder with a sentence-transformers model",
    "web": "WARC files; corpora at http:// and https://",
    "s3": "corpora at s3://",
    "gs": "corpora at gs://",
    "plot": "compare.png",
    "report": "report.html, compare.html, bonanza serve",
    "train": "bonanza train; bonanza select with a language model",
    "eval": "bonanza evaluate on tasks of lm-evaluation-harness",
    "demo": "the corpus of bonanza demo, to_pandas()",
}
FOR_DEVELOPERS = ("dev", "docs")
GIB = 2**30
LITTLE_DISK = 2 * GIB  # [ours] a corpus is copied to the cache once, embeddings take 512 bytes per document
LEAST_DISK = GIB // 10  # [ours]
SOME_MODELS = 5  # names of models that are shown where the one asked for is not listed
SECONDS_FOR_NVIDIA = 10.0
SAMPLE_TOKENS = 300  # [ours] most tokens of the answer to the one call
FORMATS = {
    "schema": "a JSON schema", "object with schema": "JSON mode with a schema", "object": "JSON mode",
    "text": "plain text",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    status: Status
    subject: str
    text: str
    advice: str = ""  # what to do next


@dataclass(frozen=True, slots=True)
class Request:
    """What to look at besides the installation."""

    llm: str | None = None  # as in `bonanza extract`
    lm: str | None = None  # as in `bonanza select`
    base_url: str | None = None
    call: bool = False  # one call to the server, which may cost money
    timeout: float = 20.0  # seconds that a server may take
    cache: Path | None = None


def examine(request: Request, tell: Callable[[str], None] = lambda stage: None) -> Iterator[Finding]:
    """Look at everything; `tell` hears what is looked at where it may take a while."""
    yield Finding("ok", "python", f"{platform.python_version()}, {platform.system()} on {platform.machine()}")
    yield from _installation()
    yield from _computer()
    yield from _disk(request.cache or build.default_cache())
    if request.llm is not None:
        yield from _llm(request, tell)
    if request.lm is not None:
        yield from _language_model(request.lm, request, tell)


def worst(findings: Sequence[Finding]) -> Status:
    """The gravest status."""
    grave: tuple[Status, ...] = ("problem", "warning")
    return next((status for status in grave if any(finding.status == status for finding in findings)), "ok")


# The installation


@dataclass(frozen=True, slots=True)
class Package:
    """A package that is needed, and what is there of it."""

    wanted: str  # "openai>=3"
    name: str
    version: str | None  # None: not installed
    fits: bool


def _installation() -> Iterator[Finding]:
    try:
        extras = sorted(set(metadata(NAME).get_all("Provides-Extra") or ()) - set(FOR_DEVELOPERS))
    except PackageNotFoundError:
        advice = "Install it: pip install -e . in its folder."
        yield Finding("warning", NAME, f"{__version__}, not installed: what else it needs is not known", advice)
        return
    odd = [package for package in packages("") if not package.fits]
    if odd:
        yield Finding("problem", NAME, f"{__version__}, without {_shown(odd)}", _install(odd))
    else:
        yield Finding("ok", NAME, f"{__version__}, with all packages that it needs")
    for extra in extras:
        yield _extra(extra)


def _extra(extra: str) -> Finding:
    needed = packages(extra)
    odd = [package for package in needed if not package.fits]
    if not odd:
        there = ", ".join(f"{package.name} {package.version}" for package in needed)
        return Finding("ok", "extra", f"{extra}: {there}")
    without = f"; without it: {GIVES[extra]}" if extra in GIVES else ""
    what = "not installed" if all(package.version is None for package in needed) else f"without {_shown(odd)}"
    return Finding("warning", "extra", f"{extra}: {what}{without}", f"pip install '{NAME}[{extra}]'")


def packages(extra: str) -> list[Package]:
    """What an extra needs beyond bonanza itself; of the empty one, what bonanza itself needs."""
    from packaging.requirements import Requirement

    found = []
    for text in requires(NAME) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        wanted = always if not extra else not always and marker is not None and marker.evaluate({"extra": extra})
        if wanted:
            there = _version(requirement.name)
            fits = there is not None and requirement.specifier.contains(there, prereleases=True)
            found.append(Package(f"{requirement.name}{requirement.specifier}", requirement.name, there, fits))
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _shown(odd: Sequence[Package]) -> str:
    return ", ".join(each.wanted + (f" (there is {each.version})" if each.version else "") for each in odd)


def _install(odd: Sequence[Package]) -> str:
    return "pip install " + " ".join(f"'{package.wanted}'" for package in odd)


# The computer


def _computer() -> Iterator[Finding]:
    memory = f", {_size(total)} of memory" if (total := _memory()) else ""
    yield Finding("ok", "processor", f"{_cores()} cores{memory}")
    accelerators, torch = _accelerators(), _version("torch")
    if not accelerators:
        yield Finding("ok", "accelerator", "no NVIDIA GPU found: language models run on the processor")
    elif torch is not None and torch.endswith("+cpu"):
        advice = "Install a build of torch with CUDA: https://pytorch.org/get-started/locally/"
        yield Finding("warning", "accelerator", f"{accelerators}, of which torch {torch} makes no use", advice)
    else:
        yield Finding("ok", "accelerator", accelerators)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int:
    """Bytes; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


def _accelerators() -> str:
    """NVIDIA's GPUs and their memory, as their driver names them; torch would take seconds to say the same."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ""
    asked = [command, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=SECONDS_FOR_NVIDIA, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(line.strip() for line in told.stdout.splitlines())


def _disk(cache: Path) -> Iterator[Finding]:
    there = next(place for place in (cache, *cache.absolute().parents) if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        advice = "Name another with --cache or BONANZA_CACHE."
        yield Finding("problem", "cache", f"{cache}: cannot be written", advice)
        return
    free, held = shutil.disk_usage(there).free, _held(cache)
    status: Status = "problem" if free < LEAST_DISK else "warning" if free < LITTLE_DISK else "ok"
    advice = f"Make room ({cache} can be deleted: it is made anew), or name another folder with --cache."
    text = f"{cache}: {_size(held)} in it, {_size(free)} free"
    yield Finding(status, "cache", text, "" if status == "ok" else advice)


def _held(folder: Path) -> int:
    """Bytes in a folder; files that go away meanwhile count as nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_size
            except OSError:
                continue
    return total


def _size(size: float) -> str:
    """Bytes, for people.

    >>> _size(1536), _size(3 * 2**30)
    ('1.5 KiB', '3.0 GiB')
    """
    units = ("bytes", "KiB", "MiB", "GiB")
    power = next((number for number in range(3) if size < 1024 ** (number + 1)), 3)
    return f"{size / 1024**power:,.{1 if power else 0}f} {units[power]}"


# What reads documents


def _llm(request: Request, tell: Callable[[str], None]) -> Iterator[Finding]:
    assert request.llm is not None
    connection = ConnectionSettings(base_url=request.base_url, timeout=request.timeout)
    settings = RunSettings(corpus=(), target="", budget="1docs", llm=request.llm, connection=connection)
    try:
        build.check_names(settings)
        if not request.llm.startswith(build.SERVER):
            yield Finding("ok", "llm", _without_server(request.llm))
            return
        endpoint = build.build_endpoint(settings)
    except MissingExtraError as error:
        yield Finding("problem", "llm", error.why, error.command)
        return
    except SettingsError as error:
        yield Finding("problem", "llm", str(error), "See bonanza extract --help.")
        return
    yield _prices(settings)
    key = _key(endpoint)
    yield key
    if key.status != "problem":
        yield from _server(endpoint, connection, request, tell)


def _without_server(llm: str) -> str:
    if llm != EMBEDDED:
        return f"{llm} needs nothing else"
    if find_spec("llama_cpp") is None or not (path := embedded_model()).is_file():
        raise MissingExtraError("--llm local", "local")
    return f"local is {path.name}, {_size(path.stat().st_size)}"


def _key(endpoint: Endpoint) -> Finding:
    if not endpoint.key:
        if endpoint.url is None:
            return Finding("problem", "key", "OPENAI_API_KEY is not set, and OpenAI answers nobody without", _EXPORT)
        return Finding("ok", "key", "OPENAI_API_KEY is not set; a server of your own may need none")
    if not all("!" <= character <= "~" for character in endpoint.key):
        what = "OPENAI_API_KEY holds white space or other characters that no key has, perhaps at its end"
        return Finding("problem", "key", what, _EXPORT)
    return Finding("ok", "key", "OPENAI_API_KEY is set")


_EXPORT = "Set it: export OPENAI_API_KEY=..."


def _prices(settings: RunSettings) -> Finding:
    prices = build.build_prices(settings)
    if not prices.input and not prices.output:
        advice = "Give --input-price and --output-price for a budget in dollars."
        return Finding("ok", "prices", f"none are known: budgets are in tokens or documents. {advice}")
    return Finding("ok", "prices", f"${prices.input:g} / ${prices.output:g} per million tokens (prompt / answer)")


def _server(
    endpoint: Endpoint, connection: ConnectionSettings, request: Request, tell: Callable[[str], None]
) -> Iterator[Finding]:
    where = endpoint.url or "OpenAI"
    tell(f"asking {where} for its models")
    models = asyncio.run(listed_models(endpoint, connection))
    if isinstance(models, Fault):
        yield _unlisted(models, where, request)
        if models.status in (None, 401, 403):  # nobody there, or nobody who would answer
            return
    else:
        yield Finding("ok", "server", f"{where} answers, and lists {len(models):,} models")
        yield _model(endpoint.model, models, request)
    if request.call:
        tell(f"asking {endpoint.model} one question")
        yield _called(asyncio.run(tried(endpoint, ServerSettings(answer_tokens=SAMPLE_TOKENS), connection)))


def _unlisted(fault: Fault, where: str, request: Request) -> Finding:
    """Why a server lists no models."""
    if fault.status in (401, 403):
        return Finding("problem", "server", f"{where} refuses the key: {fault.cause}", "Check OPENAI_API_KEY.")
    if fault.status is None:
        advice = "Start the server, check --base-url (or OPENAI_BASE_URL), or give a longer --timeout."
        return Finding("problem", "server", f"{where} does not answer: {fault.cause}", advice)
    advice = "The address of most servers ends in /v1: check --base-url."
    status: Status = "warning" if fault.status in (404, 405, 501) and request.call else "problem"
    if fault.status == 429 or (fault.status >= 500 and fault.status != 501):
        advice = "Look at the server's log, or try again later."
    elif not request.call:
        advice += f" {_ask_it()}"
    return Finding(status, "server", f"{where} lists no models: {fault.cause}", advice)


def _model(model: str, models: Sequence[str], request: Request) -> Finding:
    """Whether it is listed; Ollama puts a tag behind the name."""
    if model in models or f"{model}:latest" in models:
        return Finding("ok", "model", f"{model} is listed", "" if request.call else _ask_it())
    near = difflib.get_close_matches(model, models, SOME_MODELS, cutoff=0.4) or models[:SOME_MODELS]
    more = f" and {len(models) - len(near):,} more" if len(models) > len(near) else ""
    there = f"Listed: {', '.join(near)}{more}." if models else "No model is."
    if request.call:
        return Finding("warning", "model", f"{model} is not listed; the call tells more. {there}")
    return Finding("problem", "model", f"{model} is not listed. {there}", f"Check its name after openai:. {_ask_it()}")


def _ask_it() -> str:
    tokens = expected_tokens(sample_question()) + SAMPLE_TOKENS
    return f"With --call it is asked one question, which may cost money (at most about {tokens:,} tokens)."


def _called(result: Tried) -> Finding:
    """What came of the one call."""
    if isinstance(result.answer, Fault):
        advice: Mapping[str, str] = {
            "busy": "Wait, or look at the limits of your account.",
            "fatal": "Check the model's name, --base-url and OPENAI_API_KEY.",
        }
        what = f"no answer: {result.answer.cause}"
        return Finding("problem", "call", what, advice.get(result.answer.kind, "Look at the server's log."))
    put = f"{FORMATS[result.dialect.format]}, {result.dialect.limit}"
    put += "" if result.dialect.temperature else ", its own temperature"
    used = result.answer.usage
    took = f"{used.input_tokens} + {used.output_tokens} tokens in {result.seconds:.1f} s"
    took += " (reckoned: the server reports none to believe)" if result.answer.estimated else ""
    if result.pairs:
        return Finding("ok", "call", f"it takes {put}; {took}")
    why = result.problem or "an empty list"
    advice_ = "Try another model; one that thinks aloud needs --set server.answer_tokens=8000."
    return Finding("warning", "call", f"it takes {put}; {took}; but its answer held no pair: {why}", advice_)


# What scores


def _language_model(name: str, request: Request, tell: Callable[[str], None]) -> Iterator[Finding]:
    try:
        build.check_selection("random", name, {})
        if name.startswith(build.SERVER) and not request.call:
            yield Finding("warning", "lm", f"{name} was not asked", "Add --call; it may cost money.")
            return
        tell(f"opening {name}")
        began = time.monotonic()
        what = _scored(name, request) if name.startswith(build.SERVER) else _opened(name)
    except MissingExtraError as error:
        yield Finding("problem", "lm", error.why, error.command)
    except BonanzaError as error:
        yield Finding("problem", "lm", str(error), "See --lm in bonanza select --help.")
    else:
        yield Finding("ok", "lm", f"{what}; {time.monotonic() - began:.1f} s")


def _opened(name: str) -> str:
    model = open_language_model(name)
    return f"{model.name} is open on {model.device}, with {model.context_tokens:,} tokens of context"


def _scored(name: str, request: Request) -> str:
    connection = ConnectionSettings(base_url=request.base_url, timeout=request.timeout, retries=0)
    scorer = ServerScorer(name.removeprefix(build.SERVER), connection, os.environ.get("OPENAI_API_KEY"))
    list(scorer.score([Passage((Turn("user", "Where?"), Turn("assistant", "Here.")))]))
    return f"{name} tells how likely the tokens of a prompt are"
