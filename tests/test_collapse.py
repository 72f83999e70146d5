"""features/collapse: its signs by hand on features that have collapsed, and on some that have not."""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch
from torch import Tensor

import tasks
from tasks.features.collapse import (
    CLASSES,
    INDICES,
    Collapse,
    alignment,
    class_means,
    last_weights,
    nearest,
    regularity,
    signs,
    variability,
)
from tasks.seeds import Draw, generator
from tasks.types import Predict, Row, Scores, Trained, load_data

TASK = cast(Collapse, tasks.load("features/collapse-v1"))
DRAW = Draw(TASK.spec.id, 0)
DATA = load_data(TASK, "k4", DRAW)
Y = torch.arange(40) % 4


def corners(n_classes: int) -> Tensor:
    """The corners of a simplex around 0, (K, K)."""
    return torch.eye(n_classes).double() - 1 / n_classes


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator("collapse", *shape), dtype=torch.float64)


@pytest.mark.parametrize("n_classes", [2, 3, 4, 10])
def test_a_simplex_wherever_it_lies_has_all_signs(n_classes: int) -> None:
    y = torch.arange(5 * n_classes) % n_classes
    turn = torch.linalg.qr(gaussian(12, 12)).Q[:n_classes]
    features = corners(n_classes)[y] @ turn * 7 + 3
    found = signs(features, y, corners(n_classes)[y] * 2 + 5)
    assert found == pytest.approx(dict.fromkeys(("within", "simplex", "duality"), 1.0))


def test_variability_by_hand() -> None:
    """Two centres at -2 and 2, deviations of 1: Sb = 4, Sw = 1, a ratio of 1/4 over two classes."""
    features, y = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]]).double(), torch.tensor([0, 0, 1, 1])
    means = class_means(features, y)
    assert means.tolist() == [[-2.0], [2.0]]
    assert variability(features - means[y], means) == pytest.approx(1 / 8)
    assert signs(features, y, features.repeat(1, 2) * torch.tensor([-1.0, 1.0]))["within"] == pytest.approx(
        math.exp(-1 / 8)
    )


def test_variability_does_not_depend_on_the_basis() -> None:
    deviations, centers = gaussian(40, 6), gaussian(4, 6)
    centers = centers - centers.mean(0)
    turn = torch.linalg.qr(gaussian(6, 6)).Q
    plain = variability(deviations, centers)
    assert variability(9 * deviations @ turn, 9 * centers @ turn) == pytest.approx(plain)


def test_regularity_by_hand() -> None:
    """Cosines of 0 among four centres are 1/3 too much, of 4/3 that are possible; on one line two of three are 1."""
    assert regularity(torch.eye(4).double()) == pytest.approx(3 / 4)
    assert regularity(corners(4)) == pytest.approx(1)
    line = torch.tensor([[2.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]]).double()
    assert regularity(line) == pytest.approx(1 - ((0.5 + 0.5 + 1.5) / 3) / 1.5)


def test_weights_are_read_from_outputs() -> None:
    weights, features = gaussian(4, 6), gaussian(40, 6)
    found = last_weights(features, features @ weights.T + 3)
    assert torch.allclose(found, weights - weights.mean(0))


def test_weights_in_directions_without_features_are_not_made_up() -> None:
    """Features of float32 on a plane have rounding errors across it, which no output is to be read from."""
    plane, weights = gaussian(2, 6), gaussian(4, 6)
    features = (gaussian(40, 2) @ plane).float()
    outputs = features @ weights.float().T
    basis = torch.linalg.qr(plane.T).Q
    expected = (weights - weights.mean(0)) @ basis @ basis.T
    assert torch.allclose(last_weights(features, outputs), expected, atol=1e-4)


def test_alignment_is_a_cosine() -> None:
    centers = gaussian(4, 6)
    assert alignment(3 * centers, centers) == pytest.approx(1)
    assert alignment(-centers, centers) == pytest.approx(-1)
    assert alignment(torch.zeros(4, 6), centers) == 0


def test_features_without_a_difference_have_no_sign() -> None:
    assert signs(torch.ones(40, 3), Y, torch.zeros(40, 4)) == {"within": 0, "simplex": 0, "duality": 0}
    same = torch.tensor([[0.0], [0.0], [0.0], [1.0]]).expand(-1, 3)[torch.arange(40) // 4 % 4]  # in every class alike
    assert signs(same, Y, torch.zeros(40, 4))["simplex"] == 0


def test_centres_and_training_set_are_those_of_the_world() -> None:
    assert torch.equal(DATA["train"].x, DATA["fitted"].x) and torch.equal(DATA["train"].y, DATA["fitted"].y)
    assert DATA["iid"].y.bincount().tolist() == [250] * 4
    oracle = TASK.references("k4", DRAW)["oracle"]
    right = oracle(DATA["iid"]).argmax(1) == DATA["iid"].y
    assert right.double().mean() > 0.98


def test_a_trained_model_is_asked_for_its_features_and_a_function_for_its_outputs() -> None:
    def no_instance(number: int) -> None:
        raise AssertionError

    def outputs(x: Tensor) -> Tensor:
        return x[:, :4]

    trained = Trained(outputs, no_instance, lambda x: x)  # type: ignore[arg-type]
    by_features, by_outputs = (TASK.measure("k4", predict, DATA)["fitted"] for predict in (trained, outputs))
    fit = DATA["fitted"]
    assert by_features["within"] == pytest.approx(signs(fit.x, fit.y, outputs(fit.x))["within"])
    assert by_outputs["within"] == pytest.approx(signs(outputs(fit.x), fit.y, outputs(fit.x))["within"])
    assert by_outputs["within"] < by_features["within"]


def test_nearest_center_says_whether_the_model_decides_by_centres() -> None:
    fit = DATA["fitted"]
    centers = class_means(fit.x.double(), fit.y)

    def by_center(x: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(nearest(x.double(), centers), 4).float()

    def shifted(x: Tensor) -> Tensor:
        return by_center(x).roll(1, 1)

    def share(predict: Predict) -> float:
        return TASK.measure("k4", Trained(predict, lambda number: predict, lambda x: x), DATA)["fitted"][
            "nearest_center"
        ]

    found = [share(by_center), share(shifted)]
    assert found == [1, 0]


def test_indices_are_those_of_the_last_step() -> None:
    def scores(value: float) -> Scores:
        return {"iid": {"accuracy": 0.99}, "fitted": dict.fromkeys(INDICES, value)}

    rows = {f"k{k}": Row(scores(0.1), {}, [(10, scores(0.1)), (20, scores(k / 20))]) for k in CLASSES}
    found = TASK.summarize(rows)
    assert found.indices["within"] == pytest.approx((4 / 20 + 10 / 20) / 2)
    assert found.indices["simplex_k10"] == 0.5
    assert found.ood is None and not found.scores and found.trained
