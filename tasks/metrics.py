"""What is measured of outputs against targets. Shapes: N examples, C outputs, L positions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

CALIBRATION_BINS = 15


def losses(outputs: Tensor, y: Tensor, output_kind: str) -> Tensor:
    """The training loss of each example (N,): cross-entropy (nats) for classes, squared error for values.

    Positions (L) and outputs (C) are averaged.
    """
    if output_kind == "classes":
        per_target = functional.cross_entropy(outputs.flatten(0, -2), y.flatten(), reduction="none")
        return per_target.view(y.shape) if y.ndim == 1 else per_target.view(y.shape).flatten(1).mean(1)
    return (outputs - y).square().flatten(1).mean(1)


def mean_loss(outputs: Tensor, y: Tensor, output_kind: str) -> Tensor:
    """The mean of `losses`, in one operation: a training step of a small network feels the difference."""
    if output_kind == "classes":
        return functional.cross_entropy(outputs.flatten(0, -2), y.flatten())
    return functional.mse_loss(outputs, y)


def accuracy(outputs: Tensor, y: Tensor) -> float:
    """Share of examples (and positions) whose largest logit is the label, in [0, 1]. A tie counts as its expectation.

    The tie rule matters: a model with constant logits would otherwise score the frequency of class 0.
    """
    largest = outputs == outputs.max(dim=-1, keepdim=True).values  # (..., C)
    hit = largest.gather(-1, y.unsqueeze(-1)).squeeze(-1).float()
    return float((hit / largest.sum(-1)).mean())


def calibration_error(outputs: Tensor, y: Tensor) -> float:
    """Expected calibration error in [0, 1], 15 equal-width bins of the top probability (Guo et al. 2017, eq. 3)."""
    confidence, predicted = functional.softmax(outputs.flatten(0, -2).double(), dim=-1).max(-1)
    correct = (predicted == y.flatten()).double()
    bins = (confidence * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
    gap = torch.zeros(CALIBRATION_BINS, dtype=torch.float64, device=outputs.device)
    gap.index_add_(0, bins, confidence - correct)
    return float(gap.abs().sum() / len(confidence))


def r2(outputs: Tensor, y: Tensor) -> float:
    """1 - MSE / variance of the targets on these examples: 1 is exact, 0 the constant mean, unbounded below.

    Several outputs are averaged.
    """
    outputs, y = outputs.double(), y.double()
    error = (outputs - y).square().mean(0)
    variance = (y - y.mean(0)).square().mean(0)
    return float((1 - error / variance).mean())


def evaluate(outputs: Tensor, y: Tensor, output_kind: str, group: Tensor | None = None) -> Mapping[str, float]:
    """All metrics that apply. Classes: accuracy, nll, ece, worst_group. Values: mse, r2."""
    loss = float(losses(outputs, y, output_kind).double().mean())
    if output_kind == "values":
        return {"mse": loss, "r2": r2(outputs, y)}
    values = {"accuracy": accuracy(outputs, y), "nll": loss, "ece": calibration_error(outputs, y)}
    if group is not None:
        members = [group == g for g in group.unique()]
        values["worst_group"] = min(accuracy(outputs[m], y[m]) for m in members)
    return values
