"""From records to what people read: one cell is a task, a model and an algorithm; a seed of it has an outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.records import STATUSES, Record, canonical
from benchmarks.store import Damaged, scan
from tasks.registry import load as load_task
from tasks.types import Row, Scores, Summary

if TYPE_CHECKING:
    import pandas

OutcomeStatus = Literal["ok", "failed", "diverged", "timeout", "out_of_memory", "skipped", "incomplete"]
WORST_FIRST = ("failed", "out_of_memory", "timeout", "diverged", "skipped")


@dataclass(frozen=True)
class CellKey:
    """What is never mixed in one cell."""

    task: str
    model: str
    algorithm: str
    source_hash: str
    hparams: str
    budget_scale: float
    draw: str


@dataclass(frozen=True)
class Outcome:
    """One seed of a cell: its records by condition."""

    task: str
    records: Mapping[str, Record]

    @cached_property
    def missing(self) -> list[str]:
        """The conditions that have not run."""
        return [c.name for c in load_task(self.task).spec.conditions if c.name not in self.records]

    @cached_property
    def worst(self) -> Record | None:
        """The record that keeps this seed from a score; None where all that ran are ok."""
        bad = [record for record in self.records.values() if record.status != "ok"]
        return min(bad, key=lambda record: WORST_FIRST.index(record.status), default=None)

    @property
    def status(self) -> OutcomeStatus:
        """`ok` only if every condition is; `incomplete` if all that ran are ok and some have not run."""
        if self.worst is not None:
            return self.worst.status
        return "incomplete" if self.missing else "ok"

    @property
    def reason(self) -> str:
        """Why the status is not `ok`."""
        if self.worst is not None:
            return self.worst.reason
        return f"not run: {', '.join(self.missing)}" if self.missing else ""

    @cached_property
    def summary(self) -> Summary | None:
        """The task's summary of the selected steps; None unless the status is `ok`."""
        return self.summarize({name: record.scores for name, record in self.records.items()})

    @cached_property
    def last_summary(self) -> Summary | None:
        """The same of the last steps."""
        return self.summarize({name: record.last for name, record in self.records.items()})

    def summarize(self, scores: Mapping[str, Scores]) -> Summary | None:
        if self.status != "ok":
            return None
        rows = {name: Row(scores[name], record.anchors) for name, record in self.records.items()}
        return load_task(self.task).summarize(rows)


def outcomes(records: Iterable[Record]) -> dict[CellKey, dict[int, Outcome]]:
    """Records grouped to cells and seeds."""
    grouped: dict[CellKey, dict[int, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        grouped[key_of(record)][record.trial.seed][record.trial.condition] = record
    return {
        key: {seed: Outcome(key.task, found) for seed, found in sorted(seeds.items())} for key, seeds in grouped.items()
    }


def key_of(record: Record) -> CellKey:
    """The cell of a record."""
    trial = record.trial
    return CellKey(
        trial.task, trial.model, trial.algorithm, trial.source_hash, canonical(trial.hparams), trial.budget_scale,
        trial.draw,
    )  # fmt: skip


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


def counts(records: Sequence[Record]) -> dict[str, int]:
    """How many records have each status, in the order of `STATUSES`, none of them zero."""
    tally = {status: sum(record.status == status for record in records) for status in STATUSES}
    return {status: n for status, n in tally.items() if n}
