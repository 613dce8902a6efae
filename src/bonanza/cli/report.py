"""`bonanza report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bonanza.report.comparison import ComparisonReport
    from bonanza.report.data import Corpus
    from bonanza.report.page import Page

FOLDER_HELP = "The --out folder of `bonanza extract` or `bonanza compare`; the run need not be finished."
CACHE_HELP = "Folder of indexed corpora, for the context of evidence [default: ~/.cache/bonanza]."


def report(
    folder: Annotated[Path, typer.Argument(help=FOLDER_HELP)],
    out: Annotated[Path | None, typer.Option(help="File [default: report.html or compare.html in the folder].")] = None,
    cache: Annotated[Path | None, typer.Option(help=CACHE_HELP)] = None,
) -> None:
    """Write one self-contained HTML page that shows a run or a comparison; it asks the network for nothing."""
    typer.echo(f"written   {draw(folder, out, cache)}")


def draw(folder: Path, out: Path | None = None, cache: Path | None = None) -> Path:
    """Write the page; where it went."""
    from bonanza.report.page import write_page

    name = "compare.html" if is_comparison(folder) else "report.html"
    return write_page(out or folder / name, page_of(folder, cache))


def is_comparison(folder: Path) -> bool:
    """The folder is one of `bonanza compare`."""
    return (folder / "compare.json").is_file()


def page_of(folder: Path, cache: Path | None) -> Page:
    """The page of a run or a comparison, as its folder stands."""
    from bonanza.report.data import read_run
    from bonanza.report.page import comparison_page, run_page

    if is_comparison(folder):
        return comparison_page(_comparison(folder))
    return run_page(read_run(folder, stored_corpus(folder, cache)))


def _comparison(folder: Path) -> ComparisonReport:
    from bonanza.comparison.folder import NAME, read_content
    from bonanza.comparison.rows import summarised, tokens_to_reach
    from bonanza.report.comparison import comparison_report

    content = read_content(folder / NAME)
    return comparison_report(folder.resolve().name, content, summarised(content["rows"]), tokens_to_reach)


def stored_corpus(folder: Path, cache: Path | None) -> Corpus | None:
    """The texts that the run of a folder chose from, if they are in the cache."""
    from bonanza.build import default_cache
    from bonanza.corpus.joined import stored
    from bonanza.report.data import Corpus, owner_of

    name = str(owner_of(folder).get("corpus", ""))
    store = stored((cache or default_cache()) / Path(name).name) if name else None
    return Corpus(store.ids, store.fetch) if store else None
