"""Where entries of a board stand, and beside whom: ranks, tiers, ideas left out, seeds to tell, nearest, doses."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from toy_results import DESCRIBED, SUITE, record, toy, write

from benchmarks.cells import Cell
from benchmarks.ranking import ranks_without_one, seeds_to_separate, tier
from benchmarks.records import Record
from benchmarks.statistics import Estimate, paired_difference
from leaderboard import charts
from leaderboard import comparison as compare
from leaderboard.boards import boards
from leaderboard.collect import Collection, collect
from leaderboard.doses import dose_views
from leaderboard.model_view import field, model_view
from leaderboard.neighbours import between, profiles, values_of
from leaderboard.site import site
from leaderboard.task_view import task_context, task_view
from tasks.types import Dose, Task

T_2 = 4.302653  # Student's t, 97.5 %, two degrees of freedom


class OtherIdea(type(toy("toy/x-v1"))):  # type: ignore[misc]
    """A task of another module, so of another idea."""


def suite() -> dict[str, Task]:
    """Two ideas: `toy/one-v1` and its variant `toy/two-v1`, and `toy/other-v1`."""
    tasks = {f"toy/{name}-v1": toy(f"toy/{name}-v1") for name in ("one", "two", "other")}
    spec = tasks["toy/other-v1"].spec
    return {**tasks, "toy/other-v1": OtherIdea(replace(spec, entry=replace(spec.entry, module="elsewhere")))}


def results(scores: Mapping[str, Mapping[str, list[float]]]) -> list[Record]:
    """Records whose score on a task and seed is the one given; chance is .5, the oracle 1."""
    return [
        record(task, model, seed, ood=0.5 + value / 2)
        for model, by_task in scores.items()
        for task, values in by_task.items()
        for seed, value in enumerate(values)
    ]


SCORES = {
    "a": {"toy/one-v1": [0.8, 0.9, 1.0], "toy/two-v1": [0.8, 0.9, 0.7], "toy/other-v1": [0.2, 0.3, 0.4]},
    "b": {"toy/one-v1": [0.5, 0.5, 0.6], "toy/two-v1": [0.6, 0.5, 0.4], "toy/other-v1": [0.7, 0.6, 0.8]},
}


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return collect([write(tmp_path / "results", *results(SCORES))], suite())


# --- tiers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.5, 0.9, "ceiling side"),
        (0.49, 0.9, "undecided"),
        (-0.1, 0.5, "undecided"),
        (0.01, 0.49, "floor side"),
        (0.0, 0.49, "at the floor"),
        (-0.3, -0.1, "at the floor"),
        (None, None, None),
    ],
)
def test_tiers_have_fixed_bounds(low: float | None, high: float | None, expected: str | None) -> None:
    assert tier(Estimate(0.3, low, high, 3)) == expected


# --- one idea left out ------------------------------------------------------------------------------------------------


def test_ranks_without_one_group_by_hand() -> None:
    first, second = [[0.9], [0.5]], [[0.1], [0.4]]
    assert ranks_without_one([first, first, second], ["x", "x", "y"]) == [(1, 2), (1, 2)]
    assert ranks_without_one([first, first, second], ["x", "z", "y"]) == [(1, 1), (2, 2)]


def test_nothing_is_left_of_one_group() -> None:
    with pytest.raises(ValueError, match="nothing is left"):
        ranks_without_one([[[0.9], [0.5]]], ["x"])


# --- on a board -------------------------------------------------------------------------------------------------------


def test_a_board_says_where_its_entries_stand(collection: Collection) -> None:
    (board,) = boards(collection)
    first, second = board.rows
    assert [row.entrant.model for row in board.rows] == ["a", "b"]
    assert first.standing and second.standing
    assert first.standing.ranks == (1, 2), "each idea has its own winner"
    assert first.standing.without_one == (1, 2)
    means = {m: [fmean(SCORES[m][t][seed] for t in SCORES[m]) for seed in range(3)] for m in SCORES}
    assert first.standing.to_next == (seeds_to_separate(means["a"], means["b"]) or math.inf)
    assert second.standing.to_next is None


def test_variants_of_one_idea_give_no_ranks(tmp_path: Path) -> None:
    one_idea = {model: {task: v for task, v in own.items() if "other" not in task} for model, own in SCORES.items()}
    (board,) = boards(collect([write(tmp_path / "results", *results(one_idea))], suite()))
    assert [row.standing for row in board.rows] == [None, None]
    assert board.rows[0].tier == "ceiling side"


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ({"a": SCORES["a"]}, "fewer than 2 entries have a mean"),
        ({m: {"toy/one-v1": own["toy/one-v1"]} for m, own in SCORES.items()}, "only one task is ranked"),
        (
            {m: {task: own[task] for task in ("toy/one-v1", "toy/two-v1")} for m, own in SCORES.items()},
            "all ranked tasks are variants of one idea",
        ),
        (
            {"a": SCORES["a"], "b": {task: values[:2] for task, values in SCORES["b"].items()}},
            "fewer than 2 entries have 3 seeds on every ranked task",
        ),
    ],
)
def test_a_board_without_ranks_says_why(tmp_path: Path, scores: Mapping[str, Any], why: str) -> None:
    found = collect([write(tmp_path / "results", *results(scores))], suite())
    (board,) = boards(found)
    assert board.no_ranks == why and {row.standing for row in board.rows} == {None}
    assert {board.no_rank(row) for row in board.rows if row.mean} == {why}
    files = site(found, lambda task: None)
    assert f"no ranks</a>: {why}." in files["index.html"]
    assert why in files["models/a.html"], "also where its mean stands alone"


def test_entries_of_other_seeds_give_no_ranks(tmp_path: Path) -> None:
    late = [replace(r, trial=replace(r.trial, seed=r.trial.seed + 3)) for r in results({"b": SCORES["b"]})]
    (board,) = boards(collect([write(tmp_path / "r", *results({"a": SCORES["a"]}), *late)], suite()))
    assert board.no_ranks == "the entries share fewer than 3 seeds"


def test_two_seeds_of_one_entry_take_the_rank_of_no_other(tmp_path: Path) -> None:
    """Nor does it stand between the two others: what tells them apart is asked of them alone."""
    two = {"between": {task: [0.6, 0.65] for task in SCORES["a"]}}
    alone, beside = (
        boards(collect([write(tmp_path / name, *results({**SCORES, **more}))], suite()))[0]
        for name, more in (("alone", {}), ("beside", two))
    )
    standing = {row.entrant.model: row.standing for row in beside.rows}
    assert standing == {"between": None, **{row.entrant.model: row.standing for row in alone.rows}}
    (row,) = (row for row in beside.rows if row.standing is None)
    assert row.mean is not None and beside.no_rank(row) == "fewer than 3 seeds"
    found = collect([tmp_path / "beside"], suite())
    assert '<td class="none why">fewer than 3 seeds</td>' in site(found, lambda task: None)["index.html"]


# --- over the same tasks ----------------------------------------------------------------------------------------------


def test_a_task_that_only_one_was_run_on_takes_nobodys_mean_and_is_in_none(tmp_path: Path) -> None:
    """As a task of one's own beside results that ship: means and ranks stay, and the heading says why."""
    public = results({"a": SCORES["a"], "b": SCORES["b"], "c": SCORES["a"]})
    tasks = {**suite(), "toy/mine-v1": toy("toy/mine-v1")}
    own = results({"net": {"toy/mine-v1": [1.0, 1.0, 1.0]}, "a": {"toy/mine-v1": [0.1, 0.1, 0.1]}})
    (before,) = boards(collect([write(tmp_path / "public", *public)], tasks))
    found = collect([tmp_path / "public", write(tmp_path / "own", *own)], tasks)
    (beside,) = boards(found)
    assert beside.unranked == {}, "two of four models are half of them"
    found = collect([tmp_path / "public", write(tmp_path / "mine", *own[:3])], tasks)
    (beside,) = boards(found)
    assert beside.ranked == before.ranked and beside.unranked == {"toy/mine-v1": "run with 1 of 4 models"}
    *known, net = beside.rows
    assert [(r.entrant, r.mean, r.standing) for r in known] == [(r.entrant, r.mean, r.standing) for r in before.rows]
    assert net.mean is None and net.missing == tuple(sorted(before.ranked))
    assert "run with 1 of 4 models</small>" in site(found, lambda task: None)["index.html"]


def test_a_run_on_fewer_tasks_has_no_mean_and_changes_none(tmp_path: Path) -> None:
    (before,) = boards(collect([write(tmp_path / "public", *results(SCORES))], suite()))
    own = write(tmp_path / "own", *results({"net": {"toy/one-v1": [1.0, 1.0, 1.0]}}))
    (beside,) = boards(collect([tmp_path / "public", own], suite()))
    assert beside.ranked == before.ranked
    assert [(r.mean, r.standing) for r in beside.rows[:2]] == [(r.mean, r.standing) for r in before.rows]
    assert (beside.rows[2].mean, beside.rows[2].missing) == (None, ("toy/other-v1", "toy/two-v1"))


def test_models_that_take_none_of_it_are_none_of_those_that_might_have_been_run(tmp_path: Path) -> None:
    others = [record("toy/one-v1", f"other{i}", status="skipped", reason="takes images") for i in range(9)]
    (board,) = boards(collect([write(tmp_path / "r", *results(SCORES), *others)], suite()))
    assert board.unranked == {} and len(board.without) == 9


def test_configurations_and_algorithms_of_a_model_take_no_task_from_the_mean(tmp_path: Path) -> None:
    more = [record("toy/one-v1", "a", 0, algorithm=f"other{i}") for i in range(9)]
    (board,) = boards(collect([write(tmp_path / "r", *results(SCORES), *more)], suite()))
    assert board.ranked == set(suite()) and board.unranked == {}


def test_a_new_version_that_few_were_run_on_replaces_no_old_one(tmp_path: Path) -> None:
    tasks = {**suite(), "toy/one-v2": toy("toy/one-v2")}
    new = [record("toy/one-v2", "net")]
    three = {**SCORES, "c": SCORES["a"]}
    (board,) = boards(collect([write(tmp_path / "r", *results(three), *new)], tasks))
    assert board.unranked == {"toy/one-v2": "run with 1 of 4 models"} and "toy/one-v1" in board.ranked


def test_families_stand_apart(tmp_path: Path) -> None:
    tasks = {name: toy(name) for name in ("one/a-v1", "two/b-v1")}
    found = collect([write(tmp_path / "r", record("one/a-v1"), record("two/b-v1"))], tasks)
    assert [(board.family, len(board.tasks)) for board in boards(found)] == [("one", 1), ("two", 1)]
    assert all(board.rows[0].mean for board in boards(found)), "a family that was not run takes nobody's mean"


# --- alike and apart --------------------------------------------------------------------------------------------------


def test_distance_is_over_what_both_have() -> None:
    one = {("x", ""): 0.0, ("y", ""): 1.0, ("z", "i"): 0.5}
    assert between(one, {("x", ""): 0.3, ("y", ""): 0.6}) == (pytest.approx(math.sqrt((0.09 + 0.16) / 2)), 2)
    assert between(one, {}) == (math.inf, 0)


def test_a_profile_has_scores_and_places_between_ends(tmp_path: Path) -> None:
    found = collect([write(tmp_path / "r", record("toy/flat-v1"), record("toy/described-v1", ood=0.9))], SUITE)
    (profile,) = profiles(found.cells).values()
    assert profile == {
        ("toy/flat-v1", ""): pytest.approx(0.5),
        ("toy/described-v1", "choice"): pytest.approx(0.9),
        ("toy/described-v1", "first"): pytest.approx(0.5),  # step 50 between 0 and 100
    }
    outside = next(c for c in found.cells if c.task is DESCRIBED)
    assert all(0 <= v <= 1 for v in values_of(DESCRIBED, outside).values())


def test_a_model_page_has_neighbours_strengths_and_a_fingerprint(tmp_path: Path) -> None:
    tasks = {f"toy/t{i}-v1": toy(f"toy/t{i}-v1") for i in range(5)} | {DESCRIBED.spec.id: DESCRIBED}
    models = {"low": 0.5, "near": 0.7, "own": 0.75, "high": 0.9}
    records = [record(task, m, ood=value) for m, value in models.items() for task in tasks]
    records += [record("toy/t0-v1", "own", 1, ood=1.0)]  # its mean there is .75
    found = collect([write(tmp_path / "r", *records)], tasks)
    everyone = field(found.cells, boards(found))
    own = next(e for e in found.entrants if e.model == "own")
    view = model_view(everyone, own)
    assert [n.entrant.model for n in view.nearest] == ["near", "high", "low"]
    (first, *_) = view.above
    assert (first.cell.task.spec.id, round(first.above, 6), first.others) == ("toy/t0-v1", 0.35, 3)
    assert view.below == []
    assert [line.axis.index for line, _ in view.fingerprint] == ["choice", "first"]
    assert len(view.fingerprint[0][1].others) == 3


def test_effective_robustness_is_turned_so_that_more_is_better(tmp_path: Path) -> None:
    values = {"a": (0.0, 1.0), "b": (1.0, 3.0), "c": (1.9, 2.0)}
    records = [record("toy/error-v1", m, iid=iid, ood=ood) for m, (iid, ood) in values.items()]
    found = collect([write(tmp_path / "r", *records)], SUITE)
    view = task_context(found, SUITE["toy/error-v1"])["sections"][0]
    slope, intercept = np.polyfit(*zip(*values.values(), strict=True), 1)
    for entrant, above in view.beyond.items():
        iid, ood = values[entrant.model]
        assert above == pytest.approx(-(ood - slope * iid - intercept)), "of an error less is more"


def test_no_line_through_entries_that_did_not_train(tmp_path: Path) -> None:
    records = [record("toy/flat-v1", m, iid=0.5 + i / 50, ood=0.6) for i, m in enumerate(("a", "b", "c"))]
    found = collect([write(tmp_path / "r", *records)], SUITE)
    view = task_view(SUITE["toy/flat-v1"], found.cells, charts.marks(found.entrants))
    assert view.trend is None and view.beyond == {}


# --- doses ------------------------------------------------------------------------------------------------------------


class Dosed(type(toy("toy/x-v1"))):  # type: ignore[misc]
    """A task with two knobs that change nothing here: records bring their numbers."""

    def turned(self, dose: Mapping[str, float]) -> Task:
        return self


KNOBS = (Dose("noise", (0.1, 0.3), 0.1, "share"), Dose("worlds", (2.0, 4.0), 2.0, "number"))


def test_a_dose_stands_beside_the_task_as_it_is_and_on_no_board(tmp_path: Path) -> None:
    task = Dosed(toy("toy/dosed-v1", doses=KNOBS).spec)
    records = [
        record("toy/dosed-v1", ood=0.9),
        record("toy/dosed-v1", ood=0.7, dose={"noise": 0.3}),
        record("toy/dosed-v1", "other", ood=0.7, dose={"noise": 0.3}),  # one point is no curve
        record("toy/dosed-v1", ood=0.6, dose={"noise": 0.3, "worlds": 4.0}),  # of two knobs at once
    ]
    found = collect([write(tmp_path / "r", *records)], {task.spec.id: task})
    (view,) = dose_views(task, found.cells)
    assert view.knob.name == "noise" and view.values == [0.1, 0.3]
    ((entrant, cells),) = view.rows.items()
    assert entrant.model == "mlp"
    assert {x: c.score.mean for x, c in cells.items() if c.score} == {0.1: pytest.approx(0.8), 0.3: pytest.approx(0.4)}
    assert len(boards(found)) == 1 and len(boards(found)[0].rows) == 1
    page = site(found, lambda task: None)["tasks/toy-dosed-v1.html"]
    assert "Dose and response: noise" in page and page.count('<h2 id="results') == 1


# --- comparison -------------------------------------------------------------------------------------------------------


def test_the_comparison_has_every_counted_score_by_task_and_seed(collection: Collection) -> None:
    names = {task: task for task in collection.suite}
    data = compare.comparison(collection, names, names)
    assert data["t"][1] == pytest.approx(T_2, abs=1e-6)
    for entry in data["entries"]:
        for place, task in enumerate(data["tasks"]):
            expected = [[seed, value] for seed, value in enumerate(SCORES[entry["label"]][task["name"]])]
            assert entry["scores"][place] == [[s, pytest.approx(v)] for s, v in expected]
    by_hand = paired_difference(SCORES["a"]["toy/one-v1"], SCORES["b"]["toy/one-v1"])
    differences = [a - b for a, b in zip(SCORES["a"]["toy/one-v1"], SCORES["b"]["toy/one-v1"], strict=True)]
    assert by_hand.half_width == pytest.approx(data["t"][1] * stdev(differences) / math.sqrt(3), rel=1e-6)


def test_the_comparison_is_data_that_ends_no_script(tmp_path: Path) -> None:
    hostile = record("toy/flat-v1", hparams={"name": "</script><script>alert(1)</script>"})
    page = site(collect([write(tmp_path / "r", hostile)], SUITE), lambda task: None)["compare.html"]
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.S)
    assert text is not None and "<" not in text[1]
    assert "alert(1)" in json.loads(text[1])["entries"][0]["configuration"]


def test_cells_without_a_score_say_how_they_ended(tmp_path: Path) -> None:
    skipped = record("toy/flat-v1", status="skipped", reason="takes images")
    found = collect([write(tmp_path / "r", skipped)], SUITE)
    (cell,) = found.cells
    assert isinstance(cell, Cell) and compare.counted(cell) == "skipped"
