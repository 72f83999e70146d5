"""MNIST-1D: the released data to rounding, every step against a slow one, the Bayes classifier, and the shift task."""

from __future__ import annotations

import math
from dataclasses import fields
from functools import cache

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.stats import multivariate_normal

import tasks
from tasks.seeds import Draw
from tasks.shift.signal_shift import KNOBS, LEVELS
from tasks.sources import mnist1d, mnist1d_bayes
from tasks.sources.mnist1d import Floats, Latents, SignalLaw
from tasks.types import Batch, Row, Scores, Task, class_logits, load_data

TASK, CONTROL = tasks.load("shift/signal-shift-v1"), tasks.load("shift/signal-shift-control-v1")
ORDER = [19, 22, 4, 32, 17, 18, 28, 31, 11, 24, 23, 7, 25, 35, 34, 6, 3, 13, 12, 26]
ORDER += [1, 27, 20, 10, 36, 9, 37, 29, 8, 30, 5, 38, 16, 15, 33, 39, 14, 21, 0, 2]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- the generator --------------------------------------------------------------------------------------------------


def test_released_data_are_the_published_ones() -> None:
    signals, labels, order = mnist1d.released()
    assert signals.shape == (5_000, 40)
    assert signals[0, :5] == pytest.approx([-0.3320, -0.4719, -0.7787, -1.0097, -0.8824], abs=5e-5)
    assert labels[0] == 2
    assert signals[:4_000].sum() == pytest.approx(-51.78747, abs=5e-6)
    assert signals[4_000:].sum() == pytest.approx(51.78747, abs=5e-6)
    assert np.bincount(labels[4_000:]).tolist() == [102, 104, 89, 106, 106, 98, 99, 96, 98, 102]
    assert np.bincount(labels).tolist() == [500] * 10
    assert order.tolist() == ORDER


def test_released_data_equal_those_of_the_authors_package() -> None:
    package = pytest.importorskip("mnist1d.data")
    theirs = package.make_dataset(package.get_dataset_args())
    signals, labels, _ = mnist1d.released()
    assert np.abs(signals - np.concatenate([theirs["x"], theirs["x_test"]])).max() < 1e-12
    assert np.array_equal(labels, np.concatenate([theirs["y"], theirs["y_test"]]))


def slow_signal(latents: Latents, i: int, noise: float) -> Floats:
    """One signal step by step: interpolated, rolled and filtered by NumPy and SciPy."""
    stroke = mnist1d.STROKES[latents.label[i]]
    curve = (stroke - stroke.mean()) / stroke.std()
    curve = np.concatenate([(curve - curve[0]) / 6 + 1e-8, np.zeros(latents.padding[i])])
    curve = np.interp(np.linspace(0, len(curve) - 1, 72), np.arange(len(curve)), curve) * latents.scale[i]
    signal = np.roll(curve, latents.shift[i])
    correlated = gaussian_filter1d(latents.correlated[i] * 0.25 * noise, 2.0)
    signal = np.where(signal == 0, correlated, signal) + 0.02 * noise * latents.white[i]
    signal = signal - 0.75 * latents.tilt[i] * np.linspace(-0.5, 0.5, 72)
    resampled: Floats = np.interp(np.linspace(0, 71, 40), np.arange(72), signal)
    return resampled


@pytest.mark.parametrize("noise", [1.0, 2.0])
def test_rendering_all_at_once_equals_rendering_signal_by_signal(noise: float) -> None:
    latents = mnist1d.sequential_latents(500, np.random.RandomState(3))
    assert {36, 60} <= set(latents.padding.tolist())
    assert {0, 47} <= set(latents.shift.tolist())
    slow = np.stack([slow_signal(latents, i, noise) for i in range(500)])
    assert np.abs(mnist1d.render(latents, noise) - slow).max() < 1e-12


def test_curves_start_at_zero_and_have_a_sixth_of_unit_deviation() -> None:
    curves = mnist1d.templates()
    assert curves[:, 0].tolist() == [0.0] * 10
    assert curves.std(1) == pytest.approx(np.full(10, 1 / 6))
    # digit 4 by hand: mean 51.6 / 12 = 4.3, variance 10.68 / 12, and from 5 it goes to 4.4
    assert curves[4, 1] == pytest.approx(-0.6 / math.sqrt(10.68 / 12) / 6)


def test_a_law_sets_the_range_of_every_knob() -> None:
    """Without noise a signal is a straight line beside its curve: what is left of the line shows place and size."""
    law = SignalLaw(padding=(36, 36), scale=(0.5, 0.5), shift=(24, 24), noise=0.0)
    signals, labels = mnist1d.sample(law, 200, rng())
    position = np.linspace(0, 71, 40)
    beside = (position < 23) | (position > 24 + 20)
    lines = np.stack([np.polyval(np.polyfit(position[beside], s[beside], 1), position) for s in signals])
    left = signals - lines
    assert np.abs(left[:, beside]).max() < 1e-12
    high = np.array([max(abs(curve)) for curve in mnist1d.templates()])[labels]
    reached = np.abs(left).max(1) / high
    assert reached.max() <= 0.5 + 1e-6
    assert reached.min() > 0.4  # the 40 positions may miss a peak


@pytest.mark.parametrize("shift", [(0, 23), (24, 47), (30, 31)])
def test_shifts_reach_both_ends_of_their_range_and_not_beyond(shift: tuple[int, int]) -> None:
    """Without noise the line bends where the curve begins: at the first of the 40 that lies beyond shift - 1."""
    signals, _ = mnist1d.sample(SignalLaw(shift=shift, noise=0.0), 2_000, rng())
    third_of_bend = 2 + (np.abs(np.diff(signals, n=2, axis=1)) > 1e-9).argmax(1)
    ends = [max(2, math.ceil((s - 1) * 39 / 71)) for s in shift]  # position j of 40 lies at 71 j / 39
    assert [third_of_bend.min(), third_of_bend.max()] == ends


def test_classes_are_balanced_and_in_random_order() -> None:
    _, labels = mnist1d.sample(SignalLaw(), 4_000, rng())
    assert np.bincount(labels).tolist() == [400] * 10
    assert len(set(labels[:20].tolist())) > 5
    assert np.array_equal(labels, mnist1d.sample(SignalLaw(), 4_000, rng())[1])


def test_fresh_signals_have_the_moments_of_the_released_ones() -> None:
    signals, _ = mnist1d.sample(SignalLaw(), 20_000, rng())
    released = mnist1d.render(mnist1d.sequential_latents(5_000, np.random.RandomState(mnist1d.RELEASED_SEED)))
    error = signals.std(0) / math.sqrt(5_000)
    assert (np.abs(signals.mean(0) - released.mean(0)) < 5 * error).all()
    assert signals.std(0) == pytest.approx(released.std(0), rel=0.05)
    mean, deviation = mnist1d.standardization(SignalLaw())
    assert (mean, deviation) == pytest.approx((signals.mean(), signals.std()), abs=0.003)


# --- the Bayes classifier -------------------------------------------------------------------------------------------


def test_moments_of_one_padding_and_shift_are_those_of_their_signals() -> None:
    n, stream = 20_000, rng()
    threes = mnist1d.render(
        Latents(
            label=np.full(n, 3),
            padding=np.full(n, 50),
            scale=stream.uniform(0.8, 1.2, n),
            shift=np.full(n, 30),
            correlated=stream.standard_normal((n, 72)),
            white=stream.standard_normal((n, 72)),
            tilt=stream.uniform(-0.5, 0.5, n),
        ),
        noise=1.5,
    )
    mean, covariance = (m[0] for m in mnist1d_bayes.moments(3, np.array([50]), np.array([30]), SignalLaw(noise=1.5)))
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(threes.mean(0) - mean) < 5 * spread / math.sqrt(n)).all()
    error = np.abs(np.cov(threes.T) - covariance) / np.outer(spread, spread)
    assert error.max() < 5 * math.sqrt(2 / n)


def test_log_likelihood_is_that_of_the_mixture() -> None:
    """Against SciPy's density, summed over six paddings and shifts."""
    law = SignalLaw(padding=(40, 41), shift=(5, 7))
    signals, _ = mnist1d.sample(law, 70, rng())
    padding, shift = mnist1d_bayes.hypotheses(law)
    assert list(zip(padding, shift, strict=True)) == [(40, 5), (40, 6), (40, 7), (41, 5), (41, 6), (41, 7)]
    mean, covariance = mnist1d_bayes.moments(8, padding, shift, law)
    densities = [multivariate_normal(m, c).logpdf(signals) for m, c in zip(mean, covariance, strict=True)]
    expected = np.logaddexp.reduce(densities, axis=0) + 20 * math.log(2 * math.pi)
    assert mnist1d_bayes.log_likelihoods(signals, law)[:, 8] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("condition", "level"), [("noise", "rung-3"), ("translation", "rung-2")])
def test_the_accuracy_on_the_card_is_what_the_classifier_reaches(condition: str, level: str) -> None:
    stated = LEVELS[condition][level]
    n = 400
    error = math.sqrt(stated.bayes * (1 - stated.bayes) / n)
    assert abs(mnist1d_bayes.accuracy(stated.law, n, rng(5)) - stated.bayes) <= 3 * error + 1 / n


# --- the task -------------------------------------------------------------------------------------------------------


def batch(condition: str, split: str, task: Task = TASK) -> Batch:
    return task.sample(condition, task.spec.split(split), Draw(task.spec.id, 0))


@pytest.mark.parametrize("condition", LEVELS)
def test_each_condition_moves_one_knob_and_keeps_the_others_at_those_of_mnist1d(condition: str) -> None:
    for level in LEVELS[condition].values():
        for field in fields(SignalLaw):
            if field.name != KNOBS[condition]:
                assert getattr(level.law, field.name) == getattr(SignalLaw(), field.name)
    assert LEVELS[condition]["test"].law != LEVELS[condition]["train"].law


def test_training_standardizes_all_splits() -> None:
    mean, deviation = mnist1d.standardization(LEVELS["noise"]["train"].law)
    raw, labels = mnist1d.sample(SignalLaw(noise=2.0), 2_000, Draw(TASK.spec.id, 0).numpy("ood"))
    ood, train = batch("noise", "ood"), batch("noise", "train")
    assert ood.x.shape == (2_000, 1, 40)
    assert torch.equal(ood.y, torch.from_numpy(labels))
    assert torch.allclose(ood.x[:, 0], torch.from_numpy((raw - mean) / deviation).float())
    assert float(train.x.mean()) == pytest.approx(0, abs=0.02)
    assert float(train.x.std()) == pytest.approx(1, abs=0.02)
    assert float(ood.x.std()) > 1.1


def neighbour_accuracy(condition: str, split: str, task: Task = TASK) -> float:
    train, test = batch(condition, "train", task), batch(condition, split, task)
    nearest = torch.cdist(test.x.flatten(1), train.x.flatten(1)).argmin(1)
    return float((train.y[nearest] == test.y).float().mean())


def test_nearest_neighbours_lose_translation_but_not_in_the_control() -> None:
    assert neighbour_accuracy("translation", "iid") > 0.6
    assert neighbour_accuracy("translation", "ood") < 0.2
    assert neighbour_accuracy("translation", "ood", CONTROL) > 0.6


def test_nearest_neighbours_lose_more_from_rung_to_rung_of_the_noise() -> None:
    accuracies = [neighbour_accuracy("noise", split) for split in ("iid", "rung-1", "rung-2", "rung-3")]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] - accuracies[3] > 0.2


def test_the_bayes_classifier_gets_the_translated_test_right() -> None:
    """The ceiling can be reached from what a model sees: inputs of the split, standardized by the training law."""
    test = batch("translation", "ood").map(lambda values: values[:150])
    mean, deviation = mnist1d.standardization(LEVELS["translation"]["train"].law)
    signals = test.x[:, 0].double().numpy() * deviation + mean
    found = mnist1d_bayes.log_likelihoods(signals, LEVELS["translation"]["test"].law).argmax(1)
    assert (found == test.y.numpy()).mean() > 0.99


@cache
def anchors(task: Task, condition: str) -> Scores:
    draw = Draw(task.spec.id, 0)
    return task.anchors(condition, load_data(task, condition, draw), draw)


def rows(task: Task, iid: float, ood: float) -> dict[str, Row]:
    """What a model of this accuracy would record in every condition."""
    scores = {split.name: {"accuracy": iid} for split in task.spec.splits} | {"ood": {"accuracy": ood}}
    return {condition: Row(scores, anchors(task, condition)) for condition in LEVELS}


def test_score_lies_between_chance_and_bayes() -> None:
    summary = TASK.summarize(rows(TASK, iid=0.9, ood=0.55))
    assert summary.scores["score_translation"] == pytest.approx(0.45 / 0.9)
    assert summary.scores["score_noise"] == pytest.approx(0.45 / 0.877)
    assert summary.scores["score"] == pytest.approx((0.5 + 0.45 / 0.899 + 0.45 / 0.877) / 3)
    assert summary.indices["drop_scale"] == pytest.approx(0.35)
    assert summary.trained
    assert TASK.summarize(rows(TASK, iid=0.1, ood=0.1)).scores["score"] == pytest.approx(0)
    assert not TASK.summarize(rows(TASK, iid=0.2, ood=0.1)).trained


def test_the_control_has_no_shift_and_no_ladder() -> None:
    assert [split.params for split in CONTROL.spec.splits] == [{"level": "train"}] * 4
    known = anchors(CONTROL, "translation")
    assert known["ood"] == known["iid"] == {"chance": 0.1, "oracle": 1.0}


def test_a_measured_row_holds_every_rung() -> None:
    data = load_data(TASK, "scale", Draw(TASK.spec.id, 0))
    scores = TASK.measure("scale", lambda x: class_logits(torch.zeros(len(x)), 10), data)
    assert {split: values["accuracy"] for split, values in scores.items()} == pytest.approx(
        {"val": 0.1, "iid": 0.1, "ood": 0.1, "rung-1": 0.1, "rung-2": 0.1, "rung-3": 0.1}
    )
