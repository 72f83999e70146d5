"""Invariant risk minimization (IRMv1): no environment wants the outputs scaled, so one classifier fits them all.

Arjovsky, Bottou, Gulrajani, Lopez-Paz, Invariant risk minimization, arXiv 1907.02893, 2019, section 3.1.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from baselines.algorithm import WarmedPenalty, among, means_by
from tasks.metrics import losses
from tasks.types import Batch, Problem

ENTRIES = {
    "irm": {"class": "IRM", "summary": "mean risk + penalty x mean squared slope of a risk in the outputs' scale"}
}

Variant = Literal["full", "split"]


class IRM(WarmedPenalty):
    """mean_e R_e + penalty * mean_e (d/ds R_e(s * outputs) at s = 1)^2.

    The penalty's weight is 1 until the warm-up ends. `full` squares an environment's slope on all its examples of the
    batch; `split` multiplies the slopes on its even and odd ones, which is unbiased and may be negative. `rescale`
    divides the whole loss by the weight where that is above 1, as the paper's program does.
    """

    needs = ("environments",)
    search = {"penalty": ("loguniform", 0.1, 100_000.0), "warmup": ("loguniform", 2e-4, 1.0)}

    def __init__(
        self,
        problem: Problem,
        penalty: float = 100.0,
        warmup: float = 0.1,
        variant: Variant = "full",
        rescale: bool = False,
    ) -> None:
        super().__init__(problem, penalty, warmup)
        self.variant = among("variant", variant, get_args(Variant))
        self.rescale = rescale

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        assert batch.env is not None
        outputs = model(batch.x)
        per_example = losses(outputs, batch.y, self.problem.output_kind)  # (B,)
        (gradient,) = torch.autograd.grad(per_example.sum(), outputs, create_graph=True)
        slopes = (gradient * outputs).flatten(1).sum(1)  # (B,): the chain rule for s * outputs at s = 1
        squared = means_by(batch.env, slopes).square() if self.variant == "full" else products(batch.env, slopes)
        weight = self.weight(step)
        loss = means_by(batch.env, per_example).mean() + weight * squared.mean()
        return loss / weight if self.rescale and weight > 1 else loss


def products(env: Tensor, slopes: Tensor) -> Tensor:
    """env, slopes (B,): mean slope of an environment's even examples times that of its odd ones (E,).

    One example alone estimates no square, and counts as 0.
    """
    own = [slopes[env == number] for number in env.unique()]
    return torch.stack([s[::2].mean() * s[1::2].mean() if len(s) > 1 else 0 * s.sum() for s in own])
