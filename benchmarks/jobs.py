"""A job: a trial and where its model class is, as plain JSON between processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from baselines.references import ModelReference
from benchmarks.records import Trial, digest
from tasks.registry import Entry
from tasks.registry import load as load_task
from tasks.seeds import PUBLIC_WORD


@dataclass(frozen=True)
class Job:
    """What a worker needs to run one trial. `seconds` is the wall-clock limit, `commit` the code's for provenance."""

    trial: Trial
    model: ModelReference
    seconds: float
    commit: str = ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        body: dict[str, Any] = json.loads(text)
        return cls(Trial(**body["trial"]), ModelReference(**body["model"]), body["seconds"], body["commit"])


def plan(
    entries: Sequence[Entry],
    models: Sequence[ModelReference],
    algorithms: Sequence[str],
    seeds: int,
    budget_scale: float,
    commit: str = "",
) -> list[Job]:
    """Every trial of the product, seed by seed, so that an interrupted run has whole seeds."""
    return [
        Job(
            trial=Trial(
                task=entry.id,
                condition=condition.name,
                model=model.name,
                source_hash=model.source_hash,
                algorithm=algorithm,
                hparams=dict(model.hparams),
                budget_scale=budget_scale,
                seed=seed,
                draw=digest(PUBLIC_WORD),
            ),
            model=model,
            seconds=load_task(entry.id).spec.budget.seconds * max(1.0, budget_scale),
            commit=commit,
        )
        for seed in range(seeds)
        for entry in entries
        for model in models
        for algorithm in algorithms
        for condition in load_task(entry.id).spec.conditions
    ]
