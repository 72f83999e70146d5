"""How a set of trials is run: by what engine, and in what order."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.budget import Schedule
from benchmarks.child import Stack
from benchmarks.costs import Costs
from benchmarks.devices import visible_devices
from benchmarks.events import Runner
from benchmarks.jobs import Job, modules_of, stacks
from benchmarks.launchers import Launcher
from benchmarks.records import Record
from benchmarks.store import Store
from benchmarks.supervisor import Supervisor


def runner_for(options: argparse.Namespace, store: Store, jobs: Sequence[Job], ends: float | None) -> Runner:
    """What `--launcher` names. `ends` is the monotonic time at which the run should end, if at any."""
    ends = math.inf if ends is None else ends
    if options.launcher == "local":
        return Supervisor(store, options.jobs, preload=modules_of(jobs), devices=visible_devices(), ends=ends)
    if options.launcher == "inline":
        from benchmarks.inline import Inline

        return Inline(store, ends)
    from benchmarks.remote import Remote

    return Remote(store, launcher_for(options), options.workers, options.jobs)


def launcher_for(options: argparse.Namespace) -> Launcher:
    """The engine that starts workers on other machines.

    Raises:
        LauncherError: for options that it does not take.
    """
    if options.launcher == "ray":
        from benchmarks.launchers.ray import Ray

        return Ray(options.results, cpus=options.jobs, gpus=options.gpus, address=options.address)
    from benchmarks.launchers.slurm import Slurm

    return Slurm(options.results, cpus=options.jobs, options=options.slurm)


class Order:
    """The stacks of a run, one after the other: those that take longest first or, where time is limited, those that
    narrow the intervals of ranks most. Told of results, it goes by them."""

    def __init__(
        self, jobs: Sequence[Job], records: Iterable[Record], costs: Costs, slots: int, ends: float | None
    ) -> None:
        self.jobs, self.costs, self.slots, self.ends = jobs, costs, slots, ends
        self.expected = {job.trial.key: costs.seconds(job) for job in jobs}
        self.total, self.done_seconds = sum(self.expected.values()), 0.0
        self.schedule = Schedule(jobs, records, costs.seconds, slots) if ends is not None else None

    def __iter__(self) -> Iterator[Stack]:
        if self.schedule is None or self.ends is None:
            yield from stacks(self.jobs, self.slots, self.costs.seconds)
            return
        while (job := self.schedule.next(self.ends - time.monotonic())) is not None:
            yield (job,)

    def add(self, record: Record) -> None:
        """One more result."""
        self.costs.add(record)
        self.done_seconds += self.expected[record.key]
        if self.schedule is not None:
            self.schedule.add(record)

    def expected_seconds(self) -> float:
        """How long the run may take, with all its slots at work."""
        whole = max(self.total / self.slots, max(self.expected.values(), default=0.0))
        return whole if self.ends is None else min(whole, max(0.0, self.ends - time.monotonic()))

    @property
    def share(self) -> float:
        """The share of the expected work that is done."""
        return self.done_seconds / self.total
