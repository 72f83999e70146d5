"""Which measurement of a training is read, by hand on a curve of three points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from toy_results import SUITE, record, toy

from benchmarks.cells import WORST, judge
from benchmarks.records import Record
from benchmarks.selection import best, selected

TASK = SUITE["toy/flat-v1"]


def point(step: int, val: float, ood: float) -> dict[str, Any]:
    """A measurement; in distribution as good as on validation."""
    by_role = {"val": val, "iid": val, "probe": ood, "ood": ood}
    scores = {s.name: {"accuracy": by_role[s.role]} for s in TASK.spec.splits if s.role != "train"}
    return {"step": step, "loss": 0.1, "scores": scores}


CURVE = [point(10, 0.85, 0.9), point(20, 0.95, 0.6), point(30, 0.9, 0.5)]


def trained() -> Record:
    """Validation prefers the second point, the test the first; the third is the last."""
    return replace(record(), curve=CURVE, scores=CURVE[1]["scores"], last=CURVE[2]["scores"], selected_step=20)


def test_each_rule_reads_its_point() -> None:
    values = [
        selected(TASK.spec, trained(), rule)["ood"]["accuracy"] for rule in ("iid-validation", "last-step", "oracle")
    ]
    assert values == [0.6, 0.5, 0.9]


def test_of_equal_measurements_the_latest_is_best() -> None:
    assert best(TASK.spec, [CURVE[0]["scores"], CURVE[1]["scores"], CURVE[1]["scores"]]) == 2


def test_where_less_is_better_the_smallest_is_best() -> None:
    lower = toy("toy/lower-v1", higher_is_better=False, gate=0.9)
    assert best(lower.spec, [p["scores"] for p in CURVE]) == 0


def test_an_oracle_has_nothing_to_see_without_a_test_distribution() -> None:
    described = next(task for task in SUITE.values() if not task.spec.with_role("ood"))
    with pytest.raises(ValueError, match="no out-of-distribution split"):
        selected(described.spec, trained(), "oracle")


def test_an_outcome_counts_differently_under_each_rule() -> None:
    """Accuracy .9, .6, .5 of chance .5 and oracle 1."""
    outcome = judge(TASK, 0, {"default": trained()})
    assert outcome.counted == pytest.approx(0.2)
    assert outcome.counted_under("last-step") == pytest.approx(0.0)
    assert outcome.counted_under("oracle") == pytest.approx(0.8)


def test_an_oracle_passes_over_steps_below_the_gate_and_without_another_counts_as_the_worst() -> None:
    early = [point(10, 0.5, 1.0), *CURVE[1:]]
    outcome = judge(TASK, 0, {"default": replace(trained(), curve=early)})
    assert outcome.counted_under("oracle") == pytest.approx(0.2)
    outcome = judge(TASK, 0, {"default": replace(trained(), curve=early[:1])})
    assert outcome.counted_under("oracle") == WORST
