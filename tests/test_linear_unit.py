"""shift/linear-unit-*: closed forms against large samples, permutation, scrambling, what least squares does, doses."""

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
from tasks.types import Batch, Row, load_data

PLAIN = ("1", "2", "3")
VARIANTS = ("1", "1s", "2", "2s", "3", "3s")
MANY = 300_000


def load(variant: str) -> LinearUnit:
    task = tasks.load(f"shift/linear-unit-{variant}-v1")
    assert isinstance(task, LinearUnit)
    return task


def dosed(variant: str, name: str, value: float) -> LinearUnit:
    task = load(variant).dosed({name: value})
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
    return SecondMoments.pooled([world.moments(env) for env in range(world.n_environments)])


def test_example_1_oracle_risk() -> None:
    assert cause_and_effect().oracle_risk() == pytest.approx(10.4333, abs=5e-5)
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
    expected = CowsAndCamels().background_errors()
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


@pytest.mark.parametrize("variant", ["1", "2s"])
def test_a_batch_of_one_environment_has_that_environments_error_alone(variant: str) -> None:
    task = load(variant)
    batch = sample(task, "val", 3000)
    assert batch.env is not None
    member = batch.map(lambda t: t[batch.env == 1])
    outputs = torch.randn(len(member), task.spec.problem.n_outputs, generator=torch.Generator().manual_seed(0))
    values, metric = task.evaluate(outputs, member), task.spec.metric
    assert values[f"{metric}_env1"] == pytest.approx(values[metric], rel=1e-6)
    assert all(math.isfinite(value) for value in values.values())
    assert not {f"{metric}_env0", f"{metric}_env2"} & set(values)


# --- doses ----------------------------------------------------------------------------------------------------------


def three_environments(number: str, world: torch.Generator, numbers: torch.Generator, n: int) -> Batch:
    """Training data of the published three environments, written out once more without the classes of the suite."""
    cause, effect = torch.randn(2, 5, 5, generator=world) / 5 if number == "1" else torch.zeros(2, 5, 5)
    means = torch.randn(3, 5, generator=world) if number == "3" else torch.zeros(3, 5)
    rows, targets = [], []
    for scale, p, s, mean in zip((0.1, 1.5, 2.0), (0.95, 0.97, 0.99), (0.3, 0.5, 0.7), means, strict=True):
        if number == "1":
            n1, n2, n3 = torch.randn(3, n, 5, generator=numbers)
            v = (scale * n1) @ cause + scale * n2
            invariant, spurious, y = scale * n1, v @ effect + n3, v.sum(1, keepdim=True)
        elif number == "2":
            of_class, agrees = torch.rand(2, n, 1, generator=numbers)
            animal = 2.0 * (of_class < s) - 1
            n1, n2 = torch.randn(2, n, 5, generator=numbers) / math.sqrt(10)
            invariant, spurious = 0.01 * (animal + n1), animal * (2.0 * (agrees < p) - 1) + n2
            y = (invariant.sum(1) > 0).long()
        else:
            y = torch.cat([torch.zeros(n // 2, dtype=torch.int64), torch.ones(n // 2, dtype=torch.int64)])
            sign = (1.0 - 2 * y)[:, None]
            n1, n2 = 0.1 * torch.randn(2, n, 5, generator=numbers)
            invariant, spurious = sign * 0.1 + n1, sign * mean + n2
        rows.append(torch.cat([invariant, spurious], 1))
        targets.append(y)
    return Batch(torch.cat(rows), torch.cat(targets))


@pytest.mark.parametrize("number", PLAIN)
def test_without_a_dose_the_data_are_those_of_the_three_published_environments(number: str) -> None:
    task = load(number)
    world, numbers = draw(task).generator("world"), draw(task).generator("train")
    expected, found = three_environments(number, world, numbers, 1000), sample(task, "train", 3000)
    assert torch.equal(found.x, expected.x) and torch.equal(found.y, expected.y)
    assert task.dosed({}) is task


@pytest.mark.parametrize("number", PLAIN)
@pytest.mark.parametrize(("fewer", "more"), [(2, 3), (3, 5), (5, 10)])
def test_a_world_of_fewer_environments_has_the_first_of_a_larger_one(number: str, fewer: int, more: int) -> None:
    small, large = (dosed(number, "environments", value) for value in (fewer, more))
    worlds = [task.world(draw(task)) for task in (small, large)]
    for env in range(fewer):
        first, same = (world.environment(env, 50, torch.Generator().manual_seed(env)) for world in worlds)
        assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    batch = small.sample("default", small.spec.split("train"), draw(small))
    assert batch.env is not None and len(batch) == 3000
    assert batch.env.bincount().tolist() == [3000 // fewer] * fewer


def test_further_environments_follow_the_laws_of_the_released_code() -> None:
    """log10 s is uniform in -2 ... 1, p in .9 ... 1, s in .3 ... .7, and means are standard normal."""
    worlds = range(300)
    generators = [torch.Generator().manual_seed(seed) for seed in worlds]
    exponents = np.log10([CauseAndEffect.draw(g, 10).scales[3:] for g in generators]).ravel()
    herds = [CowsAndCamels.draw(g, 10) for g in generators]
    agreement = np.array([herd.agreement[3:] for herd in herds]).ravel()
    positive = np.array([herd.positive[3:] for herd in herds]).ravel()
    for values, low, high in ((exponents, -2, 1), (agreement, 0.9, 1), (positive, 0.3, 0.7)):
        assert low <= values.min() < low + 0.01 * (high - low) and high - 0.01 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * len(values))
    assert abs(np.corrcoef(agreement, positive)[0, 1]) < 4 / math.sqrt(len(positive))
    means = torch.cat([SmallMargin.draw(g, 10).means[3:] for g in generators])
    assert abs(float(means.mean())) < 4 / math.sqrt(means.numel())
    assert float(means.var()) == pytest.approx(1, abs=4 * math.sqrt(2 / means.numel()))


def test_closed_forms_follow_the_environments() -> None:
    first, second = dosed("1", "environments", 10), dosed("2", "environments", 10)
    world, herd = first.world(draw(first)), second.world(draw(second))
    assert isinstance(world, CauseAndEffect) and isinstance(herd, CowsAndCamels)
    assert world.oracle_risk() == pytest.approx(5 * np.mean(np.square(world.scales)))
    risks, errors = measured(first, "oracle", "ood"), measured(second, "shortcut", "ood")
    n = MANY // 10
    for env, (scale, expected) in enumerate(zip(world.scales, herd.background_errors(), strict=True)):
        assert abs(risks[f"mse_env{env}"] - 5 * scale**2) < 4 * 5 * scale**2 * math.sqrt(2 / n)
        assert within(errors[f"error_env{env}"], expected, n)
    weights = pooled_moments(world).least_squares()
    risk = np.mean([world.moments(env).permuted().risk(weights) for env in range(10)])
    assert measured(first, "shortcut", "ood")["mse"] == pytest.approx(risk, rel=0.03)


@pytest.mark.parametrize(
    ("spurious", "agreement"),
    [(0.75, (0.73, 0.75, 0.77)), (0.99, (0.98, 0.99, 1.0)), (1.0, (1.0, 1.0, 1.0))],
)
def test_the_background_is_right_as_often_as_the_dose_says(spurious: float, agreement: tuple[float, ...]) -> None:
    task = dosed("2", "spurious", spurious)
    herd = task.world(draw(task))
    assert isinstance(herd, CowsAndCamels)
    assert herd.agreement == pytest.approx(agreement) and herd.positive == (0.3, 0.5, 0.7)
    home, away = (measured(task, "shortcut", split) for split in ("iid", "ood"))
    for env, expected in enumerate(herd.background_errors()):
        assert within(home[f"error_env{env}"], 1 - agreement[env], MANY // 3)
        assert within(away[f"error_env{env}"], expected, MANY // 3)
    assert measured(task, "oracle", "ood")["error"] == 0.0


@pytest.mark.parametrize("number", ["2", "3"])
def test_flipped_labels_are_the_oracles_error_and_change_nothing_else(number: str) -> None:
    clean, some, many = (sample(dosed(number, "label-noise", noise), "ood") for noise in (0.0, 0.1, 0.25))
    assert torch.equal(clean.x, many.x) and torch.equal(clean.x, some.x)
    flips = [clean.y != other.y for other in (some, many)]
    for flipped, noise in zip(flips, (0.1, 0.25), strict=True):
        assert within(float(flipped.float().mean()), noise, MANY)
    assert bool((flips[1] | ~flips[0]).all())  # what a little noise flips, more noise flips too
    own = 0.0 if number == "2" else SmallMargin.oracle_error()
    for split in ("iid", "ood"):
        error = measured(dosed(number, "label-noise", 0.25), "oracle", split)["error"]
        assert within(error, own + 0.25 * (1 - 2 * own), MANY)


@pytest.mark.parametrize(
    ("number", "dose", "gate"),
    [
        ("2", {"spurious": 0.75}, 0.32),
        ("2", {"spurious": 1.0}, 0.07),
        ("2", {"label-noise": 0.25}, 0.3),
        ("2", {"spurious": 0.9, "label-noise": 0.1}, 0.17 + 0.1 * (1 - 0.34)),
        ("2", {"environments": 10}, 0.1),
        ("3", {"label-noise": 0.1}, 0.14),
    ],
)
def test_the_gate_follows_the_errors_in_distribution(number: str, dose: dict[str, float], gate: float) -> None:
    assert load(number).dosed(dose).spec.gate == pytest.approx(gate)


@pytest.mark.parametrize("environments", [2, 5, 10])
def test_where_scales_are_others_the_gate_of_example_1_goes_with_the_oracle(environments: int) -> None:
    task = dosed("1", "environments", environments)
    for oracle in (2.0, 80.0):
        anchors = {split: {"oracle": oracle, "shortcut": 2 * oracle} for split in ("iid", "ood")}
        for factor, trained in ((1.07, True), (1.08, False)):  # 11.2 / 10.433 = 1.0735
            scores = {split: {"mse": factor * oracle} for split in ("iid", "ood")}
            assert task.summarize({"default": Row(scores, anchors)}).trained is trained
    fixed = {"iid": {"oracle": 2.0}, "ood": {"oracle": 2.0, "shortcut": 4.0}}
    assert load("1").summarize({"default": Row({s: {"mse": 11.1} for s in fixed}, fixed)}).trained
