"""features/agop: gradients of known functions, mass and overlap by hand, what a kernel can and cannot fit."""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch
from torch import Tensor

import tasks
from tasks.features.agop import (
    DIMENSIONS,
    N_POINTS,
    RELEVANT,
    GradientOuterProduct,
    directions,
    mass,
    overlap,
    target,
)
from tasks.seeds import Draw, generator
from tasks.sources.slopes import slopes, stencil
from tasks.types import Batch, Data, Predict, Row, Summary, load_data

TASK = cast(GradientOuterProduct, tasks.load("features/agop-v1"))
DRAW = Draw(TASK.spec.id, 0)
PLANE = torch.eye(4, 2, dtype=torch.float64)


def summary(predictor: str | Predict) -> Summary:
    """Of a reference predictor, or of a function."""
    rows = {}
    for name in DIMENSIONS:
        data = load_data(TASK, name, DRAW)
        predict = of_data(name, predictor, data) if isinstance(predictor, str) else predictor
        rows[name] = Row(TASK.measure(name, predict, data), TASK.anchors(name, data, DRAW))
    return TASK.summarize(rows)


def of_data(condition: str, name: str, data: Data) -> Predict:
    predictor, batch_of = TASK.references(condition, DRAW)[name], {id(batch.x): batch for batch in data.values()}
    return lambda x: predictor(batch_of[id(x)])


# --- gradients ------------------------------------------------------------------------------------------------------


def test_slopes_of_a_bilinear_function_are_its_gradient() -> None:
    points = torch.randn(20, 6, generator=generator("points"), dtype=torch.float64)
    a, b = torch.randn(2, 6, generator=generator("directions"), dtype=torch.float64)
    x = stencil(points, 0.25)
    found = slopes((x @ a) * (x @ b), 20, 0.25)
    assert torch.allclose(found, (points @ b)[:, None] * a + (points @ a)[:, None] * b)


def test_slopes_of_a_cube_are_those_of_a_parabola_and_step_squared() -> None:
    points = torch.tensor([[2.0]], dtype=torch.float64)
    assert slopes(stencil(points, 0.5)[:, 0] ** 3, 1, 0.5).item() == 3 * 2**2 + 0.5**2


def test_the_stencil_has_labels_of_the_target_and_one_plane() -> None:
    for name, d in DIMENSIONS.items():
        batch = TASK.sample(name, TASK.spec.at(name).split("stencil"), DRAW)
        assert batch.latent is not None
        plane = directions(name, DRAW)
        assert torch.allclose(plane.T @ plane, torch.eye(RELEVANT), atol=1e-6)
        assert torch.equal(batch.latent[7], plane)
        assert torch.equal(batch.y, target(batch.x, plane))
        centre = batch.x.view(N_POINTS, 2, d, d).mean(1)  # both neighbours along every axis
        assert torch.allclose(centre, centre[:, :1].expand(-1, d, -1), atol=1e-6)


# --- mass and overlap -----------------------------------------------------------------------------------------------


def test_mass_by_hand() -> None:
    gradients = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]], dtype=torch.float64)
    assert mass(gradients, PLANE) == 2 / 4
    assert mass(torch.eye(4, dtype=torch.float64), PLANE) == 2 / 4
    assert mass(torch.zeros(3, 4, dtype=torch.float64), PLANE) == 2 / 4


def test_overlap_reads_the_two_leading_directions() -> None:
    sizes = torch.tensor([3.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    assert overlap(torch.diag(sizes), PLANE) == pytest.approx(1)
    assert overlap(torch.diag(sizes.flip(0)), PLANE) == pytest.approx(0)
    assert overlap(torch.diag(sizes[[0, 2, 1, 3]]), PLANE) == pytest.approx(1 / 2)
    assert mass(torch.diag(sizes), PLANE) == 13 / 15
    assert overlap(torch.zeros(3, 4, dtype=torch.float64), PLANE) == 1 / 2


def test_the_target_scores_exactly_1() -> None:
    found = summary("oracle")
    assert found.scores["score_unclipped"] == pytest.approx(1, abs=1e-6)  # float32 directions
    assert found.indices["mass_scarce"] == pytest.approx(1, abs=1e-6)
    assert found.trained


def test_a_constant_scores_0_and_is_not_trained() -> None:
    found = summary(lambda x: torch.zeros(len(x), 1))
    assert found.scores["score_unclipped"] == pytest.approx(0, abs=1e-12)
    assert not found.trained


def test_a_sphere_prefers_no_direction() -> None:
    """|x|^2 has the gradient 2 x: over 100 points the mass is 2/d within five standard errors."""
    found = summary(lambda x: x.square().sum(1, keepdim=True))
    for name, d in DIMENSIONS.items():
        share = RELEVANT / d
        assert found.indices[f"mass_{name}"] == pytest.approx(share, abs=5 * share * math.sqrt(2 / (2 * N_POINTS)))


# --- who needs features ---------------------------------------------------------------------------------------------


def quadratic_fit(train: Batch) -> Predict:
    """The function of least norm in all products x_i x_j that fits the training examples."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a.double() @ b.double().T) ** 2

    gram = kernel(train.x, train.x)
    ridge = 1e-9 * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    weights = torch.linalg.solve(gram + ridge, train.y.double())
    return lambda x: (kernel(x, train.x) @ weights).float()


def test_quadratic_fits_are_exact_with_plenty_and_explain_n_of_5050_where_examples_are_scarce() -> None:
    """No direction is preferred: of 5,050 terms 2,000 examples fix a share of 2,000/5,050 = .396."""
    found = {}
    for name in DIMENSIONS:
        data = load_data(TASK, name, DRAW)
        found[name] = TASK.measure(name, quadratic_fit(data["train"]), data)["stencil"]
    assert found["plenty"]["mass"] == pytest.approx(1, abs=1e-4)
    assert found["scarce"]["mass"] == pytest.approx(2_000 / 5_050, abs=0.05)
