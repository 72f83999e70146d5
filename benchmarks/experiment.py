"""One command from plan to report: what is missing is run, written, mirrored and summed up."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from baselines.references import ModelReference, algorithms
from benchmarks import check, report
from benchmarks.frame import frame
from benchmarks.jobs import Job, plan
from benchmarks.progress import Display, duration
from benchmarks.records import Record
from benchmarks.store import Store, StoreError
from benchmarks.supervisor import Started, Supervisor
from benchmarks.tracking import Mirror, resolve_mode, sync_command
from tasks.registry import Entry, entries, load

OK, SOME_FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
MEMORY_GIB = 8.0
GUESSED_SECONDS = 8.0


def run(options: argparse.Namespace, entries: Sequence[Entry], models: Sequence[ModelReference]) -> int:
    """Do what the options say; the exit status of the command."""
    console = Console()
    store = Store(options.results)
    try:
        if not options.dry_run:
            store.check_writable()
        jobs = plan(entries, models, options.algorithm, options.seeds, options.budget_scale, code_version())
        missing = [job for job in jobs if is_missing(store.get(job.trial), options.retry)]
        expected = expected_seconds(missing, store) / options.jobs
        console.print(announcement(options, entries, models, jobs, missing, expected), highlight=False)
        if options.dry_run:
            return OK
        mirror = Mirror(store.root, resolve_mode(options.wandb, os.environ, Path.home()))
        if missing:
            for model in models:
                warn_of_broken_contract(model, console)
            supervise(missing, store, options, expected, console, mirror)
    except StoreError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return BAD_USAGE
    except KeyboardInterrupt:
        console.print("interrupted; what was finished is kept, and the same command does the rest")
        return INTERRUPTED
    records = [record for job in jobs if (record := store.get(job.trial)) is not None]
    report.print_report(console, records)
    for record in records:  # those too that an interrupted command left
        mirror.add(store.path(record.trial))
    if missing:
        mirror.report(report.report_table(records))
    close(console, store, mirror, records, len(missing))
    return SOME_FAILED if any(record.status not in ("ok", "skipped") for record in records) else OK


def announcement(
    options: argparse.Namespace,
    entries: Sequence[Entry],
    models: Sequence[ModelReference],
    jobs: Sequence[Job],
    missing: Sequence[Job],
    expected: float,
) -> str:
    """What is about to happen, in a line."""
    return (
        f"{len(jobs)} trials: {len(entries)} tasks, {len(models)} models, {options.seeds} seeds; "
        f"{len(jobs) - len(missing)} done, {len(missing)} to run, about {duration(expected)} with {options.jobs} jobs"
    )


def warn_of_broken_contract(model: ModelReference, console: Console) -> None:
    """Say what a submitted class breaks before time is spent on it; its trials run all the same and tell the rest."""
    if model.registered:
        return
    broken = [finding for finding in check.findings_of(model) if finding.verdict == "broken"]
    for finding in broken:
        where = f"{finding.problem}: " if finding.problem else ""
        console.print(f"{model.name}: {where}{finding.clause}: {finding.detail}", style="yellow", markup=False)
    if broken:
        console.print(f"{model.name} breaks the contract; python -m benchmarks.check shows every clause")


def is_missing(record: Record | None, retry: Sequence[str]) -> bool:
    """Whether a trial is still to be run: any valid record counts as done, unless its outcome is to be tried again."""
    return record is None or record.status in retry


def supervise(
    jobs: Sequence[Job],
    store: Store,
    options: argparse.Namespace,
    expected: float,
    console: Console,
    mirror: Mirror,
) -> None:
    """Run the jobs, show them, mirror each as it ends."""
    with (
        Supervisor(store, options.jobs, MEMORY_GIB, modules_of(jobs)) as supervisor,
        Display(console, len(jobs), expected, options.jobs) as display,
    ):
        for event in supervisor.run(jobs):
            if isinstance(event, Started):
                display.started(event.job)
            else:
                display.finished(event.job, event.record)
                mirror.add(store.path(event.job.trial))


def modules_of(jobs: Sequence[Job]) -> list[str]:
    """The modules of the suite's own tasks, baselines and algorithms that jobs use."""
    tasks = {entries()[job.trial.task].module for job in jobs}
    models = {job.model.location for job in jobs if job.model.registered}
    return sorted(tasks | models | {algorithms()[job.trial.algorithm][0] for job in jobs})


def close(console: Console, store: Store, mirror: Mirror, records: Sequence[Record], n_run: int) -> None:
    """The last lines: outcomes, where the results are, and what to do next."""
    tally = ", ".join(f"{n} {status}" for status, n in report.counts(records).items())
    lines = [f"{tally}; {n_run} run now. Results: {store.root}"]
    if warning := mirror.close():
        lines.append(f"warning: {warning}")
    if mirror.mode == "offline":
        lines.append(f"W&B, offline: {sync_command(store.root)}")
    lines.append(f"Site: python -m leaderboard.build {store.root} --out site")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def expected_seconds(jobs: Sequence[Job], store: Store) -> float:
    """Core seconds that jobs may take: from records of the same cell, else of the same task, else from its card."""
    if not jobs:
        return 0.0
    earlier = frame(store.root)
    if earlier.empty:
        return sum(card_seconds(job.trial.task) for job in jobs)
    by_cell = earlier.groupby(["task", "condition", "model"])["seconds"].mean().to_dict()
    by_task = earlier.groupby("task")["seconds"].mean().to_dict()
    trials = [job.trial for job in jobs]
    known = [by_cell.get((t.task, t.condition, t.model), by_task.get(t.task, card_seconds(t.task))) for t in trials]
    return float(sum(known))


def card_seconds(task_id: str) -> float:
    """What a trial may take by the task's card, or a guess."""
    spec = load(task_id).spec
    if spec.budget.core_seconds is None:
        return GUESSED_SECONDS
    return spec.budget.core_seconds / len(spec.conditions)


def code_version() -> str:
    """The commit of this checkout, with `-dirty` when it was edited; empty outside one."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
