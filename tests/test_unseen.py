"""simplicity/unseen: the transform, minimum-degree interpolators against closed forms, leaks of known continuations."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor

import tasks
from tasks.seeds import Draw
from tasks.simplicity.unseen import DIMENSION, TARGETS, Unseen
from tasks.sources import boolean_cube
from tasks.types import Row, load_data

IDS = tuple(f"{name}-v1" for name in TARGETS)
X = boolean_cube.points(DIMENSION).double()
X0, X1, X2 = X[:, 0], X[:, 1], X[:, 2]
COUNT = (X < 0).sum(1)

# f3 without x0 x1 x2, and length as its polynomial in the number of -1
CLOSED_FORMS = {
    "f1": X2 - 1.25 * X0 + 1.5 * X1,
    "f2": X0 + X1 - 1,
    "f3": (X * X.roll(-1, 1) * X.roll(-2, 1))[:, 1:].sum(1) + 1 - (X0 + X1 + X2) + X0 * X1 + X1 * X2 + X0 * X2,
    "f4": (X0 + X1 - X0 * X2 - X1 * X2) / 2 + X2,
    "length": torch.tensor([float(sum((-2) ** j * math.comb(int(k), j) for j in range(5))) for k in COUNT]).double(),
}


def load(task_id: str) -> Unseen:
    task = tasks.load(task_id)
    assert isinstance(task, Unseen)
    return task


def scores_of(task: Unseen, values: Tensor) -> dict[str, float]:
    """What the cube says about a function, given by its values on the cube (2^d,)."""
    data = load_data(task, "default", Draw(task.spec.id, 0))
    return dict(task.measure("default", lambda x: values[boolean_cube.number(x), None], data)["cube"])


def reference(task: Unseen, name: str) -> Tensor:
    """The values of a reference predictor on the cube (2^d,)."""
    draw = Draw(task.spec.id, 0)
    batch = task.sample("default", task.spec.split("cube"), draw)
    return task.references("default", draw)[name](batch)[:, 0]


# --- the transform --------------------------------------------------------------------------------------------------


def test_the_transform_is_the_mean_of_the_function_times_each_monomial() -> None:
    x = boolean_cube.points(4).double()
    values = torch.randn(16, generator=Draw("test", 0).generator("values"), dtype=torch.float64)
    for chosen in product((False, True), repeat=4):
        coordinates = [i for i in range(4) if chosen[i]]
        expected = (values * x[:, coordinates].prod(1)).mean()
        coefficient = boolean_cube.walsh_hadamard(values)[boolean_cube.monomial(coordinates)]
        assert float(coefficient) == pytest.approx(float(expected), abs=1e-12)
    assert boolean_cube.degrees(4)[boolean_cube.monomial((0, 3))] == 2


def test_points_are_numbered_as_they_stand() -> None:
    assert boolean_cube.points(2).tolist() == [[1, 1], [-1, 1], [1, -1], [-1, -1]]
    assert boolean_cube.number(boolean_cube.points(6)).tolist() == list(range(64))


def test_a_vector_that_is_no_function_on_a_cube_is_refused() -> None:
    with pytest.raises(ValueError, match="12 values"):
        boolean_cube.walsh_hadamard(torch.zeros(12))


# --- the minimum-degree interpolator --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_the_solver_finds_the_closed_forms(name: str) -> None:
    target = TARGETS[f"simplicity/unseen-{name}"]
    found = boolean_cube.minimum_degree_interpolator(target.truth, target.is_seen)
    assert torch.allclose(found, CLOSED_FORMS[name], atol=1e-9)


def test_the_solver_is_the_limit_of_a_penalty_on_degree() -> None:
    """Values at the unseen points that minimize sum_j W^j (energy at degree j), whose error falls as 1 / W; d = 4."""
    generator = Draw("test", 1).generator("penalty")
    transform = torch.stack([boolean_cube.walsh_hadamard(unit) for unit in torch.eye(16)], dim=1)  # (T, points)
    penalty = 1e5 ** (boolean_cube.degrees(4).double() / 2)
    for _ in range(20):
        truth = torch.randn(16, generator=generator, dtype=torch.float64)
        seen = torch.rand(16, generator=generator) < 0.7
        weighted = penalty[:, None] * transform
        unseen_values = torch.linalg.lstsq(weighted[:, ~seen], -weighted[:, seen] @ truth[seen]).solution
        least = boolean_cube.minimum_degree_interpolator(truth, seen)
        assert torch.allclose(least[seen], truth[seen], atol=1e-9)
        assert torch.allclose(least[~seen], unseen_values, atol=1e-3)
        assert torch.equal(boolean_cube.minimum_degree_interpolator(truth.masked_fill(~seen, 99.0), seen), least)


@pytest.mark.parametrize(
    ("name", "on_unseen", "on_cube"), [("f1", 19.25, 9.625), ("f2", 16, 4), ("f3", 64, 8), ("f4", 4, 1)]
)
def test_errors_of_the_minimum_degree_interpolator_are_the_published_ones(
    name: str, on_unseen: float, on_cube: float
) -> None:
    target = TARGETS[f"simplicity/unseen-{name}"]
    error = (target.truth - target.minimum_degree).square()
    assert float(error[~target.is_seen].mean()) == pytest.approx(on_unseen, rel=1e-5)
    assert float(error.mean()) == pytest.approx(on_cube, rel=1e-5)
    assert float(error[target.is_seen].max()) < 1e-9


# --- leak and distance ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_id", IDS)
def test_the_two_ends_of_the_axis(task_id: str) -> None:
    task = load(task_id)
    least, truth = (scores_of(task, reference(task, name)) for name in ("minimum_degree", "truth"))
    assert (least["leak"], least["distance"]) == pytest.approx((0, 0), abs=1e-6)
    assert (truth["leak"], truth["distance"]) == pytest.approx((1, 1), abs=1e-6)
    assert truth["mse"] == 0
    summary = task.summarize({"default": Row({s.name: {"mse": 0.0} for s in task.spec.splits} | {"cube": least}, {})})
    assert summary.trained and summary.ood is None and "score" not in summary.scores
    assert summary.indices == {"leak": least["leak"], "distance": least["distance"]}


@pytest.mark.parametrize("name", ["f1", "f2", "f3", "f4"])
def test_the_leak_of_a_function_that_fits_is_its_place_between_the_two_ends(name: str) -> None:
    """<f - f_min, f* - f_min> / |f* - f_min|^2, whatever the function does on the unseen part."""
    task = load(f"simplicity/unseen-{name}-v1")
    target = task.target
    noise = torch.randn(2**DIMENSION, generator=Draw("test", 2).generator(name))
    values = torch.where(target.is_seen, target.truth, noise)
    gap = target.truth - target.minimum_degree
    projection = float((values - target.minimum_degree) @ gap / gap.square().sum())
    assert scores_of(task, values)["leak"] == pytest.approx(projection, abs=1e-5)


def test_of_f2_the_leak_is_the_coefficient_of_x0_x1_and_follows_from_the_mean_on_the_unseen_quarter() -> None:
    task = load("simplicity/unseen-f2-v1")
    for on_unseen in (-3.0, 0.0, 1.0):
        scores = scores_of(task, torch.where(task.target.is_seen, task.target.truth, torch.tensor(on_unseen)))
        assert scores["leak"] == pytest.approx(scores["c_01"], abs=1e-6)
        assert scores["leak"] == pytest.approx((3 + on_unseen) / 4, abs=1e-6)


def test_of_the_length_task_the_leak_is_the_coefficient_of_the_parity() -> None:
    task = load("simplicity/unseen-length-v1")
    silent = scores_of(task, task.target.truth * task.target.is_seen)
    assert silent["leak"] == silent["c_0123456789"] == pytest.approx(386 / 1024)
    # every unseen point with k of -1 has nearest seen points with four of them
    expected = sum((1 if k <= 4 else (-1) ** k) * math.comb(10, k) for k in range(11)) / 1024
    assert scores_of(task, reference(task, "nearest_neighbour"))["leak"] == pytest.approx(expected) == 260 / 1024


def test_the_nearest_neighbour_on_f2_is_halfway() -> None:
    task = load("simplicity/unseen-f2-v1")
    scores = scores_of(task, reference(task, "nearest_neighbour"))
    assert [scores[c] for c in ("c", "c_0", "c_1", "c_01")] == pytest.approx([-0.5, 0.5, 0.5, 0.5], abs=1e-6)
    assert scores["leak"] == pytest.approx(0.5, abs=1e-6)
    error = (reference(task, "nearest_neighbour") - task.target.truth).square()
    assert float(error[~task.target.is_seen].mean()) == pytest.approx(4, rel=1e-6)


@pytest.mark.parametrize(("d", "leak"), [(6, 0.17), (10, 0.11)])
def test_random_features_of_least_norm_leak_as_in_the_pilot(d: int, leak: float) -> None:
    """2,048 frozen ReLU features, weights and biases of variance 1 / d. One seed scatters by .016, four by .008."""
    x = boolean_cube.points(d).double()
    seen = (x[:, :2] > 0).any(1)
    leaks = []
    for seed in range(4):
        generator = Draw("test", seed).generator("features")
        weights = torch.randn(d, 2048, generator=generator, dtype=torch.float64) / math.sqrt(d)
        biases = torch.randn(2048, generator=generator, dtype=torch.float64) / math.sqrt(d)
        features = (x @ weights + biases).relu()
        kernel = features[seen] @ features[seen].T
        dual = torch.linalg.solve(kernel, x[seen, 0] * x[seen, 1])
        c = boolean_cube.walsh_hadamard(features @ (features[seen].T @ dual))
        assert c[:4].tolist() == pytest.approx([float(c[3]) - 1, *[1 - float(c[3])] * 2, float(c[3])], abs=1e-4)
        leaks.append(float(c[3]))
    assert sum(leaks) / 4 == pytest.approx(leak, abs=0.024 + 0.005)  # three standard errors, and two digits


# --- data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_id", IDS)
def test_no_unseen_point_is_in_training_or_validation_and_all_seen_ones_are(task_id: str) -> None:
    task = load(task_id)
    data = load_data(task, "default", Draw(task_id, 0))
    numbers = {name: set(boolean_cube.number(batch.x).tolist()) for name, batch in data.items()}
    assert numbers["train"] == numbers["val"] == numbers["iid"]
    assert not numbers["train"] & numbers["unseen"]
    assert numbers["train"] | numbers["unseen"] == numbers["cube"] == set(range(2**DIMENSION))
    assert sum(len(batch) for name, batch in data.items() if name in ("train", "unseen")) == 2**DIMENSION


def test_targets_by_hand() -> None:
    point = torch.tensor([[1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    values = {name.rpartition("-")[2]: (float(t.value(point)), bool(t.seen(point))) for name, t in TARGETS.items()}
    # of the ten cyclic triples 345, 456 and 901 hold an odd number of -1
    assert values == {
        "f1": (-1 - 1.25 - 1.5, True),
        "f2": (-1, True),
        "f3": (4, True),
        "f4": (-1, True),
        "length": (-1, True),
    }
