"""Whether replicas of a network are trained at once or one after the other: asked of the network itself.

First the values of both ways are compared: losses, gradients and buffers. Whatever cannot be mapped over replicas shows
here: `.item()`, control flow that looks at values, layers without a batching rule, state kept in attributes. Then a few
steps of both engines are timed. The answer is a reason to train alone, or none.
"""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm
from benchmarks.batches import Batches
from benchmarks.checkpoint import global_draws, own_state, set_global_draws
from benchmarks.records import clean_text
from benchmarks.replica import Replica
from benchmarks.sequential import Sequential
from benchmarks.stacked import Stacked, stack
from benchmarks.training import SLOW_RULE, MakeEngine, moved
from tasks.types import Batch, Budget, Recipe

COMPARED = 2  # minibatches
ROUNDS = 3
ROUND_SECONDS = 0.02
MOST_STEPS = 50
GAIN = 1.1  # at least, or it is not worth the trouble
ABSOLUTE, RELATIVE = 1e-5, 1e-3  # of the largest value of a tensor
TOLD = 200  # characters of an error

Values = Mapping[str, Tensor | None]
"""Losses, gradients and buffers of all replicas, each (R, ...), by name; None for a parameter without a gradient."""


@dataclass(frozen=True)
class Answer:
    """`alone` says why the replicas are trained one after the other, and is empty where they are trained at once.

    `gain` is how many times as fast a step of all at once is, `seconds` what it takes.
    """

    alone: str = ""
    gain: float = 1.0
    seconds: float = 0.0


def ask(replica: Replica, build: Callable[[int], nn.Module], n: int, recipe: Recipe, budget: Budget) -> Answer:
    """What is best for `n` replicas like this one, which is left as it is. `build` makes its model from a seed."""
    if reason := unsuited(replica, budget):
        return Answer(reason)
    draws = global_draws()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", SLOW_RULE)
            replicas = [copied(replica, build(number), number) for number in range(n)]
            return Answer(reason) if (reason := differing(replicas, budget)) else timed(replicas, recipe, budget)
    except Exception as error:  # a network may raise anything when it is mapped
        return Answer(clean_text(f"{type(error).__name__}: {error}", TOLD))
    finally:
        set_global_draws(draws)


def unsuited(replica: Replica, budget: Budget) -> str:
    """What speaks against it before anything is run; empty if nothing does."""
    if budget.steps == 0:
        return "nothing is trained"
    if not is_stackable(type(replica.algorithm)):
        return "the training algorithm does more than map a loss over examples"
    if len(replica.training.train) > 1:
        return "the training inputs have several lengths"
    if list(map(id, replica.model.parameters())) != [id(p) for _, p in replica.model.named_parameters()]:
        return "the model has parameters without a name"
    return ""


def is_stackable(algorithm: type[Algorithm]) -> bool:
    """Whether the class that defines the algorithm's loss says so, and the recipe says how parameters move."""
    definer = next(kind for kind in algorithm.__mro__ if "loss" in vars(kind))
    plain = algorithm.backward is Algorithm.backward and algorithm.make_optimizer is Algorithm.make_optimizer
    return bool(vars(definer).get("stackable")) and plain


def copied(replica: Replica, model: nn.Module, number: int) -> Replica:
    """A replica with another model, on the device and ready to train, that has nothing in common with this one."""
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    algorithm, place = copy.deepcopy(replica.algorithm), device or torch.device("cpu")
    known = replace(replica.training, generator=replica.training.generator.clone_state())
    training = algorithm.prepared(moved(known, place))
    algorithm.begin(model.to(place), training)
    return Replica(model, algorithm, training, torch.Generator().manual_seed(number), replica.measure)


def differing(replicas: Sequence[Replica], budget: Budget) -> str:
    """Where the two ways disagree; empty where they agree.

    Of a network that draws random numbers the evaluation mode is compared, in which it should draw none.
    """
    fields = minibatches(replicas, budget.batch_size)
    if any(map(has_hooks, replicas)):
        return "the gradient of a parameter has a hook"
    used = copies(replicas)
    before, draws = [own_state(replica.model) for replica in used], global_draws()
    expected = one_by_one(used, fields, training=True)
    if before != [own_state(replica.model) for replica in used]:
        return "the model keeps state outside its buffers"
    if any(global_draws()[name] != draws[name] for name in ("numpy", "python")):
        return "the model draws random numbers that are not torch's"
    if first_gap(expected, one_by_one(copies(replicas), fields, training=True)):
        if next(replicas[0].model.buffers(), None) is not None:
            return "the model draws random numbers and has buffers"
        expected = one_by_one(copies(replicas), fields, training=False)
        return first_gap(expected, at_once(copies(replicas), fields, budget, training=False))
    return first_gap(expected, at_once(copies(replicas), fields, budget, training=True))


def has_hooks(replica: Replica) -> bool:
    """Whether something happens to the gradients of its parameters, which a copy of the model would not do."""
    hooks = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return any(getattr(p, name, None) for p in replica.model.parameters() for name in hooks)


def copies(replicas: Sequence[Replica]) -> list[Replica]:
    """The replicas with models that may be used up."""
    return [replace(replica, model=copy.deepcopy(replica.model)) for replica in replicas]


def minibatches(replicas: Sequence[Replica], size: int) -> list[dict[str, Tensor]]:
    """Some minibatches of all replicas (R, B, ...), in an order of their own."""
    streams = [Batches(r.training.train, size, torch.Generator().manual_seed(i)) for i, r in enumerate(replicas)]
    return [stack(batches) for batches in zip(*(stream.take(COMPARED) for stream in streams), strict=True)]


def one_by_one(replicas: Sequence[Replica], minibatches: Sequence[Mapping[str, Tensor]], training: bool) -> Values:
    """The values of the replicas, computed one after the other."""
    found: list[dict[str, Tensor | None]] = []
    for number, replica in enumerate(replicas):
        model, losses = replica.model.train(training), []
        for fields in minibatches:
            batch = Batch(**{name: tensor[number].clone() for name, tensor in fields.items()})
            losses.append(replica.algorithm.loss(model, batch, 0))
            losses[-1].backward()
        found.append(values(torch.stack(losses), dict(model.named_parameters()), dict(model.named_buffers())))
    return {name: stacked([each[name] for each in found]) for name in found[0]}


def at_once(
    replicas: Sequence[Replica], minibatches: Sequence[Mapping[str, Tensor]], budget: Budget, training: bool
) -> Values:
    """The values of the replicas, computed at once."""
    engine = Stacked(replicas, Recipe(), budget)
    engine.begin()
    engine.template.train(training)
    losses = []
    for fields in minibatches:
        losses.append(engine.losses({name: tensor.clone() for name, tensor in fields.items()}, 0))
        losses[-1].sum().backward()
    return values(torch.stack(losses, dim=1), engine.parameters, engine.buffers)


def values(losses: Tensor, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> dict[str, Tensor | None]:
    """What is compared, by name."""
    gradients = {f"gradient of {name}": parameter.grad for name, parameter in parameters.items()}
    return {"loss": losses.detach(), **gradients, **{f"buffer {name}": buffer for name, buffer in buffers.items()}}


def stacked(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Tensors along a new first axis; None where any of them is missing."""
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(present) if len(present) == len(tensors) else None


def first_gap(expected: Values, got: Values) -> str:
    """The first name whose values disagree, as a reason; empty if none do."""
    for name, one in expected.items():
        other = got[name]
        if (one is None) != (other is None) or (one is not None and other is not None and not close(one, other)):
            return f"trained at once, its {name} differs"
    return ""


def close(expected: Tensor, got: Tensor) -> bool:
    """Whether two tensors agree to the rounding of float32."""
    if expected.is_complex():
        expected, got = torch.view_as_real(expected), torch.view_as_real(got)
    expected, got = expected.double(), got.double()
    return bool((expected - got).abs().max() <= ABSOLUTE + RELATIVE * expected.abs().max())


def timed(replicas: Sequence[Replica], recipe: Recipe, budget: Budget) -> Answer:
    """The faster way, by the shortest of a few short rounds of both."""
    alone = Stopwatch(Sequential, copies(replicas[:1]), recipe, budget)
    together = Stopwatch(Stacked, replicas, recipe, budget)
    for _ in range(ROUNDS):
        alone.measure()
        together.measure()
    gain = len(replicas) * alone.seconds / together.seconds
    if gain < GAIN:
        return Answer(f"trained at once it would be {gain:.2f} times as fast", gain, together.seconds)
    return Answer("", gain, together.seconds)


class Stopwatch:
    """The seconds of a step of an engine: `seconds` is the least that was seen."""

    def __init__(self, make: MakeEngine, replicas: Sequence[Replica], recipe: Recipe, budget: Budget) -> None:
        self.replicas, self.engine = replicas, make(replicas, recipe, budget)
        self.engine.begin()
        self.seconds = float("inf")
        self.steps = 1
        self.measure()  # the first step also sets things up
        self.steps = max(1, min(MOST_STEPS, round(ROUND_SECONDS / self.seconds)))
        self.seconds = float("inf")

    def measure(self) -> None:
        """One round; reading the loss waits for the device."""
        began = now()
        self.engine.advance(0, self.steps)
        if error := self.replicas[0].error:
            raise error
        self.seconds = min(self.seconds, (now() - began) / self.steps)


def now() -> float:
    """Seconds of this process, which others on the machine do not change; of the clock, where an accelerator works."""
    return time.perf_counter() if torch.accelerator.is_available() else time.process_time()
