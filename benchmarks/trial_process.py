"""The child process of one trial: limits, a home of its own, captured output, and its record written before it ends.

The forkserver imports this module once, and with it torch and Lightning, so that a fresh process costs milliseconds.
Isolation is honest, not perfect: a process of the same user can still do harm (see docs/architecture.md).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import NoReturn

import torch

from benchmarks.jobs import Job
from benchmarks.points import Teller
from benchmarks.store import Store, StoreError
from benchmarks.trial import run_trial

GIB = 2**30
LOG_LIMIT_BYTES = 256 * 2**20
PR_SET_PDEATHSIG = 1


def main(text: str, results: str, home: str, memory_gib: float) -> None:
    """Run one job, tell its points, write its record. `home` is an empty folder that the parent removes afterwards."""
    isolate(Path(home), memory_gib)
    job = Job.from_json(text)
    record = run_trial(job, Teller(Path(home), job.trial.task))
    try:
        Store(Path(results)).put(record)
    except StoreError as error:
        print(error, file=sys.stderr, flush=True)
        leave(os.EX_IOERR)
    leave(os.EX_OK)


def isolate(home: Path, memory_gib: float) -> None:
    """A session of its own, output to a file, one thread, limits on memory and on files written."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_DATA, (int(memory_gib * GIB),) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LOG_LIMIT_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log = os.open(home / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["HOME"] = str(home)
    os.chdir(home)
    torch.set_num_threads(1)


def leave(status: int) -> NoReturn:
    """End at once: exit handlers and threads of the class under test have no say in a finished trial."""
    os._exit(status)
