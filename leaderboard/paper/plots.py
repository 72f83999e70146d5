"""The figures of a paper, drawn from plain numbers: heat map, plane, curves, ranks, seeds as dots.

A figure is as wide as a column or a page, has 8 point text, no title, and the palette of Okabe and Ito (2008) without
its yellow, which is too light for white paper; a marker, a line style or a hatch always says what a colour says. Text
stays text in SVG and PDF, and the same numbers give the same bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import matplotlib.style
from matplotlib.axes import Axes as Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure as Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT, CARETUP
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, NullLocator

from leaderboard.axes import round_values
from leaderboard.wording import number, score
from tasks.types import SCORE_CLIP

Format = Literal["svg", "pdf", "png"]
Sign = Literal["failed", "not trained", "skipped", "not run"]
Where = Literal["outside lower center", "outside upper center"]
Span = tuple[float, float]
Draw = Callable[[], Figure]

COLUMN_INCHES, PAGE_INCHES = 3.25, 6.75
LINE_INCHES = 0.17  # of a line of text with its distance to the next
LETTER_INCHES = 0.066  # of the mean letter
HANDLE_INCHES = 0.36  # of a legend's sign with the distances around it
LONGEST_NAME = 34
FEWEST_ROWS = 3  # of a heat map that is high enough for a scale
DPI = 300
INK, GREY, PALE = "#1a1a1a", "#8c8c8c", "#d9d9d9"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)), (0, (7, 2)))
HATCHES: Mapping[Sign, str] = {"failed": "xxxxx", "not trained": ".....", "skipped": "/////", "not run": ""}
SIGN_MARKERS: Mapping[Sign, str] = {"failed": "x", "not trained": "o"}
SCORE_AXIS: Span = (SCORE_CLIP[0] - 0.04, SCORE_CLIP[1] + 0.04)
HEADS = ((CARETLEFT, CARETRIGHT), (CARETDOWN, CARETUP))  # at the first and the second limit, of x and of y
SCORE_NORM = Normalize(*SCORE_CLIP)
SCORES = LinearSegmentedColormap.from_list(
    "scores",
    [(0.0, "#e08a4a"), (float(SCORE_NORM(0.0)), "#ffffff"), (float(SCORE_NORM(0.5)), "#86bfe3"), (1.0, "#0072b2")],
)
STYLE: dict[str, Any] = {
    "font.size": 8,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],  # the first ships with matplotlib
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.3,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
}
METADATA: Mapping[Format, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def files(draw: Draw, formats: Sequence[Format]) -> dict[str, bytes]:
    """A figure in some formats; drawn in here, since matplotlib reads its style when it draws and when it saves."""
    with matplotlib.style.context(["default", STYLE | {"svg.hashsalt": "offpiste"}]):
        figure = draw()
        return {name: saved(figure, name) for name in formats}


def saved(figure: Figure, name: Format) -> bytes:
    """The bytes of a figure, which hold no date and no name of a program."""
    file = io.BytesIO()
    figure.savefig(file, format=name, dpi=DPI, metadata=METADATA[name])
    return file.getvalue()


# --- what all figures share -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """The colour and the marker that stand for an entrant in every figure."""

    colour: str
    marker: str


def marks(n: int) -> list[Mark]:
    """So many marks; no two of 63 are the same, and neighbours share neither colour nor marker."""
    return [Mark(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for place in range(n)]


def sheet(width: float, height: float) -> Figure:
    """An empty figure in inches that makes room for its labels."""
    return Figure(figsize=(width, height), layout="constrained")


def label(text: str) -> str:
    """A name in a figure: one line, not too long, of characters that the font has."""
    shown = "".join(c if ord(c) in characters() else f"[U+{ord(c):04X}]" for c in " ".join(text.split()))
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 1]}…"


@cache
def characters() -> frozenset[int]:
    """What the font has a sign for; direction marks, which it has, turn a line around and are left out."""
    found = get_font(findfont(STYLE["font.sans-serif"][0])).get_charmap()
    return frozenset(code for code in found if chr(code).isprintable())


def width_of(names: Sequence[str]) -> float:
    """About how many inches the longest of some labels takes."""
    return LETTER_INCHES * max((len(label(name)) for name in names), default=0)


def legend(figure: Figure, handles: Sequence[Any], width: float, where: Where = "outside lower center") -> None:
    """A legend outside the axes, in as many columns as fit; nothing without handles."""
    if handles:
        columns = legend_columns([handle.get_label() for handle in handles], width)
        figure.legend(handles=list(handles), loc=where, ncols=columns, borderaxespad=0.1)


def legend_columns(names: Sequence[str], width: float) -> int:
    """How many columns of labels fit; names go down each column in turn."""
    for columns in range(len(names), 1, -1):
        rows = -(-len(names) // columns)
        parts = [names[start : start + rows] for start in range(0, len(names), rows)]
        if sum(width_of(part) + HANDLE_INCHES for part in parts) <= width:
            return len(parts)
    return 1


def legend_rows(names: Sequence[str], width: float) -> int:
    """How many lines `legend` takes for some labels."""
    return -(-len(names) // legend_columns(names, width)) if names else 0


def upright(axes: Axes, names: Sequence[str]) -> None:
    """One line of the axes for every name, the first on top."""
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def interval(axes: Axes, at: float, span: Span | None, colour: str, up: bool = False, linewidth: float = 1.1) -> None:
    """A line along x, or `up` along y; where it goes on beyond the axis, an arrowhead at its edge says so."""
    if span is None:
        return
    limits = axes.get_ylim() if up else axes.get_xlim()
    ends = tuple(within(value, limits) for value in span)
    axes.plot(*placed(ends, at, up), color=colour, linewidth=linewidth, solid_capstyle="butt", zorder=2)
    for value, end in zip(span, ends, strict=True):
        if value != end:
            head = HEADS[up][int(end == limits[1])]
            style: dict[str, Any] = {"marker": head, "markersize": 4 * linewidth, "mew": 0}
            axes.plot(*placed((end,), at, up), color=colour, zorder=2, clip_on=False, **style)


def placed(values: Sequence[float], at: float, up: bool) -> tuple[Sequence[float], Sequence[float]]:
    """Values along x, or `up` along y, at one place of the other axis."""
    level = [at] * len(values)
    return (level, values) if up else (values, level)


def goes_on(span: Span | None, axis: Span) -> bool:
    """Whether an interval has an arrowhead on an axis."""
    return span is not None and any(within(value, axis) != value for value in span)


def score_axis(axes: Axes, shown: Sequence[float]) -> None:
    """Scores along x with some numbers, and lines where the floor and the ceiling are."""
    axes.set_xlim(SCORE_AXIS)
    axes.set_xticks(shown, [number(value) for value in shown])
    for value in (0.0, 1.0):
        axes.axvline(value, color=GREY, linewidth=0.6, linestyle=(0, (4, 2)), zorder=0)


# --- heat map ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tile:
    """A score, what became of seeds that did not train, or both."""

    value: float | None
    sign: Sign | None


def heat_map(rows: Sequence[str], columns: Sequence[str], tiles: Sequence[Sequence[Tile]], apart: int = 0) -> Figure:
    """tiles[row][column]; the last `apart` columns stand apart from the others."""
    places = [place + (0.25 if place >= len(columns) - apart else 0.0) for place in range(len(columns))]
    room = width_of(rows) + 0.31 * (places[-1] + 1) + 0.5
    width = COLUMN_INCHES if room <= COLUMN_INCHES else PAGE_INCHES
    slanted = width_of(columns) * math.sin(math.radians(45))
    handles = sign_handles([tile for line in tiles for tile in line])
    signs = legend_rows([handle.get_label() for handle in handles], width)
    figure = sheet(width, 0.2 * len(rows) + slanted + 0.25 + LINE_INCHES * signs)
    axes = figure.subplots()
    for y, line in enumerate(tiles):
        for x, tile in zip(places, line, strict=True):
            paint(axes, x, y, tile)
    upright(axes, rows)
    axes.set_xlim(-0.5, places[-1] + 0.5)
    axes.set_xticks(places, [label(name) for name in columns], rotation=45, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0)
    axes.spines[:].set_visible(False)
    if len(rows) >= FEWEST_ROWS:
        scale(figure, axes, len(rows))
    legend(figure, handles, width)
    return figure


def paint(axes: Axes, x: float, y: float, tile: Tile) -> None:
    """One tile: coloured with its number, or hatched where there is none."""
    place = (x - 0.47, y - 0.46)
    if tile.value is None and tile.sign is None:
        return
    if tile.value is None:
        hatch = HATCHES[tile.sign] if tile.sign else ""
        axes.add_patch(Rectangle(place, 0.94, 0.92, facecolor="white", edgecolor=GREY, hatch=hatch, linewidth=0.4))
        return
    ground = SCORES(SCORE_NORM(min(max(tile.value, SCORE_CLIP[0]), SCORE_CLIP[1])))
    axes.add_patch(Rectangle(place, 0.94, 0.92, facecolor=ground, edgecolor=PALE, linewidth=0.4))
    ink = "white" if 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2] < 0.5 else INK
    axes.text(x, y, score(tile.value), ha="center", va="center_baseline", color=ink, fontsize=7)
    if tile.sign is not None and tile.sign in SIGN_MARKERS:
        axes.plot(x + 0.41, y - 0.36, SIGN_MARKERS[tile.sign], color=ink, markersize=2.2, mfc="none", mew=0.6)


def scale(figure: Figure, axes: Axes, n_rows: int) -> None:
    """What the colours of a heat map with so many rows stand for, as high as the map."""
    mapped = matplotlib.cm.ScalarMappable(SCORE_NORM, SCORES)
    bar = figure.colorbar(mapped, ax=axes, aspect=2 * n_rows, fraction=0.05, pad=0.02, ticks=[SCORE_CLIP[0], 0, 0.5, 1])
    bar.ax.set_yticklabels([number(SCORE_CLIP[0]), "0", "0.5", "1"])
    bar.outline.set_linewidth(0.4)


def sign_handles(tiles: Sequence[Tile]) -> list[Any]:
    """The legend's entries for what is on a heat map."""
    whole = {tile.sign for tile in tiles if tile.value is None}
    in_part = {tile.sign for tile in tiles if tile.value is not None}
    patches = [
        Patch(facecolor="white", edgecolor=GREY, hatch=hatch, linewidth=0.4, label=sign)
        for sign, hatch in HATCHES.items()
        if sign in whole
    ]
    lines = [
        Line2D([], [], color=INK, linestyle="", marker=m, mfc="none", mew=0.6, markersize=3, label=f"some seeds {sign}")
        for sign, m in SIGN_MARKERS.items()
        if sign in in_part
    ]
    return [*patches, *lines]


# --- in distribution against out of distribution ----------------------------------------------------------------------


@dataclass(frozen=True)
class PlanePoint:
    """An entrant's means in distribution (x) and out of it (y) with their intervals."""

    name: str
    mark: Mark
    x: float
    y: float
    x_span: Span | None
    y_span: Span | None


@dataclass(frozen=True)
class Plane:
    """Axes run from the worst to the best value. `rules` are the anchors out of distribution by name.

    `gate` is None where it is not read from the value across.
    """

    points: Sequence[PlanePoint]
    across: Span
    up: Span
    gate: float | None
    rules: Mapping[str, float]
    metric: str


def plane(data: Plane) -> Figure:
    """Every entrant with two-way intervals. Open markers lie beyond the axes and are drawn at their edge."""
    names = [point.name for point in data.points]
    figure = sheet(COLUMN_INCHES, 2.35 + LINE_INCHES * legend_rows(names, COLUMN_INCHES))
    axes = figure.subplots()
    if (shared := diagonal(data)) is not None:
        axes.plot(shared, shared, color=PALE, linewidth=0.8, zorder=0)
    for name, value in data.rules.items():
        axes.axhline(value, color=GREY, linewidth=0.6, linestyle=DASHES[1], zorder=0)
        note(axes, name, (1.015, value), axes.get_yaxis_transform(), ha="left", va="center")
    if data.gate is not None:
        axes.axvline(data.gate, color=GREY, linewidth=0.6, linestyle=DASHES[2], zorder=0)
        note(axes, "gate", (data.gate, 1.0), axes.get_xaxis_transform(), ha="center", va="bottom")
    axes.set(xlim=data.across, ylim=data.up)
    for point in data.points:
        spot(axes, point, data)
    ticks(axes, data.across, data.up)
    axes.set_xlabel(label(f"{data.metric} in distribution"))
    axes.set_ylabel(label(f"{data.metric} out of distribution"))
    legend(figure, [handle(point.name, point.mark) for point in data.points], COLUMN_INCHES)
    return figure


def diagonal(data: Plane) -> Span | None:
    """The values that both axes have, where they are a quarter of each; a shorter line would say nothing."""
    low, high = max(min(data.across), min(data.up)), min(max(data.across), max(data.up))
    lengths = (max(axis) - min(axis) for axis in (data.across, data.up))
    return (low, high) if all(high - low >= length / 4 for length in lengths) else None


def spot(axes: Axes, point: PlanePoint, data: Plane) -> None:
    """An entrant's marker with its intervals."""
    x, y = within(point.x, data.across), within(point.y, data.up)
    colour, beyond = point.mark.colour, (x, y) != (point.x, point.y)
    interval(axes, y, point.x_span, colour, linewidth=0.7)
    interval(axes, x, point.y_span, colour, up=True, linewidth=0.7)
    face, edge = ("white", colour) if beyond else (colour, "white")
    axes.plot(x, y, point.mark.marker, color=colour, mfc=face, mec=edge, mew=0.5, zorder=3, clip_on=False)


def within(value: float, span: Span) -> float:
    """The nearest value on an axis."""
    return min(max(value, min(span)), max(span))


def note(axes: Axes, text: str, place: Span, transform: Any, **alignment: Any) -> None:
    """A word beside a line."""
    axes.text(*place, label(text), transform=transform, color="#595959", fontsize=7, **alignment)


def ticks(axes: Axes, across: Span, up: Span) -> None:
    """Round numbers along both axes."""
    x, y = round_values(min(across), max(across), 4), round_values(min(up), max(up), 5)
    axes.set_xticks(x, [number(value) for value in x])
    axes.set_yticks(y, [number(value) for value in y])


def handle(name: str, mark: Mark) -> Line2D:
    """The legend's entry for an entrant."""
    return Line2D([], [], color=mark.colour, marker=mark.marker, linestyle="", mec="white", mew=0.5, label=label(name))


# --- curves -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """Means along a ladder, and their intervals where all have one: (x, mean) and (x, low, high)."""

    name: str
    means: Sequence[Span]
    band: Sequence[tuple[float, float, float]]


@dataclass(frozen=True)
class Curves:
    """A panel an entrant, over everyone else's first series in grey. `seen` is what training covered."""

    panels: Sequence[tuple[str, Sequence[Series]]]
    anchors: Mapping[str, Sequence[Span]]
    up: Span
    across: str
    upward: str
    seen: Span | None = None


PANELS_ACROSS = 4
WIDE_LADDER = 20.0  # largest over smallest value from which on a ladder is shown on a logarithmic axis


def curves(data: Curves) -> Figure:
    """Small multiples with one range of x and y."""
    n = len(data.panels)
    rows = -(-n // PANELS_ACROSS)
    columns = -(-n // rows)
    width = COLUMN_INCHES if columns <= 2 else PAGE_INCHES
    handles = curve_handles(data)
    lines = legend_rows([h.get_label() for h in handles], width)
    figure = sheet(width, 1.15 * rows + 0.4 + LINE_INCHES * lines + (0.6 if n == 1 else 0.0))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for place, axes in enumerate(grid.flat):
        if place < n:
            curve_panel(axes, data, place)
            axes.tick_params(labelbottom=place + columns >= n)
        else:
            axes.set_visible(False)
    curve_axes(grid[0, 0], data)
    figure.supxlabel(label(data.across) if len(data.across) <= LONGEST_NAME else data.across, fontsize=8)
    figure.supylabel(label(data.upward), fontsize=8)
    legend(figure, handles, width, "outside upper center")
    return figure


def curve_panel(axes: Axes, data: Curves, place: int) -> None:
    """One entrant."""
    name, own = data.panels[place]
    if data.seen is not None:
        axes.axvspan(*data.seen, color="#efefef", linewidth=0, zorder=0)
    for (_, points), style in zip(data.anchors.items(), DASHES[1:], strict=False):
        axes.plot(*zip(*points, strict=True), color=GREY, linewidth=0.7, linestyle=style, zorder=1)
    if len(own) == 1:
        for other, (_, theirs) in enumerate(data.panels):
            if other != place and theirs and theirs[0].means:
                axes.plot(*zip(*theirs[0].means, strict=True), color=PALE, linewidth=0.6, zorder=1)
    for order, series in enumerate(own):
        draw_series(axes, series, order)
    axes.set_title(label(name), loc="left", pad=3)


def draw_series(axes: Axes, series: Series, place: int) -> None:
    """A line with markers, and its band."""
    if not series.means:
        return
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    x, mean = zip(*series.means, strict=True)
    dashes = DASHES[place % len(DASHES)]
    axes.plot(x, mean, color=colour, linestyle=dashes, marker=marker, markersize=2.6, mew=0, zorder=3)
    if series.band:
        places, low, high = zip(*series.band, strict=True)
        axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0, zorder=2)


def curve_axes(axes: Axes, data: Curves) -> None:
    """The range of all panels, and round numbers along them."""
    found = [x for _, own in data.panels for series in own for x, _ in series.means]
    axes.set_ylim(data.up)
    up = round_values(min(data.up), max(data.up), 4)
    axes.set_yticks(up, [number(value) for value in up])
    low, high = min(found), max(found)
    if low > 0 and high / low >= WIDE_LADDER:
        axes.set_xscale("log")
        shown = [float(value) for value in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if low <= value <= high]
    else:
        shown = [low] if low == high else round_values(low, high, 4)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: number(value))


def curve_handles(data: Curves) -> list[Any]:
    """What the lines of the panels are; a single series needs no name."""
    names = list(dict.fromkeys(series.name for _, own in data.panels for series in own))
    own = [
        Line2D(
            [], [], color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)], markersize=2.6, mew=0,
            linestyle=DASHES[i % len(DASHES)], label=label(name),
        )
        for i, name in enumerate(names)
    ]  # fmt: skip
    known = [
        Line2D([], [], color=GREY, linewidth=0.7, linestyle=style, label=label(name))
        for name, style in zip(data.anchors, DASHES[1:], strict=False)
    ]
    seen = [Patch(color="#efefef", label="training")] if data.seen is not None else []
    return [*(own if len(names) > 1 else []), *known, *seen]


# --- ranks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranked:
    """An entrant's mean score with its interval, and its rank with the interval of that."""

    name: str
    mark: Mark
    mean: float
    span: Span | None
    rank: int
    ranks: Span


def ranks(lines: Sequence[Ranked]) -> Figure:
    """Mean scores beside the intervals of ranks, best on top."""
    figure = sheet(COLUMN_INCHES, 0.2 * len(lines) + 0.5)
    left, right = figure.subplots(1, 2, sharey=True)
    upright(left, [line.name for line in lines])
    score_axis(left, (0.0, 0.5, 1.0))
    right.set_xlim(0.7, len(lines) + 0.3)
    for y, line in enumerate(lines):
        colour, marker = line.mark.colour, line.mark.marker
        interval(left, y, line.span, colour)
        interval(right, y, line.ranks, colour)
        for axes, x in ((left, line.mean), (right, line.rank)):
            axes.plot(x, y, marker, color=colour, mec="white", mew=0.5, zorder=3, clip_on=False)
    left.set_xlabel("mean score")
    shown = [value for value in round_values(1, len(lines), 6) if value == round(value) and value >= 1]
    shown = sorted({1.0, *shown, float(len(lines))}) if len(lines) <= 7 else [1.0, *shown[1:]]
    right.set_xticks(shown, [number(value) for value in shown])
    right.set_xlabel("rank")
    right.tick_params(axis="y", left=False, labelleft=False)
    for axes in (left, right):
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", color="#eeeeee", linewidth=0.6, zorder=0)
        axes.set_axisbelow(True)
    return figure


# --- seeds as dots ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SeedLine:
    """What each seed of an entrant counts and whether it trained, their mean and its interval."""

    name: str
    mark: Mark
    seeds: Sequence[tuple[float, Sign | None]]
    mean: float
    span: Span | None


def seed_dots(lines: Sequence[SeedLine], floor: str, ceiling: str) -> Figure:
    """Scores from the lower clip to 1: seeds below, mean and interval above, best entrant on top."""
    signs = {sign for line in lines for _, sign in line.seeds}
    handles = seed_handles(signs)
    rows = legend_rows([handle.get_label() for handle in handles], COLUMN_INCHES)
    figure = sheet(COLUMN_INCHES, 0.24 * len(lines) + 0.62 + LINE_INCHES * rows)
    axes = figure.subplots()
    upright(axes, [line.name for line in lines])
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    score_axis(axes, (SCORE_CLIP[0], 0.0, 0.5, 1.0))
    for y, line in enumerate(lines):
        interval(axes, y, line.span, line.mark.colour)
        axes.plot((line.mean, line.mean), (y - 0.28, y + 0.28), color=line.mark.colour, linewidth=1.6, zorder=3)
        for place, (value, sign) in enumerate(line.seeds):
            dot(axes, value, y + OFFSETS[place % len(OFFSETS)], sign, line.mark.colour)
    for value, name in ((0.0, floor), (1.0, ceiling)):
        note(axes, name, (value, 1.0), axes.get_xaxis_transform(), ha="center", va="bottom")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("score")
    legend(figure, handles, COLUMN_INCHES)
    return figure


OFFSETS = (0.2, -0.2, 0.32, -0.32, 0.1, -0.1)  # the mean's line would hide a dot in the middle


def dot(axes: Axes, x: float, y: float, sign: Sign | None, colour: str) -> None:
    """A seed: a full dot where it trained, an open one where it did not, a cross where it failed."""
    marker = "x" if sign == "failed" else "o"
    face = colour if sign is None else "white"
    axes.plot(x, y, marker, color=colour, mfc=face, mew=0.7, markersize=2.8, zorder=4, clip_on=False)


def seed_handles(signs: set[Sign | None]) -> list[Any]:
    """What dots, bars and lines are."""
    style: dict[str, Any] = {"color": INK, "linestyle": "", "markersize": 3, "mew": 0.7}
    found: dict[Sign | None, tuple[str, str, str]] = {
        None: ("seed", "o", INK),
        "not trained": ("not trained", "o", "white"),
        "failed": ("failed", "x", INK),
    }
    dots = [Line2D([], [], marker=m, mfc=face, label=n, **style) for s, (n, m, face) in found.items() if s in signs]
    mean = Line2D([], [], color=INK, marker="|", markersize=7, mew=1.6, label="mean, 95 % interval")
    return [*dots, mean]
