"""Charts of cells as geometry, which `templates/charts.html` writes as SVG and the page's style colours.

The SVG stands in the page itself, so that it follows the reader's theme and needs no script. Coordinates are in
pixels from the top left, rounded, and the same input gives the same chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from benchmarks.cells import Cell, Entrant, Verdict
from benchmarks.statistics import Estimate
from leaderboard import wording
from leaderboard.axes import Anchors, Axis, Frame, Tick, anchor_values, ends, frame, metric_range, pixels
from leaderboard.profiles import Line
from tasks.types import SCORE_CLIP, TaskSpec

COLOURS, SHAPES = 8, 5

DotKind = Literal["trained", "not_trained", "failed"]


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
    """Scores from -0.25 to 1 on a line: every seed as a dot, the mean as a bar, the interval as a line.

    `heads` are its ends that go on beyond the line, with the way they go: -1 to the left, 1 to the right.
    """

    width: int
    height: int
    floor: float
    ceiling: float
    dots: tuple[Dot, ...]
    mean: float | None
    interval: tuple[float, float] | None
    heads: tuple[tuple[float, int], ...]
    description: str


STRIP_WIDTH, STRIP_HEIGHT = 190, 28
DOT_OFFSETS = (-5.0, 5.0, -9.0, 9.0, 0.0)  # the mean's bar would hide a dot in the middle


STRIP_AXIS = Axis(*SCORE_CLIP, start=12, end=STRIP_WIDTH - 12)


def strip_ticks() -> list[Tick]:
    """The numbers over a column of strips."""
    return [Tick(STRIP_AXIS.at(value), wording.number(value)) for value in (SCORE_CLIP[0], 0.0, 0.5, 1.0)]


def strip(cell: Cell) -> Strip:
    """The seeds of a cell that count in its mean."""
    axis, score = STRIP_AXIS, cell.score
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
        interval=None if score is None else pixels(axis, score),
        heads=() if score is None else heads(axis, score),
        description=wording.sentence(cell),
    )


def heads(axis: Axis, estimate: Estimate) -> tuple[tuple[float, int], ...]:
    """Where an interval leaves an axis that runs to the right: the place in pixels, and -1 to the left or 1."""
    found = []
    if estimate.low is not None and estimate.low < axis.low:
        found.append((axis.start, -1))
    if estimate.high is not None and estimate.high > axis.high:
        found.append((axis.end, 1))
    return tuple(found)


def dot_kind(verdict: Verdict) -> DotKind:
    """A filled dot, an open one, or a cross."""
    match verdict:
        case "trained" | "not_trained":
            return verdict
        case _:
            return "failed"


# --- where entries stand between the two ends of an index ------------------------------------------------------------


@dataclass(frozen=True)
class AxisStrip:
    """An axis from its low end to its high one: `own` in front with its interval, `others` behind it."""

    width: int
    height: int
    own: float
    interval: tuple[float, float] | None
    heads: tuple[tuple[float, int], ...]
    others: tuple[float, ...]
    description: str


def axis_strip(line: Line, entrant: Entrant) -> AxisStrip:
    """An entrant on one axis beside everyone else there; a place beyond an end is drawn at it."""
    own = line.positions[entrant]
    across = Axis(*line.axis.ends, start=12, end=STRIP_WIDTH - 12)
    return AxisStrip(
        width=STRIP_WIDTH,
        height=STRIP_HEIGHT,
        own=across.at(own.mean),
        interval=pixels(across, own),
        heads=heads(across, own),
        others=tuple(sorted(across.at(p.mean) for other, p in line.positions.items() if other != entrant)),
        description=f"{wording.metric(own.mean)} between {line.axis.low} and {line.axis.high}",
    )


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
class Plane:
    """The headline metric in distribution (across) against out of distribution (up).

    On the diagonal, where the axes meet it, nothing is lost. Left of `gate` a model is not trained; None where a task
    reads its gate from something else than what is drawn.
    """

    frame: Frame
    diagonal: tuple[float, float, float, float] | None
    gate: float | None
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
        gate=across.at(spec.gate) if is_gated(cells) else None,
        rules=tuple(rules(spec, anchors, up)),
        points=tuple(points),
        description=f"{spec.metric} in and out of distribution on {spec.id}, {len(points)} entries",
    )


def is_gated(cells: Sequence[Cell]) -> bool:
    """Whether the value in distribution tells, seed by seed, who is trained."""
    finished = ((cell.task, outcome) for cell in cells for outcome in cell.outcomes)
    return all(
        task.passes_gate(outcome.summary.iid) == outcome.summary.trained
        for task, outcome in finished
        if outcome.summary is not None
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
    for name in ends(spec):
        values = [split[name] for split in splits if name in split]
        if values and len(values) == len(splits):
            found.append(Rule(up.at(fmean(values)), name.replace("_", " ")))
    return found
