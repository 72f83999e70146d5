"""Charts as geometry: pixels and words that `templates/charts.html` writes as SVG, coloured by the page's style.

The SVG stands in the page itself, so that it follows the reader's theme and needs no script. Coordinates are in
pixels from the top left, rounded, and the same input gives the same chart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.statistics import Estimate
from leaderboard.cells import Cell, Entrant
from leaderboard.curves import Curve
from leaderboard.wording import number
from tasks.types import SCORE_CLIP, TaskSpec

BOUNDED_METRICS = ("accuracy", "worst_group")
COLOURS, SHAPES = 8, 5

Pixel = tuple[float, float]


@dataclass(frozen=True)
class Tick:
    position: float
    label: str


@dataclass(frozen=True)
class Axis:
    """From values in [low, high] to pixels; `low` lies at `start`. A value outside is drawn at the edge."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start), 1)

    def holds(self, value: float) -> bool:
        return min(self.low, self.high) <= value <= max(self.low, self.high)

    def ticks(self, at_most: int) -> list[Tick]:
        """Round values, evenly spaced."""
        return [Tick(self.at(v), number(v)) for v in round_values(min(self.low, self.high), max(self.low, self.high), at_most)]


def round_values(low: float, high: float, at_most: int) -> list[float]:
    """At most so many multiples of 1, 2, 2.5 or 5 times a power of ten in [low, high]."""
    magnitude = 10.0 ** math.floor(math.log10((high - low) / at_most))
    for step in (magnitude * factor for factor in (1, 2, 2.5, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= at_most:
            return [round(i * step, 12) for i in range(first, last + 1)]
    return [low, high]


@dataclass(frozen=True)
class Mark:
    """The colour and the shape that stand for an entrant on every chart; no two of 40 entrants share both."""

    colour: int
    shape: int


def marks(entrants: Sequence[Entrant]) -> dict[Entrant, Mark]:
    """A mark for everyone, by the order of their names."""
    return {entrant: Mark(i % COLOURS, i % SHAPES) for i, entrant in enumerate(sorted(entrants))}


# --- seeds as dots ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    kind: Literal["trained", "not_trained", "failed"]
    title: str


@dataclass(frozen=True)
class Strip:
    """Scores from -0.25 to 1 on a line: every seed as a dot, the mean as a bar, the interval as a line."""

    width: int
    height: int
    floor: float
    ceiling: float
    dots: tuple[Dot, ...]
    mean: float | None
    interval: tuple[float, float] | None
    description: str


STRIP_WIDTH, STRIP_HEIGHT = 220, 28
DOT_OFFSETS = (0.0, -5.0, 5.0, -8.0, 8.0)


def strip(cell: Cell, description: str) -> Strip:
    """The seeds of a cell that count in its mean."""
    axis = Axis(SCORE_CLIP[0], SCORE_CLIP[1], 8, STRIP_WIDTH - 8)
    counted = [(o, o.counted) for o in cell.outcomes]
    dots = []
    for i, (outcome, value) in enumerate(pair for pair in counted if pair[1] is not None):
        assert value is not None
        kind: Literal["trained", "not_trained", "failed"] = (
            outcome.verdict if outcome.verdict in ("trained", "not_trained") else "failed"  # type: ignore[assignment]
        )
        y = STRIP_HEIGHT / 2 + DOT_OFFSETS[i % len(DOT_OFFSETS)]
        dots.append(Dot(axis.at(value), y, kind, f"seed {outcome.seed}: {number(value)} {outcome.reason}".strip()))
    score = cell.score
    span = None if score is None or score.low is None or score.high is None else (axis.at(score.low), axis.at(score.high))
    return Strip(
        width=STRIP_WIDTH,
        height=STRIP_HEIGHT,
        floor=axis.at(0.0),
        ceiling=axis.at(1.0),
        dots=tuple(dots),
        mean=None if score is None else axis.at(score.mean),
        interval=span,
        description=description,
    )
