"""Charts as geometry: pixels and words that `templates/charts.html` writes as SVG, coloured by the page's style.

The SVG stands in the page itself, so that it follows the reader's theme and needs no script. Coordinates are in
pixels from the top left, rounded, and the same input gives the same chart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from benchmarks.statistics import Estimate
from leaderboard import wording
from leaderboard.cells import Cell, Entrant, Verdict
from leaderboard.curves import Curve
from tasks.types import SCORE_CLIP, Role, TaskSpec

BOUNDED_METRICS = ("accuracy", "worst_group", "error")
COLOURS, SHAPES = 8, 5

Pixel = tuple[float, float]
DotKind = Literal["trained", "not_trained", "failed"]
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
class Mark:
    """The colour and the shape that stand for an entrant on every chart; no two of 40 entrants share both."""

    colour: int
    shape: int


def marks(entrants: Sequence[Entrant]) -> dict[Entrant, Mark]:
    """A mark for everyone, in the order of their names; the same configuration has one mark under every protocol."""
    identities = {entrant: (entrant.model, entrant.algorithm, entrant.hparams) for entrant in entrants}
    places = {identity: i for i, identity in enumerate(sorted(set(identities.values())))}
    return {e: Mark(places[identity] % COLOURS, places[identity] % SHAPES) for e, identity in identities.items()}


# --- seeds as dots ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dot:
    x: float
    y: float
    kind: DotKind
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


STRIP_WIDTH, STRIP_HEIGHT = 190, 28
DOT_OFFSETS = (-5.0, 5.0, -9.0, 9.0, 0.0)  # the mean's bar would hide a dot in the middle


STRIP_AXIS = Axis(*SCORE_CLIP, start=12, end=STRIP_WIDTH - 12)


def strip_ticks() -> list[Tick]:
    """The numbers over a column of strips."""
    return [Tick(STRIP_AXIS.at(value), wording.number(value)) for value in (SCORE_CLIP[0], 0.0, 0.5, 1.0)]


def strip(cell: Cell) -> Strip:
    """The seeds of a cell that count in its mean."""
    axis = STRIP_AXIS
    score, interval = cell.score, None
    if score is not None and score.low is not None and score.high is not None:
        interval = (axis.at(score.low), axis.at(score.high))
    counted = [(outcome, value) for outcome in cell.outcomes if (value := outcome.counted) is not None]
    return Strip(
        width=STRIP_WIDTH,
        height=STRIP_HEIGHT,
        floor=axis.at(0.0),
        ceiling=axis.at(1.0),
        dots=tuple(
            Dot(
                x=axis.at(value),
                y=STRIP_HEIGHT / 2 + DOT_OFFSETS[i % len(DOT_OFFSETS)],
                kind=dot_kind(outcome.verdict),
                title=f"seed {outcome.seed}: {wording.score(value)}. {outcome.reason}".removesuffix(". "),
            )
            for i, (outcome, value) in enumerate(counted)
        ),
        mean=None if score is None else axis.at(score.mean),
        interval=interval,
        description=wording.sentence(cell),
    )


def dot_kind(verdict: Verdict) -> DotKind:
    """A filled dot, an open one, or a cross."""
    match verdict:
        case "trained" | "not_trained":
            return verdict
        case _:
            return "failed"


# --- the metric of a task as an axis ----------------------------------------------------------------------------------


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
    return [found[name] for found in splits for name in (spec.floor, spec.ceiling) if name in found]


# --- in distribution against out of distribution ----------------------------------------------------------------------


@dataclass(frozen=True)
class PlanePoint:
    """An entrant at (x, y) with its two intervals in pixels; `beyond` if a value lies outside the axes."""

    mark: Mark
    x: float
    y: float
    x_interval: tuple[float, float] | None
    y_interval: tuple[float, float] | None
    beyond: bool
    title: str


@dataclass(frozen=True)
class Rule:
    """A horizontal line with a name: an anchor."""

    y: float
    label: str


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


@dataclass(frozen=True)
class Plane:
    """The headline metric in distribution (across) against out of distribution (up).

    On the diagonal, where the axes meet it, nothing is lost. Left of `gate` a model is not trained.
    """

    frame: Frame
    diagonal: tuple[float, float, float, float] | None
    gate: float
    rules: tuple[Rule, ...]
    points: tuple[PlanePoint, ...]
    description: str


def plane(cells: Sequence[Cell], anchors: Anchors, signs: Mapping[Entrant, Mark]) -> Plane:
    """One task: every entrant that finished a seed."""
    spec = cells[0].task.spec
    shown = [(cell, cell.iid, cell.ood) for cell in cells if cell.iid is not None and cell.ood is not None]
    inside, outside = [iid.mean for _, iid, _ in shown], [ood.mean for _, _, ood in shown]
    across = Axis(*inside_range(spec, inside), start=40, end=226)
    up = Axis(*metric_range(spec, anchor_values(spec, anchors, "ood"), outside), start=186, end=8)
    points = [
        PlanePoint(
            mark=signs[cell.entrant],
            x=across.at(iid.mean),
            y=up.at(ood.mean),
            x_interval=pixels(across, iid),
            y_interval=pixels(up, ood),
            beyond=not (across.holds(iid.mean) and up.holds(ood.mean)),
            title=f"{cell.entrant.label}: in distribution {wording.metric(iid.mean)}, out {wording.metric(ood.mean)}",
        )
        for cell, iid, ood in shown
    ]
    return Plane(
        frame=frame(across, up, 240, 206),
        diagonal=diagonal(across, up),
        gate=across.at(spec.gate),
        rules=tuple(rules(spec, anchors, up)),
        points=tuple(points),
        description=f"{spec.metric} in and out of distribution on {spec.id}, {len(points)} entries",
    )


def inside_range(spec: TaskSpec, values: Sequence[float]) -> tuple[float, float]:
    """The (worst, best) value in distribution: from the gate to the best value, and what lies a little below."""
    best = max(values, default=spec.gate) if spec.higher_is_better else min(values, default=spec.gate)
    return metric_range(spec, [spec.gate, best], values)


def diagonal(across: Axis, up: Axis) -> tuple[float, float, float, float] | None:
    """Where both axes have the same value, as the ends of a line; None where they share no values."""
    low = max(min(across.low, across.high), min(up.low, up.high))
    high = min(max(across.low, across.high), max(up.low, up.high))
    return (across.at(low), up.at(low), across.at(high), up.at(high)) if low < high else None


def rules(spec: TaskSpec, anchors: Anchors, up: Axis) -> list[Rule]:
    """Floor and ceiling, averaged over the `ood` splits."""
    splits = [anchors.get(split.name, {}) for split in spec.with_role("ood")]
    found = []
    for name in (spec.floor, spec.ceiling):
        values = [split[name] for split in splits if name in split]
        if values and len(values) == len(splits):
            found.append(Rule(up.at(fmean(values)), name.replace("_", " ")))
    return found


def pixels(axis: Axis, estimate: Estimate) -> tuple[float, float] | None:
    """An interval on an axis."""
    if estimate.low is None or estimate.high is None:
        return None
    return axis.at(estimate.low), axis.at(estimate.high)


def frame(across: Axis, up: Axis, width: int, height: int) -> Frame:
    """The box that two axes make."""
    return Frame(width, height, across.start, across.end, up.end, up.start, tuple(across.ticks(4)), tuple(up.ticks(5)))


# --- lines ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A curve in pixels, its interval as an outline, and the number of its colour."""

    name: str
    colour: int
    points: tuple[Pixel, ...]
    band: tuple[Pixel, ...]


@dataclass(frozen=True)
class Panel:
    """One entrant's curves over everyone else's in the background. `seen` is what training covered, `rules` anchors."""

    entrant: Entrant
    frame: Frame
    background: tuple[tuple[Pixel, ...], ...]
    lines: tuple[Line, ...]
    anchors: tuple[tuple[Pixel, ...], ...]
    seen: tuple[float, float] | None
    description: str


def panels(
    curves: Mapping[Entrant, Mapping[str, Curve]],
    value_range: tuple[float, float],
    anchor_curves: Sequence[Sequence[tuple[float, float]]] = (),
    seen: tuple[float, float] | None = None,
    what: str = "",
) -> list[Panel]:
    """Small multiples on the same axes: `curves[entrant][name]`; a name has one colour throughout, by its place.

    With one curve each, the others stand grey behind it. `anchor_curves` are lists of (x, value), `seen` is an interval
    of x.
    """
    places = {name: i for i, name in enumerate(dict.fromkeys(name for named in curves.values() for name in named))}
    shown = {entrant: {n: c for n, c in named.items() if c} for entrant, named in curves.items()}
    shown = {entrant: named for entrant, named in shown.items() if named}
    xs = [point.x for named in shown.values() for curve in named.values() for point in curve]
    if not xs or min(xs) == max(xs):
        return []
    across, up = Axis(min(xs), max(xs), 40, 226), Axis(*value_range, 136, 8)
    traced = {e: [trace(curve, across, up) for curve in named.values()] for e, named in shown.items()}
    alone = all(len(named) == 1 for named in shown.values())
    return [
        Panel(
            entrant=entrant,
            frame=frame(across, up, 240, 156),
            background=tuple(line for other in traced if alone and other != entrant for line in traced[other]),
            lines=tuple(
                Line(name, places[name] % COLOURS, trace(curve, across, up), outline(curve, across, up))
                for name, curve in named.items()
            ),
            anchors=tuple(tuple((across.at(x), up.at(y)) for x, y in curve) for curve in anchor_curves if curve),
            seen=None if seen is None else (across.at(seen[0]), across.at(seen[1])),
            description=f"{entrant.label}: {what}",
        )
        for entrant, named in shown.items()
    ]


def trace(curve: Curve, across: Axis, up: Axis) -> tuple[Pixel, ...]:
    """The means."""
    return tuple((across.at(p.x), up.at(p.estimate.mean)) for p in curve)


def outline(curve: Curve, across: Axis, up: Axis) -> tuple[Pixel, ...]:
    """The intervals, along the upper ends and back along the lower ones; empty where a point has none."""
    spans = [(p.x, p.estimate.low, p.estimate.high) for p in curve]
    upper = [(across.at(x), up.at(high)) for x, _, high in spans if high is not None]
    lower = [(across.at(x), up.at(low)) for x, low, _ in spans if low is not None]
    return tuple(upper + lower[::-1]) if len(upper) == len(spans) else ()
