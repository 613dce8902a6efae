"""The picture of a comparison: useful pairs against tokens, one panel per judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bonanza.comparison.cells import EVERYTHING, ORACLE
from bonanza.comparison.rows import Spread, summarised
from bonanza.errors import MissingExtraError
from bonanza.files import replacing

# Okabe and Ito's colours, which colour-blind people can tell apart; grey and black are for random and oracle.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F")
MARKERS = "osD^vPX"
LINES = ("-", "--", "-.")  # beyond seven policies, colours come again with another line
PANEL = (5.2, 4.2)  # inches
DOTS_PER_INCH = 150


def draw(path: Path, content: Mapping[str, Any]) -> None:
    """Write the picture of what `compare.json` holds as PNG, whole or not at all.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingExtraError("drawing", "plot") from None
    judges = content["judges"]
    figure = Figure(figsize=(PANEL[0] * len(judges), PANEL[1]), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(judges), squeeze=False)[0]
    for panel, judge in zip(panels, judges, strict=True):
        _draw_panel(panel, judge, content)
    handles, labels = panels[0].get_legend_handles_labels()
    title = "band: one standard\ndeviation over seeds"
    figure.legend(handles, labels, loc="outside right upper", frameon=False, title=title, title_fontsize="small")
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH)


def _draw_panel(panel: Any, judge: str, content: Mapping[str, Any]) -> None:
    curves = {policy: curve for policy, curve in _curves(content, judge) if policy != EVERYTHING}
    styles = _styles([policy for policy in curves if policy not in ("random", ORACLE)])
    for policy, curve in curves.items():
        tokens = [content["budgets"][point["budget"]] for point in curve]
        shares = [0.0, *(100 * some / content["tokens_to_read_everything"] for some in tokens)]
        useful, spread = [0.0, *(point["useful"] for point in curve)], [0.0, *(p["useful_sd"] or 0.0 for p in curve)]
        panel.plot(shares, useful, label=policy, **styles[policy])
        low, high = ([y + sign * sd for y, sd in zip(useful, spread, strict=True)] for sign in (-1, 1))
        panel.fill_between(shares, low, high, color=styles[policy]["color"], alpha=0.15, linewidth=0)
    panel.set_title(f"judge: {judge}, {content['useful'][judge]:,} useful pairs in all", parse_math=False)
    panel.set_xlabel("tokens spent, % of reading everything")
    panel.set_ylabel("useful pairs found")
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="y", alpha=0.25)


def _curves(content: Mapping[str, Any], judge: str) -> Iterator[tuple[str, list[Spread]]]:
    """The points of each policy by one judge, by rising budget."""
    spreads = [one for one in summarised(content["rows"]) if one["judge"] == judge]
    for policy in dict.fromkeys(one["policy"] for one in spreads):
        points = [one for one in spreads if one["policy"] == policy]
        yield policy, sorted(points, key=lambda one: content["budgets"][one["budget"]])


def _styles(policies: Sequence[str]) -> dict[str, dict[str, Any]]:
    styles: dict[str, dict[str, Any]] = {
        "random": {"color": "#888888", "linewidth": 2.5},
        ORACLE: {"color": "black", "linestyle": ":", "linewidth": 1.5},
    }
    for number, policy in enumerate(policies):
        turn, place = divmod(number, len(COLOURS))
        styles[policy] = {
            "color": COLOURS[place], "marker": MARKERS[place], "linestyle": LINES[turn % len(LINES)], "markersize": 4.5,
        }  # fmt: skip
    return styles
