"""Lightning trains R replicas of a network side by side; one Lightning step is a chunk of optimizer steps.

A framework's work per step costs as much as a whole step of a small network. So the loader yields chunks, the
data lie on the device as tensors, and between two chunks the replicas are measured.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training
from tasks.types import Batch, Budget, Predict, Recipe, Scores

EVALUATION_BATCH = 1024


class Diverged(Exception):
    """The training loss or an output is not finite; the message says when."""


@dataclass(frozen=True)
class Point:
    """One measurement: after `step` optimizer steps, the mean training `loss` of the chunk, and the scores."""

    step: int
    loss: float | None
    scores: Scores


@dataclass
class Replica:
    """One model in training: its algorithm and what that may know, the order of its batches, how it is measured.

    Several training batches are never mixed in one step; each step draws one of them.
    """

    model: nn.Module
    algorithm: Algorithm
    training: Training
    order: torch.Generator
    measure: Callable[[Predict], Scores]
    points: list[Point] = field(default_factory=list)
    tell: Callable[[Point], None] | None = None

    def add(self, point: Point) -> None:
        """One more measurement; whoever listens is told."""
        self.points.append(point)
        if self.tell is not None:
            self.tell(point)


def train(
    replicas: Sequence[Replica],
    recipe: Recipe,
    budget: Budget,
    check: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """Train every replica for the budget's steps; each one's `points` are its measurements, at fixed steps.

    With a budget of no steps every replica is measured as it is.

    `check(outputs, x)` is called on the first outputs of every measurement and raises if the contract is broken.

    Raises:
        Diverged: when a loss or an output is not finite.
    """
    if budget.steps == 0:
        for replica in replicas:
            replica.add(Point(0, None, measured(replica, torch.device("cpu"), check)))
        return
    quiet_lightning()
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings():
        # A loader of chunk lengths needs no workers, and Lightning's hints are for loaders of data.
        warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning")
        trainer.fit(ReplicaTraining(replicas, recipe, budget, check), chunks(budget))


def chunks(budget: Budget) -> list[int]:
    """The numbers of optimizer steps between measurements; they sum to the budget's steps."""
    evaluations = max(1, min(budget.evaluations, budget.steps))
    marks = [round(budget.steps * (i + 1) / evaluations) for i in range(evaluations)]
    return [mark - before for before, mark in zip([0, *marks], marks, strict=False)]


class ReplicaTraining(lightning.LightningModule):
    """The training loop. Replicas share nothing: each has its own data, order and optimizer."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        recipe: Recipe,
        budget: Budget,
        check: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.replicas = list(replicas)
        self.models = nn.ModuleList([replica.model for replica in replicas])
        self.recipe = recipe
        self.budget = budget
        self.check = check
        self.step_count = 0

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One optimizer a replica."""
        return [make_optimizer(replica.model.parameters(), self.recipe) for replica in self.replicas]

    def on_fit_start(self) -> None:
        """Put the training data on the device, once, and let the algorithms see them."""
        for replica in self.replicas:
            replica.training = replica.algorithm.prepared(moved(replica.training, self.device))
            replica.algorithm.begin(replica.model, replica.training)
        self.batches = [batch_stream(r.training.train, self.budget.batch_size, r.order) for r in self.replicas]

    def training_step(self, chunk: int) -> None:
        """`chunk` optimizer steps of every replica, then a measurement."""
        optimizers = self.optimizers(use_pl_optimizer=False)
        for replica, batches, optimizer in zip(
            self.replicas, self.batches, optimizers if isinstance(optimizers, list) else [optimizers], strict=True
        ):
            loss = self.run_chunk(replica, batches, optimizer, chunk)
            step = self.step_count + chunk
            if not math.isfinite(loss):
                raise Diverged(f"the training loss is {loss} within steps {self.step_count + 1} to {step}")
            replica.add(Point(step, loss, measured(replica, self.device, self.check)))
        self.step_count += chunk

    def run_chunk(
        self, replica: Replica, batches: Iterator[Batch], optimizer: torch.optim.Optimizer, chunk: int
    ) -> float:
        """The mean loss over `chunk` steps. Nothing in the loop waits for the device."""
        model, algorithm = replica.model.train(), replica.algorithm
        total = torch.zeros((), device=self.device)
        clip, scheduled = self.recipe.clip_norm, self.recipe.warmup_steps or self.recipe.schedule != "constant"
        for step in range(self.step_count, self.step_count + chunk):
            if scheduled:
                set_learning_rate(optimizer, self.recipe.learning_rate * schedule(self.recipe, step, self.budget.steps))
            if algorithm.resets_optimizer(step):
                optimizer.state.clear()
            optimizer.zero_grad()
            loss = algorithm.backward(model, next(batches), step)
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            total += loss.detach()
        return float(total) / chunk


def measured(replica: Replica, device: torch.device, check: Callable[[Tensor, Tensor], Tensor]) -> Scores:
    """The scores of the replica as it is."""
    with torch.no_grad():
        return replica.measure(predictor(replica, check, device))


def predictor(
    replica: Replica, check: Callable[[Tensor, Tensor], Tensor], device: torch.device | None = None
) -> Predict:
    """What the algorithm makes of the replica, in evaluation mode, from inputs to outputs on the CPU."""
    place = device or next(replica.model.parameters()).device
    with torch.no_grad():
        deployed = replica.algorithm.deployed(replica.model.eval())

    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            return predict(deployed, x.to(place), check).cpu()

    return answer


def moved(training: Training, device: torch.device) -> Training:
    """The data of a training on a device."""
    target = training.target_inputs
    return replace(
        training,
        train=[batch.map(lambda t: t.to(device)) for batch in training.train],
        target_inputs=None if target is None else target.to(device),
    )


def predict(model: Callable[[Tensor], Tensor], x: Tensor, check: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Outputs for many inputs, in batches that fit in memory. A model that changes its input changes a copy.

    Raises:
        Diverged: when an output is not finite.
    """
    parts = x.split(EVALUATION_BATCH)
    outputs = torch.cat([check(model(part.clone()), part).float() for part in parts])
    if not bool(torch.isfinite(outputs).all()):
        raise Diverged("the model's outputs are not finite")
    return outputs


def batch_stream(train: Sequence[Batch], batch_size: int, order: torch.Generator) -> Iterator[Batch]:
    """Endless minibatches in shuffled epochs; of several training batches one is drawn in proportion to its size."""
    streams = [shuffled(batch, batch_size, order) for batch in train]
    if len(streams) == 1:
        yield from streams[0]
    sizes = torch.tensor([float(len(batch)) for batch in train])
    while True:
        for choice in torch.multinomial(sizes, 256, replacement=True, generator=order).tolist():
            yield next(streams[choice])


def shuffled(batch: Batch, batch_size: int, order: torch.Generator) -> Iterator[Batch]:
    """Endless minibatches from epochs shuffled by `order`; a batch may span two epochs; all of a small set at once."""
    n = len(batch)
    if n <= batch_size:
        while True:
            yield batch.map(torch.clone)
    pending = torch.empty(0, dtype=torch.int64)
    while True:
        while len(pending) < batch_size:
            pending = torch.cat([pending, torch.randperm(n, generator=order)])
        index, pending = pending[:batch_size].to(batch.x.device), pending[batch_size:]
        yield batch.map(lambda t, index=index: t[index])  # type: ignore[misc]


def make_optimizer(parameters: Iterator[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer, in torch's fused form where the parameters are real numbers.

    Raises:
        ValueError: for a name that no optimizer has.
    """
    every = list(parameters)
    shared: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "fused": all(p.is_floating_point() for p in every),
    }
    match recipe.optimizer:
        case "adam":
            return torch.optim.Adam(every, **shared)
        case "adamw":
            return torch.optim.AdamW(every, **shared)
        case "sgd":
            return torch.optim.SGD(every, momentum=recipe.momentum, **shared)
        case other:
            raise ValueError(f"no optimizer {other!r}; there are adam, adamw, sgd")


def schedule(recipe: Recipe, step: int, steps: int) -> float:
    """The factor on the learning rate before step `step` (from 0) of `steps`: warm-up, then constant or cosine."""
    warmup = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    return warmup * (0.5 * (1 + math.cos(math.pi * step / steps)) if recipe.schedule == "cosine" else 1.0)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def quiet_lightning() -> None:
    """No banners: what a run prints is the harness's to say."""
    for name in ("pytorch_lightning", "lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)


def model_parameters(model: Any) -> int | None:
    """Number of trainable parameters of a network, None for anything else."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad) if isinstance(model, nn.Module) else None


def as_curve(points: Sequence[Point]) -> list[Mapping[str, Any]]:
    """The points as plain data."""
    return [
        {"step": p.step, "loss": p.loss, "scores": {s: dict(metrics) for s, metrics in p.scores.items()}}
        for p in points
    ]
