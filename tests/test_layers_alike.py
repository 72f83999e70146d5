"""The reproduction of likeness of layers, by hand; and of free features, which collapse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.reproductions.features import canonical_correlation, free_signs, kernel_alignment, matched
from tasks.seeds import generator


def gaussian(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator("alike", *shape), dtype=torch.float64)


def test_cka_by_hand() -> None:
    """One feature each: the squared correlation. Two orthogonal ones of lengths 1 and 2: 1 of 1 and 16, over 17."""
    x, y = torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([[1.0], [0.0], [-1.0]])
    assert kernel_alignment(x, y) == pytest.approx((1 / 2) ** 2)
    assert canonical_correlation(x, y) == pytest.approx((1 / 2) ** 2)
    one = torch.tensor([[1.0, 0], [-1, 0], [0, 2], [0, -2]]).double()
    assert kernel_alignment(one, one[:, :1]) == pytest.approx(2**2 / (2 * (2**2 + 8**2) ** 0.5))


def test_cca_and_not_cka_forgets_the_size_of_directions() -> None:
    x, skew = gaussian(500, 8), torch.diag(torch.logspace(-1, 1, 8, dtype=torch.float64))
    assert canonical_correlation(x, x @ skew) == pytest.approx(1)
    assert kernel_alignment(x, x @ skew) < 0.9


def test_directions_without_features_do_not_count() -> None:
    x = torch.cat([gaussian(100, 4), torch.zeros(100, 3).double()], 1)
    assert canonical_correlation(x, x) == pytest.approx(1)


def test_matches_count_in_both_directions() -> None:
    assert matched(torch.eye(4)) == 1
    assert matched(torch.eye(4).roll(1, 1)) == 0
    assert matched(torch.tensor([[1.0, 2.0], [0.0, 3.0]])) == pytest.approx((1 + 2) / 4)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_free_features_collapse(n_classes: int) -> None:
    assert free_signs(n_classes, 0) == pytest.approx({"NC1": 0, "NC2": 0, "NC3, as a cosine": 1}, abs=1e-6)
