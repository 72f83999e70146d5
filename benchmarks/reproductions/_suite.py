"""The one way from a reproduction to a trial of the suite: a task's own data, recipe, budget and measure, with ERM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from baselines import references
from benchmarks.jobs import plan
from benchmarks.trial import run_trial
from tasks import registry
from tasks.types import MissingData, Scores


class TrialFailed(Exception):
    """A trial that a reproduction needs has no scores; the message says which and why."""


@dataclass(frozen=True)
class Measured:
    """What was measured in one trial: at the step that validation selects, at the last, and at every measured step."""

    selected: Scores
    last: Scores
    every: tuple[Scores, ...]

    def best(self, split: str, metric: str) -> float:
        """The largest value over the measured steps, as papers report that select on their test set."""
        return max(scores[split][metric] for scores in self.every)


def suite_scores(
    task_id: str,
    model_name: str,
    seed: int,
    budget_scale: float = 1.0,
    condition: str = "default",
    hparams: Mapping[str, Any] | None = None,
    algorithm: str = "erm",
) -> Measured:
    """One trial in this process. `model_name` is a baseline or `file.py:Class`; `hparams` replace some of its own.
    On the training track it is the model that the task fixes.

    Raises:
        MissingData: when the task's data are not here.
        TrialFailed: when the trial ended in any other way than with scores.
    """
    (model,) = references.select([model_name])
    model = replace(model, hparams={**model.hparams, **(hparams or {})})
    jobs = plan(
        registry.select([task_id]), [model], references.select([algorithm], "algorithm"), seed + 1, budget_scale
    )
    (job,) = [job for job in jobs if job.trial.seed == seed and job.trial.condition == condition]
    record = run_trial(job)
    if record.status == "skipped":
        raise MissingData(record.reason)
    if record.status != "ok":
        raise TrialFailed(f"{task_id}, {model_name}, seed {seed}: {record.status}, {record.reason}")
    return Measured(record.scores, record.last, tuple(point["scores"] for point in record.curve))
