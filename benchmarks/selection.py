"""Which of a training's measurements is read: by validation in distribution, the last one, or by the test itself.

All three come from the same record. What is selected by the test is what an oracle would pick: it shows how much of a
result is selection, is marked wherever it is shown, and is never ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Literal, get_args

from benchmarks.records import Record
from tasks.types import Role, Scores, TaskSpec

Rule = Literal["iid-validation", "last-step", "oracle"]
RULES: tuple[Rule, ...] = get_args(Rule)
ROLES: dict[Rule, Role] = {"iid-validation": "val", "oracle": "ood"}


def best(spec: TaskSpec, measurements: Sequence[Scores], role: Role = "val") -> int:
    """The index of the measurement with the best headline metric on the splits of a role; of equal ones the latest."""
    values = [quality(spec, scores, role) for scores in measurements]
    return max(range(len(values)), key=lambda i: (values[i], i))


def quality(spec: TaskSpec, scores: Scores, role: Role) -> float:
    """The headline metric averaged over the splits of a role, with a sign that makes more better."""
    sign = 1.0 if spec.higher_is_better else -1.0
    return sign * fmean(scores[split.name][spec.metric] for split in spec.with_role(role))


def selected(spec: TaskSpec, record: Record, rule: Rule) -> Scores:
    """The scores of a finished trial under a rule.

    Raises:
        ValueError: for the oracle's rule where a task has no test distribution.
    """
    if rule == "iid-validation":
        return record.scores
    if rule == "last-step":
        return record.last
    if not spec.with_role("ood"):
        raise ValueError(f"{spec.id} has no out-of-distribution split for an oracle to select by")
    measurements: list[Scores] = [point["scores"] for point in record.curve] or [record.scores]
    trained = [scores for scores in measurements if passes_gate(spec, scores)] or measurements
    return trained[best(spec, trained, ROLES[rule])]


def passes_gate(spec: TaskSpec, scores: Scores) -> bool:
    """Whether a measurement of one condition counts as trained in distribution: an oracle knows that too."""
    sign = 1.0 if spec.higher_is_better else -1.0
    return quality(spec, scores, "iid") >= sign * spec.gate
