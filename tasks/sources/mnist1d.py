"""MNIST-1D: ten short curves, each stretched, scaled, moved along a line, drowned in noise and tilted; 40 numbers.

`released` gives the 5,000 published signals (equal to rounding), `sample` fresh ones by the same steps, with ranges of
one's own (`SignalLaw`). Only the drawing differs: signal by signal from NumPy's legacy stream there, all at once here.

Source: Greydanus and Kobak, Scaling Down Deep Learning with MNIST-1D, ICML 2024, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tasks.seeds import stream_seed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_CLASSES: Final = 10
CANVAS: Final = 72  # positions on which a signal is made
LENGTH: Final = 40  # positions that are left in the end
CORRELATED_SD: Final = 0.25  # before smoothing
WHITE_SD: Final = 0.02
TILT: Final = 0.75
SMOOTHING_SD: Final = 2.0
SMOOTHING_RADIUS: Final = 8
N_RELEASED: Final = 5_000
RELEASED_SEED: Final = 42
N_FOR_STANDARDIZATION: Final = 4_000

STROKES: Final[Floats] = np.array(
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

    padding: zeros behind the 12 points of a curve before it is stretched to 72; more make it narrower.
    scale: factor of the curve. shift: positions to the right on the circle of 72.
    noise: factor of both noises, the correlated one where there is no curve and the white one everywhere.
    """

    padding: tuple[int, int] = (36, 60)
    scale: tuple[float, float] = (0.8, 1.2)
    shift: tuple[int, int] = (0, 47)
    noise: float = 1.0


@dataclass(frozen=True)
class Latents:
    """All that is random about N signals.

    label, padding, shift, scale, tilt: (N,), tilt in [-.5, .5]. correlated, white: (N, 72), standard normal.
    """

    label: Ints
    padding: Ints
    scale: Floats
    shift: Ints
    correlated: Floats
    white: Floats
    tilt: Floats


def sample(law: SignalLaw, n: int, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """n signals (n, 40), not standardized, and their labels (n,): classes balanced, in random order."""
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
    """Mean and standard deviation over the positions of 4,000 signals of a law; the same numbers in every process."""
    signals, _ = sample(law, N_FOR_STANDARDIZATION, np.random.default_rng(stream_seed("mnist1d", "standardization")))
    return float(signals.mean()), float(signals.std())


def released() -> tuple[Floats, Ints, Ints]:
    """The published data: standardized signals (5000, 40), labels (5000,), and the order of the shuffled variant (40,).

    The first 4,000 are for training, the last 1,000 for testing; both went into the standardization. Position j of a
    shuffled signal is position `order[j]` of the plain one.
    """
    signals, labels, order = released_raw()
    mean, sd = released_standardization()
    return (signals - mean) / sd, labels, order


def released_standardization() -> tuple[float, float]:
    """Mean and standard deviation over the positions of all 5,000 published signals, as they were made."""
    signals, _, _ = released_raw()
    return float(signals.mean()), float(signals.std())


@cache
def released_raw() -> tuple[Floats, Ints, Ints]:
    """What `released` gives, before the standardization; not to be written to."""
    stream = np.random.RandomState(RELEASED_SEED)
    latents = sequential_latents(N_RELEASED, stream)
    rows = stream.permutation(N_RELEASED)
    order = stream.permutation(LENGTH)
    return render(latents)[rows], latents.label[rows], order


def sequential_latents(n: int, stream: np.random.RandomState) -> Latents:
    """Latents of n signals of the default law in class order, drawn in the order of the authors' program."""
    drawn = [
        (
            36 + int(25 * stream.random_sample()),
            1 + 0.4 * (stream.random_sample() - 0.5),
            stream.randint(48),
            stream.standard_normal(CANVAS),
            stream.standard_normal(CANVAS),
            stream.random_sample() - 0.5,
        )
        for _ in range(n)
    ]
    label = np.repeat(np.arange(N_CLASSES), n // N_CLASSES)
    return Latents(label, *(np.array(column) for column in zip(*drawn, strict=True)))


def render(latents: Latents, noise: float = 1.0) -> Floats:
    """Signals (N, 40), not standardized, from their latents."""
    curve = curves(latents.label, latents.padding, latents.scale, latents.shift)
    correlated = noise * CORRELATED_SD * smooth(latents.correlated)
    signals = np.where(curve == 0, correlated, curve) + noise * WHITE_SD * latents.white
    return resample(signals - latents.tilt[:, None] * ramp())


def curves(label: Ints, padding: Ints, scale: Floats, shift: Ints) -> Floats:
    """The curve of each label (N,), stretched, scaled and moved: (N, 72), exactly 0 beside the curve."""
    points = templates()
    # 1e-8 tells a curve's own zeros from the empty canvas, which alone gets the correlated noise
    padded = np.pad(points + 1e-8, ((0, 0), (0, CANVAS)))
    last = points.shape[1] + padding - 1  # (N,)
    position = np.arange(CANVAS) * (last / (CANVAS - 1))[:, None]  # (N, 72)
    below = position.astype(np.int64)
    left, right = padded[label[:, None], below], padded[label[:, None], below + 1]
    stretched = (left + (right - left) * (position - below)) * scale[:, None]
    return np.take_along_axis(stretched, (np.arange(CANVAS) - shift[:, None]) % CANVAS, axis=1)


def templates() -> Floats:
    """The ten curves (10, 12) with unit variance over positions, moved to start at 0, divided by 6."""
    whitened = (STROKES - STROKES.mean(1, keepdims=True)) / STROKES.std(1, keepdims=True)
    moved: Floats = whitened - whitened[:, :1]
    return moved / 6


def smooth(noise: Floats) -> Floats:
    """Rows (N, 72) filtered with a Gaussian of standard deviation 2, cut at 8, mirrored at the borders."""
    kernel = np.exp(-0.5 * (np.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1) / SMOOTHING_SD) ** 2)
    mirrored = np.pad(noise, ((0, 0), (SMOOTHING_RADIUS, SMOOTHING_RADIUS)), mode="symmetric")
    smoothed: Floats = sliding_window_view(mirrored, len(kernel), axis=1) @ (kernel / kernel.sum())
    return smoothed


def ramp() -> Floats:
    """What one unit of tilt takes away from each position (72,)."""
    return TILT * np.linspace(-0.5, 0.5, CANVAS)


def resample(signals: Floats) -> Floats:
    """Rows (N, 72) interpolated linearly at 40 even positions, both ends included."""
    position = np.linspace(0, CANVAS - 1, LENGTH)
    below = np.minimum(position.astype(np.int64), CANVAS - 2)
    left, right = signals[:, below], signals[:, below + 1]
    return left + (right - left) * (position - below)
