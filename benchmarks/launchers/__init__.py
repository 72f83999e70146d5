"""Engines that start workers somewhere, count them and stop them; none knows what a trial is or carries a result.

A worker is a command that does what is left to do for a results folder and then ends with status 0. So any number of
workers may run, die and be started again, on any mixture of engines: what counts is in the folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from benchmarks.records import clean_text

TOLD = 300
TAIL_BYTES = 4_000


class LauncherError(Exception):
    """An engine is not there or refuses; the message says why and what to do. Finished results are safe."""


class Launcher(Protocol):
    """Use as a context manager: entering connects to the engine, leaving stops the workers that were started."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start(self, command: Sequence[str], n: int) -> None:
        """Start n more workers; they may have to wait for a place.

        Raises:
            LauncherError: when the engine refuses them.
        """

    def alive(self) -> int:
        """How many may still be at work, those that wait for a place among them. While the engine does not answer,
        as many as it last said."""

    def failures(self) -> Sequence[str]:
        """All that has been seen to end badly so far, a line each: where, how and its last words. Grows, never
        shrinks, and only while `alive` asks. Nothing is started in place of them."""

    def note(self) -> str:
        """What a user may want to know of the last answer: that workers wait, and for what. Empty when all is well."""


def last_words(log: Path) -> str:
    """The last line of a worker's output and where it stands, or that there is none here."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
    except OSError:
        return f"no log {log}; is the results folder the same on every node?"
    return f"{in_a_line(lines[-1])} ({log})"


def in_a_line(text: str) -> str:
    """What an engine said, in a line that can be printed."""
    return " ".join(clean_text(text.strip(), TOLD).split())
