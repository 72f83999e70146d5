"""Questions and answers as token sequences of which a model predicts the answer, token by token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.metrics import IGNORED


def encode(
    questions: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], separator: int, end: int
) -> tuple[Tensor, Tensor]:
    """x (N, L): question, separator, answer. y (N, L): the next token, from the separator on, and `end` after the last.

    L is that of the longest; the others are filled up on the right, x with `end`, y with the mark of what is not asked.
    With separator 8 and end 9, the question 1 2 3 and the answer 4 5:

        x     1     2     3   8   4   5
        y  -100  -100  -100   4   5   9
    """
    length = max(len(question) + 1 + len(answer) for question, answer in zip(questions, answers, strict=True))
    x, y = [], []
    for question, answer in zip(questions, answers, strict=True):
        padding = length - len(question) - 1 - len(answer)
        x.append([*question, separator, *answer, *[end] * padding])
        y.append([*[IGNORED] * len(question), *answer, end, *[IGNORED] * padding])
    return torch.tensor(x), torch.tensor(y)
