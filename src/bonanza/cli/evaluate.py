"""`bonanza evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from bonanza.cli.printed import JSON_HELP, kept_free, print_json


def evaluate(
    model: Annotated[str, typer.Argument(help="Folder of `bonanza train`, local (the embedded one), hf:PATH or PATH.")],
    target: Annotated[
        str, typer.Option(help="File of questions and answers, or tasks of lm-evaluation-harness: gsm8k,mbpp.")
    ],
    out: Annotated[Path, typer.Option(help="File for the results (.json).")],
    base: Annotated[
        str | None, typer.Option(help="Model to compare with. [default: what MODEL was tuned from, if known]")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many items, of each task.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Answers written at a time. [default: 32]")] = None,
    template: Annotated[
        str | None, typer.Option(help="chat (the model's own) or plain, for files. [default: chat]")
    ] = None,
    fewshot: Annotated[
        int | None, typer.Option(help="Examples before each item of a task. [default: the task's]")
    ] = None,
    apply_chat_template: Annotated[
        bool, typer.Option("--apply-chat-template", help="Put tasks before the model as chats.")
    ] = False,
    include_path: Annotated[str | None, typer.Option(help="Folder with tasks of your own.")] = None,
    confirm_run_unsafe_code: Annotated[
        bool,
        typer.Option("--confirm-run-unsafe-code", help="Allow tasks that execute the code a model writes, unconfined."),
    ] = False,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings; options on the command line win.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any other setting, e.g. answer_tokens=100.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for scores of models [default: ~/.cache/bonanza].")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    json_: Annotated[bool, typer.Option("--json", help=JSON_HELP)] = False,
) -> None:
    """Measure a model on a task or a file, side by side with what it was tuned from."""
    from bonanza.cli.progress import Terminal
    from bonanza.cli.signals import stop_requests
    from bonanza.cli.values import merged
    from bonanza.evaluation.evaluate import evaluate as evaluated
    from bonanza.settings import evaluate_settings_from

    given: dict[str, Any] = {
        "model": model, "target": target, "base": base, "limit": limit, "batch_size": batch_size,
        "scorer.template": template, "fewshot": fewshot, "apply_chat_template": apply_chat_template or None,
        "include_path": include_path, "confirm_run_unsafe_code": confirm_run_unsafe_code or None,
    }  # fmt: skip
    values = merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
    settings = evaluate_settings_from(values, str(config) if config else "command line")
    with kept_free(json_), stop_requests(), Terminal(quiet=quiet) as terminal:
        result = evaluated(settings, out, cache, terminal)
    if json_:
        print_json({key: value for key, value in result.summary.items() if key != "items"})
    elif not quiet:
        typer.echo("\n".join([*_table(result.summary), f"written   {out}"]))


def _table(summary: Mapping[str, Any]) -> list[str]:
    """Each measure of each model, and the difference, with intervals of 95%."""
    models, rows = summary["models"], summary["measures"]
    lines = [f"{role:9} {model}" for role, model in models.items()]
    columns = [*models, *(["difference"] if len(models) > 1 else [])]
    width = max(len(row["measure"]) for row in rows)
    lines += ["", " " * width + "".join(f"  {column:>26}" for column in columns) + "   items"]
    for row in rows:
        cells = "".join(f"  {_cell(row[column], column == 'difference'):>26}" for column in columns)
        lines.append(f"{row['measure']:{width}}{cells}  {row['items']:6,}")
    return [*lines, "", "in parentheses: intervals of 95%; lower is better for losses"]


def _cell(figure: Mapping[str, float | None] | None, signed: bool) -> str:
    """A figure with its interval.

    >>> _cell({"value": 0.5, "low": 0.25, "high": 0.75}, signed=True)
    '+0.500 (+0.250 to +0.750)'
    """
    if figure is None or figure["value"] is None:
        return "-"
    sign = "+" if signed else ""
    value, low, high = (f"{number:{sign}.3f}" if number is not None else "?" for number in figure.values())
    return f"{value} ({low} to {high})"
