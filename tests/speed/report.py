"""What the suite costs, as Markdown, from a measurement; with an earlier one, what has changed.

    python -m pytest tests/speed --benchmark-enable --benchmark-json=measured.json
    python tests/speed/report.py measured.json > docs/performance.md

Ratios of one measurement are kept in `tests/speed/ratios.json` (`--keep`), since seconds of two machines say nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

KEPT = Path(__file__).with_name("ratios.json")
FEWEST_SECONDS = 1e-9
Seconds = Mapping[str, float]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("measured", type=Path, help="what --benchmark-json wrote")
    parser.add_argument("--keep", action="store_true", help="keep the ratios, to compare later ones with")
    options = parser.parse_args()
    body = json.loads(options.measured.read_text(encoding="utf-8"))
    seconds = {case["name"]: max(FEWEST_SECONDS, case["stats"]["min"]) for case in body["benchmarks"]}
    ratios = dict(ratios_of(seconds))
    if options.keep:
        KEPT.write_text(json.dumps(ratios, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    earlier = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    sys.stdout.write("\n".join(page(seconds, ratios, earlier, body["machine_info"])) + "\n")


def ratios_of(seconds: Seconds) -> Iterator[tuple[str, float]]:
    """What is compared: how many times as fast one way is as another, in one measurement."""
    for network, n in training_cases(seconds):
        bare = seconds[f"test_training[{network}-{n}-bare]"]
        for way in ("sequential", "stacked"):
            yield f"{network}, {n} seeds: {way} to bare loop", bare / seconds[f"test_training[{network}-{n}-{way}]"]
    for name, one_by_one in seconds.items():
        if name.startswith("test_cell[") and name.endswith("-one by one]"):
            cell = name.removeprefix("test_cell[").removesuffix("-one by one]")
            yield (
                f"five seeds of {cell}: as a run does it to one by one",
                one_by_one / seconds[f"test_cell[{cell}-as a run does it]"],
            )
    if "test_processes[1]" in seconds:
        yield "many short trials: two processes to one", seconds["test_processes[1]"] / seconds["test_processes[2]"]
    for what in ("write", "read files", "pack", "read segments", "mean by task and model"):
        small, large = (seconds.get(f"test_store[{what}-{n}]") for n in (1000, 10000))
        if small and large:
            yield f"store, {what}: 1,000 results to a tenth of 10,000", small / (large / 10)


def training_cases(seconds: Seconds) -> list[tuple[str, int]]:
    """The networks and numbers of seeds that were measured."""
    found = []
    for name in seconds:
        if name.startswith("test_training[") and name.endswith("-bare]"):
            network, n, _ = name.removeprefix("test_training[").rsplit("-", 2)
            found.append((network, int(n)))
    return found


def page(
    seconds: Seconds, ratios: Mapping[str, float], earlier: Mapping[str, float], machine: Mapping[str, Any]
) -> Iterator[str]:
    """The lines of the page."""
    cpu = machine["cpu"]
    yield "# What a run costs"
    yield ""
    yield "Written by `tests/speed/report.py` from a measurement (`python -m pytest tests/speed --benchmark-enable"
    yield f"--benchmark-json=measured.json`) on {cpu.get('count')} cores, {cpu.get('brand_raw')}, Python"
    yield f"{machine['python_version']}. Ratios are of one measurement; seconds are of this machine and no other."
    yield ""
    yield "## Seeds at once"
    yield ""
    yield "How many times as fast as a bare PyTorch loop over the seeds, batches of 32, seconds of the process. A run"
    yield "takes the stacked way only where its probe finds it faster; the last column is what a seed then gains."
    yield "These trainings are short, of 300 and 1,000 steps: what one seed loses is the start of Lightning, 30 ms."
    yield ""
    yield "| network | seeds | sequential | stacked | chosen |"
    yield "|---|---|---|---|---|"
    for network, n in training_cases(seconds):
        one, many = (ratios[f"{network}, {n} seeds: {way} to bare loop"] for way in ("sequential", "stacked"))
        yield f"| {network} | {n} | {one:.2f} | {many:.2f} | {max(one, many) if n > 1 else one:.2f} |"
    yield ""
    yield "## Stores, processes, the site"
    yield ""
    yield "| what | seconds |"
    yield "|---|---|"
    for name, value in seconds.items():
        if not name.startswith(("test_training", "test_sampling")):
            yield f"| {name.removeprefix('test_')} | {value:.2f} |"
    yield ""
    if others := {name: value for name, value in ratios.items() if "bare loop" not in name}:
        yield "| ratio | now | kept |"
        yield "|---|---|---|"
        for name, value in others.items():
            yield (
                f"| {name} | {value:.2f} | {earlier[name]:.2f} |" if name in earlier else f"| {name} | {value:.2f} | |"
            )
        yield ""
    if not any(name.startswith("test_sampling") for name in seconds):
        return
    yield "## Sampling the data of a task"
    yield ""
    yield "All splits of one condition and one seed."
    yield ""
    yield "| task | seconds |"
    yield "|---|---|"
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        if name.startswith("test_sampling"):
            yield f"| {name.removeprefix('test_sampling[').removesuffix(']')} | {value:.3f} |"


if __name__ == "__main__":
    main()
