"""A results folder as a pandas DataFrame, for people who script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.store import Damaged, scan

if TYPE_CHECKING:
    import pandas


def frame(results: Path | str) -> pandas.DataFrame:
    """Every trial of a results folder as a pandas DataFrame, one row a trial, one column a measurement.

    Columns: task, condition, model, algorithm, seed, budget_scale, status, reason, seconds, n_parameters,
    selected_step, then `split/metric` for the selected step.
    """
    import pandas

    rows = []
    for found in scan(Path(results)):
        if isinstance(found, Damaged):
            continue
        trial = found.trial
        rows.append(
            {
                "task": trial.task, "condition": trial.condition, "model": trial.model, "algorithm": trial.algorithm,
                "seed": trial.seed, "budget_scale": trial.budget_scale, "status": found.status,
                "reason": found.reason, "seconds": found.seconds, "n_parameters": found.n_parameters,
                "selected_step": found.selected_step,
            }
            | {f"{split}/{metric}": value for split, values in found.scores.items() for metric, value in values.items()}
        )  # fmt: skip
    return pandas.DataFrame(rows)
