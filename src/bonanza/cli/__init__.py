"""The command line: one file per command. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import os
import sys
from typing import Annotated

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads sleep: ten times faster on a busy small machine

import typer

from bonanza import __version__
from bonanza.cli.compare import compare
from bonanza.cli.demo import demo
from bonanza.cli.doctor import doctor
from bonanza.cli.estimate import estimate
from bonanza.cli.evaluate import evaluate
from bonanza.cli.export import export
from bonanza.cli.extract import extract
from bonanza.cli.index import index
from bonanza.cli.printable import LONGEST_MESSAGE, printable
from bonanza.cli.printed import status_of
from bonanza.cli.prompts import prompts
from bonanza.cli.report import report
from bonanza.cli.select import select
from bonanza.cli.serve import serve
from bonanza.cli.train import train
from bonanza.errors import BonanzaError

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
app.command()(extract)
app.command()(estimate)
app.command()(prompts)
app.command()(index)
app.command()(select)
app.command()(compare)
app.command()(report)
app.command()(serve)
app.command()(train)
app.command()(evaluate)
app.command()(export)
app.command()(demo)
app.command()(doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bonanza {__version__}")
        raise typer.Exit


@app.callback()
def _bonanza(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Find the documents worth paying an LLM to read, and turn those alone into instruction-tuning pairs."""


def main() -> None:
    """Run a command. Exit status: 0 done, 2 wrong use, 3 ended early but valid (of doctor: a problem was found)."""
    try:
        app()
    except BonanzaError as error:
        typer.echo(f"bonanza: {printable(str(error), LONGEST_MESSAGE)}", err=True)
        sys.exit(status_of(error))
    except OSError as error:
        what = printable(f"{error.filename or 'disk'}: {error.strerror or error}", LONGEST_MESSAGE)
        typer.echo(f"bonanza: {what}. Make room or mend it; the same command resumes.", err=True)
        sys.exit(status_of(error))
