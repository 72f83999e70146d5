"""shift/ridgeless: the risk under a shift against Monte-Carlo, the clauses of every task, and what its indices read."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import pytest
import torch

import tasks
from benchmarks.reproductions import interpolation as reproduction
from benchmarks.reproductions._expected import Published
from tasks.clauses import CLAUSES, Clause, Examined
from tasks.registry import entries, select
from tasks.seeds import Draw, generator
from tasks.shift.ridgeless import INPUTS, SHIFTS, expected_risk, second_moment, shifted
from tasks.sources.minimum_norm import least_norm, risk_under_shift
from tasks.types import Row, load_data

TASK = tasks.load("shift/ridgeless-v1")
EXAMINED = Examined(entries()[TASK.spec.id], TASK)


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_it_keeps_every_clause(clause: Clause) -> None:
    """The tests over all tasks leave out what a family's name does not select."""
    assert list(clause(EXAMINED)) == []


def test_only_its_own_name_selects_it() -> None:
    assert TASK.spec.id not in {entry.id for word in ("shift", "all", "vector") for entry in select([word])}
    assert [entry.id for entry in select(["shift/ridgeless"])] == [TASK.spec.id]


# --- the closed form --------------------------------------------------------------------------------------------------


def test_the_expected_risk_is_that_of_simulations_under_three_second_moments() -> None:
    """Means over 1,000 training sets of (b - beta)' S (b - beta), with more inputs and fewer, within four errors."""
    found = reproduction.measure("ridgeless-shift", range(1_000))
    assert len(found) == 6
    for line, risks in found.items():
        expected = reproduction.LINES["ridgeless-shift"][line]
        assert isinstance(expected, Published)
        error = stdev(risks) / math.sqrt(len(risks))
        assert fmean(risks) == pytest.approx(expected.value, abs=4 * error), line
        assert error < 0.05 * expected.value


def test_a_general_second_moment_and_signal_of_any_direction() -> None:
    """Rotating the signal and the second moment together changes nothing, and the risk is linear in the moment."""
    stream = generator("tests", "rotation")
    rotation = torch.linalg.qr(torch.randn(60, 60, generator=stream, dtype=torch.float64)).Q
    beta, moment = torch.eye(60, dtype=torch.float64)[0], second_moment("along", 60)
    turned = risk_under_shift(30, rotation @ beta, rotation @ moment @ rotation.T, 0.3)
    assert turned == pytest.approx(expected_risk("over", "along"))
    doubled = risk_under_shift(30, beta, 2 * moment, 0.3)
    assert doubled == pytest.approx(2 * expected_risk("over", "along"))


def test_without_a_shift_it_is_the_risk_of_isotropic_features() -> None:
    """(1 - n/p) + s^2 n / (p - n - 1) above the threshold, s^2 p / (n - p - 1) below it."""
    assert expected_risk("over", "none") == pytest.approx(0.5 + 0.09 * 30 / 29)
    assert expected_risk("under", "none") == pytest.approx(0.09 * 15 / 14)
    assert math.isinf(risk_under_shift(30, torch.eye(30)[0], torch.eye(30), 0.3))


# --- the data and the indices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", SHIFTS)
def test_test_inputs_have_the_second_moment_that_the_formula_takes(shift: str) -> None:
    """A shift in the mean counts by its second moment; entries within five standard errors of 40,000 draws."""
    x = shifted(torch.randn(40_000, 3, generator=generator("tests", shift)), shift).double()
    expected = second_moment(shift, 3)
    bound = 5 * math.sqrt(2) * expected.max() / math.sqrt(len(x))
    assert torch.allclose(x.T @ x / len(x), expected, atol=float(bound))
    assert float(x.mean(0).abs().max()) == pytest.approx(math.sqrt(24) if shift == "moved" else 0, abs=0.15)


def rows_of(name: str, draw: Draw) -> dict[str, Row]:
    """What a trial of a reference predictor would record."""
    examined = Examined(EXAMINED.entry, TASK)
    examined.draw = draw
    rows = examined.rows(name)
    assert rows is not None
    return rows


def test_the_fit_of_least_norm_is_hurt_along_the_signal_where_it_is_not_unique() -> None:
    found = TASK.summarize(rows_of("least_norm", Draw(TASK.spec.id, 0))).indices
    assert found["from_least_norm"] == pytest.approx(0, abs=1e-9)
    assert found["direction_over"] > 0.8
    assert TASK.summarize(rows_of("null", Draw(TASK.spec.id, 0))).indices["direction_under"] == pytest.approx(
        1.4, abs=0.1
    )


def test_the_last_step_is_read_whichever_was_selected() -> None:
    draw = Draw(TASK.spec.id, 0)
    null, fit = rows_of("null", draw), rows_of("least_norm", draw)
    rows = {c: Row(null[c].scores, null[c].anchors, [(10, null[c].scores), (20, fit[c].scores)]) for c in INPUTS}
    assert TASK.summarize(rows).indices["from_least_norm"] == pytest.approx(0, abs=1e-9)


def test_the_fit_interpolates_with_more_inputs_and_not_with_fewer() -> None:
    draw = Draw(TASK.spec.id, 0)
    for condition, fits in (("over", True), ("under", False)):
        batch = load_data(TASK, condition, draw)["train"]
        error = float((batch.x.double() @ least_norm(batch.x, batch.y) - batch.y).abs().max())
        assert (error < 1e-6) is fits
