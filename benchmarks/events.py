"""What a run hears of its trials, whoever trains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from benchmarks.child import Stack
from benchmarks.jobs import Job
from benchmarks.points import Points
from benchmarks.records import Record
from benchmarks.waiting import EMPTY, Redone


@dataclass(frozen=True)
class Started:
    """A trial has got its process."""

    job: Job


@dataclass(frozen=True)
class Finished:
    """A trial has its record, already in the store."""

    job: Job
    record: Record


@dataclass(frozen=True)
class Pulse:
    """A moment in which the caller may look after something else; trials go on."""


@dataclass(frozen=True)
class Note:
    """Something that a user may want to know of the engine, such as why workers wait."""

    text: str


Event = Started | Finished | Pulse | Note


class Runner(Protocol):
    """Runs jobs to records in the store. Use as a context manager: leaving it ends what it started."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, stacks: Iterable[Stack], redone: Redone = EMPTY) -> Iterator[Event]:
        """Run every job to a record in the store, and tell of each as it starts and ends, and often in between.

        A stack is asked for when there is a place for it. A trial that somebody else has done meanwhile is only told.
        """

    def curves(self) -> Mapping[str, Points]:
        """What the trials that run here have measured so far, by key."""
