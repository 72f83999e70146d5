"""What is read off a curve of risk against size: is there a peak, how high is it, and does size pay in the end?

Risks (K,) are positive, sizes rise.
"""

from __future__ import annotations

from collections.abc import Sequence


def peak(risks: Sequence[float]) -> int | None:
    """The place of the largest risk that some smaller and the largest model undercut; None where there is none.

    A curve that falls all the way has no peak at its left end, however high that is.
    """
    after_rise = [place for place in range(len(risks)) if min(risks[: place + 1]) < risks[place] > risks[-1]]
    return max(after_rise, key=risks.__getitem__, default=None)


def peak_ratio(risks: Sequence[float]) -> float:
    """The risk at the peak over that of the largest model, at least 1; 1 without a peak."""
    place = peak(risks)
    return 1.0 if place is None else risks[place] / risks[-1]


def regret(risks: Sequence[float], null: float) -> float:
    """What the largest model loses to the best one, in units of the null predictor's risk."""
    return (risks[-1] - min(risks)) / null


def prominence(risks: Sequence[float]) -> float:
    """How far the highest hump stands out: the largest risk above both the least before it and the least after it.

    min(rise, fall), in the units of the risks; 0 for a curve that only falls, only rises, or falls and then rises.
    """
    inner = range(1, len(risks) - 1)
    return max([0.0, *(risks[j] - max(min(risks[:j]), min(risks[j + 1 :])) for j in inner)])
