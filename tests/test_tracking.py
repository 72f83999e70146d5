"""The W&B mirror: what is in an offline run equals the record, nothing of the machine is in it, no error gets out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import jobs_for
from test_records import RECORD, TRIAL

from benchmarks.cells import cells_of
from benchmarks.records import SEARCH, Record
from benchmarks.report import report_table
from benchmarks.store import Store
from benchmarks.tracking import Mirror, failure_table, resolve_mode, sync_command
from benchmarks.trial import run_trial
from tasks.registry import load

ROOT = Path(__file__).parents[1]


def log_of(run: Path) -> list[dict[str, Any]]:
    """The records of an offline run, read back with W&B's own tool."""
    wandb = Path(sys.executable).with_name("wandb")
    done = subprocess.run(
        [wandb, "leet", "inspect", "--json", str(run)], capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_offline_runs_hold_what_the_records_hold(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    failed = replace(
        RECORD, trial=replace(TRIAL, seed=1), status="failed", reason="ValueError: no", scores={}, curve=[]
    )
    mirror = Mirror(store.root, "offline")
    for record in (RECORD, failed, RECORD):
        mirror.add(store.put(record))
    mirror.report({"cells": {"columns": ["task", "score"], "rows": [["shift/some-task-v1", 0.5]]}})
    assert mirror.close() == ""
    runs = sorted((store.root / "wandb").glob("offline-run-*"))
    assert len(runs) == 3, "one run a trial, the repeated one once, and one report"

    by_name = {}
    for run in runs:
        lines = log_of(run)
        header = next(line["run"] for line in lines if line["type"] == "run")
        by_name[header["display_name"]] = (header, lines)
    header, lines = by_name["shift/some-task-v1 default mlp erm s0"]
    config = header["config"]["update"]
    assert config["task"] == TRIAL.task and config["seed"] == 0 and config["hparams.width"] == 128
    assert header["run_group"] == "shift/some-task-v1/default/mlp/erm" and header["job_type"] == "train"
    summary = {k: v for line in lines if line["type"] == "summary" for k, v in line["summary"]["update"].items()}
    assert summary["ood/accuracy"] == 0.5 and summary["last/ood/accuracy"] == 0.25 and summary["status"] == "ok"
    history = [line["history"]["item"] for line in lines if line["type"] == "history"]
    assert [point["step"] for point in history] == [10, 20] and history[1]["loss"] == 0.5
    assert "ValueError: no" in json.dumps(by_name["shift/some-task-v1 default mlp erm s1"][1])

    # the report's table stays in a local file until it is synced, so its run must name that file
    trials = json.dumps([lines for name, (_, lines) in by_name.items() if name != "report"])
    for secret in (socket.gethostname() + '"', str(Path.home()) + "/", str(ROOT)):
        assert secret not in trials


def keys_of(lines: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The history and the summary of a run."""
    history = [line["history"]["item"] for line in lines if line["type"] == "history"]
    summary = {k: v for line in lines if line["type"] == "summary" for k, v in line["summary"]["update"].items()}
    return history, summary


def test_a_command_leaves_a_report_with_intervals_and_failures_and_runs_with_keys_of_their_task(tmp_path: Path) -> None:
    task, store = "shift/linear-unit-1-v1", Store(tmp_path / "results")
    records = [run_trial(job) for job in jobs_for(["linear"], task, seeds=3, scale=0.02)]
    records[2] = Record(records[2].trial, "timeout", "over its limit of 3 s", seconds=3.0)
    searched = replace(records[0], trial=replace(records[0].trial, tuned=SEARCH))
    mirror = Mirror(store.root, "offline")
    for each in (*records, searched):
        mirror.add(store.put(each))
    mirror.report({"cells": report_table(records), "failures": failure_table(records)})
    assert mirror.close() == ""

    tables = {}
    for path in (store.root / "wandb").glob("offline-run-*/files/media/table/*.table.json"):
        body = json.loads(path.read_text())
        tables[path.name.split("_")[0]] = [dict(zip(body["columns"], row, strict=True)) for row in body["data"]]
    (cell,) = (row for row in tables["cells"] if row["what"] == "score")
    (expected,) = cells_of(records)
    assert expected.score is not None and expected.score.half_width is not None
    assert (cell["task"], cell["model"], cell["seeds"], cell["failed_seeds"]) == (task, "linear", 3, 1)
    assert cell["value"] == pytest.approx(expected.score.mean)
    assert cell["half_width_95"] == pytest.approx(expected.score.half_width)
    (failure,) = tables["failures"]
    assert (failure["seed"], failure["status"], failure["reason"]) == (2, "timeout", "over its limit of 3 s")

    found = {}
    for run in (store.root / "wandb").glob("offline-run-*"):
        lines = log_of(run)
        header = next(line["run"] for line in lines if line["type"] == "run")
        found[header["display_name"], "search" in header.get("run_group", "")] = keys_of(lines)
    assert len(found) == 5
    history, summary = found[f"{task} default linear erm s0", False]
    spec, counted = load(task).spec, {outcome.seed: outcome.counted for outcome in expected.outcomes}
    names = [split.name for split in spec.with_role("ood")]
    by_hand = [sum(p["scores"][name][spec.metric] for name in names) / len(names) for p in records[0].curve]
    assert [point[f"{task}/ood"] for point in history] == pytest.approx(by_hand)
    assert summary[f"{task}/score"] == pytest.approx(counted[0])
    timed_out = found[f"{task} default linear erm s2", False][1]
    assert timed_out[f"{task}/score"] == -0.25 and f"{task}/ood" not in timed_out
    tried = found[f"{task} default linear erm s0", True]
    assert not [key for part in (*tried[0], tried[1]) for key in part if key.startswith(task)], "no result"


def test_what_is_mirrored_is_not_mirrored_again_by_a_later_command(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(RECORD)
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-m", "benchmarks.tracking", str(tmp_path), "--mode", "offline"], cwd=ROOT, check=True,
            capture_output=True, timeout=100, env=os.environ | {"WANDB_SILENT": "true"},
        )  # fmt: skip
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1


@pytest.mark.parametrize(
    ("flag", "environment", "netrc", "expected"),
    [
        ("disabled", {"WANDB_MODE": "online"}, "", "disabled"),
        (None, {"WANDB_MODE": "offline", "WANDB_API_KEY": "k"}, "", "offline"),
        (None, {"WANDB_API_KEY": "k"}, "", "online"),
        (None, {}, "machine api.wandb.ai", "online"),
        (None, {}, "", "offline"),
    ],
)
def test_the_flag_then_the_variable_then_the_key_decides(
    tmp_path: Path, flag: Any, environment: dict[str, str], netrc: str, expected: str
) -> None:
    if netrc:
        (tmp_path / ".netrc").write_text(netrc)
    assert resolve_mode(flag, environment, tmp_path) == expected


def test_a_broken_mirror_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    path = store.put(RECORD)
    (tmp_path / "wandb").write_text("not a folder")
    mirror = Mirror(tmp_path, "offline")
    mirror.add(path)
    assert mirror.close() != ""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    mirror = Mirror(tmp_path, "offline")
    mirror.add(path)
    assert "W&B mirror stopped" in mirror.close()


def test_a_disabled_mirror_starts_nothing(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, "disabled")
    mirror.add(tmp_path / "x.json")
    assert mirror.process is None and mirror.close() == ""


def test_the_sync_command_names_the_folder() -> None:
    assert sync_command(Path("results")) == "wandb sync --include-offline results/wandb/offline-run-*"
