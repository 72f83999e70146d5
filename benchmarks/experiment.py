"""One command from plan to report: what is missing is run, written, mirrored and summed up."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from baselines.references import Reference, UnusableClass
from benchmarks import check, report, tuning
from benchmarks.agenda import Agenda
from benchmarks.costs import Costs, sampled
from benchmarks.devices import default_slots
from benchmarks.events import Finished, Note, Started
from benchmarks.findings import printable
from benchmarks.jobs import Job, code_version, plan, swept
from benchmarks.launchers import LauncherError
from benchmarks.live import Journal
from benchmarks.progress import Display, duration
from benchmarks.records import Record, Status
from benchmarks.remote import give_up
from benchmarks.running import Order, runner_for
from benchmarks.site_process import SiteProcess
from benchmarks.store import Store, StoreError
from benchmarks.tracking import Mirror, failure_table, resolve_mode, sync_command
from benchmarks.waiting import Redone
from tasks.registry import Entry, UnknownName, load, nearest

OK, SOME_FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Experiment:
    """What one command is about: its options, and what it crosses. It ends at the monotonic time `ends`, if at any."""

    options: argparse.Namespace
    entries: Sequence[Entry]
    models: Sequence[Reference]
    algorithms: Sequence[Reference]
    console: Console
    store: Store
    mirror: Mirror
    journal: Journal
    site: SiteProcess
    ends: float | None = None

    def jobs(self) -> list[Job]:
        """The reported trials as they stand, without a search."""
        scale = self.options.budget_scale
        check_doses(self.options.sweep, self.entries)
        planned = plan(self.entries, self.models, self.algorithms, self.options.seeds, scale, code_version())
        return [*planned, *swept(planned, self.options.sweep)]

    def do(self, jobs: Sequence[Job], purpose: str = "trials") -> int:
        """Run what is missing of the jobs; how many were run. In a dry run only say what would be."""
        jobs = [replace(job, alone="--alone was given") for job in jobs] if self.options.alone else jobs
        before, order, redone = self.look(jobs)
        missing, expected = order.jobs, order.expected_seconds()
        self.console.print(self.announcement(jobs, missing, expected, purpose), highlight=False)
        if not missing or self.options.dry_run:
            return 0
        self.journal.begin(purpose, jobs, before, missing, expected)
        self.site.start()
        n_done, agenda = 0, Agenda(self.store.root, missing)
        if is_remote(self.options):
            give_up(self.store, missing, redone)
        with (
            agenda,
            runner_for(self.options, self.store, missing, self.ends) as runner,
            Display(self.console, len(missing), expected) as display,
        ):
            for event in runner.run(order, redone):
                if isinstance(event, Started):
                    display.started(event.job)
                    self.journal.started(event.job)
                elif isinstance(event, Finished):
                    n_done += 1
                    order.add(event.record)
                    display.finished(event.job, event.record, order.share)
                    self.journal.finished(event.job, event.record, order.share)
                    self.mirror.add(self.store.path(event.job.trial))
                elif isinstance(event, Note):
                    self.console.print(event.text, style="dim", markup=False, highlight=False)
                elif self.journal.beat(runner.curves) and (warning := self.site.fresh_warning()):
                    self.console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)
        if n_done < len(missing):
            n_left = sum(self.store.get(job.trial) is None for job in missing)
            self.console.print(f"time is up, trials left: {n_left}; the same command goes on with them")
        return n_done

    def look(self, jobs: Sequence[Job]) -> tuple[dict[str, Status], Order, Redone]:
        """The outcomes that stand already, by key; what is missing, in the order in which it is to be run; and what of
        it is to be run again."""
        before: dict[str, Status] = {}
        redone: dict[str, str] = {}
        costs, needed, missing = Costs.known(sampled(self.store.root)), [], []
        for job in jobs:
            record = self.store.get(job.trial)
            if record is not None:
                before[job.trial.key] = record.status
                needed += [record] if self.ends is not None else []
                if record.status in self.options.retry:
                    redone[job.trial.key] = record.checksum
                else:
                    costs.add(record)
            if record is None or job.trial.key in redone:
                missing.append(job)
        return before, Order(missing, needed, costs, self.options.slots, self.ends), redone

    def announcement(self, jobs: Sequence[Job], missing: Sequence[Job], expected: float, purpose: str) -> str:
        """What is about to happen, in a line."""
        crossed = [
            counted({job.trial.task for job in jobs}, "task"),
            counted({job.model.name for job in jobs}, "model"),
        ]
        if len(algorithms := {job.algorithm.name for job in jobs}) > 1:
            crossed.append(counted(algorithms, "algorithm"))
        crossed.append(counted({job.trial.seed for job in jobs}, "seed"))
        set_aside = f"{counted(self.store.set_aside, 'damaged file')} set aside, " if self.store.set_aside else ""
        return (
            f"{len(jobs)} {purpose}: {', '.join(crossed)}; {set_aside}"
            f"{len(jobs) - len(missing)} done, {len(missing)} to run, about {duration(expected)} with "
            f"{self.options.slots} at a time"
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
    began, console, store = time.monotonic(), Console(), Store(options.results)
    options.jobs = options.jobs or default_slots()
    options.slots = 1 if options.launcher == "inline" else options.jobs * (options.workers if is_remote(options) else 1)
    mirror = Mirror(store.root, resolve_mode(options.wandb, os.environ, Path.home()))
    journal, site = Journal(store.root, options.slots), SiteProcess(store.root, options.site)
    experiment = Experiment(options, entries, models, algorithms, console, store, mirror, journal, site,
                            None if options.time is None else began + options.time)  # fmt: skip
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
    except (StoreError, UnusableClass, UnknownName, LauncherError) as error:
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


def is_remote(options: argparse.Namespace) -> bool:
    """Whether workers do the trials."""
    return options.launcher in ("ray", "slurm")


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
