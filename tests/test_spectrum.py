"""simplicity/spectrum: amplitudes of known functions, the order by hand, straight lines, and trained networks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import tasks
from baselines.models.mlp import Activation, Mlp
from tasks.seeds import Draw
from tasks.simplicity import spectrum
from tasks.simplicity.spectrum import AMPLITUDES, amplitudes, over_time
from tasks.sources.learning_order import learning_order
from tasks.types import Batch, Row, Scores, load_data

TASK = tasks.load("simplicity/spectrum-v1")
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)
TAU = 2 * math.pi


def sample(split: str, seed: int = 0) -> Batch:
    return TASK.sample("default", SPEC.split(split), replace(DRAW, seed=seed))


def interval(batch: Batch) -> Tensor:
    """x (N, 1) back to t (N,) in [0, 1)."""
    return batch.x[:, 0].double() / math.sqrt(12) + 0.5


def sines(t: Tensor) -> Tensor:
    """Sine and cosine of every frequency (N, 20)."""
    angles = TAU * t.unsqueeze(1) * torch.arange(1, 11)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def curve_of(first: list[int | None], steps: int = 10) -> list[tuple[int, Scores]]:
    """Amplitudes that jump from 0 to 1 at given steps (None: never), measured at 1 ... steps."""
    return [
        (
            step,
            {"iid": {k: float(at is not None and step >= at) for k, at in zip(AMPLITUDES, first, strict=True)}},
        )
        for step in range(1, steps + 1)
    ]


# --- data -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "val", "iid"])
def test_the_target_has_every_frequency_alike_and_no_other(split: str) -> None:
    y = sample(split).y[:, 0].double()
    assert amplitudes(y).tolist() == pytest.approx([1] * 10, abs=1e-5)
    power = torch.fft.rfft(y).abs().square()
    assert float(power[1:11].sum() / power.sum()) == pytest.approx(1, abs=1e-10)
    assert float(y.mean()) == pytest.approx(0, abs=1e-6)
    assert float(y.square().mean()) == pytest.approx(1, abs=1e-5)


def test_the_splits_are_one_function_on_three_grids() -> None:
    """Sines fitted to the training points go through the points of the others."""
    train = sample("train")
    weights = torch.linalg.lstsq(sines(interval(train)), train.y.double()).solution
    for split in ("val", "iid"):
        batch = sample(split)
        assert torch.allclose(sines(interval(batch)) @ weights, batch.y.double(), atol=1e-4)
    spacing = (interval(sample("iid")) - interval(train)) * 128
    assert torch.allclose(spacing, torch.full((128,), 2 / 3, dtype=torch.float64), atol=1e-4)


def test_phases_are_uniform_over_worlds() -> None:
    """Mean resultant of 300 x 10 phases: 1 / sqrt(3000) in root mean square; four times that is allowed."""
    angles = []
    for seed in range(300):
        batch = sample("train", seed)
        coefficients = torch.linalg.lstsq(sines(interval(batch)), batch.y.double()).solution[:, 0]
        angles.append(torch.atan2(coefficients[10:], coefficients[:10]))
    angle = torch.cat(angles)
    assert float(torch.hypot(angle.cos().mean(), angle.sin().mean())) < 4 / math.sqrt(len(angle))


def test_a_straight_line_does_not_pass_the_gate() -> None:
    """R2 of a line on the sum of sin(2 pi k t + p_k) is 2.4 (sum of cos(p_k) / (2 pi k))^2: mean .047, at most .522."""
    harmonic = [1 / (TAU * k) for k in range(1, 11)]
    mean, largest = 2.4 * sum(h * h for h in harmonic) / 2, 2.4 * sum(harmonic) ** 2
    assert (mean, largest) == (pytest.approx(0.047, abs=5e-4), pytest.approx(0.522, abs=5e-4))
    assert largest < SPEC.gate
    t = torch.arange(20_000, dtype=torch.float64) / 20_000
    y = torch.sin(TAU * t.unsqueeze(1) * torch.arange(1, 11)).sum(1)
    assert float(torch.corrcoef(torch.stack([t, y]))[0, 1] ** 2) == pytest.approx(largest, abs=1e-3)


# --- measures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1 / 3])
def test_amplitudes_of_two_sines_on_any_grid(offset: float) -> None:
    t = (torch.arange(128) + offset) / 128
    values = 5 + 3 * torch.sin(TAU * 4 * t + 0.7) - 0.5 * torch.cos(TAU * 9 * t) + torch.sin(TAU * 20 * t)
    unit = math.sqrt(2 / 10)
    expected = [0, 0, 0, 3 / unit, 0, 0, 0, 0, 0.5 / unit, 0]
    assert amplitudes(values).tolist() == pytest.approx(expected, abs=1e-4)


def test_the_amplitudes_of_a_model_stand_among_its_scores() -> None:
    """Half the function has amplitudes of a half; the mean square error is then a quarter."""
    data = load_data(TASK, "default", DRAW)
    half = {id(batch.x): batch.y / 2 for batch in data.values()}
    scores = TASK.measure("default", lambda x: half[id(x)], data)
    assert [scores["iid"][k] for k in AMPLITUDES] == pytest.approx([0.5] * 10, abs=1e-5)
    assert scores["iid"]["r2"] == pytest.approx(0.75, abs=1e-5)


@pytest.mark.parametrize(
    ("first", "order"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 1.0),
        ([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], -1.0),
        (
            [1, 1, 1, 1, 1, 2, 2, 2, 2, 2],
            25 / math.sqrt(825),
        ),  # ranks 3 and 8: covariance 125 / 9, variances 62.5, 82.5
        ([1, 2, 3, 4, None, None, None, None, None, None], 0.8876),
        ([3] * 10, None),
        ([None] * 10, None),
    ],
)
def test_order_by_hand(first: list[int | None], order: float | None) -> None:
    found = over_time(curve_of(first)).get("order")
    assert found == (None if order is None else pytest.approx(order, abs=1e-4))


def test_those_never_learned_share_the_last_rank() -> None:
    """Four in turn and six never: ranks 1 2 3 4 7.5 x 6, whose covariance with 1 ... 10 by hand gives .8876."""
    ranks = [1, 2, 3, 4] + [7.5] * 6
    covariance = sum((k - 5.5) * (r - 5.5) for k, r in enumerate(ranks, 1))
    expected = covariance / math.sqrt(82.5 * sum((r - 5.5) ** 2 for r in ranks))
    assert learning_order([1, 2, 3, 4] + [math.inf] * 6) == pytest.approx(expected)
    assert expected == pytest.approx(0.8876, abs=1e-4)


def test_the_first_step_counts_even_if_the_amplitude_falls_again() -> None:
    once = {"iid": dict.fromkeys(AMPLITUDES, 0.0) | {"amplitude_9": 0.8}}
    later = {"iid": dict.fromkeys(AMPLITUDES, 1.0) | {"amplitude_9": 0.79}}
    # the ninth at step 1, all others at 2: ranks 1 and 6, centred -4.5 and .5 against 3.5
    order = over_time([(1, once), (2, later)])["order"]
    assert order == pytest.approx((3.5 * -4.5 - 3.5 * 0.5) / math.sqrt(82.5 * 22.5))


def test_unlearned_area_is_the_missing_amplitude_over_training() -> None:
    assert over_time(curve_of([None] * 10))["unlearned_area"] == 1
    assert over_time(curve_of([1] * 10))["unlearned_area"] == 0
    assert over_time(curve_of([6] * 10))["unlearned_area"] == pytest.approx(0.5)
    too_much = {"iid": dict.fromkeys(AMPLITUDES, 3.0)}
    nothing = {"iid": dict.fromkeys(AMPLITUDES, 0.0)}
    assert over_time([(1, too_much), (2, nothing)])["unlearned_area"] == pytest.approx(0.5)


def test_a_single_point_has_no_order() -> None:
    data = load_data(TASK, "default", DRAW)
    exact = {id(batch.x): batch.y for batch in data.values()}
    scores = TASK.measure("default", lambda x: exact[id(x)], data)
    summary = TASK.summarize({"default": Row(scores, {}, [(0, scores)])})
    assert summary.indices == {"learned_frequencies": 10.0}
    assert summary.trained
    assert summary.scores == {}


# --- the phenomenon -------------------------------------------------------------------------------------------------


def train(activation: Activation, steps: int, every: int) -> dict[str, float]:
    """The indices of a 2 x 128 network after some full-batch steps of Adam."""
    torch.manual_seed(0)
    net = Mlp(SPEC.problem, activation=activation)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    data, curve = load_data(TASK, "default", DRAW), []
    for step in range(1, steps + 1):
        loss = (net(data["train"].x) - data["train"].y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % every == 0:
            with torch.no_grad():
                curve.append((step, TASK.measure("default", net, data)))
    return spectrum.over_time(curve)


def test_relu_learns_low_frequencies_first_and_sines_nearly_all_at_once() -> None:
    relu, sine = train("relu", 300, 20), train("sine", 300, 20)
    assert relu["order"] > 0.85  # four of ten in turn are .89
    assert relu["unlearned_area"] > 0.4 > 0.2 > sine["unlearned_area"]
