"""The four networks of the MNIST-1D paper (Greydanus and Kobak, ICML 2024). They import nothing of the suite.

python -m benchmarks.run --task simplicity/locality --budget-scale 3 --model examples/mnist1d_models.py:Logistic \
    examples/mnist1d_models.py:Mlp examples/mnist1d_models.py:Cnn examples/mnist1d_models.py:Gru

Three times the suite's steps are the paper's 6,000, with its batches of 100 and its learning rate.
"""

from torch import nn

LENGTH = 40
RECIPE = {"optimizer": "adam", "learning_rate": 1e-2}


class Logistic(nn.Module):
    """One linear map: 410 parameters."""

    takes = ("signal",)
    recipe = RECIPE

    def __init__(self, problem):
        super().__init__()
        self.layer = nn.Linear(LENGTH, problem.n_outputs)

    def forward(self, x):
        """x (N, 1, 40) -> logits (N, 10)."""
        return self.layer(x.flatten(1))


class Mlp(nn.Module):
    """Two hidden layers of 100 ReLU units, the second added to the first: 15,210 parameters."""

    takes = ("signal",)
    recipe = RECIPE

    def __init__(self, problem, width=100):
        super().__init__()
        self.first = nn.Linear(LENGTH, width)
        self.second = nn.Linear(width, width)
        self.readout = nn.Linear(width, problem.n_outputs)

    def forward(self, x):
        """x (N, 1, 40) -> logits (N, 10)."""
        h = self.first(x.flatten(1)).relu()  # (N, width)
        h = h + self.second(h).relu()
        return self.readout(h)


class Cnn(nn.Module):
    """Three convolutions of stride 2, then a linear map of the 5 positions that are left: 5,210 parameters."""

    takes = ("signal",)
    recipe = RECIPE

    def __init__(self, problem, channels=25):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, channels, 5, stride=2, padding=1), nn.ReLU(),  # 40 -> 19 positions
            nn.Conv1d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),  # 10
            nn.Conv1d(channels, channels, 3, stride=2, padding=1), nn.ReLU(),  # 5
            nn.Flatten(),
            nn.Linear(5 * channels, problem.n_outputs),
        )  # fmt: skip

    def forward(self, x):
        """x (N, 1, 40) -> logits (N, 10)."""
        return self.layers(x)


class Gru(nn.Module):
    """Six gated recurrent units in each direction, a linear map of their states at all positions: 5,134 parameters."""

    takes = ("signal",)
    recipe = RECIPE

    def __init__(self, problem, width=6):
        super().__init__()
        self.recurrence = nn.GRU(1, width, batch_first=True, bidirectional=True)
        self.readout = nn.Linear(2 * width * LENGTH, problem.n_outputs)

    def forward(self, x):
        """x (N, 1, 40) -> logits (N, 10)."""
        states, _ = self.recurrence(x.transpose(1, 2))  # (N, 40, 2 * width)
        return self.readout(states.flatten(1))
