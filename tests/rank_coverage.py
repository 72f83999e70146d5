"""How often an interval of ranks holds the true rank, by simulation: `python tests/rank_coverage.py` prints a table."""

from __future__ import annotations

import numpy as np

from benchmarks.ranking import rank_intervals

SKILLS = np.linspace(0.0, 0.6, 5)
TASK_SD, SEED_SD = 0.3, 0.1


def simulate(groups: int, seeds: int, worlds: int, resamples: int) -> tuple[float, float]:
    """The coverage, and the mean width in ranks: five entries, one task a group, normal effects of task and seed."""
    random = np.random.default_rng(groups * 10 + seeds)
    held, width = 0, 0
    for _ in range(worlds):
        tasks = [
            SKILLS[:, None] + random.normal(0, TASK_SD, 5)[:, None] + random.normal(0, SEED_SD, (5, seeds))
            for _ in range(groups)
        ]
        found = rank_intervals(tasks, list(range(groups)), resamples=resamples)
        truth = 5 - np.arange(5)
        held += sum(low <= rank <= high for rank, low, high in zip(truth, found.low, found.high, strict=True))
        width += sum(high - low for low, high in zip(found.low, found.high, strict=True))
    return held / (5 * worlds), width / (5 * worlds)


if __name__ == "__main__":
    for groups in (4, 8, 15):
        for seeds in (3, 5):
            coverage, width = simulate(groups, seeds, worlds=300, resamples=500)
            print(f"| {groups} | {seeds} | {coverage:.3f} | {width:.1f} |")
