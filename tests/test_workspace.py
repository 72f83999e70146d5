"""The W&B dashboard: it builds without an account, and every panel reads a key that runs really have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import jobs_for

from benchmarks.records import Record
from benchmarks.tracking import config_of, counted_score, failure_table, under_task
from benchmarks.trial import run_trial
from leaderboard import workspace
from tasks import registry

ROOT = Path(__file__).parents[1]
SINGLE, SEVERAL = "shift/linear-unit-1-v1", "shift/reweight-v1"


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the command writes, with no key and nothing but the library."""
    pytest.importorskip("wandb_workspaces")
    out = tmp_path_factory.mktemp("view") / "workspace.json"
    home = tmp_path_factory.mktemp("home")
    hidden = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL")
    environment = {k: v for k, v in os.environ.items() if k not in hidden} | {"HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "leaderboard.workspace", "--out", out], cwd=ROOT, env=environment, capture_output=True,
        text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def sections(view: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {section["name"]: section["panels"] for section in view["section"]["panelBankConfig"]["sections"]}


def metrics(view: dict[str, Any], family: str = "") -> list[str]:
    """The keys that panels read, each time that one does."""
    shown = [panel for name, panels in sections(view).items() if family in ("", name) for panel in panels]
    return [key for panel in shown for key in panel["config"].get("metrics", [])]


def test_there_is_a_section_for_the_report_and_one_for_every_family(view: dict[str, Any]) -> None:
    families = {task_id.split("/")[0] for task_id in registry.entries()}
    report, *others = sections(view)
    assert report.startswith("Report") and set(others) == families
    for family in families:
        assert all(key.startswith(f"{family}/") for key in metrics(view, family))


def test_every_task_has_panels_and_curves_over_the_step_of_training(view: dict[str, Any]) -> None:
    curves = [p["config"] for ps in sections(view).values() for p in ps if p["viewType"] == "Run History Line Plot"]
    assert len(curves) == len(registry.entries()) and {config["xAxis"] for config in curves} == {"step"}
    shown = Counter(key.rpartition("/")[0] for key in metrics(view))
    assert shown.keys() == registry.entries().keys()


def test_runs_are_grouped_by_model_and_algorithm(view: dict[str, Any]) -> None:
    (runs,) = view["section"]["runSets"]
    assert [key["name"].removesuffix(".value") for key in runs["grouping"]] == ["model", "algorithm"]
    (record,) = (Record(job.trial, "skipped") for job in jobs_for(["linear"], SINGLE))
    columns = [column.partition(":") for column in runs["runFeed"]["columnPinned"]]
    assert {name for kind, _, name in columns if kind == "config"} <= config_of(record).keys()


@pytest.mark.parametrize("task", [SINGLE, SEVERAL])
def test_panels_read_what_a_trial_logs(view: dict[str, Any], task: str) -> None:
    (job,) = jobs_for(["linear"], task, scale=0.02)
    record = run_trial(job)
    logged = under_task(record.trial, record.scores).keys() | counted_score(record).keys()
    wanted = {key for key in metrics(view) if key.startswith(f"{task}/")}
    assert wanted <= logged
    assert (f"{task}/score" in wanted) is (task == SINGLE), "one of several trainings has no score"


def test_the_report_s_tables_are_those_of_a_report_run(view: dict[str, Any]) -> None:
    (report,) = (panels for name, panels in sections(view).items() if name.startswith("Report"))
    text = json.dumps(report)
    assert len(report) == 2 and all(f'"val": "{name}"' in text for name in workspace.REPORT_TABLES)
    assert failure_table([])["columns"][-1] == "reason"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pydantic, when the library is imported
def test_the_same_view_again_but_for_random_ids(view: dict[str, Any]) -> None:
    pytest.importorskip("wandb_workspaces")
    again = workspace.as_json(workspace.workspace("", "offpiste", "Offpiste"))
    assert without_ids(again) == without_ids(view)


def without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key != "__id__"}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("entity", "environment", "netrc", "words"),
    [
        ("", {"WANDB_API_KEY": "k"}, "", "--entity"),
        ("me", {}, "", "there is no key of W&B"),
        ("me", {"WANDB_BASE_URL": "https://wandb.example.org"}, "machine api.wandb.ai", "there is no key of W&B"),
        ("me", {"WANDB_API_KEY": "k"}, "", ""),
        ("me", {}, "machine api.wandb.ai", ""),
        ("me", {"WANDB_BASE_URL": "https://wandb.example.org/"}, "machine wandb.example.org", ""),
    ],
)
def test_nothing_is_pushed_without_an_owner_and_a_key(
    tmp_path: Path, entity: str, environment: dict[str, str], netrc: str, words: str
) -> None:
    if netrc:
        (tmp_path / ".netrc").write_text(netrc)
    reason = workspace.cannot_push(entity, environment, tmp_path)
    assert words in reason and bool(words) == bool(reason)


def test_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert workspace.main(["--push", "--entity", "me"]) == 2
    assert "wandb login" in capsys.readouterr().err


def test_without_the_library_the_command_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert workspace.main([]) == 2
    assert workspace.INSTALL in capsys.readouterr().err


def test_a_refusal_of_w_and_b_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing:
        def save(self) -> None:
            raise ConnectionError("no route to host")

    assert workspace.push(Refusing()) == 1  # type: ignore[arg-type]
    assert "ConnectionError: no route to host" in capsys.readouterr().err
