"""The mean target, or the vote, of the 5 nearest training examples in Euclidean distance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from tasks.types import Problem

ENTRIES = {"knn": {"class": "Knn", "summary": "5 nearest neighbours in Euclidean distance"}}

Array = NDArray[Any]


class Knn:
    """Nearest neighbours on the flattened input (Cover and Hart 1967); example weights weigh the vote."""

    takes = ("vector", "signal", "image")

    def __init__(self, problem: Problem, neighbours: int = 5) -> None:
        self.problem = problem
        self.neighbours = neighbours

    def fit(self, x: Array, y: Array, sample_weight: Array | None = None) -> Knn:
        """x: (N, *S). y: (N,) classes, or values (N,) or (N, C). sample_weight: (N,), non-negative."""
        self.index = NearestNeighbors(n_neighbors=min(self.neighbours, len(x))).fit(x.reshape(len(x), -1))
        classes = self.problem.output_kind == "classes"
        self.targets = np.eye(self.problem.n_outputs)[y] if classes else y.reshape(len(y), -1)  # (N, C)
        self.weights = np.ones(len(x)) if sample_weight is None else sample_weight
        return self

    def predict_proba(self, x: Array) -> Array:
        """Shares of the vote (N, C)."""
        nearest = self.index.kneighbors(x.reshape(len(x), -1), return_distance=False)  # (N, k)
        weights = self.weights[nearest] + np.finfo(np.float64).tiny  # neighbours of weight 0 still give a mean
        shares = weights / weights.sum(axis=1, keepdims=True)
        mean: Array = np.einsum("nk,nkc->nc", shares, self.targets[nearest])
        return mean

    def predict(self, x: Array) -> Array:
        """Classes (N,), or values (N, C)."""
        mean = self.predict_proba(x)
        return mean.argmax(axis=1) if self.problem.output_kind == "classes" else mean
