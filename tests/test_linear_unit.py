"""shift/linear-unit-*: closed forms against large samples, permutation, scrambling, and what least squares does."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import tasks
from tasks.seeds import Draw
from tasks.shift.linear_unit import LinearUnit, random_rotation
from tasks.sources.invariance_examples import CauseAndEffect, CowsAndCamels, SecondMoments, SmallMargin
from tasks.types import Batch, load_data

PLAIN = ("1", "2", "3")
VARIANTS = ("1", "1s", "2", "2s", "3", "3s")
MANY = 300_000


def load(variant: str) -> LinearUnit:
    task = tasks.load(f"shift/linear-unit-{variant}-v1")
    assert isinstance(task, LinearUnit)
    return task


def draw(task: LinearUnit, seed: int = 0) -> Draw:
    return Draw(task.spec.id, seed)


def sample(task: LinearUnit, split: str, size: int = MANY, seed: int = 0) -> Batch:
    return task.sample("default", replace(task.spec.split(split), size=size), draw(task, seed))


def measured(task: LinearUnit, predictor: str, split: str, seed: int = 0) -> dict[str, float]:
    """The metrics of a reference predictor on a large split."""
    batch = sample(task, split, seed=seed)
    return dict(task.evaluate(task.references("default", draw(task, seed))[predictor](batch), batch))


def within(share: float, probability: float, n: int) -> bool:
    """Whether a share of n is within 4 standard errors of its probability."""
    return abs(share - probability) <= 4 * math.sqrt(probability * (1 - probability) / n)


def cause_and_effect(seed: int = 0) -> CauseAndEffect:
    task = load("1")
    world = task.world(draw(task, seed))
    assert isinstance(world, CauseAndEffect)
    return world


def pooled_moments(world: CauseAndEffect) -> SecondMoments:
    return SecondMoments.pooled([world.moments(env) for env in range(3)])


def test_example_1_oracle_risk() -> None:
    assert CauseAndEffect.oracle_risk() == pytest.approx(10.4333, abs=5e-5)
    risks = measured(load("1"), "oracle", "ood")
    for env, scale in enumerate((0.1, 1.5, 2.0)):
        expected = 5 * scale**2
        assert abs(risks[f"mse_env{env}"] - expected) < 4 * expected * math.sqrt(2 / (MANY // 3))
    assert risks["mse"] == pytest.approx(np.mean([risks[f"mse_env{e}"] for e in range(3)]), rel=1e-6)


@pytest.mark.parametrize("env", [0, 1, 2])
@pytest.mark.parametrize("permuted", [False, True])
def test_example_1_second_moments_are_those_of_a_large_sample(env: int, permuted: bool) -> None:
    batch = sample(load("1"), "ood" if permuted else "train")
    member = batch.env == env
    assert batch.latent is not None
    z, t = batch.latent[member].double(), batch.y[member, 0].double()
    moments = cause_and_effect().moments(env)
    if permuted:
        moments = moments.permuted()
    for values, expected in (
        (z[:, :, None] * z[:, None, :], moments.features),
        (z * t[:, None], moments.cross),
        (t * t, torch.tensor(moments.target, dtype=torch.float64)),
    ):
        standard_error = values.std(0) / math.sqrt(len(values))
        assert bool(((values.mean(0) - expected).abs() < 4.5 * standard_error).all())


def test_example_1_shortcut_is_least_squares_on_a_large_sample() -> None:
    task, world = load("1"), cause_and_effect()
    train = sample(task, "train")
    fitted = np.linalg.lstsq(train.x.double().numpy(), train.y[:, 0].double().numpy(), rcond=None)[0]
    weights = pooled_moments(world).least_squares()
    np.testing.assert_allclose(fitted, weights.numpy(), atol=0.03)
    for split, moments in (("iid", pooled_moments(world)), ("ood", pooled_moments(world).permuted())):
        assert measured(task, "shortcut", split)["mse"] == pytest.approx(moments.risk(weights), rel=0.02)


def test_example_1_population_erm_averages_the_closed_form_over_worlds() -> None:
    """13.274 +- 1.466 over 4,000 worlds, by environment 1.537, 14.197 and 24.088."""
    worlds, risks = 2000, []
    for seed in range(worlds):
        world = CauseAndEffect.draw(torch.Generator().manual_seed(seed))
        weights = pooled_moments(world).least_squares()
        risks.append([world.moments(env).permuted().risk(weights) for env in range(3)])
    for values, expected in zip(np.array(risks).T, (1.537, 14.197, 24.088), strict=True):
        assert abs(values.mean() - expected) < 3 * values.std() * math.sqrt(1 / worlds + 1 / 4000)
    total = np.array(risks).mean(1)
    assert abs(total.mean() - 13.274) < 3 * total.std() * math.sqrt(1 / worlds + 1 / 4000)
    assert total.std() == pytest.approx(1.466, rel=0.1)


def test_least_squares_on_the_suites_own_data_is_the_shortcut_and_gives_the_published_picture() -> None:
    task, worlds = load("1"), 30
    test_errors, scores = [], []
    for seed in range(worlds):
        data = load_data(task, "default", draw(task, seed))
        weights = torch.linalg.lstsq(data["train"].x.double(), data["train"].y.double()).solution
        anchors = task.anchors("default", data, draw(task, seed))["ood"]
        test_errors.append(float((data["ood"].x.double() @ weights - data["ood"].y).square().mean()))
        scores.append((test_errors[-1] - anchors["shortcut"]) / (anchors["oracle"] - anchors["shortcut"]))
    assert abs(np.mean(test_errors) - 13.363) < 3 * 1.487 * math.sqrt(1 / worlds + 1 / 50)
    assert abs(np.median(scores)) < 0.1


def test_scrambling_changes_nothing_for_least_squares() -> None:
    task = load("1s")
    train, test = sample(task, "train", 3000), sample(task, "ood", 3000)
    assert train.latent is not None and test.latent is not None
    target = train.y.double()
    scrambled = test.x.double() @ torch.linalg.lstsq(train.x.double(), target).solution
    plain = test.latent.double() @ torch.linalg.lstsq(train.latent.double(), target).solution
    torch.testing.assert_close(scrambled, plain, rtol=0, atol=1e-4)


def test_example_2_errors() -> None:
    expected = CowsAndCamels.shortcut_errors()
    assert expected == pytest.approx([0.4280, 0.5000, 0.4216], abs=5e-5)
    assert np.mean(expected) == pytest.approx(0.44987, abs=5e-6)
    task = load("2")
    shortcut = measured(task, "shortcut", "ood")
    for env in range(3):
        assert within(shortcut[f"error_env{env}"], expected[env], MANY // 3)
        assert within(measured(task, "shortcut", "iid")[f"error_env{env}"], 1 - (0.95, 0.97, 0.99)[env], MANY // 3)
    assert measured(task, "oracle", "ood")["error"] == 0.0


def test_example_2_blocks_have_the_stated_means_and_scales() -> None:
    batch = sample(load("2"), "train")
    assert batch.latent is not None
    sign = (2.0 * batch.y - 1)[:, None]
    animal = batch.latent[:, :5] * sign
    assert float(animal.mean()) == pytest.approx(0.01, rel=1e-3)
    assert float(animal.std()) == pytest.approx(0.01 / math.sqrt(10), rel=5e-3)
    noise = batch.latent[:, 5:] - batch.latent[:, 5:].sign()  # a coordinate strays over zero in .08 % of cases
    assert float(noise.std()) == pytest.approx(1 / math.sqrt(10), rel=1e-2)
    for env, share in enumerate((0.3, 0.5, 0.7)):
        assert within(float(batch.y[batch.env == env].float().mean()), share, MANY // 3)


def test_example_3_errors() -> None:
    assert SmallMargin.oracle_error() == pytest.approx(0.012674, abs=5e-7)
    task = load("3")
    for split in ("iid", "ood"):
        assert within(measured(task, "oracle", split)["error"], SmallMargin.oracle_error(), MANY)
    assert within(measured(task, "shortcut", "ood")["error"], 0.5, MANY)
    assert measured(task, "shortcut", "iid")["error"] < 1e-3


def test_example_3_means_move_by_environment_and_stay_across_splits() -> None:
    task = load("3")
    world = task.world(draw(task))
    assert isinstance(world, SmallMargin)
    for split in ("train", "val", "iid"):
        batch = sample(task, split)
        assert batch.latent is not None
        for env in range(3):
            for label, sign in ((0, 1.0), (1, -1.0)):
                member = batch.latent[(batch.env == env) & (batch.y == label)]
                expected = sign * torch.cat([torch.full((5,), 0.1), world.means[env]])
                assert float((member.mean(0) - expected).abs().max()) < 5 * 0.1 / math.sqrt(len(member))
                assert float(member.std(0).mean()) == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("number", PLAIN)
def test_the_permutation_keeps_labels_invariant_block_and_the_spurious_rows_of_an_environment(number: str) -> None:
    task = load(number)
    split = task.spec.split("ood")
    permuted = task.sample("default", split, draw(task))
    kept = task.sample("default", replace(split, params={"permuted": False}), draw(task))
    assert permuted.latent is not None and kept.latent is not None
    first = permuted.env == 0  # later environments follow the permutation in the same random stream
    assert torch.equal(permuted.y[first], kept.y[first])
    assert torch.equal(permuted.latent[first, :5], kept.latent[first, :5])
    moved, there = permuted.latent[first, 5:], kept.latent[first, 5:]
    assert not torch.equal(moved, there)
    assert sorted(map(tuple, moved.tolist())) == sorted(map(tuple, there.tolist()))


@pytest.mark.parametrize("variant", VARIANTS)
def test_inputs_are_the_features_or_one_rotation_of_them(variant: str) -> None:
    task = load(variant)
    batches = [sample(task, split, 3000) for split in ("train", "ood")]
    rotations = []
    for batch in batches:
        assert batch.latent is not None
        rotations.append(torch.linalg.lstsq(batch.latent.double(), batch.x.double()).solution)
    identity = torch.eye(10, dtype=torch.float64)
    torch.testing.assert_close(rotations[0], rotations[1], rtol=0, atol=1e-3)
    torch.testing.assert_close(rotations[0] @ rotations[0].T, identity, rtol=0, atol=1e-3)
    assert bool((rotations[0] - identity).abs().max() > 0.1) == variant.endswith("s")


def test_rotations_are_uniform() -> None:
    """Haar: every entry has mean 0 and variance 1/d, and the trace has variance 1; QR without signs has neither."""
    rotations = torch.stack([random_rotation(4, torch.Generator().manual_seed(seed)) for seed in range(4000)])
    assert float(rotations.mean(0).abs().max()) < 4.5 / math.sqrt(4 * 4000)
    assert float(rotations.diagonal(dim1=1, dim2=2).sum(1).var()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_environments_are_equal_parts_and_sizes_are_kept(variant: str) -> None:
    task = load(variant)
    for size, expected in ((3000, [1000, 1000, 1000]), (100, [33, 33, 34])):
        batch = sample(task, "train", size)
        assert batch.env is not None
        assert batch.env.bincount().tolist() == expected and len(batch.x) == len(batch.y) == size


def test_a_wrong_label_in_one_environment_is_counted_there() -> None:
    task = load("2")
    env = torch.tensor([0, 0, 1, 1, 2, 2])
    y = torch.tensor([0, 1, 0, 1, 0, 1])
    outputs = torch.nn.functional.one_hot(torch.tensor([0, 1, 1, 1, 1, 0]), 2).float()
    values = task.evaluate(outputs, Batch(torch.zeros(6, 10), y, env=env))
    assert [values[f"error_env{e}"] for e in range(3)] == [0.0, 0.5, 1.0]
    assert values["error"] == 0.5 and values["accuracy"] == 0.5
