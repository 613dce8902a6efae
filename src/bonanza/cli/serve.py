"""`bonanza serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonanza.cli.report import CACHE_HELP, FOLDER_HELP

PORT = 8321


def serve(
    folder: Annotated[Path, typer.Argument(help=FOLDER_HELP)],
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = PORT,
    cache: Annotated[Path | None, typer.Option(help=CACHE_HELP)] = None,
) -> None:
    """Show a run or a comparison in the browser, live, on this computer only; Ctrl-C ends it."""
    import signal

    from bonanza.cli.report import page_of
    from bonanza.report.live import LivePage, LiveServer

    for which in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a job in the background begins by ignoring it
        signal.signal(which, signal.default_int_handler)
    try:
        with LiveServer(LivePage(folder, lambda: page_of(folder, cache)), port) as server:
            typer.echo(f"serving   {folder} at {server.address} (this computer only; Ctrl-C ends it)")
            server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("ended")
