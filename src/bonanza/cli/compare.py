"""`bonanza compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bonanza.cli.printed import JSON_HELP, kept_free, print_json
from bonanza.settings import COMPARED

BUDGETS_HELP = (
    'Shares of the tokens that reading everything takes (tokens: not documents, as in extract), or "200k" tokens. '
    "[default: 2%,5%,10%]"
)
JUDGES_HELP = (
    "auto | lexical | minilm | static (the policies' own embedder unless --embedder says otherwise: not independent) | "
    "a sentence-transformers model. auto: lexical, and minilm where installed. [default: auto]"
)
POLICIES_HELP = (
    "As in extract, with commas between them; also nearest:mean, nearest:max, nearest:mean5, equal:code, "
    f"equal:released, equal:nearest. random, oracle and everything are always there. [default: {', '.join(COMPARED)}]"
)


def compare(
    corpus: Annotated[list[str] | None, typer.Argument(help="Files, folders, globs, hf://datasets/...")] = None,
    target: Annotated[str | None, typer.Option(help="Reference question-answer pairs, which the policies see.")] = None,
    test: Annotated[str | None, typer.Option(help="Held-out pairs of the same task, which they do not see.")] = None,
    policies: Annotated[str | None, typer.Option(help=POLICIES_HELP)] = None,
    budgets: Annotated[str | None, typer.Option(help=BUDGETS_HELP)] = None,
    seeds: Annotated[int | None, typer.Option(help="Runs of each policy that draws at random. [default: 3]")] = None,
    llm: Annotated[
        str | None,
        typer.Option(
            help="recorded[:COLUMN], or recorded:journal=DIR, the folder of an extract run. [default: recorded]"
        ),
    ] = None,
    judges: Annotated[str | None, typer.Option(help=JUDGES_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results. The same command again resumes.")] = None,
    embedder: Annotated[str | None, typer.Option(help="static | minilm | a sentence-transformers model")] = None,
    limit: Annotated[int | None, typer.Option(help="Use only the first so many documents.")] = None,
    text_field: Annotated[str | None, typer.Option(help="[default: text]")] = None,
    id_field: Annotated[str | None, typer.Option(help="[default: id]; without one, the hash of the text.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; options on the command line win.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, e.g. equal.clusters=100.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of indexed corpora [default: ~/.cache/bonanza].")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    json_: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Hold policies side by side at equal spend, on readings that are known: at no further cost."""
    from bonanza.cli.comparison import CompareTerminal, content_of, show
    from bonanza.cli.signals import stop_requests
    from bonanza.cli.values import merged
    from bonanza.comparison.compare import compare as run
    from bonanza.errors import UsageError
    from bonanza.settings import compare_settings_from

    given: dict[str, Any] = {
        "corpus": tuple(corpus) if corpus else None, "target": target, "test": test, "policies": policies,
        "budgets": budgets, "seeds": seeds, "llm": llm, "judges": judges, "embedder": embedder, "limit": limit,
        "text_field": text_field, "id_field": id_field,
    }  # fmt: skip
    values = merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
    if out is None:
        raise UsageError("--out is missing: name a folder for the results.")
    settings = compare_settings_from(values, str(config) if config else "command line")
    with kept_free(json_), stop_requests() as stopping, CompareTerminal(quiet=quiet) as terminal:
        result = run(settings, out, cache, terminal, stopping)
    if json_:
        print_json(content_of(result))
    elif not quiet:
        show(result)
    if result.ended_early:
        typer.echo(f"bonanza: {out}: ended early: stopped as asked. The same command resumes.", err=True)
        raise typer.Exit(3)
