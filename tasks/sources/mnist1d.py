"""MNIST-1D: ten short curves, each stretched, scaled, moved along a line, drowned in noise and tilted; 40 numbers.

Greydanus and Kobak, Scaling down deep learning with MNIST-1D, ICML 2024, section 2 and appendix. `released` gives the
published 5,000 signals, `sample` fresh ones from the same steps with other ranges (`SignalLaw`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tasks.seeds import stream_seed

N_CLASSES = 10
CANVAS = 72
LENGTH = 40
CORRELATED_SD = 0.25
WHITE_SD = 0.02
SHEAR = 0.75
SMOOTHING_SD = 2.0
SMOOTHING_RADIUS = 8
N_RELEASED, N_RELEASED_TRAIN, RELEASED_SEED = 5_000, 4_000, 42

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STROKES: Floats = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)


@dataclass(frozen=True)
class SignalLaw:
    """The ranges that signals are drawn from; the defaults are MNIST-1D's. Ranges of integers include both ends.

    padding: zeros behind the 12 points of a curve before it is stretched to 72; more makes it narrower.
    scale: factor of the curve. shift: steps to the right on the circle of 72.
    noise: factor of both noises (correlated, sd .25, where the curve is not; white, sd .02, everywhere).
    """

    padding: tuple[int, int] = (36, 60)
    scale: tuple[float, float] = (0.8, 1.2)
    shift: tuple[int, int] = (0, 47)
    noise: float = 1.0


@dataclass(frozen=True)
class Latents:
    """Everything random about N signals. `tilt` is in [-.5, .5]; the two noises are (N, 72), unit variance."""

    label: Ints
    padding: Ints
    scale: Floats
    shift: Ints
    correlated: Floats
    white: Floats
    tilt: Floats


def sample(law: SignalLaw, n: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """n signals (n, 40) in random order and their labels (n,), as many of each class as can be.

    Signals are standardized by `standardization(law)` of the law that *training* uses, by the caller.
    """
    latents = Latents(
        label=rng.permutation(np.arange(n) % N_CLASSES),
        padding=rng.integers(*law.padding, size=n, endpoint=True),
        scale=rng.uniform(*law.scale, size=n),
        shift=rng.integers(*law.shift, size=n, endpoint=True),
        correlated=rng.standard_normal((n, CANVAS)),
        white=rng.standard_normal((n, CANVAS)),
        tilt=rng.uniform(-0.5, 0.5, size=n),
    )
    return render(latents, law.noise), latents.label


@cache
def standardization(law: SignalLaw) -> tuple[float, float]:
    """Mean and standard deviation over all 40 positions of 4,000 signals from a law, the same in every process."""
    signals, _ = sample(law, 4_000, np.random.default_rng(stream_seed("mnist1d", "standardization")))
    return float(signals.mean()), float(signals.std())


def released() -> tuple[Floats, Ints, Ints]:
    """The published data set: 5,000 standardized signals (5000, 40), labels, and the order of the shuffled variant.

    The first 4,000 are for training, the last 1,000 for testing. Position j of a shuffled signal is position
    `order[j]` of the plain one.
    """
    stream = np.random.RandomState(RELEASED_SEED)
    latents = sequential_latents(N_RELEASED, stream)
    shuffled = stream.permutation(N_RELEASED)
    order = stream.permutation(LENGTH)
    signals = render(latents)[shuffled]
    return (signals - signals.mean()) / signals.std(), latents.label[shuffled], order


def sequential_latents(n: int, stream: np.random.RandomState) -> Latents:
    """Latents of n signals in class order, drawn signal by signal as the authors' program does."""
    law = SignalLaw()
    rows = [
        (
            law.padding[0] + int((law.padding[1] - law.padding[0] + 1) * stream.random_sample()),
            1 + 0.4 * (stream.random_sample() - 0.5),
            stream.randint(law.shift[1] + 1),
            stream.standard_normal(CANVAS),
            stream.standard_normal(CANVAS),
            stream.random_sample() - 0.5,
        )
        for _ in range(n)
    ]
    padding, scale, shift, correlated, white, tilt = (np.array(column) for column in zip(*rows, strict=True))
    label = np.repeat(np.arange(N_CLASSES), n // N_CLASSES)
    return Latents(label, padding, scale, shift, correlated, white, tilt)


def render(latents: Latents, noise: float = 1.0) -> Floats:
    """Signals (N, 40) from their latents, not standardized."""
    clean = curves(latents)
    correlated = noise * CORRELATED_SD * smooth(latents.correlated)
    signals = np.where(clean == 0, correlated, clean)
    signals += noise * WHITE_SD * latents.white
    signals -= SHEAR * latents.tilt[:, None] * np.linspace(-0.5, 0.5, CANVAS)
    return resample(signals, LENGTH)


def curves(latents: Latents) -> Floats:
    """The clean curve of each label, stretched, scaled and moved: (N, 72), exactly 0 where there is no curve."""
    # 1e-8 keeps a curve's own zeros apart from the empty canvas, which alone gets the correlated noise
    padded = np.pad(templates() + 1e-8, ((0, 0), (0, CANVAS)))
    position = np.arange(CANVAS) * (padding_end(latents) / (CANVAS - 1))[:, None]  # (N, 72)
    below = position.astype(int)
    label = latents.label[:, None]
    left, right = padded[label, below], padded[label, below + 1]
    stretched = (left + (right - left) * (position - below)) * latents.scale[:, None]
    source = (np.arange(CANVAS) - latents.shift[:, None]) % CANVAS
    return np.take_along_axis(stretched, source, axis=1)


def padding_end(latents: Latents) -> Ints:
    """Index of the last point of each padded curve (N,)."""
    return STROKES.shape[1] + latents.padding - 1


def templates() -> Floats:
    """The ten curves (10, 12): unit variance over positions, starting at 0, a sixth of the size."""
    whitened = (STROKES - STROKES.mean(1, keepdims=True)) / STROKES.std(1, keepdims=True)
    return (whitened - whitened[:, :1]) / 6


def smooth(noise: Floats) -> Floats:
    """Rows filtered with a Gaussian of standard deviation 2, cut at 4 deviations, mirrored at the borders."""
    offsets = np.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / SMOOTHING_SD) ** 2)
    mirrored = np.pad(noise, ((0, 0), (SMOOTHING_RADIUS, SMOOTHING_RADIUS)), mode="symmetric")
    return sliding_window_view(mirrored, len(kernel), axis=1) @ (kernel / kernel.sum())


def resample(signals: Floats, length: int) -> Floats:
    """Rows interpolated linearly at `length` even positions, both ends included."""
    position = np.linspace(0, signals.shape[1] - 1, length)
    below = np.minimum(position.astype(int), signals.shape[1] - 2)
    left, right = signals[:, below], signals[:, below + 1]
    return left + (right - left) * (position - below)
