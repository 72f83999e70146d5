"""What the page of runs that go on shows at one moment: bars of trials, curves of those that train, when to reload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from leaderboard.axes import Axis
from leaderboard.progress import Run, Running, State, Tally

CURVE_WIDTH, CURVE_HEIGHT = 120, 30
RELOAD_SECONDS: Mapping[State, int] = {"running": 5, "silent": 30}
Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Bar:
    """A tally and how many of its trials run now; `parts` are (outcome, from, width) in per cent of what is planned."""

    tally: Tally
    running: int

    @property
    def waiting(self) -> int:
        """Those that have not begun."""
        return max(0, self.tally.waiting - self.running)

    @property
    def parts(self) -> list[tuple[str, float, float]]:
        numbers = [("ok", self.tally.ok), ("skipped", self.tally.skipped), ("failed", self.tally.failed),
                   ("running", self.running)]  # fmt: skip
        share = 100 / max(1, self.tally.planned, sum(n for _, n in numbers))
        starts = [sum(n for _, n in numbers[:place]) * share for place in range(len(numbers))]
        return [(name, round(x, 2), round(n * share, 2)) for (name, n), x in zip(numbers, starts, strict=True) if n]


@dataclass(frozen=True)
class Curve:
    """The headline metric against the step, in distribution and out of it, in pixels."""

    width: int
    height: int
    inside: Line
    outside: Line
    description: str


def curve(trial: Running) -> Curve | None:
    """The measurements of a running trial; None as long as there are fewer than two."""
    inside = [(p.step, p.inside) for p in trial.points if p.inside is not None]
    outside = [(p.step, p.ood) for p in trial.points if p.ood is not None]
    values = [value for _, value in [*inside, *outside]]
    if max(len(inside), len(outside)) < 2:
        return None
    margin = (max(values) - min(values)) * 0.05 or abs(values[0]) * 0.05 or 1.0
    across = Axis(0, max(trial.steps, trial.points[-1].step), start=2, end=CURVE_WIDTH - 2)
    up = Axis(min(values) - margin, max(values) + margin, start=CURVE_HEIGHT - 2, end=2)

    def line(points: Sequence[tuple[int, float]]) -> Line:
        return tuple((across.at(step), up.at(value)) for step, value in points)

    description = f"{trial.metric} from step {trial.points[0].step:,} to {trial.points[-1].step:,}"
    return Curve(CURVE_WIDTH, CURVE_HEIGHT, line(inside), line(outside), description)


def clock(moment: float, now: float) -> str:
    """A time of day with its zone, and the date where it is not today."""
    then, today = datetime.fromtimestamp(moment).astimezone(), datetime.fromtimestamp(now).astimezone()
    return then.strftime("%H:%M:%S %Z" if then.date() == today.date() else "%Y-%m-%d %H:%M %Z")


@dataclass(frozen=True)
class View:
    """A run as a page shows it at one moment: who runs now, and the bars of all trials, of entries and of tasks."""

    run: Run
    state: State
    now: float
    everything: Bar
    entries: tuple[tuple[tuple[str, str], Bar], ...]
    tasks: tuple[tuple[str, Bar], ...]

    @property
    def heard(self) -> float:
        """The time that elapsed times are counted to: of a silent run nothing is known after its last word."""
        return self.run.written if self.state == "silent" else self.now

    @property
    def running(self) -> Sequence[Running]:
        """The trials that run, the longest first; none once the run has ended."""
        return sorted(self.run.running, key=lambda trial: trial.began)

    @property
    def seconds_left(self) -> float | None:
        """Until the expected end, where the run goes on."""
        end = self.run.expected_end
        return None if end is None or self.state != "running" else max(0.0, end - self.now)


def view(run: Run, now: float) -> View:
    """A run at this moment."""
    by_entry = Counter((trial.who.model, trial.who.algorithm) for trial in run.running)
    by_task = Counter(trial.who.task for trial in run.running)
    state = run.state(now)
    return View(
        run,
        state,
        now,
        Bar(run.total, len(run.running)),
        tuple((entry, Bar(tally, by_entry[entry])) for entry, tally in sorted(run.entries.items())),
        tuple((task, Bar(tally, by_task[task])) for task, tally in sorted(run.tasks.items())),
    )


def reload_seconds(views: Sequence[View]) -> int | None:
    """After how many seconds the page loads itself again; None when nothing can change any more."""
    waits = [RELOAD_SECONDS[shown.state] for shown in views if shown.state in RELOAD_SECONDS]
    return min(waits, default=None)
