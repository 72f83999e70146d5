"""Conditions with a problem, sizes and knobs of their own; trainings that end when they are answered; two tracks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import jobs_for

from baselines import references
from baselines.contract import NotApplicable, check_knobs
from benchmarks import jobs, run, trial
from benchmarks.records import Record
from benchmarks.training import chunks
from tasks import registry
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.types import Batch, Budget, Condition, Predictor, Problem, Scores, Source, Split, Task, TaskSpec

ENTRY = Entry("toy/widths-v1", "a plane, by width, dimension and size", "vector", (), "toy")
PLANE = "linear-unit-1"


class Plane(Task):
    """The sum of the inputs, in as many dimensions as the condition says."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        (d,) = self.spec.at(condition).problem.input_shape
        x = torch.randn(split.size, d, generator=draw.generator(split.name))
        return Batch(x, x.sum(1, keepdim=True) / d**0.5)

    def references(self, condition: str, draw: Draw) -> dict[str, Predictor]:
        return {"oracle": lambda batch: batch.y}

    def is_answered(self, scores: Scores) -> bool:
        return scores["iid"]["r2"] >= 0.9


TASK = Plane(
    TaskSpec(
        entry=ENTRY,
        question="How wide?",
        problem=Problem("vector", (4,), "values", 1, n_train=256),
        splits=(
            Split("train", "train", 256),
            Split("val", "val", 100),
            Split("iid", "iid", 100),
            Split("ood", "ood", 100),
            Split("learned", "fitted", 256),
        ),
        conditions=(
            Condition("narrow", hparams={"width": 2}),
            Condition(
                "wide",
                hparams={"width": 64},
                problem={"input_shape": (9,), "n_train": 100},
                sizes={"train": 100, "learned": 100},
            ),
        ),
        budget=Budget(steps=2000, batch_size=32, evaluations=10, first=10),
        metric="r2",
        gate=0.9,
        floor="zero",
        ceiling="oracle",
        constants={"ood": {"zero": 0.0}},
        sources=(Source("a", "A", "A title", "A venue", 2020, "https://example.org/a"),),
    )
)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (trial, jobs):
        monkeypatch.setattr(module, "load_task", lambda name: TASK)


def records(model: str) -> dict[str, Record]:
    """What a model came to in each condition."""
    first = jobs_for([model], PLANE, scale=1.0)[0]
    return {
        condition.name: trial.run_trial(first.varied(task=ENTRY.id, condition=condition.name))
        for condition in TASK.spec.conditions
    }


def test_a_condition_has_its_own_problem_sizes_and_knobs(toy: None) -> None:
    found = records("mlp")
    assert {record.status for record in found.values()} == {"ok"}
    narrow, wide = found["narrow"], found["wide"]
    assert narrow.n_parameters == (4 * 2 + 2) + (2 * 2 + 2) + (2 + 1)
    assert wide.n_parameters == (9 * 64 + 64) + (64 * 64 + 64) + (64 + 1)
    assert (narrow.data["train"][0], wide.data["train"][0], wide.data["learned"][0]) == (256, 100, 100)


def test_a_class_without_the_knob_is_skipped_and_told_why(toy: None) -> None:
    for record in records("linear").values():
        assert record.status == "skipped" and record.reason == "its constructor takes no width, which this task turns"


def test_a_knob_is_found_where_a_constructor_takes_anything() -> None:
    class Anything:
        def __init__(self, problem: Problem, **hparams: Any) -> None: ...

    class Nothing:
        def __init__(self, problem: Problem) -> None: ...

    check_knobs(Anything, {"width": 3})
    check_knobs(Nothing, {})
    with pytest.raises(NotApplicable, match="takes no width, depth"):
        check_knobs(Nothing, {"width": 3, "depth": 1})


def test_a_training_ends_where_it_is_answered(toy: None) -> None:
    wide = records("mlp")["wide"]
    steps = [point["step"] for point in wide.curve]
    values = [point["scores"]["iid"]["r2"] for point in wide.curve]
    assert steps[-1] < TASK.spec.budget.steps and values[-1] >= 0.9
    assert all(value < 0.9 for value in values[:-1])


def test_seeds_that_end_at_different_steps_are_those_that_train_alone(toy: None) -> None:
    """At once each has the points that it has alone, and no more."""
    first = jobs_for(["mlp"], PLANE, scale=1.0)[0].varied(task=ENTRY.id, condition="wide")
    trials = [first.varied(seed=seed) for seed in range(4)]
    together = trial.run_stack([trial.prepare(job) for job in trials])
    for job, record in zip(trials, together, strict=True):
        alone = trial.run_trial(job)
        assert [p["step"] for p in record.curve] == [p["step"] for p in alone.curve]
        assert record.scores["iid"]["r2"] == pytest.approx(alone.scores["iid"]["r2"], abs=1e-3)


def test_measurements_may_be_spaced_geometrically() -> None:
    def marks(budget: Budget) -> list[int]:
        sizes = chunks(budget)
        return [sum(sizes[: i + 1]) for i in range(len(sizes))]

    budget = Budget(steps=1600, batch_size=1, evaluations=6, first=50)
    assert marks(budget) == [50, 100, 200, 400, 800, 1600]
    assert marks(replace(budget, steps=20)) == [20]
    assert marks(replace(budget, evaluations=1))[-1] == 1600
    dense = marks(replace(budget, steps=60, first=1, evaluations=60))
    assert dense == sorted(set(dense)) and dense[0] == 1 and dense[-1] == 60


def test_the_card_of_a_condition() -> None:
    spec = TASK.spec.at("wide")
    assert spec.problem == replace(TASK.spec.problem, input_shape=(9,), n_train=100)
    assert [split.size for split in spec.splits] == [100, 100, 100, 100, 100]
    assert TASK.spec.at("narrow").splits == TASK.spec.splits
    assert TASK.spec.condition("wide").settings["width"] == 64


# --- the two tracks ---------------------------------------------------------------------------------------------------


def names(entry: Entry, models: list[str], algorithms: list[str]) -> list[tuple[str, str]]:
    """What a task compares, of what a user names."""
    named = [references.select(models), references.select(algorithms, "algorithm") if algorithms else []]
    return [(m.name, a.name) for m, a in jobs.crossed(entry, named[0] if models else [], named[1])]


def test_the_model_track_crosses_models_with_algorithms() -> None:
    assert names(ENTRY, ["mlp"], ["erm", "vrex"]) == [("mlp", "erm"), ("mlp", "vrex")]
    assert {algorithm for _, algorithm in names(ENTRY, [], [])} == {"erm"}
    assert "mlp" in {model for model, _ in names(ENTRY, [], [])}


def test_the_training_track_fixes_the_model() -> None:
    fixed = replace(ENTRY, model="mlp")
    assert names(fixed, ["knn"], ["sam"]) == [("mlp", "sam")]
    usual = names(fixed, [], [])
    assert {model for model, _ in usual} == {"mlp"} and ("mlp", "erm") in usual and ("mlp", "irm") not in usual


def test_a_command_that_names_models_alone_has_no_tasks_of_the_training_track(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = run.parser().parse_args(["--task", "x", "--model", "mlp"])
    fixed = replace(ENTRY, id="toy/fixed-v1", model="mlp")
    assert run.on_track([ENTRY, fixed], options) == [ENTRY]
    assert "left out, since they fix the model: toy/fixed;" in capsys.readouterr().err
    with pytest.raises(registry.UnknownName, match="toy/fixed fixes the model"):
        run.on_track([fixed], options)
    both = run.parser().parse_args(["--task", "x", "--model", "mlp", "--algorithm", "erm"])
    assert run.on_track([ENTRY, fixed], both) == [ENTRY, fixed]


def test_what_is_special_is_in_no_list_of_all() -> None:
    for kind in ("model", "algorithm"):
        special = {name for name, found in references.registered(kind).items() if found.special}
        assert not special & {found.name for found in references.select([], kind)}
        assert not special & {found.name for found in references.select(["all"], kind)}
        assert all(references.select([name], kind) for name in special)
