"""What a run tells other programs while it goes on: `progress/<run>.json` in its results folder, replaced every 2 s.

It is no result: nothing reads it back here, `benchmarks.store.scan` does not see it, and no run fails because it could
not be written. Every run has a file of its own, so that several may share a results folder.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.jobs import Job
from benchmarks.points import Points
from benchmarks.progress import seconds_left
from benchmarks.records import SEARCH, Record, clean_text
from benchmarks.trial import scaled
from tasks.registry import load

SCHEMA = 1
FOLDER = "progress"
EVERY_SECONDS = 2.0
FORGOTTEN_SECONDS = 600.0
RUNNING_TOLD, FAILURES_TOLD = 200, 12
REASON = 300

Curves = Callable[[], Mapping[str, Points]]
"""The points measured so far of every trial that runs, by key."""


class Journal:
    """One run's file. Use as a context manager: leaving it says that the run has ended, and how."""

    def __init__(self, results: Path, slots: int) -> None:
        self.results, self.slots = results, slots
        self.began = time.time()
        self.run = f"{time.strftime('%Y%m%dt%H%M%S', time.gmtime(self.began))}-{secrets.token_hex(4)}"
        self.path = results / FOLDER / f"{self.run}.json"
        self.phase: Phase | None = None
        self.failures: deque[dict[str, Any]] = deque(maxlen=FAILURES_TOLD)
        self.written = -math.inf

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.phase is not None:
            self.phase.running.clear()
            outcome = "finished" if kind is None else "interrupted" if kind is KeyboardInterrupt else "stopped"
            self.write({}, outcome)

    def begin(self, purpose: str, jobs: Sequence[Job], before: Mapping[str, str], missing: Sequence[Job],
              expected_seconds: float) -> None:  # fmt: skip
        """A set of trials is about to run; `before` has the outcomes, by key, of those that stand already."""
        self.phase = Phase(purpose, expected_seconds)
        to_run = {job.trial.key for job in missing}
        for job in jobs:
            self.phase.count(job, "planned")
            if job.trial.key not in to_run:
                self.phase.count(job, outcome_of(before[job.trial.key]))
        remove_forgotten(self.path.parent)
        self.write({})

    def started(self, job: Job) -> None:
        """A trial has got its process."""
        assert self.phase is not None
        self.phase.running[job.trial.key] = (job, time.time())

    def finished(self, job: Job, record: Record, share: float) -> None:
        """A trial has its record, and with it this share of the phase's work is done."""
        assert self.phase is not None
        self.phase.share = share
        self.phase.running.pop(job.trial.key, None)
        self.phase.count(job, outcome_of(record.status))
        if record.status not in ("ok", "skipped"):
            reason = clean_text(record.reason, REASON)
            self.failures.append(named(job) | {"status": record.status, "reason": reason, "at": round(time.time(), 1)})

    def beat(self, curves: Curves) -> bool:
        """Write the file, if that is due; whether it was."""
        if due := time.monotonic() - self.written >= EVERY_SECONDS:
            self.write(curves())
        return due

    def write(self, curves: Mapping[str, Points], outcome: str = "running") -> None:
        """Replace the file. A folder that refuses it is told by the store, which needs it more."""
        self.written = time.monotonic()
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self.body(curves, outcome), allow_nan=False), encoding="utf-8")
            os.replace(temporary, self.path)

    def body(self, curves: Mapping[str, Points], outcome: str) -> dict[str, Any]:
        """What the file says."""
        assert self.phase is not None
        now, phase = time.time(), self.phase
        left = seconds_left(now - phase.began, phase.share, phase.expected_seconds)
        running = [
            named(job) | budget_of(job) | {"began": round(began, 1), "points": curves.get(key, [])}
            for key, (job, began) in list(phase.running.items())[:RUNNING_TOLD]
        ]
        return {
            "schema": SCHEMA, "run": self.run, "began": round(self.began, 1), "written": round(now, 1),
            "outcome": outcome, "purpose": phase.purpose, "slots": self.slots,
            "expected_end": round(now + left, 1) if outcome == "running" else None,
            "tasks": [{"task": task, **tally} for task, tally in phase.by_task.items()],
            "entries": [{"model": m, "algorithm": a, **tally} for (m, a), tally in phase.by_entry.items()],
            "running": running, "failures": list(self.failures),
        }  # fmt: skip


@dataclass
class Phase:
    """One set of trials of a run, such as those of a search, and how many came to what."""

    purpose: str
    expected_seconds: float
    began: float = field(default_factory=time.time)
    share: float = 0.0
    by_task: dict[str, Counter[str]] = field(default_factory=dict)
    by_entry: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    running: dict[str, tuple[Job, float]] = field(default_factory=dict)

    def count(self, job: Job, what: str) -> None:
        """One more trial that is planned, or that came to this, for its task and for its entry."""
        trial = job.trial
        self.by_task.setdefault(trial.task, empty_tally())[what] += 1
        self.by_entry.setdefault((trial.model, trial.algorithm), empty_tally())[what] += 1


def empty_tally() -> Counter[str]:
    """No trial yet."""
    return Counter(planned=0, ok=0, failed=0, skipped=0)


def outcome_of(status: str) -> str:
    """`ok`, `skipped` or `failed`."""
    return status if status in ("ok", "skipped") else "failed"


def named(job: Job) -> dict[str, Any]:
    """Which trial."""
    trial = job.trial
    notes = [f"{name} {value:g}" for name, value in trial.dose.items()]
    notes += [] if trial.left_out is None else [f"without environment {trial.left_out}"]
    notes += ["search"] if trial.tuned == SEARCH else []
    who = {"task": trial.task, "condition": trial.condition, "model": trial.model, "algorithm": trial.algorithm}
    return who | {"seed": trial.seed, "note": clean_text(", ".join(notes), REASON)}


def budget_of(job: Job) -> dict[str, Any]:
    """How far a trial may go, and what its points measure."""
    spec = load(job.trial.task).spec
    return {"steps": scaled(spec.budget, job.trial.budget_scale).steps, "seconds": job.seconds, "metric": spec.metric}


def remove_forgotten(folder: Path) -> None:
    """Remove the files of runs that have ended or were killed: those that nobody has written for a while."""
    with suppress(OSError):
        for path in [*folder.glob("*.json"), *folder.glob(".*.tmp")]:
            if time.time() - path.lstat().st_mtime > FORGOTTEN_SECONDS:
                path.unlink(missing_ok=True)
