"""Replicas that are trained at once compute what they compute one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

import pytest
import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, Training
from baselines.algorithms.erm import ERM
from baselines.algorithms.spectral_decoupling import SpectralDecoupling
from benchmarks.replica import Diverged, Replica
from benchmarks.sequential import Sequential
from benchmarks.stacked import Detached, Stacked
from benchmarks.training import MakeEngine, train
from tasks.types import Batch, Budget, Predict, Problem, Recipe

PROBLEM = Problem("vector", (6,), "classes", 3, 90)
BUDGET = Budget(steps=30, batch_size=16, evaluations=3)
R = 3


class Tied(nn.Module):
    """One matrix used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(6, 6)
        self.again = nn.Linear(6, 6)
        self.again.weight = self.into.weight
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.out(torch.tanh(self.again(torch.tanh(self.into(x)))))
        return outputs


class Half(nn.Sequential):
    """Its first layer is not trained."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        self[0].requires_grad_(False)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3)),
    "batch-norm": lambda: nn.Sequential(nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 3)),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    ),
    "tied": Tied,
    "half": Half,
    # without biases: those of keys have no gradient but rounding, of which Adam makes steps
    "attention": lambda: nn.Sequential(
        nn.Unflatten(1, (2, 3)),
        nn.TransformerEncoderLayer(3, 1, 8, 0.0, batch_first=True, bias=False),
        nn.Flatten(),
        nn.Linear(6, 3),
    ),
}
RECIPES = {
    "adam": Recipe(learning_rate=1e-2),
    "adamw": Recipe("adamw", 1e-2, weight_decay=0.1, warmup_steps=5),
    "sgd": Recipe("sgd", 0.1, momentum=0.9, schedule="cosine"),
    "clipped": Recipe("sgd", 0.1, clip_norm=0.3),
}


def data(seed: int, weighted: bool = False, n: int = 90) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator)
    weight = torch.rand(n, generator=generator) if weighted else None
    return Batch(x, (x[:, :3] + 0.1 * seed).argmax(1), weight=weight)


def replicas(
    network: Callable[[], nn.Module], n: int = R, algorithm: type[Algorithm] = ERM, batches: Sequence[Batch] = ()
) -> list[Replica]:
    """Replicas with data, initialisation and order of their own."""
    found = []
    for seed in range(n):
        torch.manual_seed(seed)
        batch = batches[seed] if batches else data(seed)

        def measure(predict: Predict, batch: Batch = batch) -> dict[str, dict[str, float]]:
            loss = nn.functional.cross_entropy(predict(batch.x), batch.y)
            return {"iid": {"nll": float(loss)}}

        known, order = Training([batch], BUDGET.steps, torch.Generator()), torch.Generator().manual_seed(100 + seed)
        found.append(Replica(network(), algorithm(PROBLEM), known, order, measure))
    return found


def trained(engine: MakeEngine, group: list[Replica], recipe: Recipe, budget: Budget = BUDGET) -> list[Replica]:
    train(group, recipe, budget, lambda outputs, x: outputs, engine)
    return group


def assert_same(together: Sequence[Replica], alone: Sequence[Replica]) -> None:
    """Parameters, buffers, losses and measurements agree to the rounding of float32."""
    for one, other in zip(together, alone, strict=True):
        for (name, got), expected in zip(
            one.model.state_dict().items(), other.model.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(
                got, expected, rtol=1e-3, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}"
            )
        assert [p.step for p in one.points] == [p.step for p in other.points]
        for a, b in zip(one.points, other.points, strict=True):
            assert a.loss == pytest.approx(b.loss, rel=1e-4)
            assert a.scores["iid"]["nll"] == pytest.approx(b.scores["iid"]["nll"], rel=1e-4)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_equals_the_sequential_engine(network: Callable[[], nn.Module], recipe: Recipe) -> None:
    assert_same(trained(Stacked, replicas(network), recipe), trained(Sequential, replicas(network), recipe))


@pytest.mark.parametrize("algorithm", [ERM, SpectralDecoupling])
def test_weights_count(algorithm: type[Algorithm]) -> None:
    batches = [data(seed, weighted=True) for seed in range(R)]
    groups = [replicas(NETWORKS["mlp"], R, algorithm, batches) for _ in range(2)]
    assert_same(trained(Stacked, groups[0], RECIPES["adam"]), trained(Sequential, groups[1], RECIPES["adam"]))


def test_a_small_set_comes_as_a_whole() -> None:
    batches = [data(seed, n=12) for seed in range(R)]
    groups = [replicas(NETWORKS["mlp"], R, ERM, batches) for _ in range(2)]
    assert_same(trained(Stacked, groups[0], RECIPES["adam"]), trained(Sequential, groups[1], RECIPES["adam"]))


def test_what_ends_one_replica_leaves_the_others_alone() -> None:
    """With clipping, whose norm is each one's own: another's NaN must not reach it."""
    batches = [data(seed) for seed in range(R)]
    batches[1].x[:] = torch.inf
    ended = trained(Stacked, replicas(NETWORKS["mlp"], R, ERM, batches), RECIPES["clipped"])
    alone = trained(Sequential, replicas(NETWORKS["mlp"]), RECIPES["clipped"])
    assert isinstance(ended[1].error, Diverged) and not ended[1].points
    assert_same([ended[0], ended[2]], [alone[0], alone[2]])


def test_a_measurement_that_raises_ends_one_replica() -> None:
    def refuse(predict: Predict) -> dict[str, dict[str, float]]:
        raise ValueError("no")

    group = replicas(NETWORKS["mlp"])
    group[2].measure = refuse
    trained(Stacked, group, RECIPES["adam"])
    assert str(group[2].error) == "no" and [len(replica.points) for replica in group] == [3, 3, 0]


def test_a_model_that_replaces_its_tensors_is_not_measured_as_it_was() -> None:
    class Replaces(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                self.weight.data = self.weight.data * 1
            return super().forward(x)

    with pytest.raises(Detached, match="replaces its weight"):
        trained(Stacked, replicas(lambda: Replaces(6, 3)), RECIPES["adam"])


def test_dropout_agrees_in_distribution() -> None:
    """The two engines draw other masks; over 40 replicas the mean losses agree within four standard errors."""

    def network() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))

    budget, recipe, n = Budget(40, 16, 1), Recipe(learning_rate=1e-2), 40
    batches = [data(0)] * n
    losses = [
        [replica.points[-1].scores["iid"]["nll"] for replica in trained(engine, group, recipe, budget)]
        for engine in (Stacked, Sequential)
        for group in [replicas(network, n, ERM, batches)]
    ]
    error = (stdev(losses[0]) ** 2 / n + stdev(losses[1]) ** 2 / n) ** 0.5
    assert abs(fmean(losses[0]) - fmean(losses[1])) < 4 * error
    assert losses[0] != losses[1]


def test_masks_differ_between_replicas() -> None:
    class Noise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            outputs: Tensor = self.out(nn.functional.dropout(x, 0.5, self.training))
            return outputs

    group = replicas(Noise, 2, ERM, [data(0)] * 2)
    group[1].model.load_state_dict(group[0].model.state_dict())
    group[1].order.manual_seed(100)
    trained(Stacked, group, RECIPES["sgd"])
    assert not torch.equal(group[0].model.out.weight, group[1].model.out.weight)  # type: ignore[union-attr,arg-type]
