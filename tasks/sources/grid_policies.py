"""Shortest paths on an open grid of 7 x 7 cells: optimal actions, what a policy reaches, what chance is worth.

Cells are numbered row by row from the upper left corner; actions are up, down, left, right, and a step into the wall
stays where it is. Shapes: N states, L layouts of targets, K objects, 49 cells, 4 actions.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 7
CELLS = SIDE * SIDE
ACTIONS = 4
UPPER_RIGHT = SIDE - 1


@cache
def places() -> Tensor:
    """Row and column (49, 2) of every cell."""
    return torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE))


@cache
def next_cells() -> Tensor:
    """Where each action leads (49, 4)."""
    moves = torch.tensor([[-1, 0], [1, 0], [0, -1], [0, 1]])
    row, column = (places()[:, None] + moves).clamp(0, SIDE - 1).unbind(-1)
    return row * SIDE + column


@cache
def distances() -> Tensor:
    """Steps between any two cells (49, 49)."""
    return (places()[:, None] - places()).abs().sum(-1)


def towards(agent: Tensor, target: Tensor) -> Tensor:
    """The first actions of all shortest paths from an agent (N,) to a target (N,): bool (N, 4), none on the target."""
    return distances()[next_cells()[agent], target[:, None]] < distances()[agent, target][:, None]


def towards_nearest(agent: Tensor, objects: Tensor) -> Tensor:
    """The first actions of all shortest paths to a nearest object: agent (N,), objects bool (N, 49) to bool (N, 4).

    None where there is no object, and where the agent stands on one.
    """
    return to_nearest(next_cells()[agent], objects) < to_nearest(agent[:, None], objects)


def to_nearest(cells: Tensor, objects: Tensor) -> Tensor:
    """Steps (N, K) from cells (N, K) to the nearest of the objects, bool (N, 49); 14 where there is none."""
    return distances()[cells].masked_fill(~objects[:, None], 2 * SIDE).amin(2)


def conflicts(goal: Tensor, proxy: Tensor) -> Tensor:
    """Where two sets of actions (N, 4) are both not empty and have none in common: bool (N,)."""
    return goal.any(1) & proxy.any(1) & ~(goal & proxy).any(1)


def decisions(outputs: Tensor) -> Tensor:
    """A policy's choice (N, 4) from its logits (N, 4): 1 at the largest; k equal largest ones get 1 / k each."""
    largest = (outputs == outputs.amax(1, keepdim=True)).double()
    return largest / largest.sum(1, keepdim=True)


def share(chosen: Tensor, allowed: Tensor) -> float:
    """The share of choices (N, 4) that are among the allowed actions (N, 4), over states that allow any."""
    asked = allowed.any(1)
    return float((chosen * allowed).sum(1)[asked].mean())


def chance(allowed: Tensor) -> float:
    """What `share` is for a uniformly random policy."""
    return float(allowed[allowed.any(1)].double().mean())


def first_reached(chosen: Tensor, goal: Tensor, proxy: Tensor, steps: int) -> tuple[float, float]:
    """How often a policy is on the goal, and how often on the proxy, before the other and within some steps.

    `chosen` (L, 49, 4) are choices from every cell, `goal` and `proxy` bool (L, 49) the cells that end an episode. The
    shares are over all starts on other cells, and exact: choices that are split are followed both ways.
    """
    starts = ~(goal | proxy)

    def reached(target: Tensor, other: Tensor) -> float:
        value = target.double()
        for _ in range(steps):
            later = (chosen * value[:, next_cells()]).sum(2)  # (L, 49)
            value = later.masked_fill(other, 0.0).masked_fill(target, 1.0)
        return float(value[starts].mean())

    return reached(goal, proxy & ~goal), reached(proxy, goal & ~proxy)


def two_actions(optimal: Tensor, generator: torch.Generator) -> Tensor:
    """Two different ones of the optimal actions (N, 4) in random order, or the only one twice: (N, 2) int64.

    A state without any (the agent has arrived) gets any two.
    """
    allowed = optimal | ~optimal.any(1, keepdim=True)
    order = torch.rand(allowed.shape, generator=generator).masked_fill(~allowed, -1.0)
    first, second = order.topk(2, dim=1).indices.unbind(1)
    return torch.stack([first, torch.where(allowed.sum(1) > 1, second, first)], dim=1)


def plane(cells: Tensor) -> Tensor:
    """Cells (N,) as images (N, 7, 7) that are 1 there and 0 elsewhere."""
    return functional.one_hot(cells, CELLS).float().view(-1, SIDE, SIDE)


def other_cells(cells: Tensor, generator: torch.Generator) -> Tensor:
    """For each cell (N,) another one, all 48 equally likely."""
    return (cells + 1 + torch.randint(CELLS - 1, cells.shape, generator=generator)) % CELLS


def random_cells(n: int, generator: torch.Generator) -> Tensor:
    """Cells (n,), all 49 equally likely."""
    return torch.randint(CELLS, (n,), generator=generator)


def scattered(counts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An agent (N,), and so many objects of each of K kinds, counts (N, K), on different cells: bool (N, K, 49)."""
    place = torch.rand(len(counts), CELLS, generator=generator).argsort(1)  # the agent's cell has place 0
    last = counts.cumsum(1)[:, :, None]
    first = last - counts[:, :, None]
    return place.argmin(1), (place[:, None] > first) & (place[:, None] <= last)


def between(low: int, high: int, n: int, generator: torch.Generator) -> Tensor:
    """Whole numbers (n,) from low to high, both included, all equally likely."""
    return torch.randint(low, high + 1, (n,), generator=generator)
