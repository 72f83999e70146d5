"""Results as Markdown tables, for a page or a paper: `python -m leaderboard.table results --task simplicity`.

One table of scores and one of indices for each kind of input; entries that were skipped on all of it are left out. With
`--crossed` models against training algorithms instead (`leaderboard.crossed`).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path

from benchmarks.cells import Cell, Entrant
from leaderboard import crossed, wording
from leaderboard.boards import INPUT_KINDS, input_kind
from leaderboard.build import suite
from leaderboard.collect import Collection, collect, told
from leaderboard.profiles import lines
from leaderboard.site import KIND_NAMES
from tasks import registry
from tasks.card import table

OK, BAD_USAGE = 0, 2
NOTHING = (
    "no result under the headline protocol (budget scale 1, no search, no dose), and {} cells under others; --crossed "
    "shows those"
)
READING = (
    "A score is 0 for the floor's solution and 1 for the ceiling's; seeds that failed or did not train count as -0.25. "
    "An index says between which two solutions a model chose; seeds that did not train are left out, and nothing is "
    "ranked. Mean over seeds, ± half the 95 % t interval, number of seeds."
)


def markdown(collection: Collection) -> str:
    """Every headline cell, by kind of input; ways to train a model that tasks fix come last."""
    cells = [cell for cell in collection.cells if cell.entrant.protocol.is_headline]
    fixed = sorted({cell.task.spec.entry.model for cell in cells})
    parts = [READING, *(part for model in fixed for kind in INPUT_KINDS for part in tables_of(model, kind, cells))]
    return "\n\n".join(parts) + "\n"


def tables_of(fixed: str, kind: str, cells: Sequence[Cell]) -> list[str]:
    """A heading, scores and indices of the tasks of one kind of input; nothing where nobody took them."""
    own = [cell for cell in cells if input_kind(cell.task) == kind and cell.task.spec.entry.model == fixed]
    entrants = sorted({cell.entrant for cell in own if cell.state != "skipped"})
    if not entrants:
        return []
    found = [score_table(own, entrants), index_table(own, entrants)]
    heading = f"## {KIND_NAMES[kind]}" + (f": ways to train {fixed}" if fixed else "")
    return [heading, *(part for part in found if part)]


def score_table(cells: Sequence[Cell], entrants: Sequence[Entrant]) -> str:
    """Tasks down, entries across."""
    by_place = {(cell.task.spec.id, cell.entrant): cell for cell in cells if cell.task.spec.scored}
    tasks = sorted({task for task, _ in by_place})
    rows = [[task, *(wording.score_text(by_place.get((task, entrant))) for entrant in entrants)] for task in tasks]
    return table(["score", *(entrant.label for entrant in entrants)], rows) if rows else ""


def index_table(cells: Sequence[Cell], entrants: Sequence[Entrant]) -> str:
    """Axes down, what their ends mean, entries across."""
    rows = [
        [
            f"{line.task.spec.id}: {line.axis.index}",
            f"{wording.number(line.axis.ends[0])} {line.axis.low}",
            f"{wording.number(line.axis.ends[1])} {line.axis.high}",
            *(wording.estimate_text(line.positions.get(entrant)) for entrant in entrants),
        ]
        for line in lines(cells)
    ]
    return table(["index", "low", "high", *(entrant.label for entrant in entrants)], rows) if rows else ""


def only(collection: Collection, chosen: Set[str]) -> Collection:
    """The cells of some tasks. A record of another task is none that is refused."""
    cells, searched = (
        tuple(cell for cell in part if cell.task.spec.id in chosen) for part in (collection.cells, collection.searched)
    )
    return replace(collection, cells=cells, searched=searched)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard.table", description="Results as Markdown tables.")
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    parser.add_argument(
        "--task", nargs="+", default=["all"], metavar="WORD", help="tasks, families, tags (default: all)"
    )
    parser.add_argument(
        "--crossed", action="store_true", help="models against algorithms, rules of selection, doses, variance"
    )
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"  # reading results asks no server
    try:
        chosen = {entry.id for entry in registry.select(options.task)}
        collection = only(collect(options.results, suite()), chosen)
    except (registry.UnknownName, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE
    for line in told(collection.refused):
        print(line, file=sys.stderr)
    if not any(options.crossed or cell.entrant.protocol.is_headline for cell in collection.cells):
        print(f"error: {NOTHING.format(len(collection.cells))}", file=sys.stderr)
        return BAD_USAGE
    sys.stdout.write(crossed.markdown(collection) if options.crossed else markdown(collection))
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
