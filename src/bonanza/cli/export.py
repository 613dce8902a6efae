"""`bonanza export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FORMAT_HELP = (
    "messages | alpaca | sharegpt | prompt-completion | parquet | dataset (a folder for the Hugging Face hub). Give it "
    "several times for several formats. [default: messages]"
)
HUB_HELP = "Upload the dataset folder under this name, private if it is new; token in HF_TOKEN."
VALIDATION_HELP = "Share of the documents to validate on; 0 for none. [default: 5%, or none of too few documents]"
LONGEST_LICENCE = 100  # characters


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run of extract.")],
    out: Annotated[Path, typer.Option(help="Folder for the export; an earlier export there is replaced.")],
    format_: Annotated[list[str] | None, typer.Option("--format", help=FORMAT_HELP)] = None,
    validation: Annotated[str | None, typer.Option(help=VALIDATION_HELP)] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another split.")] = 0,
    licence: Annotated[
        str | None, typer.Option(help="Of all sources, for the dataset card. [default: column license of the corpus]")
    ] = None,
    push_to_hub: Annotated[str | None, typer.Option(metavar="NAME", help=HUB_HELP)] = None,
) -> None:
    """Write a run's kept pairs for training programs, split by document."""
    from bonanza.cli.printable import printable
    from bonanza.exporting import ExportSettings
    from bonanza.exporting import export as run

    settings = ExportSettings(tuple(format_ or ["messages"]), validation, seed, licence, push_to_hub)
    result = run(folder, out, settings)
    for name, side in result.sides.items():
        typer.echo(f"{name:<10}  {side.pairs:,} pairs of {side.documents:,} documents")
    if validation is None and len(result.sides) == 1:
        typer.echo("validation  none: with so few documents a side would be empty; --validation sets a share")
    if result.licences is not None:
        counts = result.licences.counts.items()
        named = "; ".join(f"{printable(name, LONGEST_LICENCE)} ({count:,} documents)" for name, count in counts)
        advice = "" if result.licences.is_known else ". Find the unknown out, and give it with --licence"
        typer.echo(f"licences    {named}{advice}")
    typer.echo(f"written     {out}: {', '.join(result.files)}")
    if result.address:
        typer.echo(f"uploaded    {result.address}")
