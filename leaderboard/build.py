"""Write the site from result folders: `python -m leaderboard.build results --out site`, then open site/index.html."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leaderboard.folder import NotOurs, check_out, write

if TYPE_CHECKING:
    from leaderboard.collect import Collection
    from leaderboard.pictures import Pictures
    from leaderboard.progress_view import View
    from leaderboard.reproductions import Section
    from leaderboard.site import Picture
    from tasks.types import Task

OK, FAILED, BAD_USAGE = 0, 1, 2
PUBLIC = Path(__file__).parent / "public"
REPRODUCTIONS = Path(__file__).parent / "reproductions.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard.build", description="Write the site from results.")
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    parser.add_argument("--out", type=Path, default=Path("site"), metavar="DIR", help="where to (default: site)")
    parser.add_argument("--with-public", action="store_true", help="beside the baselines' results that ship")
    parser.add_argument("--watch", action="store_true", help="go on: build again as results come, with a progress page")
    parser.add_argument("--until-told", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"  # a build reads what is on this machine
    try:
        check_out(options.out)
        return watched(options) if options.watch else built_once(options)
    except (NotOurs, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE


def built_once(options: argparse.Namespace) -> int:
    """The site as the results are now."""
    from leaderboard.collect import told
    from leaderboard.progress import runs_of
    from leaderboard.progress_view import view

    now = time.time()
    runs, refused = runs_of(options.results, now, since=now)
    for reason in refused:
        print(f"ignored {reason}", file=sys.stderr)
    collection = build(options, pictures(), [view(run, now) for run in runs])
    for line in told(collection.refused, options.out / "data.html"):
        print(line, file=sys.stderr)
    print(f"{collection.n_records:,} results, {len(collection.cells):,} cells: {options.out / 'index.html'}")
    return OK


def watched(options: argparse.Namespace) -> int:
    """The site again and again, until a key press, or until a parent that asked for it has ended."""
    from leaderboard.watch import Watch

    source = pictures()
    parent = sys.stdin if options.until_told else None
    watch = Watch(
        options.results,
        options.out,
        lambda views, draw: build(options, source if draw else source.known, views),
        source.draw_one_of(suite().values()),
        parent,
    )
    print(f"watching; open {options.out / 'index.html'}, and end this with Ctrl-C", flush=True)
    try:
        return OK if watch.run() else FAILED
    except KeyboardInterrupt:
        return OK


def build(options: argparse.Namespace, picture: Picture, runs: Sequence[View]) -> Collection:
    """Write the site; what it was made of."""
    from leaderboard.collect import collect  # imports torch, which --help does without
    from leaderboard.site import site

    collection = collect([*options.results, *([PUBLIC] if options.with_public else [])], suite())
    write(options.out, site(collection, picture, reproduced(), runs=runs))
    return collection


def reproduced() -> list[Section]:
    """The published numbers that this version of the suite has measured again."""
    from leaderboard import reproductions

    return reproductions.sections(reproductions.read(REPRODUCTIONS))


def pictures() -> Pictures:
    """Pictures of tasks, each drawn once on this machine."""
    from leaderboard.pictures import Pictures, cache_folder

    return Pictures(lambda task: drawn(task), cache_folder(os.environ, Path.home()))


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
