"""From values to pixels: axes with round ticks, the frame of a chart, and what range of a metric to show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.statistics import Estimate
from leaderboard import wording
from tasks.types import Role, TaskSpec

BOUNDED_METRICS = ("accuracy", "worst_group", "error", "exact_match", "auc")

Pixel = tuple[float, float]
Anchors = Mapping[str, Mapping[str, float]]
"""Split to anchor name to value."""


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
        low, high = sorted((self.low, self.high))
        return [Tick(self.at(value), wording.number(value)) for value in round_values(low, high, at_most)]


def round_values(low: float, high: float, at_most: int) -> list[float]:
    """At most so many multiples of 1, 2, 2.5 or 5 times a power of ten in [low, high]."""
    magnitude = 10.0 ** math.floor(math.log10((high - low) / at_most))
    for step in (magnitude * factor for factor in (1, 2, 2.5, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= at_most:
            return [round(i * step, 12) for i in range(first, last + 1)]
    return [low, high]


@dataclass(frozen=True)
class Frame:
    """The box of a chart: size, inner edges, ticks."""

    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


def frame(across: Axis, up: Axis, width: int, height: int) -> Frame:
    """The box that two axes make."""
    return Frame(width, height, across.start, across.end, up.end, up.start, tuple(across.ticks(4)), tuple(up.ticks(5)))


def pixels(axis: Axis, estimate: Estimate) -> tuple[float, float] | None:
    """An interval on an axis."""
    if estimate.low is None or estimate.high is None:
        return None
    return axis.at(estimate.low), axis.at(estimate.high)


def metric_range(spec: TaskSpec, known: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """The metric's (worst, best) value on an axis, a little wider than what must be seen.

    `known` are anchors or a gate. `values` are shown too where the metric is bounded; elsewhere a quarter beyond what
    is known is shown, as scores are clipped there too: one explosion would otherwise flatten everything else.
    """
    bounded = spec.metric in BOUNDED_METRICS
    shown = [*known, *values] if bounded or not known else known
    low, high = min(shown, default=0.0), max(shown, default=1.0)
    span = (high - low) or abs(high) or 1.0
    narrow, wide = 0.06 * span, (0.06 if bounded else 0.25) * span
    below, above = (wide, narrow) if spec.higher_is_better else (narrow, wide)
    low, high = low - below, high + above
    if bounded:
        low, high = max(low, -0.03), min(high, 1.03)
    return (low, high) if spec.higher_is_better else (high, low)


def anchor_values(spec: TaskSpec, anchors: Anchors, *roles: Role) -> list[float]:
    """Every floor and ceiling on the splits of some roles."""
    splits = [anchors.get(split.name, {}) for split in spec.with_role(*roles)]
    return [found[name] for found in splits for name in ends(spec) if name in found]


def ends(spec: TaskSpec) -> list[str]:
    """The names of floor and ceiling, where there is a score."""
    return [name for name in (spec.floor, spec.ceiling) if name is not None]
