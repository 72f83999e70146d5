"""Trials from data to records, in this process: what isolation, launchers and stores need not know."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from baselines import contract
from baselines.algorithm import Training, built, check_needs, completed
from baselines.references import load_class
from benchmarks import probe, training
from benchmarks.checkpoint import Checkpoint
from benchmarks.failure import failure
from benchmarks.jobs import Job
from benchmarks.material import Material, fingerprint, gather, is_transductive, names_of, target_inputs
from benchmarks.records import TARGET_INPUTS, TRANSDUCTIVE, Record, clean_text, parse
from benchmarks.replica import Diverged, Point, Replica
from benchmarks.selection import best
from benchmarks.stacked import Stacked
from tasks.registry import load as load_task
from tasks.seeds import Draw
from tasks.types import Budget, Predict, Recipe, Trained

Tell = Callable[[Point], None]
"""Hears of every measurement of a network while it trains."""

Keep = Callable[[Sequence[Job]], Checkpoint]
"""Where the state of trials that train together is kept."""

BY_ITSELF = "it was run by itself"
REASON = 300
SHARE_OF_LIMIT = 0.5


def run_trial(job: Job, tell: Tell | None = None, checkpoint: Checkpoint | None = None) -> Record:
    """The record of a trial, whatever happens inside it; only a signal can prevent one."""
    clock = Clock(job, checkpoint)

    def result() -> Record:
        ready = prepare(job, tell)
        return concluded(ready, learn(ready, checkpoint))

    return clock.stamped(guarded(job, result), sequential(job.alone or BY_ITSELF))


def run_trials(jobs: Sequence[Job], tells: Sequence[Tell | None], keep: Keep) -> list[Record]:
    """The records of trials that differ in their seeds alone, trained at once.

    Where they cannot be, or where it would not be faster, the record of the first alone; its provenance says why.
    """
    checkpoint = keep(jobs)
    clock = Clock(jobs[0], checkpoint)
    try:
        first = prepare(jobs[0], tells[0])
        answer = asked(first, len(jobs))
        if not answer.alone:
            records = run_stack([first, *map(prepare, jobs[1:], tells[1:])], checkpoint)
            engine = {"name": "stacked", "replicas": len(jobs), "why": f"{answer.gain:.1f} times as fast in a probe"}
            return [clock.stamped(record, engine, len(jobs)) for record in records]
        clock = replace(clock, checkpoint=(own := keep(jobs[:1])))
        record = guarded(jobs[0], lambda: concluded(first, learn(first, own)))
        return [clock.stamped(record, sequential(answer.alone))]
    except BaseException as error:  # the plain way tells what is wrong, and of which seed
        why = clean_text(f"{type(error).__name__}: {error}", REASON)
    return [run_trial(replace(jobs[0], alone=why), tells[0], keep(jobs[:1]))]


def run_stack(trials: Sequence[Ready], checkpoint: Checkpoint | None = None) -> list[Record]:
    """The records of trials whose networks are trained at once.

    Raises:
        Exception: what went wrong with all of them; what went wrong with one is its record.
    """
    replicas = [trial.replica for trial in trials if trial.replica is not None]
    shapes = {tuple(batch.x.shape) for replica in replicas for batch in replica.training.train}
    if len(shapes) > 1:
        raise ValueError(f"the seeds have training inputs of several shapes: {sorted(shapes)}")
    first = trials[0]
    assert first.recipe is not None and first.budget is not None and len(replicas) == len(trials)
    training.train(replicas, first.recipe, first.budget, first.material.check, Stacked, checkpoint)
    for replica in replicas:
        if replica.error is not None and not isinstance(replica.error, Diverged | contract.BrokenContract):
            raise replica.error  # perhaps for want of memory, with so many at once
    return [guarded(trial.job, lambda trial=trial: concluded(trial, learned(trial))) for trial in trials]  # type: ignore[misc]


def guarded(job: Job, result: Callable[[], Record]) -> Record:
    """The result, or the record of what it raises; a class under test may raise anything, SystemExit included."""
    try:
        return result()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error  # Lightning makes SystemExit of it
        return failure(job.trial, error)


@dataclass(frozen=True)
class Clock:
    """When trials began, for what their records say of it."""

    job: Job
    checkpoint: Checkpoint | None = None
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    began: float = field(default_factory=time.perf_counter)

    def stamped(self, record: Record, engine: Mapping[str, Any], n: int = 1) -> Record:
        """A record with its share of the time of `n` trials, and where it comes from."""
        before = self.checkpoint.seconds_before if self.checkpoint is not None else 0.0
        seconds = round((before + time.perf_counter() - self.began) / n, 3)
        origin = environment() | {"started": self.started, "commit": self.job.commit, "engine": engine}
        return replace(record, seconds=seconds, provenance=origin)


def sequential(why: str) -> Mapping[str, Any]:
    """What a record says of an engine that trained it alone."""
    return {"name": "sequential", "why": why}


@dataclass(frozen=True)
class Ready:
    """A trial that may begin: its data and its model. A network also has a replica, a recipe and a budget."""

    job: Job
    material: Material
    model: Any
    build: Callable[[int], Any]
    replica: Replica | None = None
    recipe: Recipe | None = None
    budget: Budget | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Learned:
    """What came of a training: the measurements at fixed steps, and the last predictor."""

    points: Sequence[Point]
    predict: Predict


def prepare(job: Job, tell: Tell | None = None) -> Ready:
    """Sample the data and build the model.

    Raises:
        NotApplicable: when the class does not take the problem, or the data lack what the algorithm needs.
    """
    trial, task = job.trial, load_task(job.trial.task).dosed(job.trial.dose)
    model_class = load_class(job.model)
    spec = task.spec.at(trial.condition)
    contract.check_applicable(model_class, spec.problem)
    turned = task.spec.condition(trial.condition).hparams
    contract.check_knobs(model_class, turned)
    build = partial(contract.build, model_class, spec.problem, {**trial.hparams, **turned})
    model = build(Draw(trial.task, trial.seed).generator("initialisation").initial_seed())
    ready = Ready(job, gather(trial, task), model, build)
    if contract.kind_of(model_class) == "estimator":
        return ready
    recipe = spec.recipe.override(getattr(model_class, "recipe", {})).override(trial.recipe)
    return with_replica(replace(ready, recipe=recipe, budget=scaled(spec.budget, trial.budget_scale)), tell)


def with_replica(ready: Ready, tell: Tell | None) -> Ready:
    """A network beside the algorithm that trains it."""
    material, model, build = ready.material, ready.model, ready.build
    trial, problem, draw = material.trial, material.spec.problem, material.draw
    algorithm_class = completed(load_class(ready.job.algorithm))
    inputs = "target_inputs" in algorithm_class.needs
    algorithm = built(algorithm_class, problem, trial.settings)
    assert ready.budget is not None
    known = Training(
        material.train, ready.budget.steps, draw.generator("algorithm"), target_inputs(material) if inputs else None
    )
    check_needs(algorithm, known, model)
    if problem.output_kind == "sequence":
        contract.check_causal(model, problem)

    def fresh(number: int) -> Predict:
        # from the draw: instance 0 of one seed is not instance 0 of the next
        network = build(draw.generator("fresh", number).initial_seed()).eval()
        return lambda x: training.predict(network, x, material.check)

    def features(x: Tensor) -> Tensor:
        return training.features(model, x)

    replica = Replica(
        model,
        algorithm,
        known,
        draw.generator("order"),
        lambda predict: material.measure(Trained(predict, fresh, features)),
        tell=tell,
        answered=material.task.is_answered,
    )
    return replace(ready, replica=replica, flags=(TARGET_INPUTS,) if inputs else ())


def asked(ready: Ready, n: int) -> probe.Answer:
    """Whether so many seeds of this trial are trained at once."""
    if ready.replica is None or ready.recipe is None or ready.budget is None:
        return probe.Answer("the model is fitted, not trained step by step")
    answer = probe.ask(ready.replica, ready.build, n, ready.recipe, ready.budget)
    if not answer.alone and answer.seconds * ready.budget.steps > SHARE_OF_LIMIT * ready.job.seconds:
        return replace(answer, alone="at once they would take longer than a trial may")
    return answer


def learn(ready: Ready, checkpoint: Checkpoint | None) -> Learned:
    """Train a network, or fit an estimator."""
    if ready.replica is None:
        return fit(ready.model, ready.material)
    assert ready.recipe is not None and ready.budget is not None
    training.train([ready.replica], ready.recipe, ready.budget, ready.material.check, checkpoint=checkpoint)
    return learned(ready)


def learned(ready: Ready) -> Learned:
    """What a network has learned.

    Raises:
        Exception: what ended its training.
    """
    assert ready.replica is not None
    if ready.replica.error is not None:
        raise ready.replica.error
    return Learned(ready.replica.points, training.predictor(ready.replica, ready.material.check))


def fit(estimator: Any, material: Material) -> Learned:
    """An estimator's one point: it has no steps.

    Raises:
        NotApplicable: when the training data cannot be one array, or a training algorithm is asked for.
    """
    if material.trial.algorithm != "erm":
        raise contract.NotApplicable("is fitted, not trained step by step: there is no algorithm to choose")
    if len(material.train) > 1:
        raise contract.NotApplicable("is fitted on one array; this task trains on inputs of several lengths")
    model = contract.FittedEstimator(estimator, material.spec.problem)
    model.fit(material.train[0])

    def predict(x: Tensor) -> Tensor:
        return training.predict(model, x, material.check)

    def fresh(number: int) -> Predict:
        raise contract.NotApplicable("is fitted, not initialised: there is no untrained instance to measure")

    def features(x: Tensor) -> Tensor:
        raise contract.NotApplicable("is fitted, and has no last layer whose inputs could be measured")

    return Learned([Point(0, None, material.measure(Trained(predict, fresh, features)))], predict)


def concluded(ready: Ready, learned: Learned) -> Record:
    """The record of a training: the selected step, its scores, and what they are compared with.

    Raises:
        InvalidRecord: when a task's measure gives what no record may say, such as an accuracy above 1.
    """
    trial, task, points = ready.job.trial, ready.material.task, learned.points
    chosen = points[best(task.spec, [point.scores for point in points])]
    measured = ready.material.measured
    data = dict(zip(names_of(task, "train"), ready.material.train, strict=True)) | dict(measured)
    record = Record(
        trial,
        "ok",
        scores=chosen.scores,
        last=points[-1].scores,
        anchors=task.anchors(trial.condition, measured, ready.material.draw),
        curve=training.as_curve(points),
        selected_step=chosen.step,
        recipe=asdict(ready.recipe) if ready.recipe else None,
        n_parameters=training.model_parameters(ready.model),
        data=fingerprint(data),
        flags=ready.flags + (TRANSDUCTIVE,) * is_transductive(learned.predict, ready.material),
    )
    parse(record.to_json())
    return record


def scaled(budget: Budget, scale: float) -> Budget:
    """A budget with its steps scaled, at least one where there are any."""
    return replace(budget, steps=max(min(1, budget.steps), round(budget.steps * scale)))


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
