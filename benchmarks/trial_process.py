"""The child process of a trial, or of several that are trained at once: limits, a home of its own, captured output.

The forkserver imports this module once, and with it torch and Lightning, so that a fresh process costs milliseconds.
Isolation is honest, not perfect: a process of the same user can still do harm (see docs/architecture.md).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, NoReturn

import torch

from benchmarks.checkpoint import checkpoint_of
from benchmarks.jobs import Job
from benchmarks.points import Teller, points_file
from benchmarks.store import Store, StoreError
from benchmarks.trial import run_trial, run_trials

GIB = 2**30
LOG_LIMIT_BYTES = 256 * 2**20
PR_SET_PDEATHSIG = 1


def main(texts: Sequence[str], results: str, home: str, memory_gib: float, device: str | None = None) -> None:
    """Run jobs, tell their points, write their records. `home` is an empty folder that the parent removes afterwards.

    Of several jobs, which differ in their seeds, only the first may get its record: then they are not trained at once.
    `device` is the accelerator to use, by the number that CUDA_VISIBLE_DEVICES gives it.
    """
    isolate(Path(home), memory_gib)
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device  # read when CUDA is first used, which the server has not done
    jobs = [Job.from_json(text) for text in texts]
    tells = [Teller(points_file(Path(home), job.trial.key), job.trial.task) for job in jobs]
    keep = partial(checkpoint_of, Path(results))
    records = [run_trial(jobs[0], tells[0], keep(jobs))] if len(jobs) == 1 else run_trials(jobs, tells, keep)
    try:
        for record in records:
            Store(Path(results)).put(record)
    except StoreError as error:
        print(error, file=sys.stderr, flush=True)
        leave(os.EX_IOERR)
    for together in (jobs, jobs[:1]):
        keep(together).remove()
    leave(os.EX_OK)


def isolate(home: Path, memory_gib: float) -> None:
    """A session of its own, output to a file, one thread, limits on memory and on files written."""
    os.setsid()
    let_the_server_end()
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


def let_the_server_end() -> None:
    """Close our copy of the pipe that tells the server that its parent lives: a killed run must not leave trials."""
    server: Any = forkserver._forkserver  # no public name; what is missing there one day is an error in a test
    if server._forkserver_alive_fd is not None:
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = None


def leave(status: int) -> NoReturn:
    """End at once: exit handlers and threads of the class under test have no say in a finished trial."""
    os._exit(status)
