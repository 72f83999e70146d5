"""What the command shows and writes: a block a table for every entry, the totals, and the same as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.reproductions import Reproduction
from benchmarks.reproductions._chunks import Result
from benchmarks.reproductions._expected import AtLeast, Line, Published, Unpublished
from benchmarks.reproductions._verdicts import VERDICTS, Comparison, Verdict
from benchmarks.statistics import mean_interval

COLOURS: Mapping[Verdict, str] = {"agrees": "green", "differs": "red", "failed": "red", "undecided": "yellow"}
PIPED_WIDTH = 110  # of a file or a pipe, which has no edge
BAD: tuple[Verdict, ...] = ("differs", "failed")
LEGEND = (
    "got: mean ± half width of the 95 % t interval over n seeds. expected: mean ± sd over runs as printed; where "
    "nothing is published, the floor (shortcut, chance) to the oracle. band: the largest difference that agrees, "
    "3 s sqrt(1/n published + 1/n ours) + half of the last printed digit, s the spread over runs, published and ours."
)


@dataclass(frozen=True)
class Reproduced:
    """An entry with all its comparisons, and the results that they come from."""

    entry: Reproduction
    comparisons: Sequence[Comparison]
    results: Sequence[Result]

    @property
    def seconds(self) -> float:
        """Core seconds that its results took, whenever they were computed."""
        return sum(result.seconds for result in self.results)


def plain_or_terminal() -> Console:
    """Where to print: as wide as the terminal, or plain text in lines that hold a row."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, PIPED_WIDTH))


def print_entry(console: Console, found: Reproduced) -> None:
    """What was measured, then a row for every line, then why some of them differ."""
    entry = found.entry
    console.print()
    console.print(f"[bold]{escape(entry.name)}[/]  {escape(entry.paper)}: {escape(entry.where)}", highlight=False)
    console.print(f"{escape(entry.protocol)}; {core_seconds(found.seconds)}", highlight=False)
    reasons = dict.fromkeys(c.reason for c in found.comparisons if c.reason)
    measured = [c for c in found.comparisons if c.values]
    if measured:
        console.print(table(measured))
    for comparison in measured:
        if comparison.verdict in ("differs", "undecided") and comparison.expected.explanation:
            text = f"{comparison.line}: {comparison.expected.explanation}"
            console.print(f"  {escape(text)}", highlight=False)
    for reason in reasons:
        verdicts = {c.verdict for c in found.comparisons if c.reason == reason}
        console.print(f"  [{style(min(verdicts))}]{', '.join(sorted(verdicts))}[/]: {escape(reason)}", highlight=False)


def table(comparisons: Sequence[Comparison]) -> Table:
    """Lines down; words fold instead of being cut."""
    rows = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    rows.add_column("line", overflow="fold")
    for name in ("got", "n", "expected", "band"):
        rows.add_column(name, justify="right", no_wrap=True)
    rows.add_column("verdict", overflow="fold")
    sources = [c.expected.source for c in comparisons]
    if any(sources):
        rows.add_column("source", overflow="fold")
    for c, source in zip(comparisons, sources, strict=True):
        band = "" if c.band is None else f"{c.band:.2g}"
        cells = (c.line, got(c.values), str(len(c.values)), expectation(c.expected), band)
        verdict = f"[{style(c.verdict)}]{c.verdict}[/]"
        rows.add_row(*map(escape, cells), verdict, *([escape(source)] if any(sources) else []))
    return rows


def style(verdict: Verdict) -> str:
    """The colour of a verdict."""
    return COLOURS.get(verdict, "dim")


def got(values: Sequence[float]) -> str:
    """`13.35 ± 0.44`; one value has no interval."""
    estimate = mean_interval(values)
    width = estimate.half_width
    return f"{estimate.mean:.4g}" + (f" ± {width:.2g}" if width is not None else "")


def expectation(expected: Line) -> str:
    """`13.363 ± 1.487`, `≥ 0.95`, or the anchors of a line that nobody published."""
    match expected:
        case Published(value=value, sd=sd):
            return f"{value:g}" + (f" ± {sd:g}" if sd is not None else "")
        case AtLeast(value=value):
            return f"≥ {value:g}"
        case Unpublished(floor=floor, oracle=oracle):
            return f"{named(floor)} to {named(oracle)}"


def named(anchor: float | None) -> str:
    """An anchor, or that there is none."""
    return "?" if anchor is None else f"{anchor:.4g}"


def tally(found: Sequence[Reproduced]) -> dict[Verdict, int]:
    """How many lines have each verdict, none of them zero."""
    every = [c.verdict for reproduced in found for c in reproduced.comparisons]
    return {verdict: every.count(verdict) for verdict in VERDICTS if verdict in every}


def print_totals(console: Console, found: Sequence[Reproduced], seconds: float) -> None:
    """How to read the table, how many lines have which verdict, and how long it took."""
    counts = tally(found)
    told = ", ".join(f"[{style(verdict)}]{n} {phrase(verdict, n)}[/]" for verdict, n in counts.items())
    cost = core_seconds(sum(reproduced.seconds for reproduced in found))
    console.print(f"\n{LEGEND}\n", highlight=False)
    console.print(f"{counted(sum(counts.values()), 'line')}: {told}", highlight=False)
    console.print(f"{seconds:.0f} s now, {cost} in all", highlight=False)


def phrase(verdict: Verdict, n: int) -> str:
    """A verdict as it is said of n lines."""
    match verdict:
        case "agrees" | "differs":
            return verdict if n == 1 else verdict.removesuffix("s")
        case "no published value":
            return "without a published value"
        case _:
            return verdict


def counted(n: int, noun: str) -> str:
    """`1 part`, `2 parts`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def core_seconds(seconds: float) -> str:
    """What was computed took, whenever it was; a little is not nothing."""
    if 0 < seconds < 0.1:
        return "less than 0.1 core seconds"
    return f"{seconds:,.{1 if 0 < seconds < 10 else 0}f} core seconds"


def as_data(found: Sequence[Reproduced], commit: str, stamp: str) -> dict[str, Any]:
    """Everything as plain data; what changes from one computation to the next stands in `provenance` alone."""
    return {
        "schema": 1,
        "width": "3 s sqrt(1/n_published + 1/n_ours) + last_digit/2",
        "entries": {reproduced.entry.name: entry_data(reproduced) for reproduced in found},
        "totals": tally(found),
        "provenance": {
            "commit": commit,
            "written": stamp,
            "chunks": {
                reproduced.entry.name: [
                    {"seeds": list(r.chunk.seeds), "seconds": r.seconds, "environment": r.provenance}
                    for r in reproduced.results
                ]
                for reproduced in found
            },
        },
    }


def entry_data(found: Reproduced) -> dict[str, Any]:
    """The header of an entry, and its lines in order."""
    header = asdict(found.entry)
    del header["module"]
    return header | {"lines": [line_data(comparison) for comparison in found.comparisons]}


def line_data(c: Comparison) -> dict[str, Any]:
    """One line: ours, what was expected, and the verdict."""
    estimate = mean_interval(c.values) if c.values else None
    return {
        "line": c.line,
        "verdict": c.verdict,
        "reason": c.reason,
        "values": list(c.values),
        "mean": estimate.mean if estimate else None,
        "half_width_95": estimate.half_width if estimate else None,
        "n": len(c.values),
        "band": c.band,
        "basis": c.basis,
        "spread_as_published": c.spread_as_published,
        "source": c.expected.source or None,
        "explanation": c.expected.explanation or None,
        "expected": expected_data(c.expected),
    }


def expected_data(expected: Line) -> dict[str, Any]:
    """What was published; a closed form has no n."""
    kind = {Published: "published", AtLeast: "at least", Unpublished: "unpublished"}[type(expected)]
    fields = {k: v for k, v in asdict(expected).items() if k not in ("source", "explanation", "spread_over")}
    if fields.get("n") == float("inf"):
        kind, fields["n"] = "closed form", None
    return {"kind": kind, **fields}
