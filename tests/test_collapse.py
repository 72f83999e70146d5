"""features/collapse: its signs by hand on features that have collapsed, and on some that have not."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor

import tasks
from tasks.features.collapse import (
    CLASSES,
    SIGNS,
    Collapse,
    alignment,
    centered_means,
    irregularity,
    last_weights,
    variability,
)
from tasks.seeds import Draw, generator
from tasks.types import Predict, Row, Scores, Trained, load_data

TASK = cast(Collapse, tasks.load("features/collapse-v1"))
DRAW = Draw(TASK.spec.id, 0)
DATA = load_data(TASK, "k4", DRAW)
FIT, NEW = DATA["fitted"], DATA["iid"]
Y = torch.arange(40) % 4


def corners(n_classes: int) -> Tensor:
    """The corners of a simplex around 0, (K, K)."""
    return torch.eye(n_classes).double() - 1 / n_classes


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator("collapse", *shape), dtype=torch.float64)


def measured(features: Predict, predict: Predict) -> Scores:
    """Of a model with these features and outputs, on four classes."""

    def no_instance(number: int) -> Predict:
        raise AssertionError

    return TASK.measure("k4", Trained(predict, no_instance, features), DATA)


def label_of(x: Tensor) -> Tensor:
    """The class of the nearest centre of the world, as outputs."""
    batch = FIT if len(x) == len(FIT.x) else NEW
    return TASK.references("k4", DRAW)["oracle"](type(batch)(x, batch.y))


# --- the signs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [3, 4, 10])
def test_a_simplex_wherever_it_lies_is_a_collapse(n_classes: int) -> None:
    y = torch.arange(5 * n_classes) % n_classes
    turn = torch.linalg.qr(gaussian(12, 12)).Q[:n_classes]
    features = corners(n_classes)[y] @ turn * 7 + 3
    assert variability(features, y) == pytest.approx(0, abs=1e-12)
    assert irregularity(features, y) == pytest.approx(0, abs=1e-12)


def test_variability_by_hand() -> None:
    """Two centres at -2 and 2, deviations of 1: Sb = 4, Sw = 1, a ratio of 1/4 over two classes."""
    features, y = torch.tensor([[-3.0], [-1.0], [1.0], [3.0]]).double(), torch.tensor([0, 0, 1, 1])
    assert centered_means(features, y).tolist() == [[-2.0], [2.0]]
    assert variability(features, y) == pytest.approx(1 / 8)


def test_variability_is_a_trace_of_covariances() -> None:
    features = gaussian(40, 6)
    centers = centered_means(features, Y)
    deviations = features - features.mean(0) - centers[Y]
    within, between = deviations.T @ deviations / 40, centers.T @ centers / 4
    expected = torch.trace(within @ torch.linalg.pinv(between, rtol=1e-9)) / 4
    assert variability(features, Y) == pytest.approx(float(expected))


def test_variability_does_not_depend_on_basis_place_or_scale() -> None:
    features = gaussian(40, 6)
    turned = 9 * features @ torch.linalg.qr(gaussian(6, 6)).Q + 5
    assert variability(turned, Y) == pytest.approx(variability(features, Y))
    assert irregularity(turned, Y) == pytest.approx(irregularity(features, Y))


def test_irregularity_by_hand() -> None:
    """Class means at 2, -1, -1 have cosines -1, -1, 1, which are .5, .5, 1.5 from -1/2; a mean at 0 has cosines 0."""
    line = torch.tensor([[2.0], [-1.0], [-1.0]]).double()
    assert irregularity(line, torch.arange(3)) == pytest.approx((0.5 + 0.5 + 1.5) / 3)
    at_zero = torch.tensor([[1.0], [0.0], [-1.0]]).double()
    assert irregularity(at_zero, torch.arange(3)) == pytest.approx((0.5 + 0.5 + 0.5) / 3)


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


# --- the measure ------------------------------------------------------------------------------------------------------


def test_centres_and_training_set_are_those_of_the_world() -> None:
    assert torch.equal(DATA["train"].x, FIT.x) and torch.equal(DATA["train"].y, FIT.y)
    assert NEW.y.bincount().tolist() == [250] * 4
    assert (label_of(NEW.x).argmax(1) == NEW.y).double().mean() > 0.98


def test_inputs_as_features_have_lost_nothing() -> None:
    found = measured(lambda x: 7 * x + 3, label_of)["fitted"]
    assert found["variability_collapse"] == pytest.approx(0, abs=1e-6)
    assert found["simplex_convergence"] == pytest.approx(0, abs=1e-6)
    assert found["nc1"] > 0.05 and found["nc2"] > 0.05


def test_features_that_are_the_class_have_lost_all() -> None:
    """Outputs that are the features answer by their nearest class mean."""

    def by_class(x: Tensor) -> Tensor:
        return torch.eye(4)[(FIT if len(x) == len(FIT.x) else NEW).y]

    scores = measured(by_class, by_class)
    found = {**scores["fitted"], **scores["iid"]}
    assert {sign: found[sign] for sign in SIGNS} == pytest.approx(dict.fromkeys(SIGNS, 1.0))


def test_the_size_of_features_does_not_matter() -> None:
    small, large = (measured(lambda x, s=scale: s * x**3, label_of)["fitted"] for scale in (1e-12, 1e3))  # type: ignore[misc]
    assert small["variability_collapse"] == pytest.approx(large["variability_collapse"])


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_features_without_a_difference_have_no_sign(constant: float) -> None:
    scores = measured(lambda x: torch.full((len(x), 5), constant), lambda x: torch.zeros(len(x), 4))
    assert not {*SIGNS, "nc1", "nc2"} & {*scores["fitted"], *scores["iid"]}


def test_nearest_class_center_is_of_new_examples() -> None:
    """The model answers as class means do on training examples, and never on new ones."""

    def turned(x: Tensor) -> Tensor:
        return label_of(x).roll(0 if len(x) == len(FIT.x) else 1, 1)

    assert measured(label_of, turned)["iid"]["nearest_class_center"] == 0
    assert measured(label_of, label_of)["iid"]["nearest_class_center"] == 1


def test_a_plain_function_has_its_outputs_for_features() -> None:
    by_outputs = TASK.measure("k4", lambda x: x[:, :4], DATA)["fitted"]
    assert by_outputs["nc1"] == pytest.approx(variability(FIT.x[:, :4].double(), FIT.y))


# --- the summary ------------------------------------------------------------------------------------------------------


def rows(last: dict[str, float], iid: dict[str, float], fitted: float = 1.0) -> dict[str, Row]:
    """Both conditions, with other values at an earlier step."""

    def scores(values: dict[str, float], accuracy: float) -> Scores:
        split = {sign: value for sign, value in values.items() if sign != SIGNS[3]}
        return {"iid": {"accuracy": 0.99, **iid}, "fitted": {"accuracy": accuracy, **split}}

    early = scores(dict.fromkeys(SIGNS[:3], 0.1), 0.5)
    return {
        f"k{k}": Row(early, {}, [(10, early), (20, scores({s: v * k for s, v in last.items()}, fitted))])
        for k in CLASSES
    }


def test_indices_are_those_of_the_last_step() -> None:
    found = TASK.summarize(rows(dict.fromkeys(SIGNS[:3], 0.05), {SIGNS[3]: 0.98}))
    assert found.indices["variability_collapse"] == pytest.approx((0.2 + 0.5) / 2)
    assert found.indices["simplex_convergence_k10"] == 0.5
    assert found.indices["nearest_class_center"] == pytest.approx(0.98)
    assert found.ood is None and not found.scores and found.trained


def test_who_still_errs_is_not_trained_and_who_has_no_sign_has_no_index() -> None:
    assert not TASK.summarize(rows({}, {}, fitted=0.9975)).trained
    assert TASK.summarize(rows({}, {})).indices == {}
