"""Small multiples of curves: every entrant's in a panel of its own, over everyone else's in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.cells import Entrant
from leaderboard.axes import Axis, Frame, Pixel, frame
from leaderboard.charts import COLOURS
from leaderboard.curves import Curve


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
