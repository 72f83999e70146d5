"""Write the site from result folders: `python -m leaderboard.build results --out site`, then open site/index.html."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from leaderboard.collect import collect
from leaderboard.site import GENERATOR, site
from tasks import registry
from tasks.picture import picture
from tasks.seeds import Draw
from tasks.types import MissingData, Task

MARKER = ".offpiste-site"
OK, BAD_USAGE = 0, 2
REFUSED_SHOWN = 5


class NotOurs(Exception):
    """The output folder holds something that is not a site of ours; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m leaderboard.build", description="Write the site from results.")
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    parser.add_argument("--out", type=Path, default=Path("site"), metavar="DIR", help="where to (default: site)")
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"  # a build reads what is on this machine
    try:
        check_out(options.out)
        collection = collect(options.results, suite())
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
    return {task_id: registry.load(task_id) for task_id in registry.entries()}


def drawn(task: Task) -> str | None:
    """The picture of a task's data in the first world, where its data are on this machine."""
    try:
        return picture(task, Draw(task.spec.id, seed=0))
    except MissingData:
        return None


def check_out(out: Path) -> None:
    """Raises NotOurs unless `out` is free, empty, or a site that this command wrote."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise NotOurs(f"{out} is not a folder; name another with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise NotOurs(f"{out} holds files that are not a site of this command; name another folder with --out")


def write(out: Path, files: Mapping[str, str]) -> None:
    """Put the files where `out` is, all or none: a folder beside it, then a rename.

    Raises:
        NotOurs: when there is something else at `out`.
        OSError: when the disk is full or the folder cannot be written; the old site then still stands.
    """
    check_out(out)
    out = Path(os.path.abspath(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    fresh, old = (out.with_name(f".{out.name}.{token}.{part}") for part in ("tmp", "old"))
    try:
        for name, text in {**files, MARKER: f"{GENERATOR}\n"}.items():
            path = contained(fresh, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        replace(out, fresh, old)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def replace(out: Path, fresh: Path, old: Path) -> None:
    """Swap folders; if the second rename fails the old site goes back."""
    if not out.exists():
        os.rename(fresh, out)
        return
    os.rename(out, old)
    try:
        os.rename(fresh, out)
    except OSError:
        os.rename(old, out)
        raise


def contained(root: Path, name: str) -> Path:
    """A path below `root`.

    Raises:
        ValueError: for a name that leads out of it.
    """
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f"{name!r} leads out of the site")
    return path


if __name__ == "__main__":
    raise SystemExit(main())
