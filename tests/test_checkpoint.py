"""A training that was cut short goes on as if it had not been: bit for bit."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training
from baselines.algorithms.erm import ERM
from baselines.algorithms.group_dro import GroupDRO
from baselines.algorithms.irm import IRM
from baselines.algorithms.last_layer import LastLayer
from baselines.algorithms.mixup import Mixup
from baselines.algorithms.sam import SAM
from benchmarks.checkpoint import FOLDER, Checkpoint, remove_abandoned
from benchmarks.replica import Replica
from benchmarks.sequential import Sequential
from benchmarks.stacked import Stacked
from benchmarks.training import MakeEngine, train
from tasks.types import Batch, Budget, Predict, Problem, Recipe

PROBLEM = Problem("vector", (6,), "classes", 2, 60)
BUDGET = Budget(steps=24, batch_size=10, evaluations=6)
RECIPE = Recipe("adamw", 1e-2, weight_decay=0.1, schedule="cosine", warmup_steps=3, clip_norm=1.0)


class Killed(BaseException):
    """What a kill looks like from inside."""


def network() -> nn.Module:
    """It draws from torch's global stream and keeps running statistics."""
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 2))


def data(seed: int) -> Batch:
    x = torch.randn(60, 6, generator=torch.Generator().manual_seed(seed))
    number = torch.arange(60) % 2
    return Batch(x, (x[:, 0] > 0).long(), env=number, group=number)


def group(
    algorithm: Callable[[], Algorithm],
    n: int,
    lengths: int,
    dies_at: int | None,
    make: Callable[[], nn.Module] = network,
) -> list[Replica]:
    """Fresh replicas, the same each time; the first kills the training at a measurement."""
    found = []
    for seed in range(n):
        torch.manual_seed(seed)
        batches = [data(seed + 10 * i) for i in range(lengths)]
        known = Training(batches, BUDGET.steps, torch.Generator().manual_seed(5 + seed))
        replica = Replica(make(), algorithm(), known, torch.Generator().manual_seed(seed), lambda predict: {})

        def measure(predict: Predict, replica: Replica = replica, x: Tensor = batches[0].x) -> Mapping[str, Any]:
            if len(replica.points) == dies_at:
                raise Killed
            return {"iid": {"mean": float(predict(x).mean())}}

        replica.measure = measure
        found.append(replica)
    torch.manual_seed(9)
    return found


def whole(replicas: list[Replica]) -> list[Any]:
    """All that a training ends with, to the bit."""
    parameters = [[tensor.tolist() for tensor in replica.model.state_dict().values()] for replica in replicas]
    return [parameters, [replica.points for replica in replicas]]


def run(replicas: list[Replica], checkpoint: Checkpoint | None, engine: MakeEngine = Sequential) -> list[Any]:
    train(replicas, RECIPE, BUDGET, lambda outputs, x: outputs, engine, checkpoint)
    assert not any(replica.error for replica in replicas)
    return whole(replicas)


def at(folder: Path) -> Checkpoint:
    """A checkpoint that is kept at every measurement."""
    return Checkpoint(folder / "checkpoints" / "one.pt", {"code": "1"}, every_seconds=0.0)


ALGORITHMS: dict[str, Callable[[], Algorithm]] = {
    "erm": lambda: ERM(PROBLEM),
    "irm": lambda: IRM(PROBLEM, warmup=0.5),  # the optimizer forgets its moments half-way
    "group-dro": lambda: GroupDRO(PROBLEM),  # weights of its own
    "mixup": lambda: Mixup(PROBLEM),  # draws of its own
    "sam": lambda: SAM(PROBLEM),
    "last-layer": lambda: LastLayer(PROBLEM),
}


@pytest.mark.parametrize("dies_at", [1, 4])
@pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=ALGORITHMS)
def test_a_killed_training_goes_on_to_the_same_bits(
    tmp_path: Path, algorithm: Callable[[], Algorithm], dies_at: int
) -> None:
    expected = run(group(algorithm, 1, 1, None), None)
    killed = group(algorithm, 1, 1, dies_at)
    with pytest.raises(Killed):
        run(killed, at(tmp_path))
    torch.randn(100)  # another process stands elsewhere in the global stream
    resumed = group(algorithm, 1, 1, None)
    torch.manual_seed(123)
    checkpoint = at(tmp_path)
    assert run(resumed, checkpoint) == expected
    assert checkpoint.seconds_before > 0


def test_with_inputs_of_several_lengths(tmp_path: Path) -> None:
    expected = run(group(ALGORITHMS["erm"], 1, 3, None), None)
    with pytest.raises(Killed):
        run(group(ALGORITHMS["erm"], 1, 3, 2), at(tmp_path))
    assert run(group(ALGORITHMS["erm"], 1, 3, None), at(tmp_path)) == expected


def test_replicas_that_are_trained_at_once(tmp_path: Path) -> None:
    def quiet() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 2))

    expected = run(group(ALGORITHMS["erm"], 3, 1, None, quiet), None, Stacked)
    with pytest.raises(Killed):
        run(group(ALGORITHMS["erm"], 3, 1, 3, quiet), at(tmp_path), Stacked)
    assert run(group(ALGORITHMS["erm"], 3, 1, None, quiet), at(tmp_path), Stacked) == expected


def test_buffers_that_a_state_dict_leaves_out_are_kept(tmp_path: Path) -> None:
    class Sums(nn.Linear):
        total: Tensor

        def __init__(self) -> None:
            super().__init__(6, 2)
            self.register_buffer("total", torch.zeros(()), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.total += x.detach().mean()
            return super().forward(x) * (1 + self.total)

    expected = run(group(ALGORITHMS["erm"], 1, 1, None, Sums), None)
    with pytest.raises(Killed):
        run(group(ALGORITHMS["erm"], 1, 1, 3, Sums), at(tmp_path))
    assert run(group(ALGORITHMS["erm"], 1, 1, None, Sums), at(tmp_path)) == expected


def test_a_tensor_that_an_optimizer_holds_stays_that_tensor(tmp_path: Path) -> None:
    class Scaled(ERM):
        """It learns a scale with an optimizer of its own."""

        def begin(self, model: nn.Module, training: Training) -> None:
            self.scale = torch.ones((), requires_grad=True)
            self.optimizer = torch.optim.Adam([self.scale], lr=0.1)

        def backward(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
            self.optimizer.zero_grad()
            loss = self.scale.square() * super().loss(model, batch, step)
            loss.backward()
            self.optimizer.step()
            return loss

    def algorithm() -> Algorithm:
        return Scaled(PROBLEM)

    expected = run(group(algorithm, 1, 1, None), None)
    with pytest.raises(Killed):
        run(group(algorithm, 1, 1, 3), at(tmp_path))
    assert run(group(algorithm, 1, 1, None), at(tmp_path)) == expected


def test_a_damaged_file_is_a_beginning(tmp_path: Path) -> None:
    expected = run(group(ALGORITHMS["erm"], 1, 1, None), None)
    with pytest.raises(Killed):
        run(group(ALGORITHMS["erm"], 1, 1, 3), at(tmp_path))
    path = at(tmp_path).path
    content = path.read_bytes()
    for cut in range(0, len(content), len(content) // 20):
        path.write_bytes(content[:cut])
        assert at(tmp_path).load() is None
    path.write_bytes(content[: len(content) // 2])
    assert run(group(ALGORITHMS["erm"], 1, 1, None), at(tmp_path)) == expected


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "evil"),)

    checkpoint = at(tmp_path)
    checkpoint.path.parent.mkdir()
    torch.save({"identity": {"code": "1"}, "seconds": 0.0, "state": Evil()}, checkpoint.path)
    assert checkpoint.load() is None and not (tmp_path / "evil").exists()


def test_another_version_begins_again(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(group(ALGORITHMS["erm"], 1, 1, 3), at(tmp_path))
    assert at(tmp_path).load() is not None
    assert Checkpoint(at(tmp_path).path, {"code": "2"}).load() is None


def test_a_full_disk_costs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run(group(ALGORITHMS["erm"], 1, 1, None), at(tmp_path)) == run(group(ALGORITHMS["erm"], 1, 1, None), None)
    assert list((tmp_path / "checkpoints").iterdir()) == []


class Counts(nn.Module):
    """It counts in an attribute, which no checkpoint can see."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.calls = nn.Linear(6, 2), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        outputs: Tensor = self.out(x)
        return outputs


class Notes(Counts):
    """It counts in a container."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = {"calls": 0}

    def forward(self, x: Tensor) -> Tensor:
        self.notes["calls"] += 1
        outputs: Tensor = self.out(x)
        return outputs


class Heads(ERM):
    """It keeps modules in a list."""

    def begin(self, model: nn.Module, training: Training) -> None:
        self.heads = [nn.Linear(2, 2)]


class Odd(ERM):
    """It keeps what is neither a tensor nor a plain value."""

    def begin(self, model: nn.Module, training: Training) -> None:
        self.seen = {1, 2}


@pytest.mark.parametrize(("algorithm", "make"), [(Odd, network), (Heads, network), (ERM, Counts), (ERM, Notes)])
def test_what_cannot_be_told_is_not_kept(
    tmp_path: Path, algorithm: Callable[[Problem], Algorithm], make: Callable[[], nn.Module]
) -> None:
    run(group(lambda: algorithm(PROBLEM), 1, 1, None, make), at(tmp_path))
    assert not at(tmp_path).path.exists()


def test_it_is_kept_now_and_then(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "one.pt", {}, every_seconds=1e6)
    run(group(ALGORITHMS["erm"], 1, 1, None), checkpoint)
    assert not checkpoint.path.exists()


def test_what_nobody_goes_on_with_is_removed_after_a_month(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    for name, days in {"old.pt": 31, ".left.tmp": 40, "young.pt": 29}.items():
        (folder / name).touch()
        then = time.time() - days * 86400
        os.utime(folder / name, (then, then))
    remove_abandoned(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["young.pt"]
    remove_abandoned(tmp_path / "nowhere")
