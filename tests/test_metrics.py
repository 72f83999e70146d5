"""Metrics on examples done by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tasks.metrics import accuracy, calibration_error, evaluate, losses, mean_loss, r2
from tasks.types import Batch, Recipe, class_logits, clip


def test_accuracy_counts_a_tie_as_its_expectation() -> None:
    outputs = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [2.0, 2.0]])
    assert accuracy(outputs, torch.tensor([0, 0, 0, 1])) == pytest.approx((1 + 0 + 0.5 + 0.5) / 4)
    assert accuracy(torch.zeros(7, 5), torch.zeros(7, dtype=torch.int64)) == pytest.approx(0.2)


def test_accuracy_per_position() -> None:
    outputs = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])  # (N=1, L=3, C=2)
    assert accuracy(outputs, torch.tensor([[0, 1, 1]])) == pytest.approx(2 / 3)
    assert losses(outputs, torch.tensor([[0, 1, 1]]), "classes").shape == (1,)


def test_cross_entropy_and_squared_error() -> None:
    uniform = losses(torch.zeros(3, 4), torch.tensor([0, 1, 2]), "classes")
    assert uniform.tolist() == pytest.approx([math.log(4)] * 3)
    assert losses(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]]), "values").tolist() == [2.5]


@pytest.mark.parametrize(("shape", "kind"), [((6, 4), "classes"), ((6, 3, 4), "classes"), ((6, 4), "values")])
def test_the_fast_mean_is_the_mean_of_the_losses(shape: tuple[int, ...], kind: str) -> None:
    outputs = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    y = torch.arange(outputs[..., 0].numel()).view(shape[:-1]) % 4 if kind == "classes" else outputs.flip(0)
    torch.testing.assert_close(mean_loss(outputs, y, kind), losses(outputs, y, kind).mean())


def test_r2_of_exact_of_constant_and_of_opposite() -> None:
    y = torch.tensor([[-1.0], [0.0], [1.0]])
    assert [r2(y, y), r2(torch.zeros(3, 1), y), r2(-y, y)] == pytest.approx([1, 0, -3])


def test_calibration_of_a_confident_coin() -> None:
    outputs = torch.tensor([[100.0, 0.0]] * 4)
    assert calibration_error(outputs, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.5)
    assert calibration_error(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1])) == pytest.approx(0.0)


def test_worst_group() -> None:
    outputs = class_logits(torch.tensor([0, 0, 0, 0]), 2)
    values = evaluate(outputs, torch.tensor([0, 0, 1, 0]), "classes", group=torch.tensor([0, 0, 1, 1]))
    assert values["accuracy"] == pytest.approx(0.75) and values["worst_group"] == pytest.approx(0.5)


def test_clip_and_recipe_and_batch() -> None:
    assert [clip(x) for x in (-3, 0.5, 7, math.nan)] == [-0.25, 0.5, 1, -0.25]
    assert Recipe().override({"learning_rate": 0.5}).learning_rate == 0.5
    with pytest.raises(ValueError, match="no field lr; it has"):
        Recipe().override({"lr": 1})
    batch = Batch(torch.arange(4.0)[:, None], torch.arange(4), env=torch.tensor([0, 0, 1, 1]))
    half = batch.map(lambda t: t[2:])
    assert len(half) == 2 and half.env is not None and half.env.tolist() == [1, 1] and half.weight is None
