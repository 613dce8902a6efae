"""`bonanza select`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bonanza.cli.extract import EXECUTOR_HELP
from bonanza.cli.printed import JSON_HELP, kept_free, print_json


def select(
    data: Annotated[
        str,
        typer.Argument(
            help="Instruction data: Alpaca, ShareGPT, messages, prompt/completion; jsonl, json, csv, parquet."
        ),
    ],
    keep: Annotated[str, typer.Option(help='How many to keep: "1%" or "500".')],
    out: Annotated[Path, typer.Option(help="File for the kept rows, in the format of the data.")],
    method: Annotated[
        str | None,
        typer.Option(help="recost, ifd, perplexity, delift, k_center, nearest, length or random. [default: recost]"),
    ] = None,
    knowledge: Annotated[
        str | None, typer.Option(help="External knowledge for recost: instruction data or documents of good quality.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Reference set, for nearest.")] = None,
    lm: Annotated[
        str | None, typer.Option(help="Language model that scores: local, hf:PATH, openai:MODEL. [default: local]")
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="File for the scores of all samples (.parquet).")] = None,
    embedder: Annotated[str | None, typer.Option(help="static, or a sentence-transformers model.")] = None,
    template: Annotated[str | None, typer.Option(help="chat (the model's own) or plain. [default: chat]")] = None,
    base_url: Annotated[str | None, typer.Option(help="Address of the server of openai:MODEL.")] = None,
    executor: Annotated[str | None, typer.Option(help=EXECUTOR_HELP)] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; options on the command line win.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, e.g. recost.window=50.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for scores of models [default: ~/.cache/bonanza].")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    json_: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Keep the samples of instruction data that are worth training on."""
    from bonanza.cli.progress import Terminal
    from bonanza.cli.signals import stop_requests
    from bonanza.cli.values import merged
    from bonanza.selecting import select as selected
    from bonanza.settings import select_settings_from

    given: dict[str, Any] = {
        "data": data, "keep": keep, "method": method, "knowledge": knowledge, "target": target, "lm": lm,
        "embedder": embedder, "scorer.template": template, "connection.base_url": base_url, "executor": executor,
        "seed": seed,
    }  # fmt: skip
    values = merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
    settings = select_settings_from(values, str(config) if config else "command line")
    with kept_free(json_), stop_requests(), Terminal(quiet=quiet) as terminal:
        result = selected(settings, out, scores, cache, terminal)
    if json_:
        print_json(result.summary)
    elif not quiet:
        typer.echo("\n".join(_lines(result.summary, out, scores)))


def _lines(summary: Mapping[str, Any], out: Path, scores: Path | None) -> list[str]:
    """What was done, on one screen."""
    kept, wanted = summary["kept"], summary["asked_for"]
    few = "" if kept == wanted else f", {wanted:,} were asked for: no more can be ranked"
    lines = [f"kept      {kept:,} of {summary['samples']:,} samples by {summary['method']}{few}"]
    for name, counts in (("skipped", summary["skipped"]), ("left out", summary["left_out"])):
        lines += [f"{name:9} {count:,}: {reason}" for reason, count in sorted(counts.items())]
    lines.append(f"written   {out}")
    return lines + ([f"          {scores}"] if scores else [])
