"""The three examples of the linear unit tests: an invariant block, a spurious block, a label, three environments.

Formulas: Aubin, Slowik, Arjovsky, Bottou and Lopez-Paz, Linear unit-tests for invariance discovery, 2020. Features are
z = (invariant, spurious), five of each; shapes: E environments, N examples of each.

A world may have more environments than three, or the first two alone. Those beyond the third are drawn with the world,
by the laws of the released code, and one by one: a world of five has the first five environments of a world of ten.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

import torch
from torch import Tensor

from tasks.types import class_logits

DIM: Final = 5  # of either block
ENVIRONMENTS: Final = 3  # with published parameters


class Example(ABC):
    """One world of an example: parameters drawn once, from which every environment and split is sampled."""

    n_outputs: ClassVar[int]

    @classmethod
    @abstractmethod
    def draw(cls, generator: torch.Generator, environments: int = ENVIRONMENTS) -> Self:
        """A world with random parameters."""

    @property
    @abstractmethod
    def n_environments(self) -> int:
        """How many environments the world has (E)."""

    @abstractmethod
    def environment(self, env: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """n examples of an environment: invariant (n, 5), spurious (n, 5) and y, (n, 1) values or (n,) classes."""

    @abstractmethod
    def oracle(self, features: Tensor) -> Tensor:
        """Outputs (N, C) of the best predictor that uses the invariant block alone, from features (N, 10)."""

    @abstractmethod
    def shortcut(self, features: Tensor) -> Tensor:
        """Outputs (N, C) of the predictor that the example is built to tempt a learner into."""


@dataclass(frozen=True)
class SecondMoments:
    """All that squared loss knows of a distribution with zero means: E[zz'] (10, 10), E[zt] (10,), E[t^2], float64."""

    features: Tensor
    cross: Tensor
    target: float

    def permuted(self) -> SecondMoments:
        """The same after the spurious block is permuted: independent of the rest, its own law unchanged."""
        features, cross = self.features.clone(), self.cross.clone()
        features[:DIM, DIM:] = features[DIM:, :DIM] = 0.0
        cross[DIM:] = 0.0
        return SecondMoments(features, cross, self.target)

    def least_squares(self) -> Tensor:
        """The weights (10,) of the best linear predictor."""
        weights: Tensor = torch.linalg.solve(self.features, self.cross)
        return weights

    def risk(self, weights: Tensor) -> float:
        """E[(weights . z - t)^2]."""
        return float(weights @ self.features @ weights - 2 * weights @ self.cross) + self.target

    @staticmethod
    def pooled(environments: list[SecondMoments]) -> SecondMoments:
        """Of equally large environments taken together."""
        return SecondMoments(
            torch.stack([m.features for m in environments]).mean(0),
            torch.stack([m.cross for m in environments]).mean(0),
            sum(m.target for m in environments) / len(environments),
        )


@dataclass(frozen=True)
class CauseAndEffect(Example):
    """Example 1, regression: causes x, effects z, and noise whose scale depends on the environment.

    x = s n1, v = x W_cause + s n2, z = v W_effect + n3 with standard normal n; the target is the sum of v.
    """

    n_outputs = 1
    SCALES: ClassVar = (0.1, 1.5, 2.0)

    cause: Tensor  # (5, 5)
    effect: Tensor  # (5, 5)
    scales: tuple[float, ...] = SCALES  # E

    @classmethod
    def draw(cls, generator: torch.Generator, environments: int = ENVIRONMENTS) -> Self:
        """Scales beyond the third are 10^u with u uniform in -2 ... 1."""
        cause, effect = torch.randn(2, DIM, DIM, generator=generator) / DIM
        further = [10.0 ** (3 * u - 2) for (u,) in uniform(environments - ENVIRONMENTS, 1, generator)]
        return cls(cause, effect, (*cls.SCALES, *further)[:environments])

    @property
    def n_environments(self) -> int:
        return len(self.scales)

    def environment(self, env: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        n1, n2, n3 = torch.randn(3, n, DIM, generator=generator)
        x = self.scales[env] * n1
        v = x @ self.cause + self.scales[env] * n2
        return x, v @ self.effect + n3, v.sum(dim=1, keepdim=True)

    def oracle(self, features: Tensor) -> Tensor:
        return (features[:, :DIM] @ self.cause).sum(dim=1, keepdim=True)

    def shortcut(self, features: Tensor) -> Tensor:
        """The best linear predictor of the pooled training law: empirical risk minimization without end."""
        weights = SecondMoments.pooled([self.moments(env) for env in range(self.n_environments)]).least_squares()
        return features @ weights[:, None].to(features)

    def moments(self, env: int) -> SecondMoments:
        """The population second moments of an environment, in closed form."""
        cause, effect, variance = self.cause.double(), self.effect.double(), self.scales[env] ** 2
        identity = torch.eye(DIM, dtype=torch.float64)
        v_v = variance * (cause.T @ cause + identity)
        x_z = variance * cause @ effect
        z_z = effect.T @ v_v @ effect + identity
        features = torch.cat([torch.cat([variance * identity, x_z], 1), torch.cat([x_z.T, z_z], 1)])
        cross = torch.cat([variance * cause, effect.T @ v_v]).sum(1)
        return SecondMoments(features, cross, float(v_v.sum()))

    def oracle_risk(self) -> float:
        """Mean squared error of the oracle, 5 s^2 averaged over environments: 10.4333 in every world of three."""
        return sum(DIM * s**2 for s in self.scales) / len(self.scales)


@dataclass(frozen=True)
class CowsAndCamels(Example):
    """Example 2, classification: an animal that decides the label, in front of a 100 times louder background.

    The background agrees with the animal with probability p; the animal is of class 1 with probability s.
    """

    n_outputs = 2
    MEAN_AGREEMENT: ClassVar = 0.97
    AGREEMENT: ClassVar = (0.95, 0.97, 0.99)
    POSITIVE: ClassVar = (0.3, 0.5, 0.7)
    ANIMAL_SCALE: ClassVar = 0.01

    agreement: tuple[float, ...] = AGREEMENT  # E
    positive: tuple[float, ...] = POSITIVE  # E

    @classmethod
    def draw(cls, generator: torch.Generator, environments: int = ENVIRONMENTS) -> Self:
        """Beyond the third environment p is uniform in .9 ... 1 and s in .3 ... .7."""
        further = [(0.9 + 0.1 * u, 0.3 + 0.4 * v) for u, v in uniform(environments - ENVIRONMENTS, 2, generator)]
        agreement = (*cls.AGREEMENT, *(p for p, _ in further))
        positive = (*cls.POSITIVE, *(s for _, s in further))
        return cls(agreement[:environments], positive[:environments])

    def agreeing(self, mean: float) -> Self:
        """The world with every p moved so that .97 becomes `mean`; distances stay, or shrink where 1 is in the way."""
        reach = max(self.agreement) - self.MEAN_AGREEMENT
        share = 1.0 if mean + reach <= 1 else (1 - mean) / reach
        moved = tuple(round(mean + share * (p - self.MEAN_AGREEMENT), 9) for p in self.agreement)
        return replace(self, agreement=moved)

    @property
    def n_environments(self) -> int:
        return len(self.agreement)

    def environment(self, env: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        of_class, agrees = torch.rand(2, n, 1, generator=generator)
        animal = torch.where(of_class < self.positive[env], 1.0, -1.0)
        background = torch.where(agrees < self.agreement[env], animal, -animal)
        noise = torch.randn(2, n, DIM, generator=generator) / math.sqrt(10)
        x = self.ANIMAL_SCALE * (animal + noise[0])
        return x, background + noise[1], sign_label(x)

    def oracle(self, features: Tensor) -> Tensor:
        return class_logits(sign_label(features[:, :DIM]), 2)

    def shortcut(self, features: Tensor) -> Tensor:
        """The class that goes with the background."""
        return class_logits(sign_label(features[:, DIM:]), 2)

    def background_errors(self) -> list[float]:
        """Test error of the background by environment, s (1 - g) + (1 - s) g with g = P(background of class 1)."""
        pairs = zip(self.agreement, self.positive, strict=True)
        likely = [(s, p * s + (1 - p) * (1 - s)) for p, s in pairs]
        return [s * (1 - g) + (1 - s) * g for s, g in likely]

    @classmethod
    def shortcut_errors(cls) -> list[float]:
        """`background_errors` of the three published environments."""
        return cls().background_errors()


@dataclass(frozen=True)
class SmallMargin(Example):
    """Example 3, classification: a small invariant margin beside a large spurious one that moves by environment.

    Class 0: x ~ N(+0.1, 0.1^2), z ~ N(+mu_e, 0.1^2); class 1 has both signs changed; mu_e ~ N(0, I).
    """

    n_outputs = 2
    MARGIN: ClassVar = 0.1
    SD: ClassVar = 0.1

    means: Tensor  # (E, 5)

    @classmethod
    def draw(cls, generator: torch.Generator, environments: int = ENVIRONMENTS) -> Self:
        first = torch.randn(ENVIRONMENTS, DIM, generator=generator)
        further = [torch.randn(1, DIM, generator=generator) for _ in range(environments - ENVIRONMENTS)]
        return cls(torch.cat([first, *further])[:environments])

    @property
    def n_environments(self) -> int:
        return len(self.means)

    def environment(self, env: int, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        y = torch.arange(n) * 2 // n  # the first half is of class 0
        sign = (1.0 - 2.0 * y)[:, None]
        noise = self.SD * torch.randn(2, n, DIM, generator=generator)
        return sign * self.MARGIN + noise[0], sign * self.means[env] + noise[1], y

    def oracle(self, features: Tensor) -> Tensor:
        return class_logits(sign_label(-features[:, :DIM]), 2)

    def shortcut(self, features: Tensor) -> Tensor:
        """The likelier class given the spurious block alone: a cluster of either class in every environment."""
        centres = torch.stack([self.means, -self.means])  # (2, E, 5)
        squared = (features[:, None, None, DIM:] - centres).square().sum(-1)  # (N, 2, E)
        likelihood = torch.logsumexp(-squared / (2 * self.SD**2), dim=-1)  # (N, 2), up to a constant
        return class_logits(likelihood.argmax(dim=1), 2)

    @classmethod
    def oracle_error(cls) -> float:
        """Phi(-sqrt(5)): the mean of five coordinates lies sqrt(5) standard deviations from the boundary."""
        return math.erfc(cls.MARGIN / cls.SD * math.sqrt(DIM / 2)) / 2


def sign_label(block: Tensor) -> Tensor:
    """1 where the sum over a block (N, 5) is positive, else 0: (N,) int64."""
    return (block.sum(dim=1) > 0).long()


def uniform(n: int, columns: int, generator: torch.Generator) -> list[list[float]]:
    """n rows of numbers in [0, 1), the first ones the same for every n; none where n is not positive."""
    rows: list[list[float]] = torch.rand(max(n, 0), columns, generator=generator, dtype=torch.float64).tolist()
    return rows
