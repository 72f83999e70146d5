"""One trial from data to record, in this process: what isolation, launchers and stores need not know."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from baselines import contract
from baselines.references import load_algorithm, load_class
from benchmarks import training
from benchmarks.jobs import Job
from benchmarks.records import Record, Status, Trial, clean_text
from benchmarks.training import Diverged, Point
from tasks.registry import load as load_task
from tasks.seeds import Draw
from tasks.types import Batch, Budget, Data, MissingData, Predict, Recipe, Role, Task, Trained, load_data

MEASURED: tuple[Role, ...] = ("val", "iid", "ood", "probe")
MEMORY_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "unable to allocate")
FRAMES_KEPT = 6


def run_trial(job: Job) -> Record:
    """The record of a trial, whatever happens inside it; only a signal can prevent one."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock = time.perf_counter()
    try:
        record = train_and_measure(job)
    except (contract.NotApplicable, MissingData) as reason:
        record = Record(job.trial, "skipped", clean_text(str(reason), 500))
    except BaseException as error:  # a class under test may raise anything, SystemExit included
        record = failure(job.trial, error)
    seconds = round(time.perf_counter() - clock, 3)
    return replace(record, seconds=seconds, provenance=environment() | {"started": started, "commit": job.commit})


def train_and_measure(job: Job) -> Record:
    """Build, train, select, score."""
    trial = job.trial
    task, draw = load_task(trial.task), Draw(trial.task, trial.seed)
    model_class = load_class(job.model)
    contract.check_applicable(model_class, task.spec.problem)
    train = [task.sample(trial.condition, split, draw) for split in task.spec.with_role("train")]
    build = partial(contract.build, model_class, task.spec.problem, trial.hparams)
    model = build(draw.generator("initialisation").initial_seed())
    measured = load_data(task, trial.condition, draw, task.spec.with_role(*MEASURED))
    recipe = None
    if contract.kind_of(model_class) == "estimator":
        points = fit(model, task, trial, train, measured)
    else:
        recipe = task.spec.recipe.override(getattr(model_class, "recipe", {}))
        points = fit_network(model, build, task, trial, recipe, train, measured)
    chosen = select(task, points)
    return Record(
        trial,
        "ok",
        scores=points[chosen].scores,
        last=points[-1].scores,
        anchors=task.anchors(trial.condition, measured, draw),
        curve=training.as_curve(points),
        selected_step=points[chosen].step,
        recipe=asdict(recipe) if recipe else None,
        n_parameters=training.model_parameters(model),
        data=fingerprint(dict(zip(names_of(task, "train"), train, strict=True)) | measured),
    )


def fit(estimator: Any, task: Task, trial: Trial, train: Sequence[Batch], measured: Data) -> list[Point]:
    """The one point of an estimator, which has no steps.

    Raises:
        NotApplicable: when the training data cannot be one array.
    """
    if len(train) > 1:
        raise contract.NotApplicable("is fitted on one array; this task trains on inputs of several lengths")
    model = contract.FittedEstimator(estimator, task.spec.problem)
    model.fit(train[0])
    check = partial(contract.check_outputs, problem=task.spec.problem)

    def predict(x: Tensor) -> Tensor:
        return training.predict(model, x, lambda outputs, part: check(outputs, x=part))

    def fresh(number: int) -> Predict:
        raise contract.NotApplicable("is fitted, not initialised: there is no untrained instance to measure")

    return [Point(0, None, task.measure(trial.condition, Trained(predict, fresh), measured))]


def fit_network(
    model: Any,
    build: Callable[[int], Any],
    task: Task,
    trial: Trial,
    recipe: Recipe,
    train: Sequence[Batch],
    measured: Data,
) -> list[Point]:
    """A network's measurements at fixed steps."""
    problem, draw = task.spec.problem, Draw(trial.task, trial.seed)
    if problem.output_kind == "sequence":
        contract.check_causal(model, problem)

    def check(outputs: Tensor, x: Tensor) -> Tensor:
        return contract.check_outputs(outputs, problem, x)

    def fresh(number: int) -> Predict:
        # from the draw: instance 0 of one seed is not instance 0 of the next
        network = build(draw.generator("fresh", number).initial_seed()).eval()
        return lambda x: training.predict(network, x, check)

    replica = training.Replica(
        model,
        train,
        order=draw.generator("order"),
        measure=lambda predict: task.measure(trial.condition, Trained(predict, fresh), measured),
    )
    training.train(
        [replica],
        load_algorithm(trial.algorithm)(problem),
        recipe,
        scaled(task.spec.budget, trial.budget_scale),
        check=check,
    )
    return replica.points


def scaled(budget: Budget, scale: float) -> Budget:
    """A budget with its steps scaled, at least one where there are any."""
    return replace(budget, steps=max(min(1, budget.steps), round(budget.steps * scale)))


def select(task: Task, points: Sequence[Point]) -> int:
    """The index of the point with the best in-distribution validation; of equal ones the latest."""
    names, metric = names_of(task, "val"), task.spec.metric
    sign = 1.0 if task.spec.higher_is_better else -1.0
    validation = [sign * fmean(point.scores[name][metric] for name in names) for point in points]
    return max(range(len(points)), key=lambda i: (validation[i], i))


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
