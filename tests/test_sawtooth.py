"""hardness/sawtooth: what one layer cannot, what two units a layer can, labels near points, summaries."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from typing import cast

import pytest
import torch
from torch import Tensor, nn

import tasks
from tasks.hardness.sawtooth import SIZES, Sawtooth, phase
from tasks.seeds import Draw
from tasks.types import Row

TASK = cast(Sawtooth, tasks.load("hardness/sawtooth-v1"))
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)

# --- what exists ----------------------------------------------------------------------------------------------------


def bound(n: int, width: int) -> float:
    """The best accuracy of one hidden layer of ReLU units on n alternating points, from the notes of the card."""
    return 1 - max(0, n - width - 2) / (2 * n)


def test_runs_of_equal_labels_bound_the_accuracy() -> None:
    """All 4,096 labellings of 12 alternating points: with r runs at most (n + r) / 2 of them are right."""
    n, best = 12, dict.fromkeys(range(1, 13), 0)
    for labels in product((0, 1), repeat=n):
        runs = 1 + sum(a != b for a, b in pairwise(labels))
        best[runs] = max(best[runs], sum(label == i % 2 for i, label in enumerate(labels)))
    for runs in range(2, n + 1):
        most = max(best[r] for r in range(1, runs + 1))
        assert most == (n + runs) // 2
        assert most <= n * bound(n, width=runs - 2) + 1e-9


@pytest.mark.parametrize("width", [1, 3, 6])
def test_one_hidden_layer_has_at_most_two_more_runs_than_units(width: int) -> None:
    x = torch.linspace(-3, 3, 2_001)[:, None]
    for seed in range(50):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, 1))
        with torch.no_grad():
            signs = net(x)[:, 0] > 0
        assert int((signs[1:] != signs[:-1]).sum()) + 1 <= width + 2


@pytest.mark.parametrize("k", [1, 4, 6])
def test_k_layers_of_two_units_alternate_on_two_to_the_k_points(k: int) -> None:
    def tent(t: Tensor) -> Tensor:
        return 2 * t.relu() - 4 * (t - 0.5).relu()

    t = torch.arange(2**k) / 2**k
    for _ in range(k):
        t = tent(t)
    assert torch.equal(t, torch.arange(2**k) % 2.0)


# --- data and scores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES)
def test_points_are_evenly_spaced_and_tests_within_a_quarter_of_a_spacing(n: int) -> None:
    spec = SPEC.at(f"n{n}")
    train = TASK.sample(f"n{n}", spec.split("train"), DRAW)
    spacing = 2 / n
    assert torch.allclose(train.x[1:] - train.x[:-1], torch.tensor(spacing), atol=1e-5)
    assert train.x[0].item() == pytest.approx(-1 + spacing * phase(f"n{n}", DRAW), abs=1e-6)
    assert train.y.tolist() == [0, 1] * (n // 2)
    test = TASK.sample(f"n{n}", spec.split("test"), DRAW)
    distance, nearest = (test.x - train.x.T).abs().min(1)
    assert float(distance.max()) < spacing / 4 + 1e-5 < spacing / 2
    assert torch.equal(train.y[nearest], test.y)
    assert torch.equal(TASK.sample(f"n{n}", spec.split("fitted"), DRAW).x, train.x)


def test_the_phase_is_drawn_per_world() -> None:
    phases = [phase("n16", replace(DRAW, seed=seed)) for seed in range(50)]
    assert min(phases) < 0.1
    assert max(phases) > 0.9


def test_summary_by_hand() -> None:
    def row(*points: tuple[int, float]) -> Row:
        curve = [(s, {split: {"accuracy": a} for split in ("val", "iid", "test", "fitted")}) for s, a in points]
        return Row(curve[-1][1], {"test": {"chance": 0.5, "oracle": 1.0}}, curve)

    rows = {"n16": row((50, 0.75), (400, 1.0)), "n32": row((4_000, 0.75)), "n64": row((4_000, 0.5))}
    found = TASK.summarize(rows)
    assert [found.scores[f"score_{name}"] for name in rows] == [1, 0.5, 0]
    assert found.indices == {"fitted_n16": 1, "fitted_n32": 0.75, "fitted_n64": 0.5, "steps_n16": 400}
