"""simplicity/cumulants: likelihoods, Bayes accuracies, moments, discriminants with known scores, a trained network."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

import tasks
from baselines.models.mlp import Mlp
from tasks.seeds import Draw
from tasks.simplicity.cumulants import BAYES, CUES, DIMENSION, NEUTRAL, SPIKE, Cue, Cumulants, directions, evidence
from tasks.types import Batch, Data, Row, Scores, Summary, load_data

TASK = tasks.load("simplicity/cumulants-v1")
assert isinstance(TASK, Cumulants)
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)


def density(cue: Cue, label: int, value: float) -> float:
    """p(coordinate | class), from the text of the task."""
    if cue == "mean":
        return float(norm.pdf(value, 0.3 * (2 * label - 1), 1))
    if cue == "variance":
        return float(norm.pdf(value, 0, math.sqrt([0.5, 2.0][label])))
    if label == 0:
        return float(norm.pdf(value))
    centre = math.sqrt(0.96)
    return float((norm.pdf(value, centre, 0.2) + norm.pdf(value, -centre, 0.2)) / 2)


def sample(split: str, size: int | None = None, seed: int = 0) -> Batch:
    declared = SPEC.split(split)
    return TASK.sample("default", replace(declared, size=size or declared.size), replace(DRAW, seed=seed))


def summary_of(name: str) -> Summary:
    """What a reference predictor scores."""
    data = load_data(TASK, "default", DRAW)
    batch_of = {id(batch.x): batch for batch in data.values()}
    predictor = TASK.references("default", DRAW)[name]
    scores = TASK.measure("default", lambda x: predictor(batch_of[id(x)]), data)
    return TASK.summarize({"default": Row(scores, TASK.anchors("default", data, DRAW))})


# --- closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cue", CUES)
def test_evidence_is_the_log_ratio_of_the_densities(cue: Cue) -> None:
    values = [-2.5, -1.0, -0.4, 0.0, 0.3, 0.98, 2.0]
    expected = [math.log(density(cue, 1, v) / density(cue, 0, v)) for v in values]
    assert evidence(cue, torch.tensor(values, dtype=torch.float64)).tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("cue", "neutral"), list(zip(CUES, NEUTRAL, strict=True)))
def test_a_cue_that_is_off_speaks_for_neither_class(cue: Cue, neutral: float) -> None:
    for value in (neutral, -neutral):
        assert float(evidence(cue, torch.tensor(value, dtype=torch.float64))) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("cue", CUES)
def test_bayes_accuracy_is_half_the_integral_of_the_larger_density(cue: Cue) -> None:
    def larger(value: float) -> float:
        return max(density(cue, 0, value), density(cue, 1, value)) / 2

    value, error = quad(larger, -12, 12, points=[-1, -0.67, 0, 0.67, 1], limit=400)
    assert error < 1e-6
    assert BAYES[cue] == pytest.approx(value, abs=6e-6)


def test_bayes_accuracies_of_mean_and_variance_are_their_closed_forms() -> None:
    assert BAYES["mean"] == pytest.approx(norm.cdf(0.3), abs=6e-6)
    threshold = math.sqrt(math.log(2) / 0.75)
    outside, inside = 2 * norm.sf(threshold / math.sqrt(2)), 2 * norm.cdf(threshold / math.sqrt(0.5)) - 1
    assert BAYES["variance"] == pytest.approx((outside + inside) / 2, abs=6e-6)


@pytest.mark.parametrize("cue", CUES)
def test_the_bayes_classifier_of_training_gets_the_best_accuracy_on_every_single_cue(cue: Cue) -> None:
    """200,000 examples: the standard error is .0011 at most; four of them are allowed."""
    batch = sample(cue, size=200_000)
    oracle = TASK.references("default", DRAW)["oracle"]
    assert TASK.evaluate(oracle(batch), batch)["accuracy"] == pytest.approx(BAYES[cue], abs=0.0045)


def test_the_linear_and_the_quadratic_discriminant_stop_at_their_cues() -> None:
    linear, quadratic, oracle = map(summary_of, ("linear_discriminant", "quadratic_discriminant", "oracle"))
    names = ("score_mean", "score_variance", "depth", "score_unclipped")
    assert [linear.scores[n] for n in names] == pytest.approx([1, 0, 0, 1 / 3])
    assert [quadratic.scores[n] for n in names] == pytest.approx([1, 1, 0, 2 / 3])
    assert [oracle.scores[n] for n in names] == pytest.approx([1, 1, 1, 1])
    assert linear.trained
    assert quadratic.trained
    assert linear.iid < quadratic.iid < oracle.iid


def test_the_discriminants_are_those_of_the_data() -> None:
    """scikit-learn's, fitted to 100,000 examples, are right as often: four standard errors on 20,000 are .014."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

    train, test = sample("train", size=100_000), sample("iid", size=20_000)
    for fitted, name in (
        (LinearDiscriminantAnalysis(), "linear_discriminant"),
        (QuadraticDiscriminantAnalysis(), "quadratic_discriminant"),
    ):
        fitted.fit(train.x.numpy(), train.y.numpy())
        expected = TASK.evaluate(TASK.references("default", DRAW)[name](test), test)["accuracy"]
        assert fitted.score(test.x.numpy(), test.y.numpy()) == pytest.approx(expected, abs=0.014)
        for cue in CUES[1 if name.startswith("linear") else 2 :]:
            single = sample(cue, size=20_000)
            assert fitted.score(single.x.numpy(), single.y.numpy()) == pytest.approx(0.5, abs=0.014)


# --- data -----------------------------------------------------------------------------------------------------------


def test_directions_are_orthonormal_and_belong_to_the_world() -> None:
    basis = directions(DRAW)
    assert torch.allclose(basis.T @ basis, torch.eye(3), atol=1e-5)
    assert not torch.allclose(basis, directions(replace(DRAW, seed=1)), atol=0.1)
    for split in SPEC.splits:
        batch = TASK.sample("default", split, DRAW)
        assert batch.latent is not None
        assert torch.allclose(batch.x @ basis, batch.latent, atol=1e-4)
        assert float(batch.y.double().mean()) == 0.5


def test_moments_along_the_directions_and_elsewhere() -> None:
    """Mean, variance and fourth cumulant of each class, within five standard errors for 100,000 examples."""
    batch = sample("train", size=200_000)
    assert batch.latent is not None
    n = 100_000
    expected = {  # class to (mean, variance, fourth cumulant) of the three coordinates
        0: [(-0.3, 1, 0), (0, 0.5, 0), (0, 1, 0)],
        1: [(0.3, 1, 0), (0, 2, 0), (0, 1, -2 * SPIKE**4)],
    }
    for label, laws in expected.items():
        for value, (mean, variance, cumulant) in zip(batch.latent[batch.y == label].double().T, laws, strict=True):
            centred = value - value.mean()
            found = centred.square().mean()
            assert float(value.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / n))
            assert float(found) == pytest.approx(variance, abs=5 * variance * math.sqrt(2 / n))
            fourth = float(centred.pow(4).mean() - 3 * found.square())
            assert fourth == pytest.approx(cumulant, abs=5 * variance**2 * math.sqrt(24 / n))
        x = batch.x[batch.y == label]
        rest = torch.linalg.svd(directions(DRAW), full_matrices=True).U[:, 3:]  # across all three
        covariance = torch.cov((x @ rest).T)
        assert torch.allclose(covariance, torch.eye(DIMENSION - 3), atol=5 * math.sqrt(2 / n))


@pytest.mark.parametrize("on", CUES)
def test_all_other_cues_are_held_where_they_say_nothing(on: Cue) -> None:
    batch = sample(on)
    assert batch.latent is not None
    for place, cue in enumerate(CUES):
        size = batch.latent[:, place].abs()
        if cue == on:
            assert float(size.std()) > 0.1
        else:
            assert torch.allclose(size, torch.full_like(size, NEUTRAL[place]), atol=1e-6)


# --- indices --------------------------------------------------------------------------------------------------------


def scores_at(*anchored: float) -> Scores:
    """Accuracies on the three cues with these scores, for an oracle of .7 on each."""
    return {cue: {"accuracy": 0.5 + 0.2 * value} for cue, value in zip(CUES, anchored, strict=True)}


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0.6, 0, 0), (0.6, 0.6, 0), (0, 0.6, 0.6)], ([1, 2, 3], 1)),
        ([(0, 0, 0.6), (0, 0.6, 0), (0.6, 0, 0)], ([3, 2, 1], -1)),
        ([(0.4, 0, 0.4), (0.6, 0, 0), (1, 0.4, 0)], ([2, None, None], math.sqrt(3) / 2)),
        ([(0.6, 0.6, 0.6), (1, 1, 1)], ([1, 1, 1], None)),
        ([(0, 0, 0), (0.4, 0.4, 0.4)], ([None, None, None], None)),
        ([(0.6, 0, 0)], ([None, None, None], None)),  # an estimator
    ],
)
def test_times_and_order_by_hand(
    points: list[tuple[float, float, float]], expected: tuple[list[int | None], float | None]
) -> None:
    times, order = expected
    curve = [(step, scores_at(*point)) for step, point in enumerate(points, 1)]
    anchors = {cue: {"chance": 0.5, "oracle": 0.7} for cue in CUES}
    indices = TASK.over_time(Row(curve[-1][1], anchors, curve))  # type: ignore[attr-defined]
    assert [indices.get(f"learned_at_{place}") for place in (1, 2, 3)] == times
    assert indices.get("order") == (None if order is None else pytest.approx(order))


# --- the phenomenon -------------------------------------------------------------------------------------------------


def scores_after(marks: list[int]) -> list[np.ndarray]:  # type: ignore[type-arg]
    """Scores on the three cues of a 2 x 128 ReLU network after so many steps."""
    torch.manual_seed(0)
    net, data, order = Mlp(SPEC.problem), load_data(TASK, "default", DRAW), DRAW.generator("order")
    anchors = TASK.anchors("default", data, DRAW)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    found = []
    for step in range(1, marks[-1] + 1):
        chosen = torch.randint(len(data["train"]), (256,), generator=order)
        loss = torch.nn.functional.cross_entropy(net(data["train"].x[chosen]), data["train"].y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in marks:
            found.append(anchored(net, data, anchors))
    return found


def anchored(net: Mlp, data: Data, anchors: Scores) -> np.ndarray:  # type: ignore[type-arg]
    def predict(x: Tensor) -> Tensor:
        with torch.no_grad():
            return net(x)

    row = Row(TASK.measure("default", predict, data), anchors)
    return np.array([TASK.anchored(row, cue) for cue in CUES])


def test_a_network_reads_mean_and_variance_long_before_the_fourth_cumulant() -> None:
    early, late = scores_after([150, 900])
    assert (early[:2] > 0.6).all()
    assert early[2] < 0.2  # three standard errors are .12
    assert late[2] > 0.6
