"""hardness/staircase: targets and Fourier coefficients by hand, what a line explains, times, a network that climbs."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch

import tasks
from baselines.models.mlp import Mlp
from tasks.hardness.staircase import BACKGROUNDS, N_SIGNS, TERMS, Staircase, target
from tasks.seeds import Draw
from tasks.sources import boolean_cube
from tasks.types import Batch, Row, Scores

TASK = cast(Staircase, tasks.load("hardness/staircase-v1"))
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)


def patterns(name: str) -> Batch:
    return TASK.sample(name, SPEC.at(name).split("patterns"), DRAW)


def measured(name: str, predictor: str) -> dict[str, float]:
    """What a reference predictor has on the patterns of a target."""
    batch = patterns(name)
    return dict(TASK.evaluate(TASK.references(name, DRAW)[predictor](batch), batch))


# --- targets --------------------------------------------------------------------------------------------------------


def test_targets_by_hand() -> None:
    x = -torch.ones(1, N_SIGNS)
    x[0, 7] = 1
    places = torch.tensor([3, 7, 5, 9])
    expected = {"stair3": -1.0 - 1 + 1, "leap2": -1.0 + 1, "mono3": 1.0, "stair4": -1.0 - 1 + 1 - 1, "mono4": -1.0}
    assert {name: float(target(name, x, places)) for name in TERMS} == expected


@pytest.mark.parametrize("name", TERMS)
def test_terms_have_coefficient_1_in_the_target_and_all_other_products_0(name: str) -> None:
    k = max(TERMS[name])
    coefficients = boolean_cube.walsh_hadamard(target(name, boolean_cube.points(k), torch.arange(k))[:, 0])
    expected = torch.zeros(2**k, dtype=torch.float64)
    expected[[boolean_cube.monomial(range(degree)) for degree in TERMS[name]]] = 1
    assert torch.equal(coefficients, expected)


@pytest.mark.parametrize("name", TERMS)
def test_patterns_show_the_whole_cube_of_the_relevant_signs_for_each_background(name: str) -> None:
    batch, places = patterns(name), TASK.relevant_places(name, DRAW)
    assert batch.latent is not None
    cube = boolean_cube.points(len(places))
    by_background = batch.x.view(BACKGROUNDS, len(cube), N_SIGNS)
    assert torch.equal(by_background[:, :, places], cube.expand(BACKGROUNDS, -1, -1))
    others = [i for i in range(N_SIGNS) if i not in places]
    assert torch.equal(by_background[:, :, others], by_background[:, :1, others].expand(-1, len(cube), -1))
    assert len(by_background[:, 0].unique(dim=0)) == BACKGROUNDS


@pytest.mark.parametrize("name", TERMS)
def test_coefficients_of_the_target_are_its_terms(name: str) -> None:
    found = measured(name, "oracle")
    for degree in range(1, max(TERMS[name]) + 1):
        assert found[f"coefficient_{degree}"] == float(degree in TERMS[name])


def test_coefficients_are_exact_whatever_the_output_makes_of_other_signs() -> None:
    batch, places = patterns("stair3"), TASK.relevant_places("stair3", DRAW)
    outputs = batch.x @ torch.linspace(-1, 1, N_SIGNS)[:, None]
    found = TASK.evaluate(outputs, batch)
    assert found["coefficient_1"] == pytest.approx(float(torch.linspace(-1, 1, N_SIGNS)[places[0]]), abs=1e-6)
    assert (found["coefficient_2"], found["coefficient_3"]) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize(("name", "share"), [("stair3", 1 / 3), ("leap2", 1 / 2), ("mono3", 0), ("stair4", 1 / 4)])
def test_a_line_explains_its_share(name: str, share: float) -> None:
    assert measured(name, "line")["r2"] == pytest.approx(share, abs=1e-6)


def test_a_line_is_below_the_gate() -> None:
    shares = [measured(name, "line")["r2"] for name in TERMS]
    assert 0.2 < sum(shares) / len(shares) < SPEC.gate


# --- times ----------------------------------------------------------------------------------------------------------


def scores_at(r2: float, *coefficients: float) -> Scores:
    probe = {f"coefficient_{degree}": value for degree, value in enumerate(coefficients, 1)}
    return {"iid": {"r2": r2}, "val": {"r2": r2}, "test": {"r2": r2}, "patterns": {"r2": r2, **probe}}


def row(*points: tuple[int, Scores]) -> Row:
    return Row(points[-1][1], {}, points)


def test_times_and_speedups_by_hand() -> None:
    climbing = row(
        (100, scores_at(0.3, 0.6, 0.4, 0.1)), (200, scores_at(0.7, 1, 0.6, 0.4)), (400, scores_at(1, 1, 1, 1))
    )
    rows = {
        "stair3": climbing,
        "leap2": row((1_000, scores_at(0.96))),
        "mono3": row((100, scores_at(0)), (2_000, scores_at(0.96))),
        "stair4": row((1_000, scores_at(0.96))),
        "mono4": row((10_000, scores_at(0.0))),
    }
    found = TASK.summarize(rows)
    expected = {"steps_stair3": 400, "steps_leap2": 1_000, "steps_mono3": 2_000, "steps_stair4": 1_000, "speedup_3": 5}
    assert found.indices == pytest.approx(expected | {"learned_at_1": 100, "learned_at_2": 200, "learned_at_3": 400})
    assert found.scores["score_leap2"] == pytest.approx(0.5)
    assert (found.scores["score_mono4"], found.scores["solved"]) == (0, 0.8)
    estimator = replace(climbing, curve=((0, climbing.scores),))
    assert TASK.summarize(dict.fromkeys(TERMS, estimator)).indices == {}


# --- the phenomenon -------------------------------------------------------------------------------------------------


def test_a_network_has_the_third_step_of_a_staircase_long_before_the_same_term_alone() -> None:
    """2 x 128 ReLU units, 400 steps of plain SGD at a rate of .05."""
    assert third_coefficient("stair3", steps=400) > 0.8
    assert third_coefficient("mono3", steps=400) < 0.4


def third_coefficient(name: str, steps: int) -> float:
    torch.manual_seed(0)
    net, order = Mlp(SPEC.problem), DRAW.generator("order")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    train, probe = TASK.sample(name, SPEC.split("train"), DRAW), patterns(name)
    for _ in range(steps):
        chosen = torch.randint(len(train), (64,), generator=order)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(net(train.x[chosen]), train.y[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        return TASK.evaluate(net(probe.x), probe)["coefficient_3"]
