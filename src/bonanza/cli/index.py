"""`bonanza index`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bonanza.cli.extract import CORPUS_HELP, EXECUTOR_HELP, LANGUAGE_HELP
from bonanza.cli.printed import JSON_HELP, kept_free, print_json


def index(
    corpus: Annotated[list[str], typer.Argument(help=CORPUS_HELP)],
    out: Annotated[Path, typer.Option(help="Folder for the index; made again, it costs what is new.")],
    embedder: Annotated[str | None, typer.Option(help="static | minilm | a sentence-transformers model")] = None,
    text_field: Annotated[str | None, typer.Option(help="[default: text]")] = None,
    id_field: Annotated[str | None, typer.Option(help="[default: id]; without one, the hash of the text.")] = None,
    recorded: Annotated[str | None, typer.Option(help="Column of pairs, for runs with --llm recorded:COLUMN.")] = None,
    min_chars: Annotated[int | None, typer.Option(help="Leave out shorter documents.")] = None,
    max_chars: Annotated[int | None, typer.Option(help="Leave out longer documents.")] = None,
    language: Annotated[str | None, typer.Option(help=LANGUAGE_HELP)] = None,
    executor: Annotated[str | None, typer.Option(help=EXECUTOR_HELP)] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; options on the command line win.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, e.g. ray.processors=2.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    json_: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Index a corpus ahead of runs: where its documents stand, and their embeddings. Runs take it with --cache."""
    from bonanza.cli.progress import Terminal
    from bonanza.cli.signals import stop_requests
    from bonanza.cli.values import merged
    from bonanza.indexing import index as indexed
    from bonanza.settings import index_settings_from

    given: dict[str, Any] = {
        "corpus": tuple(corpus), "embedder": embedder, "text_field": text_field, "id_field": id_field,
        "recorded": recorded, "filters.least_characters": min_chars, "filters.most_characters": max_chars,
        "filters.languages": language, "executor": executor,
    }  # fmt: skip
    values = merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
    settings = index_settings_from(values, str(config) if config else "command line")
    with kept_free(json_), stop_requests(), Terminal(quiet=quiet) as terminal:
        result = indexed(settings, out, terminal)
    if json_:
        print_json(result.summary)
    elif not quiet:
        typer.echo("\n".join(_lines(result.summary, out)))


def _lines(summary: Mapping[str, Any], out: Path) -> list[str]:
    """What is there, on one screen."""
    seconds = summary["seconds"]
    lines = [f"indexed   {summary['documents']:,} documents in {summary['parts']:,} parts, by {summary['embedder']}"]
    lines += [f"skipped   {count:,}: {reason}" for reason, count in sorted(summary["skipped"].items())]
    lines.append(f"took      {seconds['read']:,.1f} s to read, {seconds['embed']:,.1f} s to embed")
    return [*lines, f"written   {out}; runs take it with --cache {out}"]
