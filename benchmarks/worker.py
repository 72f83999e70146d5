"""Do what runs have on their agenda, on any machine that sees their results folder:

    python -m benchmarks.worker RESULTS

Any number of workers may run, on any mixture of machines, and be killed: a trial is done when its record is there, and
what a dead one had begun is begun again by another. It ends when nothing is left to do.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.jobs import Job
    from benchmarks.store import Store

OK, BAD_USAGE, STOPPED = 0, 2, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker", description="Run what is on the agenda of a results folder.",
        epilog="Exit status: 0 nothing is left to do, 2 bad usage or an unusable folder, 143 stopped by a signal.",
    )  # fmt: skip
    parser.add_argument("results", type=Path, metavar="RESULTS", help="the --results folder of a run")
    parser.add_argument("--jobs", type=int, metavar="N", help="trials at a time (default: accelerators, or cores)")
    options = parser.parse_args(arguments)
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs is {options.jobs}; it must be at least 1")
    if not options.results.is_dir():
        print(f"error: no results folder {options.results}", file=sys.stderr)
        return BAD_USAGE
    signal.signal(signal.SIGTERM, stop)
    try:
        return work(options.results, options.jobs)
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", flush=True)
        return STOPPED


def stop(number: int, frame: object) -> None:
    """End in order at SIGTERM, which engines send before they kill: give back what others may do."""
    raise KeyboardInterrupt


def work(results: Path, slots: int | None) -> int:
    """Run what is missing until nothing is."""
    from benchmarks.costs import Costs
    from benchmarks.devices import default_slots, visible_devices
    from benchmarks.events import Finished
    from benchmarks.jobs import code_version, modules_of, stacks
    from benchmarks.progress import name_of
    from benchmarks.store import Store, StoreError
    from benchmarks.supervisor import Supervisor

    store, slots, costs = Store(results), slots or default_slots(), Costs.known()
    commit = code_version()
    try:
        while missing := missing_jobs(store, commit):
            if code_version() != commit:
                print("the suite was changed here since this worker began; start it again", file=sys.stderr)
                return BAD_USAGE
            with Supervisor(store, slots, preload=modules_of(missing), devices=visible_devices()) as supervisor:
                for event in supervisor.run(stacks(missing, slots, costs.seconds)):
                    if isinstance(event, Finished):
                        print(f"{event.record.status} {name_of(event.job)}", flush=True)
    except (StoreError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE
    print("nothing is left to do", flush=True)
    return OK


def missing_jobs(store: Store, commit: str) -> list[Job]:
    """What is on any agenda and has no record, to be run with the code of this commit. An agenda that is done, and that
    its run left behind, is removed.
    """
    from benchmarks.agenda import agendas

    found: dict[str, Job] = {}
    for path, jobs in agendas(store.root):
        missing = [job for job in jobs if store.get(job.trial) is None]
        if not missing:
            path.unlink(missing_ok=True)
        found |= {job.trial.key: replace(job, commit=commit) for job in missing}
    return [job for job in found.values() if not lacks(job)]


@cache
def lacks_class(location: str, source_hash: str) -> str:
    """What is wrong with the file that a class was planned from, on this machine; empty if nothing is.

    What that file imports is not compared.
    """
    from baselines.references import hash_source, source_file

    try:
        is_same = hash_source(source_file(location)) == source_hash
    except Exception as error:  # finding a module imports its package, which may do anything
        return f"{location} cannot be read here ({type(error).__name__})"
    return "" if is_same else f"{location} is not here as it was planned with"


def lacks(job: Job) -> str:
    """What a trial needs and this machine has not: others must do it. Said once."""
    from tasks.registry import entries

    if job.trial.task not in entries():
        return told(f"{job.trial.task} is not here")
    wrong = [lacks_class(reference.location, reference.source_hash) for reference in (job.model, job.algorithm)]
    return told(next(filter(None, wrong), ""))


@cache
def told(reason: str) -> str:
    """Print a reason, the first time."""
    if reason:
        print(f"left to others: {reason}", flush=True)
    return reason


if __name__ == "__main__":
    sys.exit(main())
