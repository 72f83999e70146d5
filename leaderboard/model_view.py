"""What the page of a model shows: for each of its entries the profile over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.cells import HEADLINE, Cell, Entrant, Protocol
from benchmarks.statistics import Estimate
from leaderboard import charts, wording
from leaderboard.boards import INPUT_KINDS, Board, Row, input_kind
from leaderboard.charts import AxisStrip
from leaderboard.endings import Failure, failures, skips, tried
from leaderboard.neighbours import Neighbour, Profile, StandsOut, nearest, profiles, stands_out
from leaderboard.profiles import Line, lines
from tasks.types import TaskSpec


@dataclass(frozen=True)
class ModelView:
    """The results of one entrant, by input kind. `described` are indices and further scores with their kind.

    `rows` are its rows on the boards where it has a mean. `fingerprint` has every axis that it stands on, `above` and
    `below` are the tasks where it lies furthest from the others.
    """

    entrant: Entrant
    source: str
    tally: Sequence[tuple[str, int]]
    kinds: Sequence[tuple[str, Sequence[Cell]]]
    rows: Sequence[tuple[Board, Row]]
    fingerprint: Sequence[tuple[Line, AxisStrip]]
    nearest: Sequence[Neighbour]
    above: Sequence[StandsOut]
    below: Sequence[StandsOut]
    skips: Sequence[tuple[str, Sequence[Cell]]]
    described: Sequence[tuple[TaskSpec, str, str, Estimate]]

    @property
    def cells(self) -> list[Cell]:
        return [cell for _, listed in self.kinds for cell in listed]

    @property
    def failures(self) -> list[Failure]:
        return failures(self.cells)


@dataclass(frozen=True)
class Field:
    """Everyone under the protocols without a dose, read once for all model pages."""

    cells: Sequence[Cell]
    by_task: Mapping[str, Sequence[Cell]]
    boards: Sequence[Board]
    profiles: Mapping[Entrant, Profile]
    lines: Mapping[Protocol, Sequence[Line]]


def field(cells: Sequence[Cell], boards: Sequence[Board]) -> Field:
    """The cells of a collection that are no doses, and what is read from them."""
    own = [cell for cell in cells if cell.entrant.protocol.dose == HEADLINE.dose]
    protocols = {cell.entrant.protocol for cell in own}
    by_task: dict[str, list[Cell]] = {}
    for cell in own:
        by_task.setdefault(cell.task.spec.id, []).append(cell)
    axes = {p: lines(cell for cell in own if cell.entrant.protocol == p) for p in protocols}
    return Field(own, by_task, boards, profiles(own), axes)


def model_view(found: Field, entrant: Entrant) -> ModelView:
    """One entrant on every task."""
    cells = [cell for cell in found.cells if cell.entrant == entrant]
    by_kind = [(kind, [cell for cell in tried(cells) if input_kind(cell.task) == kind]) for kind in INPUT_KINDS]
    states = [cell.state for cell in cells]
    records = [record for cell in cells for outcome in cell.outcomes for record in outcome.records.values()]
    above, below = stands_out(entrant, found.by_task)
    return ModelView(
        entrant=entrant,
        source=records[0].trial.source_hash,
        tally=[(words, states.count(verdict)) for verdict, (_, words) in wording.VERDICTS.items() if verdict in states],
        kinds=[(kind, listed) for kind, listed in by_kind if listed],
        rows=[
            (board, row)
            for board in found.boards
            for row in board.rows
            if row.entrant == entrant and row.mean is not None
        ],
        fingerprint=[
            (line, charts.axis_strip(line, entrant))
            for line in found.lines[entrant.protocol]
            if entrant in line.positions
        ],
        nearest=nearest(entrant, found.profiles),
        above=above,
        below=below,
        skips=skips(cells),
        described=[
            (cell.task.spec, name, kind, value)
            for cell in cells
            for kind, named in (("score", cell.extra_scores()), ("index", cell.indices()))
            for name, value in sorted(named.items())
        ],
    )
