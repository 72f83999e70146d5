"""The probe stacks what can be stacked, and says why it does not."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training
from baselines.algorithms.erm import ERM
from baselines.algorithms.irm import IRM
from baselines.algorithms.sam import SAM
from baselines.algorithms.spectral_decoupling import SpectralDecoupling
from baselines.references import hash_source
from benchmarks import probe
from benchmarks.probe import Answer, ask, is_stackable
from benchmarks.replica import Replica
from tasks.types import Batch, Budget, Problem, Recipe

PROBLEM = Problem("vector", (6,), "classes", 2, 64)
BUDGET = Budget(steps=1000, batch_size=16, evaluations=3)


class Net(nn.Module):
    """A small network; its subclasses do what cannot be mapped."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.out(torch.tanh(self.into(x)))
        return outputs


class Item(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * x.abs().max().item()


class Branch(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


class Counts(Net):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Aliased(Net):
    """It reads a weight by a second name, which nobody replaces."""

    def __init__(self) -> None:
        super().__init__()
        self.same = self.into.weight.data

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.out(torch.tanh(x @ self.same.T))
        return outputs


class Hooked(Net):
    """It masks a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.into.weight.register_hook(lambda gradient: gradient * 0)


class Numpy(Net):
    """It drops inputs by NumPy's stream, which is one for all that are trained at once."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * float(np.random.random() < 0.5))


class Notes(Net):
    """It counts in a container."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = {"calls": 0}

    def forward(self, x: Tensor) -> Tensor:
        self.notes["calls"] += 1
        return super().forward(x)


class HeadOnly(Net):
    """It says that only its last layer is to be trained."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        return self.out.parameters()


class Recurrent(Net):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.out(self.lstm(x[:, None])[0][:, -1])
        return outputs


class Running(Net):
    """A buffer that is put in the place of the old one."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return super().forward(x - self.mean)


class DropoutAndBuffers(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


def build(kind: Callable[[], nn.Module]) -> Callable[[int], nn.Module]:
    def made(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return kind()

    return made


def replica(kind: Callable[[], nn.Module] = Net, algorithm: Algorithm | None = None, lengths: int = 1) -> Replica:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 6, generator=generator)
    batch = Batch(x, (x[:, 0] > 0).long(), env=torch.arange(64) % 2)
    training = Training([batch] * lengths, BUDGET.steps, torch.Generator().manual_seed(3))
    return Replica(build(kind)(7), algorithm or ERM(PROBLEM), training, torch.Generator(), lambda predict: {})


def answer(kind: Callable[[], nn.Module], given: Replica | None = None) -> Answer:
    return ask(given or replica(kind), build(kind), 4, Recipe(), BUDGET)


@pytest.fixture(autouse=True)
def any_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is faster is measured elsewhere: here only values decide."""
    monkeypatch.setattr(probe, "GAIN", 0.0)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Item, "item"),
        (Branch, "data-dependent control flow"),
        (Counts, "the model keeps state outside its buffers"),
        (Hooked, "the gradient of a parameter has a hook"),
        (Numpy, "the model draws random numbers that are not torch's"),
        (Notes, "the model keeps state outside its buffers"),
        (HeadOnly, "the model has parameters without a name"),
        (Aliased, "trained at once, its "),
        (Recurrent, "lstm"),
        (Running, "trained at once, its "),
        (DropoutAndBuffers, "the model draws random numbers and has buffers"),
    ],
)
def test_what_cannot_be_stacked_is_not(kind: Callable[[], nn.Module], why: str) -> None:
    assert why in answer(kind).alone


@pytest.mark.parametrize(
    "kind",
    [
        Net,
        lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)),
        lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 2)),
    ],
)
def test_what_can_be_stacked_is(kind: Callable[[], nn.Module]) -> None:
    found = answer(kind)
    assert not found.alone and found.gain > 0 and found.seconds > 0


def test_what_is_not_faster_is_not_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "GAIN", 1e9)
    assert "times as fast" in answer(Net).alone


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (replica(algorithm=IRM(PROBLEM)), "the training algorithm does more"),
        (replica(lengths=2), "several lengths"),
    ],
)
def test_what_speaks_against_it_beforehand(given: Replica, why: str) -> None:
    assert why in answer(Net, given).alone


def test_nothing_to_train() -> None:
    assert ask(replica(), build(Net), 4, Recipe(), Budget(0, 16)).alone == "nothing is trained"


def test_an_algorithm_inherits_only_the_loss_that_it_uses() -> None:
    class Mine(ERM):
        def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
            return super().loss(model, batch, step) * (1 + step)

    class Named(ERM):
        """Another name, the same loss."""

    assert is_stackable(ERM) and is_stackable(Named) and is_stackable(SpectralDecoupling)
    assert not is_stackable(Mine) and not is_stackable(SAM) and not is_stackable(IRM)


def test_the_replica_and_the_global_streams_are_left_as_they_are() -> None:
    given = replica()
    before = copy.deepcopy(given.model.state_dict())
    states = given.order.get_state(), given.training.generator.get_state(), torch.get_rng_state()
    numbers, words = np.random.get_state(legacy=True)[1], random.getstate()
    assert not answer(Net, given).alone
    assert all(torch.equal(a, b) for a, b in zip(given.model.state_dict().values(), before.values(), strict=True))
    after = given.order.get_state(), given.training.generator.get_state(), torch.get_rng_state()
    assert all(torch.equal(a, b) for a, b in zip(states, after, strict=True)) and not given.points
    assert np.array_equal(np.random.get_state(legacy=True)[1], numbers) and random.getstate() == words


def test_what_an_algorithm_says_of_stacking_is_no_part_of_its_source(tmp_path: Path) -> None:
    """Records of an algorithm stay its own when it says later that it may be stacked."""
    source = "class A:\n    x = 1\n{}    def loss(self, model, batch, step):\n        return 0\n"
    texts = [
        source.format(line) for line in ("", "    stackable = True\n", "    stackable: bool = False\n", "    y = 2\n")
    ]
    hashes = []
    for text in texts:
        (tmp_path / "a.py").write_text(text)
        hashes.append(hash_source(tmp_path / "a.py"))
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]
