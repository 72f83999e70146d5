"""What is measured of outputs against targets. Shapes: N examples, C outputs, L positions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

CALIBRATION_BINS = 15
IGNORED = -100  # torch's own mark of a target that does not count


def losses(outputs: Tensor, y: Tensor, output_kind: str) -> Tensor:
    """The training loss of each example (N,): cross-entropy (nats) for classes and tokens, squared error for values.

    Outputs (C) are averaged, and so are the positions (L) that count.
    """
    if output_kind == "values":
        return (outputs - y).square().flatten(1).mean(1)
    per_target = surprise(outputs, y)
    return per_target if y.ndim == 1 else per_target.sum(1) / (y != IGNORED).sum(1).clamp(min=1)


def surprise(outputs: Tensor, y: Tensor) -> Tensor:
    """-log p(y) in nats, in the shape of y; 0 where a target does not count."""
    flat = functional.cross_entropy(outputs.flatten(0, -2), y.flatten(), reduction="none", ignore_index=IGNORED)
    return flat.view(y.shape)


def mean_loss(outputs: Tensor, y: Tensor, output_kind: str) -> Tensor:
    """The mean loss over all targets that count, in one operation: a step of a small network feels the difference."""
    if output_kind == "values":
        return functional.mse_loss(outputs, y)
    return functional.cross_entropy(outputs.flatten(0, -2), y.flatten(), ignore_index=IGNORED)


def hits(outputs: Tensor, y: Tensor) -> Tensor:
    """Whether the largest logit is the label, in the shape of y; of k equal largest ones each is hit by 1 / k.

    The tie rule matters: a model with constant logits would otherwise score the frequency of class 0.
    """
    largest = outputs == outputs.max(dim=-1, keepdim=True).values  # (..., C)
    return largest.gather(-1, y.clamp(min=0).unsqueeze(-1)).squeeze(-1).float() / largest.sum(-1)


def accuracy(outputs: Tensor, y: Tensor) -> float:
    """Share of examples (and positions that count) whose largest logit is the label, in [0, 1]."""
    return float(hits(outputs, y)[y != IGNORED].mean())


def exact_match(outputs: Tensor, y: Tensor) -> float:
    """Share of sequences (N, L) whose every target is hit, in [0, 1].

    Where outputs depend on no later token this is the exact match of greedy decoding, by induction: as long as every
    token so far was right, the decoder has read what stands in the input.
    """
    return float(hits(outputs, y).masked_fill(y == IGNORED, 1.0).prod(dim=1).mean())


def roc_auc(outputs: Tensor, y: Tensor) -> float:
    """Area under the ROC curve of the second of two logits over the first, in [0, 1]; a tie counts one half."""
    from scipy.stats import rankdata  # midranks: the Mann-Whitney statistic

    margin = (outputs[:, 1] - outputs[:, 0]).double().cpu().numpy()
    positive = (y == 1).cpu().numpy()
    n, p = len(positive), int(positive.sum())
    if p in (0, n):
        raise ValueError(f"the area under a ROC curve needs both classes; all {n} labels are {int(p > 0)}")
    return float((rankdata(margin)[positive].sum() - p * (p + 1) / 2) / (p * (n - p)))


def calibration_error(outputs: Tensor, y: Tensor) -> float:
    """Expected calibration error in [0, 1], 15 equal-width bins of the top probability (Guo et al. 2017, eq. 3)."""
    counts = y.flatten() != IGNORED
    confidence, predicted = functional.softmax(outputs.flatten(0, -2)[counts].double(), dim=-1).max(-1)
    correct = (predicted == y.flatten()[counts]).double()
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
    """All metrics that apply. Values: mse, r2. Classes: accuracy, nll, ece, worst_group.

    Sequences: these and exact_match, and code_length, the mean nats of a whole answer.
    """
    loss = float(losses(outputs, y, output_kind).double().mean())
    if output_kind == "values":
        return {"mse": loss, "r2": r2(outputs, y)}
    values = {"accuracy": accuracy(outputs, y), "nll": loss, "ece": calibration_error(outputs, y)}
    if output_kind == "sequence":
        values |= {"exact_match": exact_match(outputs, y), "code_length": float(surprise(outputs, y).sum(1).mean())}
    if group is not None:
        members = [group == g for g in group.unique()]
        values["worst_group"] = min(accuracy(outputs[m], y[m]) for m in members)
    return values
