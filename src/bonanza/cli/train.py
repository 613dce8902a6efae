"""`bonanza train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bonanza.cli.printed import JSON_HELP, kept_free, print_json


def train(
    data: Annotated[str, typer.Argument(help="Folder of `bonanza extract`, or a file of instruction data.")],
    model: Annotated[str, typer.Option(help="local (the embedded one), hf:PATH or PATH.")],
    out: Annotated[Path, typer.Option(help="Folder for the tuned model. The same command again resumes.")],
    full: Annotated[bool, typer.Option("--full", help="Tune all weights, not a LoRA adapter.")] = False,
    preset: Annotated[
        str | None, typer.Option(help="scaled (fits few pairs and small models) or paper. [default: scaled]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="[default: 4, with --full 2]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples per step. [default: from the preset]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="[default: from the preset]")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longer samples are cut. [default: 2048]")] = None,
    template: Annotated[str | None, typer.Option(help="chat (the model's own) or plain. [default: chat]")] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; options on the command line win.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, e.g. lora.rank=8.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    json_: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Tune a language model on instruction data, on what the assistant says alone."""
    from bonanza.cli.progress import Terminal
    from bonanza.cli.signals import stop_requests
    from bonanza.cli.values import merged
    from bonanza.settings import train_settings_from
    from bonanza.training import train as trained

    given: dict[str, Any] = {
        "data": data, "model": model, "full": full or None, "preset": preset, "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "max_tokens": max_tokens, "template": template,
        "seed": seed,
    }  # fmt: skip
    values = merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
    settings = train_settings_from(values, str(config) if config else "command line")
    with kept_free(json_), stop_requests() as stopping, Terminal(quiet=quiet) as terminal:
        result = trained(settings, out, terminal, stopping)
    if json_:
        print_json({"finished": result.finished, **result.summary})
    if not result.finished:
        typer.echo(f"bonanza: {out}: stopped as asked. The same command resumes.", err=True)
        raise typer.Exit(3)
    if not quiet and not json_:
        typer.echo("\n".join(_lines(result.summary, out, result.was_finished)))


def _lines(summary: Mapping[str, Any], out: Path, was_finished: bool) -> list[str]:
    """What was done, on one screen."""
    samples, tokens, losses = summary["samples"], summary["tokens"], summary["losses"]
    lines = ["finished before, nothing to do"] if was_finished else []
    lines.append(
        f"tuned     {summary['model']} on {samples['trained_on']:,} samples, {summary['recipe']['epochs']} times; "
        f"{tokens['answers']:,} of {tokens['all']:,} tokens are learned"
    )
    lines += [f"left out  {count:,}: {reason}" for reason, count in sorted(samples["left_out"].items())]
    if samples["cut"]:
        lines.append(f"cut       {samples['cut']:,} samples at {summary['recipe']['max_tokens']:,} tokens")
    lines.append(
        f"loss      {losses[0]['loss']:.3f} at the start, {losses[-1]['loss']:.3f} at the end, nats per token; "
        f"{summary['steps']:,} steps in {summary['seconds']:,.0f} s"
    )
    return [*lines, f"written   {out / summary['kind']}; `bonanza evaluate {out} --target FILE` measures it"]
