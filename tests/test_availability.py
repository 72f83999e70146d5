"""Availability: Gaussian closed forms, the embedding, reliance by hand, and that a linear optimum ignores size."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tasks import registry
from tasks.seeds import Draw
from tasks.simplicity import availability
from tasks.simplicity.availability import CORE, DIMENSION, EMBEDDINGS, SHORTCUT, Embedding, embed, latents, lda_reliance
from tasks.types import Batch, Row, Scores, Summary, load_data

TASK = registry.load("simplicity/availability-v1")
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)
SIZES = [name for name, each in EMBEDDINGS.items() if not each.nesting]


def sample(condition: str, split: str, size: int | None = None) -> Batch:
    declared = SPEC.split(split)
    return TASK.sample(condition, replace(declared, size=size or declared.size), DRAW)


def share(votes: Tensor, y: Tensor) -> float:
    return float((votes == y).double().mean())


def summary_of(name: str) -> Summary:
    rows = {}
    for condition in EMBEDDINGS:
        data = load_data(TASK, condition, DRAW, SPEC.with_role("val", "iid", "ood"))
        batch_of = {id(batch.x): batch for batch in data.values()}
        predictor = TASK.references(condition, DRAW)[name]
        scores = TASK.measure(condition, lambda x, b=batch_of, p=predictor: p(b[id(x)]), data)  # type: ignore[misc]
        rows[condition] = Row(scores, TASK.anchors(condition, data, DRAW))
    return TASK.summarize(rows)


# --- closed forms ---------------------------------------------------------------------------------------------------


def test_latents_have_the_declared_predictivities_correlation_and_bayes_accuracy() -> None:
    """Bayes accuracy is Phi of half the Mahalanobis distance, by hand sqrt((a^2 + b^2 - 2 r a b) / (1 - r^2))."""
    n = 200_000
    batch = sample("size-1", "iid", n)
    z, y = latents(batch), batch.y
    a, b = NormalDist().inv_cdf(0.85), NormalDist().inv_cdf(0.9)
    bayes = NormalDist().cdf(math.sqrt((a * a + b * b - 2 * 0.6 * a * b) / (1 - 0.6**2)))
    assert bayes == pytest.approx(0.907, abs=5e-4)
    for votes, expected in (
        ((z[:, SHORTCUT] > 0).long(), 0.85),
        ((z[:, CORE] > 0).long(), 0.9),
        (availability.lda_decision(z), bayes),
    ):
        assert share(votes, y) == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / n))
    within = torch.cov(z[y == 1].T)
    assert within.tolist() == [pytest.approx([1, 0.6], abs=0.015), pytest.approx([0.6, 1], abs=0.015)]


def test_reliance_of_lda_is_half_the_ratio_of_its_weights() -> None:
    """In the quarter of the square where votes differ, w_s z_s wins over w_c z_c on a triangle of share r / 2."""
    a, b = NormalDist().inv_cdf(0.85), NormalDist().inv_cdf(0.9)
    ratio = (a - 0.6 * b) / (b - 0.6 * a)
    # the line cuts one cell of the grid in each of 30 columns, half of it on average
    assert lda_reliance() == pytest.approx(ratio / 2, abs=0.5 / 30)


def test_the_grid_holds_the_points_of_disagreement_evenly() -> None:
    z = availability.points_of_disagreement()
    assert len(z) == SPEC.split("disagreement").size == 60 * 60 / 2
    assert bool((z[:, 0] * z[:, 1] < 0).all())
    assert z.abs().max() == pytest.approx(3 * NormalDist().inv_cdf(0.9))
    assert sorted(z.tolist()) == sorted((-z).tolist())


# --- the embedding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIZES)
def test_sizes_are_as_declared_and_the_latents_can_be_read_back(name: str) -> None:
    batch = sample(name, "iid")
    x, z = batch.x.double(), latents(batch).double()
    directions = torch.linalg.lstsq(z, x).solution  # (2, 100)
    assert torch.allclose(z @ directions, x, atol=1e-4)
    gram = directions @ directions.T
    amplification = EMBEDDINGS[name].amplification
    expected = torch.diag(torch.tensor([amplification, 1 / amplification], dtype=torch.float64))
    assert torch.allclose(gram, expected, atol=1e-4 * (amplification + 1 / amplification))


def test_every_condition_has_the_same_latents_and_labels() -> None:
    first = sample("size-1", "train")
    for name in EMBEDDINGS:
        other = sample(name, "train")
        assert torch.equal(latents(other), latents(first))
        assert torch.equal(other.y, first.y)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_nested_core_is_a_bent_odd_curve_of_the_same_power_away_from_the_shortcut(depth: int) -> None:
    z = latents(sample("size-1", "iid", 20_000)).double()
    core_alone = z * torch.tensor([0.0, 1.0])
    straight, bent = (embed(core_alone, Embedding(1.0, nesting), DRAW) for nesting in (0, depth))
    # 1,000 quantiles miss some of the tails, and 20,000 examples have an error of .007
    assert float(bent.square().sum(1).mean() / straight.square().sum(1).mean()) == pytest.approx(1, abs=0.03)
    assert torch.allclose(embed(-core_alone, Embedding(1.0, depth), DRAW), -bent)
    assert torch.linalg.matrix_rank(straight, rtol=1e-6) == 1
    assert torch.linalg.matrix_rank(bent, rtol=1e-6) > 3
    shortcut_direction = embed(torch.tensor([[1.0, 0.0]], dtype=torch.float64), Embedding(1.0), DRAW)[0]
    assert (bent @ shortcut_direction).abs().max() < 1e-9


# --- scores ---------------------------------------------------------------------------------------------------------


def row(reliance: float, curve: list[float] | None = None) -> Row:
    def scores(value: float) -> Scores:
        return {"iid": {"accuracy": 0.9}, "disagreement": {"accuracy": 0.5, "reliance": value}}

    return Row(scores(reliance), {}, [(step, scores(value)) for step, value in enumerate(curve or [], 1)])


@pytest.mark.parametrize(
    ("name", "reliance", "score"),
    [("lda", None, 1.0), ("shortcut", 1.0, 0.0), ("core", 0.0, None)],
)
def test_reference_predictors_have_no_preference_for_size(
    name: str, reliance: float | None, score: float | None
) -> None:
    calibrated = lda_reliance()
    reliance = calibrated if reliance is None else reliance
    score = 1 - calibrated / (1 - calibrated) if score is None else score
    summary = summary_of(name)
    assert summary.indices["availability"] == 0
    biases = [summary.indices[f"bias_{condition}"] for condition in EMBEDDINGS]
    assert biases == pytest.approx([reliance - calibrated] * len(biases), abs=1e-6)
    assert summary.scores["score"] == pytest.approx(score, abs=1e-6)
    assert summary.trained


def test_summary_by_hand() -> None:
    calibrated = lda_reliance()
    reliances = dict(zip(EMBEDDINGS, [0.1, 0.2, 0.3, 0.4, 0.8, 0.5], strict=True))
    rows = {name: row(value) for name, value in reliances.items()}
    summary = TASK.summarize(rows)
    assert summary.indices["availability"] == pytest.approx(0.7)
    assert summary.indices["bias_size-10"] == pytest.approx(0.8 - calibrated)
    assert "availability_early" not in summary.indices
    expected = sum(1 - abs(r - calibrated) / (1 - calibrated) for r in reliances.values()) / 6
    assert summary.scores["score"] == pytest.approx(expected)
    # the selected step says .1 and .8, the last one .2 and .7
    rows |= {"size-0.1": row(0.1, [0.3, 0.1, 0.2]), "size-10": row(0.8, [0.9, 0.8, 0.7])}
    assert TASK.summarize(rows).indices["availability_early"] == pytest.approx(0.6)
    assert TASK.summarize(rows).indices["availability"] == pytest.approx(0.5)
    rows["size-10"] = row(0.8, [0.8])  # an estimator has one point
    assert "availability_early" not in TASK.summarize(rows).indices


def logistic_optimum(x: Tensor, y: Tensor) -> Tensor:
    """Weights (d,) of the logistic regression without intercept, by Newton's method."""
    w = torch.zeros(x.shape[1], dtype=torch.float64)
    for _ in range(20):
        p = torch.sigmoid(x @ w)
        w = w + torch.linalg.solve(x.T @ ((p * (1 - p))[:, None] * x), x.T @ (y - p))
    return w


def test_the_linear_optimum_of_a_sample_is_the_same_at_every_size_and_lda_up_to_its_error() -> None:
    """Along the two directions of the data; the standard error of a slope is that of the Fisher information."""
    batch = sample("size-1", "train")
    z, y = latents(batch).double(), batch.y.double()
    scales = [torch.tensor([math.sqrt(a), 1 / math.sqrt(a)], dtype=torch.float64) for a in (0.1, 1.0, 10.0)]
    slopes = [logistic_optimum(z * scale, y) * scale for scale in scales]
    assert all(torch.allclose(slope, slopes[0], atol=1e-8) for slope in slopes)
    p = torch.sigmoid(z @ slopes[0])
    errors = torch.linalg.inv(z.T @ ((p * (1 - p))[:, None] * z)).diagonal().sqrt()
    # the log odds of Gaussian classes at +-mean are 2 DISCRIMINANT . z
    assert bool(((slopes[0] - 2 * availability.DISCRIMINANT).abs() < 4 * errors).all())


def test_a_linear_layer_trained_by_the_baselines_recipe_ends_with_one_reliance_at_both_sizes() -> None:
    """Adam at 1e-2, annealed: what is left between the two sizes is convergence, a few of 1,800 grid points."""
    reliances = []
    for name in ("size-0.1", "size-10"):
        train, grid = sample(name, "train"), sample(name, "disagreement")
        layer = torch.nn.Linear(DIMENSION, 2)
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, SPEC.budget.steps)
        order = DRAW.generator("order")
        for _ in range(SPEC.budget.steps):
            chosen = torch.randint(len(train), (SPEC.budget.batch_size,), generator=order)
            loss = functional.cross_entropy(layer(train.x[chosen]), train.y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            reliances.append(TASK.evaluate(layer(grid.x), grid)["reliance"])
    assert reliances[0] == pytest.approx(reliances[1], abs=0.02)
