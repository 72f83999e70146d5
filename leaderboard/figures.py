"""Figures, tables and sources for a paper: `python -m leaderboard.figures results --out figures`.

With `--crossed` also models against training algorithms, and results under other protocols, in folders of their own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from leaderboard.build import BAD_USAGE, OK, PUBLIC, suite
from leaderboard.folder import NotOurs, check_out, write

if TYPE_CHECKING:
    from leaderboard.collect import Collection

MARKER = ".offpiste-figures"
FORMATS = ("svg", "pdf", "png")


class NothingToDraw(Exception):
    """No result is left to draw; the message says what there is."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parser().parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"  # drawing reads what is on this machine
    from leaderboard.collect import collect, told  # imports torch, which --help does without
    from leaderboard.paper.contents import groups, paper
    from tasks.registry import UnknownName

    try:
        check_out(options.out, MARKER)
        collection = collect([*options.results, *([PUBLIC] if options.with_public else [])], suite())
        chosen = only(collection, options.task, options.model)
        if not groups(chosen, options.crossed):
            raise NothingToDraw(nothing(chosen))
        write(options.out, paper(chosen, options.format, options.crossed), MARKER)
    except (NotOurs, OSError, UnknownName, NothingToDraw) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE
    for line in told(collection.refused, options.out / "captions.md"):
        print(line, file=sys.stderr)
    print(f"{collection.n_records:,} results, {len(chosen.cells):,} cells: {options.out / 'captions.md'}")
    return OK


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m leaderboard.figures", description="Figures and tables for a paper.")
    made.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    made.add_argument("--out", type=Path, default=Path("figures"), metavar="DIR", help="where to (default: figures)")
    made.add_argument("--with-public", action="store_true", help="beside the baselines' results that ship")
    made.add_argument("--task", nargs="+", metavar="WORD", help="tasks, families, tags, globs (default: all)")
    made.add_argument("--model", nargs="+", metavar="NAME", help="models with results, or globs of them (default: all)")
    made.add_argument(
        "--crossed", action="store_true", help="also training algorithms and other protocols, in folders of their own"
    )
    made.add_argument("--format", nargs="+", choices=FORMATS, default=list(FORMATS), help="of figures (default: all)")
    return made


def only(collection: Collection, tasks: Sequence[str] | None, models: Sequence[str] | None) -> Collection:
    """The cells of some tasks and models; all of them where nothing is named.

    Raises:
        UnknownName: for a word that names nothing, with the nearest names.
    """
    from tasks.registry import select

    ids = None if tasks is None else {entry.id for entry in select(tasks)}
    names = None if models is None else named({entrant.model for entrant in collection.entrants}, models)
    cells = tuple(
        cell
        for cell in collection.cells
        if (ids is None or cell.task.spec.id in ids) and (names is None or cell.entrant.model in names)
    )
    return replace(collection, cells=cells)


def named(models: set[str], words: Sequence[str]) -> set[str]:
    """The models that some names and globs mean.

    Raises:
        UnknownName: for a word that names none, with the nearest.
    """
    from tasks.registry import UnknownName, nearest

    found: set[str] = set()
    for word in words:
        meant = {model for model in models if model == word or fnmatchcase(model, word)}
        if not meant:
            raise UnknownName(f"no model {word!r} among the results; {nearest(word, models)}")
        found |= meant
    return found


def nothing(collection: Collection) -> str:
    """Why there is nothing to draw."""
    if not collection.cells:
        return "no results to draw; `python -m benchmarks.run --task shift` makes some"
    return (
        f"no result of plain training under the headline protocol, and {len(collection.cells)} cells of others; "
        "--crossed draws those"
    )


if __name__ == "__main__":
    raise SystemExit(main())
