"""A training loop of one's own, scored by the task. Run it from the repository: python examples/own_loop.py

The suite's runner adds what a benchmark needs (seeds, recipes, selection by validation, records); this is all that a
task itself asks for.
"""

import math

import torch
from torch import nn

import tasks
from tasks.seeds import Draw
from tasks.types import Row, load_data

SEED = 0


def train(net: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, batch_size: int) -> None:
    """Put your own training here: this one is Adam on the cross-entropy."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    order = torch.Generator().manual_seed(SEED)
    for _ in range(steps):
        batch = torch.randint(len(x), (batch_size,), generator=order)
        loss = nn.functional.cross_entropy(net(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main() -> None:
    task = tasks.load("shift/colored-digits")
    problem, budget = task.spec.problem, task.spec.budget
    n_inputs = math.prod(problem.input_shape)
    draw = Draw(task.spec.id, SEED)
    rows = {}
    for condition in task.spec.conditions:  # most tasks have one training, called "default"
        data = load_data(task, condition.name, draw)  # split name to Batch(x, y, env, ...)
        print(f"{task.spec.id}, {condition.name}: training x {tuple(data['train'].x.shape)}")

        torch.manual_seed(SEED)
        net = nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, 128), nn.ReLU(), nn.Linear(128, problem.n_outputs))
        train(net, data["train"].x, data["train"].y, budget.steps, budget.batch_size)

        with torch.no_grad():
            scores = task.measure(condition.name, net, data)
        anchors = task.anchors(condition.name, data, draw)
        for split, metrics in scores.items():
            known = ", ".join(f"{name} {value:.3f}" for name, value in anchors.get(split, {}).items())
            print(f"  {split:12s} {task.spec.metric} {metrics[task.spec.metric]:.3f}   ({known})")
        rows[condition.name] = Row(scores, anchors)

    summary = task.summarize(rows)
    print(f"in distribution {summary.iid:.3f}, out of distribution {summary.ood:.3f}, trained: {summary.trained}")
    print("  ".join(f"{name} {value:.3f}" for name, value in summary.scores.items()))


if __name__ == "__main__":
    main()
