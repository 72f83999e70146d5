"""Handwritten digits as 8 x 8 counts of ink: UCI's optical recognition data, and other images made like them.

The data's documentation says: 32 x 32 bitmaps, normalized by NIST's programs for preprinted forms, divided into
4 x 4 blocks whose ink is counted (0 to 16). NIST's normalization (Garris et al., NISTIR 5469, 1994) has three steps:

1. the box around the ink is stretched to 20 x 32 pixels, width and height each, and centred in 32 x 32;
2. the stroke is brought to a common width: more than 412 pixels of ink are eroded, more than 560 twice, fewer than 256
   dilated, fewer than 108 twice, each time by the four neighbours;
3. the digit is set upright: rows are shifted sideways, in proportion to their distance from the middle, so that the
   leftmost ink of the third row from the top and of the third from the bottom come to stand above one another.

In UCI's digits every one of the eight rows always holds ink, the outer columns next to none, and an image has
313 +- 34 pixels of ink, whatever the digit; MNIST made into `form_counts` has 301 +- 40.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tasks.sources.tables import locate
from tasks.types import MissingData, Source

BITMAP = 32
BLOCK = 4
SIDE = BITMAP // BLOCK
FULL = BLOCK * BLOCK
FORM_WIDTH = 20
N_UCI = 1_797
EROSIONS = (412, 560)  # with more ink than this, once and once again
DILATIONS = (256, 108)  # with less ink than this, once and once again
EDGE_ROWS = 2  # noisy rows of ink at top and bottom, which the slant is not read from
UCI_INK = 561_718

UCI = Source(
    key="alpaydin1998cascading",
    authors="Ethem Alpaydin and Cenk Kaynak",
    title="Cascading classifiers",
    venue="Kybernetika 34(4); Optical Recognition of Handwritten Digits, UCI Machine Learning Repository",
    year=1998,
    url="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
)
NIST = Source(
    key="garris1994nist",
    authors="Michael D. Garris, James L. Blue, Gerald T. Candela, Darrin L. Dimmick, Jon Geist, Patrick J. Grother, "
    "Stanley A. Janet and Charles L. Wilson",
    title="NIST Form-Based Handprint Recognition System",
    venue="NISTIR 5469",
    year=1994,
    url="https://doi.org/10.6028/NIST.IR.5469",
)


@cache
def uci_digits() -> tuple[Tensor, Tensor]:
    """The digits of the 13 test writers, as scikit-learn ships them: counts (1797, 8, 8) in 0..16, classes (1797,).

    Raises:
        MissingData: when scikit-learn is not installed, or ships other digits.
    """
    path = locate("sklearn", "datasets/data/digits.csv.gz", "scikit-learn")
    rows = torch.from_numpy(np.loadtxt(path, delimiter=",", dtype=np.uint8))  # (1797, 65), the class last
    if len(rows) != N_UCI or int(rows[:, :-1].sum()) != UCI_INK:
        raise MissingData(f"{path} holds {len(rows)} digits that are not UCI's; install scikit-learn 1.9")
    return rows[:, :-1].reshape(-1, SIDE, SIDE).float(), rows[:, -1].long()


def form_counts(images: Tensor) -> Tensor:
    """Images (N, H, W) in [0, 1], ink bright, to counts of ink (N, 8, 8) in 0..16 by NIST's three steps."""
    return counts(upright(even_strokes(stretched(images, FORM_WIDTH))))


def square_counts(images: Tensor) -> Tensor:
    """The same without NIST's steps: the box around the ink is stretched to all of 32 x 32."""
    return counts(stretched(images, BITMAP))


def framed_counts(images: Tensor) -> Tensor:
    """The same without a box: the image is set into the middle of 32 x 32 as it is."""
    top, left = ((BITMAP - side) // 2 for side in images.shape[1:])
    bottom, right = BITMAP - images.shape[1] - top, BITMAP - images.shape[2] - left
    return counts(functional.pad(images, (left, right, top, bottom)) >= 0.5)


def counts(bitmaps: Tensor) -> Tensor:
    """Bitmaps (N, 32, 32), bool, to the ink of their 4 x 4 blocks (N, 8, 8) in 0..16."""
    return functional.avg_pool2d(bitmaps.float().unsqueeze(1), BLOCK).squeeze(1) * FULL


def stretched(images: Tensor, width: int) -> Tensor:
    """The box around each image's ink, stretched to 32 rows and `width` columns and centred in (N, 32, 32), bool.

    Ink is what is at least half bright, before the stretch and, interpolated linearly, after it.
    """
    ink = images >= 0.5
    rows, columns = resampling(ink.any(2), BITMAP), resampling(ink.any(1), width)
    box = rows @ images @ columns.transpose(1, 2) >= 0.5  # (N, 32, width)
    margin = (BITMAP - width) // 2
    return functional.pad(box, (margin, BITMAP - width - margin))


def resampling(inked: Tensor, size: int) -> Tensor:
    """Weights (N, size, L) that interpolate the stretch from the first to the last true entry of inked (N, L).

    Nothing outside the stretch has weight: it is cut out before it is enlarged.
    """
    length = inked.shape[1]
    first = inked.float().argmax(1, keepdim=True)  # (N, 1)
    last = length - 1 - inked.flip(1).float().argmax(1, keepdim=True)
    step = (last - first + 1) / size  # pixels of the image per pixel of the result
    centres = first + step * (torch.arange(size) + 0.5) - 0.5  # (N, size)
    centres = centres.clamp(first, last)
    return (1 - (centres.unsqueeze(2) - torch.arange(length)).abs()).clamp(min=0)


def even_strokes(bitmaps: Tensor) -> Tensor:
    """Bitmaps (N, 32, 32) with thick strokes eroded and thin ones dilated, by how much ink they have."""
    ink = bitmaps.sum((1, 2))
    result = bitmaps.clone()
    for threshold in EROSIONS:
        thick = ink > threshold
        result[thick] = ~grown(~result[thick], outside=True)
    for threshold in DILATIONS:
        thin = ink < threshold
        result[thin] = grown(result[thin], outside=False)
    return result


def grown(bitmaps: Tensor, outside: bool) -> Tensor:
    """Bitmaps (N, H, W) with every pixel set that has a neighbour set: above, below, left or right."""
    padded = functional.pad(bitmaps, (1, 1, 1, 1), value=outside)
    vertical = padded[:, :-2, 1:-1] | padded[:, 2:, 1:-1]
    horizontal = padded[:, 1:-1, :-2] | padded[:, 1:-1, 2:]
    return bitmaps | vertical | horizontal


def upright(bitmaps: Tensor) -> Tensor:
    """Bitmaps (N, 32, 32) sheared so that the leftmost ink near the top and near the bottom is in one column.

    A digit without ink in one of these two rows stays as it is; ink that is shifted out is lost.
    """
    inked = bitmaps.any(2)  # (N, 32)
    top = inked.float().argmax(1) + EDGE_ROWS
    bottom = BITMAP - 1 - inked.flip(1).float().argmax(1) - EDGE_ROWS
    image = torch.arange(len(bitmaps))
    leftmost = bitmaps.float().argmax(2)  # (N, 32)
    readable = (bottom > top) & inked[image, top.clamp(max=BITMAP - 1)] & inked[image, bottom.clamp(min=0)]
    image, top, bottom = image[readable], top[readable], bottom[readable]
    slant = (leftmost[image, top] - leftmost[image, bottom]) / (bottom - top)
    shift = ((torch.arange(BITMAP) - BITMAP // 2) * slant.unsqueeze(1)).round().long()  # (n, 32) columns to the right
    origin = torch.arange(BITMAP) - shift.unsqueeze(2)  # (n, 32, 32)
    inside = (origin >= 0) & (origin < BITMAP)
    result = bitmaps.clone()
    result[image] = bitmaps[image].gather(2, origin.clamp(0, BITMAP - 1)) & inside
    return result
