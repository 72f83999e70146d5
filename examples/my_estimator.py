"""A learner without gradient steps to copy: any class with `fit` and `predict`. It imports nothing of the suite.

    python -m benchmarks.check examples/my_estimator.py:RandomFeatures
    python -m benchmarks.run --task shift --model examples/my_estimator.py:RandomFeatures knn

A scikit-learn estimator needs no file: `--model sklearn.linear_model:Ridge`.
"""

import numpy as np


class RandomFeatures:
    """Ridge regression on random ReLU features (Rahimi and Recht, NIPS 2007); classes are regressed as one-hot rows."""

    takes = ("vector", "signal", "image")

    def __init__(self, problem, features=1000, ridge=1e-2):
        self.problem = problem
        self.features = features
        self.ridge = ridge

    def fit(self, x, y, sample_weight=None):
        """x: (N, *input_shape). y: (N,) classes, or values (N,) or (N, n_outputs). sample_weight: (N,) or None.

        A class whose `fit` has no `sample_weight` is skipped where a task's data carry weights.
        """
        n_inputs = int(np.prod(self.problem.input_shape))
        # NumPy's global stream is seeded for every trial, so what is random here can be repeated.
        self.directions = np.random.randn(n_inputs, self.features) / np.sqrt(n_inputs)
        self.offsets = np.random.randn(self.features)
        targets = np.eye(self.problem.n_outputs)[y] if self.problem.output_kind == "classes" else y.reshape(len(y), -1)
        weights = np.ones(len(x)) if sample_weight is None else sample_weight
        hidden = self.hidden(x)
        weighted = hidden * weights[:, None]
        gram = weighted.T @ hidden + self.ridge * weights.sum() * np.eye(hidden.shape[1])
        self.coefficients = np.linalg.solve(gram, weighted.T @ targets)
        return self

    def hidden(self, x):
        """(N, *input_shape) -> features (N, features + 1); the last one is the constant."""
        relu = np.maximum(x.reshape(len(x), -1) @ self.directions + self.offsets, 0) / np.sqrt(self.features)
        return np.hstack([relu, np.ones((len(x), 1))])

    def decision_function(self, x):
        """One score a class (N, n_outputs). Optional: without it, and without `predict_proba`, labels are used."""
        return self.hidden(x) @ self.coefficients

    def predict(self, x):
        """Classes (N,), or values (N, n_outputs)."""
        scores = self.decision_function(x)
        return scores.argmax(axis=1) if self.problem.output_kind == "classes" else scores
