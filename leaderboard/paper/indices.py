"""Where entrants stand between the two ends of every index: a panel an axis, dots with intervals, and the same as data.

Neither end is the good one, so entrants stand in the order of their names, the same in every panel.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.cells import Cell, Entrant
from benchmarks.statistics import Estimate
from leaderboard.boards import INPUT_KINDS, input_kind
from leaderboard.export import indices_csv
from leaderboard.paper.figures import Drawing, Marks, Names, heads, span, words
from leaderboard.paper.plots import (
    COLUMN_INCHES,
    GREY,
    PAGE_INCHES,
    Axes,
    Figure,
    Mark,
    Span,
    goes_on,
    interval,
    label,
    sheet,
    upright,
    width_of,
    within,
)
from leaderboard.profiles import Line, profiles
from leaderboard.wording import count, number

PANELS_ACROSS = 3
PAGE_HIGH_INCHES = 9.0  # of a page of text
MARGIN, FURTHEST = 0.08, 0.5  # of an axis beyond its ends: always shown, and shown at most where somebody stands there
ENTRANT_INCHES, PANEL_INCHES = 0.125, 0.42  # of a line of a panel, and of what stands around them
WORD_POINTS, WORD_INCHES, WORD_LETTER_INCHES = 7, 0.12, 0.058  # of the words below an axis
GAP = 3  # letters between the words of both ends where they share a line


@dataclass(frozen=True)
class Panel:
    """An axis: its two ends as values and in words, and who stands where; `places` has None for whoever does not."""

    name: str
    ends: Span
    low: str
    high: str
    places: Sequence[tuple[float, Span | None] | None]

    @property
    def limits(self) -> Span:
        """What of the axis is shown: its ends, a little beyond, and more where somebody stands there."""
        low, high = self.ends
        length, means = high - low, [place[0] for place in self.places if place is not None]
        first, last = (within(mean, (low - FURTHEST * length, high + FURTHEST * length)) for mean in ends_of(means))
        return min(low, first) - MARGIN * length, max(high, last) + MARGIN * length

    @property
    def has_open(self) -> bool:
        """Whether somebody stands beyond what is shown."""
        return any(place is not None and within(place[0], self.limits) != place[0] for place in self.places)

    def words(self, letters: int) -> list[tuple[str, str]]:
        """What its ends stand for, in lines of so many letters: at the left and at the right."""
        low, high = (
            textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), letters) for text in (self.low, self.high)
        )
        if len(low) == len(high) == 1 and len(low[0]) + len(high[0]) + GAP <= letters:
            return [(low[0], high[0])]
        return [*((line, "") for line in low), *(("", line) for line in high)]


def ends_of(values: Sequence[float]) -> Span:
    """The smallest and the largest of some values."""
    return min(values), max(values)


# --- which figures there are ------------------------------------------------------------------------------------------


def index_drawings(
    cells: Sequence[Cell], names: Names, marks: Marks, short: Mapping[str, str]
) -> Iterator[tuple[Drawing, list[Cell]]]:
    """A figure for every family, input kind and track that has an axis with somebody on it, in pages where it is long.

    Controls are no choice between solutions and are left out.
    """
    shown = [cell for cell in cells if "control" not in cell.task.spec.entry.tags]
    for family in sorted({cell.task.spec.family for cell in shown}):
        for kind in INPUT_KINDS:
            own = [cell for cell in shown if cell.task.spec.family == family and input_kind(cell.task) == kind]
            for profile in profiles(own):
                parts = ["indices", family, kind, *filter(None, [profile.fixed])]
                for place, page in enumerate(pages(profile.lines, len(profile.entrants))):
                    name = "-".join(parts + ([str(place + 1)] if place else []))
                    tasks = {line.task.spec.id for line in page}
                    drawing = index_drawing(name, page, profile.entrants, names, marks, short)
                    yield drawing, [cell for cell in own if cell.task.spec.id in tasks]


def pages(found: Sequence[Line], n_entrants: int) -> list[Sequence[Line]]:
    """The axes of each figure: as many as a page is high for, all figures about as full."""
    if not found:
        return []
    rows = -(-len(found) // PANELS_ACROSS)
    most = max(1, int(PAGE_HIGH_INCHES / height(n_entrants, 3)))
    per_page = PANELS_ACROSS * -(-rows // -(-rows // most))
    return [found[start : start + per_page] for start in range(0, len(found), per_page)]


def index_drawing(
    name: str, found: Sequence[Line], entrants: Sequence[Entrant], names: Names, marks: Marks, short: Mapping[str, str]
) -> Drawing:
    """Some axes of one family and kind of input."""
    panels = [panel(line, entrants, short) for line in found]
    first = found[0].task.spec
    reaching = (place is not None and goes_on(place[1], p.limits) for p in panels for place in p.places)
    return Drawing(
        name,
        partial(indices, [names[e] for e in entrants], [marks[e] for e in entrants], panels),
        f"Which solutions {count(len(entrants), 'entrant')} chose on the {first.entry.input} tasks of {first.family}: "
        f"{count(len(panels), 'index', 'indices')} between the two solutions that are named at the ends, neither of "
        "which is the good one. Means with 95 % t intervals over the seeds that trained; without a dot no seed trained "
        "or none was run."
        + (" Open dots lie beyond the axis." if any(panel.has_open for panel in panels) else "")
        + heads(reaching),
        data=indices_csv(found),
    )


def panel(line: Line, entrants: Sequence[Entrant], short: Mapping[str, str]) -> Panel:
    """One axis."""
    axis, name = line.axis, short[line.task.spec.id]
    return Panel(
        name=name if name == axis.index else f"{name}: {words(axis.index)}",
        ends=axis.ends,
        low=axis.low,
        high=axis.high,
        places=[place(line.positions.get(entrant)) for entrant in entrants],
    )


def place(found: Estimate | None) -> tuple[float, Span | None] | None:
    """A position with its interval."""
    return None if found is None else (found.mean, span(found))


# --- how one is drawn -------------------------------------------------------------------------------------------------


def indices(names: Sequence[str], marks: Sequence[Mark], panels: Sequence[Panel]) -> Figure:
    """Small multiples, entrants down; the words of both ends stand below an axis, each on its side."""
    columns = min(PANELS_ACROSS, len(panels))
    rows = -(-len(panels) // columns)
    width = COLUMN_INCHES if columns == 1 else PAGE_INCHES
    letters = int(((width - width_of(names)) / columns - 0.15) / WORD_LETTER_INCHES)
    figure = sheet(width, rows * height(len(names), max(len(panel.words(letters)) for panel in panels)))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for at, axes in enumerate(grid.flat):
        if at < len(panels):
            draw_panel(axes, panels[at], marks, letters)
        else:
            axes.set_visible(False)
    upright(grid[0, 0], names)
    for axes in grid.flat:
        axes.tick_params(axis="y", length=0)
    return figure


def height(n_entrants: int, n_lines: int) -> float:
    """Of a panel with so many lines of words, in inches."""
    return ENTRANT_INCHES * (n_entrants + 1) + WORD_INCHES * n_lines + PANEL_INCHES


def draw_panel(axes: Axes, data: Panel, marks: Sequence[Mark], letters: int) -> None:
    """One axis with its ends, and who stands where; open dots stand for places beyond it."""
    axes.set_xlim(data.limits)
    axes.set_xticks(data.ends, [number(round(end, 2)) for end in data.ends])
    axes.set_title(label(data.name), loc="left", pad=3)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    for end in data.ends:
        axes.axvline(end, color=GREY, linewidth=0.6, linestyle=(0, (4, 2)), zorder=0)
    for y, (found, mark) in enumerate(zip(data.places, marks, strict=True)):
        if found is not None:
            draw_place(axes, y, *found, mark.colour)
    for place, (low, high) in enumerate(data.words(letters)):
        below(axes, low, 0.0, place, "left")
        below(axes, high, 1.0, place, "right")


def draw_place(axes: Axes, y: int, mean: float, reach: Span | None, colour: str) -> None:
    """A dot with its interval; a triangle would look like the head of an interval that goes on."""
    interval(axes, y, reach, colour)
    x = within(mean, axes.get_xlim())
    face, edge = (colour, "white") if x == mean else ("white", colour)
    axes.plot(x, y, "o", color=colour, mfc=face, mec=edge, mew=0.5, zorder=3, clip_on=False)


def below(axes: Axes, text: str, x: float, line: int, side: str) -> None:
    """A line of words below the numbers of an axis, at its left or right end."""
    axes.annotate(
        label(text), (x, 0), (0, -16 - 72 * WORD_INCHES * line), xycoords="axes fraction",
        textcoords="offset points", ha=side, va="top", fontsize=WORD_POINTS, color="#595959",
    )  # fmt: skip
