"""Pack results into segments: a few files instead of one a trial, at a sixth of the size.

    python -m benchmarks.pack results               the folder where it is, also beside a run that writes to it
    python -m benchmarks.pack results --out kept    a copy that is kept and shared, one segment a family

Packed results count as loose ones do: runs skip them, everything reads them. Packing again packs what came since.

With --out, segments of a family that are in the folder already are read too and replaced; of two records of one trial
the more recent stays. Nothing in the results folders is changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compaction import Compaction, Written
from benchmarks.packed import started
from benchmarks.records import Record
from benchmarks.segments import SUFFIX, write_segment
from benchmarks.store import Damaged, StoreError, scan

OK, DAMAGED, BAD_USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pack", description="Pack results into segments, a few files instead of one a trial.",
        epilog="Exit status: 0 all packed; 1 some files are damaged: they stay where they are, and with --out nothing "
        "is written; 2 bad usage, or a folder that cannot be written.",
    )  # fmt: skip
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="leave the folders as they are, and keep one segment a family here"
    )
    options = parser.parse_args(arguments)
    if missing := [str(root) for root in options.results if not root.is_dir()]:
        print(f"error: no results folder {', '.join(missing)}", file=sys.stderr)
        return BAD_USAGE
    try:
        if options.out is None:
            return max([pack_in_place(root) for root in options.results])
        return keep(options.results, options.out)
    except (StoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE


def pack_in_place(root: Path) -> int:
    """Pack a results folder where it is; the exit status.

    Raises:
        StoreError: when another packs the folder, or it cannot be read or written.
    """
    compaction, status = Compaction(root), OK
    for told in compaction.run():
        if isinstance(told, Written):
            of = f"{told.n_files:,} files and {told.n_segments} segments"
            print(f"{told.n_records:,} results of {of}, {megabytes(told.path)}: {told.path}")
        else:
            print(f"damaged {told.path}: {told.reason}", file=sys.stderr)
            status = DAMAGED
    for reason, n in sorted(compaction.left.items()):
        print(f"{n:,} stay files: {reason}")
    print(f"{compaction.n_files:,} files packed in {root}")
    return status


def keep(roots: Sequence[Path], out: Path) -> int:
    """Copy all results into one segment a family; the exit status."""
    kept: dict[str, dict[str, Record]] = {}
    damaged = 0
    for root in (out, *roots):
        for item in scan(root):
            if isinstance(item, Damaged):
                print(f"damaged {item.path}: {item.reason}", file=sys.stderr)
                damaged += 1
                continue
            own = kept.setdefault(item.trial.task.split("/")[0], {})
            if (other := own.get(item.key)) is None or started(other) <= started(item):
                own[item.key] = item
    if damaged:
        print(f"{damaged} damaged; nothing was written, so that nothing is lost", file=sys.stderr)
        return DAMAGED
    for family, records in sorted(kept.items()):
        path = write_segment(family, records.values(), out)
        for old in out.glob(f"{family}-{'[0-9a-f]' * 16}{SUFFIX}"):
            if old != path:
                old.unlink()
        print(f"{len(records):,} results, {megabytes(path)}: {path}")
    return OK


def megabytes(path: Path) -> str:
    """The size of a file."""
    return f"{path.stat().st_size / 1e6:.2f} MB"


if __name__ == "__main__":
    sys.exit(main())
