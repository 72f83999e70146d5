"""Computes chunks in worker processes with one thread each; a worker keeps its result before it says it is done."""

from __future__ import annotations

import multiprocessing
import platform
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from benchmarks.reproductions import measure, registered
from benchmarks.reproductions._chunks import Chunk, Result, check_finite, write

LIBRARIES = ("offpiste", "torch", "numpy", "scipy")


@dataclass(frozen=True)
class Outcome:
    """How a chunk ended: with a result that is kept, skipped for want of data, or failed.

    `killed` says that a worker was killed from outside while the chunk was waiting or computed.
    """

    chunk: Chunk
    status: Literal["ok", "skipped", "failed"]
    result: Result | None = None
    reason: str = ""
    killed: bool = False


def compute(chunk: Chunk, root: Path) -> Outcome:
    """Measure a chunk in this process and keep the result."""
    from tasks.types import MissingData

    began = time.perf_counter()
    try:
        values = measure(registered()[chunk.entry], chunk.seeds)
        check_finite(values)
        result = Result(chunk, values, round(time.perf_counter() - began, 3), environment())
        write(result, root)
    except MissingData as missing:
        return Outcome(chunk, "skipped", reason=str(missing))
    except Exception as error:  # one entry that breaks does not end the others
        return Outcome(chunk, "failed", reason=f"{type(error).__name__}: {error}")
    return Outcome(chunk, "ok", result)


def compute_all(chunks: Sequence[Chunk], root: Path, jobs: int) -> Iterator[Outcome]:
    """Every chunk, in the order in which they end, `jobs` at a time; what a killed worker left is tried once more."""
    left: list[Chunk] = []
    for outcome in computed(chunks, root, jobs):
        if outcome.killed:
            left.append(outcome.chunk)
        else:
            yield outcome
    yield from computed(left, root, jobs)


def computed(chunks: Sequence[Chunk], root: Path, jobs: int) -> Iterator[Outcome]:
    """Every chunk in one pool of workers, of which a killed one ends all."""
    from benchmarks.forkserver import start_forkserver

    if not chunks:
        return
    modules = sorted({registered()[chunk.entry].module for chunk in chunks})
    pool = ProcessPoolExecutor(min(jobs, len(chunks)), mp_context=start_forkserver(modules), initializer=prepare_worker)
    try:
        futures = {pool.submit(compute, chunk, root): chunk for chunk in chunks}
        for future in as_completed(futures):
            yield outcome_of(future, futures[future])
    except BaseException:  # an interrupt does not wait for what runs
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def outcome_of(future: Future[Outcome], chunk: Chunk) -> Outcome:
    """What a worker returned, or that one was killed."""
    try:
        return future.result()
    except BrokenProcessPool:
        reason = "a worker process was killed, for memory perhaps; what is finished is kept, give the command again"
        return Outcome(chunk, "failed", reason=reason, killed=True)


def prepare_worker() -> None:
    """One thread; an interrupt is the parent's to handle, and warnings of libraries are not this command's to print."""
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")


def environment() -> dict[str, Any]:
    """Versions and processor, enough to repeat a chunk."""
    versions = {name: version(name) for name in LIBRARIES}
    return versions | {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
