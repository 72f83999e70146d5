"""Random features: a wide ReLU layer that stays as it was drawn, and a linear readout that is trained."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "random-features": {"class": "RandomFeatures", "summary": "2,048 frozen random ReLU features, a trained readout"},
    "random-features-large": {
        "class": "RandomFeatures",
        "summary": "8,192 frozen random ReLU features, a trained readout",
        "hparams": {"width": 8192},
        "large": True,
    },
}


class RandomFeatures(nn.Module):
    """x (N, *S) -> `width` random ReLU features -> (N, C); a kernel method in a network's clothes.

    Rahimi and Recht, NIPS 2007. Features are relu(w . x + b) with w and b of variance 2 / d (He et al., ICCV 2015);
    the readout starts at zero and alone is trained: convex, as `linear` is, but ill-conditioned, so that large steps
    that anneal get farthest. Freezing is done by `requires_grad_`, as the name of an attribute can be misspelt without
    an error: so it was in the code of Abbe et al. (ICML 2023), whose random features were trained.
    """

    takes = ("vector", "signal", "image")
    recipe = {"optimizer": "adam", "learning_rate": 1e-2, "schedule": "cosine"}

    def __init__(self, problem: Problem, width: int = 2048) -> None:
        super().__init__()
        inputs = math.prod(problem.input_shape)
        self.features = nn.Linear(inputs, width).requires_grad_(False)
        for parameter in self.features.parameters():
            nn.init.normal_(parameter, std=math.sqrt(2 / inputs))
        self.readout = nn.Linear(width, problem.n_outputs)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.readout(self.features(x.flatten(1)).relu())  # (N, C)
        return out
