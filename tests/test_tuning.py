"""A search is decided before it is run, the same for every entry, and selects by what it may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from baselines.references import Reference, UnusableClass, declared, select
from benchmarks import tuning
from benchmarks.jobs import Job, plan
from benchmarks.records import SEARCH, Record
from benchmarks.store import Store
from tasks import registry

TASK = "shift/linear-unit-2-v1"


def jobs(algorithms: tuple[str, ...] = ("erm", "irm"), models: tuple[str, ...] = ("mlp",), seeds: int = 2) -> list[Job]:
    """The reported jobs of a small product."""
    return plan(registry.select([TASK]), select(models), select(algorithms, "algorithm"), seeds, 1.0)


def outcome(job: Job, val: float, ood: float, status: str = "ok") -> Record:
    """A record of a job whose every step is the same; the metric is an error, less is better."""
    if status != "ok":
        return Record(job.trial, "failed", "for this test")
    spec = registry.load(TASK).spec
    by_role = {"val": val, "iid": val, "ood": ood, "probe": ood}
    scores = {s.name: {spec.metric: by_role[s.role]} for s in spec.splits if s.role != "train"}
    return Record(job.trial, "ok", scores=scores, last=scores, curve=[{"step": 1, "loss": 0.0, "scores": scores}])


def configuration(job: Job) -> Mapping[str, Any]:
    """What a search may change."""
    return {"recipe": job.trial.recipe, "hparams": job.trial.hparams, "settings": job.trial.settings}


def test_every_entry_gets_the_same_number_and_the_first_is_the_entry_itself() -> None:
    tried = tuning.searches(jobs(), 5, leave_out=False)
    for algorithm in ("erm", "irm"):
        own = [job for job in tried if job.trial.algorithm == algorithm]
        assert len(own) == 5
        assert not own[0].trial.recipe and not own[0].trial.settings
        assert {job.trial.seed for job in own} == {tuning.SEARCH_SEED}
        assert {job.trial.tuned for job in own} == {SEARCH}
    assert len({job.trial.key for job in tried}) == 10


def test_a_longer_search_begins_with_the_shorter_one_and_does_not_depend_on_its_company() -> None:
    short = tuning.searches(jobs(("irm",)), 4, leave_out=False)
    long = tuning.searches(jobs(("erm", "irm"), ("linear", "mlp"), 5), 9, leave_out=False)
    assert {job.trial.key for job in short} <= {job.trial.key for job in long}


def test_the_same_learning_rates_meet_every_algorithm() -> None:
    tried = tuning.searches(jobs(), 6, leave_out=False)
    rates = {a: [j.trial.recipe for j in tried if j.trial.algorithm == a] for a in ("erm", "irm")}
    assert rates["erm"] == rates["irm"]
    assert all(1e-4 <= recipe["learning_rate"] <= 3e-2 for recipe in rates["erm"][1:])


def test_what_has_nothing_to_search_is_tried_once() -> None:
    assert len(tuning.searches(jobs(("erm",), ("knn",)), 20, leave_out=False)) == 1


def test_each_environment_is_left_out_once_for_each_configuration() -> None:
    tried = tuning.searches(jobs(("erm",)), 3, leave_out=True)
    assert sorted(str(job.trial.left_out) for job in tried) == sorted(["None", "0", "1", "2"] * 3)


# error on validation (the gate is .1), on the test, and on the environment that is left out
MEASURED = [(0.08, 0.3, 0.3), (0.05, 0.4, 0.4), (0.07, 0.1, 0.5), (0.09, 0.2, 0.1)]


def test_an_oracle_prefers_what_trained(tmp_path: Path) -> None:
    """A configuration that fails in distribution is none to report, however good by luck at the test."""
    reported, store = jobs(("irm",), seeds=1), Store(tmp_path)
    first, second = tuning.searches(reported, 2, leave_out=False)
    store.put(outcome(first, 0.09, 0.4))
    store.put(outcome(second, 0.5, 0.0))
    (oracle,) = [job for job in tuning.finals(reported, [first, second], store, 2) if "oracle" in job.trial.tuned]
    assert configuration(oracle) == configuration(first)


def test_a_rule_that_chose_nothing_is_told(tmp_path: Path) -> None:
    reported, store = jobs(("irm",), seeds=1), Store(tmp_path)
    tried = tuning.searches(reported, 2, leave_out=True)
    for job in tried:
        store.put(outcome(job, 0.05, 0.1, "ok" if job.trial.left_out is None else "failed"))
    told = list(tuning.without_choice(reported, tuning.finals(reported, tried, store, 2), leave_out=True))
    assert told == [f"leave-one-environment-out chose nothing for mlp + irm on {TASK}: see the trials"]


def test_each_rule_reports_the_configuration_that_it_prefers(tmp_path: Path) -> None:
    reported, store = jobs(("irm",)), Store(tmp_path)
    tried = tuning.searches(reported, 4, leave_out=True)
    whole = [job for job in tried if job.trial.left_out is None]
    for number, (val, ood, left_out) in enumerate(MEASURED):
        for job in tried:
            if configuration(job) == configuration(whole[number]):
                store.put(outcome(job, left_out if job.trial.left_out is not None else val, ood))
    finals = tuning.finals(reported, tried, store, 4)
    assert len(finals) == 3 * len(reported)
    for job in finals:
        place = {"iid-validation/4": 1, "oracle/4": 2, "leave-one-environment-out/4": 3}[job.trial.tuned]
        assert configuration(job) == configuration(whole[place])
        assert job.trial.seed in (0, 1)


def test_a_configuration_that_failed_is_not_chosen_and_a_search_that_failed_is_reported(tmp_path: Path) -> None:
    reported, store = jobs(("erm",), seeds=1), Store(tmp_path)
    tried = tuning.searches(reported, 2, leave_out=False)
    store.put(outcome(tried[0], 0.5, 0.5))
    store.put(outcome(tried[1], 0.0, 0.0, status="failed"))
    assert all(not job.trial.recipe for job in tuning.finals(reported, tried, store, 2))
    store.put(outcome(tried[0], 0.5, 0.5, status="failed"))
    (only,) = tuning.finals(reported, tried, store, 2)
    assert (only.trial.tuned, dict(only.trial.recipe)) == ("iid-validation/2", {})


@pytest.mark.parametrize(
    "search", ['{"a": ("loguniform", 0, 1)}', '{"a": ("normal", 0, 1)}', '{"a": 3}', '{"a": ("choice",)}']
)
def test_a_range_that_cannot_be_drawn_from_is_named(tmp_path: Path, search: str) -> None:
    with pytest.raises(UnusableClass, match="search range a is"):
        list(tuning.configurations(with_algorithm(tmp_path, search), 2))


@pytest.mark.parametrize("search", ["dict(a=1)", "[1]"])
def test_ranges_are_read_without_running_the_file(tmp_path: Path, search: str) -> None:
    with pytest.raises(UnusableClass, match="search is"):
        declared(with_algorithm(tmp_path, search).algorithm, "search")


def test_integers_and_choices_are_drawn_from_their_ends_and_values(tmp_path: Path) -> None:
    job = with_algorithm(tmp_path, '{"k": ("integers", 1, 3), "c": ("choice", "x", "y"), "u": ("uniform", 0.0, 1.0)}')
    drawn = [changes["settings"] for changes in list(tuning.configurations(job, 200))[1:]]
    assert {s["k"] for s in drawn} == {1, 2, 3}
    assert {s["c"] for s in drawn} == {"x", "y"}
    assert 0.4 < sum(s["u"] for s in drawn) / len(drawn) < 0.6  # 7 standard errors


def with_algorithm(folder: Path, search: str) -> Job:
    """A job whose algorithm is a user's file; it raises if it is run."""
    path = folder / "mine.py"
    path.write_text(
        f"class Mine:\n    search = {search}\n    def loss(self, model, batch, step): ...\nraise SystemExit\n"
    )
    (mine,) = select([f"{path}:Mine"], "algorithm")
    assert isinstance(mine, Reference)
    return replace(jobs(("erm",), seeds=1)[0], algorithm=mine)
