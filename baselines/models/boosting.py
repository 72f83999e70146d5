"""Gradient-boosted trees on binned inputs, one model for each output value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tasks.types import Problem

ENTRIES = {
    "boosting": {"class": "Boosting", "summary": "100 rounds of histogram gradient boosting, trees of 31 leaves"}
}

Array = NDArray[Any]


class Boosting:
    """scikit-learn's histogram gradient boosting (after Ke et al., LightGBM, NIPS 2017) on the flattened input.

    Never stopped early, so nothing is random: early stopping would hold out a tenth of large training sets only.
    """

    takes = ("vector", "signal", "image")

    def __init__(self, problem: Problem, rounds: int = 100, learning_rate: float = 0.1) -> None:
        self.problem = problem
        self.settings: dict[str, Any] = {"max_iter": rounds, "learning_rate": learning_rate, "early_stopping": False}

    def fit(self, x: Array, y: Array, sample_weight: Array | None = None) -> Boosting:
        """x: (N, *S). y: (N,) classes, or values (N,) or (N, C). sample_weight: (N,), non-negative."""
        if self.problem.output_kind == "classes":
            self.classifier = HistGradientBoostingClassifier(**self.settings).fit(
                x.reshape(len(x), -1), y, sample_weight
            )
            self.classes_ = self.classifier.classes_
        else:
            columns = y.reshape(len(y), -1).T
            self.regressors = [
                HistGradientBoostingRegressor(**self.settings).fit(x.reshape(len(x), -1), column, sample_weight)
                for column in columns
            ]
        return self

    def predict_proba(self, x: Array) -> Array:
        """Probabilities (N, C seen in training), in the order of `classes_`."""
        probabilities: Array = self.classifier.predict_proba(x.reshape(len(x), -1))
        return probabilities

    def predict(self, x: Array) -> Array:
        """Classes (N,), or values (N, C)."""
        if self.problem.output_kind == "classes":
            labels: Array = self.classifier.predict(x.reshape(len(x), -1))
            return labels
        return np.stack([regressor.predict(x.reshape(len(x), -1)) for regressor in self.regressors], axis=1)
