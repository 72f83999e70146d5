"""The chunked Lightning loop does what a bare PyTorch loop does, step for step."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from baselines.algorithm import Training
from baselines.algorithms.erm import ERM
from benchmarks.batches import Batches
from benchmarks.optimization import schedule
from benchmarks.replica import Diverged, Replica
from benchmarks.training import chunks, train
from tasks.types import Batch, Budget, Predict, Problem, Recipe

PROBLEM = Problem("vector", (3,), "values", 1, 64)


def data(n: int = 64) -> Batch:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator)
    return Batch(x, x.sum(1, keepdim=True).sin())


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def order() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def same(outputs: Tensor, x: Tensor) -> Tensor:
    return outputs


def replica(model: nn.Module, batch: Batch | None = None) -> Replica:
    batch = batch or data()

    def measure(predict: Predict) -> dict[str, dict[str, float]]:
        return {"iid": {"mse": float((predict(batch.x) - batch.y).square().mean())}}

    return Replica(model, ERM(PROBLEM), Training([batch], 500, torch.Generator()), order(), measure)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimizer="adam", learning_rate=1e-2),
        Recipe(optimizer="adamw", learning_rate=1e-2, weight_decay=0.1),
        Recipe(optimizer="sgd", learning_rate=1e-2, momentum=0.9, schedule="cosine", warmup_steps=5),
        Recipe(optimizer="adam", learning_rate=1e-2, clip_norm=0.1),
    ],
)
def test_equals_a_bare_loop(recipe: Recipe) -> None:
    budget = Budget(steps=23, batch_size=10, evaluations=4)
    ours = replica(network())
    train([ours], recipe, budget, same)

    bare = network()
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(bare.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    else:
        kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
        optimizer = kind(bare.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    batches = iter(Batches([data()], 10, order()))
    for step in range(23):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * schedule(recipe, step, 23)
        batch = next(batches)
        loss = (bare(batch.x) - batch.y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(bare.parameters(), recipe.clip_norm)
        optimizer.step()

    for got, expected in zip(ours.model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    assert [point.step for point in ours.points] == [6, 12, 17, 23]


def test_replicas_share_nothing() -> None:
    budget, recipe = Budget(20, 8, 2), Recipe(learning_rate=1e-2)
    together = [replica(network()), replica(nn.Linear(3, 1)), replica(network(), data(32))]
    train(together, recipe, budget, same)
    alone = replica(network())
    train([alone], recipe, budget, same)
    assert together[0].points == alone.points
    assert together[2].points != alone.points


def test_a_measurement_sees_evaluation_mode_and_no_gradient() -> None:
    seen = []

    class Spy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((self.training, torch.is_grad_enabled()))
            return super().forward(x)

    train([replica(Spy(3, 1))], Recipe(), Budget(2, 64, 1), same)
    assert seen == [(True, True), (True, True), (False, False)]


def test_a_loss_that_is_not_finite_is_divergence() -> None:
    ended = replica(network())
    train([ended], Recipe(optimizer="sgd", learning_rate=1e30), Budget(50, 8, 10), same)
    assert isinstance(ended.error, Diverged) and "within steps 1 to 5" in str(ended.error) and not ended.points


def test_importance_weights_count() -> None:
    """Two equal inputs with different targets: the fit is their weighted mean."""
    batch = Batch(torch.ones(2, 3), torch.tensor([[0.0], [1.0]]), weight=torch.tensor([3.0, 1.0]))
    model = nn.Linear(3, 1)
    train([replica(model, batch)], Recipe(learning_rate=0.05), Budget(500, 2, 1), same)
    with torch.no_grad():
        fitted = float(model(batch.x[:1]))
    assert fitted == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize(("steps", "evaluations"), [(10, 3), (3, 10), (1, 1), (1000, 7)])
def test_chunks_sum_to_the_budget(steps: int, evaluations: int) -> None:
    found = chunks(Budget(steps, 1, evaluations))
    assert sum(found) == steps and len(found) == min(steps, evaluations) and min(found) >= 1


def test_an_epoch_shows_every_example_once() -> None:
    batch = Batch(torch.arange(12.0)[:, None], torch.zeros(12, 1))
    epoch = list(itertools.islice(Batches([batch], 4, order()), 6))
    assert sorted(torch.cat([b.x for b in epoch[:3]])[:, 0].tolist()) == list(range(12))
    assert sorted(torch.cat([b.x for b in epoch[3:]])[:, 0].tolist()) == list(range(12))
    assert not torch.equal(epoch[0].x, epoch[3].x)


def test_a_batch_may_span_two_epochs() -> None:
    batch = Batch(torch.arange(5.0)[:, None], torch.zeros(5, 1))
    shown = torch.cat([b.x for b in itertools.islice(Batches([batch], 3, order()), 5)])[:, 0]
    assert sorted(shown[:5].tolist()) == sorted(shown[5:10].tolist()) == sorted(shown[10:].tolist()) == list(range(5))


def test_batches_of_several_lengths_are_never_mixed() -> None:
    short = Batch(torch.zeros(30, 2, dtype=torch.int64), torch.zeros(30))
    long = Batch(torch.zeros(90, 7, dtype=torch.int64), torch.zeros(90))
    widths = [batch.x.shape[1] for batch in itertools.islice(Batches([short, long], 4, order()), 400)]
    assert set(widths) == {2, 7}
    share = widths.count(7) / 400
    assert abs(share - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 400)


def test_without_steps_a_model_is_measured_as_it_is() -> None:
    """What a task about untrained models gets: one point at step 0, and no parameter moved."""
    ours = replica(network())
    train([ours], Recipe(), Budget(steps=0, batch_size=8), same)
    (point,) = ours.points
    with torch.no_grad():
        error = float((network()(data().x) - data().y).square().mean())
    assert (point.step, point.loss) == (0, None) and point.scores["iid"]["mse"] == pytest.approx(error)
    assert all(torch.equal(a, b) for a, b in zip(network().parameters(), ours.model.parameters(), strict=True))


def test_schedules() -> None:
    assert schedule(Recipe(), 5, 10) == 1
    assert [schedule(Recipe(warmup_steps=4), step, 10) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    cosine = Recipe(schedule="cosine")
    assert schedule(cosine, 0, 10) == 1 and schedule(cosine, 5, 10) == pytest.approx(0.5)
