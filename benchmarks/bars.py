"""The picture of a benchmark: bars of its sides, a panel for each kind of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from record import Record, Row

from spacy_bertft.pictures.colors import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, FLOOR = ("spacy-bertft",), ("bare torch", "plain torch")
LOOKS: dict[str, dict[str, Any]] = {
    "spacy-bertft": {"facecolor": COLORS["bar"], "edgecolor": COLORS["bar"]},
    "the floor: torch alone": {"facecolor": "none", "edgecolor": COLORS["bar"], "linestyle": (0, (3, 2))},
    "others": {"facecolor": COLORS["muted"], "edgecolor": "none", "alpha": 0.4},
}
SMALL: dict[str, Any] = {"fontsize": "small", "color": COLORS["muted"]}
LABEL_PLACE: dict[str, Any] = {"textcoords": "offset points", "va": "center"}


class Chart(NamedTuple):
    """What a picture shows.

    Attributes:
        heading: What stands above it; `{base}` becomes what the ratios are relative to.
        shows: The length of a bar.
    """

    heading: str
    shows: Literal["ratio", "value"]


def find_look(name: str) -> str:
    """Find how a side looks, by how its name begins."""
    ours, floor, others = LOOKS
    return ours if name.startswith(OURS) else floor if name.startswith(FLOOR) else others


def draw_bars(records: Sequence[Record], chart: Chart) -> Figure:
    """Draw the records of a script side by side.

    Args:
        records: A record for each kind of texts.
        chart: What to show of them.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.patches import Patch

    names = order_names(records)
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.04)
    figure = Figure(figsize=(8.4, 1.6 + 0.32 * len(names)), layout=layout)
    panels = figure.subplots(1, len(records), sharex=True, sharey=True, squeeze=False)[0]
    for axes, record in zip(panels, records, strict=True):
        draw_panel(axes, record, names, chart)
    panels[0].set_yticks(range(len(names)), names)
    for label, name in zip(panels[0].get_yticklabels(), names, strict=True):
        label.set(color=COLORS["ink"], fontweight="bold" if name.startswith(OURS) else "normal")
    # Room behind the longest bar for its number.
    longest = max(find_end(row, chart) for record in records for row in record.rows)
    room = 0.1 + len(records) * (0.09 if chart.shows == "ratio" else 0.17)
    panels[0].set(xlim=(0, (1 + room) * longest), ylim=(len(names) - 0.4, -0.6))
    bases = dict.fromkeys(record.relative_to for record in records)
    heading = chart.heading.format(base=" or ".join(bases))
    figure.suptitle(heading, x=0.012, ha="left", color=COLORS["ink"], fontsize="large", fontweight="bold")
    looks = dict.fromkeys(find_look(name) for name in names)
    patches = [Patch(label=look, linewidth=1, **LOOKS[look]) for look in LOOKS if look in looks]
    style: dict[str, Any] = {"frameon": False, "fontsize": "small", "labelcolor": COLORS["muted"], "ncols": 3}
    figure.legend(handles=patches, loc="outside lower right", **style)
    return figure


def order_names(records: Sequence[Record]) -> list[str]:
    """Collect the sides of all records: those of others first, then ours, each next to its floor."""
    names = list(dict.fromkeys(row.name for record in records for row in record.rows))
    return sorted(names, key=lambda name: name.startswith(OURS + FLOOR))


def find_end(row: Row, chart: Chart) -> float:
    """Find where a bar and its whisker end."""
    if chart.shows == "value":
        return row.value
    return max(row.ratio or 0, row.highest or 0)


def draw_panel(axes: Axes, record: Record, names: Sequence[str], chart: Chart) -> None:
    """Draw the bars of one record."""
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=COLORS["muted"], length=0)
    axes.grid(axis="x", color=COLORS["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(record.texts, loc="left", color=COLORS["ink"], fontsize="medium")
    row_by_name = {row.name: row for row in record.rows}
    for place, name in enumerate(names):
        if name in row_by_name:
            draw_bar(axes, place, row_by_name[name], chart)
        else:
            # On paper, since the line at 1 runs through here.
            paper = {"facecolor": COLORS["paper"], "edgecolor": "none", "pad": 1.5}
            axes.annotate("not measured", (0, place), (5, 0), bbox=paper, **LABEL_PLACE, **SMALL)
    if chart.shows == "ratio":
        base = record.rows[0]
        axes.set_xlabel(f"1 = {base.value:,.0f} {base.unit}", **SMALL)
        axes.axvline(1, color=COLORS["mark"], linewidth=1.1, linestyle=(0, (4, 3)), zorder=0.9)
    else:
        axes.set_xlabel(record.rows[0].unit, **SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter("{x:g}")


def draw_bar(axes: Axes, place: int, row: Row, chart: Chart) -> None:
    """Draw one bar, its spread as a whisker, and its number."""
    length = row.value if chart.shows == "value" else row.ratio or 0
    axes.barh(place, length, height=0.66, linewidth=1, **LOOKS[find_look(row.name)])
    if chart.shows == "ratio" and row.lowest is not None and row.lowest != row.highest:
        axes.plot([row.lowest, row.highest], [place, place], color=COLORS["ink"], linewidth=1.2)
    number = f"{length:.2f}"
    if chart.shows == "value" and row.lowest is not None:
        number += f"  (× {row.ratio:.2f})"
    color = COLORS["ink"] if row.name.startswith(OURS) else COLORS["muted"]
    axes.annotate(number, (find_end(row, chart), place), (5, 0), **LABEL_PLACE, **SMALL | {"color": color})
