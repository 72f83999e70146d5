"""Every task keeps every clause of the contract, and every clause notices a task that breaks it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from tasks import check, clauses
from tasks.clauses import CLAUSES, Clause, Examined
from tasks.registry import Entry, entries, load
from tasks.seeds import Draw
from tasks.types import (
    Batch,
    Budget,
    Condition,
    Dose,
    MissingData,
    Predictor,
    Problem,
    Published,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

# tasks whose data are not shipped are examined where a copy is at hand; the hub is not asked for 20 seconds each
AT_HAND = [e.id for e in entries().values() if not e.optional or os.environ.get("OFFPISTE_DATA")]


@cache
def examined(task_id: str) -> Examined:
    """One task, its data drawn once for all clauses."""
    return Examined(entries()[task_id], load(task_id))


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("task_id", AT_HAND)
def test_every_task_keeps_every_clause(task_id: str, clause: Clause) -> None:
    try:
        broken = list(clause(examined(task_id)))
    except MissingData as missing:
        pytest.skip(str(missing))
    assert not broken, f"{check.demand(clause)}: {'; '.join(broken)}"


# --- the clauses themselves: a sound task keeps them all, and each notices its own breach ----------------------------

ENTRY = Entry("shift/sign-v1", "the sign of one input, or of another that agrees in training", "vector", (), "nowhere")
SPEC = TaskSpec(
    entry=ENTRY,
    question="Which of two agreeing signs does a model read?",
    problem=Problem("vector", (2,), "classes", n_outputs=2, n_train=200),
    splits=(
        Split("train", "train", 200, {"agree": 1.0}),
        Split("val", "val", 100, {"agree": 1.0}),
        Split("iid", "iid", 100, {"agree": 1.0}),
        Split("reversed", "ood", 100, {"agree": 0.0}, severity=1.0),
    ),
    budget=Budget(steps=100, batch_size=32),
    metric="accuracy",
    floor="shortcut",
    ceiling="oracle",
    gate=0.9,
    sources=(Source("a2020", "A. One", "On signs", "J. Signs", 2020, "https://example.org/signs"),),
    severity_unit="reversals",
    notes=("The shortcut is the second sign.",),
)


class Sign(Task):
    """y is the sign of input 0; input 1 has the same sign, or the opposite."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        x = torch.randn(split.size, 2, generator=draw.generator(split.name))
        x[:, 1] = x[:, 1].abs() * x[:, 0].sign() * (1 if split.params["agree"] else -1)
        return Batch(x, (x[:, 0] > 0).long())

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        return {
            "oracle": lambda batch: class_logits(batch.x[:, 0] > 0, 2),
            "shortcut": lambda batch: class_logits(batch.x[:, 1] > 0, 2),
        }


def spec(**changes: Any) -> Task:
    """The sound task with another card."""
    return Sign(replace(SPEC, **changes))


def source(**changes: Any) -> Task:
    return spec(sources=(replace(SPEC.sources[0], **changes),))


def problem(**changes: Any) -> Task:
    return spec(problem=replace(SPEC.problem, **changes))


def data(change: Callable[[Batch, Split, Draw], Batch]) -> Task:
    """The sound task with other data."""

    class Changed(Sign):
        def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
            return change(super().sample(condition, split, draw), split, draw)

    return Changed(SPEC)


def answers(**changed: Predictor) -> Task:
    """The sound task with other reference predictors."""

    class Changed(Sign):
        def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
            return {**super().references(condition, draw), **changed}

    return Changed(SPEC)


class Remembers(Sign):
    """Shuffles with a generator of its own, which goes on from call to call."""

    def __init__(self, spec: TaskSpec) -> None:
        super().__init__(spec)
        self.generator = torch.Generator().manual_seed(0)

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        order = torch.randperm(split.size, generator=self.generator)
        return super().sample(condition, split, draw).map(lambda t: t[order])


class Measures(Sign):
    """Measures a model's loss alone."""

    def evaluate(self, outputs: torch.Tensor, batch: Batch) -> Mapping[str, float]:
        return {"nll": float("inf")}


class FirstCondition(Sign):
    """Its index is of the condition that comes first."""

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        return replace(super().summarize(rows), indices={"ease": float(next(iter(rows)) == "easy")})


class WrongAnchors(Sign):
    """Says that the oracle reaches half of what it does."""

    def anchors(self, condition: str, data: Mapping[str, Batch], draw: Draw) -> Scores:
        found = super().anchors(condition, data, draw)
        return {s: {"oracle": v["oracle"] / 2 + 0.1, "shortcut": v["shortcut"] + 0.05} for s, v in found.items()}


class Referenced(Sign):
    """Its ceiling is a learner on data like those of the split, and the card misstates it."""

    def reference_data(self, condition: str, split: Split, draw: Draw) -> tuple[Batch, Batch]:
        train, test = replace(split, name="a", size=200), replace(split, name="b", size=2000)
        return self.sample(condition, train, draw), self.sample(condition, test, draw)


class Flipped(Sign):
    """Some labels are flipped, as many as the dose says."""

    noise = 0.0

    def turned(self, dose: Mapping[str, float]) -> Task:
        (noise,) = dose.values()
        task = type(self)(replace(self.spec, gate=0.9 - noise))
        task.noise = noise
        return task

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        batch = super().sample(condition, split, draw)
        flips = torch.rand(split.size, generator=draw.generator(split.name, "flips")) < self.noise
        return replace(batch, y=batch.y ^ flips)


class FlippedTooFar(Flipped):
    """More labels are flipped than the dose says, at the task's own value too."""

    def turned(self, dose: Mapping[str, float]) -> Task:
        return super().turned({"label-noise": dose["label-noise"] + 0.5})


class Unturned(Flipped):
    """A dose that changes the gate alone."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        return Sign.sample(self, condition, split, draw)


class FixedGate(Flipped):
    """The gate stays where no model can reach it."""

    def turned(self, dose: Mapping[str, float]) -> Task:
        task = super().turned(dose)
        task.spec = self.spec
        return task


class Renamed(Flipped):
    """The turned task has another split."""

    def turned(self, dose: Mapping[str, float]) -> Task:
        task = super().turned(dose)
        task.spec = replace(task.spec, splits=(*task.spec.splits, replace(task.spec.splits[-1], name="more")))
        return task


class Lenient(Flipped):
    """Takes any dose."""

    def dosed(self, dose: Mapping[str, float]) -> Task:
        return self.turned(dose) if dose else self


def repeated(batch: Batch, split: Split, draw: Draw) -> Batch:
    """The first row of the training set stands in the test set."""
    if split.name != "reversed":
        return batch
    first = Sign(SPEC).sample("default", SPEC.splits[0], draw)
    return Batch(torch.cat([first.x[:1], batch.x[1:]]), torch.cat([first.y[:1], batch.y[1:]]))


def noisy(batch: Batch, split: Split, draw: Draw) -> Batch:
    """Noise from the global generator."""
    return replace(batch, x=batch.x + 1e-3 * torch.randn(batch.x.shape))


def contrary(batch: Batch) -> torch.Tensor:
    """An oracle that is right at test and wrong in training."""
    return class_logits(batch.x[:, 1] < 0, 2)


SPLITS = SPEC.splits
NOISE = Dose("label-noise", (0.0, 0.1, 0.2), 0.0, "share of flipped labels")
CONDITIONED = replace(SPEC, conditions=(Condition("easy"), Condition("hard")))
DOSED = replace(SPEC, doses=(NOISE,))


def dose(**changes: Any) -> Task:
    """The sound task with a sound dose, declared in another way."""
    return Flipped(replace(SPEC, doses=(replace(NOISE, **changes),)))


BREACHES: list[tuple[Clause, Task, str]] = [
    (clauses.header_is_valid, spec(entry=replace(ENTRY, input="image")), "the header says input 'image'"),
    (clauses.header_is_valid, spec(entry=replace(ENTRY, id="shift/sign")), "is not 'family/<name>-v<number>'"),
    (clauses.header_is_valid, spec(entry=replace(ENTRY, summary=" ")), "summary is not one line"),
    (clauses.header_is_valid, spec(entry=replace(ENTRY, tags=("Two words",))), "tag 'Two words'"),
    (clauses.card_is_plain_data, spec(notes=()), "no notes"),
    (clauses.card_is_plain_data, spec(question=""), "no question"),
    (clauses.card_is_plain_data, spec(gate=float("nan")), "not JSON"),
    (clauses.splits_are_declared, spec(splits=SPLITS[:1] + SPLITS[2:]), "no split has the role 'val'"),
    (clauses.splits_are_declared, spec(splits=(*SPLITS, SPLITS[0])), "two splits are called 'train'"),
    (clauses.splits_are_declared, spec(conditions=(Condition("Two words"),)), "condition 'Two words'"),
    (clauses.splits_are_declared, spec(severity_unit=""), "no severity_unit"),
    (clauses.score_or_axes, spec(floor=None), "a score needs both"),
    (clauses.score_or_axes, spec(floor=None, ceiling=None), "neither a score nor an axis"),
    (clauses.sources_are_cited, spec(sources=()), "no source"),
    (clauses.sources_are_cited, source(url="example"), "no web address"),
    (clauses.sources_are_cited, source(year=20), "has year 20"),
    (clauses.sources_are_cited, source(authors=" "), "lacks authors"),
    (clauses.sources_are_cited, source(key="one two"), "no BibTeX key"),
    (clauses.sources_are_cited, spec(published=(Published("x", float("inf")),)), "published value 'x' is inf"),
    (clauses.budget_is_sane, spec(budget=Budget(steps=5, batch_size=32)), "10 evaluations in 5 steps"),
    (clauses.budget_is_sane, spec(budget=Budget(steps=50, batch_size=0)), "batch size 0"),
    (clauses.examples_are_as_the_problem_says, problem(n_train=100), "n_train 100"),
    (clauses.examples_are_as_the_problem_says, problem(input_shape=(3,)), "expected torch.float32 (200, 3)"),
    (clauses.examples_are_as_the_problem_says, data(lambda b, *_: replace(b, x=b.x.double())), "torch.float64"),
    (clauses.examples_are_as_the_problem_says, data(lambda b, *_: replace(b, y=b.y.int())), "torch.int32"),
    (clauses.examples_are_as_the_problem_says, data(lambda b, *_: b.map(lambda t: t[1:])), "declared 200"),
    (clauses.examples_are_as_the_problem_says, data(lambda b, *_: replace(b, env=b.x[:, 0])), "env is torch.float32"),
    (clauses.examples_are_as_the_problem_says, data(lambda b, *_: replace(b, latent=b.x[1:])), "latents of 200"),
    (clauses.values_are_in_range, data(lambda b, *_: replace(b, y=b.y + 1)), "a label is 2, out of 0 ... 1"),
    (clauses.values_are_in_range, data(lambda b, *_: replace(b, x=b.x / 0)), "x is not finite"),
    (clauses.values_are_in_range, data(lambda b, *_: replace(b, weight=b.x[:, 0])), "a weight is negative"),
    (clauses.training_labels_differ, data(lambda b, *_: replace(b, y=0 * b.y)), "every training target is 0"),
    (clauses.same_draw_gives_the_same_data, data(noisy), "global random state"),
    (clauses.same_draw_gives_the_same_data, Remembers(SPEC), "train differs"),
    (clauses.training_data_stand_alone, Remembers(SPEC), "train differs when it is sampled alone"),
    (
        clauses.other_draws_give_other_data,
        data(lambda b, split, draw: Sign(SPEC).sample("default", split, replace(draw, seed=7))),
        "seed 1, word 'public' gives the same training data",
    ),
    (
        clauses.other_draws_give_other_data,
        data(lambda b, split, draw: Sign(SPEC).sample("default", split, replace(draw, word="w"))),
        "word 'another word' gives the same training data",
    ),
    (clauses.other_draws_give_other_data, spec(data="fixed"), "but the card says fixed"),
    (clauses.no_example_leaks, data(repeated), "train and reversed share 1 rows"),
    (clauses.measures_are_complete, Measures(SPEC), "no accuracy; measured: nll"),
    (clauses.measures_are_complete, Measures(SPEC), "nll of a constant prediction is inf"),
    (clauses.summary_is_complete, spec(floor="oracle", ceiling="oracle"), "ZeroDivisionError"),
    (clauses.order_of_conditions_is_free, FirstCondition(CONDITIONED), "summary of a constant changes with the order"),
    (clauses.order_of_conditions_is_free, FirstCondition(CONDITIONED), "summary of oracle changes with the order"),
    (clauses.anchors_are_there, spec(floor="chance"), "no anchor chance; there are: oracle, shortcut"),
    (clauses.anchors_are_there, spec(floor="oracle", ceiling="shortcut"), "no better than floor"),
    (clauses.anchors_are_there, spec(higher_is_better=False), "no better than floor"),
    (clauses.anchors_are_there, spec(constants={"iid": {"x": float("nan")}}), "anchor x is nan"),
    (clauses.ceiling_scores_one, WrongAnchors(SPEC), "score_unclipped of oracle is 1."),
    (clauses.floor_scores_zero, WrongAnchors(SPEC), "score of shortcut is -0."),
    (clauses.gate_separates, answers(oracle=contrary), "oracle has accuracy 0 in distribution"),
    (clauses.gate_separates, spec(gate=0.3), "a constant has accuracy"),
    (
        clauses.references_are_what_is_measured,
        Referenced(replace(SPEC, constants={"reversed": {"reference": 0.5}})),
        "reversed: the card says 0.5000, its learner scores 0.9",
    ),
    (clauses.doses_are_sound, Sign(DOSED), "NotImplementedError: shift/sign-v1 declares doses"),
    (clauses.doses_are_sound, dose(name="label noise"), "dose 'label noise' is not a name"),
    (clauses.doses_are_sound, Flipped(replace(SPEC, doses=(NOISE, NOISE))), "two doses are called 'label-noise'"),
    (clauses.doses_are_sound, dose(unit=" "), "has no unit"),
    (clauses.doses_are_sound, dose(own=0.3), "not two or more that rise, with its own 0.3"),
    (clauses.doses_are_sound, dose(values=(0.0, 0.2, 0.1)), "not two or more that rise"),
    (clauses.doses_are_sound, dose(values=(0.0,)), "not two or more that rise"),
    (clauses.doses_are_sound, FlippedTooFar(DOSED), "label-noise 0: the task's own value gives another card"),
    (
        clauses.doses_are_sound,
        FlippedTooFar(DOSED),
        "the task's own value gives other data in train, val, iid, reversed",
    ),
    (clauses.doses_are_sound, FlippedTooFar(DOSED), "label-noise 0.1: default/reversed: ceiling 0."),
    (clauses.doses_are_sound, Unturned(DOSED), "label-noise 0.2: the data are those of the task's own value"),
    (clauses.doses_are_sound, FixedGate(DOSED), "label-noise 0.2: oracle has accuracy 0."),
    (clauses.doses_are_sound, Renamed(DOSED), "the splits of shift/sign-v1 are"),
    (clauses.doses_are_sound, Lenient(DOSED), "a dose that the card does not have is not refused"),
]


def complaints(clause: Clause, task: Task) -> tuple[str, ...]:
    return check.complaints(clause, Examined(task.spec.entry, task))


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_a_sound_task_keeps_the_clause(clause: Clause) -> None:
    assert complaints(clause, Sign(SPEC)) == ()


def test_a_sound_dose_keeps_the_clause() -> None:
    assert complaints(clauses.doses_are_sound, Flipped(DOSED)) == ()


@pytest.mark.parametrize(("clause", "task", "said"), BREACHES, ids=[f"{c.__name__}: {said}" for c, _, said in BREACHES])
def test_a_breach_is_noticed_and_named(clause: Clause, task: Task, said: str) -> None:
    assert any(said in complaint for complaint in complaints(clause, task)), complaints(clause, task)


def test_slow_sampling_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clauses, "SECONDS", 0.0)
    assert "default: 0.0" in complaints(clauses.sampling_is_fast, Sign(SPEC))[0]


def test_every_clause_has_a_breach() -> None:
    assert {clause for clause, *_ in BREACHES} | {clauses.sampling_is_fast} == set(CLAUSES)


def test_a_task_built_from_another_header_is_noticed() -> None:
    broken = list(clauses.header_is_valid(Examined(replace(ENTRY, id="shift/sign-v2"), Sign(SPEC))))
    assert "build(shift/sign-v2) made a task" in broken[0]


def test_discrete_inputs_may_repeat() -> None:
    """Four bit strings are in every split, and that is no leak."""
    bits = data(lambda b, *_: replace(b, x=b.x.sign()))
    assert complaints(clauses.no_example_leaks, bits) == ()


def test_single_numbers_may_coincide_but_not_be_copied() -> None:
    """Of two thousand uniform floats a few can be equal; a hundred equal ones are a copy."""
    one = replace(SPEC, problem=replace(SPEC.problem, input_shape=(1,)))

    class Numbers(Task):
        copied = 0

        def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
            x = torch.randn(split.size, 1, generator=draw.generator(split.name))
            if split.name == "reversed":
                x[: self.copied] = self.sample(condition, SPEC.splits[0], draw).x[: self.copied]
            return Batch(x, (x[:, 0] > 0).long())

    for copied, broken in ((0, False), (1, False), (100, True)):
        task = Numbers(one)
        task.copied = copied
        assert bool(complaints(clauses.no_example_leaks, task)) is broken, copied


def test_token_sequences_may_have_any_length() -> None:
    tokens = SPEC.problem.__class__("tokens", (5,), "classes", 3, 200, vocabulary=4, per_position=True)
    batch = Batch(torch.zeros(7, 9, dtype=torch.int64), torch.zeros(7, 9, dtype=torch.int64))
    expected = clauses.expected_tensors(replace(SPEC, problem=tokens), batch)
    assert expected == {"x": (torch.int64, (7, 9)), "y": (torch.int64, (7, 9))}


# --- the command ----------------------------------------------------------------------------------------------------


def load_instead(monkeypatch: pytest.MonkeyPatch, result: Task | Exception) -> None:
    """The command finds one task."""

    def loaded(name: str) -> Task:
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(check, "select", lambda words: [ENTRY])
    monkeypatch.setattr(check, "load", loaded)


def test_the_command_says_each_clause_and_fails_for_a_broken_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_instead(monkeypatch, spec(notes=()))
    assert check.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "shift/sign-v1"
    assert lines[-1] == "0 ok, 1 broken, 0 skipped"
    assert sum(line.startswith("  broken") for line in lines) == 1
    assert sum(line.startswith("  ok") for line in lines) == len(CLAUSES) - 1
    assert "          - the card has no notes (what the shortcut is, what to beware of)" in lines


def test_the_command_accepts_a_sound_task(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    load_instead(monkeypatch, Sign(SPEC))
    assert check.main([]) == 0
    assert capsys.readouterr().out.endswith("1 ok, 0 broken, 0 skipped\n")


def test_missing_data_are_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_instead(monkeypatch, MissingData("set OFFPISTE_DATA"))
    assert check.main([]) == 0
    assert "  skipped  set OFFPISTE_DATA" in capsys.readouterr().out


def test_a_file_that_raises_is_broken_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_instead(monkeypatch, RuntimeError("half written"))
    assert check.main([]) == 1
    assert "raises RuntimeError: half written" in capsys.readouterr().out


def test_a_typo_is_answered_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        check.main(["lenght-parity"])
    assert stopped.value.code == 2
    assert "length-parity" in capsys.readouterr().err
