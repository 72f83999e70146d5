"""Write the site from result folders: `python -m leaderboard.build results --out site`, then open site/index.html."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leaderboard.folder import NotOurs, check_out, write

if TYPE_CHECKING:
    from tasks.types import Task

OK, BAD_USAGE = 0, 2
REFUSED_SHOWN = 5
PUBLIC = Path(__file__).parent / "public"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard.build", description="Write the site from results.")
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    parser.add_argument("--out", type=Path, default=Path("site"), metavar="DIR", help="where to (default: site)")
    parser.add_argument("--with-public", action="store_true", help="beside the baselines' results that ship")
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"  # a build reads what is on this machine
    from leaderboard.collect import collect  # imports torch, which --help does without
    from leaderboard.site import site

    try:
        check_out(options.out)
        collection = collect([*options.results, *([PUBLIC] if options.with_public else [])], suite())
        write(options.out, site(collection, drawn))
    except (NotOurs, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE
    for refused in collection.refused[:REFUSED_SHOWN]:
        print(f"refused {refused.file}: {refused.reason}", file=sys.stderr)
    if len(collection.refused) > REFUSED_SHOWN:
        more = len(collection.refused) - REFUSED_SHOWN
        print(f"refused {more} more; {options.out / 'data.html'} lists them all", file=sys.stderr)
    print(f"{collection.n_records:,} results, {len(collection.cells):,} cells: {options.out / 'index.html'}")
    return OK


def suite() -> dict[str, Task]:
    """Every task of the registry by id."""
    from tasks import registry

    return {task_id: registry.load(task_id) for task_id in registry.entries()}


def drawn(task: Task) -> str | None:
    """The picture of a task's data in the first world, where its data are on this machine."""
    from tasks.picture import picture
    from tasks.seeds import Draw
    from tasks.types import MissingData

    try:
        return picture(task, Draw(task.spec.id, seed=0))
    except MissingData:
        return None


if __name__ == "__main__":
    raise SystemExit(main())
