"""How long a model took to solve a problem that shows one example after another, and a score for that."""

from __future__ import annotations

import math
from collections.abc import Callable

from tasks.sources.learning_order import NEVER, first_step
from tasks.types import Row, Scores


def solving_step(row: Row, solved: Callable[[Scores], bool], pool: float) -> float:
    """The first measured step at which a problem is solved; infinity if it is not.

    An estimator, whose one measurement is at step 0, has met its whole training set by then and is charged `pool`, the
    steps that show as many examples. A predictor without a curve was never trained and is charged nothing.
    """
    if not row.curve:
        return 0.0 if solved(row.scores) else NEVER
    step = first_step(row.curve, solved)
    return pool if step == 0 else step


def is_training(row: Row) -> bool:
    """Whether a row has steps: not an estimator, which is measured at step 0 alone, nor a reference."""
    return bool(row.curve) and row.curve[-1][0] > 0


def speed(steps: float, fast: float, limit: float) -> float:
    """1 for a problem solved in `fast` steps or fewer, 0 at the limit or never, linear in log(steps) between."""
    if steps == NEVER:
        return 0.0
    return min(1.0, max(0.0, 1 - math.log(max(steps, fast) / fast) / math.log(limit / fast)))
