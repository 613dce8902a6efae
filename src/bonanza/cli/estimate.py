"""`bonanza estimate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bonanza.cli.extract import LLM_HELP
from bonanza.cli.printed import JSON_HELP, kept_free, print_json


def estimate(
    corpus: Annotated[list[str] | None, typer.Argument(help="As in extract.")] = None,
    target: Annotated[str | None, typer.Option(help="As in extract.")] = None,
    budget: Annotated[str | None, typer.Option(help="The whole budget that is thought of, as in extract.")] = None,
    llm: Annotated[str | None, typer.Option(help=LLM_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the pilot; `extract --reuse` takes its answers.")] = None,
    pilot: Annotated[str, typer.Option(help="Budget of the pilot.")] = "30docs",
    policy: Annotated[str | None, typer.Option(help="As in extract.")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    base_url: Annotated[str | None, typer.Option(help="Address of the server.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; options on the command line win.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, e.g. prices.input=0.15.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder of indexed corpora [default: ~/.cache/bonanza].")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the estimate.")] = False,
    json_: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Read a few documents, and say what the whole budget would give: pairs, tokens, dollars, minutes."""
    from bonanza.cli.progress import Terminal, estimate_lines
    from bonanza.cli.signals import stop_requests
    from bonanza.cli.values import merged
    from bonanza.errors import UsageError
    from bonanza.estimate import estimate as estimated
    from bonanza.settings import settings_from

    given: dict[str, Any] = {
        "corpus": tuple(corpus) if corpus else None, "target": target, "budget": budget, "llm": llm, "policy": policy,
        "seed": seed, "connection.base_url": base_url,
    }  # fmt: skip
    values = merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
    if out is None:
        raise UsageError("--out is missing: name a folder for the pilot.")
    settings = settings_from(values, str(config) if config else "command line")
    with kept_free(json_), stop_requests() as stopping, Terminal(quiet=quiet, title="pilot: ") as terminal:
        result = estimated(settings, pilot, out, cache, terminal, stopping)
    if json_:
        print_json(asdict(result))
    else:
        typer.echo("\n".join(estimate_lines(result, out)))
    if result.pilot["stop_reason"] in ("interrupted", "endpoint gone"):
        raise typer.Exit(3)
