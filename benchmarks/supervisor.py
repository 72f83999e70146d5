"""Runs jobs in fresh processes, a few at a time, under limits; the one place for causes of death."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing import connection
from pathlib import Path

from benchmarks.checkpoint import checkpoint_of, remove_abandoned
from benchmarks.child import Child, Stack
from benchmarks.claims import Claims
from benchmarks.events import Event, Finished, Pulse, Started
from benchmarks.forkserver import start_forkserver
from benchmarks.jobs import Job
from benchmarks.points import Points, points_file, read_points
from benchmarks.records import Record
from benchmarks.store import Store, StoreError
from benchmarks.waiting import EMPTY, TRIES, Redone, Waiting

MEMORY_GIB = 8.0
POLL_SECONDS = 0.1


class Supervisor:
    """Runs jobs, `slots` at a time. Use as a context manager: leaving it kills what still runs.

    `memory_gib` limits the private memory of each process; on systems without RLIMIT_DATA only the poll of its resident
    memory holds. `preload` names modules of ours that trials need: they are imported once, not in every trial.
    Processes are spread over the accelerators in `devices`. From the monotonic time `ends` on it leaves to other runs
    what they have begun.
    """

    def __init__(
        self,
        store: Store,
        slots: int,
        memory_gib: float = MEMORY_GIB,
        preload: Sequence[str] = (),
        devices: Sequence[str] = (),
        ends: float = math.inf,
    ) -> None:
        self.store, self.slots, self.memory_gib = store, slots, memory_gib
        self.preload, self.devices, self.ends = preload, devices, ends
        self.claims = Claims(store.root)
        self.children: list[Child] = []

    def __enter__(self) -> Supervisor:
        remove_stale_folders()
        remove_abandoned(self.store.root)
        self.folder = Path(tempfile.mkdtemp(prefix=f"offpiste-{os.getpid()}-"))
        self.context = start_forkserver(self.preload)
        self.claims.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        for child in self.children:
            child.stop()
            child.process.join()
        self.claims.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, stacks: Iterable[Stack], redone: Redone = EMPTY) -> Iterator[Event]:
        """Run every job to a record in the store, and tell of each as it starts and ends, and often in between.

        A stack is asked for when a slot is free. A trial that another run has done meanwhile is only told.
        """
        waiting = Waiting(self.store, self.claims, stacks, redone, self.ends)
        while True:
            while len(self.children) < self.slots and (stack := waiting.next()):
                self.start(stack)
                yield from map(Started, stack)
            for job, record in waiting.told():
                yield Finished(job, record)
            if not self.children and waiting.is_over:
                return
            connection.wait([child.process.sentinel for child in self.children], timeout=POLL_SECONDS)
            yield Pulse()
            for child in list(self.children):
                if child.process.is_alive():
                    child.enforce_limits()
                else:
                    yield from self.ended(child, waiting)

    def start(self, stack: Stack) -> None:
        """A fresh process for a stack, on the accelerator that has the fewest."""
        busy = [child.device for child in self.children]
        device = min(self.devices, key=busy.count) if self.devices else None
        self.children.append(Child.started(stack, self.context, self.folder, self.store.root, self.memory_gib, device))

    def ended(self, child: Child, waiting: Waiting) -> Iterator[Event]:
        """What came of an ended process; what has no record is run again where that makes sense.

        Raises:
            StoreError: when the results folder can no longer be written.
        """
        child.bury()
        self.children.remove(child)
        records = [(job, record) for job in child.stack if (record := self.store.get(job.trial)) is not None]
        done = {job.trial.key for job, _ in records}
        missing = tuple(job for job in child.stack if job.trial.key not in done)
        if missing and child.exit_code == os.EX_IOERR:
            self.store.check_writable()
            if not waiting.may_repeat(missing[0]):
                raise StoreError(child.log.strip() or f"results cannot be written to {self.store.root}")
            waiting.repeat(missing)
        elif len(child.stack) > 1:
            for begun in (child.stack, child.stack[:1]):  # a limit of time is for a training from its beginning
                checkpoint_of(self.store.root, begun).remove()
            waiting.repeat_alone(missing, why_alone(child, records))
        elif missing and child.was_killed and waiting.may_repeat(missing[0]):
            waiting.repeat(missing)
        elif missing:
            records = [(missing[0], self.post_mortem(child))]
        for job, record in records:
            self.claims.give_back(job.trial.key)
            yield Finished(job, record)
        shutil.rmtree(child.home, ignore_errors=True)

    def post_mortem(self, child: Child) -> Record:
        """The record, now in the store, of a trial that could not write one."""
        status, reason = child.death
        reason += f", {TRIES} times" if child.was_killed else ""
        job, origin = child.stack[0], {"started": child.started_at, "commit": child.stack[0].commit}
        record = Record(job.trial, status, reason, seconds=round(child.age, 3), provenance=origin, log=child.log)
        self.store.put(record)
        checkpoint_of(self.store.root, child.stack).remove()
        return record

    def curves(self) -> Mapping[str, Points]:
        """What the running trials have measured so far, by key."""
        running = ((child.home, job.trial.key) for child in self.children for job in child.stack)
        return {key: read_points(points_file(home, key)) for home, key in running}


def why_alone(child: Child, records: Sequence[tuple[Job, Record]]) -> str:
    """Why the trials of a stack are run one by one: its first record says so, or it died."""
    for _, record in records:
        engine = record.provenance.get("engine", {})
        if engine.get("name") == "sequential":
            return str(engine["why"])
    return f"trained at once: {child.death[1]}"


def remove_stale_folders() -> None:
    """Remove the temporary folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob("offpiste-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
