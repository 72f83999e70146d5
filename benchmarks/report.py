"""What a run prints at its end: a table of scores with intervals, what failed and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.cells import FAILURES, FLAG_WORDS, Cell, Protocol, cells_of, entrant_of
from benchmarks.findings import LONGEST
from benchmarks.records import STATUSES, Record, clean_text
from tasks.types import Axis, TaskSpec

MODEL_WIDTH = 12
TASK_WIDTH = 32
FAILURES_SHOWN = 12
ENTRIES_NAMED = 4
MARKS = {
    "failed": "failed",
    "diverged": "diverged",
    "timeout": "timeout",
    "out_of_memory": "memory",
    "not_trained": "untrained",
    "incomplete": "not run",
    "skipped": "-",
}
LEGEND = (
    "Score: 0 is the floor's solution (the shortcut, chance), 1 the ceiling's (an oracle, a reference model). "
    "Mean ± half width of the 95 % t interval over seeds. A seed that failed or is untrained (below the "
    "in-distribution gate) counts as -0.25 and is named. - skipped."
)
INDEX_LEGEND = (
    "Index: between which solutions a model chose; it has two ends and no good one, over the seeds that trained."
)
Cells = Mapping[tuple[str, str], Cell]


def print_report(console: Console, records: Sequence[Record]) -> None:
    """The tables of every protocol, then the failures."""
    by_protocol: dict[Protocol, list[Cell]] = {}
    for cell in cells_of(records):
        by_protocol.setdefault(cell.entrant.protocol, []).append(cell)
    for protocol, found in by_protocol.items():
        if not protocol.is_headline or len(by_protocol) > 1:
            console.print(f"[bold]{escape(protocol.label)}[/]", highlight=False)
        print_tables(console, found)
    if any(cell.task.spec.scored for found in by_protocol.values() for cell in found):
        console.print(LEGEND, highlight=False)
    print_skips(console, records)
    print_failures(console, records)


def print_tables(console: Console, found: Sequence[Cell]) -> None:
    """The tables of scores and indices of one protocol, in blocks of entries that fit the width."""
    cells = {(cell.task.spec.id, cell.entrant.label): cell for cell in found}
    entries = list(dict.fromkeys(cell.entrant.label for cell in found))
    scored = list(dict.fromkeys(cell.task.spec.id for cell in found if cell.task.spec.scored))
    described = {c.task.spec.id: c.task.spec for c in found if c.task.spec.axes and c.state != "skipped"}
    per_block = max(1, (console.width - TASK_WIDTH) // (MODEL_WIDTH + 2))
    blocks = [entries[start : start + per_block] for start in range(0, len(entries), per_block)]
    if scored:
        for block in blocks:
            console.print(score_table(cells, scored, block))
    if described:
        for block in blocks:
            console.print(index_table(cells, list(described.values()), block))
        console.print(INDEX_LEGEND, highlight=False)
        for spec in described.values():
            console.print(meaning(spec), highlight=False)


def score_table(cells: Cells, tasks: Sequence[str], entries: Sequence[str]) -> Table:
    """One block: tasks down, entries across."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1))
    table.add_column("task", no_wrap=True)
    for entry in entries:
        table.add_column(escape(entry), justify="right", overflow="fold")
    for task in tasks:
        table.add_row(escape(task), *(cell_text(cells.get((task, entry))) for entry in entries))
    return table


def index_table(cells: Cells, specs: Sequence[TaskSpec], entries: Sequence[str]) -> Table:
    """One block: axes down, entries across."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1))
    table.add_column("index", no_wrap=True)
    for entry in entries:
        table.add_column(escape(entry), justify="right", overflow="fold")
    for spec in specs:
        table.add_row(f"[dim]{escape(spec.id)}[/]", *(outcome_text(cells.get((spec.id, entry))) for entry in entries))
        for axis in spec.axes:
            found = [cells.get((spec.id, entry)) for entry in entries]
            table.add_row(f"  {escape(axis.index)}", *(position_text(cell, axis) for cell in found))
    return table


def outcome_text(cell: Cell | None) -> str:
    """Why there is no index, where the model did not train."""
    return "" if cell is None or cell.state == "trained" else f"[dim]{MARKS[cell.state]}[/]"


def position_text(cell: Cell | None, axis: Axis) -> str:
    """`0.53 ± 0.04` over the seeds that trained."""
    position = cell.on(axis) if cell is not None else None
    if position is None:
        return ""
    return f"{position.mean:.2f}" + (f" ± {position.half_width:.2f}" if position.half_width is not None else "")


def meaning(spec: TaskSpec) -> str:
    """What the ends of a task's axes stand for, in a line."""
    ends = (f"{a.index} {a.ends[0]:g} {a.low}, {a.ends[1]:g} {a.high}" for a in spec.axes)
    return f"[dim]{escape(spec.id)}: {escape('; '.join(ends))}[/]"


def cell_text(cell: Cell | None) -> str:
    """`0.53 ± 0.04`, with what happened to seeds that did not train."""
    if cell is None:
        return ""
    if cell.score is None:
        return f"[dim]{MARKS[cell.state]}[/]"
    width = f" ± {cell.score.half_width:.2f}" if cell.score.half_width is not None else ""
    marks = [f" [{colour(verdict)}]{n} {MARKS[verdict]}[/]" for verdict, n in cell.tally.items() if verdict in MARKS]
    marks += [f" [yellow]{FLAG_WORDS[flag]}[/]" for flag in cell.flags]
    return f"{cell.score.mean:.2f}{width}" + "".join(marks)


def colour(verdict: str) -> str:
    """Red for what broke, yellow for what did not learn."""
    return "red" if verdict in FAILURES else "yellow"


def print_failures(console: Console, records: Sequence[Record]) -> None:
    """Every kind of failure once, with how often and an example."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if record.status in FAILURES:
            groups.setdefault((entrant_of(record).label, record.status, record.reason), []).append(record)
    for (entry, status, reason), found in list(groups.items())[:FAILURES_SHOWN]:
        example = found[0].trial
        console.print(
            f"[red]{status}[/] {escape(entry)}, {len(found)} trial{'s' * (len(found) > 1)} "
            f"(such as {escape(example.task)}, seed {example.seed}): {escape(clean_text(reason, LONGEST))}",
            highlight=False,
        )
    if len(groups) > FAILURES_SHOWN:
        console.print(f"and {len(groups) - FAILURES_SHOWN} more kinds of failure, in the result files")


def print_skips(console: Console, records: Sequence[Record]) -> None:
    """Every reason to skip once, with who was skipped and how often."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.status == "skipped":
            groups.setdefault(record.reason, []).append(record)
    for reason, found in list(groups.items())[:FAILURES_SHOWN]:
        entries = list(dict.fromkeys(entrant_of(record).label for record in found))
        more = f" and {len(entries) - ENTRIES_NAMED} more" if len(entries) > ENTRIES_NAMED else ""
        who = escape(", ".join(entries[:ENTRIES_NAMED]) + more)
        console.print(
            f"[dim]skipped, {len(found)} trials ({who}): {escape(clean_text(reason, LONGEST))}[/]", highlight=False
        )
    if len(groups) > FAILURES_SHOWN:
        console.print(f"[dim]and {len(groups) - FAILURES_SHOWN} more reasons to skip, in the result files[/]")


def report_table(records: Sequence[Record]) -> dict[str, Any]:
    """The same as plain data, a row for the score and for each index of a cell."""
    rows = []
    for cell in cells_of(records):
        bad = sum(cell.tally.get(verdict, 0) for verdict in FAILURES)
        named = {"score": cell.score} if cell.task.spec.scored else {}
        named |= {axis.index: cell.on(axis) for axis in cell.task.spec.axes}
        for what, found in named.items():
            value = [found.mean, found.half_width] if found else [None, None]
            who = [cell.task.spec.id, cell.entrant.model, cell.entrant.algorithm, cell.entrant.protocol.label]
            rows.append([*who, what, *value, len(cell.outcomes), bad])
    columns = ["task", "model", "algorithm", "protocol", "what", "value", "half_width_95", "seeds", "failed_seeds"]
    return {"columns": columns, "rows": rows}


def counts(records: Sequence[Record]) -> dict[str, int]:
    """How many records have each status, in the order of `STATUSES`, none of them zero."""
    tally = {status: sum(record.status == status for record in records) for status in STATUSES}
    return {status: n for status, n in tally.items() if n}
