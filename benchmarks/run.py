"""Train model classes on tasks and say where they generalize.

    python -m benchmarks.run --task shift --model mlp my_model.py:Net --seeds 3

Every result is a file below --results. The same command again does only what is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from baselines import references
from baselines.references import UnusableClass
from tasks import registry
from tasks.registry import Entry, RegistryError, UnknownName

FAILURES = ("failed", "diverged", "timeout", "out_of_memory")
OK, BAD_USAGE = 0, 2
MOST = 100_000


def parser() -> argparse.ArgumentParser:
    """The command as a sentence."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__.split("\n\n")[0] if __doc__ else None,
        epilog="Exit status: 0 all ok or skipped, 1 some trials failed, 2 bad usage, 130 interrupted.",
    )
    add = found.add_argument
    add("--task", nargs="+", default=[], metavar="WORD", help="task ids, families, tags, input kinds, globs, or all")
    add(
        "--model", nargs="+", default=[], metavar="MODEL",
        help="baselines (globs too), file.py:Class or package.module:Class; default: every baseline at its small size, "
        "'all' adds the large ones",
    )  # fmt: skip
    add(
        "--algorithm",
        nargs="+",
        default=[],
        metavar="ALGORITHM",
        help="training algorithms (globs and 'all' too) or file.py:Class, a torch optimizer too, each with every model "
        "(default: erm; on the training track, where a task fixes the model, all of the suite's optimizers)",
    )
    add("--seeds", type=positive_int, default=3, metavar="N", help="seeds 0 .. N-1 (default: 3)")
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="results folder (default: results)")
    add(
        "--jobs",
        type=positive_int,
        metavar="N",
        help="trials at a time (default: accelerators, or cores, of this machine)",
    )
    add("--time", type=seconds_of, metavar="30m", help="do first what narrows the rank intervals most; stop after that")
    add("--budget-scale", type=positive_float, default=1.0, metavar="X", help="multiply every task's training steps")
    add(
        "--tune",
        type=positive_int,
        default=1,
        metavar="N",
        help="try N configurations of every model and algorithm first, and report the one that validation selects",
    )
    add(
        "--leave-one-out",
        action="store_true",
        help="with --tune: also select by leaving out one training environment at a time",
    )
    add(
        "--sweep",
        nargs="+",
        default=[],
        metavar="DOSE",
        help="also run every dose of these knobs (environments, spurious, label-noise, ...) where a task has them",
    )
    add("--retry", nargs="+", default=[], choices=[*FAILURES, "skipped"], help="run trials with this outcome again")
    add("--alone", action="store_true", help="never train seeds at once, even where that is faster")
    add(
        "--launcher", choices=["local", "inline", "ray", "slurm"], default="local",
        help="where trials run: in processes here, in this very process, or by workers on a cluster (default: local)",
    )  # fmt: skip
    add("--workers", type=positive_int, default=1, metavar="N", help="with ray, slurm: workers of --jobs trials each")
    add("--address", metavar="HOST:PORT", help="with ray: the cluster (default: start one here)")
    add("--gpus", type=positive_float, default=0.0, metavar="X", help="with ray: accelerators of a worker, also parts")
    add("--slurm", default="", metavar="OPTIONS", help="with slurm: options for sbatch, such as '--partition=gpu'")
    add("--wandb", choices=["offline", "online", "disabled"], help="default: WANDB_MODE, online with a key, or offline")
    add("--site", type=Path, metavar="DIR", help="keep a site of the results current in DIR while the run goes on")
    add("--dry-run", action="store_true", help="say what would run and how long it may take")
    add("--list", action="store_true", help="list tasks, models and algorithms")
    return found


def positive_int(text: str) -> int:
    """A whole number from 1 to 100,000 from the command line."""
    if not text.isdecimal() or not 0 < int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 to {MOST:,}")
    return int(text)


def positive_float(text: str) -> float:
    """A number > 0 from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def seconds_of(text: str) -> int:
    """A duration from the command line."""
    from benchmarks.budget import duration_seconds

    try:
        return duration_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parser().parse_args(arguments)
    try:
        if options.list:
            return print_lists()
        if options.leave_one_out and options.tune == 1:
            raise UnknownName("--leave-one-out is a way to select among configurations; say how many with --tune N")
        check_options(options)
        if not options.task:
            raise UnknownName(
                f"say what to run: --task {'|'.join(families())}, a task, a tag, or all; --list shows them"
            )
        entries = on_track(registry.select(options.task), options)
        models = references.select(options.model) if options.model else []
        algorithms = references.select(options.algorithm, "algorithm") if options.algorithm else []
    except (UnknownName, UnusableClass, RegistryError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE
    from benchmarks import experiment  # imports torch, which --help and --list do without

    return experiment.run(options, entries, models, algorithms)


def on_track(entries: list[Entry], options: argparse.Namespace) -> list[Entry]:
    """The tasks without those of the training track, where only models are named: there the model is fixed.

    Raises:
        UnknownName: when no other was asked for.
    """
    if not options.model or options.algorithm:
        return entries
    if not (left := [entry for entry in entries if not entry.model]):
        names = ", ".join(entry.name for entry in entries)
        raise UnknownName(f"{names} fixes the model and compares optimizers: name --algorithm in place of --model")
    if without := [entry.name for entry in entries if entry.model]:
        print(
            f"left out, since they fix the model: {', '.join(without)}; --algorithm adds them, to compare optimizers",
            file=sys.stderr,
        )
    return left


def check_options(options: argparse.Namespace) -> None:
    """Raises UnknownName for options that do not go together."""
    is_remote = options.launcher in ("ray", "slurm")
    if options.time is not None and is_remote:
        raise UnknownName("--time plans for this machine; with --launcher ray or slurm, limit the workers instead")
    if options.time is not None and options.tune > 1:
        raise UnknownName("--time and --tune do not go together: a search that is cut short has chosen nothing")
    given = {"--workers": options.workers > 1, "--address": options.address, "--gpus": options.gpus,
             "--slurm": options.slurm}  # fmt: skip
    takes = {"ray": {"--workers", "--address", "--gpus"}, "slurm": {"--workers", "--slurm"}}
    if idle := [name for name, value in given.items() if value and name not in takes.get(options.launcher, set())]:
        raise UnknownName(f"--launcher {options.launcher} does not take {', '.join(idle)}")


def families() -> list[str]:
    """The families that there are."""
    return sorted({entry.id.split("/")[0] for entry in registry.entries().values()})


def print_lists() -> int:
    """Tasks, models and algorithms with a line each."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    lists: dict[str, list[tuple[str, str]]] = {
        "task": [
            (e.id, f"{escape(e.summary)} [dim]({escape(', '.join([e.input, *e.tags]))})[/]")
            for e in registry.entries().values()
        ],
        "model": [(m.name, escape(m.summary)) for m in references.registered().values()],
        "algorithm": [(a.name, escape(a.summary)) for a in references.registered("algorithm").values()],
    }
    for title, rows in lists.items():
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column(title, no_wrap=True, min_width=max(len(name) for name, _ in rows))
        table.add_column()
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    return OK


if __name__ == "__main__":
    sys.exit(main())
