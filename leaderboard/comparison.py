"""What the page that compares entries pair by pair reads: every counted score by task, entry and seed, in few bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scipy.special import stdtrit

from benchmarks.cells import HEADLINE, Cell
from benchmarks.statistics import LEVEL
from leaderboard.collect import Collection

DECIMALS = 4
MOST_FREEDOM = 100  # beyond it a quantile is taken for the last


def comparison(collection: Collection, page_of: Mapping[str, str], name_of: Mapping[str, str]) -> dict[str, Any]:
    """Plain data. Of a cell `[[seed, score], ...]`, or the verdict of one that has no score.

    `t[df - 1]` are the quantiles of Student's t for an interval; doses and tasks without a score are left out.
    """
    cells = [c for c in collection.cells if c.task.spec.scored and c.entrant.protocol.dose == HEADLINE.dose]
    tasks = sorted({cell.task.spec.id for cell in cells})
    places = {task: i for i, task in enumerate(tasks)}
    scores: dict[str, dict[int, Any]] = {}
    for cell in cells:
        scores.setdefault(cell.entrant.slug, {})[places[cell.task.spec.id]] = counted(cell)
    by_id = {cell.task.spec.id: cell.task.spec for cell in cells}
    return {
        "entries": [
            {
                "id": entrant.slug,
                "label": entrant.label,
                "configuration": entrant.configuration,
                "protocol": entrant.protocol.label,
                "headline": entrant.protocol.is_headline,
                "scores": scores[entrant.slug],
            }
            for entrant in collection.entrants
            if entrant.slug in scores
        ],
        "tasks": [
            {
                "name": name_of[task],
                "page": page_of[task],
                "family": by_id[task].family,
                "input": by_id[task].entry.input,
                "ranked": "control" not in by_id[task].entry.tags and not by_id[task].entry.optional,
            }
            for task in tasks
        ],
        "t": [round(float(stdtrit(df, (1 + LEVEL) / 2)), 6) for df in range(1, MOST_FREEDOM + 1)],
    }


def counted(cell: Cell) -> list[list[float]] | str:
    """The seeds that count in a cell's mean with what they count, or how it ended where none does."""
    found = [[o.seed, round(value, DECIMALS)] for o in cell.outcomes if (value := o.counted) is not None]
    return found or cell.state
