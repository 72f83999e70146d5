"""What a training algorithm must keep to, clause by clause, on a tiny network and data with environments and groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from benchmarks.findings import Finding, Verdict, say

if TYPE_CHECKING:
    from torch import Tensor, nn

    from baselines.algorithm import Algorithm, Training
    from tasks.types import Batch, Problem

STEPS = 3
LEARNING_RATE = 0.01
N = 48
SEED = 7


@dataclass(frozen=True)
class Trained:
    """What a short training came to: its losses, the weights before and after, the data before and after, and what is
    measured in place of the model."""

    problem: Problem
    losses: list[Tensor]
    before: list[Tensor]
    after: list[Tensor]
    data: list[Batch]
    untouched: list[Batch]
    deployed: object


def example_problems() -> dict[str, Problem]:
    """A small problem with classes and one with values."""
    from tasks.types import Problem

    return {
        "classes": Problem("vector", (6,), "classes", 3, N),
        "values": Problem("vector", (6,), "values", 1, N),
    }


def inspect_algorithm(algorithm_class: type, settings: dict[str, Any]) -> Iterator[Finding]:
    """Every clause on every example problem. Stops at the first clause without which the next make no sense."""
    from torch.optim import Optimizer

    from baselines.algorithm import completed
    from baselines.contract import BrokenContract, NotApplicable

    try:
        whole = completed(algorithm_class)
    except BrokenContract as error:
        yield Finding("", "is a training algorithm", "broken", str(error))
        return
    kind = "an optimizer of the mean loss" if issubclass(algorithm_class, Optimizer) else "a loss of its own"
    yield Finding("", "is a training algorithm", "ok", kind)
    yield Finding("", "needs", "ok", ", ".join(whole.needs) or "nothing")
    for name, problem in example_problems().items():
        try:
            trained = [train(whole, settings, problem) for _ in range(2)]
        except NotApplicable as reason:
            yield Finding(name, "trains", "skipped", str(reason))
            continue
        except Exception as error:  # whatever the class raises is the finding
            yield Finding(name, "trains", "broken", say(error))
            continue
        for clause, check in CLAUSES.items():
            finding = examine(name, clause, check, *trained)
            yield finding
            if finding.verdict == "broken":
                break


def examine(name: str, clause: str, check: Clause, first: Trained, second: Trained) -> Finding:
    """The finding of one clause: a check returns a complaint or nothing; what the class raises in it breaks it."""
    try:
        complaint = check(first, second)
    except Exception as error:  # whatever the class raises is the finding
        return Finding(name, clause, "broken", say(error))
    verdict: Verdict = "note" if clause in NOTES else "broken"
    return Finding(name, clause, verdict if complaint else "ok", complaint)


def train(algorithm_class: type[Algorithm], settings: dict[str, Any], problem: Problem) -> Trained:
    """A few steps of gradient descent on one batch.

    Raises:
        NotApplicable: when the algorithm does not take this problem.
    """
    import torch

    from baselines.algorithm import built, check_needs

    algorithm, model, given = built(algorithm_class, problem, settings), network(problem), example_training(problem)
    check_needs(algorithm, given, model)
    copies = cloned(given.train)
    training = algorithm.prepared(given)
    data, untouched = [*given.train, *training.train], [*copies, *cloned(training.train)]
    algorithm.begin(model, training)
    batch, optimizer = training.train[0], algorithm.make_optimizer(list(model.parameters()), LEARNING_RATE)
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    before, losses = weights(model), []
    for step in range(STEPS):
        if algorithm.resets_optimizer(step):
            optimizer.state.clear()
        optimizer.zero_grad()
        losses.append(algorithm.backward(model, batch, step).detach())
        optimizer.step()
    after = weights(model)
    with torch.no_grad():
        deployed: object = algorithm.deployed(model.eval())
    return Trained(problem, losses, before, after, data, untouched, deployed)


def cloned(batches: Sequence[Batch]) -> list[Batch]:
    """The batches as they are now."""
    return [batch.map(lambda t: t.clone()) for batch in batches]


def network(problem: Problem) -> nn.Module:
    """The same small network every time."""
    import torch
    from torch import nn

    torch.manual_seed(SEED)
    return nn.Sequential(nn.Linear(problem.input_shape[0], 8), nn.Tanh(), nn.Linear(8, problem.n_outputs))


def example_training(problem: Problem) -> Training:
    """Data with three environments and two groups, and inputs of a test."""
    import torch

    from baselines.algorithm import Training
    from tasks.types import Batch

    generator = torch.Generator().manual_seed(SEED)
    x = torch.randn(N, *problem.input_shape, generator=generator)
    y = x[:, :1].clone() if problem.output_kind == "values" else torch.arange(N) % problem.n_outputs
    batch = Batch(x, y, env=torch.arange(N) % 3, group=torch.arange(N) % 2)
    return Training([batch], STEPS, generator, target_inputs=x + 1)


def weights(model: nn.Module) -> list[Tensor]:
    """The parameters as they are now."""
    return [parameter.detach().clone() for parameter in model.parameters()]


def loss_is_finite(first: Trained, second: Trained) -> str:
    """A scalar that is a number."""
    for loss in first.losses:
        if loss.ndim != 0:
            return f"the loss has shape {tuple(loss.shape)}; expected a scalar"
        if not bool(loss.isfinite()):
            return f"the loss is {float(loss)}"
    return ""


def something_is_learned(first: Trained, second: Trained) -> str:
    """A step moves a parameter."""
    moved = any(not bool((a == b).all()) for a, b in zip(first.before, first.after, strict=True))
    return "" if moved else "no parameter has a gradient, or the optimizer moves none"


def batch_is_left_alone(first: Trained, second: Trained) -> str:
    """No in-place change of the data, nor of what the data carry."""
    changed = dict.fromkeys(
        name for now, then in zip(first.data, first.untouched, strict=True) for name in differing(now, then)
    )
    told = f"it changes a batch in place ({', '.join(changed)}); the next step would see other data"
    return told if changed else ""


def differing(now: Batch, then: Batch) -> list[str]:
    """The names of the tensors in which two batches differ."""
    import torch

    pairs = {field.name: (getattr(now, field.name), getattr(then, field.name)) for field in fields(then)}
    return [name for name, (a, b) in pairs.items() if b is not None and (a is None or not torch.equal(a, b))]


def same_seed_same_training(first: Trained, second: Trained) -> str:
    """Random numbers come from the generator that it is given."""
    same = all(bool((a == b).all()) for a, b in zip(first.after, second.after, strict=True))
    return "" if same else "two trainings with one seed differ: draw from training.generator"


def deployed_answers(first: Trained, second: Trained) -> str:
    """What is measured in place of the model takes inputs and gives finite outputs, as a model does."""
    import torch

    from baselines.contract import BrokenContract, check_outputs

    if not callable(first.deployed):
        return f"deployed returned {type(first.deployed).__name__}, not a function of inputs"
    x = first.untouched[0].x
    with torch.no_grad():
        outputs = first.deployed(x.clone())
    try:
        finite = bool(torch.isfinite(check_outputs(outputs, first.problem, x)).all())
    except BrokenContract as error:
        return f"what deployed returned: {error}"
    return "" if finite else "outputs of what deployed returned are not finite"


Clause = Callable[[Trained, Trained], str]
CLAUSES: dict[str, Clause] = {
    "its loss is a finite scalar": loss_is_finite,
    "gradients reach the parameters": something_is_learned,
    "leaves the data alone": batch_is_left_alone,
    "deploys a function like a model": deployed_answers,
    "one seed, one training": same_seed_same_training,
}
NOTES = {"one seed, one training"}
