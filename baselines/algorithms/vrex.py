"""V-REx, risk extrapolation: the mean risk of the environments plus a penalty on the variance of their risks.

Krueger, Caballero, Jacobsen, Zhang, Binas, Zhang, Le Priol, Courville, Out-of-distribution generalization via risk
extrapolation, ICML 2021.
"""

from __future__ import annotations

from torch import Tensor, nn

from baselines.algorithm import WarmedPenalty, environment_risks
from tasks.types import Batch, Problem

ENTRIES = {"vrex": {"class": "VREx", "summary": "mean risk + penalty x variance of the environments' risks"}}


class VREx(WarmedPenalty):
    """mean_e R_e + penalty * mean_e (R_e - mean R)^2; the penalty's weight is 1 until the warm-up ends."""

    needs = ("environments",)
    search = {"penalty": ("loguniform", 0.1, 100_000.0), "warmup": ("loguniform", 2e-4, 1.0)}

    def __init__(self, problem: Problem, penalty: float = 10.0, warmup: float = 0.1) -> None:
        super().__init__(problem, penalty, warmup)

    def loss(self, model: nn.Module, batch: Batch, step: int) -> Tensor:
        risks = environment_risks(model(batch.x), batch, self.problem.output_kind)  # (E,)
        return risks.mean() + self.weight(step) * risks.var(correction=0)
