"""shift/extrapolate: closed forms of the quadratic, straightness along rays, the four targets, and trained networks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import tasks
from tasks.seeds import Draw
from tasks.shift import extrapolate
from tasks.shift.extrapolate import DEGREE, ray_linearity, standardized_target, tangent_continuation
from tasks.types import Batch, Row, load_data

TASK = tasks.load("shift/extrapolate-v1")
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)
TARGETS = list(DEGREE)

# E (r - 1)^4 / E r^4 for r uniform on [1.5, 5]
TANGENT_NMSE = (4**5 - 0.5**5) / (5**5 - 1.5**5)


def sample(condition: str, split: str, size: int | None = None, seed: int = 0) -> Batch:
    declared = SPEC.split(split)
    return TASK.sample(condition, replace(declared, size=size or declared.size), replace(DRAW, seed=seed))


def reference(condition: str, name: str, batch: Batch) -> Tensor:
    return TASK.references(condition, DRAW)[name](batch)


def row_of(condition: str, name: str) -> Row:
    """What a trial of a reference predictor would record."""
    data = load_data(TASK, condition, DRAW)
    batch_of = {id(batch.x): batch for batch in data.values()}
    predictor = TASK.references(condition, DRAW)[name]
    scores = TASK.measure(condition, lambda x: predictor(batch_of[id(x)]), data)
    return Row(scores, TASK.anchors(condition, data, DRAW))


def rows_of(name: str) -> dict[str, Row]:
    return {condition: row_of(condition, name) for condition in TARGETS}


# --- closed forms ---------------------------------------------------------------------------------------------------


def test_tangent_continuation_of_the_quadratic_has_its_closed_form_error() -> None:
    assert pytest.approx(0.3285, abs=5e-5) == TANGENT_NMSE
    batch = sample("quadratic", "ood", size=400_000)
    tangent = TASK.evaluate(reference("quadratic", "tangent", batch), batch)
    assert 1 - tangent["r2"] == pytest.approx(TANGENT_NMSE, abs=0.005)
    assert tangent["tangent_mismatch"] == pytest.approx(0, abs=1e-10)
    truth = TASK.evaluate(batch.y, batch)
    assert truth["tangent_mismatch"] == pytest.approx(TANGENT_NMSE, abs=0.005)


def test_tangent_of_the_quadratic_is_its_derivative_at_radius_one() -> None:
    """(2 r - 1) f(v), and by automatic differentiation f(v) + (r - 1) d/dr f(r v)."""
    target = standardized_target("quadratic", DRAW)
    direction = extrapolate.directions(50, DRAW.generator("test"))
    radius = torch.ones(50, 1, requires_grad=True)
    value = target(radius * direction)
    (slope,) = torch.autograd.grad(value.sum(), radius)
    expected = (value + 2.5 * slope).detach()
    assert torch.allclose(tangent_continuation(target, 2, 3.5 * direction), expected, atol=1e-4)
    assert torch.allclose(expected, 6 * value, atol=1e-4)


@pytest.mark.parametrize("condition", ["linear", "l1", "relu_teacher"])
def test_targets_of_degree_one_are_their_own_tangent_continuation(condition: str) -> None:
    batch = sample(condition, "ood")
    assert torch.allclose(reference(condition, "tangent", batch), batch.y, rtol=1e-4, atol=1e-4)


def test_ray_linearity_of_a_perfect_quadratic_is_its_closed_form() -> None:
    radii = torch.linspace(1.5, 5, 40, dtype=torch.float64)
    # the part of the 40 values of r^2 that no line explains
    centred = radii.square() - radii.square().mean()
    explained = (centred @ (radii - radii.mean())) ** 2 / (radii - radii.mean()).square().sum()
    exact = float(explained / centred.square().sum())
    assert exact == pytest.approx(0.9801, abs=5e-5)
    batch = sample("quadratic", "rays")
    assert TASK.evaluate(batch.y, batch)["ray_linearity"] == pytest.approx(exact, abs=1e-6)


def test_ray_linearity_of_three_points_by_hand() -> None:
    """0, 1, 4 about their line -1/3, 5/3, 11/3: residuals 6/9, squares about the mean 78/9."""
    assert ray_linearity(torch.tensor([[0.0, 1.0, 4.0]])) == pytest.approx(1 - 6 / 78)
    # a second ray twice as large and one that is straight: residuals (6 + 24) / 9, squares (78 + 312) / 9 + 2 * 9
    three = torch.tensor([[0.0, 1.0, 4.0], [0.0, 2.0, 8.0], [-3.0, 0.0, 3.0]])
    assert ray_linearity(three) == pytest.approx(1 - (30 / 9) / (390 / 9 + 18))


def test_ray_linearity_pools_rays_and_takes_a_constant_for_straight() -> None:
    steep = torch.linspace(0, 100, 40).expand(20, 40)
    nearly_flat = 0.01 * torch.randn(1, 40, generator=DRAW.generator("test"))
    assert ray_linearity(nearly_flat) < 0.5
    assert ray_linearity(torch.cat([steep, nearly_flat])) > 0.999999
    assert ray_linearity(torch.full((5, 40), 3.0)) == 1.0


def test_a_relu_network_without_biases_is_straight_along_every_ray() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64, bias=False), nn.ReLU(), nn.Linear(64, 1, bias=False)).double()
    batch = sample("quadratic", "rays")
    with torch.no_grad():
        assert TASK.evaluate(net(batch.x.double()), batch)["ray_linearity"] == pytest.approx(1, abs=1e-9)


# --- data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", TARGETS)
def test_targets_are_homogeneous_and_have_unit_deviation_inside(condition: str) -> None:
    target = standardized_target(condition, DRAW)
    batch = sample(condition, "iid", size=50_000)
    assert torch.equal(batch.y, target(batch.x))
    assert torch.allclose(target(3 * batch.x), 3 ** DEGREE[condition] * batch.y, rtol=1e-3, atol=1e-4)
    assert float(batch.y.std()) == pytest.approx(1, abs=0.02)


def test_raw_deviations_inside_have_their_closed_forms() -> None:
    """linear |w| / sqrt(3 d); quadratic sqrt(E r^4 2 tr(A^2) / (d (d + 2))) = .2; L1 by the moments of a sphere."""
    d = extrapolate.DIMENSION
    x = extrapolate.ball(200_000, (0.0, 1.0), DRAW.generator("test"))
    raw = {name: extrapolate.raw_target(name, DRAW.generator("world")) for name in TARGETS}
    length = float(raw["linear"](torch.eye(d)).norm())
    mean_coordinate = math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))  # E |v_1|
    l1_variance = (1 + 2 * (d - 1) / math.pi) / 3 - (d * mean_coordinate / 2) ** 2
    for name, expected in (
        ("linear", length / math.sqrt(3 * d)),
        ("quadratic", 0.2),
        ("l1", math.sqrt(l1_variance)),
    ):
        assert float(raw[name](x).std()) == pytest.approx(expected, rel=0.01), name


def test_the_quadratic_has_four_eigenvalues_of_each_sign_and_mean_zero() -> None:
    target = extrapolate.raw_target("quadratic", DRAW.generator("world"))
    basis = torch.eye(8)
    pairs = target((basis[:, None] + basis[None]).flatten(0, 1)).view(8, 8)
    own = target(basis)
    matrix = (pairs - own - own.T) / 2  # x'Ax of e_i + e_j, polarized
    eigenvalues = torch.linalg.eigvalsh(matrix)
    assert eigenvalues.tolist() == pytest.approx([-1.0] * 4 + [1.0] * 4, abs=1e-5)


@pytest.mark.parametrize(("split", "low", "high"), [("train", 0, 1), ("iid", 0, 1), ("ood", 1.5, 5), ("rays", 1.5, 5)])
def test_radii_are_uniform_in_their_range(split: str, low: float, high: float) -> None:
    radius = sample("linear", split).x.norm(dim=1)
    assert float(radius.min()) >= low - 1e-6
    assert float(radius.max()) <= high + 1e-6
    assert float(radius.mean()) == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert float(radius.std()) == pytest.approx((high - low) / math.sqrt(12), rel=0.05)


def test_directions_are_uniform() -> None:
    v = extrapolate.directions(100_000, DRAW.generator("test"))
    assert v.mean(0).abs().max() < 5 * math.sqrt(1 / 8 / 100_000)
    assert (v.T @ v / len(v)).tolist() == [pytest.approx(row, abs=0.003) for row in (torch.eye(8) / 8).tolist()]


def test_the_grid_has_one_direction_and_even_radii_per_ray() -> None:
    batch = sample("linear", "rays")
    assert batch.group is not None
    assert batch.group.view(100, 40).tolist() == [[ray] * 40 for ray in range(100)]
    points = batch.x.view(100, 40, 8)
    radii = points.norm(dim=2)
    assert torch.allclose(radii, torch.linspace(1.5, 5, 40).expand(100, 40), atol=1e-5)
    assert torch.allclose(points / radii[..., None], (points / radii[..., None])[:, :1], atol=1e-5)


def test_worlds_differ_by_seed_and_all_splits_share_one() -> None:
    first, second = (standardized_target("linear", Draw(SPEC.id, seed))(torch.eye(8)) for seed in (0, 1))
    assert not torch.allclose(first, second)
    train, ood = sample("linear", "train"), sample("linear", "ood")
    weights = torch.linalg.lstsq(train.x, train.y).solution
    assert torch.allclose(ood.x @ weights, ood.y, atol=1e-3)


# --- scores ---------------------------------------------------------------------------------------------------------


def test_oracle_scores_one_and_straight_lines_fail_on_the_quadratic_alone() -> None:
    oracle, straight = TASK.summarize(rows_of("oracle")), TASK.summarize(rows_of("tangent"))
    assert oracle.scores["score"] == pytest.approx(1)
    assert oracle.trained
    assert oracle.indices["ray_linearity_quadratic"] == pytest.approx(0.9801, abs=5e-5)
    assert oracle.indices["ray_linearity"] == pytest.approx((3 + 0.9801) / 4, abs=2e-5)
    assert straight.indices["ray_linearity"] == pytest.approx(1)
    assert straight.scores["score_quadratic"] == pytest.approx(1 - TANGENT_NMSE, abs=0.03)
    assert straight.scores["score"] == pytest.approx((3 + straight.scores["score_quadratic"]) / 4)


def test_score_clips_each_target_before_the_mean() -> None:
    skills = {"linear": 0.5, "quadratic": -40.0, "l1": 1.0, "relu_teacher": 0.3}
    metrics = {"ray_linearity": 0.9, "tangent_mismatch": 0.2}
    rows = {
        name: Row({"iid": {"r2": 0.9}, "ood": {"r2": skill, **metrics}, "rays": {"r2": 0.0, **metrics}}, {})
        for name, skill in skills.items()
    }
    summary = TASK.summarize(rows)
    assert summary.scores["score"] == pytest.approx((0.5 + 0 + 1 + 0.3) / 4)
    assert summary.scores["score_unclipped"] == pytest.approx((0.5 - 40 + 1 + 0.3) / 4)
    assert summary.scores["score_quadratic"] == 0.0
    assert summary.indices["tangent_mismatch_quadratic"] == pytest.approx(0.2)


def fit(units: type[nn.Module], condition: str, steps: int = 800) -> dict[str, dict[str, float]]:
    """Scores of a 2 x 128 network trained for a quarter of the task's budget."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 128), units(), nn.Linear(128, 128), units(), nn.Linear(128, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    data = load_data(TASK, condition, DRAW)
    order = DRAW.generator("order")
    for _ in range(steps):
        chosen = torch.randint(5_000, (64,), generator=order)
        loss = (net(data["train"].x[chosen]) - data["train"].y[chosen]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return {split: dict(values) for split, values in TASK.measure(condition, net, data).items()}


def test_a_trained_relu_network_goes_straight_on_and_a_tanh_network_does_not() -> None:
    relu, tanh = fit(nn.ReLU, "quadratic"), fit(nn.Tanh, "quadratic")
    assert relu["iid"]["r2"] > 0.9
    assert relu["rays"]["ray_linearity"] > 0.995
    assert relu["ood"]["tangent_mismatch"] < 0.1 < 1 - relu["ood"]["r2"]
    assert tanh["rays"]["ray_linearity"] < 0.98
