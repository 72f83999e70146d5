"""Sprites: what is drawn, which cells of the grid training may see, and how R2 is counted."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch import Tensor

import tasks
from tasks.seeds import Draw
from tasks.shift.sprites import SHIFTED, Sprites, grid_variance, seen_in_training
from tasks.sources.sprites import FACTORS, SIDE, grid, render, values
from tasks.types import Batch, Row, load_data

CONDITIONS = ("composition", "interpolation", "extrapolation")
SHAPE, SCALE, ORIENTATION, X, Y = range(5)
UNIT_AREA = (1.6, math.pi / 2, 0.9)
"""Of rectangle, ellipse and triangle of radius 1."""


@pytest.fixture(scope="module")
def task() -> Sprites:
    found = tasks.load("shift/sprites")
    assert isinstance(found, Sprites)
    return found


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Every cell of the grid, (20736, 24, 24)."""
    return render(grid()).squeeze(1)


def centroids(images: Tensor) -> Tensor:
    """(N, 2): column and row, in pixels from the upper left corner."""
    middles = torch.arange(SIDE) + 0.5
    area = images.sum((1, 2))
    return torch.stack([images.sum(1) @ middles, images.sum(2) @ middles], dim=1) / area.unsqueeze(1)


def long_axis_deg(image: Tensor) -> float:
    """Angle of the axis of largest variance, counter-clockwise from the horizontal, in [0, 180)."""
    rows, columns = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    column, row = centroids(image.unsqueeze(0))[0]
    right, up = columns - column, row - rows
    xx, yy, xy = ((image * product).sum() for product in (right**2, up**2, right * up))
    return float(torch.rad2deg(0.5 * torch.atan2(2 * xy, xx - yy))) % 180


# --- the renderer ---------------------------------------------------------------------------------------------------


def test_the_grid_has_every_combination_once() -> None:
    cells = grid()
    assert len(cells) == 3 * 6 * 8 * 12 * 12 == len({tuple(cell) for cell in cells.tolist()})
    assert cells.amax(0).tolist() == [n - 1 for n in FACTORS.values()]


def test_no_two_cells_have_the_same_image(images: Tensor) -> None:
    assert len({image.numpy().tobytes() for image in images}) == len(images)


def test_areas_are_those_of_the_shapes(images: Tensor) -> None:
    cells = grid()
    radius = 3 + 3 * values(cells)[:, SCALE]
    expected = torch.tensor(UNIT_AREA)[cells[:, SHAPE]] * radius**2
    relative = images.sum((1, 2)) / expected - 1
    assert relative.abs().max() < 0.025  # 64 points a pixel
    for shape in range(3):
        assert relative[cells[:, SHAPE] == shape].mean().abs() < 0.003


def test_position_is_the_centroid(images: Tensor) -> None:
    expected = 6.5 + grid()[:, [X, Y]]
    assert (centroids(images) - expected).abs().max() < 0.05


def test_a_step_in_position_shifts_by_one_pixel() -> None:
    first, right, down = render(torch.tensor([[2, 3, 5, 4, 7], [2, 3, 5, 5, 7], [2, 3, 5, 4, 8]]))
    assert torch.equal(right[:, :, 1:], first[:, :, :-1])
    assert torch.equal(down[:, 1:], first[:, :-1])


@pytest.mark.parametrize("shape", [0, 1, 2])
def test_orientation_turns_the_long_axis_counter_clockwise_from_0_to_90_degrees(shape: int) -> None:
    for orientation in range(8):
        (image,) = render(torch.tensor([[shape, 5, orientation, 5, 5]])).squeeze(1)
        turned = long_axis_deg(image) - orientation * 90 / 7
        assert abs((turned + 90) % 180 - 90) < 2


def test_the_triangle_points_where_the_orientation_says() -> None:
    """The long axis has no direction; the third moment along it does: the tip is the longer side of the centroid."""
    right, up = render(torch.tensor([[2, 5, 0, 5, 5], [2, 5, 7, 5, 5]])).squeeze(1)
    along = torch.arange(SIDE) + 0.5 - 11.5
    assert (right.sum(0) * along**3).sum() > 0
    assert (up.sum(1) * along**3).sum() < 0  # rows count downwards


def test_sprites_are_white_inside_and_grey_on_the_edge(images: Tensor) -> None:
    assert images.min() == 0 and images.max() == 1
    assert (images[torch.arange(len(images)), 6 + grid()[:, Y], 6 + grid()[:, X]] == 1).all()
    tilted = (grid()[:, ORIENTATION] > 0) & (grid()[:, ORIENTATION] < 7)
    grey = ((images > 0) & (images < 1)).sum((1, 2))
    assert grey[tilted].min() >= 8


# --- the splits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", CONDITIONS)
def test_training_may_see_8_of_27_cells(task: Sprites, condition: str) -> None:
    for seed in range(3):
        assert int(seen_in_training(condition, Draw(task.spec.id, seed)).sum()) == 20_736 * 8 // 27


def shifted(batch: Batch) -> Tensor:
    """Indices of scale, x and y, (N, 3)."""
    assert batch.latent is not None
    return batch.latent[:, [list(FACTORS).index(name) for name in SHIFTED]]


@pytest.mark.parametrize("seed", [0, 1])
def test_held_out_combinations_are_absent_from_training_and_their_values_are_not(task: Sprites, seed: int) -> None:
    data = load_data(task, "composition", Draw(task.spec.id, seed))
    inside = {tuple(c) for name in ("train", "val", "iid") for c in shifted(data[name]).tolist()}
    outside = {tuple(c) for c in shifted(data["ood"]).tolist()}
    assert not inside & outside
    assert len(inside) == 256
    for factor, n in enumerate((6, 12, 12)):
        assert {c[factor] for c in inside} == set(range(n))


@pytest.mark.parametrize(
    ("condition", "held_out"),
    [
        ("interpolation", ({2, 3}, {4, 5, 6, 7}, {4, 5, 6, 7})),
        ("extrapolation", ({4, 5}, {8, 9, 10, 11}, {8, 9, 10, 11})),
    ],
)
def test_held_out_values_are_absent_from_training_and_one_is_in_every_test_image(
    task: Sprites, condition: str, held_out: tuple[set[int], ...]
) -> None:
    data = load_data(task, condition, Draw(task.spec.id, 0))
    sizes = (6, 12, 12)
    for name in ("train", "val", "iid"):
        for factor, (n, absent) in enumerate(zip(sizes, held_out, strict=True)):
            assert set(shifted(data[name])[:, factor].tolist()) == set(range(n)) - absent
    for cell in shifted(data["ood"]).tolist():
        assert any(index in absent for index, absent in zip(cell, held_out, strict=True))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_cell_is_drawn_twice(task: Sprites, condition: str) -> None:
    data = load_data(task, condition, Draw(task.spec.id, 0))
    cells = [tuple(cell) for batch in data.values() for cell in batch.latent.tolist()]  # type: ignore[union-attr]
    assert len(cells) == len(set(cells)) == 7_500


def test_a_condition_is_sampled_quickly(task: Sprites) -> None:
    load_data(task, "composition", Draw(task.spec.id, 0))
    start = time.process_time()
    load_data(task, "composition", Draw(task.spec.id, 1))
    assert time.process_time() - start < 0.4


# --- the measure ----------------------------------------------------------------------------------------------------


def test_the_variance_is_that_of_the_grid() -> None:
    assert torch.allclose(grid_variance(), values(grid()).double().var(0, unbiased=False))


def test_r2_of_the_grid_is_0_for_its_mean_and_counts_factor_by_factor(task: Sprites) -> None:
    y = values(grid())
    mean = task.evaluate(torch.full_like(y, 0.5), Batch(y, y))
    assert {name: mean[f"r2_{name}"] for name in FACTORS} == pytest.approx(dict.fromkeys(FACTORS, 0.0), abs=1e-6)
    blind_to_shape = y.clone()
    blind_to_shape[:, SHAPE] = 0.5
    scores = task.evaluate(blind_to_shape, Batch(y, y))
    assert scores["r2_shape"] == pytest.approx(0, abs=1e-6)
    assert scores["r2_y"] == 1
    assert scores["r2"] == pytest.approx(0.8)


def test_saturation_costs_nothing_but_in_extrapolation(task: Sprites) -> None:
    """Closed form there, from the 1/3 of values above the last trained one; averaged over the held-out cells."""
    saturated = {}
    for condition in CONDITIONS:
        draw = Draw(task.spec.id, 0)
        saturated[condition] = task.anchors(condition, load_data(task, condition, draw), draw)["ood"]["saturated"]
    assert saturated["composition"] == saturated["interpolation"] == 1
    share_out = 19 / 27
    error_scale = ((1 / 5) ** 2 + (2 / 5) ** 2) / 6 / share_out
    error_place = sum((k / 11) ** 2 for k in (1, 2, 3, 4)) / 12 / share_out
    expected = 1 - (error_scale / (7 / 60) + 2 * error_place / (13 / 132)) / 5
    assert saturated["extrapolation"] == pytest.approx(expected, abs=0.015)


def test_summary_has_the_three_conditions(task: Sprites) -> None:
    anchors = {"ood": {"constant": 0.0, "oracle": 1.0}}
    r2 = dict(zip(CONDITIONS, (0.8, 0.2, -3.0), strict=True))
    rows = {name: Row({"iid": {"r2": 0.9}, "ood": {"r2": value}}, anchors) for name, value in r2.items()}
    summary = task.summarize(rows)
    assert summary.scores == pytest.approx(
        {
            "score": (0.8 + 0.2 - 0.25) / 3,
            "score_unclipped": -2 / 3,
            "composition": 0.8,
            "interpolation": 0.2,
            "extrapolation": -3.0,
        }
    )
