"""Learning curves: exact ones against simulations, exponents against theory, and what hand-made structure is worth.

Pilots are earlier code of another hand; no paper prints numbers for these data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from benchmarks.reproductions._expected import Line, Published, closed_form
from benchmarks.reproductions._suite import suite_scores
from tasks.scaling import kernel, zipf
from tasks.seeds import generator
from tasks.sources.learning_curves import exponent
from tasks.sources.power_law import loss_of_examples, loss_of_parameters, loss_of_steps

ENTRIES = {
    "zipf-curve": {
        "paper": "Hutter 2021 (hutter2021learning)",
        "where": "the expected error of a memorizer, in closed form",
        "protocol": "words that were never seen in n draws, as scaling/zipf counts them",
        "tier": "quick",
        "seeds": 400,
        "chunk": 400,
    },
    "kernel-exponents": {
        "paper": "Spigler, Geiger and Wyart 2020 (spigler2020asymptotic)",
        "where": "theory -1/d, and a pilot of six draws",
        "protocol": "the posterior variance of a Laplace field on the sphere of d dimensions, 64 to 512 points",
        "tier": "quick",
        "seeds": 6,
        "chunk": 6,
    },
    "power-laws": {
        "paper": "Maloney, Roberts and Sully 2022, A Solvable Model of Neural Scaling Laws",
        "where": "exponents of parameters, steps and examples in linear regression with a power-law spectrum",
        "protocol": "sums for parameters and steps; least squares at least norm on 16 to 256 examples of 1,024 inputs",
        "tier": "quick",
        "seeds": 5,
        "chunk": 5,
    },
    "prior": {
        "paper": "Li, Zhang and Arora 2021 (li2021convnets)",
        "where": "no table for these data: a pilot, one run",
        "protocol": "scaling/prior, the baseline pooled-halves and an mlp of one layer of 256 units",
        "tier": "quick",
        "seeds": 3,
        "chunk": 1,
    },
}

DIMENSIONS = {1: -0.95, 2: -0.50, 4: -0.30}
POINTS = (64, 128, 256, 512)
TEST_POINTS = 200
EXAMPLES = (16, 32, 64, 128, 256)
DATA_EXPONENTS = {1.5: -0.63, 2.0: -1.21, 3.0: -2.16, 4.0: -3.09}
B = 1.5
MANY = 1_000_000
PILOT = {
    ("pooled-halves", "regular"): {50: 0.891, 800: 0.933, 12_800: 0.951},
    ("pooled-halves", "scrambled"): {50: 0.53, 800: 0.57, 12_800: 0.57},
    ("mlp", "regular"): {50: 0.565, 800: 0.867, 12_800: 0.965},
    ("mlp", "scrambled"): {50: 0.55, 800: 0.85, 12_800: 0.96},
}
NETWORKS = {"pooled-halves": {}, "mlp": {"width": 256, "depth": 1}}
WHY = {
    ("pooled-halves", "regular"): "the pilot's model was of the same description and not of the same code",
    ("pooled-halves", "scrambled"): "what unbalanced halves give: .50 to .63, by the draw of the places",
}


def of_words(n: int) -> str:
    return f"{n} examples, error of a memorizer"


def of_sphere(d: int) -> str:
    return f"sphere with d = {d}, exponent"


def of_examples(a: float) -> str:
    return f"a = {a:g}, exponent of examples"


def of_accuracy(model: str, order: str, n: int) -> str:
    return f"{model}, {order}, {n} examples, accuracy"


PARAMETERS, TIME = "a = 2, exponent of parameters", "a = 2, exponent of steps"

LINES: Mapping[str, Mapping[str, Line]] = {
    "zipf-curve": {of_words(n): closed_form(zipf.expected_error(n)) for n in zipf.SIZES},
    "kernel-exponents": {
        of_sphere(d): closed_form(-1 / d, 0.1, f"the limit of many points; a pilot that drew fields had {pilot}")
        for d, pilot in DIMENSIONS.items()
    },
    "power-laws": {
        PARAMETERS: closed_form(-1.0, 0.03, "the limit of many parameters; here 10 to 1,000 of a million"),
        TIME: closed_form(-2 / 3, 0.003, "the limit of many steps; here 100 to 10,000"),
        **{
            of_examples(a): Published(value, n=1, last_digit=0.01, source=f"pilot; theory {-min(a - 1, 2 * B):g}")
            for a, value in DATA_EXPONENTS.items()
        },
    },
    "prior": {
        of_accuracy(model, order, n): Published(
            value, n=1, last_digit=0.01, source="pilot", explanation=WHY.get((model, order), "")
        )
        for (model, order), curve in PILOT.items()
        for n, value in curve.items()
    },
}


def measure(name: str, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Every line, one value a draw or a seed."""
    per_seed = [MEASURES[name](seed) for seed in seeds]
    return {line: [found[line] for found in per_seed] for line in LINES[name]}


def words(seed: int) -> dict[str, float]:
    """The error of a memorizer in one draw of n words: it guesses those that it never saw."""
    p, found = zipf.frequencies(), {}
    for n in zipf.SIZES:
        drawn = torch.multinomial(p, n, replacement=True, generator=generator("reproductions", "zipf", n, seed))
        found[of_words(n)] = (1 - 1 / zipf.CLASSES) * (1 - float(p[drawn.unique()].sum()))
    return found


def spheres(seed: int) -> dict[str, float]:
    """The exponent of regression with the covariance of the field on spheres.

    With the field's own kernel and no noise the expected squared error is the posterior variance: no values are needed.
    """
    found = {}
    for d in DIMENSIONS:
        streams = [generator("reproductions", "kernel", d, n, seed) for n in POINTS]
        errors = [posterior_variance(d, n, stream) for n, stream in zip(POINTS, streams, strict=True)]
        found[of_sphere(d)] = exponent(POINTS, errors)
    return found


def posterior_variance(d: int, n: int, stream: torch.Generator) -> float:
    """The mean variance of a Laplace field at new points of the sphere, given its values at n points."""
    x, new = kernel.sphere(n, stream, d), kernel.sphere(TEST_POINTS, stream, d)
    cross = kernel.covariance(new, x)
    explained = (cross * torch.linalg.solve(kernel.covariance(x, x), cross.T).T).sum(1)
    return float((1 - explained).mean())


def power_laws(seed: int) -> dict[str, float]:
    """The exponents of parameters and steps, which do not depend on the seed, and of examples in one draw each."""
    kept, steps = (10, 30, 100, 300, 1_000), (100, 1_000, 10_000)
    found = {
        PARAMETERS: exponent(kept, [loss_of_parameters(p, MANY, 2.0) for p in kept]),
        TIME: exponent(steps, [loss_of_steps(t, MANY, 2.0, B) for t in steps]),
    }
    for a in DATA_EXPONENTS:
        streams = [generator("reproductions", "power-laws", n, seed) for n in EXAMPLES]
        losses = [loss_of_examples(n, 1_024, a, B, stream) for n, stream in zip(EXAMPLES, streams, strict=True)]
        found[of_examples(a)] = exponent(EXAMPLES, losses)
    return found


def prior(seed: int) -> dict[str, float]:
    """Accuracy of the hand-made and of the dense network, in order and scrambled."""
    found = {}
    for (model, order), curve in PILOT.items():
        for n in curve:
            scores = suite_scores(
                "scaling/prior-v1", model, seed, condition=f"{order}-{n}", hparams=NETWORKS[model]
            ).selected
            found[of_accuracy(model, order, n)] = scores["test"]["accuracy"]
    return found


MEASURES: Mapping[str, Callable[[int], dict[str, float]]] = {
    "zipf-curve": words,
    "kernel-exponents": spheres,
    "power-laws": power_laws,
    "prior": prior,
}
