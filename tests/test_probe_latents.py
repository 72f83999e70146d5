"""features/probe: what known features hold, invariances of the reading, data of one world in all conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

import tasks
from tasks.features.probe import N_INPUTS, TASKS, Probe, held_latents, mixed, ridge, targets
from tasks.seeds import Draw, generator
from tasks.types import Batch, Row, Scores, Trained, load_data

TASK = cast(Probe, tasks.load("features/probe-v1"))
DRAW = Draw(TASK.spec.id, 0)
DATA = load_data(TASK, "t4", DRAW)


def latent(batch: Batch) -> Tensor:
    assert batch.latent is not None
    return batch.latent


def held(scales: Tensor) -> dict[str, float]:
    """What features hold that are the eight latents, each of its own size."""
    fit, test = DATA["probes"], DATA["iid"]
    return held_latents(latent(fit) * scales, fit, latent(test) * scales, test)


def test_large_relevant_latents_are_held_alone_and_small_ones_only_by_the_full_probe() -> None:
    found = held(torch.tensor([10.0] * 4 + [1, 1, 1, 1]))
    assert found["relevant"] == pytest.approx(1, abs=1e-3)
    assert found["irrelevant"] < 0.6  # two of four at most
    assert found["relevant_full"] == pytest.approx(1, abs=1e-3)
    assert found["irrelevant_full"] > 0.98  # less the penalty


def test_large_irrelevant_latents_are_held_instead() -> None:
    found = held(torch.tensor([1.0] * 4 + [10] * 4))
    assert found["irrelevant"] == pytest.approx(1, abs=1e-3)
    assert found["relevant"] < 0.6


def test_the_reading_does_not_depend_on_rotation_shift_or_scale() -> None:
    fit, test = DATA["probes"], DATA["iid"]
    turn = torch.linalg.qr(torch.randn(N_INPUTS, N_INPUTS, generator=generator("turn"))).Q
    plain = held_latents(fit.x, fit, test.x, test)
    assert held_latents(7 * fit.x @ turn + 3, fit, 7 * test.x @ turn + 3, test) == pytest.approx(plain, abs=1e-4)


def test_constant_features_hold_nothing() -> None:
    fit, test = DATA["probes"], DATA["iid"]
    found = held_latents(torch.ones(len(fit), 9), fit, torch.ones(len(test), 9), test)
    assert max(abs(value) for value in found.values()) < 0.01


def test_ridge_by_hand() -> None:
    """x'x = 2, the penalty .002, x'(y - mean) = 6: the coefficient is 6 / 2.002."""
    x, y = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([[5.0], [-1.0]]).double()
    assert ridge(x, y, torch.tensor([[2.0]]).double()).item() == pytest.approx(2 + 2 * 6 / 2.002)


def test_conditions_share_their_world_and_a_seed_changes_it() -> None:
    batch = DATA["iid"]
    assert torch.equal(batch.x, mixed(latent(batch), DRAW))
    assert torch.equal(batch.y, targets(latent(batch), DRAW)[:, :4])
    one = TASK.sample("t1", TASK.spec.split("iid"), DRAW)
    assert torch.equal(one.y, targets(latent(one), DRAW)[:, :1])
    assert not torch.allclose(mixed(latent(batch), replace(DRAW, seed=1)), batch.x, atol=0.1)


def test_targets_depend_on_the_first_four_latents_alone() -> None:
    values = latent(DATA["iid"]).clone()
    before = targets(values, DRAW)
    values[:, 4:] = 0
    assert torch.equal(targets(values, DRAW), before)


def test_a_trained_model_is_asked_for_its_features_and_a_function_for_its_outputs() -> None:
    def no_instance(number: int) -> None:
        raise AssertionError

    def first_inputs(x: Tensor) -> Tensor:
        return x[:, :4]

    trained = Trained(first_inputs, no_instance, lambda x: x)  # type: ignore[arg-type]
    by_features, by_outputs = (TASK.measure("t4", predict, DATA)["iid"] for predict in (trained, first_inputs))
    fit, test = DATA["probes"], DATA["iid"]
    assert by_features["relevant_full"] == held_latents(fit.x, fit, test.x, test)["relevant_full"]
    assert by_outputs["relevant_full"] < by_features["relevant_full"]


def test_selectivity_by_hand() -> None:
    def row(relevant: float, irrelevant: float) -> Row:
        held = {"relevant": relevant, "irrelevant": irrelevant, "relevant_full": 0.9, "irrelevant_full": 0.8}
        scores: Scores = {"iid": {"r2": 0.9, **held}, "probes": {"r2": 0.9}}
        return Row(scores, {})

    found = TASK.summarize({f"t{n}": row(0.8, 0.2) if n > 1 else row(0.4, 0.4) for n in TASKS})
    assert found.indices["selectivity"] == pytest.approx(0.45)
    assert found.indices["relevant_t1"] == 0.4
    assert found.indices["irrelevant_full"] == pytest.approx(0.8)
    assert found.trained
