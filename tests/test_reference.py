"""The ceiling of real data: a stated learner, trained on the shifted distribution."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest
import torch
from sklearn.svm import SVC
from torch import Tensor

from tasks import reference
from tasks.reference import SEEDS, TESTED, learn_classes, learn_values, main, measure_reference
from tasks.registry import Entry, load
from tasks.seeds import Draw
from tasks.types import Batch, MissingData, OutputKind, Problem, Split, Task

PENGUINS = load("shift/penguins")
DRAW = Draw("shift/penguins-v1", 0)


def noise(n: int, draw: Draw, *names: str) -> Tensor:
    return torch.randn(n, 3, generator=draw.generator(*names))


class Target(Task):
    """Targets are a rule of x; every division is remembered."""

    def __init__(self, kind: OutputKind, n_test: int, flipped: float = 0.0) -> None:
        problem = Problem("vector", (3,), kind, n_outputs=2, n_train=400)
        entry = Entry("shift/target-v1", "a rule", "vector", (), "nowhere")
        super().__init__(
            replace(PENGUINS.spec, entry=entry, problem=problem, metric="accuracy" if kind == "classes" else "r2")
        )
        self.n_test, self.flipped = n_test, flipped
        self.draws: list[Draw] = []

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        raise AssertionError("a reference sees reference data alone")

    def reference_data(self, condition: str, split: Split, draw: Draw) -> tuple[Batch, Batch] | None:
        self.draws.append(draw)
        return self.batch(400, draw, "train"), self.batch(self.n_test, draw, "test")

    def batch(self, n: int, draw: Draw, name: str) -> Batch:
        x = noise(n, draw, name)
        if self.spec.problem.output_kind == "values":
            return Batch(x, torch.stack([x[:, 0], -10 * x[:, 1]], dim=1))
        flip = torch.rand(n, generator=draw.generator(name, "flip")) < self.flipped
        return Batch(x, (x[:, 0] + x[:, 1] > 0).long() ^ flip)


SPLIT = Split("ood", "ood", 10)


def test_a_learnable_target_has_a_high_reference() -> None:
    assert measure_reference(Target("classes", 2_000), "default", SPLIT, DRAW) > 0.95
    assert measure_reference(Target("values", 2_000), "default", SPLIT, DRAW) > 0.95


def test_label_noise_bounds_the_reference() -> None:
    assert 0.6 < measure_reference(Target("classes", 2_000, flipped=0.2), "default", SPLIT, DRAW) < 0.82
    assert measure_reference(Target("classes", 2_000, flipped=0.5), "default", SPLIT, DRAW) == pytest.approx(
        0.5, abs=0.04
    )


@pytest.mark.parametrize(("n_test", "divisions"), [(3 * TESTED, 1), (TESTED, 1), (TESTED - 1, 2), (600, 4)])
def test_few_examples_are_divided_again(n_test: int, divisions: int) -> None:
    task = Target("classes", n_test)
    value = measure_reference(task, "default", SPLIT, DRAW)
    assert len(task.draws) == len(set(task.draws)) == divisions
    again = Target("classes", n_test)
    assert measure_reference(again, "default", SPLIT, DRAW) == value
    assert again.draws == task.draws


def test_the_learners_are_the_stated_ones() -> None:
    target = Target("classes", 500)
    train, test = target.batch(400, DRAW, "train"), target.batch(500, DRAW, "test")
    machine = SVC(C=10.0, kernel="rbf", gamma=float(1 / (3 * train.x.var(correction=0)))).fit(train.x, train.y)
    assert torch.equal(learn_classes(train, 2)(test.x).argmax(1), torch.from_numpy(machine.predict(test.x)))
    values = Target("values", 500)
    outputs = learn_values(values.batch(400, DRAW, "train"), 2)(test.x)
    assert outputs.shape == (500, 2) and outputs.dtype == torch.float32


def test_a_task_with_an_oracle_has_no_reference() -> None:
    task = load("shift/linear-unit-1")
    with pytest.raises(ValueError, match=r"linear-unit-1-v1 gives no reference data for ood; its ceiling is oracle"):
        measure_reference(task, "default", task.spec.split("ood"), Draw(task.spec.id, 0))


@pytest.mark.parametrize(("name", "tolerance"), [("shift/penguins", 0.002), ("shift/digits-source", 0.002)])
def test_the_stored_value_is_the_mean_over_seeds(name: str, tolerance: float) -> None:
    task = load(name)
    (split,) = task.spec.with_role("ood")
    condition = task.spec.conditions[0].name
    measured = [measure_reference(task, condition, split, Draw(task.spec.id, seed)) for seed in range(SEEDS)]
    assert fmean(measured) == pytest.approx(task.spec.constants[split.name]["reference"], abs=tolerance)


def test_training_and_test_examples_of_a_reference_are_disjoint_and_all() -> None:
    division = PENGUINS.reference_data("default", PENGUINS.spec.split("biscoe"), DRAW)
    assert division is not None
    train, test = ({row.numpy().tobytes() for row in batch.x} for batch in division)
    whole = {row.numpy().tobytes() for row in PENGUINS.sample("default", PENGUINS.spec.split("biscoe"), DRAW).x}
    assert not train & test and train | test == whole
    assert (len(train), len(test)) == (108, 55)


def test_the_command_prints_what_to_store(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shift/penguins"]) == 0
    value = float(capsys.readouterr().out.removeprefix("default/biscoe: ").split()[0])
    assert value == pytest.approx(PENGUINS.spec.constants["biscoe"]["reference"], abs=0.002)


@pytest.mark.parametrize("name", ["shift/pengiuns", "shift/linear-unit-1"])
def test_the_command_refuses_in_words(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name])
    assert ("nearest: shift/penguins" if "peng" in name else "no reference data") in capsys.readouterr().err


def test_the_command_says_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> float:
        raise MissingData("not here; pip install carrier")

    monkeypatch.setattr(reference, "measure_reference", missing)
    with pytest.raises(SystemExit):
        main(["shift/penguins"])
    assert "pip install carrier" in capsys.readouterr().err
