"""A cell: one entry on one task, several seeds. What is ranked, what is shown, and what failed with which reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

from benchmarks.records import ORACLE, SEARCH, TARGET_INPUTS, TRANSDUCTIVE, Record, canonical, digest
from benchmarks.selection import RULES, Rule, selected
from benchmarks.statistics import Estimate, mean_interval
from tasks.registry import load as load_task
from tasks.seeds import PUBLIC_WORD
from tasks.types import SCORE_CLIP, Axis, Row, Summary, Task, clip

Verdict = Literal["trained", "not_trained", "failed", "diverged", "timeout", "out_of_memory", "skipped", "incomplete"]
FAILURES: tuple[Verdict, ...] = ("failed", "out_of_memory", "timeout", "diverged")
NOT_FINISHED: tuple[Verdict, ...] = (*FAILURES, "skipped")
FLAG_WORDS = {TRANSDUCTIVE: "reads its batch", TARGET_INPUTS: "given test inputs"}
WORST = SCORE_CLIP[0]
LARGEST = 1e100  # its square is still a float


@dataclass(frozen=True, order=True)
class Protocol:
    """What must be equal for two results to stand in one column."""

    budget_scale: float
    draw: str
    selection: str
    tuned: str = ""
    dose: str = "{}"

    @property
    def is_headline(self) -> bool:
        return self == HEADLINE

    @property
    def sees_test(self) -> bool:
        """Whether its configurations were chosen on the test itself: such results are shown, and never ranked."""
        return self.tuned.startswith(f"{ORACLE}/")

    @property
    def label(self) -> str:
        """In what it differs from the headline protocol."""
        parts = []
        if self.budget_scale != HEADLINE.budget_scale:
            parts.append(f"budget × {self.budget_scale:g}")
        if self.draw != HEADLINE.draw:
            parts.append(f"private draw {self.draw[:8]}")
        if self.selection != HEADLINE.selection:
            parts.append(f"selection {self.selection}")
        if self.tuned:
            rule, _, n = self.tuned.rpartition("/")
            seen = " (it saw the test: never ranked)" if self.sees_test else ""
            parts.append(f"tuned over {n} configurations by {rule}{seen}")
        parts += [f"{name} {value:g}" for name, value in json.loads(self.dose).items()]
        return ", ".join(parts) or "headline protocol"


HEADLINE = Protocol(budget_scale=1.0, draw=digest(PUBLIC_WORD), selection="iid-validation")


@dataclass(frozen=True, order=True)
class Entrant:
    """What is compared: a model class with its configuration, an algorithm, and the protocol it was run under.

    `hparams` is the canonical JSON of the configuration; of a tuned entry it is empty, since each task has its own.
    """

    model: str
    algorithm: str
    hparams: str
    protocol: Protocol

    @property
    def label(self) -> str:
        """Model, and the algorithm where it is not plain risk minimization."""
        return self.model if self.algorithm == "erm" else f"{self.model} + {self.algorithm}"

    @property
    def configuration(self) -> str:
        """The hyper-parameters as a person writes them: `depth 2, width 128`."""
        return ", ".join(f"{name} {value}" for name, value in sorted(json.loads(self.hparams).items()))

    @property
    def slug(self) -> str:
        """An id of this entrant for links and data files."""
        return f"{self.model}-{digest([self.algorithm, self.hparams, asdict(self.protocol)])[:8]}"


@dataclass(frozen=True)
class Outcome:
    """What one seed came to. `summaries` has what is read under each rule of selection; it is empty unless all ran.

    `records` has the record of each condition that ran. Where the task has no score (`scored`), nothing is counted.
    """

    seed: int
    verdict: Verdict
    reason: str
    records: Mapping[str, Record]
    summaries: Mapping[Rule, Summary] = field(default_factory=dict)
    scored: bool = True

    @property
    def summary(self) -> Summary | None:
        """What is read at the step that validation selects."""
        return self.summaries.get("iid-validation")

    @property
    def last(self) -> Summary | None:
        """What is read at the last step."""
        return self.summaries.get("last-step")

    @property
    def counted(self) -> float | None:
        """The score that this seed counts in a mean: the worst where it failed, none where it was not asked."""
        return self.counted_under("iid-validation")

    def counted_under(self, rule: Rule) -> float | None:
        """The same at the step that a rule selects."""
        if not self.scored or self.verdict in ("skipped", "incomplete"):
            return None
        summary = self.summaries.get(rule)
        if summary is None or not summary.trained:
            return WORST
        return clip(summary.scores["score"])

    @property
    def flags(self) -> list[str]:
        """What a reader must know of any of its records, such as `target-inputs`."""
        return sorted({flag for record in self.records.values() for flag in record.flags})

    @property
    def seconds(self) -> float:
        """Wall-clock time of all its trainings."""
        return sum(record.seconds for record in self.records.values())


def judge(task: Task, seed: int, records: Mapping[str, Record]) -> Outcome:
    """All conditions of one seed to its outcome. Failures weigh before skips, and both before what has not been run.

    Raises:
        ArithmeticError, LookupError, TypeError, ValueError: when the task cannot make a summary of these records.
    """
    outcome = partial(Outcome, seed, records=records, scored=task.spec.scored)
    for verdict in NOT_FINISHED:
        if reasons := {name: record.reason for name, record in records.items() if record.status == verdict}:
            return outcome(verdict=verdict, reason=told(reasons, len(task.spec.conditions)))
    if missing := [c.name for c in task.spec.conditions if c.name not in records]:
        return outcome(verdict="incomplete", reason=f"not run: {', '.join(missing)}")
    rules: list[Rule] = [rule for rule in RULES if rule != "oracle" or task.spec.with_role("ood")]
    outcome = partial(outcome, summaries={rule: summed_up(task, records, rule) for rule in rules})
    summary = summed_up(task, records, "iid-validation")
    if summary.trained:
        return outcome(verdict="trained", reason="")
    sign = "below" if task.spec.higher_is_better else "above"
    reason = f"in-distribution {task.spec.metric} {summary.iid:.3g} is {sign} the gate {task.spec.gate:g}"
    return outcome(verdict="not_trained", reason=reason)


def summed_up(task: Task, records: Mapping[str, Record], rule: Rule) -> Summary:
    """The task's summary of the scores that a rule selects in each condition."""
    rows = {
        name: Row(
            selected(task.spec, record, rule),
            record.anchors,
            [(point["step"], point["scores"]) for point in record.curve],
            record.n_parameters,
        )
        for name, record in records.items()
    }
    return checked(task.summarize(rows), task.spec.scored)


def told(reasons: Mapping[str, str], n_conditions: int) -> str:
    """The reasons of some conditions in one line: once if all conditions give the same, else each with its name."""
    if len(reasons) == n_conditions and len(set(reasons.values())) == 1:
        return next(iter(reasons.values())) or "no reason given"
    return "; ".join(f"{name}: {reason or 'no reason given'}" for name, reason in sorted(reasons.items()))


def checked(summary: Summary, scored: bool = True) -> Summary:
    """A summary whose numbers can be averaged; an index that is not finite is undefined and left out.

    Raises:
        ValueError: for a score, `iid` or `ood` that is missing or not finite.
    """
    values = {"iid": summary.iid, **summary.scores}
    if summary.ood is not None:
        values["ood"] = summary.ood
    if scored != ("score" in values):
        raise ValueError("the summary has no score" if scored else "the summary has a score, but the card no ceiling")
    if bad := [name for name, value in values.items() if not abs(value) <= LARGEST]:
        raise ValueError(f"{', '.join(bad)} of the summary is not a usable number")
    return replace(summary, indices={name: v for name, v in summary.indices.items() if abs(v) <= LARGEST})


@dataclass(frozen=True)
class Cell:
    """One entrant on one task; outcomes in the order of their seeds."""

    task: Task
    entrant: Entrant
    outcomes: tuple[Outcome, ...]

    @cached_property
    def tally(self) -> Mapping[Verdict, int]:
        """How many seeds came to what."""
        return Counter(outcome.verdict for outcome in self.outcomes)

    @cached_property
    def score(self) -> Estimate | None:
        """The ranked mean: failed and untrained seeds count as the worst, skipped and unfinished ones not at all."""
        return self.score_under("iid-validation")

    @cached_property
    def score_last(self) -> Estimate | None:
        """The same at the last step instead of the selected one."""
        return self.score_under("last-step")

    def score_under(self, rule: Rule) -> Estimate | None:
        """The same under any rule; a task without a test distribution has none under the oracle's."""
        return estimate(outcome.counted_under(rule) for outcome in self.outcomes)

    @cached_property
    def iid(self) -> Estimate | None:
        """The headline metric in distribution, over the seeds that finished."""
        return estimate(summary.iid for summary in self.summaries)

    @cached_property
    def ood(self) -> Estimate | None:
        """The headline metric out of distribution, over the seeds that finished."""
        return estimate(summary.ood for summary in self.summaries)

    @cached_property
    def summaries(self) -> list[Summary]:
        """Of the seeds that finished, trained or not."""
        return [outcome.summary for outcome in self.outcomes if outcome.summary is not None]

    @cached_property
    def state(self) -> Verdict:
        """`trained` if any seed is, else the verdict of most seeds, the worst of equals."""
        if self.tally.get("trained"):
            return "trained"
        order: tuple[Verdict, ...] = (*NOT_FINISHED, "not_trained", "incomplete")
        return max(order, key=lambda verdict: (self.tally.get(verdict, 0), -order.index(verdict)))

    @property
    def failures(self) -> list[Outcome]:
        """The seeds that did not come to a trained model."""
        return [outcome for outcome in self.outcomes if outcome.verdict != "trained"]

    @property
    def records(self) -> list[Record]:
        """Every record that is `ok`, by seed and condition."""
        return [r for o in self.outcomes for _, r in sorted(o.records.items()) if r.status == "ok"]

    @property
    def seconds(self) -> float | None:
        """Mean wall-clock time of a seed, all its conditions together, over the seeds that finished."""
        finished = [outcome.seconds for outcome in self.outcomes if outcome.summary is not None]
        return sum(finished) / len(finished) if finished else None

    @property
    def n_parameters(self) -> int | None:
        """Of the largest model that was built."""
        return max((r.n_parameters for r in self.records if r.n_parameters is not None), default=None)

    @property
    def flags(self) -> list[str]:
        """What a reader must know of any of its seeds."""
        return sorted({flag for outcome in self.outcomes for flag in outcome.flags})

    @property
    def recipe(self) -> Mapping[str, object] | None:
        """How the networks were optimized; None where the model is fitted at once."""
        return next((record.recipe for record in self.records), None)

    @property
    def selected_steps(self) -> tuple[int, int] | None:
        """The earliest and the latest step that was selected; None for what is fitted without steps."""
        steps = [record.selected_step for record in self.records if record.recipe is not None]
        return (min(steps), max(steps)) if steps else None

    def extra_scores(self) -> Mapping[str, Estimate]:
        """The scores beside the ranked one and its unclipped form, by name."""
        found = named_estimates(s.scores for s in self.summaries)
        return {name: estimate for name, estimate in found.items() if name not in ("score", "score_unclipped")}

    def on(self, axis: Axis) -> Estimate | None:
        """Where the model stands on an axis, over the seeds that trained; None where none of them has the index.

        A model that learned nothing chose nothing.
        """
        trained = [o.summary for o in self.outcomes if o.verdict == "trained" and o.summary is not None]
        return estimate(summary.indices.get(axis.index) for summary in trained)

    def indices(self) -> Mapping[str, Estimate]:
        """Descriptive values by name: they say which solution was chosen, and have no good end."""
        return named_estimates(s.indices for s in self.summaries)


def named_estimates(found: Iterable[Mapping[str, float]]) -> Mapping[str, Estimate]:
    """Mean and interval of every name, over the seeds that have it."""
    values: dict[str, list[float]] = {}
    for mapping in found:
        for name, value in mapping.items():
            values.setdefault(name, []).append(value)
    return {name: e for name, listed in values.items() if (e := estimate(listed)) is not None}


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """Mean and interval of the values that are there."""
    present = [value for value in values if value is not None]
    return mean_interval(present) if present else None


def entrant_of(record: Record) -> Entrant:
    """Who a record is about."""
    trial = record.trial
    dose = canonical(trial.dose)
    protocol = Protocol(float(trial.budget_scale), trial.draw, record.selection, trial.tuned, dose)
    configuration = {
        **trial.hparams,
        **{f"{trial.algorithm}.{name}": value for name, value in trial.settings.items()},
        **{f"recipe.{name}": value for name, value in trial.recipe.items()},
    }
    return Entrant(trial.model, trial.algorithm, "{}" if trial.tuned else canonical(configuration), protocol)


def is_reported(record: Record) -> bool:
    """Whether a record is a result, and not one of the trials by which a search found its configuration."""
    return record.trial.tuned != SEARCH


def cells_of(records: Iterable[Record]) -> list[Cell]:
    """The cells of records that are known to be sound, such as those of one command, in their order."""
    seeds: dict[tuple[str, Entrant], dict[int, dict[str, Record]]] = {}
    for record in filter(is_reported, records):
        cell = seeds.setdefault((record.trial.task, entrant_of(record)), {})
        cell.setdefault(record.trial.seed, {})[record.trial.condition] = record
    return [
        Cell(
            task := load_task(task_id).dosed(json.loads(entrant.protocol.dose)),
            entrant,
            tuple(judge(task, seed, found[seed]) for seed in sorted(found)),
        )
        for (task_id, entrant), found in seeds.items()
    ]
