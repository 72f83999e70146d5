"""One trial from data to record, in this process: what isolation, launchers and stores need not know."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines import contract
from baselines.algorithm import Algorithm, Training, built, check_needs, completed
from baselines.references import load_class
from benchmarks import training
from benchmarks.jobs import Job
from benchmarks.records import TARGET_INPUTS, TRANSDUCTIVE, Record, Status, Trial, clean_text
from benchmarks.selection import best
from benchmarks.training import Diverged, Point
from tasks.registry import load as load_task
from tasks.seeds import Draw
from tasks.types import Batch, Budget, Data, MissingData, Predict, Recipe, Role, Scores, Task, Trained, load_data

MEASURED: tuple[Role, ...] = ("val", "iid", "ood", "probe")
MEMORY_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "unable to allocate")
FRAMES_KEPT = 6
COMPARED = 16

Tell = Callable[[Point], None]


def run_trial(job: Job, tell: Tell | None = None) -> Record:
    """The record of a trial, whatever happens inside it; only a signal can prevent one.

    `tell` hears of every measurement of a network while it trains.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock = time.perf_counter()
    try:
        record = train_and_measure(job, tell)
    except (contract.NotApplicable, MissingData) as reason:
        record = Record(job.trial, "skipped", clean_text(str(reason), 500))
    except BaseException as error:  # a class under test may raise anything, SystemExit included
        record = failure(job.trial, error)
    seconds = round(time.perf_counter() - clock, 3)
    return replace(record, seconds=seconds, provenance=environment() | {"started": started, "commit": job.commit})


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

    def measure(self, predict: Predict, fresh: Callable[[int], Predict]) -> Scores:
        """The scores of a trained model."""
        return self.task.measure(self.trial.condition, Trained(predict, fresh), self.measured)

    def check(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Outputs that are what the contract says."""
        return contract.check_outputs(outputs, self.task.spec.problem, x)


@dataclass(frozen=True)
class Learned:
    """What came of a training: the measurements at fixed steps, the last predictor, how it was optimized."""

    points: Sequence[Point]
    predict: Predict
    recipe: Recipe | None = None
    flags: tuple[str, ...] = ()


def train_and_measure(job: Job, tell: Tell | None = None) -> Record:
    """Build, train, select, score."""
    trial, task = job.trial, load_task(job.trial.task).dosed(job.trial.dose)
    model_class = load_class(job.model)
    contract.check_applicable(model_class, task.spec.problem)
    build = partial(contract.build, model_class, task.spec.problem, trial.hparams)
    model = build(Draw(trial.task, trial.seed).generator("initialisation").initial_seed())
    material = gather(trial, task)
    if contract.kind_of(model_class) == "estimator":
        learned = fit(model, material)
    else:
        recipe = task.spec.recipe.override(getattr(model_class, "recipe", {})).override(trial.recipe)
        learned = fit_network(model, build, completed(load_class(job.algorithm)), recipe, material, tell)
    points = learned.points
    chosen = points[best(task.spec, [point.scores for point in points])]
    data = dict(zip(names_of(task, "train"), material.train, strict=True)) | dict(material.measured)
    return Record(
        trial,
        "ok",
        scores=chosen.scores,
        last=points[-1].scores,
        anchors=task.anchors(trial.condition, material.measured, material.draw),
        curve=training.as_curve(points),
        selected_step=chosen.step,
        recipe=asdict(learned.recipe) if learned.recipe else None,
        n_parameters=training.model_parameters(model),
        data=fingerprint(data),
        flags=learned.flags + (TRANSDUCTIVE,) * is_transductive(learned.predict, material),
    )


def gather(trial: Trial, task: Task) -> Material:
    """The data of a trial. Where an environment is left out, its examples validate and do not train.

    Raises:
        NotApplicable: when an environment is to be left out and there are none.
    """
    draw = Draw(trial.task, trial.seed)
    train = [task.sample(trial.condition, split, draw) for split in task.spec.with_role("train")]
    measured = load_data(task, trial.condition, draw, task.spec.with_role(*MEASURED))
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


def fit(estimator: Any, material: Material) -> Learned:
    """An estimator's one point: it has no steps.

    Raises:
        NotApplicable: when the training data cannot be one array, or a training algorithm is asked for.
    """
    if material.trial.algorithm != "erm":
        raise contract.NotApplicable("is fitted, not trained step by step: there is no algorithm to choose")
    if len(material.train) > 1:
        raise contract.NotApplicable("is fitted on one array; this task trains on inputs of several lengths")
    model = contract.FittedEstimator(estimator, material.task.spec.problem)
    model.fit(material.train[0])

    def predict(x: Tensor) -> Tensor:
        return training.predict(model, x, material.check)

    def fresh(number: int) -> Predict:
        raise contract.NotApplicable("is fitted, not initialised: there is no untrained instance to measure")

    return Learned([Point(0, None, material.measure(predict, fresh))], predict)


def fit_network(
    model: Any,
    build: Callable[[int], Any],
    algorithm_class: type[Algorithm],
    recipe: Recipe,
    material: Material,
    tell: Tell | None = None,
) -> Learned:
    """A network's measurements at fixed steps.

    Raises:
        NotApplicable: when the data lack what the algorithm needs.
    """
    trial, task, draw = material.trial, material.task, material.draw
    budget, inputs = scaled(task.spec.budget, trial.budget_scale), "target_inputs" in algorithm_class.needs
    algorithm = built(algorithm_class, task.spec.problem, trial.settings)
    known = Training(
        material.train, budget.steps, draw.generator("algorithm"), target_inputs(material) if inputs else None
    )
    check_needs(algorithm, known, model)
    if task.spec.problem.output_kind == "sequence":
        contract.check_causal(model, task.spec.problem)

    def fresh(number: int) -> Predict:
        # from the draw: instance 0 of one seed is not instance 0 of the next
        network = build(draw.generator("fresh", number).initial_seed()).eval()
        return lambda x: training.predict(network, x, material.check)

    replica = training.Replica(
        model, algorithm, known, draw.generator("order"), lambda predict: material.measure(predict, fresh), tell=tell
    )
    training.train([replica], recipe, budget, material.check)
    predict = training.predictor(replica, material.check)
    return Learned(replica.points, predict, recipe, (TARGET_INPUTS,) if inputs else ())


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


def scaled(budget: Budget, scale: float) -> Budget:
    """A budget with its steps scaled, at least one where there are any."""
    return replace(budget, steps=max(min(1, budget.steps), round(budget.steps * scale)))


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


def failure(trial: Trial, error: BaseException) -> Record:
    """What a raised exception says: its status, a reason in one line, and the frames of the class under test."""
    reason = clean_text(f"{type(error).__name__}: {error}", 500)
    status: Status = "failed"
    if isinstance(error, Diverged):
        status, reason = "diverged", clean_text(str(error), 500)
    elif isinstance(error, contract.BrokenContract):
        reason = clean_text(str(error), 500)
    elif isinstance(error, MemoryError) or any(word in str(error).lower() for word in MEMORY_WORDS):
        status = "out_of_memory"
    elif isinstance(error, SystemExit):
        reason = f"called sys.exit({error.code!r})"
    return Record(trial, status, reason, error=describe(error))


def describe(error: BaseException) -> Mapping[str, str]:
    """Type, message and the last frames of an exception, without the folders of this machine."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_KEPT:]
    lines = [f"{Path(f.filename).name}:{f.lineno} in {f.name}: {f.line or ''}" for f in frames]
    return {
        "type": type(error).__name__,
        "message": clean_text(str(error), 2_000),
        "frames": clean_text("\n".join(lines), 4_000),
    }


def environment() -> dict[str, Any]:
    """Versions and the device, enough to repeat the trial."""
    return {
        "offpiste": version("offpiste"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": version("pytorch-lightning"),
        "numpy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": str(torch.accelerator.current_accelerator() or "cpu") if torch.accelerator.is_available() else "cpu",
        "threads": torch.get_num_threads(),
    }
