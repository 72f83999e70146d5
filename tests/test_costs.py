"""What a trial will take: by its like in the folder, by the table that ships, by its parts, by a card; all by hand."""

from __future__ import annotations

import json
import math
import random
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from baselines import references
from baselines.references import Reference
from benchmarks import costs
from benchmarks.costs import FIXED_SHARE, PRIOR, PROCESS_SECONDS, TABLE, Costs, Estimates, Measured, Place, Table
from benchmarks.jobs import Job
from benchmarks.records import Record, Status, Trial
from benchmarks.store import Store
from tasks import registry
from tasks.types import Task

ROOT = Path(__file__).parents[1]
A, B, NOT_RUN = "shift/linear-unit-1-v1", "shift/penguins-v1", "shift/colored-mnist-v1"
ADAM = {"optimizer": "adam"}


def table() -> Table:
    """Of the median model 2 s on A and 1 s on B; `linear` takes half of it, `cnn` four times as much."""
    on_a = {"linear": 1.0, "mlp": 2.0, "knn": 2.0, "cnn": 8.0, "lstm": 0.0}
    on_b = {"linear": 0.5, "mlp": 1.0, "knn": 1.0, "cnn": 4.0}
    others = {
        Place(A, "default", "mlp", "irm"): 3.0,
        Place(A, "default", "mlp", "coral"): 2.0,
        Place(A, "default", "linear", "coral"): 0.0,  # has no features
        Place(B, "default", "mlp", "irm"): 0.0,  # has no environments
        Place(B, "default", "linear", "irm"): 0.0,
    }
    plain = {(A, model): seconds for model, seconds in on_a.items()} | {(B, m): seconds for m, seconds in on_b.items()}
    return Table({Place(t, "default", m, "erm"): s for (t, m), s in plain.items()} | others, frozenset({"knn"}))


def trial(task: str = A, model: str = "mlp", algorithm: str = "erm", condition: str = "default", **rest: Any) -> Trial:
    usual: dict[str, Any] = {"source_hash": "", "hparams": {}, "seed": 0, "draw": ""}
    return Trial(task, condition, model, algorithm=algorithm, **usual | rest)


def record(seconds: float, status: Status = "ok", recipe: Any = ADAM, **rest: Any) -> Record:
    return Record(trial(**rest), status, seconds=seconds, recipe=recipe if status == "ok" else None)


def job(limit: float = 1e6, **rest: Any) -> Job:
    nobody = Reference("", "", "", "")
    return Job(trial(**rest), nobody, nobody, seconds=limit)


def training(known: Costs, **rest: Any) -> float:
    """The seconds that are expected, without those of the process."""
    return known.seconds(job(**rest)) - PROCESS_SECONDS


# --- what is known --------------------------------------------------------------------------------------------------


def test_records_of_the_same_come_before_the_table() -> None:
    assert training(Costs(table()), model="cnn") == pytest.approx(8)
    three = [record(seconds, model="cnn", seed=seed) for seed, seconds in enumerate((5.0, 7.0, 100.0))]
    assert training(Costs(table(), three), model="cnn", seed=9) == pytest.approx(7)


def test_what_is_skipped_takes_a_process_and_no_more() -> None:
    assert training(Costs(table()), model="lstm") == 0
    assert training(Costs(table(), [record(0.3, "skipped", model="cnn")]), model="cnn") == 0
    once = [record(0.3, "skipped", model="cnn"), record(6.0, model="cnn", seed=1)]
    assert training(Costs(table(), once), model="cnn") == pytest.approx(6), "its data came later"


@pytest.mark.parametrize("status", ["failed", "diverged", "timeout", "out_of_memory"])
def test_a_failure_has_taken_its_time(status: Status) -> None:
    assert training(Costs(table(), [record(40.0, status, model="cnn")]), model="cnn") == pytest.approx(40)


def test_nothing_takes_longer_than_its_limit() -> None:
    assert Costs(table()).seconds(job(limit=5.0, model="cnn")) == 5.0


def test_steps_are_scaled_and_the_rest_is_not() -> None:
    known = Costs(table())
    assert training(known, model="mlp", budget_scale=0.1) == pytest.approx(2 * (FIXED_SHARE + 0.1 * (1 - FIXED_SHARE)))
    assert training(known, model="knn", budget_scale=0.1) == pytest.approx(2), "it has no steps"
    known.add(record(1.0, model="mlp", budget_scale=0.5))
    assert training(known, model="mlp", budget_scale=0.5) == pytest.approx(1)
    assert training(known, model="mlp") == pytest.approx(1 / (FIXED_SHARE + 0.5 * (1 - FIXED_SHARE)))


def test_the_speed_of_the_machine_is_the_median_ratio_to_the_table() -> None:
    known = Costs(table(), [record(1.0, model="mlp"), record(0.4, model="linear"), record(8.0, model="cnn")])
    assert training(known, task=B, model="cnn") == pytest.approx(2), "half of what the table says"
    assert training(known, model="cnn") == pytest.approx(8), "known here, whatever the speed"
    known.add(record(8.0, model="knn", recipe=None))
    assert training(known, task=B, model="cnn") == pytest.approx(4 * math.sqrt(0.5)), "between a half and one"


# --- what nobody has run ----------------------------------------------------------------------------------------------


def test_a_model_that_nobody_has_run_is_the_median_one_until_its_records_say_more() -> None:
    known = Costs(table())
    assert training(known, model="own-net@0a1b2c3d") == pytest.approx(2)
    assert training(known, task=B, model="own-net@0a1b2c3d") == pytest.approx(1)
    known.add(record(6.0, model="own-net@0a1b2c3d"))
    assert training(known, model="own-net@0a1b2c3d") == pytest.approx(6)
    assert training(known, task=B, model="own-net@0a1b2c3d") == pytest.approx(3 ** (1 / (1 + PRIOR)))
    assert training(known, task=B, model="cnn") == pytest.approx(4), "it says nothing of others"


def test_an_algorithm_costs_what_it_costs_elsewhere() -> None:
    known = Costs(table())
    assert training(known, model="cnn", algorithm="irm") == pytest.approx(8 * 1.5)
    assert training(known, model="own@00000000", algorithm="irm") == pytest.approx(2 * 1.5)
    assert training(known, model="cnn", algorithm="mine@00000000") == pytest.approx(8)
    known.add(record(16.0, model="mlp", algorithm="mine@00000000"))
    assert training(known, model="cnn", algorithm="mine@00000000") == pytest.approx(8 * 8 ** (1 / (1 + PRIOR)))


def test_a_model_and_an_algorithm_that_are_both_new_do_not_count_twice() -> None:
    new: dict[str, Any] = {"model": "own@00000000", "algorithm": "mine@00000000"}
    known = Costs(table(), [record(2 * 27.0, **new)])
    expected = 27 ** (1 / (1 + PRIOR)) * (27 / 27 ** (1 / (1 + PRIOR))) ** (1 / (1 + PRIOR))
    assert training(known, task=B, **new) == pytest.approx(expected)
    assert expected < 27


def test_what_can_be_told_to_be_skipped() -> None:
    known = Costs(table())
    assert training(known, task=B, model="cnn", algorithm="irm") == 0, "no network has environments there"
    assert training(known, model="knn", algorithm="irm") == 0, "it is not trained step by step"
    assert training(known, model="cnn", algorithm="coral") > 0, "one network without features is not all of them"
    assert training(known, model="lstm-large") == 0, "the small one is"
    known.add(record(1.0, model="own@00000000", recipe=None))
    assert training(known, model="own@00000000", algorithm="irm") == 0


def test_a_large_baseline_is_its_small_one_until_its_records_say_more() -> None:
    assert training(Costs(table()), model="cnn-large") == pytest.approx(8)
    known = Costs(table(), [record(64.0, model="cnn-large")])
    assert training(known, task=B, model="cnn-large") == pytest.approx(4 * 8 ** (1 / (1 + PRIOR)))


def test_a_task_that_nobody_has_run_costs_what_its_card_says() -> None:
    spec = registry.load(NOT_RUN).spec
    by_card = (spec.budget.core_seconds or costs.GUESSED_SECONDS) / len(spec.conditions)
    assert training(Costs.known(), task=NOT_RUN, model="mlp") == pytest.approx(by_card), (
        "of this model, not of the median"
    )
    known = Costs(table())
    assert training(known, task=NOT_RUN, model="mlp") == pytest.approx(by_card)
    assert training(known, task=NOT_RUN, model="cnn") == pytest.approx(4 * by_card)


def test_the_first_record_of_a_task_says_more_than_its_card() -> None:
    known = Costs(table(), [record(40.0, task=NOT_RUN, model="cnn")])
    assert training(known, task=NOT_RUN, model="linear") == pytest.approx(40 / 4 / 2)
    assert training(known, task=NOT_RUN, model="linear", condition="another") == pytest.approx(40 / 4 / 2)
    known.add(record(6.0, task=NOT_RUN, model="mlp", condition="another"))
    assert training(known, task=NOT_RUN, model="linear", condition="another") == pytest.approx(6 / 2)
    known.add(record(1.0, model="mlp"))
    assert training(known, task=NOT_RUN, model="cnn", condition="another") == pytest.approx(6 * 4), "seconds of here"


def test_a_place_of_a_folder_with_seconds_of_nothing_breaks_nothing() -> None:
    known = Costs(table(), [record(0.0, model="own@00000000"), record(0.0, model="mlp")])
    assert training(known, model="own@00000000") == 0
    assert training(known, task=B, model="own@00000000") == pytest.approx(1)


# --- the table that ships ---------------------------------------------------------------------------------------------


def test_a_table_is_the_medians_of_records_sorted_and_read_back(tmp_path: Path) -> None:
    measured = Measured()
    for each in (
        record(2.0, task=B), record(4.0, task=B, seed=1), record(3.12345, task=B, seed=2),
        record(0.1, "skipped", task=B, model="lstm"), record(0.1, task=B, model="knn", recipe=None),
        record(5.0, algorithm="irm"),
    ):  # fmt: skip
        measured.add(each)
    text = Table.of(measured).to_json()
    assert text == (
        '{"fitted": ["knn"],\n"seconds": {\n'
        '"shift/linear-unit-1-v1 default irm": {"mlp": 5.0},\n'
        '"shift/penguins-v1 default erm": {"knn": 0.1, "lstm": null, "mlp": 3.12}\n}}\n'
    )
    (tmp_path / "costs.json").write_text(text)
    assert Table.read(tmp_path / "costs.json") == Table.of(measured)
    assert Table.read().to_json() == TABLE.read_text()


def test_everything_of_the_suite_is_in_the_table_or_listed() -> None:
    places = Table.read().seconds
    in_table = [{p.task for p in places}, {p.model for p in places}, {p.algorithm for p in places}]
    suite = [set(registry.entries()), set(references.registered()), set(references.registered("algorithm"))]
    for names, there, listed in zip(suite, in_table, costs.unknown(Table.read()), strict=True):
        assert there & names | set(listed) == names and not there & set(listed)


def test_everything_of_the_suite_has_a_cost() -> None:
    known = Costs.known()
    pairs = [(model, "erm") for model in references.registered()]
    pairs += [("mlp", algorithm) for algorithm in references.registered("algorithm")]
    for task in registry.entries():
        for condition in registry.load(task).spec.conditions:
            for model, algorithm in pairs:
                expected = known.seconds(job(task=task, condition=condition.name, model=model, algorithm=algorithm))
                assert PROCESS_SECONDS <= expected < 3600, (task, condition, model, algorithm)


def test_the_table_is_small_and_read_at_once() -> None:
    assert TABLE.stat().st_size < 100_000
    took = []
    for _ in range(5):
        clock = time.process_time()
        Table.read()
        took.append(time.process_time() - clock)
    assert min(took) < 0.02


def test_parts_put_together_come_near_what_was_measured() -> None:
    """A tenth of the shipped places at a time is estimated from the others.

    A training that ends when it has its answer takes as long as that takes, which parts do not tell.
    """
    shipped = Table.read()
    places = [place for place, seconds in shipped.seconds.items() if seconds]
    random.Random(0).shuffle(places)
    near: dict[bool, list[bool]] = {True: [], False: []}
    sums = [0.0, 0.0]
    for fold in range(10):
        held = places[fold::10]
        rest = {place: seconds for place, seconds in shipped.seconds.items() if place not in held}
        by_parts = Estimates(Table(rest, shipped.fitted), {}, shipped.fitted)
        for place in held:
            expected = by_parts.seconds(place)
            error = abs(math.log(max(expected, 1e-3) / shipped.seconds[place]))
            ends_early = type(registry.load(place.task)).is_answered is not Task.is_answered
            near[ends_early].append(error < math.log(2))
            sums[0] += expected
            sums[1] += shipped.seconds[place]
    assert 0.67 < sums[0] / sums[1] < 1.5
    assert fmean(near[False]) > 0.7 and fmean(near[True]) > 0.5


@pytest.mark.slow
def test_the_shipped_table_is_that_of_the_public_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = "python -m benchmarks.costs leaderboard/public --out benchmarks/costs.json"
    assert costs.main([str(ROOT / "leaderboard" / "public"), "--out", str(tmp_path / "costs.json")]) == 0
    assert (tmp_path / "costs.json").read_text() == TABLE.read_text(), f"new public results: {command}"
    assert "no result of cnn-large" in capsys.readouterr().out


# --- the folder and the command ---------------------------------------------------------------------------------------


def test_a_sample_is_spread_over_a_folder_and_reads_no_more_than_asked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for task in (A, B):
        for seed in range(20):
            store.put(record(1.0, task=task, seed=seed, source_hash="0" * 64))
    (tmp_path / A / "mlp" / "erm" / "damaged.json").write_text("{")
    store.put(record(0.1, "skipped", model="lstm", source_hash="0" * 64))
    found = list(costs.sampled(tmp_path, most=10))
    assert 7 <= len(found) <= 10 and {each.trial.task for each in found} == {A, B}
    assert len(list(costs.sampled(tmp_path))) == 40
    assert list(costs.sampled(tmp_path / "nowhere")) == []


def test_the_command_writes_nothing_from_damaged_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Store(tmp_path / "results").put(record(1.5, source_hash="0" * 64))
    out = tmp_path / "costs.json"
    assert costs.main([str(tmp_path / "results"), "--out", str(out)]) == 0
    assert json.loads(out.read_text())["seconds"] == {f"{A} default erm": {"mlp": 1.5}}
    out.unlink()
    path.write_text("{")
    assert costs.main([str(tmp_path / "results"), "--out", str(out)]) == 1
    assert "not JSON" in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize(
    ("results", "out", "words"), [("nowhere", "x", "no results folder"), (".", "a/b", "cannot write")]
)
def test_bad_usage_is_told_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], results: str, out: str, words: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        costs.main([str(tmp_path / results), "--out", str(tmp_path / out)])
    assert ended.value.code == 2 and words in capsys.readouterr().err
