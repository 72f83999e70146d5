"""The points that a trial has measured so far, on their way from its process to the parent: a small file in its home.

Nothing is read from what the class under test prints. It could write this file too: the parent checks what it reads,
and what it says is shown while the trial runs and is never a result.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tasks.registry import load
from tasks.types import Role, Scores, TaskSpec

if TYPE_CHECKING:
    from benchmarks.replica import Point

MAX_BYTES = 100_000
MOST = 60
LARGEST = 1e12
ROLES: tuple[Role, ...] = ("val", "iid", "ood")

Points = Sequence[dict[str, float | None]]
"""[{"step": 200, "loss": .3, "val": .9, "iid": .9, "ood": .5}]: of each role the mean of the headline metric."""


class Teller:
    """The trial's end: called with every measured point of a training."""

    def __init__(self, path: Path, task: str) -> None:
        self.path, self.task = path, task
        self.points: list[dict[str, float | None]] = []

    def __call__(self, point: Point) -> None:
        self.points.append(told(point, load(self.task).spec))
        temporary = self.path.with_suffix(".tmp")
        with suppress(OSError):  # a full disk is no reason to fail a trial
            temporary.write_text(json.dumps(thinned(self.points)))
            os.replace(temporary, self.path)


def points_file(home: Path, key: str) -> Path:
    """Where a trial tells its points; trials that are trained at once share a home."""
    return home / f"points-{key}.json"


def told(point: Point, spec: TaskSpec) -> dict[str, float | None]:
    """A point as the headline metric, averaged over the splits of a role."""
    means = role_means(point.scores, spec)
    return {"step": point.step, "loss": usable(point.loss), **{role: usable(means.get(role)) for role in ROLES}}


def role_means(scores: Scores, spec: TaskSpec) -> dict[Role, float]:
    """The headline metric averaged over the splits of every role that was measured."""
    found: dict[Role, float] = {}
    for role in ROLES:
        values = [scores.get(split.name, {}).get(spec.metric) for split in spec.with_role(role)]
        if present := [value for value in values if value is not None]:
            found[role] = fmean(present)
    return found


def usable(value: float | None) -> float | None:
    """The value, if it can be drawn."""
    return float(value) if value is not None and abs(value) <= LARGEST else None


def thinned(points: Points) -> Points:
    """At most so many of the points, evenly, the first and the last among them."""
    if len(points) <= MOST:
        return points
    return [points[round(i * (len(points) - 1) / (MOST - 1))] for i in range(MOST)]


def read_points(path: Path) -> Points:
    """What a trial has told so far; nothing where that is not what `Teller` writes."""
    try:
        # a link, or a pipe that nobody writes to, must not lead or hold the parent
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return []
            points = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(points, list) or not all(map(is_point, points)):
        return []
    return thinned(points) if all(a["step"] < b["step"] for a, b in pairwise(points)) else []


def is_point(point: Any) -> bool:
    """Whether this is a step with numbers."""
    return (
        isinstance(point, dict)
        and point.keys() == {"step", "loss", *ROLES}
        and type(point["step"]) is int
        and 0 <= point["step"] <= LARGEST
        and all(v is None or (type(v) in (int, float) and abs(v) <= LARGEST) for v in point.values())
    )
