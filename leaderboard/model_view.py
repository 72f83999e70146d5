"""What the page of a model shows: for each of its entries the profile over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.cells import Cell, Entrant
from benchmarks.statistics import Estimate
from leaderboard import wording
from leaderboard.boards import INPUT_KINDS, boards, input_kind
from leaderboard.collect import Collection
from leaderboard.endings import Failure, failures, skips, tried
from tasks.types import TaskSpec


@dataclass(frozen=True)
class ModelView:
    """The results of one entrant, by input kind. `described` are indices and further scores with their kind.

    `means` has its row on the board of a kind, where it has a mean.
    """

    entrant: Entrant
    source: str
    tally: Sequence[tuple[str, int]]
    kinds: Sequence[tuple[str, Sequence[Cell]]]
    means: Mapping[str, tuple[Estimate, int]]
    skips: Sequence[tuple[str, Sequence[Cell]]]
    described: Sequence[tuple[TaskSpec, str, str, Estimate]]

    @property
    def cells(self) -> list[Cell]:
        return [cell for _, listed in self.kinds for cell in listed]

    @property
    def failures(self) -> list[Failure]:
        return failures(self.cells)


def model_view(collection: Collection, entrant: Entrant) -> ModelView:
    """One entrant on every task."""
    cells = [cell for cell in collection.cells if cell.entrant == entrant]
    by_kind = [(kind, [cell for cell in tried(cells) if input_kind(cell.task) == kind]) for kind in INPUT_KINDS]
    states = [cell.state for cell in cells]
    records = [record for cell in cells for outcome in cell.outcomes for record in outcome.records.values()]
    return ModelView(
        entrant=entrant,
        source=records[0].trial.source_hash,
        tally=[(words, states.count(verdict)) for verdict, (_, words) in wording.VERDICTS.items() if verdict in states],
        kinds=[(kind, listed) for kind, listed in by_kind if listed],
        means={
            board.kind: (row.mean, len(board.ranked))
            for board in boards(collection)
            for row in board.rows
            if row.entrant == entrant and row.mean is not None
        },
        skips=skips(cells),
        described=[
            (cell.task.spec, name, kind, found)
            for cell in cells
            for kind, named in (("score", cell.extra_scores()), ("index", cell.indices()))
            for name, found in sorted(named.items())
        ],
    )
