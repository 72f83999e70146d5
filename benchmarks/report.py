"""What a run prints at its end: a table of scores with intervals, what failed and why, and the way on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.cells import CellKey, Outcome, outcomes
from benchmarks.records import Record
from benchmarks.statistics import mean_interval

MODEL_WIDTH = 13
TASK_WIDTH = 26
FAILURES_SHOWN = 12
MARKS = {
    "failed": "failed", "diverged": "diverged", "timeout": "timeout", "out_of_memory": "memory", "skipped": "-",
    "incomplete": "not run",
}  # fmt: skip
Cells = Mapping[tuple[str, str], Mapping[int, Outcome]]


def print_report(console: Console, records: Sequence[Record]) -> None:
    """The table of scores, in blocks of models that fit the width, then the failures."""
    cells = by_task_and_model(outcomes(records))
    tasks = sorted({task for task, _ in cells})
    models = sorted({model for _, model in cells}, key=lambda m: [r.trial.model for r in records].index(m))
    per_block = max(1, (console.width - TASK_WIDTH) // (MODEL_WIDTH + 2))
    for start in range(0, len(models), per_block):
        console.print(score_table(cells, tasks, models[start : start + per_block]))
    console.print(
        "Score: 0 is the shortcut's (or chance's) solution, 1 the oracle's. Mean ± half width of the 95 % t interval "
        "over seeds. [dim]-[/] skipped, [yellow]*[/] below the in-distribution gate in some seed.",
        highlight=False,
    )
    print_failures(console, records)


def by_task_and_model(found: Mapping[CellKey, Mapping[int, Outcome]]) -> dict[tuple[str, str], Mapping[int, Outcome]]:
    """Cells of one command, in which a task and a model's name say everything."""
    return {(key.task, key.model): seeds for key, seeds in found.items()}


def score_table(cells: Cells, tasks: Sequence[str], models: Sequence[str]) -> Table:
    """One block: tasks down, models across."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1))
    table.add_column("task", no_wrap=True)
    for model in models:
        table.add_column(escape(model), justify="right", overflow="fold")
    for task in tasks:
        table.add_row(escape(task), *(cell_text(cells.get((task, model), {})) for model in models))
    return table


def cell_text(seeds: Mapping[int, Outcome]) -> str:
    """`0.53 ± 0.04`, or what happened instead."""
    summaries = [outcome.summary for outcome in seeds.values() if outcome.summary is not None]
    bad = [outcome.status for outcome in seeds.values() if outcome.summary is None]
    if not summaries:
        return f"[dim]{MARKS[bad[0]]}[/]" if bad and bad[0] == "skipped" else f"[red]{MARKS[bad[0]]}[/]" if bad else ""
    estimate = mean_interval([summary.scores["score"] for summary in summaries])
    text = f"{estimate.mean:.2f}" + (f" ± {estimate.half_width:.2f}" if estimate.half_width is not None else "")
    gate = "" if all(summary.trained for summary in summaries) else "[yellow]*[/]"
    lost = f" [red]{len(bad)} {MARKS[bad[0]]}[/]" if bad else ""
    return text + gate + lost


def print_failures(console: Console, records: Sequence[Record]) -> None:
    """Every kind of failure once, with how often and an example."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if record.status not in ("ok", "skipped"):
            groups.setdefault((record.trial.model, record.status, record.reason), []).append(record)
    for (model, status, reason), found in list(groups.items())[:FAILURES_SHOWN]:
        example = found[0].trial
        console.print(
            f"[red]{status}[/] {escape(model)}, {len(found)} trial{'s' * (len(found) > 1)} "
            f"(such as {escape(example.task)}, seed {example.seed}): {escape(reason)}",
            highlight=False,
        )
    if len(groups) > FAILURES_SHOWN:
        console.print(f"and {len(groups) - FAILURES_SHOWN} more kinds of failure, in the result files")


def report_table(records: Sequence[Record]) -> dict[str, Any]:
    """The same as plain data, a row a cell."""
    rows = []
    for key, seeds in outcomes(records).items():
        summaries = [outcome.summary for outcome in seeds.values() if outcome.summary is not None]
        estimate = mean_interval([s.scores["score"] for s in summaries]) if summaries else None
        score = [estimate.mean, estimate.half_width] if estimate else [None, None]
        bad = sum(outcome.status not in ("ok", "skipped") for outcome in seeds.values())
        rows.append([key.task, key.model, key.algorithm, *score, len(summaries), bad])
    columns = ["task", "model", "algorithm", "score", "half_width_95", "seeds", "failed_seeds"]
    return {"columns": columns, "rows": rows}
