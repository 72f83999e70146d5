"""What several test files need."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from baselines import references
from benchmarks.events import Finished
from benchmarks.jobs import Job, plan
from benchmarks.records import Record
from benchmarks.store import Store
from benchmarks.supervisor import Supervisor
from tasks import registry

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a test asks no server

Run = Callable[..., dict[str, Record]]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two spinning threads on a shared machine cost minutes."""
    import torch

    torch.set_num_threads(1)


def jobs_for(models: Sequence[str], task: str, seeds: int = 1, scale: float = 0.1, seconds: float = 60.0) -> list[Job]:
    """Jobs of the first condition of a task."""
    erm = references.select(["erm"], "algorithm")
    found = plan(registry.select([task]), references.select(models), erm, seeds, scale)
    first = found[0].trial.condition
    return [replace(job, seconds=seconds) for job in found if job.trial.condition == first]


@pytest.fixture
def run_models(tmp_path: Path) -> Run:
    """Run model classes in real worker processes; their records by class name."""

    def run(
        models: Sequence[str], task: str = "linear-unit-1", memory_gib: float = 3.0, **options: float
    ) -> dict[str, Record]:
        jobs = jobs_for(models, task, **options)  # type: ignore[arg-type]
        with Supervisor(Store(tmp_path / "results"), slots=2, memory_gib=memory_gib) as supervisor:
            ended = [event for event in supervisor.run([(job,) for job in jobs]) if isinstance(event, Finished)]
        return {event.job.model.attribute: event.record for event in ended}

    return run


MEASURED = Path(__file__).parent / "speed"
RUN_ALWAYS = ("test_training[linear-1", "test_store[write-1000", "test_sampling[shift/reweight-v1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Speed is measured on demand, with --benchmark-enable; else a few cases are run, as a test that they can be."""
    if config.getoption("benchmark_enable"):
        return
    for item in items:
        if MEASURED in item.path.parents and not item.name.startswith(RUN_ALWAYS):
            item.add_marker(pytest.mark.skip(reason="measured with --benchmark-enable"))
