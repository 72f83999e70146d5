"""Tasks where no solution is the right one: an index with two ends instead of a score, nowhere ranked or averaged."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from toy_results import CHOICE, DESCRIBED, FIRST, SUITE, record, write

from benchmarks import cells, report
from benchmarks.cells import Cell, judge
from benchmarks.records import Record
from leaderboard import table
from leaderboard.boards import boards
from leaderboard.collect import collect
from leaderboard.profiles import lines
from leaderboard.site import site
from tasks import card, clauses
from tasks.clauses import Examined
from tasks.types import Axis, Row, Summary

ID = "toy/described-v1"


def chosen(model: str, seed: int, probe: float, iid: float = 0.9) -> Record:
    """A seed with this accuracy on the probe; the toy's probes are the middle of its two values."""
    return record(ID, model, seed, ood=2 * probe - iid, iid=iid)


RECORDS = (
    *(chosen("mlp", s, probe) for s, probe in enumerate([0.6, 0.7, 0.8])),
    chosen("mlp", 3, 0.9, iid=0.5),  # below the gate: it learned nothing, so it chose nothing
    *(chosen("knn", s, 0.2) for s in range(3)),
    record(ID, "gru", status="skipped", reason="takes tokens"),
    record(ID, "boom", status="failed", reason="it raises"),
    record("toy/flat-v1", "mlp"),
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write(tmp_path / "results", *RECORDS)


def cell(results: Path, model: str) -> Cell:
    return next(c for c in collect([results], SUITE).cells if c.task is DESCRIBED and c.entrant.model == model)


def test_an_index_is_over_the_seeds_that_trained_and_there_is_no_score(results: Path) -> None:
    found = cell(results, "mlp")
    position = found.on(CHOICE)
    assert position is not None and position.mean == pytest.approx(0.7) and position.n == 3
    assert found.score is None and found.score_last is None and found.ood is None
    assert [outcome.verdict for outcome in found.outcomes] == ["trained"] * 3 + ["not_trained"]


def test_a_failed_seed_counts_nothing_where_nothing_is_scored(results: Path) -> None:
    found = cell(results, "boom")
    assert found.state == "failed" and found.score is None and found.on(CHOICE) is None
    assert [outcome.counted for outcome in found.outcomes] == [None]


def test_a_summary_sees_when_something_was_learned(results: Path) -> None:
    late = replace(
        RECORDS[4], curve=[{"step": s, "scores": {"probe": {"accuracy": a}}} for s, a in ((10, 0.4), (90, 0.6))]
    )
    outcome = judge(DESCRIBED, 0, {"default": late})
    assert outcome.summary is not None and outcome.summary.indices["first"] == 90
    never = cell(results, "knn")
    assert never.on(FIRST) is None, "an undefined index is left out, not 0"


def test_no_board_has_it_and_the_others_do_not_change(results: Path) -> None:
    assert [[task.spec.id for task in board.tasks] for board in boards(collect([results], SUITE))] == [["toy/flat-v1"]]


def test_a_profile_has_a_line_for_every_axis_that_somebody_stands_on(results: Path) -> None:
    found = lines(collect([results], SUITE).cells)
    assert [(line.task.spec.id, line.axis.index) for line in found] == [(ID, "choice"), (ID, "first")]
    assert {entrant.model: round(e.mean, 6) for entrant, e in found[0].positions.items()} == {"knn": 0.2, "mlp": 0.7}
    assert {entrant.model for entrant in found[1].positions} == {"mlp"}


def test_the_site_shows_both_ends_and_exports_the_axes(results: Path) -> None:
    files = site(collect([results], SUITE), lambda task: None)
    for page in (files["solutions.html"], files["tasks/toy-described-v1.html"]):
        assert "the short way" in page and "the long way" in page
    body = json.loads(files["results.json"])
    assert body["tasks"][ID]["axes"][0] == {
        "index": "choice",
        "low": "the short way",
        "high": "the long way",
        "ends": [0, 1],
    }
    (mlp,) = (c for c in body["cells"] if c["task"] == ID and c["entry"].startswith("mlp"))
    assert mlp["axes"]["choice"]["mean"] == pytest.approx(0.7) and mlp["score"] is None


def test_the_terminal_shows_indices_apart_from_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "load_task", SUITE.__getitem__)
    console = Console(file=io.StringIO(), width=120)
    report.print_report(console, RECORDS)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    scores, _, indices = printed.partition("\nindex ")
    assert "toy/flat-v1" in scores and ID not in scores
    assert "0.70 ± 0.25" in indices and "choice 0 the short way, 1 the long way" in indices
    rows = report.report_table(RECORDS)["rows"]
    assert [row[4] for row in rows if row[0] == ID and row[1] == "mlp"] == ["choice", "first"]


def test_markdown_tables_for_a_page(results: Path) -> None:
    text = table.markdown(collect([results], SUITE))
    assert "| toy/described-v1: choice | 0 the short way | 1 the long way |" in text
    assert "0.70 ±0.25 n3" in text and "gru" not in text.partition("## ")[2].splitlines()[2]


def test_the_card_says_that_nothing_is_ranked() -> None:
    text = card.markdown(DESCRIBED.spec)
    assert "has no score and is not ranked" in text and "| choice | the short way (0) | the long way (1) |" in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"axes": (CHOICE, CHOICE)}, "two axes are called 'choice'"),
        ({"axes": (Axis("choice", "", "long"),)}, "does not say what its two ends"),
        ({"axes": (Axis("choice", "a", "b", (1.0, 1.0)),)}, "does not say what its two ends"),
    ],
)
def test_a_card_without_a_reading_is_noticed(changes: dict[str, object], said: str) -> None:
    task = type(DESCRIBED)(replace(DESCRIBED.spec, **changes))  # type: ignore[arg-type]
    assert any(said in complaint for complaint in clauses.score_or_axes(Examined(task.spec.entry, task)))


def test_a_score_that_the_card_does_not_announce_is_refused() -> None:
    class Announced(type(DESCRIBED)):  # type: ignore[misc]
        def summarize(self, rows: dict[str, Row]) -> Summary:
            return replace(super().summarize(rows), scores={"score": 1.0})

    with pytest.raises(ValueError, match="has a score, but the card"):
        judge(Announced(DESCRIBED.spec), 0, {"default": RECORDS[0]})
