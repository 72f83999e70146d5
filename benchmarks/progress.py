"""What a run shows while it goes on: bars and the running trials on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from benchmarks.jobs import Job
from benchmarks.records import SEARCH, Record

QUIET_SECONDS = 10.0
SHORT_REASON = 110


class Display:
    """Told of every trial that starts and ends. Failures stay on the screen; a terminal also shows what runs."""

    def __init__(self, console: Console, total: int, expected_seconds: float) -> None:
        self.console, self.total = console, total
        self.expected_seconds = expected_seconds
        self.done = self.failed = 0
        self.share = 0.0
        self.began = self.last_line = time.monotonic()
        self.running: dict[str, tuple[Job, float]] = {}
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self.bar_id = self.bar.add_task("trials", total=total)
        self.live = Live(get_renderable=self.render, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def started(self, job: Job) -> None:
        """A trial has begun."""
        self.running[job.trial.key] = (job, time.monotonic())

    def finished(self, job: Job, record: Record, share: float) -> None:
        """A trial has ended, and with it this share of the work is done."""
        self.running.pop(job.trial.key, None)
        self.done += 1
        self.share = share
        bad = record.status not in ("ok", "skipped")
        self.failed += bad
        self.bar.update(self.bar_id, completed=self.done)
        quiet_for = time.monotonic() - self.last_line
        if bad or (not self.console.is_terminal and (quiet_for > QUIET_SECONDS or self.done == self.total)):
            self.last_line = time.monotonic()
            reason = f": {record.reason}" if record.reason else ""
            self.console.print(
                f"[{self.done}/{self.total}] {record.status} {name_of(job)} {record.seconds:.1f} s"
                f"{reason[:SHORT_REASON]}{'' if self.console.is_terminal else ', ' + self.time_left()}",
                highlight=False, markup=False, soft_wrap=True,
            )  # fmt: skip

    def render(self) -> Group:
        """The moving part of the screen."""
        lines = [
            Text.from_markup(f"  [dim]{escape(name_of(job))}  {time.monotonic() - since:.0f} s[/]")
            for job, since in self.running.values()
        ]
        state = f"  {self.failed} failed, {self.time_left()}" if self.done else f"  {self.time_left()}"
        return Group(self.bar, *lines, Text(state))

    def time_left(self) -> str:
        """An estimate in words."""
        left = seconds_left(time.monotonic() - self.began, self.share, self.expected_seconds)
        return f"about {duration(left)} left"


def seconds_left(elapsed: float, share: float, expected: float) -> float:
    """What was expected of a whole run, corrected by the pace of the share of its work that is done."""
    return max(0.0, expected - elapsed) if share < 0.05 else elapsed * (1 - share) / share


def name_of(job: Job) -> str:
    """A trial in a few words."""
    trial = job.trial
    condition = "" if trial.condition == "default" else f" {trial.condition}"
    algorithm = "" if trial.algorithm == "erm" else f" + {trial.algorithm}"
    doses = "".join(f" {name} {value:g}" for name, value in trial.dose.items())
    left_out = "" if trial.left_out is None else f" without environment {trial.left_out}"
    seed = "search" if trial.tuned == SEARCH else f"seed {trial.seed}"
    return f"{trial.task}{condition}{doses} {trial.model}{algorithm}{left_out} {seed}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
