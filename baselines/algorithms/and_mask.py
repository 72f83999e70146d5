"""ANDMask: a weight moves only where the environments agree on the direction.

Parascandolo, Neitz, Orvieto, Gresele, Schölkopf, Learning explanations that are hard to vary, ICLR 2021.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from baselines.algorithm import Algorithm, among, environment_gradients, environment_risks, within
from tasks.types import Batch, Problem

ENTRIES = {"and-mask": {"class": "ANDMask", "summary": "the mean gradient where the environments' signs agree"}}

Variant = Literal["domainbed", "unit-test"]


class ANDMask(Algorithm):
    """The mean gradient of the environments, 0 where too few of them have the same sign.

    `domainbed`: kept where |mean_e sign g_e| >= tau, and divided by the share kept of each parameter tensor.
    `unit-test`, as in the linear unit tests (Aubin et al., 2021): an environment's gradient of a weight tensor is first
    divided by its norm, kept where |sum_e sign g_e| > E tau, and not divided; biases get the plain mean.
    """

    needs = ("environments",)
    search = {"tau": ("uniform", 0.5, 1.0)}

    def __init__(self, problem: Problem, tau: float = 1.0, variant: Variant = "domainbed") -> None:
        super().__init__(problem)
        self.variant = among("variant", variant, get_args(Variant))
        if variant == "unit-test" and tau == 1:
            raise ValueError("tau is 1.0; in the variant unit-test it must be below 1, as no sum of signs exceeds E")
        self.tau = within("tau", tau, 0, 1)

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        return environment_risks(model(batch.x), batch, self.problem.output_kind).mean()

    def backward(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        risks = environment_risks(model(batch.x), batch, self.problem.output_kind)  # (E,)
        parameters = [p for p in model.parameters() if p.requires_grad]
        combine = rescaled if self.variant == "domainbed" else normalized
        for parameter, gradients in zip(parameters, environment_gradients(risks, parameters), strict=True):
            parameter.grad = combine(gradients, self.tau)
        return risks.mean().detach()


def rescaled(gradients: Tensor, tau: float) -> Tensor:
    """Gradients (E, *shape) of a parameter to the masked mean over the share kept; 0 where none is."""
    kept = (gradients.sign().sum(0).abs() >= len(gradients) * tau).to(gradients)
    return kept * gradients.mean(0) / kept.mean().clamp(min=1 / kept.numel())


def normalized(gradients: Tensor, tau: float) -> Tensor:
    """Gradients (E, *shape) of a weight tensor to the masked mean of unit vectors; those of a bias to their mean."""
    if gradients.ndim < 3:
        return gradients.mean(0)
    norms = torch.linalg.vector_norm(gradients.flatten(1), dim=1).view(-1, *[1] * (gradients.ndim - 1))
    mean = (gradients / torch.where(norms > 0, norms, 1.0)).mean(0)
    return mean * (gradients.sign().sum(0).abs() > len(gradients) * tau)
