"""Pages: what a report says, as one HTML file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonanza.errors import MissingExtraError
from bonanza.files import write_text
from bonanza.report import printed
from bonanza.report.comparison import LEVELS, ComparisonReport
from bonanza.report.data import CONTEXT, RunReport, ShownPair, settings_text
from bonanza.report.embedded import fitting, script_json

if TYPE_CHECKING:
    from jinja2 import Environment

    from bonanza.report.figures import Chart

PAIRS_BYTES = 600_000  # that the pairs of the browser may take in a page
LONGEST = {"question": 500, "answer": 1_200, "evidence": 800, "id": 200, "reason": 300}  # characters in the browser


@dataclass(frozen=True)
class Page:
    """What a page shows, before it is HTML."""

    title: str
    template: str
    values: Mapping[str, Any]
    charts: Sequence[Chart]
    pairs: Sequence[Mapping[str, Any]] = ()


def run_page(report: RunReport) -> Page:
    """The page of a run.

    Raises
    ------
    MissingExtraError
        If what draws pages is not installed.
    """
    try:
        from bonanza.report.figures import MAIN, PALETTES, SECOND, TARGET, run_charts

        charts = run_charts(report)
    except ModuleNotFoundError:
        raise MissingExtraError("the report", "report") from None
    pairs = fitting([_browsed(pair) for pair in report.pairs], PAIRS_BYTES, lambda pair: pair)
    points = charts[-1].numbers
    values = {
        "report": report, "shown_pairs": len(pairs), "settings": settings_text(report.settings),
        "provenance": settings_text(report.provenance), "main": MAIN, "second": SECOND, "target": TARGET,
        "palettes": PALETTES, "points": {name: len(columns["x"]) for name, columns in points.items()},
    }  # fmt: skip
    return Page(f"{report.name} · bonanza", "run.html", values, charts, pairs)


def comparison_page(report: ComparisonReport) -> Page:
    """The page of a comparison.

    Raises
    ------
    MissingExtraError
        If what draws pages is not installed.
    """
    try:
        from bonanza.report.figures import comparison_charts, policy_look

        charts = comparison_charts(report)
    except ModuleNotFoundError:
        raise MissingExtraError("the report", "report") from None
    values = {
        "report": report, "content": report.content, "levels": LEVELS, "look": policy_look,
        "settings": settings_text(report.content["settings"]), "provenance": settings_text(report.content["inputs"]),
    }  # fmt: skip
    return Page(f"{report.name} · bonanza", "comparison.html", values, charts)


def _browsed(shown: ShownPair) -> dict[str, Any]:
    """A pair as the browser shows it; short names, since there are thousands."""
    found, pair, evidence = shown.found, shown.found.pair, shown.evidence
    scores = {name: value for name, value in (found.scores or {}).items() if value is not None}
    return {
        "q": printed.short(pair.question, LONGEST["question"]), "a": printed.short(pair.answer, LONGEST["answer"]),
        "d": printed.short(pair.document_id, LONGEST["id"]), "s": pair.status,
        "r": printed.short(pair.reason, LONGEST["reason"]), "b": evidence.before[-CONTEXT:],
        "e": printed.middle_cut(evidence.passage, LONGEST["evidence"]), "f": evidence.after[:CONTEXT],
        "c": found.cluster, "n": found.round, "x": scores,
    }  # fmt: skip


def whole_page(page: Page, poll_seconds: float | None = None) -> str:
    """The HTML of a page; one that is given seconds asks its server for news as often."""
    scripts = [_bokeh_script(), _text("report.js")]
    template = _environment().get_template("page.html")
    return template.render(
        page=page, policy=_security_policy(scripts, "'self'" if poll_seconds else "'none'"), style=_text("report.css"),
        scripts=scripts, charts=script_json([{"id": chart.id, "item": chart.item} for chart in page.charts]),
        data=_data(page), poll_seconds=poll_seconds, **page.values,
    )  # fmt: skip


def fragment(page: Page) -> str:
    """What changes of a page while a run goes on."""
    return _environment().get_template("fragment.html").render(page=page, data=_data(page), **page.values)


def _data(page: Page) -> str:
    numbers = {chart.id: chart.numbers for chart in page.charts}
    return script_json({"numbers": numbers, "palettes": page.values.get("palettes"), "pairs": page.pairs})


def _security_policy(scripts: Sequence[str], connect: str) -> str:
    """Only these scripts may run, nothing may be loaded. Charts bring styles of their own and icons as data."""
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; connect-src {connect}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _bokeh_script() -> str:
    """What draws charts in the browser."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"], log_level="error").js_raw).replace("\r\n", "\n")


@cache
def _text(name: str) -> str:
    """One of our own files, which templates put into the page as it stands."""
    return files("bonanza.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError:
        raise MissingExtraError("the report", "report") from None
    environment = Environment(
        loader=PackageLoader("bonanza.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    names = ("whole", "real", "percent", "dollars", "short")
    environment.filters.update({name: getattr(printed, name) for name in names})
    return environment


def write_page(path: Path, page: Page) -> Path:
    """Write a page, whole or not at all."""
    write_text(path, whole_page(page))
    return path
