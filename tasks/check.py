"""Does a task keep its contract? Every clause as ok or broken, in words.

    python -m tasks.check                         # every task
    python -m tasks.check shift/colored-digits    # one; words select as they do for benchmarks.run

Exit status 1 if a clause is broken. `tests/test_tasks.py` holds the same clauses over the whole registry.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tasks.clauses import CLAUSES, Clause, Examined
from tasks.registry import Entry, UnknownName, load, select
from tasks.types import MissingData


@dataclass(frozen=True)
class Verdict:
    """What a clause demands, and how it is broken (empty: ok)."""

    demand: str
    complaints: tuple[str, ...]


def demand(clause: Clause) -> str:
    """What a clause demands, in words."""
    return (clause.__doc__ or "").splitlines()[0].rstrip(".")


def examine(entry: Entry) -> list[Verdict]:
    """Every clause on one task.

    Raises:
        MissingData: when the task's data are not on this machine.
    """
    try:
        examined = Examined(entry, load(entry.id))
    except MissingData:
        raise
    except Exception as error:  # a file under test may raise anything
        return [Verdict("The task is built", (said(error),))]
    return [Verdict(demand(clause), complaints(clause, examined)) for clause in CLAUSES]


def complaints(clause: Clause, examined: Examined) -> tuple[str, ...]:
    """What one clause finds; an exception of the task is a finding."""
    try:
        return tuple(clause(examined))
    except MissingData:
        raise
    except Exception as error:  # the task is the code under test: whatever it raises breaks the clause
        return (said(error),)


def said(error: Exception) -> str:
    """An exception as a complaint."""
    return f"raises {type(error).__name__}: {error}"


def report(entry: Entry) -> str:
    """Print the verdicts of one task; `ok`, `broken` or `skipped`."""
    print(entry.id)
    try:
        verdicts = examine(entry)
    except MissingData as error:
        print(f"  skipped  {error}")
        return "skipped"
    for verdict in verdicts:
        print(f"  {'broken' if verdict.complaints else 'ok    '}  {verdict.demand}")
        for complaint in verdict.complaints:
            print(f"          - {complaint}")
    return "broken" if any(verdict.complaints for verdict in verdicts) else "ok"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check tasks; 0 if every clause holds, 1 if one is broken, 2 for a word that names no task."""
    parser = argparse.ArgumentParser(prog="python -m tasks.check", description="Check the contract of tasks.")
    parser.add_argument("id", nargs="*", default=["all"], metavar="ID", help="ids, families or tags (default: all)")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        entries = select(chosen.id)
    except UnknownName as error:
        parser.error(str(error))
    outcomes = [report(entry) for entry in entries]
    print(", ".join(f"{outcomes.count(word)} {word}" for word in ("ok", "broken", "skipped")))
    return 1 if "broken" in outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
