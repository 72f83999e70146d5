"""When parts of a task were learned, and in which order; read off a learning curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tasks.types import Scores

Curve = Sequence[tuple[int, Scores]]
"""(step, scores) at every measured step, the earliest first."""

NEVER = math.inf


def first_step(curve: Curve, learned: Callable[[Scores], bool]) -> float:
    """The first measured step whose scores count as learned; infinity if there is none."""
    return next((float(step) for step, scores in curve if learned(scores)), NEVER)


def learning_order(times: Sequence[float]) -> float | None:
    """Spearman's correlation of the parts' places with the times (K,) at which they were learned, in [-1, 1].

    1 if the first part was learned first, and so on. Equal times share their mean rank, and so do the parts that were
    never learned, which come last. None where all times are equal: there is no order then.
    """
    if len(set(times)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(range(len(times)), times).statistic)
