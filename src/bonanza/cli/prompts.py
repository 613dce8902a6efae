"""`bonanza prompts`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def prompts(
    out: Annotated[Path | None, typer.Option(help="Write them into this folder, to be changed.")] = None,
) -> None:
    """Show what a model is told; `extract --prompts FOLDER` takes changed ones."""
    from bonanza.errors import FolderError
    from bonanza.extractors.server.prompts import NAMES, load_prompts

    texts = load_prompts(None).texts
    if out is None:
        typer.echo("\n".join(f"----- {name}.txt\n{texts[name]}" for name in NAMES))
        return
    if taken := [name for name in NAMES if (out / f"{name}.txt").exists()]:
        raise FolderError(f"{out}: holds {taken[0]}.txt already. Choose another folder; nothing was written.")
    out.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (out / f"{name}.txt").write_text(texts[name], encoding="utf-8")
    typer.echo(f"written   {out}; change them, and give `bonanza extract --prompts {out}`")
