"""The contract of a training algorithm, duck-typed like that of a model class: a submission imports nothing of ours.

An algorithm is a class with `__init__(problem, **settings)` and `loss(model, batch, step)`, the scalar to minimize on
one minibatch. Optional class attributes:

    needs  = ("environments",)                            # what the data must carry; else the trial is skipped
    search = {"penalty": ("loguniform", 0.1, 100_000.0)}  # what `--tune` draws settings from

and whatever else of `Algorithm` it wants to replace. All algorithms meet the same minibatches in the same order;
examples of all environments are mixed in them, and `batch.env` tells them apart.

A subclass of `torch.optim.Optimizer` is an algorithm as it is: the mean loss, minimized by it. It is built as
`Class(parameters, **settings)`, with the recipe's learning rate as `lr` unless the settings have one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from baselines.contract import BrokenContract, NotApplicable
from tasks import metrics
from tasks.types import Batch, Problem

Need = Literal["environments", "groups", "features", "target_inputs"]
NEEDS: tuple[Need, ...] = get_args(Need)


@dataclass(frozen=True)
class Training:
    """What an algorithm may know of the training that it is part of.

    `target_inputs` (M, *S) are the unlabelled inputs of the test, for an algorithm that needs them, and None for every
    other. Random numbers of its own come from `generator`, so that the batch order stays the same for all.
    """

    train: Sequence[Batch]
    steps: int
    generator: torch.Generator
    target_inputs: Tensor | None = None


class Algorithm:
    """What a class that only has `loss` gets for the rest."""

    needs: ClassVar[tuple[Need, ...]] = ()
    stackable: ClassVar[bool] = (
        False  # `loss` depends on the outputs, the batch and the settings alone: no state, no draw
    )
    search: ClassVar[Mapping[str, Sequence[Any]]] = {}

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def prepared(self, training: Training) -> Training:
        """The training as the algorithm wants it: the same examples in the same order, say with other weights."""
        return training

    def begin(self, model: nn.Module, training: Training) -> None:
        """Called once before the first step, with everything on the device and prepared."""

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        """The scalar to minimize; `step` counts from 0."""
        raise NotImplementedError

    def backward(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        """Fill the gradients, which are empty before, and return the loss. For what is not the gradient of a loss."""
        loss = scalar(self.loss(model, batch, step))
        loss.backward()
        return loss

    def make_optimizer(self, parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer | None:
        """What moves the parameters, or None for what the recipe says. The schedule of the rate is the recipe's."""
        return None

    def resets_optimizer(self, step: int) -> bool:
        """Whether the optimizer forgets its running moments before `step`, as where the objective changes."""
        return False

    def deployed(self, model: nn.Module) -> Callable[[Tensor], Tensor]:
        """What is measured in place of the model, such as the model with another last layer."""
        return model


class WarmedPenalty(Algorithm):
    """For a loss with a penalty whose weight changes once, when a warm-up ends.

    `warmup` is its share of all steps, in [0, 1]. The optimizer forgets its moments there, as the gradient's size
    jumps.
    """

    weight_before: ClassVar[float] = 1.0

    def __init__(self, problem: Problem, penalty: float, warmup: float) -> None:
        super().__init__(problem)
        self.penalty = within("penalty", penalty, 0)
        self.warmup = within("warmup", warmup, 0, 1)

    def begin(self, model: nn.Module, training: Training) -> None:
        self.change = round(self.warmup * training.steps)

    def weight(self, step: int) -> float:
        """What the penalty is multiplied by at a step."""
        return self.penalty if step >= self.change else self.weight_before

    def resets_optimizer(self, step: int) -> bool:
        return 0 < self.change == step


def within(name: str, value: float, low: float, high: float = math.inf) -> float:
    """The value of a setting, if it is finite and in [low, high].

    Raises:
        ValueError: naming the setting, what it is and what it may be.
    """
    if not (low <= value <= high and math.isfinite(value)):
        allowed = f"at least {low}" if high == math.inf else f"in [{low}, {high}]"
        raise ValueError(f"{name} is {value}; it must be {allowed}")
    return value


def among(name: str, value: str, allowed: Sequence[str]) -> str:
    """The value of a setting, if it is one of those allowed.

    Raises:
        ValueError: naming the setting, what it is and what it may be.
    """
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
    return value


def completed(algorithm_class: type) -> type[Algorithm]:
    """The class with the defaults of `Algorithm` behind its own methods.

    Raises:
        BrokenContract: when it has no `loss`, or needs what there is not.
    """
    if issubclass(algorithm_class, torch.optim.Optimizer):
        return minimized_by(algorithm_class)
    if not (callable(getattr(algorithm_class, "loss", None)) or callable(getattr(algorithm_class, "backward", None))):
        raise BrokenContract(f"{algorithm_class.__name__} has no method loss(model, batch, step)")
    needs = getattr(algorithm_class, "needs", ())
    if not isinstance(needs, list | tuple | set | frozenset):
        raise BrokenContract(f"{algorithm_class.__name__}.needs is {needs!r}; expected a tuple of {', '.join(NEEDS)}")
    if unknown := sorted(map(str, set(needs) - set(NEEDS))):
        raise BrokenContract(f"{algorithm_class.__name__} needs {', '.join(unknown)}; there are {', '.join(NEEDS)}")
    if issubclass(algorithm_class, Algorithm):
        return algorithm_class
    return type(algorithm_class.__name__, (algorithm_class, Algorithm), {})


def minimized_by(optimizer_class: type[torch.optim.Optimizer]) -> type[Algorithm]:
    """The mean loss, minimized by an optimizer that somebody wrote."""
    from baselines.algorithms.erm import ERM  # which is an Algorithm itself

    class Minimized(ERM):
        search = getattr(optimizer_class, "search", {})

        def __init__(self, problem: Problem, **settings: Any) -> None:
            super().__init__(problem)
            self.settings = settings

        def make_optimizer(self, parameters: list[nn.Parameter], learning_rate: float) -> torch.optim.Optimizer:
            takes_rate = "lr" in inspect.signature(optimizer_class).parameters
            own: Any = optimizer_class
            made: torch.optim.Optimizer = own(
                parameters, **({"lr": learning_rate} if takes_rate else {}) | self.settings
            )
            return made

    Minimized.__name__ = Minimized.__qualname__ = optimizer_class.__name__
    return Minimized


def built(algorithm_class: type[Algorithm], problem: Problem, settings: Mapping[str, Any]) -> Algorithm:
    """An instance for a problem.

    Raises:
        NotApplicable: when the constructor raises NotImplementedError: it does not take this problem.
    """
    try:
        return algorithm_class(problem, **settings)
    except NotImplementedError as error:
        raise NotApplicable(str(error) or "the algorithm's constructor raises NotImplementedError") from error


def scalar(loss: object) -> Tensor:
    """The loss, if it is one number that can be differentiated.

    Raises:
        BrokenContract: saying what it is instead.
    """
    if not isinstance(loss, Tensor):
        raise BrokenContract(f"its loss is a {type(loss).__name__}, not a tensor")
    if loss.ndim != 0:
        raise BrokenContract(f"its loss has shape {tuple(loss.shape)}; expected a scalar")
    if not loss.requires_grad:
        raise BrokenContract("its loss depends on no parameter")
    return loss


def check_needs(algorithm: Algorithm, training: Training, model: nn.Module) -> None:
    """Raises NotApplicable where the training data or the network lack what the algorithm needs."""
    for need in algorithm.needs:
        for batch in training.train:
            if need == "environments" and (batch.env is None or len(batch.env.unique()) < 2):
                raise NotApplicable("needs environments, and the training data have none")
            if need == "groups" and batch.group is None:
                raise NotApplicable("needs group labels, and the training data have none")
    if "features" in algorithm.needs:
        features_of(model, training.train[0].x[:2])
    if "target_inputs" in algorithm.needs and training.target_inputs is None:
        raise NotApplicable("needs unlabelled inputs of the test distribution, and the task has no test distribution")


def environment_risks(outputs: Tensor, batch: Batch, output_kind: str) -> Tensor:
    """The mean loss of each environment that is in the batch (E,), in the order of their numbers."""
    assert batch.env is not None
    return means_by(batch.env, metrics.losses(outputs, batch.y, output_kind))


def means_by(label: Tensor, values: Tensor) -> Tensor:
    """label (B,) whole numbers, values (B,): the mean of the values that share a label (K,), labels in order."""
    present, place = label.unique(return_inverse=True)
    sums = torch.zeros(len(present), dtype=values.dtype, device=values.device).index_add(0, place, values)
    return sums / torch.bincount(place, minlength=len(present))


def groups_of(training: Training) -> Tensor:
    """The groups of all training examples (N,)."""
    return torch.cat([batch.group for batch in training.train if batch.group is not None])


def balanced_rows(group: Tensor, generator: torch.Generator, most: int | None = None) -> Tensor:
    """group (N,): row numbers of a random subset with as many of each group as the smallest has, or `most` if fewer."""
    own = [(group == number).nonzero().flatten() for number in group.unique()]
    size = min(len(rows) for rows in own)
    size = size if most is None else min(size, most)
    return torch.cat([rows[torch.randperm(len(rows), generator=generator)[:size].to(rows.device)] for rows in own])


def environment_gradients(
    risks: Tensor, parameters: Sequence[nn.Parameter], differentiable: bool = False
) -> list[Tensor]:
    """risks (E,): for each parameter its gradient in every environment (E, *shape), 0 where it plays no part.

    The graph of the risks is kept; `differentiable` gradients can be differentiated once more.
    """
    rows = [
        torch.autograd.grad(
            risk, parameters, retain_graph=True, create_graph=differentiable, allow_unused=True, materialize_grads=True
        )
        for risk in risks
    ]
    return [torch.stack(column) for column in zip(*rows, strict=True)]


@dataclass(frozen=True)
class Features:
    """A network seen as features and a linear head: outputs = head(features)."""

    model: nn.Module
    head: nn.Linear

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, *S) to features (B, F) and outputs (B, C), in one pass."""
        seen: list[Tensor] = []
        handle = self.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            outputs = self.model(x)
        finally:
            handle.remove()
        return seen[-1], outputs


def features_of(model: nn.Module, x: Tensor) -> Features:
    """The network split at the linear layer whose output on x is the network's own.

    Raises:
        NotApplicable: when no linear layer gives the outputs, or it has not one feature vector an input.
    """
    produced: list[tuple[nn.Linear, Tensor, Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Linear)
        produced.append((layer, inputs[0], output))

    was_training = model.training
    model.eval()  # to look at a network changes no running statistics and draws no dropout
    handles = [layer.register_forward_hook(note) for layer in model.modules() if isinstance(layer, nn.Linear)]
    try:
        with torch.no_grad():
            outputs = model(x)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    for layer, inputs, output in produced:
        if output is outputs and inputs.ndim == 2:
            return Features(model, layer)
    raise NotApplicable("needs features, and the network's outputs are not those of a final nn.Linear")
