"""Runs jobs in fresh processes, a few at a time, under limits; the one place for retries and for causes of death.

A process is forked from a server that has imported everything (milliseconds, not seconds). Its environment is an
allow-list: no key or token of the parent reaches a class under test.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from benchmarks.jobs import Job
from benchmarks.points import Points, read_points
from benchmarks.records import Record, Status, clean_text
from benchmarks.store import Store

ALLOWED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH",
           "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "SSL_CERT_FILE")  # fmt: skip
ALLOWED_PREFIXES = ("OFFPISTE_", "OPENBLAS_", "PYTORCH_")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
CACHES = {"HF_HOME": ".cache/huggingface", "XDG_CACHE_HOME": ".cache"}
POLL_SECONDS = 0.1
TRIES = 2
LOG_TAIL_BYTES = 4_000
GIB = 2**30


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


@dataclass
class Child:
    """A running trial."""

    job: Job
    process: ForkServerProcess
    home: Path
    tries: int
    began: float = field(default_factory=time.monotonic)
    ended_by: tuple[Status, str] | None = None

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


class Supervisor:
    """Runs jobs, `slots` at a time. Use as a context manager: leaving it kills what still runs.

    `memory_gib` limits each trial's private memory; on systems without RLIMIT_DATA only the poll of its resident
    memory holds. `preload` names modules of ours that trials need: they are imported once, not in every trial.
    """

    def __init__(self, store: Store, slots: int, memory_gib: float, preload: Sequence[str] = ()) -> None:
        self.store = store
        self.slots = slots
        self.memory_gib = memory_gib
        self.preload = preload
        self.children: list[Child] = []

    def __enter__(self) -> Supervisor:
        remove_stale_folders()
        self.folder = Path(tempfile.mkdtemp(prefix=f"offpiste-{os.getpid()}-"))
        self.context = start_forkserver(self.preload)
        return self

    def __exit__(self, *exception: object) -> None:
        for child in self.children:
            child.stop()
            child.process.join()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, jobs: Sequence[Job]) -> Iterator[Started | Finished | Pulse]:
        """Run every job to a record in the store, and tell of each as it starts and ends, and often in between."""
        waiting = deque((job, 1) for job in jobs)
        while waiting or self.children:
            while waiting and len(self.children) < self.slots:
                job, tries = waiting.popleft()
                self.children.append(self.start(job, tries))
                yield Started(job)
            connection.wait([child.process.sentinel for child in self.children], timeout=POLL_SECONDS)
            yield Pulse()
            for child in list(self.children):
                if child.process.is_alive():
                    self.enforce_limits(child)
                    continue
                self.children.remove(child)
                record = self.outcome(child)
                if record is None:
                    waiting.appendleft((child.job, child.tries + 1))
                else:
                    yield Finished(child.job, record)
                shutil.rmtree(child.home, ignore_errors=True)

    def start(self, job: Job, tries: int) -> Child:
        """A fresh process for a job."""
        from benchmarks import trial_process

        self.store.discard(job.trial)
        home = Path(tempfile.mkdtemp(dir=self.folder))
        arguments = (job.to_json(), str(self.store.root.resolve()), str(home), self.memory_gib)
        process = self.context.Process(target=trial_process.main, args=arguments, daemon=False)
        process.start()
        return Child(job, process, home, tries)

    def curves(self) -> dict[str, Points]:
        """What the running trials have measured so far, by key."""
        return {child.job.trial.key: read_points(child.home) for child in self.children}

    def enforce_limits(self, child: Child) -> None:
        """Kill a trial that is over its time or memory."""
        if time.monotonic() - child.began > child.job.seconds:
            child.kill("timeout", f"over its limit of {child.job.seconds:g} s")
        elif (resident := resident_bytes(child.process.pid)) > self.memory_gib * GIB:
            child.kill("out_of_memory", f"{resident / GIB:.1f} GiB resident, over its limit of {self.memory_gib:g} GiB")

    def outcome(self, child: Child) -> Record | None:
        """The record of an ended process, written here if it could not write one; None if it is worth another try.

        Raises:
            StoreError: when the results folder can no longer be written.
        """
        child.process.join()
        child.stop()  # what it may have left running
        if (record := self.store.get(child.job.trial)) is not None:
            return record
        if child.process.exitcode == os.EX_IOERR:
            self.store.check_writable()
            return None
        if child.ended_by is None and (child.process.exitcode or 0) < 0 and child.tries < TRIES:
            return None
        status, reason = child.ended_by or ("failed", death(child.process.exitcode))
        seconds = round(time.monotonic() - child.began, 3)
        record = Record(child.job.trial, status, reason, seconds=seconds, log=tail(child.home / "log"))
        self.store.put(record)
        return record


def death(exit_code: int | None) -> str:
    """How a process ended that left no record."""
    if exit_code is not None and exit_code < 0:
        return f"killed by {signal.Signals(-exit_code).name}, {TRIES} times"
    return f"ended with exit code {exit_code} before its record was written"


def start_forkserver(preload: Sequence[str] = ()) -> ForkServerContext:
    """A server with everything imported and without the parent's secrets."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.trial_process", *preload])
    from multiprocessing import forkserver

    with environment(worker_environment(os.environ)):
        forkserver.ensure_running()
    return context


def worker_environment(parent: Mapping[str, str]) -> dict[str, str]:
    """The variables that workers get: an allow-list, one thread for every library, explicit cache folders."""
    kept = {name: value for name, value in parent.items() if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)}
    home = Path(parent.get("HOME", "/"))
    caches = {name: parent.get(name, str(home / folder)) for name, folder in CACHES.items()}
    offline = {name: parent[name] for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE") if name in parent}
    return kept | caches | offline | ONE_THREAD


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """This process's environment replaced for a moment."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def resident_bytes(pid: int | None) -> int:
    """Resident memory of a process that it does not share with the server it was forked from; 0 where unknown."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


def tail(log: Path) -> str:
    """The end of a trial's output."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
            return clean_text(file.read().decode(errors="replace"))
    except OSError:
        return ""


def remove_stale_folders() -> None:
    """Remove the temporary folders of runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob("offpiste-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
