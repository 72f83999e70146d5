"""Results written, read, packed and averaged, by their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pack
from benchmarks.frame import frame
from benchmarks.records import Record
from benchmarks.store import Store, scan
from leaderboard.build import PUBLIC


@pytest.fixture(scope="module")
def sample() -> list[Record]:
    """Some results that ship."""
    found = (item for item in scan(PUBLIC) if isinstance(item, Record) and item.status == "ok")
    return [record for record, _ in zip(found, range(200), strict=False)]


def many(sample: Sequence[Record], n: int) -> list[Record]:
    """So many results, of other seeds."""
    return [
        replace(sample[i % len(sample)], trial=replace(sample[i % len(sample)].trial, seed=i // len(sample)))
        for i in range(n)
    ]


def written(root: Path, records: Sequence[Record]) -> None:
    """Every result in a file of its own."""
    store = Store(root)
    for record in records:
        store.put(record)


def averaged(root: Path) -> int:
    """The mean seconds of every task and model."""
    return len(frame(root).groupby(["task", "model"])["seconds"].mean())


@pytest.mark.parametrize("n", [1_000, 10_000])
@pytest.mark.parametrize("what", ["write", "read files", "pack", "read segments", "mean by task and model"])
def test_store(benchmark: Any, tmp_path: Path, sample: list[Record], n: int, what: str) -> None:
    """Once: what is written is written to a new folder."""
    benchmark.group = f"store, {n:,} results"
    records, root = many(sample, n), tmp_path / "results"
    if what != "write":
        written(root, records)
    if what in ("read segments", "mean by task and model"):
        pack.main([str(root)])
    work = {
        "write": lambda: written(root, records),
        "read files": lambda: sum(1 for _ in scan(root)),
        "pack": lambda: pack.main([str(root)]),
        "read segments": lambda: sum(1 for _ in scan(root)),
        "mean by task and model": lambda: averaged(root),
    }[what]
    benchmark.pedantic(work, rounds=1)
