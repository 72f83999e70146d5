"""The baselines on flat inputs: shapes for every kind of problem, and answers that are known without training them."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest
import torch

from baselines import contract, references
from baselines.algorithm import Training
from baselines.algorithms.erm import ERM
from baselines.contract import FittedEstimator, NotApplicable
from baselines.models import kernel_ridge
from baselines.models.boosting import Boosting
from baselines.models.cnn import Cnn
from baselines.models.kernel_ridge import KernelRidge
from baselines.models.knn import Knn
from baselines.models.linear import Linear
from baselines.models.mlp import Gaussian, Mlp, Sine, Snake
from baselines.models.random_features import RandomFeatures
from benchmarks.replica import Replica
from benchmarks.training import model_parameters, train
from tasks.types import Batch, Budget, InputKind, OutputKind, Problem, Recipe

SHAPES: dict[InputKind, list[tuple[int, ...]]] = {
    "vector": [(1,), (7,)],
    "signal": [(2, 3), (1, 40)],
    "image": [(1, 3, 3), (2, 14, 14), (1, 32, 16)],
}
NAMES = {
    "linear", "mlp", "mlp-large", "mlp-tanh", "mlp-tanh-large", "mlp-snake", "mlp-snake-large", "mlp-sine",
    "mlp-gaussian", "cnn", "cnn-large", "knn", "kernel-ridge", "boosting", "random-features", "random-features-large",
}  # fmt: skip
ESTIMATORS = (Knn, KernelRidge, Boosting)


def problem(
    shape: tuple[int, ...] = (1,), output_kind: OutputKind = "values", n_outputs: int = 1, n_train: int = 40
) -> Problem:
    kinds: dict[int, InputKind] = {1: "vector", 2: "signal", 3: "image"}
    return Problem(kinds[len(shape)], shape, output_kind, n_outputs, n_train)


def batch_for(asked: Problem, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(asked.n_train, *asked.input_shape, generator=g)
    if asked.output_kind == "classes":
        return Batch(x, torch.arange(asked.n_train) % asked.n_outputs)
    return Batch(x, torch.randn(asked.n_train, asked.n_outputs, generator=g))


def built(name: str, asked: Problem, seed: int = 0) -> Any:
    reference = references.registered()[name]
    return contract.build(references.load_class(reference), asked, reference.hparams, seed)


# --- over the registry ----------------------------------------------------------------------------------------------


def test_every_name_is_registered() -> None:
    assert set(references.registered()) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize(("output_kind", "n_outputs"), [("classes", 2), ("classes", 5), ("values", 1), ("values", 3)])
def test_outputs_have_the_shape_of_the_problem(name: str, output_kind: OutputKind, n_outputs: int) -> None:
    model_class = references.load_class(references.registered()[name])
    for kind in getattr(model_class, "takes"):  # noqa: B009
        for shape in SHAPES[kind]:
            asked = problem(shape, output_kind, n_outputs)
            batch = batch_for(asked)
            model = built(name, asked)
            if contract.kind_of(model_class) == "estimator":
                model = FittedEstimator(model, asked)
                model.fit(batch)
            with torch.no_grad():
                outputs = contract.check_outputs(model(batch.x[:6]), asked, batch.x[:6])
            assert torch.isfinite(outputs).all()


@pytest.mark.parametrize("name", sorted(NAMES))
def test_tokens_are_declined(name: str) -> None:
    asked = Problem("tokens", (20,), "classes", 2, 100, vocabulary=5)
    with pytest.raises(NotApplicable, match="not tokens"):
        contract.check_applicable(references.load_class(references.registered()[name]), asked)


def test_convolutions_decline_vectors() -> None:
    with pytest.raises(NotApplicable, match="not vector"):
        contract.check_applicable(Cnn, problem((7,)))


@pytest.mark.parametrize("name", sorted(n for n in NAMES if n.endswith("-large")))
def test_large_models_are_larger_and_are_not_run_by_default(name: str) -> None:
    asked = problem((1, 16, 16), "classes", 10)
    count = {n: sum(p.numel() for p in built(n, asked).parameters()) for n in (name, name.removesuffix("-large"))}
    assert count[name] > 3 * count[name.removesuffix("-large")]
    assert name not in {model.name for model in references.select([])}


@pytest.mark.parametrize("name", ["mlp", "mlp-tanh", "mlp-snake", "mlp-sine", "mlp-gaussian", "cnn"])
def test_initialisation_depends_on_the_seed_alone(name: str) -> None:
    asked = problem((1, 8, 8))
    x = batch_for(asked).x
    with torch.no_grad():
        assert torch.equal(built(name, asked, seed=1)(x), built(name, asked, seed=1)(x))
        assert not torch.equal(built(name, asked, seed=1)(x), built(name, asked, seed=2)(x))


# --- networks -------------------------------------------------------------------------------------------------------


def fit_with_adam(net: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, recipe: Recipe, steps: int) -> None:
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.learning_rate)
    cosine = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5 * (1 + math.cos(math.pi * t / steps)))
    order = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,), generator=order)
        optimizer.zero_grad()
        (net(x[rows]) - y[rows]).square().mean().backward()
        optimizer.step()
        cosine.step()


def test_linear_recovers_least_squares_under_a_usual_recipe() -> None:
    g = torch.Generator().manual_seed(0)
    mixing = torch.eye(6) + 0.5  # correlated inputs
    x = torch.randn(500, 6, generator=g) @ mixing
    y = x @ torch.randn(6, 2, generator=g) + 3 + torch.randn(500, 2, generator=g)
    ones = torch.cat([x, torch.ones(500, 1)], dim=1)
    solution = torch.linalg.lstsq(ones, y).solution  # (7, 2)
    net = Linear(problem((6,), n_outputs=2))
    recipe = Recipe(learning_rate=1e-3, schedule="cosine").override(Linear.recipe)
    fit_with_adam(net, x, y, recipe, steps=2000)
    far = 10 * torch.randn(200, 6, generator=g)
    expected = far @ solution[:-1] + solution[-1]
    with torch.no_grad():
        assert (net(far) - expected).square().mean() < 1e-3 * expected.var()
        assert torch.allclose(net.layer.bias, solution[-1], atol=0.05)


def test_snake_is_its_formula_and_never_falls() -> None:
    x = torch.tensor([0.0, math.pi / 6, math.pi / 3, -1.0])
    expected = torch.tensor([0.0, math.pi / 6 + 1 / 3, math.pi / 3, -1 + math.sin(3) ** 2 / 3])
    assert torch.allclose(Snake()(x), expected, atol=1e-6)
    assert torch.allclose(Snake(frequency=1.0)(x), x + torch.sin(x) ** 2)
    line = torch.linspace(-5, 5, 2001, dtype=torch.float64)
    assert (Snake()(line).diff() >= -1e-12).all()


def test_sine_and_gaussian_are_their_formulas() -> None:
    x = torch.tensor([0.0, math.pi / 6, -math.pi / 6, 1 / 3])
    assert torch.allclose(Sine()(x), torch.tensor([0.0, 1.0, -1.0, math.sin(1)]), atol=1e-6)
    assert torch.allclose(Sine(frequency=1.0)(x), torch.sin(x))
    assert torch.allclose(Gaussian()(x)[[0, 3]], torch.tensor([1.0, math.exp(-0.5)]), atol=1e-6)
    assert torch.equal(Gaussian()(x[1:2]), Gaussian()(x[2:3]))
    assert torch.allclose(Gaussian(sharpness=1.0)(x), torch.exp(-(x**2) / 2))


@pytest.mark.parametrize(("name", "unit"), [("mlp-sine", Sine), ("mlp-gaussian", Gaussian)])
@pytest.mark.parametrize("dimension", [1, 32])
def test_units_with_a_scale_start_neither_linear_nor_chaotic(name: str, unit: type, dimension: int) -> None:
    """What a unit sees, times 3, has a root mean square of order 1 in both hidden layers, for standardized inputs."""
    asked = problem((dimension,), "values", 1, n_train=1000)
    net = built(name, asked)
    seen: list[torch.Tensor] = []
    for layer in net.layers:
        if isinstance(layer, unit):
            layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        net(batch_for(asked).x)
    assert len(seen) == 2
    for arguments in seen:
        assert 0.8 < float((3 * arguments).square().mean().sqrt()) < 3


def test_mlp_has_the_depth_width_and_units_that_it_says() -> None:
    net = Mlp(problem((4,), n_outputs=3), width=8, depth=3, activation="tanh")
    linears = [layer for layer in net.layers if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linears] == [(4, 8), (8, 8), (8, 8), (8, 3)]
    assert sum(isinstance(layer, torch.nn.Tanh) for layer in net.layers) == 3


def test_random_features_stay_as_drawn_and_are_not_counted() -> None:
    asked = problem((3, 4, 4), "classes", 5, n_train=64)
    net, other, batch = (
        built("random-features", asked, seed=1),
        built("random-features", asked, seed=2),
        batch_for(asked),
    )
    assert isinstance(net, RandomFeatures)
    assert not torch.equal(net.features.weight, other.features.weight)
    assert model_parameters(net) == 5 * 2048 + 5
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    recipe = Recipe().override({**RandomFeatures.recipe, "weight_decay": 0.1, "clip_norm": 1.0})
    replica = Replica(
        net, ERM(asked), Training([batch], 3, torch.Generator()), torch.Generator().manual_seed(0), lambda predict: {}
    )
    train([replica], recipe, Budget(steps=3, batch_size=16, evaluations=1), lambda outputs, x: outputs)
    after = net.state_dict()
    assert {name for name in before if torch.equal(before[name], after[name])} == {"features.weight", "features.bias"}


def test_random_features_converge_to_the_arc_cosine_kernel() -> None:
    """E relu(w . u) relu(w . v) = |u| |v| (sin t + (pi - t) cos t) / (2 pi) var w, t the angle (Cho and Saul, 2009).

    The bias is a coordinate of u and v that is always 1. 500,000 features: the error is under five standard errors.
    """
    torch.manual_seed(0)
    net = RandomFeatures(problem((3,)), width=500_000)
    u, v = torch.tensor([[1.0, 2.0, -0.5]]), torch.tensor([[-0.3, 0.4, 1.0]])
    with torch.no_grad():
        products = (net.features(u).relu() * net.features(v).relu()).double().flatten()
    a, b = (torch.cat([row[0], torch.ones(1)]).double() for row in (u, v))
    angle = torch.arccos(a @ b / (a.norm() * b.norm()))
    kernel = a.norm() * b.norm() * (angle.sin() + (math.pi - angle) * angle.cos()) / (2 * math.pi) * 2 / 3
    assert abs(float(products.mean() - kernel)) < 5 * float(products.std()) / math.sqrt(len(products))


@pytest.mark.parametrize("name", ["cnn", "cnn-large"])
def test_convolutions_keep_positions(name: str) -> None:
    """The same blob at two places far from the border: averaging over positions could not tell them apart."""
    x = torch.zeros(2, 1, 40, 40)
    x[0, 0, 16:18, 8:10] = 1
    x[1, 0, 16:18, 24:26] = 1  # 16 pixels on: a multiple of every stride
    with torch.no_grad():
        left, right = built(name, problem((1, 40, 40), n_outputs=4))(x)
    assert (left - right).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("shape", "strides", "cells"),
    [
        ((1, 40), [1, 2, 2, 2, 2], 3),
        ((1, 3, 3), [1, 1, 1], 9),
        ((1, 8, 8), [2, 1, 1], 16),
        ((2, 14, 14), [2, 2, 1], 16),
        ((1, 24, 24), [2, 2, 2], 9),
        ((1, 32, 16), [2, 2, 2], 8),
    ],
)
def test_convolutions_end_in_a_grid_of_at_most_four(shape: tuple[int, ...], strides: list[int], cells: int) -> None:
    *layers, last = Cnn(problem(shape)).layers
    assert [layer.stride[0] for layer in layers if isinstance(layer, torch.nn.Conv1d | torch.nn.Conv2d)] == strides
    assert isinstance(last, torch.nn.Linear)
    assert last.in_features == 64 * cells


# --- estimators -----------------------------------------------------------------------------------------------------


def test_knn_is_the_mean_of_five_neighbours() -> None:
    x = np.arange(10.0).reshape(10, 1)
    model = Knn(problem()).fit(x, x[:, 0] ** 2)
    assert model.predict(np.array([[0.0], [5.1]])).tolist() == [
        [(0 + 1 + 4 + 9 + 16) / 5],
        [(9 + 16 + 25 + 36 + 49) / 5],
    ]


def test_one_neighbour_is_exact_on_the_training_points() -> None:
    asked = problem((3, 4, 4), "classes", 5)
    batch = batch_for(asked)
    x, y = batch.x.numpy(), batch.y.numpy()
    assert (Knn(asked, neighbours=1).fit(x, y).predict(x) == y).all()


def test_knn_with_fewer_examples_than_neighbours_is_their_mean() -> None:
    model = Knn(problem()).fit(np.zeros((3, 1)), np.array([1.0, 2.0, 6.0]))
    assert model.predict(np.ones((1, 1))).tolist() == [[3.0]]


def test_knn_votes_by_weight() -> None:
    x = np.zeros((5, 1))
    model = Knn(problem(output_kind="classes", n_outputs=2)).fit(
        x, np.array([0, 0, 0, 0, 1]), np.array([1.0, 1, 1, 1, 6])
    )
    assert np.allclose(model.predict_proba(x[:1]), [[0.4, 0.6]])
    assert model.predict(x[:1]).tolist() == [1]


def test_kernel_ridge_interpolates_a_smooth_function_and_returns_to_the_mean() -> None:
    x = np.linspace(-2, 2, 60).reshape(60, 1)
    between = np.linspace(-1.9, 1.9, 41).reshape(41, 1)
    model = KernelRidge(problem()).fit(x, 5 + np.sin(3 * x[:, 0]))
    assert np.abs(model.predict(x)[:, 0] - 5 - np.sin(3 * x[:, 0])).max() < 1e-3
    assert np.abs(model.predict(between)[:, 0] - 5 - np.sin(3 * between[:, 0])).max() < 1e-3
    assert np.allclose(model.predict(np.array([[1e3]])), 5 + np.sin(3 * x).mean())


def test_kernel_ridge_solves_the_weighted_normal_equations() -> None:
    rng = np.random.default_rng(0)
    x, y, weights = rng.normal(size=(30, 2)), rng.normal(size=30), rng.uniform(0.2, 3, size=30)
    model = KernelRidge(problem((2,))).fit(x, y, weights)
    kernel = kernel_ridge.gaussian(model.x, model.x, model.bandwidth)
    order = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in model.x]
    penalty = model.ridge / (weights[order] / weights.mean())
    residual = (kernel + np.diag(penalty)) @ model.coefficients[:, 0] - (y[order] - np.average(y, weights=weights))
    assert np.abs(residual).max() < 1e-9


@pytest.mark.parametrize("noise", [0.0, 0.1, 3.0])
def test_bandwidth_and_ridge_have_the_least_error_when_each_point_is_left_out(noise: float) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, size=(20, 1))
    y = np.sin(4 * x) + noise * rng.normal(size=(20, 1))
    median = np.median([abs(a - b) for i, a in enumerate(x[:, 0]) for b in x[:i, 0]])
    errors = {}
    for bandwidth in median * np.array(kernel_ridge.BANDWIDTHS):
        for ridge in kernel_ridge.RIDGES:
            kernel = kernel_ridge.gaussian(x, x, bandwidth)
            errors[bandwidth, ridge] = 0.0
            for i in range(20):
                kept = np.arange(20) != i
                solution = np.linalg.solve(kernel[kept][:, kept] + ridge * np.eye(19), y[kept])
                errors[bandwidth, ridge] += float(((y[i] - kernel[i, kept] @ solution) ** 2).sum())
    found = kernel_ridge.least_error(x, y, np.ones((20, 1)))
    assert found == pytest.approx(min(errors, key=errors.__getitem__))


def test_kernel_ridge_draws_a_subsample_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kernel_ridge, "MAX_EXAMPLES", 30)
    x = np.arange(50.0).reshape(50, 1)
    with caplog.at_level(logging.WARNING):
        models = [KernelRidge(problem(), random_state=seed).fit(x, x[:, 0]) for seed in (0, 0, 1)]
    assert "fitted on 30 of 50 training examples" in caplog.text
    assert models[0].x.shape == (30, 1)
    assert (models[0].x == models[1].x).all()
    assert (models[0].x != models[2].x).any()


def test_kernel_ridge_survives_identical_inputs() -> None:
    model = KernelRidge(problem()).fit(np.ones((4, 1)), np.array([1.0, 2.0, 3.0, 6.0]))
    assert model.predict(np.ones((1, 1)))[0, 0] == pytest.approx(3.0)


def test_boosting_has_one_model_for_each_value() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(600, 3))
    y = np.stack([np.sign(x[:, 0]), 10 * (x[:, 1] > 0.3), np.zeros(600)], axis=1)
    predicted = Boosting(problem((3,), n_outputs=3)).fit(x[:400], y[:400]).predict(x[400:])
    assert predicted.shape == (200, 3)
    assert np.abs(predicted - y[400:]).mean(axis=0) == pytest.approx([0, 0, 0], abs=0.05)


@pytest.mark.parametrize("model_class", ESTIMATORS)
@pytest.mark.parametrize("heavy", [0, 1])
def test_heavier_examples_win_a_contradiction(model_class: Any, heavy: int) -> None:
    """Every input stands in the data with both labels; the weights decide."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(np.repeat(rng.normal(size=(60, 2)), 2, axis=0)).float()
    y = torch.arange(120) % 2
    weight = torch.where(y == heavy, 20.0, 1.0)
    for output_kind, target in (("classes", y), ("values", y.float().unsqueeze(1))):
        asked = Problem(
            "vector", (2,), "classes" if output_kind == "classes" else "values", 1 + (output_kind == "classes"), 120
        )
        model = FittedEstimator(model_class(asked), asked)
        model.fit(Batch(x, target, weight=weight))
        outputs = model(x)
        answer = outputs.argmax(1).float() if output_kind == "classes" else outputs[:, 0]
        assert (answer - heavy).abs().mean() < 0.2


@pytest.mark.parametrize("model_class", ESTIMATORS)
def test_a_class_that_training_lacks_is_never_chosen(model_class: Any) -> None:
    asked = problem((2,), "classes", 4, n_train=90)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(90, 2))).float()
    model = FittedEstimator(model_class(asked), asked)
    model.fit(Batch(x, 1 + (x[:, 0] > 0).long()))
    outputs = model(x)
    assert outputs.shape == (90, 4)
    assert ((outputs.argmax(1) - 1) == (x[:, 0] > 0).long()).float().mean() > 0.9


@pytest.mark.parametrize("model_class", ESTIMATORS)
def test_the_logit_of_a_class_that_training_lacks_depends_on_its_row_alone(model_class: Any) -> None:
    asked = problem((2,), "classes", 4, n_train=90)
    x, noise = (torch.from_numpy(np.random.default_rng(i).normal(size=(90, 2))).float() for i in range(2))
    model = FittedEstimator(model_class(asked), asked)
    model.fit(Batch(x, 1 + (x[:, 0] + noise[:, 0] > 0).long()))
    assert torch.allclose(model(x), torch.cat([model(row) for row in x.split(1)]), atol=1e-3)


@pytest.mark.parametrize("model_class", ESTIMATORS)
def test_class_scores_are_probabilities(model_class: Any) -> None:
    asked = problem((2,), "classes", 3)
    batch = batch_for(asked)
    shares = model_class(asked).fit(batch.x.numpy(), batch.y.numpy()).predict_proba(batch.x.numpy() * 3)
    assert shares.min() >= 0
    assert np.allclose(shares.sum(axis=1), 1)
