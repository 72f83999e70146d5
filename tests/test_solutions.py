"""The family `solutions`: exact solutions against formulas, bounds and duality, and what is measured of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tasks
from baselines.contract import NotApplicable, build
from baselines.models.diagonal_network import DiagonalNetwork
from benchmarks.reproductions.solutions import descended
from tasks.seeds import Draw
from tasks.solutions import margin as margin_task
from tasks.solutions import sparse
from tasks.solutions.margin import Margin, margin_ratios, signed_points
from tasks.solutions.sparse import Sparse, arrays
from tasks.sources.interpolants import diagonal_flow, least_l1, least_l2
from tasks.sources.max_margin import NORMS, Array, Norm, margin, max_margin
from tasks.sources.slopes import mean_slopes, stencil
from tasks.types import Batch, Data, Predict, Row, Summary, Task, load_data


def load(task_id: str, kind: type[Any]) -> Any:
    task = tasks.load(task_id)
    assert isinstance(task, kind)
    return task


def reference(task: Task, condition: str, name: str, data: Data) -> Predict:
    """A reference predictor as a function of inputs."""
    batch_of = {id(batch.x): batch for batch in data.values()}
    predictor = task.references(condition, Draw(task.spec.id, 0))[name]
    return lambda x: predictor(batch_of[id(x)])


# --- slopes ---------------------------------------------------------------------------------------------------------


def test_slopes_of_a_linear_function_are_its_weights_and_of_a_square_twice_the_mean() -> None:
    points = torch.tensor([[1.0, 2.0, 0.0], [3.0, -1.0, 0.0]])
    moved = stencil(points, 0.5)
    assert moved.shape == (12, 3)
    linear = mean_slopes(moved @ torch.tensor([1.0, -2.0, 3.0]) + 7, 2, 0.5)
    assert linear.tolist() == pytest.approx([1, -2, 3])
    squares = mean_slopes(moved.square().sum(1), 2, 0.5)
    assert squares.tolist() == pytest.approx([2 * 2.0, 2 * 0.5, 0])


# --- margins --------------------------------------------------------------------------------------------------------

MARGIN = load("solutions/margin-v1", Margin)
MODELS = load("solutions/margin-models-v1", Margin)
MARGIN_DATA = load_data(MARGIN, "default", Draw(MARGIN.spec.id, 0))
DUAL: dict[Norm, Norm] = {"l1": "linf", "l2": "l2", "linf": "l1"}
ORDER = {"l1": 1, "l2": 2, "linf": np.inf}


def test_largest_margins_of_two_points_by_hand() -> None:
    """Points (2, 1) and (1, 1): l1 puts all weight on the first input, or the second: both margins are 1."""
    signed = np.array([[2.0, 1.0], [1.0, 1.0]])
    assert margin(signed, max_margin(signed, "l1"), "l1") == pytest.approx(1)
    assert margin(signed, max_margin(signed, "l2"), "l2") == pytest.approx(np.sqrt(2))
    assert max_margin(signed, "linf").tolist() == pytest.approx([1, 1])
    with pytest.raises(ValueError, match="no hyperplane"):
        max_margin(np.array([[1.0, 0.0], [-1.0, 0.0]]), "l2")


@pytest.mark.parametrize("norm", NORMS)
def test_the_largest_margin_is_the_dual_norm_of_the_nearest_point_of_the_hull(norm: Norm) -> None:
    """No margin is above the dual norm of any mean of the points; where one equals it, both are the best."""
    signed = signed_points(MARGIN_DATA["train"])
    best = margin(signed, max_margin(signed, norm), norm)
    weights = certificate(signed, norm, best)
    assert np.all(weights >= -1e-9) and weights.sum() == pytest.approx(1)
    assert np.linalg.norm(weights @ signed, ORDER[DUAL[norm]]) == pytest.approx(best, rel=1e-6)


def certificate(signed: Array, norm: Norm, best: float) -> Array:
    """Convex weights a (N,) with |a' signed| in the dual norm equal to the margin, by complementary slackness.

    For l2 they are solved for on the support vectors; for l1 and linf the dual linear program gives them.
    """
    from scipy.optimize import linprog

    n, d = signed.shape
    if norm == "l2":
        w = max_margin(signed, "l2")
        support = np.flatnonzero(signed @ w < best * (1 + 1e-6))
        found = np.zeros(n)
        found[support] = np.linalg.lstsq(signed[support].T, best * w, rcond=None)[0]
        return found
    if norm == "l1":  # minimize t, |a' signed|_inf <= t
        sides = np.vstack([np.c_[signed.T, -np.ones(d)], np.c_[-signed.T, -np.ones(d)]])
        cost, bounds = np.r_[np.zeros(n), 1.0], [(0, None)] * (n + 1)
        equal = np.r_[np.ones(n), 0.0]
    else:  # minimize sum s_j, |a' signed|_j <= s_j
        sides = np.vstack([np.c_[signed.T, -np.eye(d)], np.c_[-signed.T, -np.eye(d)]])
        cost, bounds = np.r_[np.zeros(n), np.ones(d)], [(0, None)] * (n + d)
        equal = np.r_[np.ones(n), np.zeros(d)]
    solution: Array = linprog(cost, sides, np.zeros(2 * d), equal[None], [1.0], bounds).x[:n]
    return solution


@pytest.mark.parametrize("norm", NORMS)
def test_a_reference_has_all_of_its_own_margin_and_less_of_the_others(norm: Norm) -> None:
    found = margin_summary(reference(MARGIN, "default", f"max_margin_{norm}", MARGIN_DATA))
    assert found.trained
    assert found.indices[norm] == pytest.approx(1, abs=1e-4)
    assert all(found.indices[other] < 0.9 for other in NORMS if other != norm)


def margin_summary(predict: Predict) -> Summary:
    row = Row(MARGIN.measure("default", predict, MARGIN_DATA), {})
    summary: Summary = MARGIN.summarize({"default": row})
    return summary


def test_a_constant_has_no_direction_and_what_separates_nothing_a_negative_margin() -> None:
    constant = margin_summary(lambda x: torch.zeros(len(x), 2))
    assert constant.indices == {} and not constant.trained
    wrong = margin_summary(lambda x: -margin_task.hyperplane(torch.ones(50).double(), Batch(x, x)))
    assert not wrong.trained and wrong.indices["l2"] < 0


def test_margins_are_those_of_the_weights_whatever_the_bias_and_the_scale() -> None:
    signed, w = signed_points(MARGIN_DATA["train"]), torch.linspace(-1, 2, 50).double()
    expected = margin_ratios(signed, w.numpy())

    def affine(x: torch.Tensor) -> torch.Tensor:
        value = 3 * (x.double() @ w) + 5
        return torch.stack([torch.zeros_like(value), value], dim=1)

    found = MARGIN.measure("default", affine, MARGIN_DATA)["stencil"]
    assert {norm: found[norm] for norm in NORMS} == pytest.approx(expected, rel=1e-5)


def test_both_tracks_ask_about_the_same_kind_of_data_and_read_the_last_step() -> None:
    assert MARGIN.spec.splits == MODELS.spec.splits
    first, last = (MARGIN.measure("default", reference(MARGIN, "default", f"max_margin_{n}", MARGIN_DATA), MARGIN_DATA)
                   for n in ("l1", "linf"))  # fmt: skip
    summary = MARGIN.summarize({"default": Row(first, {}, [(1, first), (2, last)])})
    assert summary.indices["linf"] == pytest.approx(1, abs=1e-4)


# --- sparse or short weights ----------------------------------------------------------------------------------------

SPARSE = load("solutions/sparse-v1", Sparse)
SPARSE_MODELS = load("solutions/sparse-models-v1", Sparse)
SPARSE_DATA = load_data(SPARSE, "scale-0.1", Draw(SPARSE.spec.id, 0))
X, Y = arrays(SPARSE_DATA["fitted"])


def test_the_interpolant_of_least_l1_norm_is_the_truth_and_the_shortest_has_no_part_off_the_data() -> None:
    truth = sparse.teacher(Draw(SPARSE.spec.id, 0))[:, 0].double().numpy()
    assert np.abs(least_l1(X, Y) - truth).max() < 1e-6
    assert np.sort(np.abs(truth))[-6:].tolist() == pytest.approx([0] + [5**-0.5] * 5)
    shortest = least_l2(X, Y)
    assert np.abs(X @ shortest - Y).max() < 1e-9
    assert np.abs(shortest - X.T @ np.linalg.solve(X @ X.T, X @ shortest)).max() < 1e-9


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.01])
def test_gradient_descent_of_a_diagonal_network_ends_at_the_convex_solution(scale: float) -> None:
    """Small steps until every residual is below 1e-4: within 5e-3 of 2 a^2 sinh(x'n)."""
    end = diagonal_flow(X, Y, scale)
    assert np.abs(X @ end - Y).max() < 1e-8
    weights = descended(X, Y, scale, rate=0.03 if scale < 0.1 else 0.01)
    assert np.abs(X @ weights - Y).max() < 1e-4
    assert np.linalg.norm(weights - end) / np.linalg.norm(end) < 5e-3


def test_the_convex_solution_is_the_interpolant_of_least_q() -> None:
    """Q_a = sum b arcsinh(b / 2 a^2) - sqrt(b^2 + 4 a^4): it rises along every direction that keeps the equations."""
    scale, generator = 0.1, np.random.default_rng(0)
    end = diagonal_flow(X, Y, scale)

    def q(b: Array) -> float:
        return float((b * np.arcsinh(b / (2 * scale**2)) - np.sqrt(b**2 + 4 * scale**4)).sum())

    for _ in range(20):
        free = generator.standard_normal(X.shape[1])
        free -= least_l2(X, X @ free)  # in the kernel of X
        assert q(end + 1e-2 * free) > q(end) < q(end - 1e-2 * free)


def test_the_two_limits_of_the_scale() -> None:
    large, small = diagonal_flow(X, Y, 30.0), diagonal_flow(X, Y, 1e-3)
    assert np.abs(large - least_l2(X, Y)).max() < 1e-4
    assert sparse.between(X, Y, small, sparse.l1_norm) < 0.01


def test_one_step_of_the_network_is_one_of_the_formula() -> None:
    network = DiagonalNetwork(SPARSE.spec.problem, scale=0.3).double()
    x, y = torch.tensor(X), torch.tensor(Y)[:, None]
    (network(x) - y).square().mean().backward()
    slope = 2 / len(X) * X.T @ (0 * Y - Y)
    assert network.u.grad is not None and network.v.grad is not None
    assert network.u.grad.numpy() == pytest.approx(2 * 0.3 * slope)
    assert network.v.grad.numpy() == pytest.approx(-2 * 0.3 * slope)
    with pytest.raises(NotApplicable, match="one value"):
        build(DiagonalNetwork, MARGIN.spec.problem, {}, 0)


@pytest.mark.parametrize(
    ("name", "rho"), [("least_l1", 0.0), ("least_l2", 1.0), ("gradient_flow", None)], ids=["l1", "l2", "flow"]
)
def test_references_stand_where_they_should(name: str, rho: float | None) -> None:
    scores = SPARSE.measure("scale-0.1", reference(SPARSE, "scale-0.1", name, SPARSE_DATA), SPARSE_DATA)
    stencil_scores = scores["stencil"]
    if rho is None:
        assert stencil_scores["distance"] < 1e-4 and 0 < stencil_scores["rho"] < 1
    else:
        assert stencil_scores["rho"] == pytest.approx(rho, abs=1e-3)
        assert stencil_scores["density"] == pytest.approx(rho, abs=1e-3)
    assert stencil_scores["linear_share"] == pytest.approx(1, abs=1e-6)
    assert scores["fitted"]["r2"] > 1 - 1e-8 and SPARSE.is_answered(scores)


def test_shrunk_slopes_are_not_sparse() -> None:
    """Half of the shortest interpolant has a small l1 norm, and is as dense as the shortest."""
    half = 0.5 * least_l2(X, Y)
    assert sparse.between(X, Y, half, sparse.l1_norm) < 0.2
    assert sparse.between(X, Y, half, sparse.relative_l1_norm) == pytest.approx(1)


def test_indices_of_both_tracks_and_none_of_a_constant() -> None:
    rows = {
        condition.name: Row(
            SPARSE.measure(condition.name, reference(SPARSE, condition.name, "gradient_flow", SPARSE_DATA), SPARSE_DATA),
            {},
        )
        for condition in SPARSE.spec.conditions
    }
    found = SPARSE.summarize(rows)
    assert found.trained
    by_scale = [found.indices[f"rho_{scale:g}"] for scale in sparse.SCALES]
    assert by_scale == sorted(by_scale, reverse=True) and by_scale[0] > 0.95 and by_scale[-1] < 0.05
    data = load_data(SPARSE_MODELS, "default", Draw(SPARSE_MODELS.spec.id, 0))
    constant = SPARSE_MODELS.measure("default", lambda x: torch.zeros(len(x), 1), data)
    summary = SPARSE_MODELS.summarize({"default": Row(constant, {})})
    assert summary.indices == {} and not summary.trained
