"""`bonanza doctor`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bonanza.cli.printable import printable
from bonanza.cli.printed import kept_free, print_json

if TYPE_CHECKING:
    from bonanza.doctor import Finding

WIDTH = 80  # columns, also in a log
LONGEST = 600  # characters of one finding


def doctor(
    llm: Annotated[
        str | None, typer.Option(help="Look at what reads documents too, as in extract: openai:MODEL, local, ...")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of the server, e.g. http://127.0.0.1:8000/v1 [default: OPENAI_BASE_URL]")
    ] = None,
    call: Annotated[
        bool, typer.Option("--call", help="Ask the server one question. It may cost money: a few hundred tokens.")
    ] = False,
    lm: Annotated[
        str | None, typer.Option(help="Open a language model too, as in select: local, hf:PATH, openai:MODEL.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds that a server may take.")] = 20.0,
    cache: Annotated[Path | None, typer.Option(help="Folder of indexed corpora [default: ~/.cache/bonanza].")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON document.")] = False,
) -> None:
    """Check the installation, disk, key, server and model, and say what to do; status 3 if there is a problem."""
    from bonanza.cli.progress import Terminal
    from bonanza.doctor import Request, examine, worst

    request = Request(llm, lm, base_url, call, timeout, cache)
    with kept_free(json_), Terminal() as terminal:
        findings = [_plain(finding) for finding in examine(request, lambda text: terminal.stage(printable(text, 200)))]
    if json_:
        print_json({"status": worst(findings), "findings": [asdict(finding) for finding in findings]})
    else:
        typer.echo("\n".join(_lines(findings)))
    if worst(findings) == "problem":
        raise typer.Exit(3)


def _plain(finding: Finding) -> Finding:
    """The finding without control characters: servers and files have a say in it."""
    return replace(finding, text=printable(finding.text, LONGEST), advice=printable(finding.advice, LONGEST))


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Each finding, what to do below it, and how many there are of which kind."""
    for finding in findings:
        yield from _wrapped(f"{finding.status:8} {finding.subject:12} ", finding.text)
        if finding.advice:
            yield from _wrapped(f"{'':8} {'':9} -> ", finding.advice)
    counts = [(status, sum(finding.status == status for finding in findings)) for status in ("problem", "warning")]
    told = ", ".join(f"{count} {status}{'s' * (count > 1)}" for status, count in counts if count)
    yield told or "all is well"


def _wrapped(head: str, text: str) -> list[str]:
    """Within the columns; what cannot be broken, an address or a command, stays whole."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]  # fmt: skip
