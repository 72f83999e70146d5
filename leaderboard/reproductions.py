"""The page of reproductions from the file that a command wrote: `python -m leaderboard.reproductions FILE`.

python -m benchmarks.reproduce --tier full --json leaderboard/reproductions.json
python -m leaderboard.reproductions leaderboard/reproductions.json > docs/reproductions.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.card import table

OK, BAD_USAGE = 0, 2
SCHEMA = 1
INTRODUCTION = (
    "# Reproductions\n\n"
    "Published numbers that the suite claims, measured again by `python -m benchmarks.reproduce`. *Got* is the mean "
    "over n runs with half the 95 % t interval, *expected* what was published with its standard deviation over runs. A "
    "difference agrees when it is inside the *band*, 3 s sqrt(1/n published + 1/n ours) plus half of the last printed "
    "digit, with s the spread over runs, published and ours. Nothing is left out: what differs stays here, with what "
    "is known about why. A line without a published value stands between the floor (shortcut, chance) and the oracle."
)
Line = Mapping[str, Any]


class NotReproductions(Exception):
    """A file that `benchmarks.reproduce` did not write; the message says what is wrong with it."""


def markdown(data: Mapping[str, Any]) -> str:
    """The page.

    Raises:
        NotReproductions: when the data are of another kind or version.
    """
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        raise NotReproductions(f"not a file of benchmarks.reproduce with schema {SCHEMA}")
    try:
        totals = ", ".join(f"{n} {verdict}" for verdict, n in sorted(data["totals"].items()))
        parts = [INTRODUCTION, f"In all: {totals}.", *departures(data["entries"])]
        for name, entry in data["entries"].items():
            parts += section(name, entry, data["provenance"]["chunks"].get(name, []))
    except (KeyError, TypeError, AttributeError) as error:
        raise NotReproductions(f"{type(error).__name__}: {error}") from error
    return "\n\n".join(parts) + "\n"


def departures(entries: Mapping[str, Any]) -> list[str]:
    """What does not agree, first: a reader looks for it."""
    rows = [
        f"- {name}, {line['line']}: {got(line)}, expected {expected(line)}"
        for name, entry in entries.items()
        for line in entry["lines"]
        if line["verdict"] in ("differs", "failed")
    ]
    return ["## What differs", "\n".join(rows)] if rows else []


def section(name: str, entry: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]]) -> list[str]:
    """One entry: where it is from, how it was measured, its lines."""
    cost = f" {sum(chunk['seconds'] for chunk in chunks):,.0f} core seconds." if chunks else ""
    rows = [
        [line["line"], got(line), str(line["n"] or ""), expected(line), band(line), line["verdict"], source(line)]
        for line in entry["lines"]
    ]
    heads = ["line", "got", "n", "expected", "band", "verdict", "source"]
    told = f"{entry['paper']}: {entry['where']}. Ours: {entry['protocol']}.{cost}"
    return [f"## {name}", told, table(heads, rows), *notes(entry["lines"])]


def notes(lines: Sequence[Line]) -> list[str]:
    """What is known about lines that do not agree, each said once."""
    told: dict[str, list[str]] = {}
    for line in lines:
        text = line["reason"] or ("" if line["verdict"] == "agrees" else line["explanation"])
        if text:
            told.setdefault(text, []).append(line["line"])
    return ["\n".join(f"- {', '.join(names)}: {text}" for text, names in told.items())] if told else []


def got(line: Line) -> str:
    """`13.35 ± 0.44`."""
    if line["mean"] is None:
        return "–"
    width = line["half_width_95"]
    return f"{line['mean']:.4g}" + (f" ± {width:.2g}" if width is not None else "")


def expected(line: Line) -> str:
    """`13.363 ± 1.487`, `≥ 0.95`, or the two anchors of a line that nobody published."""
    found = line["expected"]
    match found["kind"]:
        case "published" | "closed form":
            return f"{found['value']:g}" + (f" ± {found['sd']:g}" if found["sd"] is not None else "")
        case "at least":
            return f"≥ {found['value']:g}"
        case _:
            ends = ("?" if found[end] is None else f"{found[end]:.4g}" for end in ("floor", "oracle"))
            return " to ".join(ends)


def band(line: Line) -> str:
    """The largest difference that agrees."""
    return "" if line["band"] is None else f"{line['band']:.2g}"


def source(line: Line) -> str:
    """Where a line is from, if not from the entry's paper."""
    return line["source"] or ""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m leaderboard.reproductions", description="The page of reproductions, as Markdown."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what benchmarks.reproduce --json wrote")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(markdown(json.loads(options.file.read_text(encoding="utf-8"))))
    except (OSError, ValueError, NotReproductions) as error:
        sys.stderr.write(f"error: {options.file}: {error}\n")
        return BAD_USAGE
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
