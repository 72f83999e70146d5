"""Gaussian classes, trained long after the last error: do features keep what tells members of a class apart?

K centres are drawn from N(0, I) in R^20, and every example is its centre plus noise of unit variance. Once a network
has no error left, cross-entropy with weight decay goes on, and is least where the features of a class are one point
and the K points are as far apart as they can be: the corners of a simplex.

    K = 4, features on four points at cosines -1/3    collapsed: within 1, simplex 1, duality 1
    the inputs themselves                             noise within a class, centres at cosines near 0
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Data,
    Predict,
    Predictor,
    Problem,
    Published,
    Recipe,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    Trained,
    class_logits,
)

ENTRIES = {
    "features/collapse-v1": {
        "summary": "4 or 10 Gaussian classes trained past zero error; whether each becomes one point of a simplex",
        "input": "vector",
        "tags": ["synthetic", "classification", "features", "closed-form"],
    }
}

DIMENSION, N_TRAIN = 20, 400
CLASSES = (4, 10)
ROUNDING = 1e-5
"""Directions of features with less than this of the largest singular value are errors of float32."""
INDICES = ("within", "simplex", "duality", "nearest_center")


class Collapse(Task):
    """Centres are drawn per seed; the four of one condition are not among the ten of the other."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 20) and y (N,), equally many of each class; `fitted` is the training split again."""
        centers = class_centers(self.n_classes(condition), draw)
        generator = draw.generator(condition, "train" if split.role == "fitted" else split.name)
        y = torch.arange(split.size) % len(centers)
        return Batch(centers[y] + torch.randn(split.size, DIMENSION, generator=generator), y)

    def n_classes(self, condition: str) -> int:
        return self.spec.at(condition).problem.n_outputs

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` answers with the nearest centre, the best that can be done."""
        centers = class_centers(self.n_classes(condition), draw)
        return {"oracle": lambda batch: class_logits(nearest(batch.x, centers), len(centers))}

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """Accuracy and the like; on the training examples also the four signs of a collapse (see `signs`).

        A plain function has its outputs for features.
        """
        scores = super().measure(condition, predict, data)
        features = predict.features if isinstance(predict, Trained) else predict
        fit, new = data["fitted"], data["iid"]
        found = signs(features(fit.x), fit.y, predict(fit.x))
        centers = class_means(features(fit.x).double(), fit.y)
        agree = nearest(features(new.x).double(), centers) == predict(new.x).argmax(1)
        return {**scores, "fitted": {**scores["fitted"], **found, "nearest_center": float(agree.double().mean())}}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """The four signs at the last step, averaged over conditions, and by condition."""
        last = {name: row.last["fitted"] for name, row in rows.items()}
        iid = self.role_mean(rows, "iid")
        return Summary(
            iid=iid,
            ood=None,
            trained=self.passes_gate(iid),
            scores={},
            indices={
                **{sign: fmean(values[sign] for values in last.values()) for sign in INDICES},
                **{f"{sign}_{name}": values[sign] for name, values in last.items() for sign in INDICES},
            },
        )


def class_centers(n_classes: int, draw: Draw) -> Tensor:
    """Centres (K, 20), standard normal."""
    return torch.randn(n_classes, DIMENSION, generator=draw.generator("world", str(n_classes)))


def nearest(points: Tensor, centers: Tensor) -> Tensor:
    """The nearest of K centres, (N,)."""
    return torch.cdist(points, centers).argmin(1)


def class_means(features: Tensor, y: Tensor) -> Tensor:
    """The mean feature of each class, features (N, F) to (K, F)."""
    return torch.stack([features[y == k].mean(0) for k in range(int(y.max()) + 1)])


def signs(features: Tensor, y: Tensor, outputs: Tensor) -> dict[str, float]:
    """How far features (N, F) of classes y (N,), with outputs (N, K), have collapsed; each is 1 where wholly.

    within: exp(-tr(Sw pinv(Sb)) / K), Sw and Sb the covariances within and between classes, in [0, 1].
    simplex: 1 less the mean distance of the cosines between centred class means from -1/(K-1), in units of the largest.
    duality: the cosine between the centred class means and the weights of the last layer, as matrices; the weights are
    read from outputs as the least affine map from features.
    Features without any difference between classes have 0 of all.
    """
    means = class_means(features.double(), y)
    centered = means - means.mean(0)
    if float(centered.norm(dim=1).min()) <= 1e-9 * (1 + float(means.norm())):
        return dict.fromkeys(INDICES[:3], 0.0)
    return {
        "within": math.exp(-variability(features.double() - means[y], centered)),
        "simplex": regularity(centered),
        "duality": alignment(last_weights(features, outputs), centered),
    }


def variability(deviations: Tensor, centers: Tensor) -> float:
    """tr(Sw pinv(Sb)) / K, from deviations (N, F) of features from their class mean and centred means (K, F)."""
    n_classes = len(centers)
    between = torch.linalg.pinv(centers.T @ centers / n_classes, hermitian=True)
    return float((deviations @ between * deviations).sum() / len(deviations) / n_classes)


def regularity(centers: Tensor) -> float:
    """1 where all cosines between centred means (K, F) are -1/(K-1), 0 where all are 1."""
    unit = centers / centers.norm(dim=1, keepdim=True)
    n_classes = len(centers)
    cosines = (unit @ unit.T)[~torch.eye(n_classes, dtype=torch.bool)]
    least = -1 / (n_classes - 1)
    return 1 - float((cosines - least).abs().mean()) / (1 - least)


def last_weights(features: Tensor, outputs: Tensor) -> Tensor:
    """Weights (K, F) of least norm that make outputs (N, K) from features (N, F), up to constants of either.

    What all classes have in common moves no decision, and is left out; so are directions of rounding errors.
    """
    x, y = features.double(), outputs.double()
    y = y - y.mean(1, keepdim=True)
    weights: Tensor = torch.linalg.pinv(x - x.mean(0), rtol=ROUNDING) @ (y - y.mean(0))
    return weights.T


def alignment(weights: Tensor, centers: Tensor) -> float:
    """The cosine between two matrices (K, F); 0 where one of them vanishes."""
    size = weights.norm() * centers.norm()
    return float((weights * centers).sum() / size) if size > 0 else 0.0


NOTES = (
    "A model is measured on its own training examples, at the last of 4,000 steps; features are the inputs of the last "
    "linear layer, and for `linear` they are x itself. A class without such a layer, and an estimator, is skipped.",
    "That features no longer differ within a class is no virtue and no fault: it is what the loss rewards after the "
    "last error. The task describes and has no score.",
    "Features after a ReLU are not negative, so centres are taken from their mean first; without that every cosine is "
    "positive.",
    "The last layer is not asked for its weights: they are read from its outputs, as the affine map of least norm. "
    "What no training feature sees of them is lost, and moves no decision either.",
    "Without decay there is no least point. The recipe is SGD of rate .05, momentum .9 and weight decay 5e-4, on all "
    "400 examples at once; more decay gets further in as many steps.",
    "Our own figures, seed 0, at the first measured step (10) and the last, four classes: `mlp` within .89 and .96, "
    "simplex .85 and .97, duality .88 and .97; ten classes: .48 and .76, .82 and .83, .67 and .95. The inputs "
    "themselves: .87 and .92 for four, .42 and .86 for ten. So four classes collapse, and ten are on the way: their "
    "centres do not come to be a simplex in 4,000 steps.",
    "Where features are free, the collapse is exact: the reproduction `collapse` finds it by L-BFGS for 2, 3, 4 and 10 "
    "classes.",
)

PAPYAN = Source(
    key="papyan2020prevalence",
    authors="Vardan Papyan, X. Y. Han, David L. Donoho",
    title="Prevalence of neural collapse during the terminal phase of deep learning training",
    venue="PNAS",
    year=2020,
    url="https://arxiv.org/abs/2008.08186",
)
ZHU = Source(
    key="zhu2021geometric",
    authors="Zhihui Zhu, Tianyu Ding, Jinxin Zhou, Xiao Li, Chong You, Jeremias Sulam, Qing Qu",
    title="A Geometric Analysis of Neural Collapse with Unconstrained Features",
    venue="NeurIPS",
    year=2021,
    url="https://arxiv.org/abs/2105.02375",
)


def build(entry: Entry) -> Task:
    return Collapse(
        TaskSpec(
            entry=entry,
            question="After the last training error, do the features of a class become one point, and the points a "
            "simplex?",
            problem=Problem("vector", (DIMENSION,), "classes", n_outputs=CLASSES[0], n_train=N_TRAIN),
            splits=(
                Split("train", "train", N_TRAIN),
                Split("val", "val", 1_000),
                Split("iid", "iid", 1_000),
                Split("fitted", "fitted", N_TRAIN),
            ),
            conditions=tuple(
                Condition(f"k{k}", f"{k} classes of {N_TRAIN // k} examples", problem={"n_outputs": k}) for k in CLASSES
            ),
            budget=Budget(steps=4_000, batch_size=N_TRAIN, evaluations=12, first=10, seconds=240.0, core_seconds=10.0),
            recipe=Recipe(optimizer="sgd", learning_rate=0.05, momentum=0.9, weight_decay=5e-4),
            metric="accuracy",
            gate=0.9,
            axes=(
                Axis("within", "members of a class stay apart", "every class is one point"),
                Axis("simplex", "centres lie anyhow", "centres are the corners of a simplex"),
            ),
            sources=(PAPYAN, ZHU),
            published=tuple(
                Published(f"cosines between {k} collapsed classes, closed form", -1 / (k - 1)) for k in CLASSES
            ),
            notes=NOTES,
        )
    )
