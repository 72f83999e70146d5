"""Adam with a rate that falls as 1 / sqrt(t) and a negligible epsilon: in the limit a descent by signs.

Zhang, Zou, Cao, The implicit bias of Adam on separable data, NeurIPS 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

ENTRIES = {
    "adam-decaying": {
        "class": "DecayingAdam",
        "summary": "Adam with beta .9 and .99, rate .03 / sqrt(t) and an epsilon of 1e-30",
        "hparams": {"lr": 0.03},
        "special": True,
    }
}

EPSILON = 1e-30
"""With torch's 1e-8 a gradient below it moves nothing: on separable classes that is soon."""


class DecayingAdam(torch.optim.Adam):
    """`lr` is the rate of the first step."""

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float = 0.1, betas: tuple[float, float] = (0.9, 0.99)
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=EPSILON)
        for group in self.param_groups:
            group["steps"] = 0

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Adam's step at this step's rate; the value of the closure, if there is one."""
        rates = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["steps"] += 1
            group["lr"] /= math.sqrt(group["steps"])
        loss: float | None = super().step(closure)
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate
        return loss
