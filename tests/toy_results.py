"""A small suite of tasks and records of them, with numbers that can be checked by hand, for the leaderboard's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.records import Record, Status, Trial, digest
from benchmarks.store import Store
from tasks.registry import Entry
from tasks.seeds import PUBLIC_WORD, Draw
from tasks.types import Axis, Batch, Budget, Condition, Problem, Row, Source, Split, Summary, Task, TaskSpec

PUBLIC = digest(PUBLIC_WORD)
SOURCE = Source(
    "key2020", "A. One, B. Two", "A title with <tags> & signs", "Venue", 2020, "https://example.org/a?b=1&c=2"
)


class Toy(Task):
    """Nothing is sampled here: records bring their numbers."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        return Batch(torch.zeros(split.size, 2), torch.zeros(split.size, dtype=torch.int64))

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """One more score, one index, and one index that is undefined."""
        summary = super().summarize(rows)
        assert summary.ood is not None
        return replace(
            summary,
            scores={**summary.scores, "robustness": summary.ood / 2},
            indices={"preference": summary.ood - summary.iid, "undefined": float("nan")},
        )


def toy(task_id: str, tags: Sequence[str] = (), **changes: Any) -> Toy:
    """Accuracy, chance .5, oracle 1, gate .8: an accuracy of .75 out of distribution is a score of .5."""
    entry = Entry(
        id=task_id,
        summary=f"what {task_id} is about",
        input=changes.pop("input", "vector"),
        tags=tuple(tags),
        module=__name__,
        optional=changes.pop("optional", False),
    )
    spec = TaskSpec(
        entry=entry,
        question="Does it hold?",
        problem=Problem("vector", (2,), "classes", 2, 100),
        splits=(
            Split("train", "train", 100),
            Split("val", "val", 50),
            Split("iid", "iid", 50),
            Split("ood", "ood", 50, {"angle": 30.0}),
        ),
        budget=Budget(steps=100, batch_size=10),
        metric="accuracy",
        floor="chance",
        ceiling="oracle",
        gate=0.8,
        sources=(SOURCE,),
        notes=("A note with <b>tags</b>.",),
        constants={name: {"chance": 0.5, "oracle": 1.0} for name in ("val", "iid", "ood")},
    )
    return Toy(replace(spec, **changes))


class Described(Toy):
    """Accuracy on a probe is the index: no answer is the right one there."""

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Where the probe ended, and when it was first above .5, tell which solution was chosen."""
        summary = Task.summarize(self, rows)
        (row,) = rows.values()
        first = next((step for step, scores in row.curve if scores["probe"]["accuracy"] > 0.5), None)
        found = {"choice": row.scores["probe"]["accuracy"], **({} if first is None else {"first": float(first)})}
        return replace(summary, indices=found)


CHOICE = Axis("choice", "the short way", "the long way")
FIRST = Axis("first", "early", "late", (0.0, 100.0))
DESCRIBED = Described(
    replace(
        toy("toy/described-v1").spec,
        floor=None,
        ceiling=None,
        axes=(CHOICE, FIRST),
        splits=(
            Split("train", "train", 100),
            Split("val", "val", 50),
            Split("iid", "iid", 50),
            Split("probe", "probe", 50),
        ),
        constants={},
    )
)

LADDER_SPLITS = (
    Split("train", "train", 100),
    Split("val", "val", 50, severity=0.0),
    Split("iid", "iid", 50, severity=0.0),
    Split("near", "probe", 50, severity=1.0),
    Split("ood", "ood", 50, severity=2.0),
)
SUITE: dict[str, Task] = {
    task.spec.id: task
    for task in (
        toy("toy/flat-v1", ["synthetic"]),
        DESCRIBED,
        toy("toy/second-v1"),
        toy("toy/control-v1", ["control"]),
        toy(
            "toy/ladder-v1",
            conditions=(Condition("a", "one way"), Condition("b", "another way", {"weighted": True})),
            splits=LADDER_SPLITS,
            severity_unit="degrees",
            constants={s.name: {"chance": 0.5, "oracle": 1.0} for s in LADDER_SPLITS if s.role != "train"},
        ),
        toy(
            "toy/error-v1",
            input="image",
            metric="mse",
            higher_is_better=False,
            gate=2.0,
            constants={name: {"chance": 10.0, "oracle": 0.0} for name in ("val", "iid", "ood")},
        ),
    )
}


def record(
    task_id: str = "toy/flat-v1",
    model: str = "mlp",
    seed: int = 0,
    ood: float = 0.75,
    iid: float = 0.9,
    *,
    last_ood: float | None = None,
    condition: str = "default",
    status: Status = "ok",
    reason: str = "",
    started: str = "2026-01-01T00:00:00+00:00",
    mean_x: float = 0.0,
    **trial: Any,
) -> Record:
    """A result: `iid` on every split in distribution, `ood` on the shifted one, the middle on probes."""
    usual = {"hparams": {}, "draw": PUBLIC, "source_hash": "0" * 64}
    rest: dict[str, Any] = {**usual, **trial}
    identity = Trial(task=task_id, condition=condition, model=model, seed=seed, **rest)
    provenance = {"started": started}
    if status != "ok":
        return Record(identity, status, reason, seconds=1.0, provenance=provenance)
    task = SUITE.get(task_id, SUITE["toy/flat-v1"])
    metric = task.spec.metric

    def measured(ood: float) -> dict[str, dict[str, float]]:
        by_role = {"val": iid, "iid": iid, "probe": (iid + ood) / 2, "ood": ood}
        return {s.name: {metric: by_role[s.role]} for s in task.spec.splits if s.role != "train"}

    at_last = measured(ood if last_ood is None else last_ood)
    return Record(
        identity,
        "ok",
        scores=measured(ood),
        last=at_last,
        anchors=task.spec.constants,
        curve=[{"step": 50, "loss": 0.5, "scores": measured(ood)}, {"step": 100, "loss": 0.1, "scores": at_last}],
        selected_step=50,
        recipe={"optimizer": "adam", "learning_rate": 0.001},
        n_parameters=1234,
        seconds=2.0,
        data={"train": [100, mean_x, 1.0, 0.5]},
        provenance=provenance,
    )


def write(root: Path, *records: Record) -> Path:
    """A results folder with these records."""
    root.mkdir(parents=True, exist_ok=True)
    for each in records:
        Store(root).put(each)
    return root
