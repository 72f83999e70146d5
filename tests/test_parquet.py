"""Results as a Parquet file: its columns, what stands in them, and that it is there whole or not at all."""

from __future__ import annotations

import math
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas
import pyarrow as pa
import pytest
from pyarrow import parquet as pq
from test_records import RECORD, TRIAL
from toy_results import record, write

from benchmarks import pack, parquet
from benchmarks.frame import frame
from benchmarks.records import InvalidRecord, Record, Trial, parse
from tasks.registry import load

FAILED = record(model="b", status="failed", reason="ValueError: <b>'quoted'\";\n\tщ 漢字 {}")
DOSED = record(seed=1, model="b", hparams={"width": 64, "act": None}, dose={"label-noise": 0.1}, tuned="oracle/5",
               recipe={"learning_rate": 0.1}, settings={"strength": 2}, left_out=None)  # fmt: skip
RECORDS = [record(seed=0, ood=0.7), record(seed=1, ood=0.9), record(model="b", seed=2, ood=0.5), FAILED, DOSED]


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_the_columns_are_these(tmp_path: Path) -> None:
    parquet.write(RECORDS, tmp_path / "results.parquet")
    schema = pq.read_schema(tmp_path / "results.parquet")
    assert [(field.name, str(field.type)) for field in schema] == [
        ("key", "string"), ("task", "string"), ("condition", "string"), ("model", "string"), ("algorithm", "string"),
        ("seed", "int64"), ("budget_scale", "double"), ("tuned", "string"), ("left_out", "int64"), ("draw", "string"),
        ("source_hash", "string"), ("algorithm_hash", "string"), ("dose", "string"), ("hparams", "string"),
        ("settings", "string"), ("recipe", "string"), ("status", "string"), ("reason", "string"), ("flags", "string"),
        ("selection", "string"), ("selected_step", "int64"), ("n_parameters", "int64"), ("seconds", "double"),
        ("started", "string"), ("first_row", "bool"), ("split", "string"), ("role", "string"), ("metric", "string"),
        ("headline", "bool"), ("value", "double"), ("last", "double"),
    ]  # fmt: skip
    assert {f.name for f in fields(Trial)} < set(schema.names)


def test_no_results_are_a_file_without_rows(tmp_path: Path) -> None:
    assert parquet.main([str(tmp_path), "--out", str(tmp_path / "new" / "results.parquet")]) == 0
    assert rows(tmp_path / "new" / "results.parquet") == []
    assert frame(tmp_path / "new" / "results.parquet").empty


def test_a_row_says_all_of_its_trial_and_one_value(tmp_path: Path) -> None:
    shown = replace(
        RECORD, last={"ood": {"accuracy": 0.25}}, flags=("transductive",), provenance={"started": "2026-05-04"}
    )
    parquet.write([shown], tmp_path / "f")
    first, second = rows(tmp_path / "f")
    assert first == {
        "key": TRIAL.key, "task": "shift/some-task-v1", "condition": "default", "model": "mlp", "algorithm": "erm",
        "seed": 0, "budget_scale": 1.0, "tuned": "", "left_out": None, "draw": TRIAL.draw, "source_hash": "0" * 64,
        "algorithm_hash": "", "dose": "{}", "hparams": '{"width":128}', "settings": "{}", "recipe": "{}",
        "status": "ok", "reason": "", "flags": "transductive", "selection": "iid-validation", "selected_step": 10,
        "n_parameters": 12, "seconds": 1.5, "started": "2026-05-04", "first_row": True, "split": "ood", "role": None,
        "metric": "accuracy", "headline": None, "value": 0.5, "last": 0.25,
    }  # fmt: skip
    assert second == first | {"first_row": False, "metric": "nll", "value": 1.25, "last": None}


def test_a_trial_without_values_has_one_row(tmp_path: Path) -> None:
    parquet.write([FAILED], tmp_path / "f")
    (row,) = rows(tmp_path / "f")
    assert (row["status"], row["reason"], row["first_row"]) == ("failed", FAILED.reason, True)
    assert [row[name] for name in ("split", "role", "metric", "headline", "value", "last")] == [None] * 6


def test_a_card_says_the_roles_of_splits_and_which_metric_is_the_headline(tmp_path: Path) -> None:
    spec = load("shift/colored-digits-v1").spec
    scores = {split.name: {spec.metric: 0.5, "nll": 1.0} for split in spec.splits if split.role != "train"}
    one = Record(replace(TRIAL, task=spec.id), "ok", scores=scores | {"strange": {"nll": 1.0}}, last=scores)
    parquet.write([one], tmp_path / "f")
    roles = {split.name: split.role for split in spec.splits} | {"strange": None}
    for row in rows(tmp_path / "f"):
        assert (row["role"], row["headline"]) == (roles[row["split"]], row["metric"] == spec.metric)


@pytest.mark.parametrize("packed", [False, True])
def test_a_mean_by_task_and_model_is_a_filter_and_a_group(tmp_path: Path, packed: bool) -> None:
    write(tmp_path / "results", *RECORDS)
    if packed:
        assert pack.main([str(tmp_path / "results")]) == 0
    out = tmp_path / "results.parquet"
    assert parquet.main([str(tmp_path / "results"), "--out", str(out)]) == 0
    asked = [("split", "==", "ood"), ("metric", "==", "accuracy"), ("dose", "==", "{}")]
    table = pq.read_table(out, columns=["task", "model", "value"], filters=asked)
    found = table.group_by(["task", "model"]).aggregate([("value", "mean")]).to_pylist()
    means = {(row["task"], row["model"]): row["value_mean"] for row in found}
    assert means == {("toy/flat-v1", "mlp"): fmean([0.7, 0.9]), ("toy/flat-v1", "b"): 0.5}
    trials = pq.read_table(out, filters=[("first_row", "==", True)])
    assert sorted(trials["key"].to_pylist()) == sorted(r.key for r in RECORDS)


def test_a_frame_of_the_file_is_that_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "results", *RECORDS, record("toy/error-v1", "c", ood=3), record("toy/ladder-v1", condition="a"))
    assert parquet.main([str(tmp_path / "results"), "--out", str(tmp_path / "f")]) == 0
    own = frame(tmp_path / "results")
    pandas.testing.assert_frame_equal(frame(tmp_path / "f"), own)
    assert {"task", "flags", "dose.label-noise", "hparams.width", "settings.strength", "ood/accuracy", "ood/mse"} < set(
        own.columns
    )
    assert own.loc[own["seed"] == 0, "ood/accuracy"].dropna().tolist() == [0.7, 0.75]


def test_a_frame_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    parquet.write(RECORDS, tmp_path / "f")
    table = pq.read_table(tmp_path / "f")
    pq.write_table(table.take(list(range(len(table)))[::-1]), tmp_path / "turned")
    turned = frame(tmp_path / "turned").iloc[::-1].reset_index(drop=True)
    pandas.testing.assert_frame_equal(turned, frame(tmp_path / "f"), check_like=True)


def test_another_parquet_file_is_no_frame(tmp_path: Path) -> None:
    pq.write_table(pa.table({"task": ["a"]}), tmp_path / "f")
    with pytest.raises(ValueError, match="other columns"):
        frame(tmp_path / "f")


def test_of_a_trial_in_several_folders_the_first_folder_s_record_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "mine", record(ood=0.1))
    write(tmp_path / "others", record(ood=0.2), record(seed=1, ood=0.3))
    roots = [str(tmp_path / name) for name in ("mine", "others", "mine")]
    assert parquet.main([*roots, "--out", str(tmp_path / "f")]) == 0
    assert sorted(row["value"] for row in rows(tmp_path / "f") if row["split"] == "ood") == [0.1, 0.3]


def test_damaged_files_are_named_and_all_others_are_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "results", *RECORDS)
    bad = next((tmp_path / "results").glob("*/*/*/*/*.json"))
    bad.write_text("{")
    assert parquet.main([str(tmp_path / "results"), "--out", str(tmp_path / "f")]) == 1
    streams = capsys.readouterr()
    assert f"damaged {bad}: not JSON" in streams.err and streams.out.startswith("4 results, ")
    assert len({row["key"] for row in rows(tmp_path / "f")}) == 4


def test_a_folder_that_is_not_there_and_one_that_cannot_be_written_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert parquet.main([str(tmp_path / "none"), "--out", str(tmp_path / "f")]) == 2
    assert "no results folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert parquet.main([str(tmp_path), "--out", str(tmp_path / "file" / "f")]) == 2
    assert "error: cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["scores", "last", "seconds"])
def test_a_number_that_is_not_finite_is_refused_and_the_old_file_stays(
    tmp_path: Path, number: float, where: str
) -> None:
    parquet.write(RECORDS, tmp_path / "f")
    before = (tmp_path / "f").read_bytes()
    scores = {"ood": {"accuracy": number, "nll": number}}
    changes: dict[str, Any] = {where: number if where == "seconds" else scores}
    with pytest.raises(InvalidRecord, match="not a finite number"):
        parquet.write([RECORDS[0], replace(RECORD, **changes)], tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_whole_numbers_of_any_size_are_values(tmp_path: Path) -> None:
    shown = parse(replace(RECORD, scores={"ood": {"mse": 10**300, "r2": 1}}, seconds=3).to_json())
    parquet.write([shown], tmp_path / "f")
    assert [row["value"] for row in rows(tmp_path / "f")] == [1e300, 1.0]


def varied(n: int) -> Iterator[Record]:
    """Many records, made as they are asked for."""
    for seed in range(n):
        yield replace(RECORD, trial=replace(TRIAL, seed=seed))


def test_records_are_let_go_as_row_groups_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Record]] = []
    alive: list[int] = []

    def watched() -> Iterator[Record]:
        for each in varied(60):
            made.append(weakref.ref(each))
            alive.append(sum(ref() is not None for ref in made))
            yield each

    monkeypatch.setattr(parquet, "ROWS", 20)
    assert parquet.write(watched(), tmp_path / "f") == 60
    assert max(alive) <= 3
    file = pq.ParquetFile(tmp_path / "f")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [20] * 6
    assert [row["seed"] for row in rows(tmp_path / "f") if row["first_row"]] == list(range(60))


WRITE_FOR_EVER = """
import itertools, sys
from dataclasses import replace
from pathlib import Path
from benchmarks import parquet
from benchmarks.records import parse
one = parse(sys.stdin.read())
parquet.ROWS = 50
parquet.write((replace(one, trial=replace(one.trial, seed=seed)) for seed in itertools.count()), Path(sys.argv[1]))
"""


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    parquet.write(RECORDS, tmp_path / "f")
    before = (tmp_path / "f").read_bytes()
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "f")]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as writer:
        assert writer.stdin is not None
        writer.stdin.write(RECORD.to_json().encode())
        writer.stdin.close()
        while not any(path.stat().st_size > 10_000 for path in tmp_path.glob(".f.*.tmp")):
            assert writer.poll() is None
            time.sleep(0.01)
        writer.kill()
    assert (tmp_path / "f").read_bytes() == before
