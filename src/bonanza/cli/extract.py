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
        str | None, typer.Option(help="equal | nearest | round_robin | dsir | random  [default: equal]")
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
    from bonanza.errors import UsageError
    from bonanza.run import run
    from bonanza.settings import settings_from

    given: dict[str, Any] = {
        "corpus": tuple(corpus) if corpus else None, "target": target, "budget": budget, "llm": llm, "policy": policy,
        "embedder": embedder, "seed": seed, "limit": limit, "text_field": text_field, "id_field": id_field,
        "prices.input": input_price, "prices.output": output_price,
    }  # fmt: skip
    values = _merged(config, {key: value for key, value in given.items() if value is not None}, set_ or [])
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


def _merged(config: Path | None, given: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Settings of the file, overridden by those of the command line."""
    values = _read_config(config) if config else {}
    for key, value in [*given.items(), *(_assignment(text) for text in assignments)]:
        place = values
        *outer, last = key.split(".")
        for name in outer:
            place = _inside(place, name, key)
        place[last] = value
    return values


def _inside(place: dict[str, Any], name: str, key: str) -> dict[str, Any]:
    """The nested settings of that name; new ones where there are none."""
    from bonanza.errors import SettingsError

    inner = place.get(name)
    if inner is None:
        inner = place[name] = {}
    if not isinstance(inner, dict):
        raise SettingsError(f"setting {name!r} is {inner!r}: it must hold settings, one of them {key!r}.")
    return inner


def _read_config(path: Path) -> dict[str, Any]:
    import yaml

    from bonanza.errors import SettingsError

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}). Check the path after --config.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML ({' '.join(str(error).split())}). Mend the file.") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise SettingsError(f"{path}: must hold settings, one 'name: value' per line.")
    if isinstance(values.get("corpus"), str):
        values["corpus"] = (values["corpus"],)
    return values


def _assignment(text: str) -> tuple[str, Any]:
    import yaml

    from bonanza.errors import SettingsError

    key, equals, value = text.partition("=")
    try:
        if equals and key.strip():
            return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        pass
    raise SettingsError(f"--set {text!r}: write NAME=VALUE, e.g. --set equal.clusters=100.")
