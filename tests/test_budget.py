"""Which trials come first when time is short: what completes most, by hand; and what that is worth, simulated."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from toy_results import record, toy

from baselines.references import Reference
from benchmarks import budget
from benchmarks.budget import SEEDS, SPARE, Schedule, Unit, duration_seconds, narrowing
from benchmarks.jobs import Job
from benchmarks.ranking import rank_intervals
from benchmarks.records import Record
from leaderboard import standing
from tasks.types import Condition, Task

Array = NDArray[np.float64]
NOBODY = Reference("", "", "", "")
ONE, TWO, OTHER, CONTROL, PAIR = (f"toy/{name}-v1" for name in ("one", "two", "other", "control", "pair"))


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> dict[str, Task]:
    """Tasks of two boards, a control, one of two conditions, and those of simulated worlds."""
    conditions = (Condition("plain"), Condition("weighted"))
    found = {name: toy(name) for name in (ONE, TWO, *(f"toy/t{number}-v1" for number in range(8)))}
    found |= {OTHER: toy(OTHER, input="image"), CONTROL: toy(CONTROL, ["control"])}
    found |= {PAIR: toy(PAIR, conditions=conditions)}
    monkeypatch.setattr(budget, "load", found.__getitem__)
    return dict(found)


def job(task: str, model: str, seed: int = 0, **trial: Any) -> Job:
    return Job(record(task, model, seed, **trial).trial, NOBODY, NOBODY, seconds=1e9)


def result(task: str, model: str, seed: int, score: float, **rest: Any) -> Record:
    """A record with this score: chance is .5, the oracle 1."""
    return record(task, model, seed, ood=0.5 + score / 2, **rest)


def product(tasks: Sequence[str], models: Sequence[str], seeds: Sequence[int]) -> list[Job]:
    return [job(task, model, seed) for seed in seeds for task in tasks for model in models]


def drawn_from(schedule: Schedule, left: float = math.inf) -> list[str]:
    """What it gives when nothing is told, in short, such as `one a 0`; the time passes as expected."""
    found = []
    while (each := schedule.next(left)) is not None:
        left -= schedule.seconds(each) / schedule.slots
        condition = "" if each.trial.condition == "default" else f" {each.trial.condition}"
        found.append(f"{each.trial.task[4:-3]} {each.trial.model} {each.trial.seed}{condition}")
    return found


def by_model(**seconds: float) -> Callable[[Job], float]:
    return lambda job: seconds[job.trial.model]


# --- durations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h5s", 3605),
        (" 1m1s ", 61),
        ("9999h", 35996400),
    ],
)
def test_durations_as_people_write_them(text: str, seconds: int) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "0s", "0h0m", "-5m", "1.5h", "30 m", "5m1h", "1d", "nan", "١m", "1234567s"]
)
def test_anything_else_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match="no duration above 0; write 90s, 30m, 2h or 1h30m"):
        duration_seconds(text)


# --- the first seeds --------------------------------------------------------------------------------------------------


def test_three_seeds_are_what_a_rank_takes() -> None:
    assert SEEDS == standing.FEWEST_SEEDS


def test_a_seed_of_everyone_comes_before_the_next_and_the_cheapest_entry_is_complete_first() -> None:
    jobs = product([ONE, TWO], ["dear", "cheap"], range(3))
    order = drawn_from(Schedule(jobs, [], by_model(cheap=1.0, dear=5.0), slots=1))
    assert order[:4] == ["one cheap 0", "two cheap 0", "one dear 0", "two dear 0"]
    assert [name[-1] for name in order] == ["0"] * 4 + ["1"] * 4 + ["2"] * 4


def test_from_the_second_seed_on_the_cheapest_board_is_complete_first() -> None:
    jobs = product([ONE, OTHER], ["a", "b"], range(2))
    seconds = {ONE: 5.0, OTHER: 2.0}
    order = drawn_from(Schedule(jobs, [], lambda job: seconds[job.trial.task] + (job.trial.model == "b") * 4, slots=1))
    assert order[:4] == ["other a 0", "one a 0", "other b 0", "one b 0"]
    assert order[4:] == ["other b 1", "other a 1", "one b 1", "one a 1"]


def test_who_cannot_have_three_seeds_in_time_waits_for_those_who_can() -> None:
    jobs = product([ONE, TWO], ["cheap", "dear"], range(3))
    seconds = by_model(cheap=1.0, dear=5.0)
    assert drawn_from(Schedule(jobs, [], seconds, slots=1), left=35.0)[:6] == [
        f"{task} cheap {seed}" for seed in range(3) for task in ("one", "two")
    ]
    both = drawn_from(Schedule(jobs, [], seconds, slots=1), left=36.0)
    assert both[:4] == ["one cheap 0", "two cheap 0", "one dear 0", "two dear 0"]
    assert drawn_from(Schedule(jobs, [], seconds, slots=2), left=18.0)[:4] == both[:4], "two slots have twice the time"


def test_who_waits_gets_all_seeds_of_a_task_together() -> None:
    jobs = product([ONE, TWO], ["cheap", "dear"], range(3))
    seconds = {ONE: 6.0, TWO: 5.0}
    order = drawn_from(
        Schedule(jobs, [], lambda job: seconds[job.trial.task] * (job.trial.model == "dear") or 1, 1), 30
    )
    assert order[6:] == [f"{task} dear {seed}" for task in ("two", "one") for seed in range(3)][: len(order) - 6]


def test_what_no_rank_depends_on_comes_after_what_one_does_for_each_seed() -> None:
    jobs = product([CONTROL, ONE], ["a"], range(2))
    order = drawn_from(Schedule(jobs, [], lambda job: 9.0 if job.trial.task == CONTROL else 1.0, slots=1))
    assert order == ["one a 0", "control a 0", "one a 1", "control a 1"]


@pytest.mark.parametrize(
    ("changes", "is_ranked"),
    [
        ({}, True), ({"hparams": {"width": 9}}, True), ({"tuned": "iid-validation/8"}, True),
        ({"budget_scale": 0.1}, True), ({"tuned": "oracle/8"}, False), ({"tuned": "search"}, False),
        ({"dose": {"noise": 0.1}}, False),
    ],
)  # fmt: skip
def test_doses_searches_and_what_saw_the_test_are_on_no_board(changes: dict[str, Any], is_ranked: bool) -> None:
    assert bool(Unit.of(job(ONE, "a", **changes).trial).board) == is_ranked


def test_entries_are_what_a_board_compares() -> None:
    entries: list[dict[str, Any]] = [
        {}, {"algorithm": "irm"}, {"hparams": {"width": 9}}, {"settings": {"penalty": 1.0}},
        {"recipe": {"learning_rate": 0.1}}, {"tuned": "iid-validation/8"}, {"budget_scale": 0.1}, {"left_out": 0},
    ]  # fmt: skip
    assert len({Unit.of(job(ONE, "a", **changes).trial).entry for changes in entries}) == len(entries)
    tuned: list[dict[str, Any]] = [{"tuned": "iid-validation/8", "hparams": {"width": width}} for width in (1, 2)]
    assert len({Unit.of(job(ONE, "a", **changes).trial).entry for changes in tuned}) == 1, "one for each task"


# --- conditions, and the end of the time ------------------------------------------------------------------------------


def pair(seed: int = 0) -> list[Job]:
    return [job(PAIR, "a", seed, condition=condition) for condition in ("plain", "weighted")]


def test_the_conditions_of_a_seed_are_given_together_the_longest_first() -> None:
    jobs = [pair()[0], *pair(1), job(ONE, "a"), pair()[1]]
    seconds = {"plain": 1.0, "weighted": 2.0, "default": 3.0}
    order = drawn_from(Schedule(jobs, [], lambda job: seconds[job.trial.condition], slots=1))
    assert order[:3] in (
        ["one a 0", "pair a 0 weighted", "pair a 0 plain"],
        ["pair a 0 weighted", "pair a 0 plain", "one a 0"],
    )
    assert order[3:] == ["pair a 1 weighted", "pair a 1 plain"]


@pytest.mark.parametrize(("slots", "takes"), [(1, 20.0), (2, 10.0)])
def test_no_seed_is_begun_of_which_a_condition_would_be_late(slots: int, takes: float) -> None:
    in_time = Schedule(pair(), [], lambda job: 10.0, slots)
    assert in_time.next(SPARE * takes) is not None and in_time.next(SPARE * 10.0) is not None
    assert Schedule(pair(), [], lambda job: 10.0, slots).next(SPARE * takes - 0.1) is None


def test_no_trial_takes_longer_than_its_limit() -> None:
    limited = replace(job(ONE, "a"), seconds=12.0)
    assert Schedule([limited], [], lambda job: 10.0, slots=1).next(12.0) == limited
    assert Schedule([limited], [], lambda job: 10.0, slots=1).next(11.9) is None


def test_a_condition_is_not_begun_late_because_the_other_was_begun_in_time() -> None:
    schedule = Schedule(pair(), [], lambda job: 10.0, slots=1)
    assert schedule.next(30.0) is not None
    assert schedule.next(14.9) is None and schedule.next(1000.0) is None


def test_a_shorter_trial_fills_the_end() -> None:
    jobs = product([ONE], ["cheap", "dear"], range(4))
    assert drawn_from(Schedule(jobs, [], by_model(cheap=1.0, dear=50.0), slots=1), left=10.0) == [
        f"one cheap {seed}" for seed in range(4)
    ]


def test_with_time_enough_every_job_is_given_once() -> None:
    jobs = product([ONE, TWO, OTHER, CONTROL], ["a", "b"], range(5)) + pair() + pair(7)
    jobs += [job(ONE, "a", seed, **changes) for seed in (0, 9) for changes in (
        {"dose": {"noise": 0.1}}, {"tuned": "search"}, {"tuned": "oracle/8"}, {"hparams": {"width": 9}},
    )]  # fmt: skip
    schedule, given = Schedule(jobs, [], lambda job: 1.0, slots=2), []
    while (each := schedule.next(math.inf)) is not None:
        given.append(each)
        schedule.add(replace(result(each.trial.task, "x", 0, 0.5), trial=each.trial))
    assert sorted(each.trial.key for each in given) == sorted(each.trial.key for each in jobs)
    assert drawn_from(Schedule([], [], lambda job: 1.0, slots=2)) == []


# --- what narrows most ------------------------------------------------------------------------------------------------

SCORES = {
    ONE: {"a": [0.1, 0.3, 0.2], "b": [0.1, 0.1, 0.1]},  # apart by 0, .2, .1
    TWO: {"a": [0.2, 0.6, 0.4], "b": [0.4, 0.8, 0.6]},  # always apart by .2: what moves both moves no rank
}


def results(scores: dict[str, dict[str, list[float]]]) -> list[Record]:
    return [
        result(t, m, seed, x) for t, models in scores.items() for m, xs in models.items() for seed, x in enumerate(xs)
    ]


def test_narrowing_by_hand() -> None:
    """On `one` each entry is 0, .1, .05 from the mean of both, of variance .0025, on `two` always .1."""
    board = {task: {m: dict(enumerate(xs)) for m, xs in models.items()} for task, models in SCORES.items()}
    usual = 0.01 / 4  # squares over degrees of freedom, both tasks together
    found = narrowing(board, ["a", "b"])  # type: ignore[arg-type]
    for task, squares in {ONE: 2 * 2 * 0.0025, TWO: 0.0}.items():
        assert found[task] == pytest.approx((squares + 2 * usual) / (2 + 2) / (2**2 * 3 * 4))


def test_a_trial_that_is_run_again_counts_when_it_ends() -> None:
    plain, weighted = pair()
    failed = replace(result(PAIR, "a", 0, 0.5), trial=plain.trial, status="failed")
    ended = replace(result(PAIR, "a", 0, 0.5), trial=weighted.trial)
    schedule = Schedule([plain], [failed, ended], lambda job: 1.0, slots=1)

    def scores() -> list[dict[int, float | None]]:
        return [seeds for by_entry in schedule.scores.values() for seeds in by_entry.values()]

    assert scores() == [{0: -0.25}], "a failure counts as the worst"
    assert schedule.next(math.inf) == plain
    assert scores() == [{0: None}]
    schedule.add(replace(ended, trial=plain.trial))
    assert scores() == [{0: pytest.approx(0.5)}] and not schedule.records


def test_a_single_entry_is_measured_by_its_own_spread() -> None:
    board = {ONE: {"a": {0: 0.1, 1: 0.3, 2: 0.2}}}
    assert narrowing(board, ["a"])[ONE] == pytest.approx((0.02 + 2 * 0.01) / 4 / (3 * 4))  # type: ignore[arg-type]


def test_the_task_whose_spread_falls_most_gets_its_next_seed_for_all_entries() -> None:
    jobs = product([ONE, TWO], ["a", "b"], [3, 4])
    schedule = Schedule(jobs, results(SCORES), by_model(a=1.0, b=2.0), slots=1)
    assert drawn_from(schedule)[:4] == ["one b 3", "one a 3", "one b 4", "one a 4"]


def test_a_dear_task_has_to_be_worth_it() -> None:
    jobs = product([ONE, TWO], ["a", "b"], [3])
    schedule = Schedule(jobs, results(SCORES), lambda job: 9.0 if job.trial.task == ONE else 1.0, slots=1)
    assert drawn_from(schedule)[:2] == ["two a 3", "two b 3"]


def test_what_is_learned_on_the_way_changes_the_plan() -> None:
    jobs = product([ONE], ["a", "b"], [3, 4]) + product([TWO], ["a", "b"], [4])

    def told(two: float) -> list[str]:
        schedule = Schedule(jobs, results(SCORES), lambda job: 1.0, slots=1)
        for _ in range(2):
            each = schedule.next(math.inf)
            assert each is not None and each.trial.task == ONE
            schedule.add(result(ONE, each.trial.model, 3, 0.1))
        schedule.add(result(TWO, "a", 3, 0.0))
        schedule.add(result(TWO, "b", 3, two))
        return drawn_from(schedule)[:2]

    assert told(two=0.2) == ["one a 4", "one b 4"]
    assert told(two=1.0) == ["two a 4", "two b 4"], "they are apart by .2, .2, .2 and 1"


def test_who_lacks_a_task_gets_what_it_lacks_before_others_get_more() -> None:
    known = [each for each in results(SCORES) if (each.trial.model, each.trial.task) != ("b", TWO)]
    jobs = product([ONE], ["a", "b"], [3]) + product([TWO], ["b"], range(3)) + product([TWO], ["a", "b"], [3])
    assert drawn_from(Schedule(jobs, known, lambda job: 1.0, slots=1))[:3] == [
        "two b 0", "two b 1", "two b 2",
    ]  # fmt: skip


def test_a_task_that_nobody_has_run_and_the_time_is_too_short_for_holds_up_no_other() -> None:
    jobs = product(["toy/t0-v1"], ["a", "b"], range(3)) + product([ONE, TWO], ["a", "b"], [3])
    seconds = {"toy/t0-v1": 3.0}
    order = drawn_from(Schedule(jobs, results(SCORES), lambda job: seconds.get(job.trial.task, 0.1), slots=1), left=8.9)
    assert order == ["one a 3", "one b 3", "two a 3", "two b 3", "t0 a 0", "t0 a 1"]


def test_an_entry_with_fewer_seeds_holds_up_no_other() -> None:
    noisier = {TWO: SCORES[ONE], ONE: SCORES[TWO]}
    known = [*results(noisier), *(result(task, "dear", 0, 0.5) for task in (ONE, TWO))]
    jobs = product([ONE, TWO], ["dear"], [1, 2, 3]) + product([ONE, TWO], ["a", "b"], [3])
    order = drawn_from(Schedule(jobs, known, by_model(a=1.0, b=1.0, dear=100.0), slots=1), left=190.0)
    assert order == ["two a 3", "two b 3", "one a 3", "one b 3", "one dear 1"]


def test_who_is_given_test_inputs_has_no_rank_to_narrow() -> None:
    jobs = product([ONE, TWO], ["a", "b"], [3])
    given = [replace(each, flags=("target-inputs",)) if each.trial.model == "b" else each for each in results(SCORES)]
    order = drawn_from(Schedule(jobs, given, by_model(a=1.0, b=0.1), slots=1))
    assert [name[4] for name in order] == ["a", "a", "b", "b"]


def test_records_that_cannot_be_summed_up_and_of_other_tasks_are_no_scores() -> None:
    broken = [replace(each, scores={}) for each in results(SCORES)]
    schedule = Schedule(
        product([ONE, TWO], ["a"], [3]), [*broken, record("toy/unheard-of-v9")], lambda job: 1.0, slots=1
    )
    assert not any(seeds for scores in schedule.scores.values() for seeds in scores.values())
    assert len(drawn_from(schedule)) == 2


# --- simulated worlds -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """means (T, E) of scores, noise (T, 1) that moves all alike and own (T, E) that does not, seconds (T, E)."""

    means: Array
    noise: Array
    own: Array
    seconds: Array

    @classmethod
    def drawn(cls, number: int, spread: float) -> World:
        """8 tasks, 6 entries: skills a step apart, and what a task does to them; noise and cost differ by e^spread."""
        random = np.random.default_rng(number)
        means = np.linspace(0.3, 0.6, 6) + random.normal(0, 0.08, (8, 6))
        noise = np.exp(random.normal(math.log(0.06), spread, (8, 1)))
        own = noise * np.exp(random.normal(0, spread / 2, (8, 6)))
        return cls(means, noise, own, np.exp(random.normal(0, spread, (8, 1)) + random.normal(0, spread, 6)))

    def scores(self, draw: int) -> Array:
        """Of 10 seeds (T, E, 10)."""
        random = np.random.default_rng([draw, 1])
        shared, own = random.normal(0, 1, (8, 1, 10)), random.normal(0, 1, (8, 6, 10))
        found: Array = self.means[..., None] + self.noise[..., None] * shared + self.own[..., None] * own
        return found.clip(-0.25, 1.0)

    def jobs(self) -> list[Job]:
        """Seed by seed, as they are planned."""
        return product([f"toy/t{number}-v1" for number in range(8)], [f"m{number}" for number in range(6)], range(10))

    def cost(self, job: Job) -> float:
        return float(self.seconds[place(job)[:2]])

    def variance(self, done: Iterable[Job]) -> float:
        """Of the entries' means over tasks, summed, without what moves all of them: from the seeds that all have."""
        return float((self.own**2 / seeds_of(done).all(1).sum(1, keepdims=True)).sum() / 8**2)

    def width(self, done: Iterable[Job]) -> float:
        """The mean width of the entries' intervals of ranks; that of an entry without one is all ranks."""
        has = seeds_of(done)
        able = np.flatnonzero((has.sum(2) >= SEEDS).all(0))
        if len(able) < 2:
            return 5.0
        without = 6 - len(able)  # each of them may stand anywhere among the others
        widths = []
        for draw in range(1, 13):  # not the one that was planned on
            chosen = [task[able][:, seeds[able].all(0)] for task, seeds in zip(self.scores(draw), has, strict=True)]
            found = rank_intervals(chosen, range(8), resamples=200)
            ranked = [high - low + without for low, high in zip(found.low, found.high, strict=True)]
            widths.append((sum(ranked) + 5 * without) / 6)
        return fmean(widths)


def seeds_of(done: Iterable[Job]) -> NDArray[np.bool_]:
    """Which seeds each task and entry has, (T, E, 10)."""
    has = np.zeros((8, 6, 10), dtype=bool)
    for each in done:
        has[place(each)] = True
    return has


def place(job: Job) -> tuple[int, int, int]:
    """Task, entry, seed."""
    return int(job.trial.task[5:-3]), int(job.trial.model[1:]), job.trial.seed


def scheduled(world: World, end: float, slots: int) -> list[Job]:
    """What is done by the end in the order of a schedule, which is told of every result."""
    scores, schedule = world.scores(draw=0), Schedule(world.jobs(), [], world.cost, slots)

    def tell(job: Job) -> None:
        schedule.add(result(job.trial.task, job.trial.model, job.trial.seed, float(scores[place(job)])))

    return run(schedule.next, world.cost, end, slots, tell)


def seed_by_seed(world: World, end: float, slots: int) -> list[Job]:
    """What is done by the end in the order of the plan, leaving out what does not fit."""
    waiting = iter(world.jobs())
    return run(
        lambda left: next((job for job in waiting if SPARE * world.cost(job) <= left), None), world.cost, end, slots
    )


def run(
    following: Callable[[float], Job | None],
    cost: Callable[[Job], float],
    end: float,
    slots: int,
    tell: Callable[[Job], None] = lambda job: None,
) -> list[Job]:
    """What is done by the end, when a free slot gets the next job."""
    now, done, running = 0.0, list[Job](), list[tuple[float, int, Job]]()
    while True:
        while len(running) < slots and (begun := following(end - now)) is not None:
            heapq.heappush(running, (now + cost(begun), len(done) + len(running), begun))
        if not running:
            return done
        now, _, ended = heapq.heappop(running)
        assert now <= end
        done.append(ended)
        tell(ended)


def both(spread: float, rounds: float, slots: int) -> list[tuple[World, list[Job], list[Job]]]:
    """Worlds, and what is done there in either order while there is time for so many seeds of everyone."""
    worlds = [World.drawn(number, spread) for number in range(8)]
    ends = [rounds * float(world.seconds.sum()) / slots for world in worlds]
    return [(w, scheduled(w, end, slots), seed_by_seed(w, end, slots)) for w, end in zip(worlds, ends, strict=True)]


@pytest.mark.parametrize(("rounds", "at_most"), [(1.5, 0.85), (4.0, 0.95)])
def test_at_equal_time_ranks_are_narrower_than_seed_by_seed(rounds: float, at_most: float) -> None:
    """1.5 seeds of everyone give nobody a rank, but to some three of theirs."""
    found = both(0.9, rounds, slots=1)
    assert fmean(w.width(own) for w, own, _ in found) <= at_most * fmean(w.width(other) for w, _, other in found)


@pytest.mark.parametrize(
    ("spread", "slots", "usual", "at_most"), [(0.9, 1, 0.8, 1.0), (0.9, 3, 0.85, 1.0), (0.0, 1, 1.03, 1.05)]
)
def test_no_world_is_worse_off(spread: float, slots: int, usual: float, at_most: float) -> None:
    """Not even the one where all tasks are as noisy and all trials as dear: there is nothing to choose."""
    ratios = [w.variance(own) / w.variance(other) for w, own, other in both(spread, 4.0, slots)]
    assert fmean(ratios) <= usual and max(ratios) <= at_most
