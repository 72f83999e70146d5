"""Trials on other machines: a launcher starts workers, which do what is on the agenda; here they are only watched."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

from benchmarks.child import Stack
from benchmarks.events import Event, Finished, Note, Pulse
from benchmarks.jobs import Job
from benchmarks.launchers import Launcher, LauncherError
from benchmarks.points import Points
from benchmarks.store import Store
from benchmarks.waiting import EMPTY, Redone

PULSE_SECONDS = 0.5
LOOK_SECONDS = 2.0
REPLACEMENTS = 3  # of each worker, while none of them finishes a trial


class Remote:
    """Has jobs run by `n` workers, each with `slots` trials at a time. Lost workers are replaced."""

    def __init__(self, store: Store, launcher: Launcher, n: int, slots: int) -> None:
        self.store, self.launcher, self.n = store, launcher, n
        self.command = [sys.executable, "-m", "benchmarks.worker", str(store.root.resolve()), "--jobs", str(slots)]

    def __enter__(self) -> Remote:
        self.launcher.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.launcher.__exit__(kind, error, trace)

    def run(self, stacks: Iterable[Stack], redone: Redone = EMPTY) -> Iterator[Event]:
        """Run every job to a record in the store, and tell of each as its record appears. What is to be redone has been
        given up before: workers know the agenda alone.

        Raises:
            LauncherError: when the engine refuses workers, or they end one after the other without a result.
        """
        missing = {job.trial.key: job for stack in stacks for job in stack}
        self.launcher.start(self.command, min(self.n, len(missing)))
        left, said = REPLACEMENTS * self.n, ""
        while missing:
            done = [(job, r) for job in missing.values() if (r := self.store.get(job.trial)) is not None]
            for job, record in done:
                del missing[job.trial.key]
                yield Finished(job, record)
            if done:
                left = REPLACEMENTS * self.n
            lost = min(self.n, len(missing)) - self.launcher.alive()
            if lost > 0 and left <= 0:
                raise LauncherError(self.complaint(len(missing)))
            if lost > 0:
                self.launcher.start(self.command, lost)
                left -= lost
            if (note := self.launcher.note()) != said:
                said = note
                yield Note(note or "all workers are at work")
            looked = time.monotonic()
            while missing and time.monotonic() - looked < LOOK_SECONDS:
                time.sleep(PULSE_SECONDS)
                yield Pulse()

    def complaint(self, n: int) -> str:
        """What to say when no worker stays."""
        words = list(dict.fromkeys(self.launcher.failures()))[-3:] or ["they said nothing"]
        return f"{n} trials are left and no worker stays: {'; '.join(words)}. The same command does the rest"

    def curves(self) -> Mapping[str, Points]:
        """Only the machine where a trial runs sees its curve."""
        return {}


def give_up(store: Store, jobs: Iterable[Job], redone: Redone) -> None:
    """Discard the records that are to be replaced, unless somebody has replaced them."""
    for job in jobs:
        checksum = redone.get(job.trial.key)
        if checksum is not None and (record := store.get(job.trial)) is not None and record.checksum == checksum:
            store.discard(job.trial)
