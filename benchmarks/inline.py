"""Trials in this very process, one after the other and without limits: where a debugger is wanted."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType

import torch

from benchmarks.child import Stack
from benchmarks.claims import Claims
from benchmarks.events import Event, Finished, Pulse, Started
from benchmarks.points import Points
from benchmarks.store import Store
from benchmarks.trial import run_trial
from benchmarks.waiting import EMPTY, LOOK_SECONDS, Redone, Waiting


class Inline:
    """Runs jobs here. From the monotonic time `ends` on it leaves to other runs what they have begun."""

    def __init__(self, store: Store, ends: float = math.inf) -> None:
        self.store, self.claims, self.ends = store, Claims(store.root), ends

    def __enter__(self) -> Inline:
        torch.set_num_threads(1)  # as in every other engine
        self.claims.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.claims.__exit__(kind, error, trace)

    def run(self, stacks: Iterable[Stack], redone: Redone = EMPTY) -> Iterator[Event]:
        """Run every job to a record in the store."""
        waiting = Waiting(self.store, self.claims, stacks, redone, self.ends)
        while True:
            stack = waiting.next()
            for job in stack or ():
                yield Started(job)
                record = run_trial(job)
                self.store.put(record)
                self.claims.give_back(job.trial.key)
                yield Finished(job, record)
                yield Pulse()
            for job, record in waiting.told():
                yield Finished(job, record)
            if stack is None and waiting.is_over:
                return
            if stack is None:
                time.sleep(LOOK_SECONDS)
                yield Pulse()

    def curves(self) -> Mapping[str, Points]:
        """Nobody listens while a trial runs."""
        return {}
