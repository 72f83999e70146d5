"""simplicity/modular-sum: labels and class shares by counting, the parts of the cube, the slope, trained networks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

import tasks
from baselines.models.mlp import Activation, Mlp
from tasks.seeds import Draw
from tasks.simplicity.modular_sum import MODULI, SIZES, frequency_slope, label, share_of_ones
from tasks.types import Data, Row, Summary, load_data

TASK = tasks.load("simplicity/modular-sum-v1")
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)


def summary_of(name: str) -> Summary:
    """What a reference predictor scores."""
    rows = {}
    for condition in MODULI:
        data = load_data(TASK, condition, DRAW)
        batch_of = {id(batch.x): batch for batch in data.values()}
        predictor = TASK.references(condition, DRAW)[name]

        def predict(x: Tensor, predictor=predictor, batch_of=batch_of) -> Tensor:  # type: ignore[no-untyped-def]
            return predictor(batch_of[id(x)])

        rows[condition] = Row(TASK.measure(condition, predict, data), TASK.anchors(condition, data, DRAW))
    return TASK.summarize(rows)


@pytest.mark.parametrize(
    ("point", "modulus", "expected"),
    [
        ([3, 9, 0], 10, 1),  # 2 <= 5
        ([3, 9, 3], 10, 1),  # 5 <= 5
        ([3, 9, 4], 10, 0),  # 6 > 5
        ([3, 9, 5], 7, 1),  # 3 <= 3.5
        ([3, 9, 6], 7, 0),  # 4 > 3.5
        ([3, 9, 3], 4, 0),  # 3 > 2
        ([15, 15, 15], 4, 1),  # 45 mod 4 = 1
    ],
)
def test_labels_by_hand(point: list[int], modulus: int, expected: int) -> None:
    assert label(torch.tensor([point]), modulus).tolist() == [expected]


@pytest.mark.parametrize("modulus", list(MODULI.values()))
def test_share_of_class_one_by_convolution(modulus: int) -> None:
    """The distribution of the sum of three dice with 16 sides."""
    side = np.ones(16) / 16
    of_sum = np.convolve(np.convolve(side, side), side)
    expected = sum(p for s, p in enumerate(of_sum) if s % modulus in range(modulus // 2 + 1))
    assert share_of_ones(modulus) == pytest.approx(expected, abs=1e-12)
    assert expected > 0.5


def test_the_splits_are_disjoint_and_fill_the_cube_and_are_the_same_for_every_modulus() -> None:
    data = {condition: load_data(TASK, condition, DRAW) for condition in MODULI}
    points = [tuple(p) for s in SIZES for p in data["mod-10"][s].latent.tolist()]  # type: ignore[union-attr]
    assert sorted(points) == list(itertools.product(range(16), repeat=3))
    for condition, modulus in MODULI.items():
        for split in SIZES:
            batch = data[condition][split]
            assert torch.equal(batch.x, data["mod-10"][split].x)
            # back from [-2, 2] without the latents
            integers = ((batch.x + 2) * 15 / 4).round().long()
            assert torch.equal(batch.y, (integers.sum(1) % modulus <= modulus / 2).long())
    x = torch.cat([data["mod-4"][s].x for s in SIZES])
    assert (float(x.min()), float(x.max())) == (-2, 2)


def test_the_oracle_scores_one_and_the_more_frequent_class_zero_at_every_modulus() -> None:
    oracle, majority = summary_of("oracle"), summary_of("majority")
    names = ["score", "score_unclipped", *(f"score_{condition}" for condition in MODULI)]
    assert [oracle.scores[name] for name in names] == [1.0] * 5
    assert [majority.scores[name] for name in names] == [0.0] * 5
    assert oracle.indices == {"slope": pytest.approx(0)}
    assert majority.indices == {}
    assert oracle.scores["accuracy_over_chance"] == 1
    # (.5957 + .5723 + .75) / 3 in the cube, within four standard errors of 3 x 500 points
    expected = np.mean([2 * share_of_ones(m) - 1 for m in MODULI.values()])
    assert majority.scores["accuracy_over_chance"] == pytest.approx(expected, abs=4 * 2 * 0.5 / np.sqrt(1500))
    assert not majority.trained


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([1, 1, 1], 0),
        ([0.9, 0.9 - 0.2 * (1 / 7 - 0.1) / 0.15, 0.7], -0.2),  # on a line
        ([1, 1, 0], -28 / 26),
        ([1, 0, 0], -21 / 26),
        ([0.5, 0.5, 1], 14 / 26),
        ([0.49, 1, 1], None),
    ],
)
def test_slope_is_the_fitted_change_from_the_lowest_to_the_highest_frequency(
    scores: list[float], expected: float | None
) -> None:
    frequencies = [1 / 10, 1 / 7, 1 / 4]
    found = frequency_slope(dict(zip(frequencies, scores, strict=True)))
    if expected is None:
        assert found is None
        return
    assert found == pytest.approx(expected, abs=1e-9)
    assert found == pytest.approx(np.polyfit(frequencies, scores, 1)[0] * 0.15)


def accuracy_at_four(activation: Activation, data: Data, steps: int) -> float:
    """Held-out accuracy of a 2 x 128 network at M = 4."""
    torch.manual_seed(0)
    net, order = Mlp(SPEC.problem, activation=activation), DRAW.generator("order")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(steps):
        chosen = torch.randint(SIZES["train"], (256,), generator=order)
        loss = torch.nn.functional.cross_entropy(net(data["train"].x[chosen]), data["train"].y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return TASK.measure("mod-4", net, data)["ood"]["accuracy"]


def test_sines_follow_the_narrowest_stripes_and_relu_stays_at_the_more_frequent_class() -> None:
    data = load_data(TASK, "mod-4", DRAW)
    majority = TASK.anchors("mod-4", data, DRAW)["ood"]["majority"]
    assert accuracy_at_four("relu", data, 400) == pytest.approx(majority, abs=0.03)
    assert accuracy_at_four("sine", data, 600) > majority + 0.15
