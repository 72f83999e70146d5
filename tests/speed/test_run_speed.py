"""Whole commands: one process and two, and the site; and the sampling of every task."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from conftest import jobs_for

from benchmarks.store import Store
from benchmarks.supervisor import Supervisor
from leaderboard import build
from tasks import registry
from tasks.seeds import Draw


@pytest.mark.parametrize("slots", [1, 2])
def test_processes(benchmark: Any, tmp_path: Path, slots: int) -> None:
    """16 trials of some seconds, one or two at a time; two should take half as long."""
    benchmark.group = "16 trials"
    jobs = jobs_for(["mlp"], "linear-unit-1", seeds=16, scale=1.0)

    def run() -> None:
        with Supervisor(Store(tmp_path / str(time.monotonic())), slots) as supervisor:
            list(supervisor.run([(job,) for job in jobs]))

    benchmark.pedantic(run, rounds=1, warmup_rounds=0)


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
        for split in task.spec.splits:
            task.sample(condition, split, Draw(task_id, 0))

    benchmark.pedantic(sample, rounds=1, warmup_rounds=1)
