"""Two ways to find a parity that no gradient takes: linear algebra over two elements, and trying every product.

A string of signs is a row of bits (1 for -1), its label the sum of some of them, modulo 2. Elimination needs as many
independent rows as there are bits, and that each is right. The search needs few products to try, and stands noise.

    bits 110, 011, 010 with labels 1, 0, 1   the only sum that fits: bit 1 and bit 2, as 1 + 0, 1 + 1, 1 + 0
"""

from __future__ import annotations

import torch
from torch import Tensor


def elimination(bits: Tensor, labels: Tensor) -> Tensor | None:
    """Which bits (n,) add up to the labels in the first n independent rows; None where there are fewer.

    bits: (m, n) and labels: (m,), 0 or 1, int64. Rows beyond the independent ones are not looked at: right or wrong.
    """
    n = bits.shape[1]
    rows = torch.cat([bits, labels[:, None]], dim=1).clone()  # (m, n + 1)
    for column in range(n):
        candidates = torch.nonzero(rows[column:, column])
        if len(candidates) == 0:
            return None
        pivot = column + int(candidates[0])
        rows[[column, pivot]] = rows[[pivot, column]]
        others = rows[:, column].clone()
        others[column] = 0
        rows ^= others[:, None] * rows[column]
    return rows[:n, n]


def full_rank_probability(m: int, n: int) -> float:
    """Of m random rows of n bits: that n of them are independent, prod_(i < n) (1 - 2^-(m - i))."""
    probability = 1.0
    for i in range(n):
        probability *= 1 - 2.0 ** -(m - i)
    return probability


def best_product(x: Tensor, labels: Tensor, k: int) -> Tensor:
    """The k places whose product agrees most often with the labels: x (N, n) and labels (N,), signs; of all choices."""
    choices = torch.combinations(torch.arange(x.shape[1]), k)  # (n choose k, k)
    products = x[:, choices].prod(2)  # (N, n choose k)
    best: Tensor = choices[(labels @ products).argmax()]
    return best
