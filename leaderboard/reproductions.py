"""The page of reproductions from the file that a command wrote: `python -m leaderboard.reproductions FILE`.

python -m benchmarks.reproduce --tier full --json leaderboard/reproductions.json
python -m leaderboard.reproductions leaderboard/reproductions.json > docs/reproductions.md
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.records import clean_text, refuse_constant
from tasks.card import table

OK, BAD_USAGE = 0, 2
SCHEMA = 1
SHOWN = 80  # characters of a value in an error message
HEADS = ("line", "got", "n", "expected", "band", "verdict", "source")
LINE, GOT, EXPECTED, VERDICT = (HEADS.index(name) for name in ("line", "got", "expected", "verdict"))
INTRODUCTION = (
    "Published numbers that the suite claims, measured again by `python -m benchmarks.reproduce`. *Got* is the mean "
    "over n runs with half the 95 % t interval, *expected* what was published with its standard deviation over runs. A "
    "difference agrees when it is inside the *band*, 3 s sqrt(1/n published + 1/n ours) plus half of the last printed "
    "digit, with s the spread over runs, published and ours. Nothing is left out: what differs stays here, with what "
    "is known about why. A line without a published value stands between the floor (shortcut, chance) and the oracle."
)
Line = Mapping[str, Any]


class NotReproductions(Exception):
    """A file that `benchmarks.reproduce` did not write; the message says what is wrong with it."""


@dataclass(frozen=True)
class Section:
    """One entry as a reader meets it: where it is from and how it was measured, its lines, what is known about some."""

    name: str
    told: str
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def markdown(data: Mapping[str, Any]) -> str:
    """The page.

    Raises:
        NotReproductions: when the data are of another kind or version.
    """
    found = sections(data)
    totals = ", ".join(f"{verdict} {n}" for verdict, n in tally(found).items())
    parts = ["# Reproductions", INTRODUCTION, f"Lines by verdict: {totals}.", *departures(found)]
    for each in found:
        rows = [[cell(text) for text in row] for row in each.rows]
        notes = ["\n".join(f"- {note}" for note in each.notes)] if each.notes else []
        parts += [f"## {each.name}", each.told, table(HEADS, rows), *notes]
    return "\n\n".join(parts) + "\n"


def departures(found: Sequence[Section]) -> list[str]:
    """What does not agree, first: a reader looks for it."""
    rows = [
        f"- {each.name}, {row[LINE]}: {row[GOT]}, expected {row[EXPECTED]}"
        for each in found
        for row in each.rows
        if row[VERDICT] in ("differs", "failed")
    ]
    return ["## What differs", "\n".join(rows)] if rows else []


def tally(found: Sequence[Section]) -> dict[str, int]:
    """How many lines have which verdict."""
    return dict(sorted(Counter(row[VERDICT] for each in found for row in each.rows).items()))


def sections(data: Mapping[str, Any]) -> list[Section]:
    """Every entry of the file.

    Raises:
        NotReproductions: when the data are of another kind or version.
    """
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
        raise NotReproductions(f"not a file of benchmarks.reproduce with schema {SCHEMA}")
    try:
        return [
            section(name, entry, data["provenance"]["chunks"].get(name, [])) for name, entry in data["entries"].items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise NotReproductions(f"{type(error).__name__}: {error}") from error


def section(name: str, entry: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]]) -> Section:
    """One entry: where it is from, how it was measured, its lines."""
    cost = f" {sum(number(chunk['seconds']) for chunk in chunks):,.0f} core seconds." if chunks else ""
    told = f"{word(entry['paper'])}: {word(entry['where'])}. Ours: {word(entry['protocol'])}.{cost}"
    return Section(word(name), told, [cells(line) for line in entry["lines"]], notes(entry["lines"]))


def cells(line: Line) -> list[str]:
    """A row of the table."""
    n = str(whole(line["n"]) or "")
    return [word(line["line"]), got(line), n, expected(line), band(line), word(line["verdict"]), source(line)]


def cell(text: str) -> str:
    """Text whose backslashes take nothing from a bar that the table escapes."""
    return re.sub(r"\\+(?=\|)", lambda slashes: 2 * slashes[0], text)


def notes(lines: Sequence[Line]) -> list[str]:
    """What is known about lines that do not agree, each said once."""
    told: dict[str, list[str]] = {}
    for line in lines:
        text = line["reason"] or ("" if line["verdict"] == "agrees" else line["explanation"])
        if text:
            told.setdefault(word(text), []).append(word(line["line"]))
    return [f"{', '.join(names)}: {text}" for text, names in told.items()]


def got(line: Line) -> str:
    """`13.35 ± 0.44`."""
    if line["mean"] is None:
        return "–"
    width = line["half_width_95"]
    return f"{number(line['mean']):.4g}" + (f" ± {number(width):.2g}" if width is not None else "")


def expected(line: Line) -> str:
    """`13.363 ± 1.487`, `≥ 0.95`, or the two anchors of a line that nobody published."""
    found = line["expected"]
    match found["kind"]:
        case "published" | "closed form":
            return f"{number(found['value']):g}" + (f" ± {number(found['sd']):g}" if found["sd"] is not None else "")
        case "at least":
            return f"≥ {number(found['value']):g}"
        case _:
            ends = ("?" if found[end] is None else f"{number(found[end]):.4g}" for end in ("floor", "oracle"))
            return " to ".join(ends)


def band(line: Line) -> str:
    """The largest difference that agrees."""
    return "" if line["band"] is None else f"{number(line['band']):.2g}"


def source(line: Line) -> str:
    """Where a line is from, if not from the entry's paper."""
    return word(line["source"] or "")


def number(value: object) -> float:
    """The value, if it is a number that a page can show; else NotReproductions says what it is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise NotReproductions(f"{shown(value)} stands where a finite number is expected")
    return value


def whole(value: object) -> int:
    """The value, if it is a count; else NotReproductions says what it is."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise NotReproductions(f"{shown(value)} stands where a count is expected")
    return value


def word(value: object) -> str:
    """The value in one line, if it is a text; else NotReproductions says what it is."""
    if not isinstance(value, str):
        raise NotReproductions(f"{shown(value)} stands where a text is expected")
    return " ".join(clean_text(value).split())


def shown(value: object) -> str:
    """A value in an error message, cut where it is long."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else clean_text(repr(value), SHOWN)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m leaderboard.reproductions", description="The page of reproductions, as Markdown."
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what benchmarks.reproduce --json wrote")
    options = parser.parse_args(arguments)
    try:
        page = markdown(read(options.file))
    except (OSError, NotReproductions) as error:
        sys.stderr.write(f"error: {options.file}: {error}\n")
        return BAD_USAGE
    sys.stdout.write(page)
    return OK


def read(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        NotReproductions: when it is no JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
    except ValueError as error:
        raise NotReproductions(f"not JSON: {error}") from error
    except RecursionError as error:
        raise NotReproductions("its JSON is nested too deeply") from error


if __name__ == "__main__":
    raise SystemExit(main())
