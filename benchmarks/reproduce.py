"""Measure published numbers again and say whether ours agree.

    python -m benchmarks.reproduce                       # what takes seconds to a minute each
    python -m benchmarks.reproduce linear-unit-1 'colored-mnist-*' --seeds 5

Every result is a file below --results. The same command again does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import reproductions
from benchmarks.reproductions import TIERS, Reproduction
from benchmarks.run import positive_int
from tasks.registry import RegistryError, UnknownName

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.reproductions._chunks import Chunk, Result
    from benchmarks.reproductions._tables import Reproduced
    from benchmarks.reproductions._workers import Outcome

OK, SOME_DIFFER, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The command as a sentence."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduce",
        description=__doc__.split("\n\n")[0] if __doc__ else None,
        epilog="Exit status: 0 everything agrees, is undecided, skipped or has no published value; 1 something "
        "differs or failed; 2 bad usage.",
    )
    add = found.add_argument
    add("name", nargs="*", metavar="NAME", help="reproductions, globs too; --list shows them")
    add("--tier", choices=TIERS, default="quick", help="without a name: quick ones, or full for all (default: quick)")
    add("--seeds", type=positive_int, metavar="N", help="seeds 0 .. N-1 (default: each reproduction's own)")
    add("--results", type=Path, default=Path("reproductions"), metavar="DIR", help="default: reproductions")
    add("--jobs", type=positive_int, default=os.cpu_count() or 1, metavar="N", help="processes (default: cores)")
    add("--kept", action="store_true", help="compute nothing: show what --results has, with as many seeds as there are")
    add("--json", type=Path, metavar="FILE", help="write all that is shown, and every value, to a file")
    add("--list", action="store_true", help="list the reproductions")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = parser().parse_args(arguments)
    from rich.console import Console

    try:
        if options.list:
            return print_list(Console(), reproductions.select(options.name, "full"))
        return run(options, reproductions.select(options.name, options.tier))
    except (UnknownName, RegistryError, OSError) as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return BAD_USAGE
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted; what was finished is kept, and the same command does the rest")
        return INTERRUPTED


def print_list(console: Console, entries: Sequence[Reproduction]) -> int:
    """The reproductions with what they are held against and how."""
    from rich.markup import escape

    for entry in entries:
        seeds = f"{entry.seeds} seed{'s' * (entry.seeds > 1)}"
        console.print(f"[bold]{escape(entry.name)}[/]  {entry.tier}, {seeds}", highlight=False)
        console.print(f"    {escape(entry.paper)}: {escape(entry.where)}", highlight=False)
        console.print(f"    {escape(entry.protocol)}", highlight=False)
    return OK


def run(options: argparse.Namespace, entries: Sequence[Reproduction]) -> int:
    """Compute what is missing, compare, show and write; the exit status."""
    from benchmarks.reproductions import _chunks, _tables

    began, console = time.monotonic(), _tables.plain_or_terminal()
    check_writable(options.results)
    if options.json:
        check_file_can_be_written(options.json)
    chunks = [chunk for entry in entries for chunk in _chunks.chunks_of(entry, options.seeds)]
    lines = {entry.name: reproductions.lines_of(entry) for entry in entries}
    kept = {c: found for c in chunks if (found := kept_result(console, c, options.results, lines[c.entry]))}
    if options.kept:
        chunks = list(kept)
        entries = [entry for entry in entries if any(chunk.entry == entry.name for chunk in kept)]
    missing = [chunk for chunk in chunks if chunk not in kept]
    parts = _tables.counted(len(chunks), "part")
    console.print(f"{parts}: {len(kept)} done, {len(missing)} to compute", highlight=False)
    outcomes = computed(console, missing, options)
    every = [reproduced(entry, [c for c in chunks if c.entry == entry.name], kept, outcomes) for entry in entries]
    for each in every:
        _tables.print_entry(console, each)
    _tables.print_totals(console, every, time.monotonic() - began)
    if options.json:
        write_json(options.json, every)
    return SOME_DIFFER if any(verdict in _tables.BAD for verdict in _tables.tally(every)) else OK


def check_writable(folder: Path) -> None:
    """Raises OSError now, and not after an hour of computing, where nothing could be kept in a folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"nothing can be written to the folder {folder}: {error.strerror or error}") from error


def check_file_can_be_written(path: Path) -> None:
    """Raises OSError where a file could not be written at the end."""
    if path.is_dir():
        raise OSError(f"{path} is a folder; give the name of a file")
    check_writable(path.parent)


def kept_result(console: Console, chunk: Chunk, results: Path, lines: Collection[str]) -> Result | None:
    """The result of an earlier command; a damaged one is told and counts as missing."""
    from benchmarks.reproductions._chunks import DamagedChunk, read

    try:
        return read(chunk, results, lines)
    except DamagedChunk as damage:
        console.print(f"{damage}; computed again", style="yellow", markup=False, highlight=False, soft_wrap=True)
        return None


def computed(console: Console, missing: Sequence[Chunk], options: argparse.Namespace) -> dict[Chunk, Outcome]:
    """The outcome of every missing chunk, told as it ends."""
    from benchmarks.reproductions._workers import compute_all

    outcomes: dict[Chunk, Outcome] = {}
    for outcome in compute_all(missing, options.results, options.jobs):
        outcomes[outcome.chunk] = outcome
        took = f" {outcome.result.seconds:.1f} s" if outcome.result else ""
        line = f"[{len(outcomes)}/{len(missing)}] {outcome.status} {outcome.chunk}{took}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return outcomes


def reproduced(
    entry: Reproduction, chunks: Sequence[Chunk], kept: dict[Chunk, Result], outcomes: dict[Chunk, Outcome]
) -> Reproduced:
    """An entry with its verdicts. Where a chunk has no result there is none: fewer seeds are another question."""
    from benchmarks.reproductions._chunks import joined
    from benchmarks.reproductions._tables import Reproduced
    from benchmarks.reproductions._verdicts import compare, unmeasured

    lines = reproductions.lines_of(entry)
    fresh = {chunk: outcome.result for chunk, outcome in outcomes.items() if outcome.result is not None}
    results = [(kept | fresh)[chunk] for chunk in chunks if chunk in kept or chunk in fresh]
    for chunk in chunks:
        if chunk in outcomes and outcomes[chunk].status != "ok":
            status, reason = outcomes[chunk].status, outcomes[chunk].reason
            return Reproduced(entry, unmeasured(lines, "skipped" if status == "skipped" else "failed", reason), results)
    values = joined(results)
    return Reproduced(entry, [compare(line, expected, values) for line, expected in lines.items()], results)


def write_json(path: Path, found: Sequence[Reproduced]) -> None:
    """All comparisons, sorted, so that a page can be made of them."""
    from benchmarks.jobs import code_version
    from benchmarks.reproductions._tables import as_data

    data = as_data(found, code_version(), datetime.now(UTC).isoformat(timespec="seconds"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
