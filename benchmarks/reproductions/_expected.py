"""What a source says of a line, and how it is held against ours: a published value, a bound, or nothing but anchors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A mean of `n` runs whose spread over runs was `sd`, printed in units of `last_digit`.

    `population` says that the sd was taken with a denominator of n. `n` is infinite for a closed form. `spread_over`
    names the lines whose population sds, averaged, are the counterpart to a printed sd that is no sd of this line.
    `source` is said where it is not the entry's, `explanation` where ours differ.
    """

    value: float
    sd: float | None = None
    n: float | None = None
    last_digit: float = 0.0
    population: bool = False
    spread_over: Sequence[str] = ()
    source: str = ""
    explanation: str = ""

    @property
    def sample_sd(self) -> float | None:
        """The sd with a denominator of n - 1, as ours has."""
        if self.sd is None or not self.population or self.n is None or self.n < 2:
            return self.sd
        return self.sd * math.sqrt(self.n / (self.n - 1))


@dataclass(frozen=True)
class AtLeast:
    """A bound that our mean must not fall below."""

    value: float
    source: str = ""
    explanation: str = ""


@dataclass(frozen=True)
class Unpublished:
    """No value is known: ours stands between the floor (the shortcut, chance) and the oracle, in the line's units."""

    floor: float | None = None
    oracle: float | None = None
    source: str = ""
    explanation: str = ""


Line = Published | AtLeast | Unpublished


def closed_form(value: float, last_digit: float = 1e-6, explanation: str = "") -> Published:
    """A value that follows from formulas; what is left is our own error, and rounding."""
    return Published(value, n=math.inf, last_digit=last_digit, source="closed form", explanation=explanation)
