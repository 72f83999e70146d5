"""One command from plan to report: what is missing is run, written, mirrored and summed up."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from baselines.references import Reference, UnusableClass
from benchmarks import check, report, tuning
from benchmarks.findings import printable
from benchmarks.frame import frame
from benchmarks.jobs import Job, plan, stacks, swept
from benchmarks.live import Journal
from benchmarks.progress import Display, duration
from benchmarks.records import Record, Status
from benchmarks.site_process import SiteProcess
from benchmarks.store import Store, StoreError
from benchmarks.supervisor import Finished, Started, Supervisor
from benchmarks.tracking import Mirror, failure_table, resolve_mode, sync_command
from tasks.registry import Entry, UnknownName, entries, load, nearest

OK, SOME_FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
MEMORY_GIB = 8.0
GUESSED_SECONDS = 8.0


@dataclass(frozen=True)
class Experiment:
    """What one command is about: its options, and what it crosses."""

    options: argparse.Namespace
    entries: Sequence[Entry]
    models: Sequence[Reference]
    algorithms: Sequence[Reference]
    console: Console
    store: Store
    mirror: Mirror
    journal: Journal
    site: SiteProcess

    def jobs(self) -> list[Job]:
        """The reported trials as they stand, without a search."""
        scale = self.options.budget_scale
        check_doses(self.options.sweep, self.entries)
        planned = plan(self.entries, self.models, self.algorithms, self.options.seeds, scale, code_version())
        return [*planned, *swept(planned, self.options.sweep)]

    def do(self, jobs: Sequence[Job], purpose: str = "trials") -> int:
        """Run what is missing of the jobs; how many were run. In a dry run only say what would be."""
        before = {job.trial.key: record.status for job in jobs if (record := self.store.get(job.trial)) is not None}
        missing = [job for job in jobs if is_missing(before.get(job.trial.key), self.options.retry)]
        expected = expected_seconds(missing, self.store) / self.options.jobs
        self.console.print(self.announcement(jobs, missing, expected, purpose), highlight=False)
        if not missing or self.options.dry_run:
            return 0
        self.journal.begin(purpose, jobs, before, missing, expected)
        self.site.start()
        with (
            Supervisor(self.store, self.options.jobs, MEMORY_GIB, modules_of(missing)) as supervisor,
            Display(self.console, len(missing), expected, self.options.jobs) as display,
        ):
            for event in supervisor.run(stacks(missing, self.options.jobs), before):
                if isinstance(event, Started):
                    display.started(event.job)
                    self.journal.started(event.job)
                elif isinstance(event, Finished):
                    display.finished(event.job, event.record)
                    self.journal.finished(event.job, event.record)
                    self.mirror.add(self.store.path(event.job.trial))
                elif self.journal.beat(supervisor.curves) and (warning := self.site.fresh_warning()):
                    self.console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)
        return len(missing)

    def announcement(self, jobs: Sequence[Job], missing: Sequence[Job], expected: float, purpose: str) -> str:
        """What is about to happen, in a line."""
        crossed = [counted(self.entries, "task"), counted(self.models, "model")]
        if len(self.algorithms) > 1:
            crossed.append(counted(self.algorithms, "algorithm"))
        crossed.append(counted({job.trial.seed for job in jobs}, "seed"))
        set_aside = f"{counted(self.store.set_aside, 'damaged file')} set aside, " if self.store.set_aside else ""
        return (
            f"{len(jobs)} {purpose}: {', '.join(crossed)}; {set_aside}"
            f"{len(jobs) - len(missing)} done, {len(missing)} to run, about {duration(expected)} with "
            f"{self.options.jobs} jobs"
        )

    def tuned(self, jobs: Sequence[Job]) -> tuple[list[Job], int]:
        """The reported trials with the configurations that a search prefers, and how many trials it took."""
        n = self.options.tune
        tried = tuning.searches(jobs, n, self.options.leave_one_out)
        n_run = self.do(tried, f"trials of a search over {n} configurations")
        finals = tuning.finals(jobs, tried, self.store, n)
        if not self.options.dry_run:
            for line in tuning.without_choice(jobs, finals, self.options.leave_one_out):
                self.console.print(line, highlight=False, markup=False, style="yellow")
        return finals, n_run


def counted(things: Collection[object], noun: str) -> str:
    """`1 task`, `3 tasks`."""
    return f"{len(things)} {noun}{'s' * (len(things) != 1)}"


def check_doses(names: Sequence[str], entries: Sequence[Entry]) -> None:
    """Raises UnknownName for a knob that none of the tasks has."""
    known = {dose.name for entry in entries for dose in load(entry.id).spec.doses}
    for name in names:
        if name not in known:
            there = nearest(name, known) if known else "they have none"
            raise UnknownName(f"none of these tasks has a dose {name!r}; {there}")


def run(
    options: argparse.Namespace,
    entries: Sequence[Entry],
    models: Sequence[Reference],
    algorithms: Sequence[Reference],
) -> int:
    """Do what the options say; the exit status of the command."""
    console, store = Console(), Store(options.results)
    mirror = Mirror(store.root, resolve_mode(options.wandb, os.environ, Path.home()))
    journal, site = Journal(store.root, options.jobs), SiteProcess(store.root, options.site)
    experiment = Experiment(options, entries, models, algorithms, console, store, mirror, journal, site)
    try:
        if not options.dry_run:
            store.check_writable()
            for reference in [*models, *algorithms]:
                warn_of_broken_contract(reference, console)
        jobs, n_run = experiment.jobs(), 0
        with journal:
            if options.tune > 1:
                jobs, n_run = experiment.tuned(jobs)
            n_run += experiment.do(jobs)
    except (StoreError, UnusableClass, UnknownName) as error:
        site.leave()
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return BAD_USAGE
    except KeyboardInterrupt:
        site.leave()
        console.print("interrupted; what was finished is kept, and the same command does the rest")
        return INTERRUPTED
    if options.dry_run:
        return OK
    site.start()  # nothing was missing, and a site was asked for
    records = [record for job in jobs if (record := store.get(job.trial)) is not None]
    report.print_report(console, records)
    for record in records:  # those too that an interrupted command left
        mirror.add(store.path(record.trial))
    if n_run:
        mirror.report({"cells": report.report_table(records), "failures": failure_table(records)})
    close(experiment, records, n_run)
    return SOME_FAILED if any(record.status not in ("ok", "skipped") for record in records) else OK


def warn_of_broken_contract(reference: Reference, console: Console) -> None:
    """Say what a submitted class breaks before time is spent on it; its trials run all the same and tell the rest."""
    if reference.registered:
        return
    broken = [finding for finding in check.findings_of(reference) if finding.verdict == "broken"]
    for finding in broken:
        where = f"{finding.problem}: " if finding.problem else ""
        told = f"{reference.name}: {where}{finding.clause}: {printable(finding.detail)}"
        console.print(told, style="yellow", markup=False, highlight=False)
    if broken:
        console.print(f"{reference.name} breaks the contract; python -m benchmarks.check shows every clause")


def is_missing(status: Status | None, retry: Sequence[str]) -> bool:
    """Whether a trial is still to be run: any valid record counts as done, unless its outcome is to be tried again."""
    return status is None or status in retry


def modules_of(jobs: Sequence[Job]) -> list[str]:
    """The modules of the suite's own tasks, baselines and algorithms that jobs use."""
    tasks = {entries()[job.trial.task].module for job in jobs}
    classes = [reference for job in jobs for reference in (job.model, job.algorithm)]
    return sorted(tasks | {reference.location for reference in classes if reference.registered})


def close(experiment: Experiment, records: Sequence[Record], n_run: int) -> None:
    """The last lines: outcomes, where the results are, and what to do next."""
    store, mirror, site = experiment.store, experiment.mirror, experiment.site
    tally = ", ".join(f"{n} {status}" for status, n in report.counts(records).items())
    lines = [f"{tally}; {n_run} run now. Results: {store.root}"]
    if warning := mirror.close():
        lines.append(f"warning: {warning}")
    if mirror.mode == "offline":
        lines.append(f"W&B, offline: {sync_command(store.root)}")
    if warning := site.close():
        lines.append(f"warning: {warning}")
    is_built = site.out is not None and not warning
    command = f"python -m leaderboard.build {store.root} --out site"
    lines.append(f"Site: {site.out}/index.html" if is_built else f"Site: {command}")
    for line in lines:
        experiment.console.print(line, markup=False, highlight=False, soft_wrap=True)


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
