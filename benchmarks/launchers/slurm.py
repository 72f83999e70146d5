"""Workers as tasks of Slurm job arrays, by `sbatch`, `squeue` and `scancel`; no accounting is needed.

The batch script becomes the worker, so that a signal for the batch shell is a signal for the worker: Slurm sends
SIGTERM a minute before the time limit, at preemption and at `scancel`. A worker that is a step of the script would
hear of preemption earlier, but to end then is to Slurm a failure, and the job would not be queued again.

All jobs of a launcher share a name that no other job has. By it they are listed and cancelled, also those whose
submission was not confirmed, and a finished job that Slurm has forgotten is no error.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.forkserver import ONE_THREAD
from benchmarks.launchers import LauncherError, in_a_line, last_words
from benchmarks.supervisor import MEMORY_GIB

ANSWER_SECONDS = 60.0
CANCEL_TRIES = 3
CANCEL_PAUSE_SECONDS = 2.0
WARNING_SECONDS = 60
MAX_ARRAY_SIZE = 1001  # Slurm's default
MIB = 1024

ENDED_WELL = {"COMPLETED", "CANCELLED"}  # who cancels a worker does not want another one
ENDED_BADLY = {"BOOT_FAIL", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}
HABITS = ("SQUEUE_", "SCANCEL_", "SBATCH_WAIT")  # a user's defaults that would hide jobs, or wait for their end
RESERVED = {"-a": "--array", "-J": "--job-name", "-M": "--clusters", "-W": "--wait", "-o": "--output",
            "-i": "--input"}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """One line of the queue: a task of a job array."""

    id: str
    state: str
    node: str
    reason: str


class Slurm:
    """Submits workers to the Slurm cluster of this machine.

    Each worker asks for `cpus` cores with `memory_gib` each, and for `minutes`; `options` are more options for
    `sbatch`, written as in a shell, and win over these. Output goes to `results/slurm/<job>_<task>.log`.
    """

    def __init__(
        self,
        results: Path,
        cpus: int = 1,
        memory_gib: float = MEMORY_GIB,
        minutes: int = 60,
        options: str = "",
    ) -> None:
        """Raises LauncherError for options that cannot be read or that belong to the launcher."""
        self.results = results.resolve()
        self.cpus, self.minutes = cpus, minutes
        self.options = parsed(options)
        told = any(word.startswith("--mem") for word in self.options)  # one of three that exclude each other
        self.memory = [] if told else [f"--mem={math.ceil(cpus * memory_gib * MIB)}M"]
        self.name = f"offpiste-{secrets.token_hex(6)}"
        self.n_alive = 0
        self.waiting: Counter[str] = Counter()
        self.failed: dict[str, str] = {}
        self.silence = ""
        self.answered = time.monotonic()

    def __enter__(self) -> Self:
        self.largest = max_array_size(call(["scontrol", "show", "config"]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.n_alive:
            self.cancel()

    def start(self, command: Sequence[str], n: int) -> None:
        """Submit n more workers, in as many arrays as Slurm's limit on their size asks for."""
        (self.results / "slurm").mkdir(parents=True, exist_ok=True)
        for size in pieces(n, self.largest):
            self.n_alive += size  # first: a submission that is not confirmed may stand all the same
            call(self.submission(size), script(command))

    def submission(self, size: int) -> list[str]:
        """The command that submits an array of workers, whose script is its standard input."""
        log = str(self.results / "slurm").replace("%", "%%") + "/%A_%a.log"
        return [
            "sbatch", "--requeue", "--open-mode=append", "--nodes=1", "--ntasks=1", f"--cpus-per-task={self.cpus}",
            f"--time={self.minutes}", f"--signal=B:TERM@{WARNING_SECONDS}", *self.memory, *self.options,
            f"--job-name={self.name}", f"--array=0-{size - 1}", f"--output={log}",
        ]  # fmt: skip

    def alive(self) -> int:
        """How many run or wait, by the queue; while it does not answer, as many as before."""
        try:
            answer = call(["squeue", "--noheader", "--array", f"--user={os.getuid()}", f"--name={self.name}",
                           "--states=all", "--format=%i|%T|%N|%r"])  # fmt: skip
        except LauncherError as error:
            self.silence = str(error)
            return self.n_alive
        self.silence, self.answered = "", time.monotonic()
        tasks = list(read_queue(answer))
        for task in tasks:
            if task.state in ENDED_BADLY and task.id not in self.failed:
                self.failed[task.id] = self.obituary(task)
        at_work = [task for task in tasks if task.state not in ENDED_WELL | ENDED_BADLY]
        self.waiting = Counter(task.reason for task in at_work if task.state == "PENDING" and task.reason != "None")
        self.n_alive = len(at_work)
        return self.n_alive

    def obituary(self, task: Task) -> str:
        """How a worker ended, and its last words."""
        where = f" on {task.node}" if task.node else ""
        return f"Slurm job {task.id}{where}: {task.state}; {last_words(self.results / 'slurm' / f'{task.id}.log')}"

    def failures(self) -> list[str]:
        """All workers that ended badly so far, a line each; Slurm forgets a job some minutes after its end."""
        return list(self.failed.values())

    def note(self) -> str:
        """Why workers wait, or since when the queue does not answer."""
        if self.silence:
            return f"Slurm has not told the queue for {time.monotonic() - self.answered:.0f} s: {self.silence}"
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.waiting.most_common())
        return f"of {self.n_alive} workers, these wait in the queue: {reasons}" if reasons else ""

    def cancel(self) -> None:
        """Cancel whatever was submitted.

        Raises:
            LauncherError: when Slurm does not do so, with the command that does.
        """
        command = ["scancel", f"--name={self.name}"]
        for attempt in range(CANCEL_TRIES):
            try:
                call(command)
                return
            except LauncherError as error:
                if attempt == CANCEL_TRIES - 1:
                    raise LauncherError(f"workers may be left in the queue: {shlex.join(command)} ({error})") from error
                time.sleep(CANCEL_PAUSE_SECONDS)


def parsed(options: str) -> list[str]:
    """The words of options for `sbatch`.

    Raises:
        LauncherError: for quotes that do not close, and for options that the launcher sets itself.
    """
    try:
        words = shlex.split(options)
    except ValueError as error:
        raise LauncherError(f"the options for sbatch cannot be read: {error}: {options}") from None
    for word in words:
        name = word.split("=")[0] if word.startswith("--") else RESERVED.get(word[:2], "")
        if name in {*RESERVED.values(), "--wrap"}:
            raise LauncherError(f"{name} cannot be among the options for sbatch: the launcher needs it")
    return words


def script(command: Sequence[str]) -> str:
    """A batch script that becomes the worker."""
    threads = " ".join(f"{name}={value}" for name, value in ONE_THREAD.items())
    return f"#!/bin/sh\nexport {threads}\nexec {shlex.join(command)}\n"


def pieces(n: int, largest: int) -> Iterator[int]:
    """Sizes, none above the largest, that add up to n."""
    for first in range(0, n, largest):
        yield min(largest, n - first)


def max_array_size(config: str) -> int:
    """How many tasks an array may have, from `scontrol show config`."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    return max(1, int(found[1])) if found else MAX_ARRAY_SIZE


def read_queue(answer: str) -> Iterator[Task]:
    """The tasks that `squeue` lists."""
    for line in answer.splitlines():
        fields = line.strip().split("|", 3)
        if len(fields) == 4:
            yield Task(*fields)


def call(command: Sequence[str], text: str = "") -> str:
    """What one of Slurm's commands answers.

    Raises:
        LauncherError: when it is not here, fails or does not answer, with its own words.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(HABITS)}
    try:
        done = subprocess.run(
            command, input=text, env=environment, capture_output=True, text=True, errors="replace",
            timeout=ANSWER_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise LauncherError(f"no {command[0]} on this machine; give the command where jobs are submitted") from None
    except subprocess.TimeoutExpired:
        raise LauncherError(f"{command[0]} has not answered within {ANSWER_SECONDS:.0f} s") from None
    if done.returncode:
        raise LauncherError(f"{command[0]}: {in_a_line(done.stderr) or f'status {done.returncode}'}")
    return done.stdout
