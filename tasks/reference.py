"""What a stated learner reaches when it is trained on the shifted distribution itself: the ceiling of real data.

    python -m tasks.reference shift/houses        # the values to store: mean over 3 seeds

Real digits and tables have no oracle. Their tasks give examples of the shifted distribution to train on and others to
test (`Task.reference_data`), and store what is measured here in `TaskSpec.constants`; `python -m tasks.check` measures
it again. A model can beat a reference: the learner is ordinary, and it gets the examples that the target has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean, stdev

import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.svm import SVC
from torch import Tensor

from tasks.registry import UnknownName, load
from tasks.seeds import Draw
from tasks.types import Batch, MissingData, Split, Task, class_logits

SEEDS = 3
TESTED = 2_000  # a reference measured on fewer examples would depend on which they are


def measure_reference(task: Task, condition: str, split: Split, draw: Draw) -> float:
    """The headline metric of a learner trained on examples of `split`'s own distribution and tested on others of it.

    The learner: for classes a support vector machine (RBF kernel, C = 10, gamma = 1 / (d variance of x)) on flattened
    inputs, for values histogram gradient boosting (100 rounds, trees of 31 leaves), both as scikit-learn has them.
    Where the test examples are few, `split` is divided again until 2,000 have been tested, and the mean is returned.

    Raises:
        ValueError: for a task that gives no such examples.
        MissingData: when the task's data are not on this machine.
    """
    values: list[float] = []
    tested = 0
    while tested < TESTED:
        division = task.reference_data(condition, split, replace(draw, word=f"{draw.word}/{len(values)}"))
        if division is None:
            raise ValueError(
                f"{task.spec.id} gives no reference data for {split.name}; its ceiling is {task.spec.ceiling}"
            )
        train, test = division
        learn = LEARNERS[task.spec.problem.output_kind]
        values.append(task.evaluate(learn(train, task.spec.problem.n_outputs)(test.x), test)[task.spec.metric])
        tested += len(test)
    return fmean(values)


def learn_classes(train: Batch, n_outputs: int) -> Callable[[Tensor], Tensor]:
    """A support vector machine's decisions as logits (N, C)."""
    machine = SVC(C=10.0, gamma="scale").fit(train.x.flatten(1).numpy(), train.y.numpy())
    return lambda x: class_logits(torch.from_numpy(machine.predict(x.flatten(1).numpy())), n_outputs)


def learn_values(train: Batch, n_outputs: int) -> Callable[[Tensor], Tensor]:
    """Boosted trees for every output (N, C); never stopped early, so nothing is random."""
    inputs = train.x.flatten(1).numpy()
    trees = [HistGradientBoostingRegressor(early_stopping=False).fit(inputs, y) for y in train.y.numpy().T]
    return lambda x: torch.stack([torch.from_numpy(t.predict(x.flatten(1).numpy())) for t in trees], dim=1).float()


LEARNERS = {"classes": learn_classes, "values": learn_values}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the reference of every shifted split of one task."""
    parser = argparse.ArgumentParser(prog="python -m tasks.reference", description="Measure the ceiling of real data.")
    parser.add_argument("id", metavar="ID", help="family/name, with or without its version")
    chosen = parser.parse_args(arguments)
    try:
        task = load(chosen.id)
    except UnknownName as error:
        parser.error(str(error))
    torch.set_num_threads(1)
    try:
        for condition in task.spec.conditions:
            for split in task.spec.with_role("ood"):
                draws = [Draw(task.spec.id, seed) for seed in range(SEEDS)]
                values = [measure_reference(task, condition.name, split, draw) for draw in draws]
                spread = f"sd over {SEEDS} seeds {stdev(values):.4f}"
                sys.stdout.write(f"{condition.name}/{split.name}: {fmean(values):.4f} ({spread})\n")
    except (MissingData, ValueError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
