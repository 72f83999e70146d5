"""Whether ours agree with what was published: a band from the spreads of both, and a verdict.

A difference agrees when it is at most 3 s sqrt(1 / n_published + 1 / n_ours) plus half a unit of the last printed
digit. s is the spread over runs, pooled from the published sd and ours by their degrees of freedom. Where only one of
the two is known it is that one; a published n that nobody gives counts as 1. Where neither is known, only what is
within the printed precision can be said to agree, and the rest is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev, stdev
from typing import Literal, get_args

from benchmarks.reproductions._expected import AtLeast, Line, Published, Unpublished

Verdict = Literal["agrees", "differs", "undecided", "no published value", "skipped", "failed"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
WIDTH = 3.0
ROUNDING = 1e-9  # relative: a mean of floats is not exact


@dataclass(frozen=True)
class Comparison:
    """One line of an entry: our values, one a seed, what was expected, and what follows.

    `band` is None where nothing is published or no spread is known; `basis` says what it was made of. `reason` is why
    a line was skipped or failed. `spread_as_published` is ours, taken the way of a printed sd that is none of the line.
    """

    line: str
    values: Sequence[float]
    expected: Line
    verdict: Verdict
    band: float | None = None
    basis: str = ""
    reason: str = ""
    spread_as_published: float | None = None


def compare(line: str, expected: Line, values: Mapping[str, Sequence[float]]) -> Comparison:
    """A measured line, from the values of all lines of its entry."""
    ours = values[line]
    match expected:
        case Unpublished():
            return Comparison(line, ours, expected, "no published value")
        case AtLeast(value=bound):
            return Comparison(line, ours, expected, "agrees" if fmean(ours) >= bound else "differs", basis="a bound")
        case Published():
            band, basis = band_of(expected, ours)
            found = verdict(fmean(ours) - expected.value, band, expected)
            spread = fmean(pstdev(values[name]) for name in expected.spread_over) if expected.spread_over else None
            return Comparison(line, ours, expected, found, band, basis, spread_as_published=spread)


def verdict(difference: float, band: float | None, expected: Published) -> Verdict:
    """What a difference says, with a band or without one."""
    slack = ROUNDING * max(1.0, abs(expected.value))
    if band is None:
        return "agrees" if abs(difference) <= expected.last_digit / 2 + slack else "undecided"
    return "agrees" if abs(difference) <= band + slack else "differs"


def band_of(expected: Published, ours: Sequence[float]) -> tuple[float | None, str]:
    """The largest difference that agrees, and what it was made of; None where there is no spread on either side."""
    sd, basis = spread(expected, ours)
    if sd is None:
        return None, basis
    n_published = 1.0 if expected.n is None else expected.n
    return WIDTH * sd * math.sqrt(1 / n_published + 1 / len(ours)) + expected.last_digit / 2, basis


def spread(expected: Published, ours: Sequence[float]) -> tuple[float | None, str]:
    """The sd over runs, and whose it is."""
    published, own = expected.sample_sd, stdev(ours) if len(ours) > 1 else None
    if published is None:
        unknown = "exact" if expected.n == math.inf else "no published spread"
        return own, f"{unknown}, our sd" if own is not None else f"{unknown}, one run"
    if own is None:
        return published, "published sd"
    freedom = max((expected.n or 1.0) - 1, 1.0), len(ours) - 1
    pooled = math.sqrt((freedom[0] * published**2 + freedom[1] * own**2) / sum(freedom))
    return pooled, "published sd and ours, pooled"


def unmeasured(lines: Mapping[str, Line], verdict: Verdict, reason: str) -> list[Comparison]:
    """All lines of an entry that has no values."""
    return [Comparison(line, (), expected, verdict, reason=reason) for line, expected in lines.items()]
