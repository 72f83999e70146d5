"""Models against algorithms: tables, differences, doses and variances whose numbers are known by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from toy_results import record, toy, write

from benchmarks.records import SEARCH, Record
from leaderboard import crossed
from leaderboard.collect import collect
from tasks.types import Dose, Task


class Dosed(type(toy("toy/x-v1"))):  # type: ignore[misc]
    """The knob turns nothing that these records do not bring."""

    def turned(self, dose: dict[str, float]) -> Task:
        return self


SUITE: dict[str, Task] = {
    "toy/flat-v1": Dosed(toy("toy/flat-v1", doses=(Dose("strength", (0.0, 0.5, 1.0), 0.5, "share"),)).spec)
}


def page(folder: Path, records: Iterable[Record]) -> str:
    """The Markdown of some records."""
    write(folder, *records)
    return crossed.markdown(collect([folder], SUITE))


def four(**changes: object) -> list[Record]:
    """Two models, two algorithms, two seeds. Accuracy .75 is a score of .5."""
    accuracy = {("a", "erm"): 0.6, ("a", "irm"): 0.7, ("b", "erm"): 0.8, ("b", "irm"): 0.9}
    return [
        record("toy/flat-v1", model, seed, ood=ood + 0.01 * seed, last_ood=0.5, algorithm=algorithm, **changes)
        for (model, algorithm), ood in accuracy.items()
        for seed in (0, 1)
    ]


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of the table lines that begin with a word."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(f"| {first} |")]
    assert lines, f"no line of a table begins with {first}"
    return lines


def test_models_stand_down_and_algorithms_across(tmp_path: Path) -> None:
    text = page(tmp_path, four())
    assert rows(text, "score") == [["score", "erm", "irm"]]
    assert [cell.split()[0] for cell in rows(text, "a")[0][1:]] == ["0.21", "0.41"]  # mean of .20 and .22, .40 and .42
    assert [cell.split()[0] for cell in rows(text, "b")[0][1:]] == ["0.61", "0.81"]


def test_rules_are_read_from_the_same_records_and_compared_seed_by_seed(tmp_path: Path) -> None:
    """Every algorithm is at chance at the last step; irm adds .2 at the selected step, on every seed."""
    text = page(tmp_path, four())
    erm, irm = rows(text, "erm")[0], rows(text, "irm")[0]
    assert [cell.split()[0] for cell in erm[2:5]] == ["0.41", "0.00", "0.41"]
    assert irm[5].startswith("0.20 ±0.00")
    assert irm[6].startswith("0.00")


def test_what_an_oracle_would_read_stands_below_and_says_so(tmp_path: Path) -> None:
    """Validation selects the first step, .6 on the test; the last one is at .95, a score of .9."""
    write(tmp_path, *[record("toy/flat-v1", "a", s, ood=0.6, last_ood=0.95) for s in (0, 1)])
    text = crossed.markdown(collect([tmp_path], SUITE))
    assert rows(text, "oracle (never ranked)") == [["oracle (never ranked)", "erm"]]
    honest, oracle = rows(text, "a")
    assert (honest[1].split()[0], oracle[1].split()[0]) == ("0.20", "0.90")


def test_an_algorithm_that_does_not_apply_has_no_column(tmp_path: Path) -> None:
    skipped = [record("toy/flat-v1", "a", s, algorithm="dfr", status="skipped", reason="no groups") for s in (0, 1)]
    assert rows(page(tmp_path, [*four(), *skipped]), "score") == [["score", "erm", "irm"]]


def test_doses_stand_beside_the_task_as_it_is(tmp_path: Path) -> None:
    text = page(tmp_path, [*four(), *four(dose={"strength": 1.0})])
    assert "#### toy/flat-v1: strength (share)" in text
    assert [line[0] for line in rows(text, "0.5 (own)") + rows(text, "1")] == ["0.5 (own)", "1"]
    assert "Where the variance lies" in text


def test_a_model_that_was_trained_in_one_way_stands_in_no_table_and_takes_no_variance_away(tmp_path: Path) -> None:
    text = page(tmp_path, [*four(), record("toy/flat-v1", "plain"), record("toy/flat-v1", "plain", 1)])
    assert "| plain |" not in text and "Where the variance lies" in text
    alone = page(tmp_path / "alone", [record("toy/flat-v1", "plain")])
    assert "| plain |" in alone, "where nobody was trained in several ways all are shown"


def test_variance_divides_into_model_algorithm_configuration_and_seed(tmp_path: Path) -> None:
    """Scores .20 .40 .60 .80 and .02 more on seed 1: sd .283 of models, .141 of algorithms, .014 of seeds."""
    searched = [
        record("toy/flat-v1", "a", 1_000_000, ood=ood, tuned=SEARCH, recipe={"learning_rate": rate})
        for rate, ood in ((0.1, 0.6), (0.2, 0.7))
    ]
    text = page(tmp_path, [*four(), *searched])
    row = rows(text, "toy/flat-v1")[0]
    assert [float(cell) for cell in row[1:]] == pytest.approx([0.283, 0.141, 0.0, 0.141, 0.014], abs=1e-3)
    assert "0.2" not in rows(text, "score")[0]


def test_trials_of_a_search_are_no_results(tmp_path: Path) -> None:
    tried = record("toy/flat-v1", "a", 1_000_000, tuned=SEARCH)
    write(tmp_path, tried, *four())
    found = collect([tmp_path], SUITE)
    assert [o.seed for cell in found.searched for o in cell.outcomes] == [1_000_000]
    assert all(outcome.seed < 2 for cell in found.cells for outcome in cell.outcomes)
