"""interpolation/*: exact curves against Monte-Carlo, peaks by hand, gradient descent in closed form, Cover's count."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, stdev

import pytest
import torch

import tasks
from benchmarks.reproductions import interpolation as reproduction
from benchmarks.reproductions._expected import Published
from tasks.interpolation import epochs
from tasks.interpolation.features import FEATURES, NOISE_SD, Features, expected_risk
from tasks.interpolation.memorize import separable
from tasks.interpolation.width import WIDTHS, Width
from tasks.seeds import Draw, generator
from tasks.sources.double_descent import peak, peak_ratio, prominence, regret
from tasks.sources.minimum_norm import least_norm, risk_on_features
from tasks.sources.random_features import limit_risk
from tasks.types import Row, Scores, load_data

# --- the shape of a curve -------------------------------------------------------------------------------------------


def test_a_peak_is_a_risk_that_a_smaller_and_the_largest_model_undercut() -> None:
    assert peak([9.0, 1.0, 4.0, 2.0]) == 2
    assert peak_ratio([9.0, 1.0, 4.0, 2.0]) == 2
    assert peak([9.0, 4.0, 2.0, 1.0]) is None
    assert peak_ratio([9.0, 4.0, 2.0, 1.0]) == 1
    assert peak([1.0, 2.0, 3.0]) is None
    assert regret([9.0, 1.0, 4.0, 2.0], null=4.0) == 0.25


# --- features: exact finite-sample double descent --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "draws"), [("double-descent", 300), ("double-descent-random-features", 10), ("random-labels", 100)]
)
def test_closed_forms_are_the_means_of_simulations(name: str, draws: int) -> None:
    """Finite-sample double descent at eight sizes, the limit of random features, Cover's count: within 4 errors."""
    for line, values in reproduction.measure(name, range(draws)).items():
        expected = reproduction.LINES[name][line]
        assert isinstance(expected, Published)
        error = stdev(values) / math.sqrt(draws)
        assert fmean(values) == pytest.approx(expected.value, abs=4 * error), line
        assert error < 0.4 * expected.value, line


def test_expected_risks_by_hand() -> None:
    assert expected_risk(10) == pytest.approx(0.95 + 1.2 * 10 / 29)
    assert expected_risk(200) == pytest.approx(0.8 + 0.25 * 40 / 159)
    assert [risk_on_features(40, 200, p, 0.5) for p in (39, 40, 41)] == [math.inf] * 3


def test_only_the_largest_fit_beats_no_fit() -> None:
    """The null predictor has an excess risk of 1, the variance of the target."""
    assert [p for p in FEATURES if expected_risk(p) < 1] == [200]


def test_more_examples_hurt_on_the_way_to_the_number_of_features() -> None:
    risks = [risk_on_features(n, 200, 60, 0.5) for n in (20, 40, 50, 55, 58)]
    assert risks == sorted(risks)
    assert risk_on_features(400, 200, 60, 0.5) < risks[0]


def test_least_norm_interpolates_lies_in_the_span_of_the_rows_and_is_least_squares_below() -> None:
    stream = generator("tests", "least norm")
    x, y = torch.randn(5, 9, generator=stream).double(), torch.randn(5, 1, generator=stream).double()
    wide = least_norm(x, y)
    assert torch.allclose(x @ wide, y)
    assert torch.allclose(x.T @ torch.linalg.lstsq(x.T, wide).solution, wide)
    assert torch.allclose(
        least_norm(x.T, torch.ones(9, 1)), torch.linalg.lstsq(x.T, torch.ones(9, 1).double()).solution
    )


FEATURES_TASK = tasks.load("interpolation/features-v1")


def reference_rows(task: Features | Width, name: str, draw: Draw) -> dict[str, Row]:
    """What a trial of a reference predictor would record."""
    rows = {}
    for condition in task.spec.conditions:
        data = load_data(task, condition.name, draw)
        batch_of = {id(batch.x): batch for batch in data.values()}
        predictor = task.references(condition.name, draw)[name]
        scores = task.measure(condition.name, lambda x: predictor(batch_of[id(x)]), data)  # noqa: B023
        rows[condition.name] = Row(scores, task.anchors(condition.name, data, draw))
    return rows


def test_features_of_all_sizes_are_the_first_of_the_same_examples() -> None:
    draw = Draw(FEATURES_TASK.spec.id, 0)
    few, many = (FEATURES_TASK.sample(c, FEATURES_TASK.spec.split("train"), draw) for c in ("10", "200"))
    assert torch.equal(few.x, many.x[:, :10])
    assert torch.equal(few.y, many.y)
    fitted = FEATURES_TASK.sample("10", FEATURES_TASK.spec.split("fitted"), draw)
    assert torch.equal(fitted.x, few.x) and torch.equal(fitted.y, few.y)


def test_the_fit_of_least_norm_peaks_at_the_threshold_and_is_no_distance_from_itself() -> None:
    assert isinstance(FEATURES_TASK, Features)
    found = FEATURES_TASK.summarize(reference_rows(FEATURES_TASK, "least_norm", Draw(FEATURES_TASK.spec.id, 0)))
    assert found.indices["from_least_norm"] == pytest.approx(0, abs=1e-9)
    assert found.indices["peak_height"] > 0.5
    assert found.indices["regret"] == 0
    assert found.trained


# --- width -----------------------------------------------------------------------------------------------------------

WIDTH = tasks.load("interpolation/width-v1")


def scores(test: float, fitted: float) -> Scores:
    """Scores of one width, as a trial has them."""
    clean = {name: {"mse": test} for name in ("val", "iid", "test")}
    return {**clean, "fitted": {"mse": fitted}}


def width_rows(risks: list[float], fitted: list[float]) -> dict[str, Row]:
    """Rows of every width whose selected step has risk .1, and whose last one has these."""
    anchors = {"test": {"null": 1.0, "bayes": 0.0}}
    return {
        str(width): Row(scores(0.1, 0.3), anchors, [(10, scores(0.1, 0.3)), (20, scores(risk, error))], 100 * width)
        for width, risk, error in zip(WIDTHS, risks, fitted, strict=True)
    }


def test_width_is_read_at_the_last_step_and_early_stopping_has_no_peak() -> None:
    risks = [1.0, 0.05, 0.1, 0.4, 1.2, 0.8, 0.5, 0.4, 0.35, 0.3, 0.25]
    found = WIDTH.summarize(width_rows(risks, [0.3, 0.2, 0.1, 0.01, *[0.0] * 7]))
    assert found.scores == pytest.approx({"score": 0.75, "score_unclipped": 0.75, "score_best": 0.95})
    assert found.indices == pytest.approx(
        {"regret": 0.2, "peak_ratio": 4.8, "peak_ratio_early": 1.0, "peak_at": 8.0, "interpolates_at": 8.0}
    )
    assert found.trained


def test_a_class_that_does_not_fit_the_noise_at_its_largest_is_not_trained() -> None:
    found = WIDTH.summarize(width_rows([0.1] * 11, [0.2] * 11))
    assert not found.trained
    assert found.indices == {"regret": 0, "peak_ratio": 1, "peak_ratio_early": 1}


def test_noise_is_in_what_is_trained_on_alone_and_a_dose_scales_it() -> None:
    draw = Draw(WIDTH.spec.id, 0)
    clean = labels_with(0.0, draw)
    for split in ("train", "fitted"):
        noise = WIDTH.sample("8", WIDTH.spec.split(split), draw).y - clean[split]
        assert float(noise.std()) == pytest.approx(NOISE_SD, rel=0.25)
        loud = WIDTH.dosed({"label-noise": 1.0}).sample("8", WIDTH.spec.split(split), draw).y - clean[split]
        assert torch.allclose(loud, 2 * noise, atol=1e-5)
    assert torch.equal(WIDTH.sample("8", WIDTH.spec.split("test"), draw).y, clean["test"])


def labels_with(noise: float, draw: Draw) -> dict[str, torch.Tensor]:
    """The labels of every split with another amount of noise."""
    task = WIDTH.dosed({"label-noise": noise})
    return {split.name: task.sample("8", split, draw).y for split in task.spec.splits}


# --- epochs ----------------------------------------------------------------------------------------------------------

EPOCHS = tasks.load("interpolation/epochs-v1")


OVER_TIME = reproduction.measure("double-descent-epochs", range(40))


def test_gradient_descent_in_closed_form_is_gradient_descent_to_1e_12() -> None:
    assert 0 < max(OVER_TIME[reproduction.DIFFERENCE]) < 1e-12


def test_infinitely_many_steps_are_least_squares_with_its_expected_risk() -> None:
    """sigma^2 p / (n - p - 1) = 2.27, within four standard errors."""
    risks = OVER_TIME[reproduction.of_step(math.inf)]
    expected = epochs.NOISE_SD**2 * 100 / 99
    assert expected == pytest.approx(2.2727, abs=1e-4)
    assert fmean(risks) == pytest.approx(expected, abs=4 * stdev(risks) / math.sqrt(40))


def test_risk_falls_rises_falls_and_rises_over_time() -> None:
    """On every step of the pilot's table, and each mean within three standard errors of its difference to ours."""
    risks = {step: OVER_TIME[reproduction.of_step(step)] for step in (*reproduction.STEPS, math.inf)}
    for step, pilot in reproduction.STEPS.items():
        assert fmean(risks[step]) == pytest.approx(pilot, abs=3 * stdev(risks[step]) * math.sqrt(1 / 10 + 1 / 40))
    found = [fmean(values) for values in risks.values()]
    assert found[0] > found[1] < found[2] > found[3] < found[4]


def test_a_hump_is_as_high_as_the_lower_of_its_two_sides() -> None:
    assert prominence([1.6, 1.5, 1.9, 1.4, 2.3]) == pytest.approx(0.4)
    assert prominence([1.6, 1.5, 1.9, 1.7, 2.3]) == pytest.approx(0.2)
    assert prominence([3.0, 2.0, 1.0]) == prominence([3.0, 1.0, 2.0]) == prominence([1.0, 2.0, 3.0]) == 0
    assert prominence([1.0]) == 0


def test_indices_over_time_are_in_units_of_the_null_risk_and_need_a_curve() -> None:
    curve = [(t, {"iid": {"mse": risk}}) for t, risk in enumerate((1.6, 1.5, 1.9, 1.4, 2.3))]
    found = EPOCHS.summarize({"default": Row({"iid": {"mse": 1.4}}, {}, curve)})
    assert found.indices == pytest.approx({"hump": 0.2, "overtraining": 0.45})
    assert EPOCHS.summarize({"default": Row({"iid": {"mse": 1.4}}, {})}).indices == {}


def test_both_halves_of_the_inputs_carry_the_same_variance() -> None:
    carried = (epochs.scales() * epochs.coefficients().squeeze(1)).square().view(2, -1).sum(1)
    assert carried.tolist() == pytest.approx([1, 1])
    assert epochs.NULL_RISK == 2


# --- memorize --------------------------------------------------------------------------------------------------------

MEMORIZE = tasks.load("interpolation/memorize-v1")


def test_covers_count_by_hand_and_its_half_at_twice_the_dimension() -> None:
    """Three points in the plane: 6 of 8 labellings are cut by a line through 0. Pilot: .969, .750, .500, .271, .076."""
    assert separable(3, 2) == pytest.approx(6 / 8)
    assert separable(40, 20) == pytest.approx(0.5)
    assert separable(20, 20) == 1
    found = [separable(n, 20) for n in (30, 36, 40, 44, 50)]
    assert found == pytest.approx([0.969, 0.750, 0.500, 0.271, 0.076], abs=6e-4)


def memorize_rows(accuracy: Mapping[str, float], steps: Mapping[str, int]) -> dict[str, Row]:
    """Rows whose last accuracy on the training examples is this, from so many steps on."""
    rows = {}
    for number, condition in enumerate(MEMORIZE.spec.conditions):
        name = condition.name
        before, after = ({"fitted": {"accuracy": value}} for value in (0.5, accuracy.get(name, 1.0)))
        rows[name] = Row(before, {}, [(5, before), (steps.get(name, 50), after)], 100 * (number + 1))
    return rows


def test_capacity_is_at_the_smallest_width_that_has_every_label() -> None:
    found = MEMORIZE.summarize(memorize_rows({"coins-3": 0.99, "coins-4": 0.999}, {"coins-256": 60, "rule-256": 20}))
    assert found.indices == pytest.approx({"capacity": 300 / 300, "memorization_cost": 3.0})
    assert found.trained and found.iid == 1


def test_without_a_width_that_has_every_label_there_is_no_capacity() -> None:
    widths = [condition.name for condition in MEMORIZE.spec.conditions]
    found = MEMORIZE.summarize(memorize_rows(dict.fromkeys(widths, 0.9), {}))
    assert found.indices == {} and not found.trained


def test_all_widths_learn_the_same_coins_and_the_rule_is_one() -> None:
    draw = Draw(MEMORIZE.spec.id, 0)
    narrow, wide, rule = (load_data(MEMORIZE, name, draw) for name in ("coins-3", "coins-256", "rule-256"))
    assert torch.equal(narrow["train"].y, wide["fitted"].y)
    assert torch.equal(narrow["train"].x, rule["train"].x)
    margin = torch.linalg.lstsq(rule["iid"].x, 2.0 * rule["iid"].y[:, None] - 1).solution
    assert float(((rule["train"].x @ margin)[:, 0] > 0).eq(rule["train"].y == 1).float().mean()) > 0.9
    guess = torch.linalg.lstsq(narrow["iid"].x, 2.0 * narrow["iid"].y[:, None] - 1).solution
    assert float(((narrow["train"].x @ guess)[:, 0] > 0).eq(narrow["train"].y == 1).float().mean()) < 0.65


# --- random features: a limit ----------------------------------------------------------------------------------------


def test_the_limit_peaks_where_features_are_as_many_as_examples() -> None:
    risks = [limit_risk(n, 180, 60, 1.0, 0.5) for n in (30, 90, 150, 175, 185, 240, 600, 6_000)]
    assert risks.index(max(risks)) in (3, 4)
    assert max(risks) > 5 * risks[1]
    assert risks[-1] < risks[0]
