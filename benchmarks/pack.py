"""Pack results into segments that are kept: `python -m benchmarks.pack results --out kept`, one segment a family.

Segments of a family that are in the folder already are read too and replaced; of two records of one trial the more
recent stays. Nothing in the results folders is changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records import Record
from benchmarks.segments import SUFFIX, write_segment
from benchmarks.store import Damaged, scan

OK, DAMAGED, BAD_USAGE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pack", description="Pack results into immutable segments, one a family.",
        epilog="Exit status: 0 all packed, 1 some files are damaged and nothing was written, 2 bad usage.",
    )  # fmt: skip
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the segments are kept")
    options = parser.parse_args(arguments)
    if missing := [str(root) for root in options.results if not root.is_dir()]:
        print(f"error: no results folder {', '.join(missing)}", file=sys.stderr)
        return BAD_USAGE
    kept: dict[str, dict[str, Record]] = {}
    damaged = 0
    for root in (options.out, *options.results):
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
        path = write_segment(family, records.values(), options.out)
        for old in options.out.glob(f"{family}-{'[0-9a-f]' * 16}{SUFFIX}"):
            if old != path:
                old.unlink()
        print(f"{len(records):,} results, {path.stat().st_size / 1e6:.2f} MB: {path}")
    return OK


def started(record: Record) -> str:
    """When a record was run, ISO 8601; empty where its provenance does not say."""
    return str(record.provenance.get("started", ""))


if __name__ == "__main__":
    sys.exit(main())
