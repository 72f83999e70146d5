"""The Bayes classifier of MNIST-1D signals: the accuracy that all knowledge of the generator, and no other, allows.

Given the digit, its padding and its shift, a signal is Gaussian but for its scale and tilt, which are uniform; they are
taken as normal with the same mean and variance. The likelihood of a digit is then a mixture of one 40-dimensional
Gaussian for every padding and shift (1,200 in MNIST-1D).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tasks.sources import mnist1d
from tasks.sources.mnist1d import CANVAS, CORRELATED_SD, N_CLASSES, WHITE_SD, Floats, Ints, SignalLaw

CHUNK: Final = 64  # signals compared at a time


def log_likelihoods(signals: Floats, law: SignalLaw) -> Floats:
    """log p(signal | digit) for unstandardized signals (N, 40) of a law, up to a constant: (N, 10)."""
    padding, shift = hypotheses(law)
    found = np.empty((len(signals), N_CLASSES))
    for digit in range(N_CLASSES):
        mean, covariance = moments(digit, padding, shift, law)
        whitening = np.linalg.inv(np.linalg.cholesky(covariance))  # (H, 40, 40)
        log_density = np.log(np.diagonal(whitening, axis1=1, axis2=2)).sum(1)  # (H,), at the mean
        centre = np.einsum("hij,hj->hi", whitening, mean)
        for start in range(0, len(signals), CHUNK):
            chunk = slice(start, start + CHUNK)
            white = np.tensordot(signals[chunk], whitening, axes=(1, 2))  # (B, H, 40)
            distance = np.square(white - centre).sum(2)  # (B, H)
            found[chunk, digit] = np.logaddexp.reduce(log_density - distance / 2, axis=1)
    return found


def hypotheses(law: SignalLaw) -> tuple[Ints, Ints]:
    """Every padding and shift of a law, in pairs (H,)."""
    padding = np.arange(law.padding[0], law.padding[1] + 1)
    shift = np.arange(law.shift[0], law.shift[1] + 1)
    return np.repeat(padding, len(shift)), np.tile(shift, len(padding))


def moments(digit: int, padding: Ints, shift: Ints, law: SignalLaw) -> tuple[Floats, Floats]:
    """Mean (H, 40) and covariance (H, 40, 40) of a digit's signals for each padding and shift (H,)."""
    identity = np.eye(CANVAS)
    to_output = mnist1d.resample(identity)  # (72, 40); rows of signals times this are resampled
    curve = mnist1d.curves(np.full_like(padding, digit), padding, np.ones(len(padding)), shift)  # (H, 72)
    beside_curve = mnist1d.smooth(identity) * (curve == 0)[:, None, :]  # (H, 72, 72)
    correlated = CORRELATED_SD * beside_curve @ to_output  # (H, 72, 40)
    white = WHITE_SD * to_output
    noise = law.noise**2 * (correlated.swapaxes(1, 2) @ correlated + white.T @ white)
    shape, tilt = curve @ to_output, mnist1d.ramp() @ to_output
    low, high = law.scale
    scale_part = (high - low) ** 2 / 12 * shape[:, :, None] * shape[:, None, :]
    return (low + high) / 2 * shape, noise + scale_part + np.outer(tilt, tilt) / 12


def accuracy(law: SignalLaw, n: int, rng: np.random.Generator) -> float:
    """Share of n fresh signals of a law that the classifier gets right, in [0, 1]."""
    signals, label = mnist1d.sample(law, n, rng)
    return float((log_likelihoods(signals, law).argmax(1) == label).mean())
