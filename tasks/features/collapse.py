"""Gaussian classes, trained long after the last error: do features keep what tells members of a class apart?

K centres are drawn from N(0, I) in R^20, and every example is its centre plus noise of unit variance. Once a network
has no error left, cross-entropy with weight decay goes on, and is least where the features of a class are one point
and the K points are as far apart as they can be: the corners of a simplex. How far features have gone there is told
as the share of what the inputs have that is gone.

    features on four points at cosines -1/3   variability_collapse 1, simplex_convergence 1, self_duality 1
    the inputs themselves                     0 and 0: class means at cosines of -1/3 on average, each as it was drawn
"""

from __future__ import annotations

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
        "summary": "4 or 10 Gaussian classes trained past zero error; whether each becomes a corner of a simplex",
        "input": "vector",
        "tags": ["synthetic", "classification", "features", "closed-form"],
    }
}

DIMENSION, N_TRAIN = 20, 400
CLASSES = (4, 10)
ROUNDING = 1e-5
"""What is smaller than this share of the largest is an error of float32."""
SIGNS = ("variability_collapse", "simplex_convergence", "self_duality", "nearest_class_center")
"""NC1 to NC4 of Papyan, Han and Donoho, each 1 where it is complete."""


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
        """Accuracy and the like; on the training examples also `nc1`, `nc2` and what they make of the inputs' own, and
        `self_duality`; on `iid` the share of examples whose nearest class mean is the model's answer.

        A plain function has its outputs for features. Where no class differs from another nothing is added.
        """
        scores = {split: dict(values) for split, values in super().measure(condition, predict, data).items()}
        fit, new = data["fitted"], data["iid"]
        read = predict.features if isinstance(predict, Trained) else predict
        features = read(fit.x).double()
        centers = centered_means(features, fit.y)
        if is_nothing(centers, features):
            return scores
        scores["fitted"] |= against_inputs(features, fit)
        scores["fitted"]["self_duality"] = alignment(last_weights(features, predict(fit.x)), centers)
        same = nearest(read(new.x).double(), centers + features.mean(0)) == predict(new.x).argmax(1)
        scores["iid"]["nearest_class_center"] = float(same.double().mean())
        return scores

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """The four signs at the last step, averaged over conditions, and by condition.

        Trained is whoever has the training examples right, in every condition, at the last step.
        """
        found = {name: {**row.last["fitted"], **row.last["iid"]} for name, row in rows.items()}
        signs = [sign for sign in SIGNS if all(sign in values for values in found.values())]
        return Summary(
            iid=self.role_mean(rows, "iid"),
            ood=None,
            trained=self.passes_gate(min(row.last["fitted"]["accuracy"] for row in rows.values())),
            scores={},
            indices={
                **{sign: fmean(values[sign] for values in found.values()) for sign in signs},
                **{f"{sign}_{name}": values[sign] for name, values in found.items() for sign in signs},
            },
        )


def class_centers(n_classes: int, draw: Draw) -> Tensor:
    """Centres (K, 20), standard normal."""
    return torch.randn(n_classes, DIMENSION, generator=draw.generator("world", str(n_classes)))


def nearest(points: Tensor, centers: Tensor) -> Tensor:
    """The nearest of K centres, (N,)."""
    return torch.cdist(points, centers).argmin(1)


def centered_means(features: Tensor, y: Tensor) -> Tensor:
    """The mean feature of each class less their mean, features (N, F) of equally many of each class to (K, F)."""
    means = torch.stack([features[y == k].mean(0) for k in range(int(y.max()) + 1)])
    return means - means.mean(0)


def is_nothing(centers: Tensor, features: Tensor) -> bool:
    """Whether centred class means (K, F) are rounding errors of features (N, F)."""
    return float(centers.abs().max()) <= ROUNDING * float(features.abs().max())


def against_inputs(features: Tensor, fit: Batch) -> dict[str, float]:
    """NC1 and NC2 of features (N, F), and the share of the inputs' own that is gone: 0 for inputs, 1 for none left."""
    nc1, nc2 = variability(features, fit.y), irregularity(features, fit.y)
    return {
        "nc1": nc1,
        "nc2": nc2,
        "variability_collapse": 1 - nc1 / variability(fit.x.double(), fit.y),
        "simplex_convergence": 1 - nc2 / irregularity(fit.x.double(), fit.y),
    }


def variability(features: Tensor, y: Tensor) -> float:
    """NC1, tr(Sw pinv(Sb)) / K: Sw and Sb the covariances within and between classes of features (N, F).

    What varies in directions that tell no two class means apart does not count.
    """
    centers = centered_means(features, y)
    deviations = features - features.mean(0) - centers[y]
    within: Tensor = (deviations @ torch.linalg.pinv(centers, rtol=ROUNDING)).square().sum(1).mean()
    return float(within)


def irregularity(features: Tensor, y: Tensor) -> float:
    """NC2, the mean distance of the cosines between centred class means from -1/(K-1); a mean at 0 has cosines of 0."""
    centers = centered_means(features, y)
    sizes = centers.norm(dim=1, keepdim=True)
    unit = centers / sizes.clamp(min=ROUNDING * float(sizes.max()))
    n_classes = len(centers)
    cosines = (unit @ unit.T)[~torch.eye(n_classes, dtype=torch.bool)]
    return float((cosines + 1 / (n_classes - 1)).abs().mean())


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
    "linear layer, and for `linear` they are x itself. A class without such a layer, and an estimator, is skipped; who "
    "still has a training error counts as not trained.",
    "NC1 is tr(Sw pinv(Sb)) / K, NC2 the mean distance of the cosines between centred class means from -1/(K-1). Both "
    "are small for the inputs already: centred means of a few random directions are nearly a simplex. So the indices "
    "are what of the inputs' own NC1 and NC2 is gone, 0 for `linear` exactly, below 0 where features are worse.",
    "NC3, self-duality, is the cosine between class means and the weights of the last layer, as matrices. The weights "
    "are read from outputs, as the affine map of least norm: what no training feature sees of them is lost. NC4 is the "
    "share of new examples whose nearest class mean is the model's answer.",
    "Collapse is no virtue and no fault: it is what the loss rewards after the last error. The task describes and has "
    "no score. Without decay there is no least point; the recipe is SGD of rate .05, momentum .9, decay 5e-4, on all "
    "400 examples at once, and more decay gets further in as many steps.",
    "Our own figures, seed 0, of NC1 and NC2 gone with four classes and with ten: `mlp` .67, .67 and .68, -.24; "
    "`mlp-gaussian` .94, .70 and .97, .63; `mlp-tanh` .41, .32 and .42, -.24; random features .17, .15 and .39, .13. "
    "So classes contract in every trained network; ten class means of a ReLU network are further from a simplex than "
    "those of the inputs after 4,000 steps.",
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
            gate=1.0,
            axes=(
                Axis("variability_collapse", "classes vary as the inputs do", "every class is one point"),
                Axis("simplex_convergence", "class means lie as the inputs' do", "class means are a simplex"),
            ),
            sources=(PAPYAN, ZHU),
            published=tuple(
                Published(f"cosines between {k} collapsed classes, closed form", -1 / (k - 1)) for k in CLASSES
            ),
            notes=NOTES,
        )
    )
