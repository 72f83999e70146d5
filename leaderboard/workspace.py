"""A dashboard of Weights & Biases for runs that `benchmarks.run` mirrored: a section a family, panels for every task.

    python -m leaderboard.workspace --out workspace.json                       build it here, for a look
    python -m leaderboard.workspace --entity ME --project offpiste --push      save it as a view of the project

Runs are grouped by model and algorithm. Every panel reads keys that `benchmarks.tracking` logs under the task's own
name. The score of a task that compares several trainings is in no single run: the tables of the report have it, with
intervals and failures. This is the only module that imports wandb_workspaces, an optional library.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.registry import entries, load
from tasks.types import TaskSpec

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

OK, FAILED, BAD_USAGE = 0, 1, 2
INSTALL = "pip install 'wandb-workspaces>=0.4.13,<0.5'"
HOST = "api.wandb.ai"
REPORT_TABLES = ("cells", "failures")
MOST_BARS = 60
PROJECT = re.compile(r"[^/\\#?%:\x00-\x1f]{1,128}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard.workspace", description=__doc__.splitlines()[0])
    parser.add_argument("--entity", default="", help="user or team that owns the project; needed with --push")
    parser.add_argument("--project", default="offpiste", help="default: offpiste, where runs are mirrored")
    parser.add_argument("--name", default="Offpiste", help="name of the view (default: Offpiste)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the view as JSON (default: print it)")
    parser.add_argument("--push", action="store_true", help="save the view in the project")
    options = parser.parse_args(arguments)
    if not PROJECT.fullmatch(options.project):
        return refuse(f"{options.project!r} is no name of a W&B project: 1 to 128 characters, none of / \\ # ? % :")
    if options.push and (reason := cannot_push(options.entity, os.environ, Path.home())):
        return refuse(reason)
    try:
        view = workspace(options.entity, options.project, options.name)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("wandb_workspaces"):
            raise
        return refuse(f"the library of W&B's workspaces is not installed: {INSTALL}")
    if options.push:
        return push(view)
    text = json.dumps(as_json(view), indent=1, sort_keys=True) + "\n"
    if options.out:
        try:
            options.out.write_text(text, encoding="utf-8")
        except OSError as error:
            return refuse(f"the view cannot be written: {error}; name another file with --out")
        print(f"{sum(len(s.panels) for s in view.sections)} panels in {len(view.sections)} sections: {options.out}")
    else:
        sys.stdout.write(text)
    return OK


def refuse(reason: str) -> int:
    """Say what is missing."""
    print(f"error: {reason}", file=sys.stderr)
    return BAD_USAGE


def cannot_push(entity: str, environment: Mapping[str, str], home: Path) -> str:
    """Why a view cannot be saved, or nothing."""
    if not entity:
        return "say with --entity which user or team owns the project"
    try:
        netrc = (home / ".netrc").read_text()
    except OSError:
        netrc = ""
    host = environment.get("WANDB_BASE_URL", HOST).removeprefix("https://").removeprefix("http://").strip("/")
    if not environment.get("WANDB_API_KEY") and host not in netrc:
        return "there is no key of W&B: set WANDB_API_KEY or run `wandb login`; without --push no key is needed"
    return ""


def push(view: Workspace) -> int:
    """Save the view in its project."""
    untyped: Any = view
    try:
        print(untyped.save().url)
    except Exception as error:  # whatever W&B raises: no network, a wrong key, no such project
        print(f"error: W&B did not take the view: {type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    return OK


def as_json(view: Workspace) -> dict[str, Any]:
    """The view as W&B stores it. The library gives panels ids at random."""
    body: dict[str, Any] = view._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return body


def workspace(entity: str, project: str, name: str) -> Workspace:
    """The view: the report's tables, then every family.

    Raises:
        ModuleNotFoundError: when wandb_workspaces is not installed.
    """
    import wandb_workspaces.workspaces as ws

    specs = [load(task_id).spec for task_id in sorted(entries())]
    families = groupby(specs, key=lambda spec: spec.family)
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[report_section(), *(family_section(family, list(found)) for family, found in families)],
        settings=ws.WorkspaceSettings(x_axis="step", max_runs=MOST_BARS),
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Config("model"), ws.Config("algorithm")],
            pinned_columns=["config:task", "config:model", "config:algorithm", "config:seed", "summary:status"],
        ),
    )


def report_section() -> Section:
    """The tables of report runs: every cell with its interval, and every failure with its reason."""
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.reports.v2 import interface as wr

    panels: list[Any] = [wr.WeavePanelSummaryTable(table_name=name) for name in REPORT_TABLES]
    layout = ws.SectionLayoutSettings(columns=1, rows=len(panels))
    return ws.Section(name="Report: cells and failures", panels=panels, is_open=True, layout_settings=layout)


def family_section(family: str, specs: Sequence[TaskSpec]) -> Section:
    """Three panels a task."""
    import wandb_workspaces.workspaces as ws

    panels = [panel for spec in specs for panel in task_panels(spec)]
    layout = ws.SectionLayoutSettings(columns=3, rows=4)
    return ws.Section(name=family, panels=panels, is_open=True, layout_settings=layout)


def task_panels(spec: TaskSpec) -> list[Any]:
    """What counts, the metric in distribution, and the learning curves in and out of distribution."""
    from wandb_workspaces.reports.v2 import interface as wr

    name, metric = spec.id.partition("/")[2], spec.metric.replace("_", " ")
    roles = [role for role in ("iid", "ood") if spec.with_role(role)]
    bars = {key: f"{name}: {what}" for key, what in bars_of(spec).items()}
    shared: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stderr"}
    return [
        *(wr.BarPlot(title=title, metrics=[key], max_bars_to_show=MOST_BARS, **shared) for key, title in bars.items()),
        wr.LinePlot(
            title=f"{name}: {metric} while training",
            x="step",
            y=[f"{spec.id}/{role}" for role in roles or ["val"]],
            title_x="optimizer steps",
            title_y=metric,
            **shared,
        ),
    ]


def bars_of(spec: TaskSpec) -> dict[str, str]:
    """The keys that are shown as bars, with what they mean."""
    better = "higher is better" if spec.higher_is_better else "lower is better"
    metric = f"{spec.metric.replace('_', ' ')}, {better}"
    found = {}
    if spec.scored and len(spec.conditions) == 1:
        found[f"{spec.id}/score"] = "score (0 floor, 1 ceiling)"
    elif spec.with_role("ood"):
        found[f"{spec.id}/ood"] = f"out of distribution, {metric}"
    if spec.with_role("iid"):
        found[f"{spec.id}/iid"] = f"in distribution, {metric}"
    return found


if __name__ == "__main__":
    raise SystemExit(main())
