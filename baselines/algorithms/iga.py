"""IGA, inter-environmental gradient alignment: the gradients of all environments shall agree.

Koyama, Yamaguchi, Out-of-distribution generalization with maximal invariant predictor, arXiv 2008.01883, 2020.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.backends import cudnn
from torch.nn.attention import SDPBackend, sdpa_kernel

from baselines.algorithm import Algorithm, environment_gradients, environment_risks, within
from tasks.types import Batch, Problem

ENTRIES = {"iga": {"class": "IGA", "summary": "mean risk + penalty x spread of the environments' gradients"}}


class IGA(Algorithm):
    """mean_e R_e + penalty * sum_e |grad R_e - mean_e grad R_e|^2, over all parameters that are trained."""

    needs = ("environments",)
    search = {"penalty": ("loguniform", 10.0, 100_000.0)}

    def __init__(self, problem: Problem, penalty: float = 1000.0) -> None:
        super().__init__(problem)
        self.penalty = within("penalty", penalty, 0)

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        # fused attention and cuDNN's recurrences have no second derivative
        with sdpa_kernel(SDPBackend.MATH), cudnn.flags(enabled=False):
            risks = environment_risks(model(batch.x), batch, self.problem.output_kind)  # (E,)
            parameters = [p for p in model.parameters() if p.requires_grad]
            gradients = environment_gradients(risks, parameters, differentiable=True)
        spread = sum(((g - g.mean(0)).square().sum() for g in gradients), start=risks.new_zeros(()))
        return risks.mean() + self.penalty * spread
