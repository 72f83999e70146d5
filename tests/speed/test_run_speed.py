"""Whole commands: one process and two, and the site; and the sampling of every task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import jobs_for

from benchmarks.checkpoint import checkpoint_of
from benchmarks.jobs import Job
from benchmarks.store import Store
from benchmarks.supervisor import Supervisor
from benchmarks.trial import run_trial, run_trials
from leaderboard import build
from tasks import registry
from tasks.seeds import Draw
from tasks.types import MissingData, load_data

TRIALS = 48


@pytest.mark.parametrize("slots", [1, 2])
def test_processes(benchmark: Any, tmp_path: Path, slots: int) -> None:
    """Trials of some seconds, one or two at a time; two should take half as long, but for what is begun once."""
    benchmark.group = f"{TRIALS} trials"
    jobs = jobs_for(["mlp"], "linear-unit-1", seeds=TRIALS, scale=1.0)

    def run(jobs: Sequence[Job]) -> None:
        with Supervisor(Store(tmp_path / str(time.monotonic())), slots) as supervisor:
            list(supervisor.run([(job,) for job in jobs]))

    run(jobs[:2])
    benchmark.pedantic(run, args=(jobs,), rounds=1)


CELLS = {"linear-unit-1 linear": 1.0, "linear-unit-1 mlp": 1.0, "slabs-ms5 mlp": 0.5, "colored-digits cnn": 0.5}


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("way", ["one by one", "as a run does it"])
@pytest.mark.parametrize("cell", CELLS)
def test_cell(benchmark: Any, cell: str, way: str) -> None:
    """Five seeds, one by one, or at once where the probe says so, whose cost is included."""
    benchmark.group = f"five seeds of {cell}"
    task, model = cell.split()
    jobs = jobs_for([model], task, seeds=5, scale=CELLS[cell])

    def run() -> None:
        torch.set_num_threads(1)
        done = run_trials(jobs, [None] * 5, partial(checkpoint_of, Path("nowhere"))) if way != "one by one" else []
        for job in jobs[len(done) :]:
            run_trial(job)

    benchmark.pedantic(run, rounds=3)


def test_site(benchmark: Any, tmp_path: Path) -> None:
    """Of the results that ship."""
    benchmark.group = "site"
    benchmark.pedantic(build.main, args=([str(build.PUBLIC), "--out", str(tmp_path / "site")],), rounds=1)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("task_id", sorted(registry.entries()))
def test_sampling(benchmark: Any, task_id: str) -> None:
    """All splits of the first condition."""
    benchmark.group = "sampling"
    task = registry.load(task_id)
    condition = task.spec.conditions[0].name

    def sample() -> None:
        load_data(task, condition, Draw(task_id, 0))

    try:
        sample()
    except MissingData as missing:
        pytest.skip(str(missing))
    benchmark.pedantic(sample, rounds=1)
