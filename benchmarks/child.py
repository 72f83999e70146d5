"""A process at work on a trial, or on several at once: started, held to its limits, ended."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from benchmarks.forkserver import environment, worker_environment
from benchmarks.jobs import Job
from benchmarks.records import Status, clean_text

LOG_TAIL_BYTES = 4_000
GIB = 2**30
SERVER_DIED = 255  # what multiprocessing says of processes whose server was killed

Stack = tuple[Job, ...]
"""A job, or several that differ in their seeds alone and may be trained at once."""


@dataclass
class Child:
    """One process. `ended_by` is what it was killed for, if we killed it; `device` the accelerator that it has."""

    stack: Stack
    process: ForkServerProcess
    home: Path
    memory_gib: float
    device: str | None
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    began: float = field(default_factory=time.monotonic)
    ended_by: tuple[Status, str] | None = None

    @classmethod
    def started(
        cls,
        stack: Stack,
        context: ForkServerContext,
        folder: Path,
        results: Path,
        memory_gib: float,
        device: str | None,
    ) -> Child:
        """A fresh process for a stack, with a home in `folder` that is the caller's to remove."""
        from benchmarks import trial_process  # imports torch

        home = Path(tempfile.mkdtemp(dir=folder))
        texts = [job.to_json() for job in stack]
        arguments = (texts, str(results.resolve()), str(home), memory_gib, device)
        process = context.Process(target=trial_process.main, args=arguments, daemon=False)
        with environment(worker_environment(os.environ)):  # should the server have to be started again
            process.start()
        return cls(stack, process, home, memory_gib, device)

    def enforce_limits(self) -> None:
        """Kill it if it is over its time or memory."""
        seconds = self.stack[0].seconds
        if self.age > seconds:
            self.kill("timeout", f"over its limit of {seconds:g} s")
        elif (resident := resident_bytes(self.process.pid)) > self.memory_gib * GIB:
            told = f"{resident / GIB:.1f} GiB resident, over its limit of {self.memory_gib:g} GiB"
            self.kill("out_of_memory", told)

    def kill(self, status: Status, reason: str) -> None:
        """End the trial and all that it started, with this outcome."""
        self.ended_by = (status, reason)
        self.stop()

    def stop(self) -> None:
        """SIGKILL the process group."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def bury(self) -> None:
        """Wait for its end, and kill what it may have left running."""
        self.process.join()
        self.stop()

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.began

    @property
    def exit_code(self) -> int:
        """How it ended; the number of a signal is negative."""
        return self.process.exitcode or 0

    @property
    def was_killed(self) -> bool:
        """Whether a signal ended it that was not ours."""
        return self.ended_by is None and (self.exit_code < 0 or self.exit_code == SERVER_DIED)

    @property
    def death(self) -> tuple[Status, str]:
        """What to say of one that left no record."""
        if self.ended_by is not None:
            return self.ended_by
        if self.exit_code < 0:
            return "failed", f"killed by {signal.Signals(-self.exit_code).name}"
        return "failed", f"ended with exit code {self.exit_code} before its record was written"

    @property
    def log(self) -> str:
        """The end of its output."""
        try:
            path = self.home / "log"
            with open(path, "rb") as file:
                file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
                return clean_text(file.read().decode(errors="replace"))
        except OSError:
            return ""


def resident_bytes(pid: int | None) -> int:
    """Resident memory of a process that it does not share with the server it was forked from; 0 where unknown."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")
