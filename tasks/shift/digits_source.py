"""Digits written in America and learned from MNIST, asked of digits written in Turkey: UCI's optical recognition data.

Ten classes, 8 x 8 images of the ink in 4 x 4 blocks of a bitmap. Writers, forms and scanner differ, and UCI has only
the counts: MNIST has to be brought into their form, and how that is done is half the shift. Three ways are compared:

    form      NIST's normalization, which UCI's documentation names      5 nearest neighbours: .95 -> .85
    square    the box around the ink stretched to the whole bitmap                             .94 -> .52
    framed    the image in the middle of the bitmap, without a box                             .91 -> .39

The score is of the first, the shift between sources; what the other two lose on top is shown as indices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.digits import COLLECTIONS, LECUN, N_CLASSES, stratified_order
from tasks.sources.form_digits import (
    FULL,
    N_UCI,
    NIST,
    SIDE,
    UCI,
    form_counts,
    framed_counts,
    square_counts,
    uci_digits,
)
from tasks.types import Batch, Budget, Condition, Problem, Recipe, Row, Split, Summary, Task, TaskSpec

ENTRIES = {
    "shift/digits-source-v1": {
        "summary": "digits from another country, form and scanner: MNIST to UCI",
        "input": "image",
        "tags": ["real", "classification"],
    },
}

MNIST = COLLECTIONS["digits"]
SCORED = "form"
PREPARATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "form": form_counts,
    "square": square_counts,
    "framed": framed_counts,
}
REFERENCE_TRAIN = 1_200
REFERENCE = 0.9890


class DigitsSource(Task):
    """Accuracy on held-out MNIST and on UCI's digits, for three ways to make the one look like the other."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 1, 8, 8): the share of ink in each block. Every seed and condition is tested on the same UCI digits.

        Raises:
            MissingData: when a package that carries the digits is not installed.
        """
        if split.role == "ood":
            return batch(*uci_digits())
        images, classes = MNIST.examples(split, draw)
        return batch(PREPARATIONS[condition](images), classes)

    def reference_data(self, condition: str, split: Split, draw: Draw) -> tuple[Batch, Batch]:
        """1,200 of UCI's digits to train on, the other 597 to test, stratified."""
        counts, classes = uci_digits()
        order = stratified_order(classes, draw.generator("reference"))
        train, test = order[:REFERENCE_TRAIN], order[REFERENCE_TRAIN:]
        return batch(counts[train], classes[train]), batch(counts[test], classes[test])

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """The summary of the documented preparation; `lost_square` and `lost_framed` are what the others lose on it.

        Both are differences of accuracy on UCI's digits: how much of a reported gap a choice of preparation can make.
        """
        documented = super().summarize({SCORED: rows[SCORED]})
        accuracy = {name: self.role_mean({name: row}, "ood") for name, row in rows.items()}
        lost = {f"lost_{name}": accuracy[SCORED] - value for name, value in accuracy.items() if name != SCORED}
        return replace(documented, indices=lost)


def batch(counts: Tensor, classes: Tensor) -> Batch:
    """Counts of ink (N, 8, 8) in 0..16 and classes (N,) as a model sees them."""
    return Batch((counts / FULL).unsqueeze(1).to(torch.float32), classes)


NOTES = (
    "UCI's digits are those of scikit-learn: the 13 writers of the test part, as counts of ink. MNIST (grey, 20 x 20 "
    "inside 28 x 28) is prepared like them.",
    "`form` follows the documentation: binarized at half brightness; box stretched to 20 x 32; stroke width by erosion "
    "and dilation; slant removed; 4 x 4 counts. Unlike in 1994, MNIST is enlarged by linear interpolation, where NIST "
    "thinned out large bitmaps. The result has UCI's statistics: ink 301 +- 40 of 1,024 pixels, UCI 313 +- 34.",
    "`square` and `framed` are the usual short cuts: a box without NIST's width, and no box. They move accuracy by "
    "more than models differ, so a number for this shift means nothing without its preparation.",
    "Every seed deals the training digits anew from 5,000 MNIST images; the UCI test is the same for all.",
    "The ceiling is a support vector machine trained on 1,200 of UCI's digits, averaged over divisions.",
)


def build(entry: Entry) -> Task:
    parts = MNIST.parts
    spec = TaskSpec(
        entry=entry,
        question="Who reads the digits of another country, when nothing but where they come from has changed?",
        problem=Problem("image", (1, SIDE, SIDE), "classes", n_outputs=N_CLASSES, n_train=parts.train),
        splits=(
            Split("train", "train", parts.train, {"source": "MNIST"}),
            Split("val", "val", parts.validation, {"source": "MNIST"}),
            Split("iid", "iid", parts.test, {"source": "MNIST"}),
            Split("uci", "ood", N_UCI, {"source": "UCI"}),
        ),
        conditions=(
            Condition("form", "box stretched to 20 x 32, even strokes, upright: as UCI documents"),
            Condition("square", "box stretched to 32 x 32"),
            Condition("framed", "no box: 28 x 28 in the middle of 32 x 32"),
        ),
        budget=Budget(steps=1500, batch_size=128),
        recipe=Recipe(optimizer="adam", learning_rate=1e-3),
        metric="accuracy",
        floor="chance",
        ceiling="reference",
        gate=0.8,
        constants={"uci": {"chance": 1 / N_CLASSES, "reference": REFERENCE}},
        sources=(UCI, NIST, LECUN),
        licence=f"{MNIST.licence}; UCI digits CC BY 4.0, as scikit-learn ships them",
        notes=NOTES,
    )
    return DigitsSource(spec)
