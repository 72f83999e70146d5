"""What a run has still to do: its own stacks in their order, retries first, and what other runs are at work on.

Several runs may share a results folder. A trial is taken by a claim; one that somebody else has claimed is waited for,
and taken over when its owner dies.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from benchmarks.child import Stack
from benchmarks.claims import Claims
from benchmarks.jobs import Job
from benchmarks.records import Record
from benchmarks.store import Store

Redone = Mapping[str, str]
"""Trials to run again although they have a record: their keys, and the checksums of the records to replace."""

EMPTY: Redone = {}
LOOK_SECONDS = 2.0
LOOKED_AT = 200  # trials of others at a time
TRIES = 2


class Waiting:
    """Gives one stack after the other. What others have begun is neither waited for nor taken over once the monotonic
    time `ends` has come."""

    def __init__(
        self, store: Store, claims: Claims, stacks: Iterable[Stack], redone: Redone = EMPTY, ends: float = math.inf
    ) -> None:
        self.store, self.claims = store, claims
        self.stacks, self.redone, self.ends = iter(stacks), redone, ends
        self.repeated: deque[Stack] = deque()
        self.elsewhere: list[Job] = []
        self.found: list[tuple[Job, Record]] = []
        self.tries: Counter[str] = Counter()
        self.alone: dict[str, str] = {}
        self.looked = time.monotonic()

    def next(self) -> Stack | None:
        """A stack to run now, claimed; None if there is none at the moment."""
        if self.repeated:
            return self.repeated.popleft()
        self.look_elsewhere()
        for stack in self.stacks if not self.repeated else ():
            if mine := tuple(job for job in stack if self.is_mine(job)):
                self.repeated.extend(self.divided(mine))
                break
        return self.repeated.popleft() if self.repeated else None

    @property
    def is_over(self) -> bool:
        """Once there is no next stack: whether nothing is left elsewhere either, but what the caller has got."""
        return not (self.repeated or self.found or (self.elsewhere and not self.is_late))

    @property
    def is_late(self) -> bool:
        """Whether others are on their own."""
        return time.monotonic() >= self.ends

    def told(self) -> Iterator[tuple[Job, Record]]:
        """What got its record from another run."""
        while self.found:
            yield self.found.pop()

    def is_mine(self, job: Job) -> bool:
        """Whether this run has it now; it is noted where else it is."""
        key = job.trial.key
        if not self.claims.take(key):
            self.elsewhere.append(job)
            return False
        record = self.store.get(job.trial)
        if record is not None and record.checksum == self.redone.get(key):
            self.store.discard(job.trial)
        elif record is not None:
            self.claims.give_back(key)
            self.found.append((job, record))
            return False
        return True

    def look_elsewhere(self) -> None:
        """See now and then what other runs have done, and whether they still live."""
        if self.is_late or time.monotonic() - self.looked < LOOK_SECONDS:
            return
        self.looked = time.monotonic()
        jobs, self.elsewhere = self.elsewhere[:LOOKED_AT], self.elsewhere[LOOKED_AT:]
        for job in jobs:
            if self.is_mine(job):
                self.repeated.append((job,))

    def divided(self, stack: Stack) -> list[Stack]:
        """A stack, or its trials one by one where it is known that they do not gain from one another."""
        why = self.alone.get(kind_of(stack[0]), "")
        return [(replace(job, alone=why),) for job in stack] if why and len(stack) > 1 else [stack]

    def may_repeat(self, job: Job) -> bool:
        """Whether a trial that was killed from outside is worth another try."""
        self.tries[job.trial.key] += 1
        return self.tries[job.trial.key] < TRIES

    def repeat(self, stack: Stack) -> None:
        """Run it again before anything else."""
        self.repeated.append(stack)

    def repeat_alone(self, jobs: Iterable[Job], why: str) -> None:
        """Run these one by one, and their like from now on."""
        for job in jobs:
            self.alone[kind_of(job)] = why
            self.repeated.append((replace(job, alone=why),))


def kind_of(job: Job) -> str:
    """What the decision to train several at once depends on: not the seed, and hardly the condition."""
    return job.varied(seed=0, condition="").trial.key
