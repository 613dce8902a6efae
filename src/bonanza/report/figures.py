"""Charts as Bokeh draws them in a browser: people can point at them, zoom and save.

A chart travels empty and its numbers beside it, by the names of its data sources, so that a live page can replace the
numbers alone. No text of a document is part of a chart; it stands in the numbers, which Bokeh shows as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bonanza.report.comparison import ORACLE, ComparisonReport, Judge
from bonanza.report.corpus_map import Place
from bonanza.report.data import Curve, RunReport
from bonanza.report.embedded import fitting
from bonanza.report.printed import short

Numbers = Mapping[str, Mapping[str, Sequence[Any]]]  # by data source, by column
Figure = Any  # bokeh.plotting.figure, whose types refuse much that its documentation allows

GREY = "#808080"  # axes: readable on white and on black; the page's script adapts it to the scheme
MAIN, SECOND, UNREAD, TARGET = "#2b7fc3", "#e07b00", "#9a9a9a", "#e0218a"
HEIGHT = 320  # pixels
MAP_BYTES = 550_000  # that the points may take in a page
LONGEST_ID = 40  # characters
# Okabe and Ito's colours, which colour-blind people can tell apart; without black, which the dark hides.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F")
WORTH = ("#7d8fb3", "#8a86ad", "#a87f96", "#c6776f", "#de6f3e", "#f26a00")  # from nothing to most
DASHES = ("solid", "dashed", "dotdash")
MARKERS = ("circle", "square", "diamond", "triangle", "plus", "x", "inverted_triangle")


@dataclass(frozen=True)
class Chart:
    """An empty chart, for the element of that id, and its numbers."""

    id: str
    item: Mapping[str, Any]
    numbers: Numbers = field(default_factory=dict)


def run_charts(report: RunReport) -> list[Chart]:
    """The charts of a run."""
    return [_pairs_chart(report.curve), _transport_chart(report.curve), _map_chart(report)]


def _figure(x: str, y: str, **options: Any) -> Figure:
    """A chart that fits any width and either colour scheme; dragging scrolls the page unless a tool is chosen."""
    from bokeh.plotting import figure

    plot: Any = figure(
        height=HEIGHT, sizing_mode="stretch_width", x_axis_label=x, y_axis_label=y, toolbar_location="above",
        tools="save,reset,pan,box_zoom,wheel_zoom", active_drag=None, active_scroll=None, active_tap=None,
        background_fill_alpha=0, border_fill_alpha=0, outline_line_color=None, min_border_right=18, **options,
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.grid.grid_line_color, plot.grid.grid_line_alpha = GREY, 0.25
    axes = ("axis_label_text", "major_label_text", "axis_line", "major_tick_line")
    for name in axes:
        setattr(plot.axis, f"{name}_color", GREY)
    plot.axis.minor_tick_line_color = None
    plot.axis.axis_label_text_font_style = "normal"
    return plot


def _hover(plot: Figure, tips: Mapping[str, str], renderers: Sequence[Any], mode: Any = "mouse") -> None:
    from bokeh.models import HoverTool

    plot.add_tools(HoverTool(tooltips=list(tips.items()), renderers=list(renderers), mode=mode, visible=False, limit=3))


def _token_figure(y: str) -> Figure:
    from bokeh.models import BasicTicker, DataRange1d, NumeralTickFormatter

    plot = _figure("tokens spent", y, x_range=DataRange1d(start=0))
    plot.xaxis.formatter = NumeralTickFormatter(format="0.[0]a")
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=5)
    plot.yaxis.formatter = NumeralTickFormatter(format="0.[000]a")
    return plot


def _source(name: str, numbers: Mapping[str, Sequence[Any]]) -> Any:
    """An empty data source with these columns."""
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({column: [] for column in numbers}, name=name)


def _chart(id_: str, plot: Figure, numbers: Numbers) -> Chart:
    from bokeh.embed import json_item
    from bokeh.models import SaveTool

    plot.select_one(SaveTool).filename = id_
    return Chart(id_, json_item(plot), numbers)


def _pairs_chart(curve: Curve) -> Chart:
    """Pairs by tokens, and what they are worth where that is measured."""
    worth: Sequence[float | None] = curve.utility or [None] * len(curve.tokens)
    numbers = {"tokens": curve.tokens, "documents": curve.documents, "pairs": curve.pairs, "utility": worth}
    plot, source = _token_figure("pairs"), _source("pairs", numbers)
    line = plot.line("tokens", "pairs", source=source, color=MAIN, line_width=2.5)
    plot.line("tokens", "utility", source=source, color=SECOND, line_width=2, line_dash="dashed")
    tips = {name: f"@{name}{{0,0}}" for name in ("tokens", "documents", "pairs")} | {"utility": "@utility{0.0}"}
    _hover(plot, tips, [line], "vline")
    return _chart("chart-pairs", plot, {"pairs": numbers} if len(curve.tokens) > 1 else {})


def _transport_chart(curve: Curve) -> Chart:
    numbers = {name: [point[name] for point in curve.costs] for name in ("tokens", "cost")}
    plot, source = _token_figure("transport cost"), _source("transport", numbers)
    line = plot.line("tokens", "cost", source=source, color=MAIN, line_width=2.5)
    plot.scatter("tokens", "cost", source=source, color=MAIN, size=6)
    _hover(plot, {"tokens": "@tokens{0,0}", "transport cost": "@cost{0.000}"}, [line], "vline")
    return _chart("chart-transport", plot, {"transport": numbers} if curve.costs else {})


_KNOWN_OF_A_DOCUMENT = {"document": "@id", "begins": "@title", "cluster": "@cluster"}
_KNOWN_OF_A_READ_ONE = {**_KNOWN_OF_A_DOCUMENT, "pairs kept": "@pairs", "utility": "@utility{0.00}"}
_POINT = ("x", "y", "id", "title", "cluster", "pairs", "utility", "worth_colour", "cluster_colour", "colour")
PALETTES = {"worth": (UNREAD, *WORTH), "cluster": (UNREAD, *COLOURS)}  # the page's script colours by either


def _map_chart(report: RunReport) -> Chart:
    """Documents and reference pairs; `worth_colour` and `cluster_colour` are places in the palettes."""
    numbers = _map_numbers(report)
    plot = _figure("first principal component", "second")
    plot.height = 460
    plot.axis.ticker = []
    plot.grid.visible = False
    sources = {name: _source(name, columns) for name, columns in numbers.items()}
    style = {"line_color": None, "fill_color": "colour"}
    unread = plot.scatter("x", "y", source=sources["unread"], size=4, fill_alpha=0.45, **style)
    read = plot.scatter("x", "y", source=sources["read"], size=6.5, fill_alpha=0.9, **style)
    ring = {"marker": "diamond", "fill_color": None, "line_color": TARGET, "line_width": 1.5}
    references = plot.scatter("x", "y", source=sources["references"], size=10, **ring)
    _hover(plot, {**_KNOWN_OF_A_DOCUMENT, "read": "no"}, [unread])
    _hover(plot, _KNOWN_OF_A_READ_ONE, [read])
    _hover(plot, {"reference pair": "@id"}, [references])
    return _chart("chart-map", plot, numbers if report.map else {})


def _map_numbers(report: RunReport) -> dict[str, dict[str, list[Any]]]:
    """Columns of points by data source; fewer points if their texts are too long for a page."""
    known, most = _known(report), _scale(report)
    places = report.map.documents if report.map else []
    points = [(place, _point(place, report.titles.get(place.id, ""), known.get(place.id), most)) for place in places]
    shown = fitting(points, MAP_BYTES, lambda one: one[1])
    targets = [{"x": place.x, "y": place.y, "id": place.id} for place in (report.map.references if report.map else ())]
    return {
        "unread": _columns([point for place, point in shown if not place.read], _POINT),
        "read": _columns([point for place, point in shown if place.read], _POINT),
        "references": _columns(targets, ("x", "y", "id")),
    }


def _columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in names}


def _point(place: Place, title: str, known: tuple[int, float | None] | None, most: float) -> dict[str, Any]:
    pairs, worth = known or (None, None)
    return {
        "x": round(place.x, 3), "y": round(place.y, 3), "id": short(place.id, LONGEST_ID), "title": title,
        "cluster": place.cluster, "pairs": pairs, "utility": None if worth is None else round(worth, 2),
        "worth_colour": 1 + _step(worth, most) if place.read else 0,
        "cluster_colour": 0 if place.cluster is None else 1 + place.cluster % len(COLOURS),
        "colour": UNREAD,
    }  # fmt: skip


def _known(report: RunReport) -> dict[str, tuple[int, float | None]]:
    """Kept pairs and utility of each document read, by id."""
    documents = report.documents
    utility = [None] * len(documents) if documents.utility is None else documents.utility.tolist()
    return dict(zip(documents.ids, zip(documents.kept.tolist(), utility, strict=True), strict=True))


def _scale(report: RunReport) -> float:
    """The utility that gets the strongest colour: all but one in twenty of the read documents have less."""
    utility = report.documents.utility
    return float(np.quantile(utility, 0.95)) if utility is not None and len(utility) else 0.0


def _step(worth: float | None, most: float) -> int:
    share = min((worth or 0.0) / most, 1.0) if most > 0 else 0.0
    return round(share * (len(WORTH) - 1))


def comparison_charts(report: ComparisonReport) -> list[Chart]:
    """One chart per judge: useful pairs by tokens, a band of one standard deviation around each policy."""
    return [_judge_chart(number, judge) for number, judge in enumerate(report.judges)]


def _judge_chart(number: int, judge: Judge) -> Chart:
    plot, numbers = _token_figure("useful pairs"), dict[str, dict[str, list[Any]]]()
    for place, curve in enumerate(judge.curves):
        name = f"{number}-{place}"
        numbers[name] = {
            "policy": [curve.policy] * len(curve.points), **_columns(curve.points, ("tokens", "useful", "low", "high"))
        }  # fmt: skip
        source, look = _source(name, numbers[name]), policy_look(curve.policy, place)
        plot.varea("tokens", "low", "high", source=source, fill_color=look.colour, fill_alpha=0.15)
        line = plot.line(
            "tokens", "useful", source=source, color=look.colour, line_dash=look.dash, line_width=look.width
        )
        plot.scatter("tokens", "useful", source=source, color=look.colour, marker=look.marker, size=6)
        _hover(plot, {"policy": "@policy", "tokens": "@tokens{0,0}", "useful pairs": "@useful{0,0.0}"}, [line])
    return _chart(f"chart-judge-{number}", plot, numbers)


@dataclass(frozen=True, slots=True)
class Look:
    """How a policy is drawn, in the chart and in the legend beside it."""

    colour: str
    dash: str
    width: float
    marker: Any


def policy_look(policy: str, place: int) -> Look:
    """Baselines in grey, the others in colours; beyond seven policies, colours come again with other lines."""
    if policy == "random":
        return Look(GREY, "solid", 4, "circle")
    if policy == ORACLE:
        return Look(GREY, "dotted", 2, "x")
    turn, colour = divmod(place, len(COLOURS))
    return Look(COLOURS[colour], DASHES[turn % len(DASHES)], 2, MARKERS[colour])
