"""A results folder as a pandas DataFrame, for people who script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.store import Damaged, scan

if TYPE_CHECKING:
    import pandas

SET = ("dose", "hparams", "settings", "recipe")


def frame(results: Path | str) -> pandas.DataFrame:
    """Every trial of a results folder as a pandas DataFrame, one row a trial, one column a measurement.

    Columns: task, condition, model, algorithm, seed, budget_scale, tuned, left_out, status, reason, flags, seconds,
    n_parameters, selected_step, then `dose.name`, `hparams.name`, `settings.name` and `recipe.name` for what was set,
    and `split/metric` for the selected step.
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
                "seed": trial.seed, "budget_scale": trial.budget_scale, "tuned": trial.tuned,
                "left_out": trial.left_out, "status": found.status, "reason": found.reason,
                "flags": " ".join(found.flags), "seconds": found.seconds, "n_parameters": found.n_parameters,
                "selected_step": found.selected_step,
            }
            | {f"{part}.{name}": value for part in SET for name, value in getattr(trial, part).items()}
            | {f"{split}/{metric}": value for split, values in found.scores.items() for metric, value in values.items()}
        )  # fmt: skip
    return pandas.DataFrame(rows)
