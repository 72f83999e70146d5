"""Speed is measured on demand: `python -m pytest tests/speed --benchmark-enable`. Else a few are run, as a test."""

from __future__ import annotations

from pathlib import Path

import pytest

RUN_ALWAYS = ("test_training[linear-1", "test_store[write-1000", "test_sampling[shift/reweight-v1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what would take minutes where nothing is measured."""
    if config.getoption("benchmark_enable"):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.name.startswith(RUN_ALWAYS):
            item.add_marker(pytest.mark.skip(reason="measured with --benchmark-enable"))
