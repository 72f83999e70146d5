"""How cells ended that did not come to a trained model, with one line per reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.cells import Cell, Verdict


@dataclass(frozen=True)
class Failure:
    """Some seeds of a cell that did not come to a trained model for one reason."""

    cell: Cell
    verdict: Verdict
    seeds: tuple[int, ...]
    reason: str


def failures(cells: Sequence[Cell]) -> list[Failure]:
    """The seeds that did not come to a trained model, cell by cell, those with one reason together.

    Cells that are skipped as a whole are not failures; `skips` has them.
    """
    return [
        Failure(cell, verdict, tuple(seeds), reason)
        for cell in tried(cells)
        for (verdict, reason), seeds in by_reason(cell).items()
    ]


def by_reason(cell: Cell) -> dict[tuple[Verdict, str], list[int]]:
    """The seeds of each verdict and reason."""
    found: dict[tuple[Verdict, str], list[int]] = {}
    for outcome in cell.failures:
        found.setdefault((outcome.verdict, outcome.reason), []).append(outcome.seed)
    return found


def skips(cells: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    """The cells that are skipped as a whole, by reason."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.state == "skipped":
            reason = next(outcome.reason for outcome in cell.outcomes if outcome.verdict == "skipped")
            found.setdefault(reason, []).append(cell)
    return list(found.items())


def tried(cells: Sequence[Cell]) -> list[Cell]:
    """The cells that are not skipped as a whole."""
    return [cell for cell in cells if cell.state != "skipped"]
