"""shift/reweight: closed forms, the two estimators on lines, and what weighting does to an interpolator."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tasks
from baselines.algorithms.erm import ERM
from tasks.seeds import Draw
from tasks.shift import reweight
from tasks.shift.reweight import TEST, TRAIN, Line, cubic, density_ratio, excess_risk_of_line, population_line
from tasks.types import Batch, Row, load_data

TASK = tasks.load("shift/reweight-v1")
SPEC = TASK.spec


def draw(seed: int) -> Draw:
    return Draw(SPEC.id, seed)


def sample(condition: str, split: str, seed: int = 0, size: int | None = None) -> Batch:
    declared = SPEC.split(split)
    return TASK.sample(condition, replace(declared, size=size or declared.size), draw(seed))


def row_of(condition: str, predictor: str) -> Row:
    """What a trial of a reference predictor would record."""
    data = load_data(TASK, condition, draw(0))
    batch_of = {id(batch.x): batch for batch in data.values()}
    reference = TASK.references(condition, draw(0))[predictor]
    scores = TASK.measure(condition, lambda x: reference(batch_of[id(x)]), data)
    return Row(scores, TASK.anchors(condition, data, draw(0)))


def least_squares(batch: Batch) -> Line:
    """The (weighted) least-squares line, by NumPy."""
    x, y = batch.x[:, 0].double().numpy(), batch.y[:, 0].double().numpy()
    weight = None if batch.weight is None else np.sqrt(batch.weight.double().numpy())
    slope, intercept = np.polyfit(x, y, 1, w=weight)
    return Line(float(slope), float(intercept))


def test_second_moment_of_the_weights_is_its_closed_form_and_its_monte_carlo_mean() -> None:
    assert reweight.second_moment_of_weights() == pytest.approx(2.3946, abs=5e-5)
    assert reweight.effective_sample_size(100) == pytest.approx(41.76, abs=5e-3)
    weight = sample("weighted", "train", size=1_000_000).weight
    assert weight is not None
    weight = weight.double()
    for power, expected in ((1, 1.0), (2, reweight.second_moment_of_weights())):
        values = weight**power
        assert abs(float(values.mean()) - expected) < 4 * float(values.std()) / 1000


def test_population_lines_and_their_excess_risks() -> None:
    shortcut, best = population_line(TRAIN), population_line(TEST)
    assert (shortcut.slope, shortcut.intercept) == pytest.approx((0.5, -0.25))
    assert (best.slope, best.intercept) == pytest.approx((-0.73, 0.0))
    # by hand, from the even moments s^2, 3 s^4 and 15 s^6 of N(0, 0.3^2)
    assert excess_risk_of_line(shortcut, TEST) == pytest.approx(0.0625 + 0.2025 - 0.0729 + 0.010935, abs=1e-6)
    assert excess_risk_of_line(best, TEST) == pytest.approx(0.010935 - 0.013122 + 0.006561, abs=1e-6)
    assert excess_risk_of_line(shortcut, TEST) == pytest.approx(0.2030, abs=5e-5)
    assert excess_risk_of_line(best, TEST) == pytest.approx(0.0044, abs=5e-5)
    # beyond the grid lie 2e-9 of the mass, at squared residuals of about 1,000
    assert excess_risk_of_line(shortcut, TRAIN) == pytest.approx(0.375, abs=4e-6)


@pytest.mark.parametrize("inputs", [TRAIN, TEST])
def test_population_line_is_the_least_squares_line_on_the_grid(inputs: reweight.Normal) -> None:
    x = inputs.grid(4001)
    slope, intercept = np.polyfit(x.numpy(), cubic(x).numpy(), 1, w=inputs.density(x).sqrt().numpy())
    assert (slope, intercept) == pytest.approx(
        (population_line(inputs).slope, population_line(inputs).intercept), abs=1e-6
    )


def test_conditions_differ_in_their_weights_alone() -> None:
    for split in ("train", "val"):
        plain, weighted = sample("erm", split), sample("weighted", split)
        assert torch.equal(plain.x, weighted.x) and torch.equal(plain.y, weighted.y)
        assert plain.weight is None and weighted.weight is not None
        x = weighted.x[:, 0].double()
        expected = 0.5 / 0.3 * ((x - 0.5) ** 2 / 0.5 - x**2 / 0.18).exp()
        torch.testing.assert_close(weighted.weight.double(), expected, rtol=1e-4, atol=1e-7)


def test_noise_is_in_the_training_targets_alone() -> None:
    train = sample("erm", "train", size=100_000)
    assert float((train.y - cubic(train.x)).std()) == pytest.approx(0.3, abs=4 * 0.3 / math.sqrt(200_000))
    for split in ("val", "iid", "ood"):
        batch = sample("erm", split)
        torch.testing.assert_close(batch.y, cubic(batch.x), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("split", "inputs"), [("iid", TRAIN), ("ood", TEST)])
def test_quadrature_has_the_moments_of_its_density(split: str, inputs: reweight.Normal) -> None:
    batch = sample("erm", split)
    assert batch.weight is not None
    x, share = batch.x[:, 0].double(), batch.weight.double() / batch.weight.double().sum()
    centred = x - inputs.mean
    assert float((share * centred).sum()) == pytest.approx(0.0, abs=1e-6)
    assert float((share * centred**2).sum()) == pytest.approx(inputs.sd**2, rel=1e-5)
    assert float((share * centred**6).sum()) == pytest.approx(15 * inputs.sd**6, rel=1e-4)


def test_oracle_scores_one_and_the_train_optimal_line_zero() -> None:
    for predictor, expected in (("oracle", 1.0), ("shortcut", 0.0), ("best_line", 1 - 0.004374 / 0.203035)):
        summary = TASK.summarize({c.name: row_of(c.name, predictor) for c in SPEC.conditions})
        assert summary.scores["score"] == pytest.approx(expected, abs=1e-4)
        assert summary.indices["weight_sensitivity"] == pytest.approx(0.0, abs=1e-9)


def test_summary_keeps_the_estimators_apart() -> None:
    summary = TASK.summarize({"erm": row_of("erm", "shortcut"), "weighted": row_of("weighted", "best_line")})
    assert summary.scores["score_erm"] == pytest.approx(0.0, abs=1e-9)
    assert summary.scores["score_weighted"] == pytest.approx(0.9785, abs=1e-4)
    assert summary.scores["score"] == pytest.approx(0.9785 / 2, abs=1e-4)
    assert summary.indices["weight_sensitivity"] == pytest.approx(math.log10(0.203035 / 0.004374), abs=1e-3)


def test_only_erm_stands_before_the_gate() -> None:
    """What is shown in distribution lies on the side of the gate that the verdict says."""
    plain, after_weighting = row_of("erm", "shortcut"), row_of("weighted", "best_line")
    assert after_weighting.scores["iid"]["excess_risk"] > SPEC.gate
    summary = TASK.summarize({"erm": plain, "weighted": after_weighting})
    assert summary.trained and summary.iid == plain.scores["iid"]["excess_risk"] < SPEC.gate
    assert summary.ood == pytest.approx((0.203035 + 0.004374) / 2, abs=1e-5)
    summary = TASK.summarize({"erm": row_of("erm", "constant"), "weighted": row_of("weighted", "oracle")})
    assert not summary.trained and summary.iid > SPEC.gate


def test_least_squares_lines_have_the_excess_risks_of_the_pilot() -> None:
    """Means over 1,000 other draws: .2229 without weights, .0085 with them."""
    draws = 600
    for condition, expected in (("erm", 0.2229), ("weighted", 0.0085)):
        excess = [excess_risk_of_line(least_squares(sample(condition, "train", seed)), TEST) for seed in range(draws)]
        standard_error = float(np.std(excess)) * math.sqrt(1 / draws + 1 / 1000)
        assert abs(float(np.mean(excess)) - expected) < 3 * standard_error


def minimize(model: nn.Module, batch: Batch) -> None:
    """Full-batch training by the task's recipe."""
    assert SPEC.recipe.optimizer == "adam" and SPEC.budget.batch_size == len(batch)
    optimizer = torch.optim.Adam(model.parameters(), lr=SPEC.recipe.learning_rate)
    objective = ERM(SPEC.problem)
    for _ in range(SPEC.budget.steps):
        loss = objective.loss(model, batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("condition", ["erm", "weighted"])
def test_recipe_brings_a_linear_model_to_its_closed_form(condition: str) -> None:
    torch.manual_seed(0)
    model, batch = nn.Linear(1, 1), sample(condition, "train")
    minimize(model, batch)
    line = least_squares(batch)
    assert (model.weight.item(), model.bias.item()) == pytest.approx((line.slope, line.intercept), abs=1e-3)


def test_weights_do_not_move_a_linear_interpolator() -> None:
    """From zero, every gradient lies in the span of the rows: the limit is pinv(X) y for any positive weights."""
    weighted = sample("weighted", "train", size=20)
    assert weighted.weight is not None
    weight = weighted.weight.double().clamp(min=1e-2)  # smaller weights change the speed, beyond any test's patience
    assert float(weight.max() / weight.min()) > 100
    features = torch.randn(20, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    batch = Batch(features, weighted.y.double(), weight=weight)
    solution = gradient_descent_from_zero(batch)
    interpolator = torch.linalg.pinv(features) @ batch.y
    torch.testing.assert_close(solution, interpolator, rtol=0, atol=1e-8)


def gradient_descent_from_zero(batch: Batch) -> Tensor:
    """Minimizer (d, 1) of the weighted loss that gradient descent with momentum reaches."""
    solution = torch.zeros(batch.x.shape[1], 1, dtype=torch.float64, requires_grad=True)
    objective = ERM(SPEC.problem)
    assert batch.weight is not None
    share = batch.weight / batch.weight.sum()
    largest = torch.linalg.eigvalsh(2 * batch.x.T @ (share[:, None] * batch.x))[-1]
    optimizer = torch.optim.SGD([solution], lr=1 / float(largest), momentum=0.97)
    for _ in range(2000):
        optimizer.zero_grad()
        objective.loss(lambda x: x @ solution, batch, 0).backward()  # type: ignore[arg-type]
        optimizer.step()
    return solution.detach()


def test_density_ratio_by_hand() -> None:
    x = torch.tensor([0.5, -0.1], dtype=torch.float64)
    by_hand = [5 / 3 * math.exp(-0.25 / 0.18), 5 / 3 * math.exp(0.36 / 0.5 - 0.01 / 0.18)]
    assert density_ratio(x).tolist() == pytest.approx(by_hand, rel=1e-12)
