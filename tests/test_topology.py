"""Topology: pieces of drawn regions, networks too narrow to close a boundary, and circles that are linked."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tasks
from tasks.seeds import Draw
from tasks.sources.regions import Mask, bounded, pieces, square_grid
from tasks.sources.width_ladder import WidthLadder
from tasks.topology.annulus import SIDE, Annulus, closure
from tasks.topology.links import Links
from tasks.topology.spirals import on_arms, wholeness
from tasks.types import Batch, Row, Summary, class_logits, load_data

IDS = tuple(f"topology/{name}-v1" for name in ("annulus", "links", "links-control", "spirals"))


def load(name: str) -> WidthLadder:
    task = tasks.load(name)
    assert isinstance(task, WidthLadder)
    return task


def split(name: str, of: str, seed: int = 0) -> Batch:
    task = load(name)
    return task.sample(task.spec.conditions[0].name, task.spec.split(of), Draw(task.spec.id, seed))


def drawn(*rows: str) -> Mask:
    """A region from rows of dots and hashes."""
    return np.array([[cell == "#" for cell in row] for row in rows])


# --- pieces of regions ----------------------------------------------------------------------------------------------

ISLAND = drawn(
    "..........",
    ".####.....",
    ".#..#...##",
    ".####...##",
    "..........",
)


def test_pieces_by_hand() -> None:
    assert len(set(pieces(ISLAND, gap=0)[ISLAND])) == 2
    (island,) = bounded(ISLAND, gap=0)
    assert island.sum() == 10 and not island[2, 9]
    assert len(bounded(~ISLAND, gap=0)) == 0  # the hole has two cells, too few to count


def test_a_thin_gap_is_bridged_and_a_wide_one_is_not() -> None:
    region = np.zeros((20, 20), dtype=bool)
    region[0] = True  # reaches the edge
    region[8:12, 8:12] = True
    assert len(bounded(region, gap=2)) == 1
    region[1:5] = True  # three empty rows are left
    assert len(bounded(region, gap=0)) == 1
    assert len(bounded(region, gap=2)) == 0


def test_diagonal_neighbours_are_connected() -> None:
    assert pieces(np.eye(5, dtype=bool), gap=0).max() == 1


# --- the theorem: narrow networks have no bounded piece -------------------------------------------------------------

UNITS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky": nn.LeakyReLU,
    "sigmoid": nn.Sigmoid,
}


def random_network(width: int, depth: int, unit: str, seed: int) -> nn.Module:
    """Normal weights of scale 2 in hidden layers of a width, one output."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise([2] + [width] * depth):
        layers += [nn.Linear(fan_in, fan_out), UNITS[unit]()]
    network = nn.Sequential(*layers, nn.Linear(width, 1))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=2.0)
    return network.requires_grad_(False)


def n_bounded(network: Callable[[Tensor], Tensor], side: int = 201) -> int:
    """Bounded pieces of either decision region over [-3, 3]^2."""
    region = (network(square_grid(side, 3.0))[:, 0] > 0).view(side, side).numpy()
    return len(bounded(region)) + len(bounded(~region))


@pytest.mark.parametrize("unit", UNITS)
def test_random_networks_of_width_two_have_no_bounded_region(unit: str) -> None:
    found = [n_bounded(random_network(2, depth, unit, seed)) for depth in (1, 2, 4) for seed in range(12)]
    assert found == [0] * len(found)


def test_three_relu_units_draw_a_triangle() -> None:
    """1 - sum of three relu(w . x) is positive on a bounded set; without one of the three it is not."""
    angles = torch.tensor([0.0, 2 * math.pi / 3, 4 * math.pi / 3])
    directions = torch.stack([angles.cos(), angles.sin()])  # (2, 3)
    for units, expected in ((3, 1), (2, 0)):
        assert n_bounded(lambda x, k=units: 1 - (x @ directions[:, :k]).relu().sum(1, keepdim=True)) == expected  # type: ignore[misc]


def test_a_sine_closes_at_width_two_because_it_is_not_monotone() -> None:
    assert n_bounded(lambda x: (math.pi / 2 * x).cos().sum(1, keepdim=True) - 1) > 0


# --- annulus --------------------------------------------------------------------------------------------------------


def trained(network: nn.Module, batch: Batch, steps: int) -> nn.Module:
    """A network after full-batch steps of Adam."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(network(batch.x), batch.y).backward()
        optimizer.step()
    return network.requires_grad_(False)


def tanh_network(width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))


def test_training_closes_the_boundary_at_width_eight_and_never_at_width_two() -> None:
    """The negative control: accurate or not, a network of width two has no bounded piece of class 0."""
    batch = split("annulus", "train")
    for seed in range(3):
        narrow, wide = (closure(trained(tanh_network(w, seed), batch, 250)(square_grid(SIDE, 3.0))) for w in (2, 8))
        assert narrow == {"bounded": 0.0, "closed": 0.0}
        assert wide["closed"] == 1.0


def test_the_slit_is_nearly_right_and_wrong() -> None:
    task = load("annulus")
    assert isinstance(task, Annulus)
    slit = task.references("w-2", Draw(task.spec.id, 0))["slit"]
    batch = split("annulus", "iid")
    assert 0.98 < task.evaluate(slit(batch), batch)["accuracy"] < 1
    assert closure(slit(split("annulus", "plane"))) == {"bounded": 0.0, "closed": 0.0}


def test_closed_asks_for_the_piece_in_the_middle_and_that_it_ends_within_the_ring() -> None:
    radius = square_grid(SIDE, 3.0).norm(dim=1)
    disc = class_logits(radius > 0.75, 2)
    assert closure(disc) == {"bounded": 1.0, "closed": 1.0}
    assert closure(class_logits(radius > 2.0, 2)) == {"bounded": 1.0, "closed": 0.0}  # beyond the ring
    assert closure(class_logits((radius < 0.3) | (radius > 0.75), 2)) == {"bounded": 1.0, "closed": 0.0}  # a hole
    far = class_logits((radius > 0.75) & ((square_grid(SIDE, 3.0) - 2).norm(dim=1) > 0.3), 2)
    assert closure(far) == {"bounded": 2.0, "closed": 1.0}  # an island that no example speaks of


def test_points_fill_the_disc_and_the_ring() -> None:
    batch = split("annulus", "train")
    radius = batch.x.norm(dim=1)
    disc, ring = radius[batch.y == 0], radius[batch.y == 1]
    assert len(disc) == len(ring)
    assert float(disc.max()) <= 0.5 and float(disc.square().mean()) == pytest.approx(0.125, abs=0.01)
    assert float(ring.min()) >= 1 and float(ring.max()) <= 1.5 and float(ring.mean()) == pytest.approx(1.25, abs=0.02)


# --- links ----------------------------------------------------------------------------------------------------------


def linking_number(first: Tensor, second: Tensor) -> float:
    """Gauss's integral over two closed curves (K, 3) of points in order."""
    step1, step2 = first.roll(-1, 0) - first, second.roll(-1, 0) - second
    middle1, middle2 = first + step1 / 2, second + step2 / 2
    apart = middle1[:, None] - middle2  # (K, K, 3)
    normal = torch.linalg.cross(step1[:, None].expand_as(apart), step2.expand_as(apart))
    return float(((apart * normal).sum(2) / apart.norm(dim=2) ** 3).sum() / (4 * math.pi))


@pytest.mark.parametrize(("name", "links"), [("links", 1), ("links-control", 0)])
def test_the_circles_are_linked_and_those_of_the_control_are_not(name: str, links: int) -> None:
    batch = split(name, "circles")
    first, second = (batch.x[batch.y == y].double()[::5] for y in (0, 1))
    assert abs(linking_number(first, second)) == pytest.approx(links, abs=1e-3)


def test_distances_from_the_circles() -> None:
    for name in ("links", "links-control"):
        task, batch = load(name), split(name, "circles")
        assert isinstance(task, Links)
        assert float(task.to_first(batch.x[batch.y == 0]).abs().max()) < 1e-6
        assert float(task.to_second(batch.x[batch.y == 1]).abs().max()) < 1e-6
    middle = torch.zeros(1, 3)
    assert float(load("links").to_first(middle)) == 1 and float(load("links").to_second(middle)) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "accuracy"), [("links", 2 / 3), ("links-control", 1.0)])
def test_what_a_plane_is_worth(name: str, accuracy: float) -> None:
    task, batch = load(name), split(name, "circles")
    half_space = task.references("w-3", Draw(task.spec.id, 0))["half-space"]
    scores = task.evaluate(half_space(batch), batch)
    assert scores["accuracy"] == pytest.approx(accuracy, abs=2e-3)
    assert scores["separated"] == float(accuracy == 1)


# --- spirals --------------------------------------------------------------------------------------------------------


def test_points_of_the_arms_by_hand() -> None:
    found = on_arms(torch.tensor([0.5, 0.5, 1.0]), torch.tensor([0, 1, 0]))
    assert torch.allclose(found, torch.tensor([[0.0, -0.75], [0.0, 0.75], [-1.5, 0.0]]), atol=1e-6)


def test_the_nearer_arm_keeps_both_whole_and_a_cut_does_not() -> None:
    plane = split("spirals", "plane")
    assert wholeness(class_logits(plane.y, 2)) == {"bounded": 0.0, "whole": 1.0}
    cut = (plane.x - on_arms(torch.tensor([0.7]), torch.tensor([0]))).norm(dim=1) < 0.1
    assert wholeness(class_logits(plane.y | cut, 2))["whole"] == 0


# --- scores ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_id", IDS)
def test_the_score_is_the_share_of_wide_widths_and_narrow_ones_are_no_part_of_it(task_id: str) -> None:
    task = load(task_id)
    conditions = [condition.name for condition in task.spec.conditions]
    draw = Draw(task.spec.id, 0)
    anchors = task.anchors(conditions[0], load_data(task, conditions[0], draw), draw)

    def summary(right: set[str]) -> Summary:
        def row(name: str) -> Row:
            scores = {s.name: {"accuracy": 1.0} for s in task.spec.splits if s.role != "train"}
            scores[task.where][task.shape] = float(name in right)
            return Row(scores, anchors)

        return task.summarize({name: row(name) for name in conditions})

    wide = [f"w-{width}" for width in task.wide]
    narrow = set(conditions) - set(wide)
    assert summary(narrow).scores["score"] == 0
    assert summary({wide[-1]}).scores["score"] == pytest.approx(1 / len(wide))
    assert summary({wide[-1]}).indices["width"] == task.wide[-1]
    assert summary(set(conditions)).indices["width"] == task.spec.conditions[0].params["width"]
    assert "width" not in summary(set()).indices


def test_conditions_turn_the_width_of_the_class() -> None:
    for condition in load("annulus").spec.conditions:
        assert dict(condition.hparams) == {"width": condition.params["width"]}
