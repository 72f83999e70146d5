"""The features family: gradients from rich to lazy, what leading features hold, collapse, likeness of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.reproductions._expected import Line, Published, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.features.agop import N_POINTS, STEP, directions, mass, target
from tasks.features.collapse import alignment, centered_means, irregularity, variability
from tasks.registry import load
from tasks.seeds import Draw, generator
from tasks.sources.slopes import slopes, stencil
from tasks.types import load_data

ENTRIES = {
    "agop": {
        "paper": "Chizat, Oyallon and Bach 2019 (chizat2019lazy)",
        "where": "no table: pilots; the oracle is a closed form",
        "protocol": "2 x 256 ReLU units, output change times alpha, SGD with rate .05 / alpha^2; slopes over .02",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
    "probe": {
        "paper": "Alain and Bengio 2017 (alain2017understanding); Hermann and Lampinen 2020 (hermann2020shapes)",
        "where": "no table: pilots of the task",
        "protocol": "the baseline mlp on features/probe; R2 of ridge regression from six principal components",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
    "collapse": {
        "paper": "Papyan, Han and Donoho 2020 (papyan2020prevalence); Zhu and others 2021 (zhu2021geometric)",
        "where": "closed form of the least cross-entropy with decay over free features; pilots of networks",
        "protocol": "features and weights of 2, 3, 4, 10 classes by L-BFGS; the baseline mlp on features/collapse",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
    "cka": {
        "paper": "Kornblith, Norouzi, Lee and Hinton 2019, Similarity of Neural Network Representations Revisited",
        "where": "invariances, in closed form; that CKA finds the layer of the same depth more often than CCA: pilots",
        "protocol": "six layers of 64 ReLU units that learn five classes of a tanh teacher; pairs of two starts",
        "tier": "quick",
        "seeds": 6,
        "chunk": 1,
    },
}

AGOP = "features/agop-v1"
WIDTH, BATCH, STEPS, RATE = 256, 64, 2_000, 0.05
POINTS = 1_000
CLOSE = 0.01
"""A lazy network has so many kinks that its slopes over .5 are twice as much in the plane as its gradients are."""
MASS = {0.3: 0.985, 1.0: 0.950, 10.0: 0.675, 100.0: 0.213}
PROBE = "features/probe-v1"
HELD = {("t4", "relevant"): 0.72, ("t4", "irrelevant"): 0.01, ("t16", "relevant"): 0.96, ("t16", "irrelevant"): 0.0}
"""Share of the latents in six components of an MLP."""
COLLAPSE = "features/collapse-v1"
CLASSES, PER_CLASS, FREE, DECAY = (2, 3, 4, 10), 10, 16, 5e-3
"""Classes, examples of each, dimension and decay of free features."""
FREE_SIGNS = {"NC1": 0.0, "NC2": 0.0, "NC3, as a cosine": 1.0}
PILOT_SIGNS = {"nc1": 0.064, "nc2": 0.063, "self_duality": 0.976}
"""Of the pilot's network of four classes; its NC3 was .22, a cosine of 1 - .22^2 / 2."""
DEPTH, UNITS, TEACHERS, HIDDEN, INPUTS = 6, 64, 5, 8, 20
EXAMPLES, COMPARED = 4_000, 2_000

LINES: Mapping[str, Mapping[str, Line]] = {
    "agop": {
        "mass of the target": closed_form(1.0, 1e-6),
        **{
            f"mass, alpha {alpha:g}": Published(value, n=1, last_digit=1e-3, source="pilot")
            for alpha, value in MASS.items()
        },
    },
    "probe": {
        f"{which} latents, {condition[1:]} targets": Published(value, n=1, last_digit=0.01, source="pilot")
        for (condition, which), value in HELD.items()
    },
    "collapse": {
        **{f"{k} free classes, {sign}": closed_form(end) for k in CLASSES for sign, end in FREE_SIGNS.items()},
        **{
            f"mlp, 4 classes, {sign}": Published(value, n=1, last_digit=1e-3, source="pilot")
            for sign, value in PILOT_SIGNS.items()
        },
    },
    "cka": {
        "CKA of X and 3 X Q, Q orthogonal": closed_form(1.0),
        "CCA of X and X A, A invertible": closed_form(1.0),
        "CKA of independent Gaussians": closed_form(16 / (499 + 16 + 1), 1e-3, "a ratio of two means"),
        "layers matched, CKA": Published(0.63, n=4, last_digit=0.01, source="pilot"),
        "layers matched, CCA": Published(0.38, n=4, last_digit=0.01, source="pilot"),
        "layers of the same depth, CKA": Published(0.82, n=4, last_digit=0.06, source="pilot: .79 to .85"),
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a seed."""
    per_seed = [MEASURES[name](seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


def agop(seed: int) -> dict[str, float]:
    """The share of gradients in the plane that matters, of the target and of networks that are ever lazier."""
    draw = Draw(AGOP, seed)
    data = load_data(load(AGOP), "plenty", draw)
    plane = directions("plenty", draw).double()

    points, neighbours = data["iid"].x[:POINTS], data["stencil"].x
    exact = target(neighbours, directions("plenty", draw))[:, 0]
    found = {"mass of the target": mass(slopes(exact, N_POINTS, STEP), plane)}
    for alpha in MASS:
        outputs = scaled_network(data["train"].x, data["train"].y, alpha, seed)
        with torch.no_grad():
            values = outputs(stencil(points, CLOSE))[:, 0]
        found[f"mass, alpha {alpha:g}"] = mass(slopes(values, POINTS, CLOSE), plane)
    return found


def scaled_network(x: Tensor, y: Tensor, alpha: float, seed: int) -> Callable[[Tensor], Tensor]:
    """alpha (f - f_0) for a network f that was trained from f_0."""
    torch.manual_seed(seed)
    layers = [nn.Linear(x.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1)]
    net = nn.Sequential(*layers)
    start = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE / alpha**2)
    order = generator("reproductions", "agop", seed)

    def outputs(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            before = torch.func.functional_call(net, start, (inputs,))
        change: Tensor = alpha * (net(inputs) - before)
        return change

    for _ in range(STEPS):
        chosen = torch.randint(len(x), (BATCH,), generator=order)
        optimizer.zero_grad()
        functional.mse_loss(outputs(x[chosen]), y[chosen]).backward()
        optimizer.step()
    return outputs


def probe(seed: int) -> dict[str, float]:
    """What the leading features of the baseline `mlp` hold of latents that matter and of others."""
    scores = {c: suite_scores(PROBE, "mlp", seed, condition=c).selected["iid"] for c in ("t4", "t16")}
    return {f"{which} latents, {condition[1:]} targets": scores[condition][which] for condition, which in HELD}


def collapse(seed: int) -> dict[str, float]:
    """Free features where they end, and those of the baseline `mlp` on four classes."""
    found = {f"{k} free classes, {sign}": value for k in CLASSES for sign, value in free_signs(k, seed).items()}
    fitted = suite_scores(COLLAPSE, "mlp", seed, condition="k4").last["fitted"]
    return {**found, **{f"mlp, 4 classes, {sign}": fitted[sign] for sign in PILOT_SIGNS}}


def free_signs(n_classes: int, seed: int) -> dict[str, float]:
    """NC1 to NC3 at the least point of cross-entropy over features and weights, both with decay."""
    stream = generator("reproductions", "collapse", n_classes, seed)
    y = torch.arange(n_classes * PER_CLASS) % n_classes
    features, weights = (
        torch.randn(n, FREE, generator=stream, dtype=torch.float64, requires_grad=True) for n in (len(y), n_classes)
    )
    optimizer = torch.optim.LBFGS(
        [features, weights],
        max_iter=5_000,
        max_eval=20_000,
        tolerance_grad=1e-13,
        tolerance_change=1e-18,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        sizes = weights.square().sum() + features.square().sum() / len(y)
        value: Tensor = functional.cross_entropy(features @ weights.T, y) + DECAY / 2 * sizes
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        found = variability(features, y), irregularity(features, y), alignment(weights, centered_means(features, y))
    return dict(zip(FREE_SIGNS, found, strict=True))


def cka(seed: int) -> dict[str, float]:
    """Invariances on Gaussian matrices, and which layers of two networks are most alike."""
    stream = generator("reproductions", "cka", seed)
    x, other = (torch.randn(500, 16, generator=stream, dtype=torch.float64) for _ in range(2))
    turn = torch.linalg.qr(torch.randn(16, 16, generator=stream, dtype=torch.float64)).Q
    skew = torch.randn(16, 16, generator=stream, dtype=torch.float64)
    one, two = layers_of_two(seed, stream)
    by_cka, by_cca = (
        torch.tensor([[alike(a, b) for b in two] for a in one]) for alike in (kernel_alignment, canonical_correlation)
    )
    return {
        "CKA of X and 3 X Q, Q orthogonal": kernel_alignment(x, 3 * x @ turn),
        "CCA of X and X A, A invertible": canonical_correlation(x, x @ skew),
        "CKA of independent Gaussians": kernel_alignment(x, other),
        "layers matched, CKA": matched(by_cka),
        "layers matched, CCA": matched(by_cca),
        "layers of the same depth, CKA": float(by_cka.diagonal().mean()),
    }


def kernel_alignment(a: Tensor, b: Tensor) -> float:
    """Linear CKA of features (N, p) and (N, q) of the same examples, |a'b|^2 / (|a'a| |b'b|) of centred ones."""
    a, b = a - a.mean(0), b - b.mean(0)
    return float((a.T @ b).square().sum() / ((a.T @ a).norm() * (b.T @ b).norm()))


def canonical_correlation(a: Tensor, b: Tensor) -> float:
    """The mean squared canonical correlation of features (N, p) and (N, q)."""
    spaces = [torch.linalg.svd(m - m.mean(0), full_matrices=False) for m in (a, b)]
    one, two = (left[:, sizes > 1e-6 * sizes[0]] for left, sizes, _ in spaces)
    return float((one.T @ two).square().sum() / min(one.shape[1], two.shape[1]))


def matched(likeness: Tensor) -> float:
    """How often the layer most like a layer of the other network has its depth, likeness (L, L), in both directions."""
    depths = torch.arange(len(likeness))
    hits = torch.cat([likeness.argmax(1) == depths, likeness.argmax(0) == depths])
    return float(hits.double().mean())


def layers_of_two(seed: int, stream: torch.Generator) -> list[list[Tensor]]:
    """Hidden layers (2,000, 64) of two networks that learned the same examples from two starts."""
    teachers = torch.randn(TEACHERS, HIDDEN, INPUTS, generator=stream) / INPUTS**0.5
    out = torch.randn(TEACHERS, HIDDEN, generator=stream)

    def label(x: Tensor) -> Tensor:
        return torch.einsum("thi,ni->nth", teachers, x).tanh().mul(out).sum(2).argmax(1)

    x, new = torch.randn(EXAMPLES, INPUTS, generator=stream), torch.randn(COMPARED, INPUTS, generator=stream)
    return [hidden_layers(x, label(x), new, 2 * seed + start) for start in range(2)]


def hidden_layers(x: Tensor, y: Tensor, new: Tensor, start: int) -> list[Tensor]:
    """What six layers make of new points (M, 20) once they have learned x (N, 20) and y (N,): six of (M, 64)."""
    torch.manual_seed(start)
    sizes = [INPUTS, *[UNITS] * DEPTH]
    body = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
    net = nn.Sequential(*body, nn.Linear(UNITS, TEACHERS))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    order = generator("reproductions", "cka", "batches", start)
    for _ in range(1_500):
        chosen = torch.randint(len(x), (128,), generator=order)
        optimizer.zero_grad()
        functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        return [net[: 2 * depth](new).double() for depth in range(1, DEPTH + 1)]


MEASURES: Mapping[str, Callable[[int], dict[str, float]]] = {
    "agop": agop,
    "probe": probe,
    "collapse": collapse,
    "cka": cka,
}
