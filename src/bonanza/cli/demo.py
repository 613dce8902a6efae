"""`bonanza demo`: the main job on pages that every installation has, the documentation of its own packages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bonanza.cli.printable import printable

if TYPE_CHECKING:
    from bonanza.cli.progress import Terminal
    from bonanza.corpus.joined import Store
    from bonanza.interfaces import Embedder
    from bonanza.records import Document, Target
    from bonanza.run import ExtractResult
    from bonanza.settings import RunSettings

BUDGET = "800k"  # tokens: about a twelfth of what reading every page would take
POLICIES = ("random", "equal", "adaptive")
BEST = "adaptive"  # whose pairs are shown
PAGES_FOR_THE_MODEL = 3
LONGEST_PAGE = 3_000  # characters that the small model reads at once


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one policy bought with the budget."""

    pages: int
    on_topic: int
    pairs: int
    tokens: int
    cost: float | None  # transport cost to held-out target pairs


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("bonanza-demo"),
    cache: Annotated[Path | None, typer.Option(help="Folder of indexed corpora [default: ~/.cache/bonanza].")] = None,
    model: Annotated[bool, typer.Option(help="Let the embedded language model read a few pages too.")] = True,
) -> None:
    """Find the pages on statistical tests among those of the installed packages; offline, in about a minute."""
    from bonanza import build
    from bonanza.cli.progress import Terminal
    from bonanza.cli.signals import stop_requests
    from bonanza.corpus.docstrings import DocstringReader
    from bonanza.run import run

    reader = DocstringReader()
    target, held_out = _shipped("demo_target.jsonl"), _shipped("demo_test.jsonl")
    typer.echo(
        "bonanza demo: documentation of installed Python packages; the target: 40 questions on statistical tests"
    )
    results: dict[str, ExtractResult] = {}
    with stop_requests() as stopping:
        for policy in POLICIES:
            with Terminal(title=f"{policy}: ") as terminal:
                results[policy] = run(_settings(policy), out / policy, cache, terminal, stopping, reader, target)
            if stopping():
                raise typer.Exit(3)
        store = build.build_store(reader, cache or build.default_cache())
        embedder = build.build_embedder(_settings(BEST), store)
        _show_comparison({policy: _outcome(results[policy], held_out, embedder) for policy in POLICIES}, len(store))
        _show_pairs(
            f"Two of the pairs that {BEST} found by rules, of those nearest to the target:", _best_pairs(results[BEST])
        )
        if model:
            _let_the_model_read(_best_pages(results[BEST], store), terminal)
    _show_next(out)


def _settings(policy: str) -> RunSettings:
    from bonanza.settings import RunSettings

    return RunSettings(
        corpus=("installed packages",), target="demo_target.jsonl", budget=BUDGET, llm="rules", policy=policy
    )


def _shipped(name: str) -> Target:
    from bonanza.corpus.targets import read_target

    with as_file(files("bonanza.corpus") / name) as path:
        return read_target(str(path))


def _outcome(result: ExtractResult, held_out: Target, embedder: Embedder) -> Outcome:
    from bonanza.exports.measures import embedded, pool_transport_cost

    pages = [row["document_id"] for row in _documents(result)]
    cost = pool_transport_cost(embedded(result.pairs, embedder), embedded(held_out.pairs, embedder), seed=0)
    return Outcome(
        len(pages), sum(map(_is_on_topic, pages)), len(result.pairs), result.summary["tokens"]["total"], cost
    )


def _documents(result: ExtractResult) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(result.folder / "documents.parquet").to_pylist()
    return rows


def _is_on_topic(document_id: str) -> bool:
    """For judging only: no policy sees where a page comes from."""
    from bonanza.corpus.docstrings import DEMO_TARGET_MODULES, module_of

    return module_of(document_id) in DEMO_TARGET_MODULES


def _show_comparison(outcomes: dict[str, Outcome], pages: int) -> None:
    typer.echo(f"\nThe same budget, {BUDGET} tokens, on {pages:,} pages:\n")
    typer.echo(f"{'':10}{'pages read':>12}{'on statistics':>16}{'pairs kept':>12}{'tokens':>10}{'transport cost':>16}")
    for policy, one in outcomes.items():
        share = f"{one.on_topic / one.pages:.0%} ({one.on_topic})"
        cost = "-" if one.cost is None else f"{one.cost:.3f}"
        typer.echo(f"{policy:10}{one.pages:>12,}{share:>16}{one.pairs:>12,}{one.tokens:>10,}{cost:>16}")
    typer.echo("\non statistics: share of the pages read that belong to scipy.stats (a label that no policy sees).")
    typer.echo("transport cost: from the kept pairs to 20 held-out questions of the target; lower is closer.")


def _best_pages(result: ExtractResult, store: Store) -> list[Document]:
    """The short pages of highest utility among those that were read."""
    rows = {id_: row for row, id_ in enumerate(store.ids)}
    ranked = sorted(_documents(result), key=lambda row: (-row["utility"], row["document_id"]))
    short = [rows[row["document_id"]] for row in ranked if store.lengths[rows[row["document_id"]]] <= LONGEST_PAGE]
    return store.fetch(short[:PAGES_FOR_THE_MODEL])


def _best_pairs(result: ExtractResult) -> list[dict[str, Any]]:
    """The two pairs nearest to the reference set, of different documents."""
    import pyarrow.parquet as pq

    rows = [row for row in pq.read_table(result.folder / "pairs.parquet").to_pylist() if row["status"] == "kept"]
    ranked = sorted(rows, key=lambda row: (-row["scores"]["reference_similarity"], row["id"]))
    return list({row["document_id"]: row for row in reversed(ranked)}.values())[::-1][:2]


def _let_the_model_read(pages: list[Document], terminal: Terminal) -> None:
    from bonanza.errors import MissingExtraError
    from bonanza.extractors.local import LocalExtractor
    from bonanza.settings import LocalSettings

    try:
        extractor = LocalExtractor(LocalSettings())
    except MissingExtraError as missing:
        typer.echo(f"\nThe embedded language model was left out: {missing}")
        return
    typer.echo(f"\nThe embedded language model (135 M parameters) reads {len(pages)} of the best pages ...")
    pairs = [asdict(pair) for page in pages for pair in extractor.read(page).pairs[:1]]
    _show_pairs(
        "Two of its pairs (a model of this size shows that all of it runs; train on a larger one's):", pairs[:2]
    )


def _show_pairs(title: str, pairs: Sequence[dict[str, Any]]) -> None:
    typer.echo(f"\n{title}")
    for pair in pairs:
        typer.echo(f"  from {printable(pair['document_id'], 100)}")
        typer.echo(f"    Q: {printable(pair['question'], 100)}\n    A: {printable(pair['answer'], 100)}")


def _show_next(out: Path) -> None:
    typer.echo(f"\nAll pairs: {out / BEST / 'train.jsonl'}. On your own pages, with 20 or more examples of your task:")
    typer.echo("  bonanza extract pages/ --target examples.jsonl --budget 10% --llm rules --out run")
