"""shift/periodic: the curves, the simple continuations against integrals done by hand, and the score between them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import tasks
from tasks.seeds import Draw
from tasks.shift.periodic import CURVES, SIMPLE
from tasks.types import Batch, Row, Scores, load_data

TASK = tasks.load("shift/periodic-v1")
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)


def sample(condition: str, split: str, size: int | None = None) -> Batch:
    declared = SPEC.split(split)
    return TASK.sample(condition, replace(declared, size=size or declared.size), DRAW)


def scores_of(condition: str, name: str) -> Scores:
    """What a trial of a reference predictor would measure."""
    data = load_data(TASK, condition, DRAW)
    batch_of = {id(batch.x): batch for batch in data.values()}
    predictor = TASK.references(condition, DRAW)[name]
    return TASK.measure(condition, lambda x: predictor(batch_of[id(x)]), data)


def rows_of(name: str) -> dict[str, Row]:
    return {
        condition: Row(scores_of(condition, name), TASK.anchors(condition, load_data(TASK, condition, DRAW), DRAW))
        for condition in CURVES
    }


def r2_of(condition: str, name: str, size: int = 400_000) -> float:
    """r2 of a reference predictor on a large sample for 5 < |x| <= 10."""
    batch = sample(condition, "ood", size)
    return TASK.evaluate(TASK.references(condition, DRAW)[name](batch), batch)["r2"]


@pytest.mark.parametrize("condition", CURVES)
def test_slopes_and_means_are_those_of_the_curve(condition: str) -> None:
    curve = CURVES[condition]
    x = torch.linspace(-10, 10, 101, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(curve.value(x).sum(), x)
    assert torch.allclose(curve.slope(x), slope)
    inside = torch.linspace(-5, 5, 100_001, dtype=torch.float64)
    assert float(torch.trapezoid(curve.value(inside), inside)) / 10 == pytest.approx(curve.mean, abs=1e-8)


@pytest.mark.parametrize(
    ("split", "low", "high"),
    [("train", 0, 5), ("val", 0, 5), ("iid", 0, 5), ("ood", 5, 10), ("near", 5, 6), ("far", 10, 20)],
)
def test_inputs_are_uniform_in_their_ring_on_both_sides(split: str, low: float, high: float) -> None:
    x = sample("sin", split, 4_000).x
    assert float(x.abs().min()) > low
    assert float(x.abs().max()) <= high
    assert float(x.abs().mean()) == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    assert float((x > 0).float().mean()) == pytest.approx(0.5, abs=0.04)


def test_parabola_continuations_by_hand() -> None:
    """With t = |x| - 5 uniform on [0, 5]: E y = 35/6, Var y = 38.75 - (35/6)^2; the tangent misses t^2 / 10."""
    variance = 38.75 - (35 / 6) ** 2
    assert 1 - r2_of("square", "tangent") == pytest.approx(1.25 / variance, rel=0.01)
    # the mean inside is 5/6, so that every value is 5 too low on average
    assert 1 - r2_of("square", "constant") == pytest.approx(1 + 25 / variance, rel=0.01)
    # the end value is 2.5
    assert 1 - r2_of("square", "last_value") == pytest.approx(1 + (35 / 6 - 2.5) ** 2 / variance, rel=0.01)


def test_wave_continuations_by_hand() -> None:
    """sin is odd, so the mean is 0 on both sides; the end value misses by s + E over [5, 10] of s^2 - 2 s sin(5)."""
    variance = 0.5 - (math.sin(20) - math.sin(10)) / 20
    mean = (math.cos(5) - math.cos(10)) / 5
    assert 1 - r2_of("sin", "constant") == pytest.approx(1, rel=1e-3)
    expected = (variance - 2 * mean * math.sin(5) + math.sin(5) ** 2) / variance
    assert 1 - r2_of("sin", "last_value") == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("condition", "best"), [("sin", "constant"), ("x_plus_sin2", "tangent"), ("square", "tangent")]
)
def test_the_floor_is_the_best_simple_continuation(condition: str, best: str) -> None:
    anchors = TASK.anchors(condition, load_data(TASK, condition, DRAW), DRAW)
    assert anchors["ood"]["best_simple"] == anchors["ood"][best] == max(anchors["ood"][name] for name in SIMPLE)
    for values in anchors.values():
        assert values["best_simple"] == max(values[name] for name in SIMPLE) < values["oracle"] == 1.0


def test_simple_continuations_know_nothing_of_the_curve_inside() -> None:
    inside = torch.tensor([[-1.0], [2.0], [5.0]])
    batch = Batch(inside, CURVES["square"].value(inside))
    references = TASK.references("square", DRAW)
    assert references["last_value"](batch).flatten().tolist() == pytest.approx([2.5, 2.5, 2.5])
    assert references["tangent"](batch).flatten().tolist() == pytest.approx([-1.5, -0.5, 2.5])


def test_oracle_scores_one_and_no_simple_continuation_more_than_zero() -> None:
    oracle = TASK.summarize(rows_of("oracle"))
    assert oracle.scores["score"] == pytest.approx(1)
    assert oracle.trained
    assert oracle.indices["log10_error_sin"] == pytest.approx(-12)
    unclipped = {name: TASK.summarize(rows_of(name)) for name in SIMPLE}
    for summary in unclipped.values():
        assert summary.scores["score"] == 0.0
        assert summary.scores["score_unclipped"] <= 1e-9
        assert not summary.trained


def test_score_is_one_minus_the_ratio_of_errors_clipped_per_target() -> None:
    anchors = {"ood": {"best_simple": 0.75, "oracle": 1.0}}
    skills = {"sin": 0.9, "x_plus_sin2": 0.75, "square": -9.0}
    rows = {name: Row({"iid": {"r2": 1.0}, "ood": {"r2": skill}}, anchors) for name, skill in skills.items()}
    summary = TASK.summarize(rows)
    assert summary.scores["score_sin"] == pytest.approx(1 - 0.1 / 0.25)
    assert summary.scores["score_square"] == 0.0
    assert summary.scores["score"] == pytest.approx((0.6 + 0 + 0) / 3)
    assert summary.scores["score_unclipped"] == pytest.approx((0.6 + 0 + 1 - 10 / 0.25) / 3)
    assert summary.indices["log10_error_square"] == pytest.approx(1)


def test_a_fit_with_the_right_frequency_continues_the_wave_and_one_of_straight_lines_does_not() -> None:
    """Least squares on 1, x, sin x and cos x against 41 hinges: both fit inside, one knows the wave."""

    def waves(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.ones_like(x), x, x.sin(), x.cos()], 1)

    def hinges(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.ones_like(x), x, (x - torch.linspace(-4.75, 4.75, 39)).relu()], 1)

    train = sample("sin", "train")
    found = {}
    for name, features in (("waves", waves), ("hinges", hinges)):
        solution = torch.linalg.lstsq(features(train.x).double(), train.y.double()).solution
        found[name] = {
            split: TASK.evaluate(features(batch.x).double() @ solution, batch)["r2"]
            for split in ("iid", "ood")
            for batch in (sample("sin", split),)
        }
    assert found["waves"]["iid"] > 0.999
    assert found["hinges"]["iid"] > 0.999
    assert found["waves"]["ood"] > 0.999
    assert found["hinges"]["ood"] < 0
