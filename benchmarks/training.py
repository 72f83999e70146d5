"""Lightning trains R replicas of a network side by side; one Lightning step is a chunk of optimizer steps.

A framework's work per step costs as much as a whole step of a small network. So the loader yields chunks, the
data lie on the device as tensors, and between two chunks the replicas are measured. An engine does the steps of a
chunk: `benchmarks.sequential` or `benchmarks.stacked`.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import pytorch_lightning as lightning
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor, nn

from baselines.algorithm import Training, features_of
from benchmarks.batches import Batches
from benchmarks.checkpoint import (
    Checkpoint,
    Untold,
    give_back,
    global_draws,
    own_state,
    set_global_draws,
    tensors_of,
    told,
)
from benchmarks.replica import Diverged, Point, Replica
from benchmarks.sequential import Sequential
from tasks.types import Budget, Predict, Recipe, Scores

EVALUATION_BATCH = 1024
SLOW_RULE = "There is a performance drop"  # torch's hint for a mapped layer; the probe has measured it

Check = Callable[[Tensor, Tensor], Tensor]
"""`check(outputs, x)` is called on the first outputs of every measurement and raises if the contract is broken."""


class Engine(Protocol):
    """How the optimizer steps of several replicas are done."""

    optimizers: list[torch.optim.Optimizer]
    batches: list[Batches]

    def begin(self) -> list[torch.optim.Optimizer]:
        """The optimizers; called once, with models and data on the device."""

    def advance(self, step: int, count: int) -> list[float]:
        """Train all for `count` steps from `step` on; the mean training loss of each, NaN for one that has ended."""


MakeEngine = Callable[[Sequence[Replica], Recipe, Budget], Engine]


def train(
    replicas: Sequence[Replica],
    recipe: Recipe,
    budget: Budget,
    check: Check,
    engine: MakeEngine = Sequential,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train every replica for the budget's steps; each one's `points` are its measurements, at fixed steps.

    With a budget of no steps every replica is measured as it is. What goes wrong with one replica ends that one alone:
    it is its `error`, `Diverged` among them, when a loss or an output is not finite. Where a `checkpoint` has a state,
    the training goes on from there.
    """
    if budget.steps == 0:
        for replica in replicas:
            measure(replica, 0, None, torch.device("cpu"), check)
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
        plugins=[LightningEnvironment()],  # one process: not for Lightning to find out, least of all on a Slurm node
    )
    with warnings.catch_warnings():
        # A loader of chunk lengths needs no workers, and Lightning's hints are for loaders of data.
        warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning")
        warnings.filterwarnings("ignore", SLOW_RULE)
        loop = ReplicaTraining(replicas, engine(replicas, recipe, budget), check, checkpoint)
        try:
            trainer.fit(loop, chunks(budget)[loop.chunks_done :])
        except SIGTERMException:  # Lightning's word for a kill from outside, which is no result
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


def chunks(budget: Budget) -> list[int]:
    """The numbers of optimizer steps between measurements; they sum to the budget's steps."""
    evaluations = max(1, min(budget.evaluations, budget.steps))
    marks = [round(budget.steps * (i + 1) / evaluations) for i in range(evaluations)]
    if budget.first is not None:
        first = min(budget.first, budget.steps)
        growth = (budget.steps / first) ** (1 / max(1, evaluations - 1))
        marks = sorted({round(first * growth**i) for i in range(evaluations)} | {budget.steps})
    return [mark - before for before, mark in zip([0, *marks], marks, strict=False)]


class ReplicaTraining(lightning.LightningModule):
    """The training loop: chunks of steps by an engine, and measurements between them."""

    def __init__(
        self, replicas: Sequence[Replica], engine: Engine, check: Check, checkpoint: Checkpoint | None = None
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.replicas, self.engine, self.check, self.checkpoint = list(replicas), engine, check, checkpoint
        self.models = nn.ModuleList([replica.model for replica in replicas])
        self.step_count = self.chunks_done = 0
        self.kept = checkpoint.load() if checkpoint is not None else None
        if self.kept is not None:
            self.step_count, self.chunks_done = self.kept["step"], self.kept["chunks"]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Put the training data beside the models on the device, once, let the algorithms see them, and begin."""
        for replica in self.replicas:
            replica.training = replica.algorithm.prepared(moved(replica.training, self.device))
            replica.algorithm.begin(replica.model, replica.training)
        self.inner_states = [own_state(replica.model) for replica in self.replicas]
        optimizers = self.engine.begin()
        if self.kept is not None:
            self.restore(self.kept)
        return optimizers

    def on_train_batch_start(self, batch: int, batch_idx: int) -> int | None:
        """Lightning's sign to stop, once every replica has ended."""
        return -1 if all(replica.has_ended for replica in self.replicas) else None

    def training_step(self, chunk: int) -> None:
        """`chunk` optimizer steps of every replica, then a measurement."""
        first, self.step_count = self.step_count + 1, self.step_count + chunk
        for replica, loss in zip(self.replicas, self.engine.advance(first - 1, chunk), strict=True):
            if replica.has_ended:
                continue
            if math.isfinite(loss):
                measure(replica, self.step_count, loss, self.device, self.check)
            else:
                replica.error = Diverged(f"the training loss is {loss} within steps {first} to {self.step_count}")
        self.chunks_done += 1
        if self.checkpoint is not None and not any(replica.error for replica in self.replicas):
            self.checkpoint.keep(self)

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on.

        Raises:
            Untold: when a model or an algorithm keeps what cannot be told.
        """
        if [own_state(replica.model) for replica in self.replicas] != self.inner_states:
            raise Untold("a model keeps state outside its buffers")
        return {
            "step": self.step_count,
            "chunks": self.chunks_done,
            "models": [tensors_of(replica.model) for replica in self.replicas],
            "optimizers": [optimizer.state_dict() for optimizer in self.engine.optimizers],
            "batches": [batches.state() for batches in self.engine.batches],
            "algorithms": [told(replica.algorithm) for replica in self.replicas],
            "algorithm_draws": [replica.training.generator.get_state() for replica in self.replicas],
            "draws": global_draws(),
            "points": [[asdict(point) for point in replica.points] for replica in self.replicas],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where a training of the same replicas stood."""
        for number, replica in enumerate(self.replicas):
            with torch.no_grad():
                for name, own in tensors_of(replica.model).items():
                    own.copy_(state["models"][number][name])
            give_back(replica.algorithm, state["algorithms"][number], self.device)
            replica.training.generator.set_state(state["algorithm_draws"][number])
            self.engine.batches[number].restore(state["batches"][number])
            for point in state["points"][number]:
                replica.add(Point(**point))
        for optimizer, own in zip(self.engine.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)
        set_global_draws(state["draws"])


def measure(replica: Replica, step: int, loss: float | None, device: torch.device, check: Check) -> None:
    """One more point of a replica as it is now, or its error."""
    try:
        with torch.no_grad():
            scores: Scores = replica.measure(predictor(replica, check, device))
    except Exception as error:
        replica.error = error
    else:
        replica.add(Point(step, loss, scores))


def predictor(replica: Replica, check: Check, device: torch.device | None = None) -> Predict:
    """What the algorithm makes of the replica, in evaluation mode, from inputs to outputs on the CPU."""
    place = device or next(replica.model.parameters()).device
    with torch.no_grad():
        deployed = replica.algorithm.deployed(replica.model.eval())

    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            return predict(deployed, x.to(place), check).cpu()

    return answer


def features(model: nn.Module, x: Tensor) -> Tensor:
    """The inputs of the last linear layer in evaluation mode: x (N, *S) to (N, F), on the CPU.

    Raises:
        NotApplicable: when the outputs are not those of a final linear layer.
    """
    place = x.to(next(model.parameters()).device)
    split = features_of(model.eval(), place[:2])
    with torch.no_grad():
        return torch.cat([split(part)[0] for part in place.split(EVALUATION_BATCH)]).float().cpu()


def moved(training: Training, device: torch.device) -> Training:
    """The data of a training on a device."""
    target = training.target_inputs
    return replace(
        training,
        train=[batch.map(lambda t: t.to(device)) for batch in training.train],
        target_inputs=None if target is None else target.to(device),
    )


def predict(model: Callable[[Tensor], Tensor], x: Tensor, check: Check) -> Tensor:
    """Outputs for many inputs, in batches that fit in memory. A model that changes its input changes a copy.

    Raises:
        Diverged: when an output is not finite.
    """
    parts = x.split(EVALUATION_BATCH)
    outputs = torch.cat([check(model(part.clone()), part).float() for part in parts])
    if not bool(torch.isfinite(outputs).all()):
        raise Diverged("the model's outputs are not finite")
    return outputs


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
