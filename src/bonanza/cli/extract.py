"""`bonanza extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

ENDED_EARLY = {
    "budget too small": "none of the documents chosen fits the budget; skipped.jsonl says what each may take. "
    "Give a larger --budget and a new --out.",
    "no more pairs": "the last documents gave no pair that was kept, as many as the setting patience allows. What was "
    "found is written.",
    "interrupted": "stopped as asked. The same command resumes.",
}
OUT_HELP = "Folder for the results. The same command again resumes."


def extract(
    corpus: Annotated[list[str] | None, typer.Argument(help="Files, folders, globs, hf://datasets/...")] = None,
    target: Annotated[
        str | None, typer.Option(help="Reference question-answer pairs (jsonl, json, parquet, csv).")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help='Hard cap: "200k" tokens, "5%" of documents, "$12.50", "300docs".')
    ] = None,
    llm: Annotated[str | None, typer.Option(help="local | rules | recorded[:COLUMN]")] = None,
    out: Annotated[Path | None, typer.Option(help=OUT_HELP)] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="adaptive | equal | nearest | round_robin | dsir | tsds | random  [default: adaptive]"),
    ] = None,
    embedder: Annotated[str | None, typer.Option(help="static | minilm | a sentence-transformers model")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first so many documents.")] = None,
    text_field: Annotated[str | None, typer.Option(help="[default: text]")] = None,
    id_field: Annotated[str | None, typer.Option(help="[default: id]; without one, the hash of the text.")] = None,
    input_price: Annotated[float | None, typer.Option(help="US dollars per million prompt tokens.")] = None,
    output_price: Annotated[float | None, typer.Option(help="US dollars per million completion tokens.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; options on the command line win.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, e.g. equal.clusters=100.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of indexed corpora [default: ~/.cache/bonanza].")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> None:
    """Choose documents, have them read, keep their pairs; never a token over the budget."""
    from bonanza.cli.progress import Terminal, summary_lines
    from bonanza.cli.signals import stop_requests
    from bonanza.cli.values import merged
    from bonanza.errors import UsageError
    from bonanza.run import run
    from bonanza.settings import settings_from

    given: dict[str, Any] = {
        "corpus": tuple(corpus) if corpus else None, "target": target, "budget": budget, "llm": llm, "policy": policy,
        "embedder": embedder, "seed": seed, "limit": limit, "text_field": text_field, "id_field": id_field,
        "prices.input": input_price, "prices.output": output_price,
    }  # fmt: skip
    values = merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
    if out is None:
        raise UsageError("--out is missing: name a folder for the results.")
    settings = settings_from(values, str(config) if config else "command line")
    with stop_requests() as stopping, Terminal(quiet=quiet) as terminal:
        result = run(settings, out, cache, terminal, stopping)
    if not quiet:
        typer.echo("\n".join(summary_lines(result.summary, out)))
    if result.ended_early:
        typer.echo(f"bonanza: {out}: ended early: {ENDED_EARLY[result.summary['stop_reason']]}", err=True)
        raise typer.Exit(3)
