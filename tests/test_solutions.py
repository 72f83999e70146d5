"""The family `solutions`: exact solutions against formulas, bounds and duality, and what is measured of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tasks
from baselines.contract import NotApplicable, build
from baselines.models.diagonal_network import DiagonalNetwork
from baselines.models.matrix_product import MatrixProduct
from baselines.models.relu_students import ReluStudents
from benchmarks.reproductions.solutions import descended
from tasks.seeds import Draw
from tasks.solutions import lowrank, sparse
from tasks.solutions import margin as margin_task
from tasks.solutions.escape import Escape
from tasks.solutions.lowrank import LowRank
from tasks.solutions.margin import Margin, margin_ratios, signed_points
from tasks.solutions.sparse import Sparse, arrays
from tasks.sources.interpolants import diagonal_flow, least_l1, least_l2
from tasks.sources.matrix_completion import effective_rank, soft_impute
from tasks.sources.max_margin import NORMS, Array, Norm, margin, max_margin
from tasks.sources.relu_loss import mean_products, population_loss
from tasks.sources.slopes import mean_slopes, stencil
from tasks.types import Batch, Data, Predict, Problem, Row, Summary, Task, load_data


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
        direction: Array = generator.standard_normal(X.shape)[0]
        free = direction - least_l2(X, X @ direction)  # in the kernel of X
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
            SPARSE.measure(
                condition.name, reference(SPARSE, condition.name, "gradient_flow", SPARSE_DATA), SPARSE_DATA
            ),
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


# --- bad minima -----------------------------------------------------------------------------------------------------

ESCAPE = load("solutions/escape-v1", Escape)


def test_the_exact_loss_is_the_mean_over_gaussian_inputs_and_0_for_the_teacher() -> None:
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    x = torch.randn(400_000, 4, generator=generator, dtype=torch.float64)
    half = ((x @ w.T).relu().sum(1) - x.relu().sum(1)).square() / 2
    assert float(population_loss(w)) == pytest.approx(float(half.mean()), abs=5 * float(half.std()) / len(x) ** 0.5)
    assert float(population_loss(torch.eye(4, dtype=torch.float64))) == pytest.approx(0, abs=1e-9)
    one = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]], dtype=torch.float64)
    products = mean_products(one[:1], one)[0].tolist()  # the same unit, a right angle, the opposite direction
    assert products == pytest.approx([1 / 2, 2 / (2 * np.pi), 0], abs=1e-6)


def test_students_share_no_parameter() -> None:
    torch.manual_seed(0)
    students = ReluStudents(Problem("vector", (4,), "values", 3, 10), width=5)
    x = torch.randn(7, 4)
    by_hand = torch.stack([(x @ students.weight[c].T).relu().sum(1) for c in range(3)], dim=1)
    torch.testing.assert_close(students(x), by_hand)
    students(x)[:, 1].sum().backward()
    assert students.weight.grad is not None
    assert [bool(gradient.any()) for gradient in students.weight.grad] == [False, True, False]
    with pytest.raises(NotApplicable, match="is a value"):
        build(ReluStudents, MARGIN.spec.problem, {}, 0)


def test_a_share_of_students_escapes_and_the_units_that_make_sure_of_it() -> None:
    data = load_data(ESCAPE, "k10-m10", Draw(ESCAPE.spec.id, 0))
    batch = data["new"]
    outputs = batch.y.clone()
    outputs[:, :5] += 0.1 * batch.y.std()  # a hundredth of the variance
    assert ESCAPE.evaluate(outputs, batch)["escaped"] == 0.75
    scores = {name: {"escaped": 0.95, "r2": 0.99, "mse": 0.1} for name in ("val", "iid", "new")}
    stuck = {name: {**values, "escaped": 0.5} for name, values in scores.items()}
    anchors = {"new": {"mean": 0.0, "teacher": 1.0}}
    rows = {c.name: Row(stuck if c.name == "k10-m10" else scores, anchors) for c in ESCAPE.spec.conditions}
    found = ESCAPE.summarize(rows)
    assert found.scores["score"] == pytest.approx((4 * 0.95 + 0.5) / 5)
    assert found.indices["least_extra"] == 1 and found.trained


# --- low rank -------------------------------------------------------------------------------------------------------

LOWRANK, LOWRANK_MODELS = load("solutions/lowrank-v1", LowRank), load("solutions/lowrank-models-v1", LowRank)


def test_effective_ranks_by_hand() -> None:
    assert effective_rank(np.diag([2.0, 2.0, 0.0])) == pytest.approx(2)
    assert effective_rank(np.eye(5)) == pytest.approx(5)
    with pytest.raises(ValueError, match="zeros"):
        effective_rank(np.zeros((2, 2)))


def test_the_completion_fits_what_is_known_with_no_more_nuclear_norm_than_the_truth() -> None:
    draw = Draw(LOWRANK.spec.id, 0)
    truth = lowrank.matrix(draw).double().numpy()
    known = np.random.default_rng(0).permutation(900).reshape(30, 30) < 360
    completed = soft_impute(truth, known)
    assert np.abs(completed - truth)[known].max() < 0.01
    assert np.linalg.norm(completed, "nuc") < np.linalg.norm(truth, "nuc") * 1.001
    assert np.linalg.matrix_rank(truth, tol=1e-4) == 2 and np.linalg.norm(truth) == pytest.approx(30)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_network_reads_an_entry_of_the_product(depth: int) -> None:
    torch.manual_seed(0)
    network = MatrixProduct(LOWRANK.spec.problem, depth=depth, scale=0.01)
    product = torch.eye(30)
    for factor in network.factors:
        product = product @ factor
    batch = load_data(LOWRANK, "depth-1", Draw(LOWRANK.spec.id, 0))["matrix"]
    torch.testing.assert_close(network(batch.x).view(30, 30), product)
    # entries of the order of the scale: each factor adds a sum of 30 terms of variance 1 / 30
    assert product.std().item() == pytest.approx(0.01 / 30**0.5, rel=0.2)
    with pytest.raises(NotApplicable, match="two halves"):
        build(MatrixProduct, Problem("vector", (7,), "values", 1, 10), {}, 0)


def test_entries_are_shown_or_hidden_and_more_shown_ones_hold_the_fewer() -> None:
    draw = Draw(LOWRANK_MODELS.spec.id, 0)
    found = {n: load_data(LOWRANK_MODELS, f"shown-{n}", draw) for n in lowrank.SHOWN}
    for data in found.values():
        parts = torch.cat([data[name].x for name in ("train", "val", "iid", "hidden")])
        assert len(parts.unique(dim=0)) == len(parts) == 900
    assert torch.equal(found[270]["train"].x, found[540]["train"].x[:270])


def test_zeros_have_an_error_of_1_and_the_matrix_of_0() -> None:
    data = load_data(LOWRANK, "depth-3", Draw(LOWRANK.spec.id, 0))
    zeros = LOWRANK.measure("depth-3", reference(LOWRANK, "depth-3", "zeros", data), data)
    truth = LOWRANK.measure("depth-3", reference(LOWRANK, "depth-3", "oracle", data), data)
    assert zeros["hidden"]["relative_error"] == 1 and "effective_rank" not in zeros["matrix"]
    assert truth["hidden"]["relative_error"] == 0 and 1 < truth["matrix"]["effective_rank"] <= 2.001
    assert LOWRANK.is_answered(truth) and not LOWRANK.is_answered(zeros)
