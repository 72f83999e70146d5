"""Slab data: moments in closed form, thresholds by enumeration, exact noise, joint shuffles, scores of references."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from tasks import registry
from tasks.metrics import roc_auc
from tasks.seeds import Draw
from tasks.simplicity.slabs import DESIGNS, SlabData
from tasks.sources.slabs import FIVE_SLABS, MARGIN, SEVEN_SLABS, Line, Slabs, random_rotation
from tasks.types import Batch, Row, load_data

THREE_SLABS = Slabs(rings=((1, 0), (0, 1)))
TASKS = ("simplicity/slabs-lms5-v1", "simplicity/slabs-noisy-lms7-v1", "simplicity/slabs-ms57-v1")
CONTROLS = ("simplicity/slabs-ms5-v1", "simplicity/slabs-ms7-v1")


def load(task_id: str) -> SlabData:
    task = registry.load(task_id)
    assert isinstance(task, SlabData)
    return task


def sampled(law: Slabs | Line, n: int, label: int | None = None) -> tuple[Tensor, Tensor]:
    """n values (n,) of one coordinate, of both labels in turn or of one, and the labels."""
    y = torch.arange(n) % 2 if label is None else torch.full((n,), label)
    return law.sample(y, 1, torch.Generator().manual_seed(0))[:, 0], y


def latent(batch: Batch) -> Tensor:
    assert batch.latent is not None
    return batch.latent


# --- the coordinates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "count", "width"), [(THREE_SLABS, 3, 1.6 / 3), (FIVE_SLABS, 5, 0.24), (SEVEN_SLABS, 7, 0.8 / 7)]
)
def test_slabs_fill_the_interval_with_gaps_of_twice_the_margin(law: Slabs, count: int, width: float) -> None:
    assert law.count == count
    assert law.width == pytest.approx(width)
    middles = [step * law.pitch for step in range(-(count // 2), count // 2 + 1)]
    assert middles[0] - law.width / 2 == pytest.approx(-1)
    assert all(right - left - law.width == pytest.approx(2 * MARGIN) for left, right in pairwise(middles))


@pytest.mark.parametrize("law", [FIVE_SLABS, SEVEN_SLABS])
def test_second_moments_carry_no_label_information(law: Slabs) -> None:
    """E x^2 of a uniform slab from l to u is (u^3 - l^3) / (3 (u - l)); the two classes agree, and so do samples."""

    def moment(ring: int) -> float:
        low, high = ring * law.pitch - law.width / 2, ring * law.pitch + law.width / 2
        return (high**3 - low**3) / (3 * law.width)

    exact = [sum(share * moment(ring) for ring, share in enumerate(shares)) for shares in law.rings]
    assert [law.second_moment(c) for c in (0, 1)] == pytest.approx(exact, abs=1e-12)
    assert exact[0] == pytest.approx(exact[1], abs=1e-12)
    n = 400_000
    for label in (0, 1):
        x = sampled(law, n, label)[0].double()
        error = float(x.square().std()) / math.sqrt(n)
        assert float(x.square().mean()) == pytest.approx(exact[label], abs=4 * error)
        assert float(x.mean()) == pytest.approx(0, abs=4 * float(x.std()) / math.sqrt(n))


def test_two_classes_of_three_slabs_cannot_have_one_variance() -> None:
    assert THREE_SLABS.second_moment(1) - THREE_SLABS.second_moment(0) == pytest.approx(THREE_SLABS.pitch**2)


@pytest.mark.parametrize(("law", "best"), [(THREE_SLABS, 0.75), (FIVE_SLABS, 0.6875), (SEVEN_SLABS, 0.625)])
def test_best_linear_threshold(law: Slabs, best: float) -> None:
    """By enumeration: the threshold stands in a gap, and each side predicts its better class."""
    steps = range(-(law.count // 2), law.count // 2 + 1)
    share = {(c, s): law.rings[c][abs(s)] / (2 if s else 1) / 2 for c in (0, 1) for s in steps}

    def accuracy(cut: int) -> float:
        left, right = ([sum(share[c, s] for s in steps if (s < cut) == below) for c in (0, 1)] for below in (1, 0))
        return max(left[0] + right[1], left[1] + right[0])

    assert max(accuracy(cut) for cut in steps) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("law", [FIVE_SLABS, SEVEN_SLABS])
def test_values_lie_in_slabs_of_their_class_as_often_as_the_weights_say(law: Slabs) -> None:
    n = 100_000
    x, y = sampled(law, 2 * n)
    assert torch.equal(law.label(x), y)
    step = (x / law.pitch).round()
    assert (x - step * law.pitch).abs().max() <= law.width / 2 + 1e-6
    for label in (0, 1):
        for ring, share in enumerate(law.rings[label]):
            inside = (step[y == label].abs() == ring).double().mean()
            assert float(inside) == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / n))
    assert float((x > 0).double().mean()) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / (2 * n)))


@pytest.mark.parametrize("n", [5_000, 2_004])
def test_exactly_a_tenth_of_the_rows_is_noise_and_costs_half_of_its_share(n: int) -> None:
    line = Line(noise=0.1)
    assert line.bayes == pytest.approx(0.95)
    x, y = sampled(line, n)
    noisy = x.abs() < MARGIN
    assert int(noisy.sum()) == round(n * 0.1)
    hit = line.label(x) == y
    assert bool(hit[~noisy].all())
    assert float(hit[noisy].double().mean()) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / int(noisy.sum())))
    # noise rows are drawn whatever the label
    assert float(y[noisy].double().mean()) == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / int(noisy.sum())))


def test_a_line_without_noise_is_uniform_beyond_the_margin() -> None:
    x, y = sampled(Line(), 100_000)
    assert torch.equal((x > 0).long(), y)
    assert float(x.abs().min()) >= MARGIN
    assert float(x.abs().mean()) == pytest.approx(0.55, abs=4 * 0.9 / math.sqrt(12 * 100_000))


def test_rotations_are_orthogonal_and_favour_no_direction() -> None:
    draws = torch.stack([random_rotation(4, torch.Generator().manual_seed(seed)) for seed in range(2_000)])
    assert torch.allclose(draws @ draws.mT, torch.eye(4).expand_as(draws), atol=1e-5)
    # an entry has mean 0 and variance 1 / d; QR without its sign repair has negative diagonals
    assert draws.mean(0).abs().max() < 5 * math.sqrt(0.25 / 2_000)


# --- the splits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task_id", TASKS)
def test_a_shuffle_moves_one_block_as_a_whole_and_leaves_the_other(task_id: str) -> None:
    """Rows of the complex block agree with each other after either shuffle; only the agreement across blocks goes."""
    task = load(task_id)
    design, draw = task.design, Draw(task_id, 0)
    assert design.simple is not None
    for name, moved in (("simple-randomized", "simple"), ("complex-randomized", "complex")):
        batch = task.sample("default", task.spec.split(name), draw)
        z, y = latent(batch), batch.y
        complex_says, simple_says = design.complex.label(z[:, 1:]), design.simple.label(z[:, 0])
        assert bool((complex_says == complex_says[:, :1]).all())
        null = 4 * math.sqrt(0.25 / len(y))
        assert float((simple_says == complex_says[:, 0]).double().mean()) == pytest.approx(0.5, abs=null)
        kept = complex_says[:, 0] if moved == "simple" else simple_says
        lost = simple_says if moved == "simple" else complex_says[:, 0]
        assert float((lost == y).double().mean()) == pytest.approx(0.5, abs=null)
        best = design.simple.bayes if isinstance(design.simple, Line) and moved == "complex" else 1.0
        assert float((kept == y).double().mean()) == pytest.approx(best, abs=4 * math.sqrt(best * (1 - best) / 5_000))


def test_a_shuffle_keeps_the_rows_of_the_block() -> None:
    task = load("simplicity/slabs-ms57-v1")
    split, draw = task.spec.split("complex-randomized"), Draw("any", 3)
    shuffled = latent(task.sample("default", split, draw))
    intact = latent(task.sample("default", replace(split, params={"shuffled": None}), draw))
    assert torch.equal(shuffled[:, 0], intact[:, 0])
    assert not torch.equal(shuffled[:, 1:], intact[:, 1:])
    assert sorted(shuffled[:, 1:].tolist()) == sorted(intact[:, 1:].tolist())


@pytest.mark.parametrize("task_id", [*TASKS, *CONTROLS])
def test_all_splits_of_a_world_share_a_rotation(task_id: str) -> None:
    task, draw = load(task_id), Draw(task_id, 0)
    rotation = random_rotation(task.design.dimension, draw.generator("world"))
    for split in task.spec.with_role("val", "iid", "ood", "probe"):
        batch = task.sample("default", split, draw)
        assert torch.allclose(batch.x @ rotation, latent(batch), atol=1e-5)
        assert not torch.allclose(batch.x, latent(batch), atol=0.1)


# --- scores ---------------------------------------------------------------------------------------------------------


def row_of(task: SlabData, name: str) -> Row:
    """What a trial of a reference predictor would record."""
    draw = Draw(task.spec.id, 0)
    data = load_data(task, "default", draw, task.spec.with_role("val", "iid", "probe", "ood"))
    batch_of = {id(batch.x): batch for batch in data.values()}
    predictor = task.references("default", draw)[name]
    return Row(task.measure("default", lambda x: predictor(batch_of[id(x)]), data), task.anchors("default", data, draw))


@pytest.mark.parametrize("task_id", TASKS)
def test_the_shortcut_gets_one_half_and_the_oracle_one(task_id: str) -> None:
    """The area of a binary margin is the mean of two hit rates of 2,500 rows or so: standard error .007."""
    task = load(task_id)
    shortcut, oracle = row_of(task, "simple_alone"), row_of(task, "oracle")
    null = 4 * math.sqrt(2 * 0.25 / 2_500) / 2
    assert shortcut.scores["simple-randomized"]["auc"] == pytest.approx(0.5, abs=null)
    assert oracle.scores["simple-randomized"]["auc"] == 1
    assert oracle.scores["complex-randomized"]["auc"] == pytest.approx(0.5, abs=null)
    summary = task.summarize({"default": oracle})
    assert summary.indices["sb_index"] == summary.scores["score"] == 1
    assert summary.trained
    assert task.summarize({"default": shortcut}).trained


def test_the_area_of_the_noisy_coordinate_itself_is_its_closed_form() -> None:
    """Pairs of a clean row with any other are in order, pairs of noise rows by chance: 1 - .1^2 / 2."""
    x, y = sampled(Line(noise=0.1), 20_000)
    assert roc_auc(torch.stack([-x, x], dim=1), y) == pytest.approx(1 - 0.1**2 / 2, abs=1e-3)


@pytest.mark.parametrize(
    ("accuracy", "auc", "beyond", "index"),
    [(0.95, 0.5, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0), (0.975, 0.75, 0.5, 0.5), (0.90, 0.48, -1.0, 0.0)],
)
def test_indices_of_the_noisy_task_by_hand(accuracy: float, auc: float, beyond: float, index: float) -> None:
    task = load("simplicity/slabs-noisy-lms7-v1")
    scores = {
        "iid": {"auc": 0.99, "accuracy": accuracy},
        "simple-randomized": {"auc": auc},
        "complex-randomized": {"auc": 0.9},
    }
    anchors = {"simple-randomized": {"chance": 0.5, "oracle": 1.0}}
    summary = task.summarize({"default": Row(scores, anchors)})
    assert summary.scores["beyond_simple"] == pytest.approx(beyond)
    assert summary.indices == {"sb_index": pytest.approx(index), "simple_suffices": pytest.approx(0.8)}
    assert summary.scores["score_unclipped"] == pytest.approx(2 * auc - 1)


def test_a_control_has_the_complex_coordinates_and_the_budget_of_its_task() -> None:
    for control, tasks in (("ms5", ["lms5"]), ("ms7", ["noisy-lms7", "ms57"])):
        design = DESIGNS[f"simplicity/slabs-{control}"]
        assert design.simple is None
        for name in tasks:
            other = DESIGNS[f"simplicity/slabs-{name}"]
            assert (other.complex, other.dimension, other.steps) == (design.complex, design.dimension, design.steps)
