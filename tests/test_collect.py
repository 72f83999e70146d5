"""What the leaderboard believes, what it refuses, and what it makes of records."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_results import PUBLIC, SUITE, record, toy, write

from benchmarks.cells import HEADLINE, WORST, Cell, judge
from benchmarks.records import Record, digest
from leaderboard.boards import Board, boards
from leaderboard.collect import Collection, collect
from leaderboard.curves import anchor_means, ladders, learning_curve, severity_curves
from tasks.types import Split, Task


def collected(tmp_path: Path, *records: Record) -> Collection:
    return collect([write(tmp_path / "results", *records)], SUITE)


def only_cell(tmp_path: Path, *records: Record) -> Cell:
    (cell,) = collected(tmp_path, *records).cells
    return cell


def reasons(collection: Collection) -> list[str]:
    return [refused.reason for refused in collection.refused]


# --- one cell ---------------------------------------------------------------------------------------------------------


def test_scores_of_three_seeds_by_hand(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, *(record(seed=s, ood=ood) for s, ood in enumerate([0.75, 0.8, 0.85])))
    assert [outcome.counted for outcome in cell.outcomes] == pytest.approx([0.5, 0.6, 0.7])
    assert cell.score is not None
    assert cell.score.mean == pytest.approx(0.6)
    assert cell.score.half_width == pytest.approx(4.303 * 0.1 / 3**0.5, abs=1e-3)
    assert cell.iid is not None and cell.iid.mean == pytest.approx(0.9)
    assert cell.ood is not None and cell.ood.mean == pytest.approx(0.8)
    assert (cell.state, cell.n_parameters, cell.seconds, cell.selected_steps) == ("trained", 1234, 2.0, (50, 50))
    assert cell.extra_scores()["robustness"].mean == pytest.approx(0.4)
    assert "score_unclipped" not in cell.extra_scores()
    assert cell.indices()["preference"].mean == pytest.approx(-0.1)
    assert "undefined" not in cell.indices()


def test_lower_is_better_scores_the_other_way(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, record("toy/error-v1", iid=1.0, ood=4.0))
    assert cell.score is not None and cell.score.mean == pytest.approx(0.6)
    assert cell.score.half_width is None


def test_a_score_is_clipped_and_kept_unclipped(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, record("toy/error-v1", iid=1.0, ood=50.0))
    assert cell.outcomes[0].counted == WORST
    assert cell.summaries[0].scores["score_unclipped"] == pytest.approx(-4.0)


def test_the_last_step_stands_beside_the_selected_one(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, record(ood=0.75, last_ood=0.6))
    assert cell.score is not None and cell.score.mean == pytest.approx(0.5)
    assert cell.score_last is not None and cell.score_last.mean == pytest.approx(0.2)


@pytest.mark.parametrize("status", ["failed", "diverged", "timeout", "out_of_memory"])
def test_a_failed_seed_counts_as_the_worst_and_says_why(tmp_path: Path, status: Any) -> None:
    cell = only_cell(tmp_path, record(seed=0, ood=1.0), record(seed=1, status=status, reason="it broke"))
    assert cell.score is not None and cell.score.mean == pytest.approx((1.0 - 0.25) / 2)
    assert [(o.seed, o.verdict, o.reason) for o in cell.failures] == [(1, status, "it broke")]
    assert cell.state == "trained"
    assert cell.ood is not None and cell.ood.n == 1


def test_below_the_gate_is_not_trained_and_counts_as_the_worst(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, record(iid=0.79, ood=0.9))
    assert cell.state == "not_trained"
    assert cell.score is not None and cell.score.mean == WORST
    assert cell.ood is not None and cell.ood.mean == 0.9
    assert cell.outcomes[0].reason == "in-distribution accuracy 0.79 is below the gate 0.8"


def test_a_skipped_seed_counts_as_nothing(tmp_path: Path) -> None:
    cell = only_cell(tmp_path, record(status="skipped", reason="takes image, not vector"))
    assert cell.state == "skipped"
    assert cell.score is None


def test_a_missing_condition_is_neither_failed_nor_counted(tmp_path: Path) -> None:
    ladder = "toy/ladder-v1"
    cell = only_cell(
        tmp_path,
        record(ladder, seed=0, condition="a", ood=0.75),
        record(ladder, seed=0, condition="b", ood=1.0),
        record(ladder, seed=1, condition="a"),
    )
    assert [o.verdict for o in cell.outcomes] == ["trained", "incomplete"]
    assert cell.outcomes[1].reason == "not run: b"
    assert cell.score is not None
    assert cell.score.mean == pytest.approx(0.75)
    assert cell.score.n == 1


@pytest.mark.parametrize(
    ("records", "verdict", "reason"),
    [
        ([("a", "failed", "x")], "failed", "a: x"),  # b has not run, and need not
        ([("a", "skipped", "no"), ("b", "timeout", "300 s")], "timeout", "b: 300 s"),
        ([("a", "diverged", "nan"), ("b", "failed", "")], "failed", "b: no reason given"),
        ([("a", "skipped", "takes tokens"), ("b", "skipped", "takes tokens")], "skipped", "takes tokens"),
        ([("a", "skipped", "takes tokens")], "skipped", "a: takes tokens"),
    ],
)
def test_which_condition_decides_a_seed(records: list[tuple[str, Any, str]], verdict: str, reason: str) -> None:
    found = {c: record("toy/ladder-v1", condition=c, status=s, reason=r) for c, s, r in records}
    outcome = judge(SUITE["toy/ladder-v1"], 0, found)
    assert (outcome.verdict, outcome.reason) == (verdict, reason)


def test_the_state_of_a_cell_is_that_of_most_seeds(tmp_path: Path) -> None:
    cell = only_cell(
        tmp_path,
        record(seed=0, status="timeout"),
        record(seed=1, status="timeout"),
        record(seed=2, status="failed"),
        record(seed=3, iid=0.1),
    )
    assert cell.state == "timeout"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (record("toy/gone-v1"), "unknown task toy/gone-v1"),
        (record(condition="other"), "unknown condition other"),
        (replace(record(), scores={**record().scores, "moon": {"accuracy": 1.0}}), "scores: unknown split moon"),
        (replace(record(), anchors={"moon": {"chance": 1.0}}), "anchors: unknown split moon"),
        (replace(record(), curve=[{"step": 1, "loss": None, "scores": {"moon": {}}}]), "curve: unknown split moon"),
        (replace(record(), scores={"iid": {"nll": 1.0}, "ood": {}}), "no accuracy on split iid; it has nll"),
        (replace(record(), last={}), "last: no accuracy on split iid; it has nothing"),
        (record("toy/error-v1", ood=1e101), "a value beyond 1e+100"),
        (replace(record(), seconds=1e300), "1e+300 seconds is no duration"),
        (replace(record(status="failed"), seconds=-1.0), "-1 seconds is no duration"),
        (replace(record(), anchors={}), "cannot summarize seed 0: lacks 'ood'"),
        (
            replace(record(), anchors={"ood": {"chance": 0.5, "oracle": 0.51}}),
            "anchors: oracle on ood is 0.51, and the card of toy/flat-v1 says 1",
        ),
    ],
)
def test_a_record_that_does_not_fit_its_task_is_refused_and_the_rest_is_built(
    tmp_path: Path, bad: Record, why: str
) -> None:
    collection = collected(tmp_path, bad, record(model="other"))
    assert len(collection.cells) == 1
    (refused,) = collection.refused
    assert why in refused.reason
    assert refused.file == f"results/{bad.trial.folder}/{bad.key}.json"


def test_measured_anchors_that_leave_no_scale_are_refused(tmp_path: Path) -> None:
    suite = {"toy/measured-v1": toy("toy/measured-v1", constants={})}
    same = replace(record("toy/measured-v1"), anchors={"ood": {"chance": 1.0, "oracle": 1.0}})
    (refused,) = collect([write(tmp_path / "results", same)], suite).refused
    assert "ZeroDivisionError" in refused.reason


def test_damaged_files_are_listed_with_their_place_and_reason(tmp_path: Path) -> None:
    root = write(tmp_path / "results", record(), record(seed=1), record(seed=2))
    first, second, third = sorted(root.glob("*/*/*/*/*.json"))
    first.write_bytes(first.read_bytes()[:-40])
    target = tmp_path / "elsewhere.json"
    shutil.move(second, target)
    second.symlink_to(target)
    collection = collect([root], SUITE)
    assert [r.file for r in collection.refused] == [f"results/{p.relative_to(root)}" for p in (first, second)]
    assert "not JSON" in collection.refused[0].reason
    assert "link" in collection.refused[1].reason
    assert [o.seed for o in collection.cells[0].outcomes] == [json.loads(third.read_text())["trial"]["seed"]]


def test_a_file_name_that_is_no_text_is_shown_with_question_marks(tmp_path: Path) -> None:
    root = write(tmp_path / "results", record())
    (root / "a" / "b" / "c" / "d").mkdir(parents=True)
    (root / "a" / "b" / "c" / "d" / "\udcff\u202e.json").write_text("{}")
    (refused,) = collect([root], SUITE).refused
    assert refused.file == "results/a/b/c/d/??.json"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        collect([tmp_path / "nowhere"], SUITE)


def test_results_on_other_data_than_the_most_recent_are_stale(tmp_path: Path) -> None:
    collection = collected(
        tmp_path,
        record(model="old", mean_x=0.5, started="2026-01-01T00:00:00+00:00"),
        record(model="new", mean_x=0.6, started="2026-02-01T00:00:00+00:00"),
        record(model="near", mean_x=0.60005, started="2026-01-15T00:00:00+00:00"),
        record(model="old", mean_x=0.5, seed=1),  # another seed has other data
    )
    assert sorted((c.entrant.model, len(c.outcomes)) for c in collection.cells) == [("near", 1), ("new", 1), ("old", 1)]
    (reason,) = reasons(collection)
    assert reason == "stale: its data differ from those that the task generates since 2026-02-01; run it again"


NOW = "2026-02-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "date",
    ["9999-12-31T23:59:59+00:00", "9999-12-31T23:59:59-12:00", "2040-01-01T00:00:00+00:00", "~", "", "9", "z" * 99],
)
def test_a_date_that_cannot_be_decides_nothing(tmp_path: Path, date: str) -> None:
    """Neither which data are today's, nor which source is the last, nor which of two records of a trial counts."""
    others = [record(model=m, mean_x=0.6, started=NOW) for m in ("a", "b")]
    stale = collected(tmp_path / "data", *others, record(model="x", mean_x=0.5, started=date))
    assert [(r.file.split("/")[3], r.reason) for r in stale.refused] == [
        ("x", "stale: its data differ from those that the task generates since 2026-02-01; run it again")
    ]
    sources = [record("toy/second-v1", "a", source_hash="b" * 64, started=date)]
    assert reasons(collected(tmp_path / "source", *others, *sources)) == [
        "older source bbbbbbbb of this model; 00000000 was run later"
    ]
    roots = [
        write(tmp_path / name, *listed)
        for name, listed in (("x", [record(model="a", ood=1.0, started=date)]), ("y", others))
    ]
    both = collect(roots, SUITE)
    assert [c.outcomes[0].counted for c in both.cells] == pytest.approx([0.5, 0.5])


def test_a_result_with_an_unbelievable_date_counts_where_nothing_contradicts_it(tmp_path: Path) -> None:
    found = collected(tmp_path, record(model="a", started=NOW), record(model="b", started="9999-01-01T00:00:00+00:00"))
    assert found.refused == () and len(found.cells) == 2


def test_dates_are_compared_as_times_and_not_as_texts(tmp_path: Path) -> None:
    late, early = "2026-02-01T00:00:00-05:00", "2026-02-01T03:00:00+00:00"
    found = collected(
        tmp_path, record(model="a", mean_x=0.5, started=late), record(model="b", mean_x=0.6, started=early)
    )
    assert [c.entrant.model for c in found.cells] == ["a"]


def test_years_after_all_other_results_a_new_one_is_the_last(tmp_path: Path) -> None:
    old = [record(model=m, seed=s, mean_x=0.5, started=NOW) for m in "abc" for s in range(3)]
    found = collected(tmp_path, *old, record(model="d", mean_x=0.6, started="2033-01-01T00:00:00+00:00"))
    assert len(found.refused) == 3 and {c.entrant.model for c in found.cells} == set("abcd")


def test_another_draw_may_have_other_data(tmp_path: Path) -> None:
    collection = collected(
        tmp_path, record(mean_x=0.5), record(mean_x=0.6, draw=digest("secret"), started="2026-03-01T00:00:00+00:00")
    )
    assert collection.refused == ()
    assert len(collection.cells) == 2


def test_a_failed_trial_has_no_data_and_is_never_stale(tmp_path: Path) -> None:
    collection = collected(tmp_path, record(), record(model="other", status="failed", reason="x"))
    assert collection.refused == ()


def test_of_a_model_only_the_source_that_was_run_last_counts(tmp_path: Path) -> None:
    collection = collected(
        tmp_path,
        record(source_hash="a" * 64, started="2026-01-01T00:00:00+00:00"),
        record("toy/second-v1", source_hash="a" * 64, started="2026-01-02T00:00:00+00:00"),
        record(source_hash="b" * 64, ood=0.9, started="2026-01-03T00:00:00+00:00"),
        record(model="other", source_hash="a" * 64),
    )
    assert [(c.entrant.model, c.task.spec.id) for c in collection.cells] == [
        ("mlp", "toy/flat-v1"),
        ("other", "toy/flat-v1"),
    ]
    assert reasons(collection) == ["older source aaaaaaaa of this model; bbbbbbbb was run later"] * 2


def test_one_trial_in_two_folders(tmp_path: Path) -> None:
    early, late = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
    ours = write(tmp_path / "ours", record(ood=0.75, started=early), record(seed=1, ood=0.75, started=late))
    theirs = write(tmp_path / "theirs", record(ood=0.751, started=late), record(seed=1, ood=0.95, started=early))
    collection = collect([ours, theirs], SUITE)
    assert [o.counted for o in collection.cells[0].outcomes] == pytest.approx([0.502, 0.5])
    (refused,) = collection.refused  # seed 0 agrees within tolerance, seed 1 does not
    assert refused.file.startswith("theirs/") and "disagrees" in refused.reason
    assert collect([theirs, ours], SUITE) == collection


def test_the_input_hash_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    one = collect([write(tmp_path / "a" / "results", record())], SUITE)
    two = collect([write(tmp_path / "b" / "results", record())], SUITE)
    other = collect([write(tmp_path / "c" / "results", record(ood=0.76))], SUITE)
    assert one.input_hash == two.input_hash != other.input_hash


def test_folders_of_one_name_keep_apart(tmp_path: Path) -> None:
    bad = record("toy/gone-v1")
    roots = [write(tmp_path / parent / "results", bad) for parent in ("a", "b")]
    assert sorted(r.file.split("/")[0] for r in collect(roots, SUITE).refused) == ["results", "results-2"]


# --- what shares a column ---------------------------------------------------------------------------------------------


def test_budget_draw_selection_configuration_and_algorithm_keep_apart(tmp_path: Path) -> None:
    collection = collected(
        tmp_path,
        record(),
        record(budget_scale=0.1),
        record(draw=digest("secret")),
        record(hparams={"width": 64}),
        record(algorithm="irm"),
        replace(record(seed=1), selection="last-step"),
    )
    assert len(collection.cells) == len(collection.entrants) == 6
    assert [e.protocol.is_headline for e in collection.entrants] == [True, True, True, False, False, False]
    labels = [e.protocol.label for e in collection.entrants if not e.protocol.is_headline]
    assert sorted(labels) == ["budget × 0.1", f"private draw {digest('secret')[:8]}", "selection last-step"]
    assert HEADLINE.draw == PUBLIC
    assert len({e.slug for e in collection.entrants}) == 6


# --- boards -----------------------------------------------------------------------------------------------------------


def board_of(collection: Collection, kind: str = "vector") -> Board:
    return next(b for b in boards(collection) if b.kind == kind)


def test_the_mean_is_over_ranked_tasks_and_complete_entries(tmp_path: Path) -> None:
    collection = collected(
        tmp_path,
        *(record("toy/flat-v1", "good", s, ood) for s, ood in enumerate([0.9, 0.95, 1.0])),
        *(record("toy/second-v1", "good", s, ood) for s, ood in enumerate([0.7, 0.75, 0.8])),
        record("toy/control-v1", "good", ood=0.5),
        record("toy/flat-v1", "half", ood=1.0),
        record("toy/flat-v1", "failing", ood=0.75),
        record("toy/second-v1", "failing", status="failed", reason="x"),
        record("toy/flat-v1", "picky", ood=1.0),
        record("toy/second-v1", "picky", status="skipped", reason="x"),
        record("toy/flat-v1", "absent", status="skipped", reason="x"),
    )
    board = board_of(collection)
    assert board.ranked == {"toy/flat-v1", "toy/second-v1"}
    assert [row.entrant.model for row in board.rows] == ["good", "failing", "half", "picky"]
    means = [None if row.mean is None else row.mean.mean for row in board.rows]
    assert means == [pytest.approx((0.9 + 0.5) / 2), pytest.approx((0.5 - 0.25) / 2), None, None]
    assert board.rows[0].mean is not None and board.rows[0].mean.half_width is not None
    assert [row.missing for row in board.rows[2:]] == [("toy/second-v1",), ("toy/second-v1",)]
    assert [entrant.model for entrant in board.without] == ["absent"]


def test_a_task_that_nobody_has_a_score_on_and_optional_tasks_are_not_ranked(tmp_path: Path) -> None:
    suite: dict[str, Task] = {**SUITE, "toy/extra-v1": toy("toy/extra-v1", optional=True)}
    root = write(
        tmp_path / "results",
        record("toy/flat-v1"),
        record("toy/second-v1", status="skipped", reason="no data"),
        record("toy/extra-v1"),
    )
    assert board_of(collect([root], suite)).ranked == {"toy/flat-v1"}


def test_only_the_newest_version_of_a_task_is_ranked(tmp_path: Path) -> None:
    suite: dict[str, Task] = {**SUITE, "toy/flat-v2": toy("toy/flat-v2")}
    board = board_of(collect([write(tmp_path / "results", record(), record("toy/flat-v2"))], suite))
    assert [task.spec.id for task in board.tasks] == ["toy/flat-v1", "toy/flat-v2"]
    assert board.ranked == {"toy/flat-v2"}


def test_boards_are_per_input_kind_and_protocol_headline_first(tmp_path: Path) -> None:
    collection = collected(tmp_path, record(), record("toy/error-v1", iid=1.0), record(budget_scale=0.5))
    found = [(board.kind, board.protocol.budget_scale) for board in boards(collection)]
    assert found == [("vector", 1.0), ("image", 1.0), ("vector", 0.5)]


# --- curves -----------------------------------------------------------------------------------------------------------


def test_severity_curves_by_hand(tmp_path: Path) -> None:
    ladder = "toy/ladder-v1"
    cell = only_cell(
        tmp_path,
        *(record(ladder, seed=s, condition=c, iid=1.0, ood=o) for s, o in ((0, 0.6), (1, 0.8)) for c in "ab"),
        record(ladder, seed=2, condition="a"),  # never finished, so it is on no curve
    )
    curves = severity_curves(cell)
    assert list(curves) == ["a", "b"]
    assert [(p.x, p.estimate.mean, p.estimate.n) for p in curves["a"]] == [
        (0.0, 1.0, 2),
        (1.0, pytest.approx(0.85), 2),
        (2.0, pytest.approx(0.7), 2),
    ]


def test_ladders_that_share_severities_are_told_apart() -> None:
    spec = toy("toy/x-v1").spec
    one = [Split(name, "ood", 5, severity=float(name[-1])) for name in ("blur-2", "blur-1", "noise-1", "noise-2")]
    assert {name: [s.name for s in rungs] for name, rungs in ladders(replace(spec, splits=tuple(one))).items()} == {
        "blur": ["blur-1", "blur-2"],
        "noise": ["noise-1", "noise-2"],
    }
    assert ladders(spec) == {}
    assert list(ladders(SUITE["toy/ladder-v1"].spec)) == ["degrees"]


def test_the_learning_curve_averages_conditions_and_seeds(tmp_path: Path) -> None:
    ladder = "toy/ladder-v1"
    cell = only_cell(
        tmp_path,
        record(ladder, condition="a", ood=0.6, last_ood=0.7),
        record(ladder, condition="b", ood=0.8, last_ood=0.5),
    )
    assert [(p.x, p.estimate.mean) for p in learning_curve(cell, "ood")] == [(50, pytest.approx(0.7)), (100, 0.6)]


def test_every_world_counts_once_in_the_means_of_anchors(tmp_path: Path) -> None:
    first = replace(record(seed=0), anchors={"ood": {"chance": 0.5, "oracle": 1.0, "guess": 0.2}})
    again = replace(record(seed=0, model="other"), anchors={"ood": {"chance": 0.5, "oracle": 1.0, "guess": 0.2}})
    second = replace(record(seed=1), anchors={"ood": {"chance": 0.5, "oracle": 1.0, "guess": 0.4}})
    collection = collected(tmp_path, first, again, second)
    assert anchor_means(collection.cells)["ood"]["guess"] == pytest.approx(0.3)


def ideas(n: int) -> dict[str, Task]:
    """As many tasks, each from a file of its own."""
    tasks = [toy(f"toy/idea{i}-v1") for i in range(n)]
    return {t.spec.id: type(t)(replace(t.spec, entry=replace(t.spec.entry, module=t.spec.id))) for t in tasks}


def better_and_worse(suite: dict[str, Task], seeds: int) -> list[Record]:
    """Two entries that never overlap."""
    levels = {"a": 0.9, "b": 0.6}
    return [record(t, m, s, ood=v + 0.01 * s) for t in suite for m, v in levels.items() for s in range(seeds)]


def test_a_board_has_intervals_of_ranks_for_those_with_a_mean(tmp_path: Path) -> None:
    """Two entries that never overlap have one rank each; what was selected on the test has none."""
    suite = ideas(2)
    other = [record(task, "d", s, ood=0.9, tuned="oracle/5") for task in suite for s in range(3)]
    write(tmp_path, *better_and_worse(suite, 3), *other)
    first, second = boards(collect([tmp_path], suite))
    assert {row.entrant.model: row.standing and row.standing.ranks for row in first.rows} == {"a": (1, 1), "b": (2, 2)}
    assert second.protocol.sees_test
    assert [(row.mean, row.standing) for row in second.rows] == [(None, None)]


@pytest.mark.parametrize(("n_ideas", "seeds"), [(1, 5), (5, 2)])
def test_one_idea_or_two_seeds_make_no_interval_of_ranks(tmp_path: Path, n_ideas: int, seeds: int) -> None:
    suite = ideas(n_ideas)
    write(tmp_path, *better_and_worse(suite, seeds))
    (board,) = boards(collect([tmp_path], suite))
    assert [row.standing for row in board.rows] == [None, None]
    assert all(row.mean is not None for row in board.rows)


def test_what_was_given_the_inputs_of_the_test_is_shown_and_not_ranked(tmp_path: Path) -> None:
    given = [replace(record("toy/flat-v1", "a", s, ood=0.9), flags=("target-inputs",)) for s in range(3)]
    honest = [record("toy/flat-v1", "b", s, ood=0.6) for s in range(3)]
    write(tmp_path, *given, *honest)
    (board,) = boards(collect([tmp_path], SUITE))
    assert {row.entrant.model: row.mean is None for row in board.rows} == {"a": True, "b": False}
