"""hardness/parity: labels and flips by hand, what a unit without a bias cannot see, times and scores by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn

import tasks
from tasks.hardness.parity import GRID, N_FLIPPED, Parity, named
from tasks.seeds import Draw, generator
from tasks.sources import boolean_cube
from tasks.sources.learning_order import NEVER
from tasks.sources.sign_strings import fair_signs, influences, product, relevance, with_flips
from tasks.sources.solving_time import solving_step, speed
from tasks.types import Row, Scores, Summary

TASK = cast(Parity, tasks.load("hardness/parity-v1"))
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)
CONDITIONS = [condition.name for condition in SPEC.conditions]
POOL = SPEC.problem.n_train / SPEC.budget.batch_size

# --- strings, flips, influence --------------------------------------------------------------------------------------


def test_products_and_flips_by_hand() -> None:
    x = torch.tensor([[1.0, -1, -1], [-1, 1, 1]])
    assert product(x, torch.tensor([0, 1])).tolist() == [-1, -1]
    assert product(x, torch.tensor([0, 1, 2])).tolist() == [1, -1]
    assert with_flips(x)[:4].tolist() == [[1, -1, -1], [-1, -1, -1], [1, 1, -1], [1, -1, 1]]
    assert with_flips(x)[4].tolist() == x[1].tolist()


def test_influences_of_a_line_are_four_times_its_squared_weights_and_of_a_parity_four_or_nothing() -> None:
    x = with_flips(fair_signs(50, 6, generator("influences")))
    weights = torch.tensor([0.5, -1.0, 2.0, 0.0, 0.25, 1.5])
    assert influences(x @ weights, 6).tolist() == pytest.approx((4 * weights**2).tolist())
    assert influences(product(x, torch.tensor([1, 4])), 6).tolist() == [0, 4, 0, 0, 4, 0]


def test_relevance_by_hand() -> None:
    relevant = torch.tensor([True, False, False])
    assert relevance(torch.tensor([2.0, 0.5, 1.5]), relevant) == pytest.approx(2 / 3)
    assert relevance(torch.zeros(3), relevant) == 0.5
    assert relevance(torch.tensor([1.0, 0.0, 0.0]), relevant) == 1


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_label_turns_with_the_k_signs_that_are_marked_and_with_no_other(condition: str) -> None:
    k, n = len(TASK.relevant_places(condition, DRAW)), TASK.n_signs(condition)
    batch = TASK.sample(condition, SPEC.at(condition).split("flips"), DRAW)
    assert batch.latent is not None
    labels, decides = batch.y.view(N_FLIPPED, n + 1), batch.latent.view(N_FLIPPED, n + 1)
    assert torch.equal(labels != labels[:, :1], decides)
    assert decides.sum(1).eq(k).all()


def test_any_place_may_decide() -> None:
    drawn = torch.cat([TASK.relevant_places("n20-k3", replace(DRAW, seed=seed)) for seed in range(100)])
    assert drawn.unique().tolist() == list(range(20))


def test_neither_a_sign_nor_two_say_anything_and_three_say_all() -> None:
    """Correlations with 100,000 labels: five standard errors are .016."""
    batch = TASK.sample("n20-k3", SPEC.split("train"), DRAW)
    label = 2.0 * batch.y - 1
    pairs = batch.x.T @ (batch.x * label[:, None]) / len(batch)
    assert float((label @ batch.x).abs().max()) / len(batch) < 0.016
    assert float((pairs - torch.diag(pairs.diagonal())).abs().max()) < 0.016
    relevant = TASK.relevant_places("n20-k3", DRAW)
    assert torch.equal(product(batch.x, relevant), label)


def test_minus_the_majority_of_three_signs_agrees_with_their_parity_on_six_of_eight_strings() -> None:
    cube = boolean_cube.points(3)
    assert int((-cube.sum(1).sign() == cube.prod(1)).sum()) == 6


# --- what units without biases cannot see ---------------------------------------------------------------------------

N = 10


def largest_by_degree(unit: nn.Module, bias: float) -> list[float]:
    """The largest Fourier coefficient of unit(w.x + bias) at each degree 0 ... 10, over ten random w."""
    degrees = boolean_cube.degrees(N)
    found = torch.zeros(N + 1, dtype=torch.float64)
    for seed in range(10):
        w = torch.randn(N, generator=generator("unit", seed), dtype=torch.float64)
        size = boolean_cube.walsh_hadamard(unit(boolean_cube.points(N).double() @ w + bias)).abs()
        found = found.maximum(torch.stack([size[degrees == degree].max() for degree in range(N + 1)]))
    return found.tolist()


class Step(nn.Module):
    """The derivative of a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).double()


class TanhSlope(nn.Module):
    """The derivative of tanh."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 - x.tanh() ** 2


INVISIBLE = [
    (nn.ReLU(), (3, 5, 7, 9)),  # the unit is linear plus even
    (Step(), (2, 4, 6, 8, 10)),  # 1/2 plus odd
    (nn.Tanh(), (0, 2, 4, 6, 8, 10)),  # odd
    (TanhSlope(), (1, 3, 5, 7, 9)),  # even
]


@pytest.mark.parametrize(("unit", "degrees"), INVISIBLE)
def test_units_without_a_bias_have_no_part_in_these_degrees_and_with_one_they_do(
    unit: nn.Module, degrees: Sequence[int]
) -> None:
    """The gradient of a parity S at weight i is the coefficient of the unit's slope at S without i, or with it."""
    without, biased = largest_by_degree(unit, 0.0), largest_by_degree(unit, 0.5)
    for degree in range(N + 1):
        assert (without[degree] < 1e-12) == (degree in degrees)
        assert biased[degree] > 1e-6


@pytest.mark.parametrize(("bias", "low", "high"), [(False, 0.45, 0.55), (True, 0.95, 1.0)])
def test_a_hidden_layer_without_biases_stays_at_chance_on_three_signs(bias: bool, low: float, high: float) -> None:
    """The negative control: 128 ReLU units, 600 steps of 64 fresh strings of 20. Four standard errors are .045."""
    assert low <= trained_accuracy(bias, steps=600) <= high


def trained_accuracy(bias: bool, steps: int) -> float:
    """On 2,000 fresh strings, after so many Adam steps (1e-2)."""
    torch.manual_seed(0)
    stream, places = generator("control"), torch.tensor([0, 1, 2])
    net = nn.Sequential(nn.Linear(20, 128, bias=bias), nn.ReLU(), nn.Linear(128, 1, bias=bias))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(steps):
        x = fair_signs(64, 20, stream)
        optimizer.zero_grad()
        nn.functional.soft_margin_loss(net(x)[:, 0], product(x, places)).backward()
        optimizer.step()
    x = fair_signs(2_000, 20, stream)
    with torch.no_grad():
        return float((net(x)[:, 0] * product(x, places) > 0).float().mean())


# --- times and scores -----------------------------------------------------------------------------------------------


def scores_at(accuracy: float, relevance: float = 0.5) -> Scores:
    """What is measured of a model in one problem."""
    values = {"accuracy": accuracy, "relevance": relevance}
    return {"iid": values, "val": values, "test": values, "flips": values}


def row(*points: tuple[int, float, float]) -> Row:
    """A training measured at (step, accuracy, relevance)."""
    curve = [(step, scores_at(accuracy, relevance)) for step, accuracy, relevance in points]
    return Row(curve[-1][1], {"test": {"chance": 0.5, "oracle": 1.0}}, curve)


def summary(found: Row, others: Row) -> Summary:
    """Of a grid whose first problem is one row and all others another."""
    return TASK.summarize({name: found if name == CONDITIONS[0] else others for name in CONDITIONS})


@pytest.mark.parametrize(
    ("steps", "expected"), [(0, 1), (50, 1), (500, 0.5), (5_000, 0), (9_000, 0), (NEVER, 0), (50 * 10**0.5, 0.75)]
)
def test_speed_is_linear_in_the_log_of_the_steps(steps: float, expected: float) -> None:
    assert speed(steps, 50, 5_000) == pytest.approx(expected)


def test_a_time_is_the_first_measured_step_and_an_estimator_is_charged_its_pool() -> None:
    slow = row((100, 0.5, 0.5), (200, 0.96, 0.9), (300, 0.9, 0.9))
    assert solving_step(slow, TASK.is_answered, 7.0) == 200
    assert solving_step(row((0, 0.96, 0.5)), TASK.is_answered, 7.0) == 7
    assert solving_step(row((0, 0.94, 0.5)), TASK.is_answered, 7.0) == NEVER
    assert solving_step(replace(slow, curve=()), TASK.is_answered, 7.0) == NEVER
    assert solving_step(Row(scores_at(1.0), {}), TASK.is_answered, 7.0) == 0


def test_scores_and_indices_of_a_training_by_hand() -> None:
    found = summary(row((100, 0.5, 0.7), (500, 1.0, 0.9)), row((5_000, 0.5, 0.5)))
    assert found.scores["score"] == pytest.approx(0.5 / len(GRID))
    assert found.scores["solved"] == pytest.approx(1 / len(GRID))
    assert found.indices == pytest.approx({"steps_n20-k2": 500, "progress": 0.2})
    assert found.trained


def test_who_solves_nothing_is_not_trained_and_has_no_index() -> None:
    found = summary(row((5_000, 0.5, 0.5)), row((5_000, 0.5, 0.5)))
    assert (found.scores["score"], found.trained, found.indices) == (0, False, {})


def test_an_estimator_has_a_score_and_no_index() -> None:
    fitted = row((0, 1.0, 1.0))
    found = summary(fitted, fitted)
    assert found.scores["score"] == pytest.approx(1 - math.log10(POOL / 50) / 2)
    assert found.indices == {}


def test_exponents_are_slopes_between_20_and_40() -> None:
    rows = {name: row((100, 1.0, 1.0)) for name in CONDITIONS}
    rows[named(40, 3)], rows[named(40, 4)] = row((400, 1.0, 1.0)), row((5_000, 0.5, 0.5))
    indices = TASK.summarize(rows).indices
    assert indices["exponent_3"] == 2
    assert "exponent_4" not in indices
