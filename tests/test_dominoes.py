"""Dominoes: what each block shows and what it does not, the dealing of blocks, and the index of known readers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import tasks
from tasks.metrics import roc_auc
from tasks.seeds import Draw
from tasks.simplicity.dominoes import LOWER, Dominoes
from tasks.sources.dominoes import (
    CELLS,
    FILLED,
    SIDE,
    Block,
    disc_and_cross,
    disc_or_cross,
    same_or_different,
    wave,
)
from tasks.types import Batch, Row, Summary, load_data

IDS = ("simplicity/dominoes", "simplicity/dominoes-control")
EVALUATED = ("val", "iid", "simple-randomized", "complex-randomized")


def load(task_id: str) -> Dominoes:
    found = tasks.load(task_id)
    assert isinstance(found, Dominoes)
    return found


def many(block: Block, label: int, n: int = 4_000) -> Tensor:
    """n clean blocks of one class, (n, 16, 16)."""
    return block(torch.full((n,), label), torch.Generator().manual_seed(7 + label))


def summary_of(task: Dominoes, reader: str) -> Summary:
    """What a trial of a reference predictor would report."""
    rows = {}
    for condition in LOWER:
        draw = Draw(task.spec.id, 0)
        data = load_data(task, condition, draw, [task.spec.split(name) for name in EVALUATED])
        batch_of = {id(batch.x): batch for batch in data.values()}
        predictor = task.references(condition, draw)[reader]
        scores = task.measure(condition, lambda x, p=predictor, b=batch_of: p(b[id(x)]), data)  # type: ignore[misc]
        rows[condition] = Row(scores, task.anchors(condition, data, draw))
    return task.summarize(rows)


# --- blocks ---------------------------------------------------------------------------------------------------------


def test_disc_and_cross_have_the_same_ink_and_their_shapes() -> None:
    area = disc_and_cross().sum((1, 2))
    assert area.tolist() == pytest.approx([80.0, 80.0], abs=1e-4)
    cross, disc = disc_and_cross()
    assert cross[0, 5] == 1 and disc[0, 5] < 0.1  # an arm reaches the edge of the stamp
    assert cross[3, 3] == 0 and disc[3, 3] > 0.9  # between the arms


@pytest.mark.parametrize("label", [0, 1])
def test_disc_and_cross_roam_two_pixels_about_the_middle(label: int) -> None:
    images = many(disc_or_cross, label)
    place = torch.arange(SIDE) - (SIDE - 1) / 2
    for axis in (1, 2):
        centre = images.sum(3 - axis) @ place / images.sum((1, 2))
        counts = (centre + 2).round().long().bincount(minlength=5)
        assert len(counts) == 5
        assert (counts - 800).abs().max() < 5 * math.sqrt(4_000 * 0.2 * 0.8)


@pytest.mark.parametrize("label", [0, 1])
def test_a_wave_has_its_periods_at_any_phase(label: int) -> None:
    """The height in each column, by the centre of its ink, has all its power at the one frequency, beside its mean."""
    height = torch.einsum("r,nrc->nc", torch.arange(SIDE).double(), many(wave, label).double()) / 2
    spectrum = torch.fft.rfft(height)
    power = spectrum[:, 1:].abs().square()
    assert (power[:, label] / power.sum(1)).min() > 0.99
    phase = (spectrum[:, 1 + label].angle() / (2 * math.pi)) % 1
    assert ((phase * 8).long().bincount(minlength=8) - 500).abs().max() < 5 * math.sqrt(4_000 * 7 / 64)


def test_every_column_of_a_wave_has_the_same_ink() -> None:
    """Two pixels, wherever the line runs: trapezoids of slopes 1 at distances 1 add up to their area."""
    for label in (0, 1):
        assert torch.allclose(many(wave, label).sum(1), torch.tensor(2.0), atol=1e-4)


def test_no_pixel_of_a_wave_tells_its_class() -> None:
    """Mean and mean square of every pixel, of values in [0, 1] and thus of deviation .5 at most; five errors."""
    one, two = many(wave, 0, 20_000), many(wave, 1, 20_000)
    for power in (1, 2):
        difference = (one**power).mean(0) - (two**power).mean(0)
        assert difference.abs().max() < 5 * 0.5 * math.sqrt(2 / 20_000)


def cells_of(images: Tensor) -> Tensor:
    """The 3 x 3 cells of each half of clean blocks, (N, 2, 9), found by the cell pixels' corner positions."""
    halves = torch.stack([images[:, :, :8], images[:, :, 8:]], dim=1)  # (N, 2, 16, 8)
    found = []
    for down in range(3):
        for right in range(3):
            window = halves[:, :, 4 + down : 10 + down, right : right + 6]
            grid = window.unflatten(3, (CELLS, 2)).unflatten(2, (CELLS, 2))  # (N, 2, 3, 2, 3, 2)
            mean = grid.mean((3, 5))
            exact = ((mean == 0) | (mean == 1)).all(3).all(2) & (window.sum((2, 3)) == 4 * FILLED)
            found.append(torch.where(exact.unsqueeze(2), mean.flatten(2), torch.nan))
    return torch.stack(found)  # (9 places, N, 2, 9)


@pytest.mark.parametrize("label", [0, 1])
def test_patterns_are_the_same_or_share_no_cell_wherever_they_are(label: int) -> None:
    readings = cells_of(many(same_or_different, label, 500))
    first, second = readings[:, None, :, 0], readings[None, :, :, 1]
    common = (first * second).sum(-1)  # (9, 9, N): at every pair of places, nan where it is none
    wanted = FILLED if label else 0
    assert bool((common == wanted).any(0).any(0).all())


def test_one_pattern_alone_says_nothing() -> None:
    """The halves have the same mean image in both classes, within five standard errors, and always the same ink."""
    same, different = many(same_or_different, 1, 8_000), many(same_or_different, 0, 8_000)
    assert (same.mean(0) - different.mean(0)).abs().max() < 5 * math.sqrt(2 * 0.25 / 8_000)
    for images in (same, different):
        assert images[:, :, :8].sum((1, 2)).unique().tolist() == [16]
        assert images[:, :, 8:].sum((1, 2)).unique().tolist() == [16]


@pytest.mark.parametrize("condition", list(LOWER))
def test_brightness_does_not_tell_the_label(condition: str) -> None:
    """AUC of the sum of the lower pixels, within five standard errors of a null AUC of 2,500 images of each class."""
    task = load(IDS[0])
    batch = task.sample(condition, task.spec.split("train"), Draw(task.spec.id, 0))
    ink = batch.x[:, :, SIDE:].sum((1, 2, 3))
    auc = roc_auc(torch.stack([torch.zeros_like(ink), ink], dim=1), batch.y)
    assert auc == pytest.approx(0.5, abs=5 * math.sqrt(5_001 / (12 * 2_500**2)))


# --- dealing --------------------------------------------------------------------------------------------------------


def halves(batch: Batch) -> tuple[Tensor, Tensor]:
    """The upper and the lower blocks (N, 256)."""
    return batch.x[:, 0, :SIDE].flatten(1), batch.x[:, 0, SIDE:].flatten(1)


@pytest.mark.parametrize("condition", list(LOWER))
def test_dealing_moves_whole_blocks_and_leaves_the_other_one(condition: str) -> None:
    task = load(IDS[0])
    draw = Draw(task.spec.id, 0)
    iid, simple, complex_ = (task.sample(condition, task.spec.split(name), draw) for name in EVALUATED[1:])
    upper, lower = halves(iid)
    assert torch.equal(halves(simple)[1], lower) and torch.equal(halves(complex_)[0], upper)
    for moved, before in ((halves(simple)[0], upper), (halves(complex_)[1], lower)):
        assert torch.equal(moved.sort(0).values, before.sort(0).values)  # every pixel's marginal
        assert torch.equal(moved[moved[:, 0].argsort()], before[before[:, 0].argsort()])  # the very same blocks
        assert float((moved == before).all(1).float().mean()) < 0.01
    assert torch.equal(iid.y, simple.y) and torch.equal(iid.y, complex_.y)


@pytest.mark.parametrize("task_id", IDS)
def test_labels_are_balanced_and_shown_by_the_blocks_that_should(task_id: str) -> None:
    task = load(task_id)
    draw = Draw(task.spec.id, 0)
    for name in ("train", *EVALUATED):
        batch = task.sample("wave", task.spec.split(name), draw)
        n = len(batch)
        assert batch.y.sum() == n // 2
        assert batch.latent is not None
        upper, lower = ((batch.latent[:, block] == batch.y).float().mean().item() for block in (0, 1))
        half = pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(n))
        assert upper == (half if "control" in task_id or name == "simple-randomized" else 1)
        assert lower == (half if name == "complex-randomized" else 1)


def test_the_latents_are_what_the_dealt_images_show() -> None:
    """Of clean templates at every place, the best match tells disc from cross on each image without an error."""
    task = load(IDS[0])
    batch = task.sample("equal", task.spec.split("simple-randomized"), Draw(task.spec.id, 2))
    assert batch.latent is not None
    windows = batch.x[:, 0].unfold(1, 12, 1).unfold(2, 12, 1)  # (N, 21, 5, 12, 12)
    distance = torch.einsum("nrchw,khw->nrck", windows, -2 * disc_and_cross())
    distance = distance + windows.square().sum((3, 4)).unsqueeze(3) + disc_and_cross().square().sum((1, 2))
    for block, rows in ((0, slice(0, 5)), (1, slice(16, 21))):
        assert torch.equal(distance[:, rows].amin((1, 2)).argmin(1), batch.latent[:, block])


# --- the index ------------------------------------------------------------------------------------------------------


def test_sb_of_known_readers() -> None:
    """The upper block alone 0, the lower alone 1; adding both up ranks 7/8 of the pairs rightly, 3/4.

    Permuting leaves as many agreeing rows as chance has it: five standard errors of a null AUC are .065.
    """
    task = load(IDS[0])
    names = [f"sb_{condition}" for condition in LOWER]
    assert summary_of(task, "oracle").indices == pytest.approx(dict.fromkeys(names, 1.0))
    assert summary_of(task, "simple-reader").indices == pytest.approx(dict.fromkeys(names, 0.0), abs=0.13)
    assert summary_of(task, "both").indices == pytest.approx(dict.fromkeys(names, 0.75), abs=0.07)


def test_a_condition_that_was_not_learned_has_no_index_and_the_model_is_not_trained() -> None:
    task = load(IDS[0])
    anchors = {"simple-randomized": {"shortcut": 0.5, "oracle": 1.0}}
    auc = {"wave": (1.0, 0.8), "same-different": (0.9, 0.7), "equal": (0.995, 0.4)}
    rows = {c: Row({"iid": {"auc": i}, "simple-randomized": {"auc": o}}, anchors) for c, (i, o) in auc.items()}
    summary = task.summarize(rows)
    assert not summary.trained
    assert summary.indices == pytest.approx({"sb_wave": 0.6, "sb_equal": 0.0})
    assert summary.scores["score"] == pytest.approx((0.6 + 0.4 - 0.2) / 3)
