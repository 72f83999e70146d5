"""What a trial is made of: its task at its dose, what it trains on and what it is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines import contract
from benchmarks.records import Trial
from tasks.seeds import Draw
from tasks.types import MEASURED, Batch, Data, Predict, Role, Scores, Task, TaskSpec, Trained, load_data

COMPARED = 16


@dataclass(frozen=True)
class Material:
    """What a trial is made of: its task at its dose, what it trains on and what it is measured on."""

    trial: Trial
    task: Task
    train: Sequence[Batch]
    measured: Data

    @property
    def draw(self) -> Draw:
        """The world of the data."""
        return Draw(self.trial.task, self.trial.seed)

    @property
    def spec(self) -> TaskSpec:
        """The card in the trial's condition."""
        return self.task.spec.at(self.trial.condition)

    def measure(self, trained: Trained) -> Scores:
        """The scores of a trained model."""
        return self.task.measure(self.trial.condition, trained, self.measured)

    def check(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Outputs that are what the contract says."""
        return contract.check_outputs(outputs, self.spec.problem, x)


def gather(trial: Trial, task: Task) -> Material:
    """The data of a trial. Where an environment is left out, its examples validate and do not train.

    Raises:
        NotApplicable: when an environment is to be left out and there are none.
    """
    draw = Draw(trial.task, trial.seed)
    spec = task.spec.at(trial.condition)
    train = [task.sample(trial.condition, split, draw) for split in spec.with_role("train")]
    measured = load_data(task, trial.condition, draw, spec.with_role(*MEASURED))
    if trial.left_out is not None:
        measured |= {name: divided(measured[name], trial.left_out)[0] for name in names_of(task, "val")}
        train = [divided(batch, trial.left_out)[1] for batch in train]
    return Material(trial, task, train, measured)


def divided(batch: Batch, env: int) -> tuple[Batch, Batch]:
    """The examples of an environment, and those of all others.

    Raises:
        NotApplicable: when either is empty.
    """
    if batch.env is None or not bool((batch.env == env).any()) or bool((batch.env == env).all()):
        raise contract.NotApplicable("has no such environment to leave out")
    inside = batch.env == env
    return batch.map(lambda tensor: tensor[inside]), batch.map(lambda tensor: tensor[~inside])


def target_inputs(material: Material) -> Tensor | None:
    """The inputs of the test, without labels; None where a task has no test distribution."""
    tests = [material.measured[name].x for name in names_of(material.task, "ood")]
    return torch.cat(tests) if tests and len({x.shape[1:] for x in tests}) == 1 else None


def is_transductive(predict: Predict, material: Material) -> bool:
    """Whether the prediction for an input changes with the others of its batch, on a few validation inputs."""
    x = material.measured[names_of(material.task, "val")[0]].x[:COMPARED]
    together = predict(x)
    with torch.no_grad():
        alone = torch.cat([predict(row) for row in x.split(1)])
    tolerance = max(1e-4, 1e-3 * float(together.abs().max()))
    return not torch.allclose(together, alone, atol=tolerance, rtol=1e-3)


def names_of(task: Task, role: Role) -> list[str]:
    """The names of the splits that play a role."""
    return [split.name for split in task.spec.with_role(role)]


def fingerprint(data: Data) -> dict[str, list[float]]:
    """Per split: number of examples, mean and standard deviation of x, mean of y. Compared with a tolerance, since
    the last digits of generated floats differ between processors."""
    return {
        name: [
            len(batch),
            float(batch.x.double().mean()),
            float(batch.x.double().std(correction=0)),
            float(batch.y.double().mean()),
        ]
        for name, batch in data.items()
    }
