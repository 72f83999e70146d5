"""A matrix as a product of square ones, read one entry at a time: depth makes gradients prefer low rank."""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor, nn

from tasks.types import Problem

ENTRIES = {
    "matrix-product": {
        "class": "MatrixProduct",
        "summary": "r' W_1 W_2 W_3 c for an input of two halves r and c, square matrices that start small",
        "special": True,
    }
}


class MatrixProduct(nn.Module):
    """x (N, 2 n), halves r and c, -> r' W_1 ... W_L c (N, 1), L = `depth`.

    Entries of the factors are normal with variance scale^(2 / L) / n, so that those of the product are of the order of
    the scale whatever the depth. Arora, Cohen, Hu, Luo, Implicit regularization in deep matrix factorization, NeurIPS
    2019, section 2.
    """

    takes = ("vector",)

    def __init__(self, problem: Problem, depth: int = 3, scale: float = 1e-3) -> None:
        super().__init__()
        (size,) = problem.input_shape
        if problem.output_kind != "values" or problem.n_outputs != 1 or size % 2:
            raise NotImplementedError("a bilinear form takes two halves of one size and gives one value")
        std = scale ** (1 / depth) / math.sqrt(size // 2)
        self.factors = nn.ParameterList(std * torch.randn(size // 2, size // 2) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.chunk(2, dim=1)
        matrix: Tensor = reduce(torch.matmul, self.factors)
        return (rows @ matrix * columns).sum(1, keepdim=True)
