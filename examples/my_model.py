"""A network to copy: it imports nothing of the suite. Check it, then run it beside a baseline:

python -m benchmarks.check examples/my_model.py:ResidualMlp
python -m benchmarks.run --task shift --model examples/my_model.py:ResidualMlp mlp
"""

import math

from torch import nn


class ResidualMlp(nn.Module):
    """A residual network on the flattened input."""

    # Optional: the kinds of input that it takes ("vector", "signal", "image", "tokens"). Other tasks are skipped.
    takes = ("vector", "signal", "image")

    # Optional: fields that replace the task's own recipe (optimizer, learning_rate, weight_decay, momentum, schedule,
    # warmup_steps, clip_norm). Without it every task trains the model as it proposes.
    recipe = {"weight_decay": 1e-4, "optimizer": "adamw"}

    def __init__(self, problem, width=128, blocks=2):
        """The problem tells shapes and kinds: input_kind, input_shape, output_kind, n_outputs, n_train, ...

        Whatever follows it needs a default. What the model cannot do, it says by raising NotImplementedError here.
        """
        super().__init__()
        self.enter = nn.Linear(math.prod(problem.input_shape), width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.leave = nn.Linear(width, problem.n_outputs)

    def forward(self, x):
        """x (N, *input_shape), float32 -> logits or values (N, n_outputs)."""
        h = self.enter(x.flatten(1))  # (N, width)
        for block in self.blocks:
            h = h + block(h)
        return self.leave(h)
