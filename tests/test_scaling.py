"""scaling/*: exact learning curves against Monte-Carlo, and what a permutation of the coordinates may not change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev

import pytest
import torch

import tasks
from baselines.contract import FittedEstimator
from baselines.models.kernel_ridge import KernelRidge
from baselines.models.knn import Knn
from baselines.models.mlp import Mlp
from baselines.models.pooled_halves import PooledHalves
from benchmarks.reproductions import scaling as reproduction
from tasks.scaling import prior, zipf
from tasks.scaling.prior import ORDERS, PRIOR, SIZES, Order, name_of
from tasks.seeds import Draw, generator
from tasks.sources.learning_curves import exponent, first_size_at, log_area
from tasks.sources.power_law import loss_of_examples, loss_of_parameters, loss_of_steps
from tasks.types import Data, Predict, Problem, Row, Task, load_data

# --- reading a curve ------------------------------------------------------------------------------------------------


def test_the_area_is_over_the_logarithm() -> None:
    assert log_area([1, 10, 1000], [0.0, 1.0, 1.0]) == pytest.approx((0.5 + 2) / 3)
    assert log_area([50, 200], [0.4, 0.8]) == pytest.approx(0.6)


def test_a_level_is_reached_between_two_sizes() -> None:
    assert first_size_at([10, 1000], [0.0, 1.0], 0.5) == pytest.approx(100)
    assert first_size_at([10, 1000], [0.7, 1.0], 0.5) == 10
    assert first_size_at([10, 1000], [0.0, 0.4], 0.5) is None
    assert first_size_at([1, 10, 100], [0.0, 0.5, 0.2], 0.5) == pytest.approx(10)


def test_one_odd_size_does_not_move_an_exponent() -> None:
    sizes = [10, 100, 1_000, 10_000, 100_000]
    assert exponent(sizes, [n**-0.5 for n in sizes]) == pytest.approx(-0.5)
    assert exponent(sizes, [n**-0.5 * (30 if n == 1_000 else 1) for n in sizes]) == pytest.approx(-0.5)


# --- prior: what a permutation may not change -------------------------------------------------------------------------

PRIOR_TASK = tasks.load("scaling/prior-v1")
DRAW = Draw(PRIOR_TASK.spec.id, 0)
FEW: Mapping[Order, Data] = {order: load_data(PRIOR_TASK, name_of(order, 200), DRAW) for order in ORDERS}


def test_labels_by_hand() -> None:
    x = torch.zeros(2, 20)
    x[0, 9], x[0, 10] = -3.0, 2.0
    x[1, 9], x[1, 10] = 2.0, 3.0
    assert prior.quadratic_labels(x).tolist() == [1, 0]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_has_the_regular_examples_with_permuted_coordinates(order: Order) -> None:
    for split, batch in FEW[order].items():
        regular = FEW["regular"][split]
        assert torch.equal(batch.y, regular.y)
        assert torch.equal(batch.x.sort(1).values, regular.x.sort(1).values)


def test_nearly_swaps_one_place_of_each_half() -> None:
    assert isinstance(PRIOR_TASK, prior.Prior)
    for seed in range(20):
        places = PRIOR_TASK.places("nearly-50", replace(DRAW, seed=seed))
        moved = (places != torch.arange(20)).nonzero()[:, 0]
        assert [int(place) // 10 for place in moved] == [0, 1]
        assert places.sort().values.tolist() == list(range(20))


@pytest.mark.parametrize("estimator", [Knn, KernelRidge])
def test_a_learner_without_an_order_of_coordinates_cannot_tell_the_problems_apart(estimator: type) -> None:
    """Distances do not change, so that neither do predictions, but for rounding in sums of squares."""
    found = {order: fitted_accuracy(estimator, data) for order, data in FEW.items()}
    assert found["scrambled"] == pytest.approx(found["regular"], abs=1e-3)
    assert found["nearly"] == pytest.approx(found["regular"], abs=1e-3)


def fitted_accuracy(estimator: type, data: Data) -> float:
    """Accuracy on the test of an estimator that is fitted to the training examples."""
    problem = Problem("vector", (20,), "classes", n_outputs=2, n_train=200)
    made = estimator(problem, random_state=0) if estimator is KernelRidge else estimator(problem)
    model = FittedEstimator(made, problem)
    model.fit(data["train"])
    return PRIOR_TASK.measure("regular-200", model, data)["test"]["accuracy"]


def test_a_network_whose_first_weights_are_permuted_learns_the_same_function() -> None:
    """The distribution of a dense network's weights is invariant, so that its accuracies have one law on all orders.

    Gradient descent, and Adam, commute with a permutation of the inputs: from permuted weights the same outputs follow.
    """
    assert isinstance(PRIOR_TASK, prior.Prior)
    places = PRIOR_TASK.places("scrambled-200", DRAW)
    problem = Problem("vector", (20,), "classes", n_outputs=2, n_train=200)
    torch.manual_seed(0)
    plain, permuted = Mlp(problem, width=16), Mlp(problem, width=16)
    permuted.load_state_dict(plain.state_dict())
    with torch.no_grad():
        permuted.layers[0].weight.copy_(plain.layers[0].weight[:, places])  # type: ignore[operator, index]
    trained(plain, FEW["regular"], 30)
    trained(permuted, FEW["scrambled"], 30)
    outputs = plain(FEW["regular"]["test"].x), permuted(FEW["scrambled"]["test"].x)
    assert torch.allclose(*outputs, atol=1e-4)
    assert not torch.allclose(outputs[0], Mlp(problem, width=16)(FEW["regular"]["test"].x), atol=0.1)


def trained(net: torch.nn.Module, data: Data, steps: int, learning_rate: float = 3e-3) -> Predict:
    """A network after so many Adam steps on all training examples."""
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(data["train"].x), data["train"].y).backward()
        optimizer.step()
    return net.eval()


def test_the_hand_made_model_has_it_for_few_points_in_order_and_never_when_scrambled() -> None:
    """Its stored accuracy at 200 examples, within .06 of one training; scrambled, what unbalanced halves give."""
    problem = Problem("vector", (20,), "classes", n_outputs=2, n_train=200)
    torch.manual_seed(0)
    found = {
        order: accuracy_on_the_test(trained(PooledHalves(problem), FEW[order], 300, 1e-2), FEW[order])
        for order in ORDERS
    }
    assert found["regular"] == pytest.approx(PRIOR["regular"][1], abs=0.06)
    assert found["nearly"] == pytest.approx(PRIOR["nearly"][1], abs=0.06)
    assert found["scrambled"] < 0.7


def accuracy_on_the_test(predict: Predict, data: Data) -> float:
    """Accuracy on the test split."""
    with torch.no_grad():
        return PRIOR_TASK.measure("regular-200", predict, data)["test"]["accuracy"]


def prior_rows(curves: Mapping[Order, Sequence[float]]) -> dict[str, Row]:
    """Rows with these accuracies on every split."""
    return {
        name_of(order, n): Row(
            {split: {"accuracy": value} for split in ("val", "iid", "test")}, {"test": {"chance": 0.5, "oracle": 1.0}}
        )
        for order, values in curves.items()
        for n, value in zip(SIZES, values, strict=True)
    }


def test_indices_say_what_structure_is_worth_and_costs() -> None:
    dense = (0.55, 0.65, 0.85, 0.94, 0.96)
    found = PRIOR_TASK.summarize(prior_rows(dict.fromkeys(ORDERS, dense)))
    assert found.scores["score"] == found.scores["score_regular"] == pytest.approx(log_area(SIZES, dense) * 2 - 1)
    assert found.indices["order_used"] == 0
    assert found.indices["examples_needed"] == pytest.approx(800)
    assert found.indices["prior_value"] == pytest.approx(800 / prior.PRIOR_NEEDS)
    assert 200 < found.indices["crossover"] < 800  # .65 < .802, and .85 > .811
    structured = PRIOR_TASK.summarize(prior_rows(PRIOR))
    assert structured.indices["crossover"] == structured.indices["examples_needed"] == 50
    assert structured.indices["order_used"] > 0.35
    assert structured.trained


# --- zipf: an exact learning curve ------------------------------------------------------------------------------------

ZIPF = tasks.load("scaling/zipf-v1")


def test_the_memorizer_follows_the_formula() -> None:
    """Means over 200 training sets of the error on what was never seen, within four standard errors."""
    found = reproduction.measure("zipf-curve", range(200))
    for n in zipf.SIZES:
        errors = found[reproduction.of_words(n)]
        assert fmean(errors) == pytest.approx(zipf.expected_error(n), abs=4 * stdev(errors) / math.sqrt(200))


@pytest.mark.parametrize(("decay", "slope"), [(0.5, -1 / 3), (1.0, -1 / 2), (2.0, -2 / 3)])
def test_the_curve_is_a_power_law_of_the_tail(decay: float, slope: float) -> None:
    sizes = (100, 1_000, 10_000)
    errors = [zipf.expected_error(n, vocabulary=1_000_000, decay=decay) for n in sizes]
    assert exponent(sizes, errors) == pytest.approx(slope, abs=0.005)


def test_the_memorizer_knows_what_it_saw_and_the_test_has_no_noise() -> None:
    draw = Draw(ZIPF.spec.id, 0)
    for condition in ZIPF.spec.conditions:
        data = load_data(ZIPF, condition.name, draw)
        seen = float(zipf.frequencies()[data["train"].x.unique()].sum())
        anchors = ZIPF.anchors(condition.name, data, draw)["test"]
        assert anchors["memorizer"] == pytest.approx(seen + (1 - seen) / zipf.CLASSES, abs=1e-6)
        assert anchors["expected_memorizer"] == 1 - zipf.expected_error(int(condition.name))
    test = ZIPF.sample("100", ZIPF.spec.split("test"), draw)
    assert test.x[:, 0].tolist() == list(range(zipf.VOCABULARY))
    assert test.weight is not None and float(test.weight.sum()) == pytest.approx(1, abs=1e-5)
    guess = ZIPF.evaluate(torch.zeros(zipf.VOCABULARY, zipf.CLASSES), test)
    assert guess["accuracy"] == pytest.approx(0.1)


def test_weights_count_words_by_their_probability() -> None:
    draw = Draw(ZIPF.spec.id, 0)
    test = ZIPF.sample("100", ZIPF.spec.split("test"), draw)
    outputs = torch.nn.functional.one_hot(test.y, zipf.CLASSES).float()
    outputs[0] = outputs[0].roll(1)
    wrong = 1 - ZIPF.evaluate(outputs, test)["accuracy"]
    assert wrong == pytest.approx(float(zipf.frequencies()[0]), abs=1e-6)
    assert wrong == pytest.approx(6 / torch.pi**2, abs=1e-4)


# --- kernel: a field and its own kernel -------------------------------------------------------------------------------


@pytest.mark.parametrize(("dimension", "tolerance"), [(1, 0.1), (2, 0.05), (4, 0.02)])
def test_the_kernel_of_the_field_has_the_exponent_of_theory(dimension: int, tolerance: float) -> None:
    """-1/d in the mean over three draws of the points; at 64 to 512 of them within a tenth."""
    found = reproduction.measure("kernel-exponents", range(3))[reproduction.of_sphere(dimension)]
    assert fmean(found) == pytest.approx(-1 / dimension, abs=tolerance)


def test_the_posterior_variance_is_the_error_of_the_kernel_on_fields() -> None:
    """Mean squared error of the reference over ten worlds, and the variance that is expected of it."""
    task = tasks.load("scaling/kernel-v1")
    errors, expected = [], []
    for seed in range(10):
        draw = Draw(task.spec.id, seed)
        errors.append(task.anchors("256", load_data(task, "256", draw), draw)["test"]["kernel"])
        expected.append(reproduction.posterior_variance(2, 256, generator("tests", "posterior", seed)))
    assert fmean(errors) == pytest.approx(fmean(expected), abs=4 * stdev(errors) / math.sqrt(10))


def test_smaller_training_sets_are_parts_of_larger_ones_and_their_field_is_one() -> None:
    task = tasks.load("scaling/kernel-v1")
    draw = Draw(task.spec.id, 0)
    few, many = (load_data(task, n, draw)["train"] for n in ("64", "512"))
    assert torch.equal(many.x[:64], few.x)
    assert torch.equal(many.y[:64], few.y)
    assert torch.allclose(many.x.norm(dim=1), torch.ones(512), atol=1e-6)


def test_the_kernel_interpolates_its_training_points_and_beats_the_nearest_neighbour() -> None:
    task = tasks.load("scaling/kernel-v1")
    draw = Draw(task.spec.id, 0)
    data = load_data(task, "512", draw)
    predict = task.references("512", draw)["kernel"]
    assert torch.allclose(predict(data["train"]), data["train"].y, atol=1e-4)
    nearest = data["train"].y[torch.cdist(data["test"].x, data["train"].x).argmin(1)]
    assert mean_error(task, predict(data["test"]), data) < 0.8 * mean_error(task, nearest, data)


def mean_error(task: Task, outputs: torch.Tensor, data: Data) -> float:
    """Mean squared error on the test."""
    return task.evaluate(outputs, data["test"])["mse"]


# --- power laws in parameters, steps and examples ---------------------------------------------------------------------


def test_exponents_of_parameters_and_steps() -> None:
    """a = 2 and b = 1.5: -(a - 1) and -(a - 1) / b, over two decades."""
    kept, steps = (10, 30, 100, 300, 1_000), (100, 1_000, 10_000)
    losses = [loss_of_parameters(p, 1_000_000, 2.0) for p in kept]
    assert exponent(kept, losses) == pytest.approx(-1, abs=0.02)
    losses = [loss_of_steps(t, 1_000_000, 2.0, 1.5) for t in steps]
    assert exponent(steps, losses) == pytest.approx(-2 / 3, abs=0.005)


def test_gradient_descent_on_the_population_is_what_the_loss_of_steps_says() -> None:
    """Ten inputs, seven steps, by hand."""
    variance = torch.arange(1, 11, dtype=torch.float64) ** -1.5
    target = torch.arange(1, 11, dtype=torch.float64) ** -2.0
    weight = (target / variance).sqrt()
    learned = torch.zeros(10, dtype=torch.float64)
    for _ in range(7):
        learned -= 0.5 * variance * (learned - weight)
    assert float(variance @ (learned - weight).square()) == pytest.approx(loss_of_steps(7, 10, 2.0, 1.5))


@pytest.mark.parametrize(("a", "theory"), [(1.5, -0.5), (2.0, -1.0), (3.0, -2.0)])
def test_exponent_of_examples(a: float, theory: float) -> None:
    """-min(a - 1, 2 b) with b = 1.5; small sets are known to be .1 to .2 steeper."""
    sizes = (16, 32, 64, 128)
    draws = range(40)
    losses = [sum(loss_of_examples(n, 512, a, 1.5, generator("tests", "power", n, i)) for i in draws) for n in sizes]
    assert theory - 0.25 < exponent(sizes, losses) < theory
