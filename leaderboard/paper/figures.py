"""Which figures some results make, each with the sentence that says what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from benchmarks.cells import FAILURES, Cell, Entrant
from benchmarks.statistics import Estimate
from leaderboard import axes, charts
from leaderboard.axes import Anchors
from leaderboard.boards import Board, Row, ranking
from leaderboard.crossed import names as crossed_names
from leaderboard.curves import Curve, Point, known_anchors, ladders, severity_curves
from leaderboard.doses import DoseView
from leaderboard.paper import plots
from leaderboard.paper.plots import Curves, Draw, Mark, Plane, PlanePoint, Ranked, SeedLine, Series, Sign, Span, Tile
from leaderboard.paper.tables import has_totals, mean_name, places
from leaderboard.standing import FEWEST_SEEDS
from leaderboard.task_view import anchor_curve, means, measured_anchors
from leaderboard.wording import count, number
from tasks.types import SCORE_CLIP, Task, TaskSpec

MARGIN = 0.05  # of an axis beyond the scores that there can be
Names = Mapping[Entrant, str]
Marks = Mapping[Entrant, Mark]


@dataclass(frozen=True)
class Drawing:
    """A figure by the name of its file, how to draw it, and what it shows; `data` is CSV where no table has it."""

    name: str
    draw: Draw
    shows: str
    data: str = ""


# --- of a board -------------------------------------------------------------------------------------------------------


def heat_drawing(board: Board, names: Names, short: Mapping[str, str]) -> Drawing:
    """Entrants by tasks; the longer side goes down where the tasks are too many for a page."""
    ids = [task.spec.id for task in board.tasks]
    totals = has_totals(board)
    columns = [*(short[task] for task in ids), *([mean_name(board)] if totals else [])]
    rows = [names[row.entrant] for row in board.rows]
    tiles = [[*(tile(row.cells.get(task)) for task in ids), *([total(row)] if totals else [])] for row in board.rows]
    return Drawing(
        f"scores-{board.name}",
        partial(plots.heat_map, rows, columns, tiles, int(totals)),
        f"Anchored scores of {count(len(rows), 'entrant')} on the {board.kind} tasks of {board.family}. "
        f"{scale(board, short)} {TILES}",
    )


def scale(board: Board, short: Mapping[str, str]) -> str:
    """What a score of 0 and of 1 is on a board, and what its mean leaves out."""
    shown = [short[task.spec.id] for task in board.tasks if task.spec.id not in board.ranked]
    without = f" The mean leaves out what is not ranked: {', '.join(shown)}." if shown and has_totals(board) else ""
    return scale_of(board.tasks, short) + without


def scale_of(tasks: Sequence[Task], short: Mapping[str, str]) -> str:
    """What a score of 0 and of 1 is, tasks with the same ends together."""
    alike: dict[str, list[str]] = {}
    for task in tasks:
        floor, ceiling = (words(name) for name in axes.ends(task.spec))
        alike.setdefault(f"0 is {floor} and 1 is {ceiling}", []).append(short[task.spec.id])
    said = [f"{ends} on {', '.join(names)}" for ends, names in sorted(alike.items())] if len(alike) > 1 else [*alike]
    return f"{'; '.join(said)}."


TILES = (
    "Colour and number are the mean over seeds; a hatched tile has no trained model (all seeds failed, or none reached "
    "the in-distribution gate, which counts as −0.25; or the model was skipped, or not run), and a sign in the corner "
    "says that some seeds failed or did not train."
)


def tile(cell: Cell | None) -> Tile:
    """A cell in a heat map."""
    if cell is None:
        return Tile(None, "not run")
    if cell.state == "trained":
        return Tile(cell.score.mean if cell.score else None, worst(cell))
    return Tile(None, sign_of(cell))


def total(row: Row) -> Tile:
    """The mean of an entrant in a heat map."""
    return Tile(row.mean.mean if row.mean else None, None)


def sign_of(cell: Cell) -> Sign:
    """What became of a cell without a trained seed."""
    match cell.state:
        case "not_trained":
            return "not trained"
        case "skipped":
            return "skipped"
        case "incomplete":
            return "not run"
        case _:
            return "failed"


def worst(cell: Cell) -> Sign | None:
    """What became of seeds of a cell that has others that trained."""
    if any(cell.tally.get(verdict) for verdict in FAILURES):
        return "failed"
    return "not trained" if cell.tally.get("not_trained") else None


def rank_drawing(board: Board, names: Names, marks: Marks) -> Drawing | None:
    """Means and ranks of those that have both; None where nobody has."""
    lines = [ranked(board, row, names, marks) for row in board.rows]
    shown = [line for line in lines if line is not None]
    if not shown:
        return None
    without = len(board.rows) - len(shown)
    return Drawing(
        f"ranks-{board.name}",
        partial(plots.ranks, shown),
        f"Mean score over the {len(board.ranked)} ranked {board.kind} tasks of {board.family} with its 95 % t "
        f"interval, and the rank among the {len(shown)} entrants shown with its 95 % interval (bootstrap over ideas of "
        "tasks and over seeds)."
        + heads(plots.goes_on(line.span, plots.SCORE_AXIS) for line in shown)
        + (f" Not shown: {count(without, 'entrant')} without {FEWEST_SEEDS} seeds on each of them." if without else ""),
    )


def ranked(board: Board, row: Row, names: Names, marks: Marks) -> Ranked | None:
    """A line of the figure of ranks."""
    if row.mean is None or row.standing is None:
        return None
    rank = 1 + sum(m.mean > row.mean.mean for other in board.rows if other.standing and (m := other.mean))
    low, high = row.standing.ranks
    return Ranked(names[row.entrant], marks[row.entrant], row.mean.mean, span(row.mean), rank, (low, high))


def span(estimate: Estimate) -> Span | None:
    """The interval of an estimate."""
    return None if estimate.low is None or estimate.high is None else (estimate.low, estimate.high)


# --- of a task --------------------------------------------------------------------------------------------------------


def plane_drawing(task: Task, cells: Sequence[Cell], names: Names, marks: Marks) -> Drawing | None:
    """In against out of distribution; None where nobody finished a seed."""
    found = [(c, c.iid, c.ood) for c in ranking(cells) if c.iid is not None and c.ood is not None]
    if not found:
        return None
    spec, anchors = task.spec, known_anchors(task, cells)
    points = [
        PlanePoint(names[c.entrant], marks[c.entrant], iid.mean, ood.mean, span(iid), span(ood))
        for c, iid, ood in found
    ]
    known = axes.anchor_values(spec, anchors, "ood")
    data = Plane(
        points=points,
        across=charts.inside_range(spec, [point.x for point in points]),
        up=axes.metric_range(spec, known, [point.y for point in points]),
        gate=spec.gate if charts.is_gated(cells) else None,
        rules=outside(spec, anchors),
        metric=words(spec.metric),
    )
    better = "higher" if spec.higher_is_better else "lower"
    return Drawing(
        f"plane-{file_name(task)}",
        partial(plots.plane, data),
        f"{spec.id}: {words(spec.metric)} in distribution against out of distribution, {better} is better and better "
        "is up and to the right; means with 95 % t intervals over the seeds that finished. Dashed: floor and ceiling. "
        + ("Left of the dotted gate a model counts as not trained. " if data.gate is not None else "")
        + "On the grey diagonal, where there is one, nothing is lost. Open markers lie beyond the axes."
        + heads(plots.goes_on(p.x_span, data.across) or plots.goes_on(p.y_span, data.up) for p in points),
    )


def outside(spec: TaskSpec, anchors: Anchors) -> dict[str, float]:
    """Floor and ceiling out of distribution, where all of its splits have them."""
    splits = [anchors.get(split.name, {}) for split in spec.with_role("ood")]
    return {
        words(name): fmean(split[name] for split in splits)
        for name in axes.ends(spec)
        if splits and all(name in split for split in splits)
    }


def seed_drawing(task: Task, cells: Sequence[Cell], names: Names, marks: Marks) -> Drawing | None:
    """Every seed's score; None where nobody has one."""
    lines = [seed_line(cell, cell.score, names, marks) for cell in ranking(cells) if cell.score is not None]
    if not lines or not task.spec.scored:
        return None
    floor, ceiling = (words(name) for name in axes.ends(task.spec))
    return Drawing(
        f"seeds-{file_name(task)}",
        partial(plots.seed_dots, lines, floor, ceiling),
        f"{task.spec.id}: the score of every seed, with mean and 95 % t interval. 0 is {floor}, 1 is {ceiling}; a seed "
        f"that failed or did not train counts as {number(SCORE_CLIP[0])}."
        + heads(plots.goes_on(line.span, plots.SCORE_AXIS) for line in lines),
    )


def heads(drawn: Iterable[bool]) -> str:
    """What an arrowhead at the end of an interval says, where any is drawn."""
    return " An arrowhead says that an interval goes on beyond the axis." if any(drawn) else ""


def seed_line(cell: Cell, score: Estimate, names: Names, marks: Marks) -> SeedLine:
    """A line of the figure of seeds."""
    signs: dict[str, Sign] = {"not_trained": "not trained", **dict.fromkeys(FAILURES, "failed")}
    seeds = [(value, signs.get(o.verdict)) for o in cell.outcomes if (value := o.counted) is not None]
    return SeedLine(names[cell.entrant], marks[cell.entrant], seeds, score.mean, span(score))


def ladder_drawing(task: Task, cells: Sequence[Cell], names: Names) -> Drawing | None:
    """The metric along the task's ladder; None where it has none or nobody finished a seed."""
    found = {cell.entrant: severity_curves(cell) for cell in ranking(cells)}
    shown = {entrant: named for entrant, named in found.items() if any(named.values())}
    if not shown:
        return None
    spec, anchors = task.spec, known_anchors(task, cells)
    rungs = [split for ladder in ladders(spec).values() for split in ladder]
    trained_on = [s.severity for s in spec.with_role("train", "val", "iid") if s.severity is not None]
    data = Curves(
        panels=[(names[e], [series(name, curve) for name, curve in named.items()]) for e, named in shown.items()],
        anchors={
            end.replace("_", " "): curve for end in axes.ends(spec) if (curve := anchor_curve(rungs, anchors, end))
        },
        up=axes.metric_range(spec, measured_anchors(spec, anchors), means(shown)),
        across=spec.severity_unit or "severity",
        upward=words(spec.metric),
        seen=(min(trained_on), max(trained_on)) if len(set(trained_on)) > 1 else None,
    )
    return Drawing(
        f"curves-{file_name(task)}",
        partial(plots.curves, data),
        f"{spec.id}: {words(spec.metric)} by {data.across}, means with bands of 95 % t intervals over the seeds that "
        "finished."
        + (" The shaded range is what training covered." if data.seen else "")
        + (" In grey the other entrants." if len(shown) > 1 and len(next(iter(shown.values()))) == 1 else ""),
    )


def dose_drawing(task: Task, view: DoseView, names: Names) -> Drawing | None:
    """The score along a knob that a sweep turned; None where nobody has one."""
    found = {
        names[entrant]: [Point(value, cell.score) for value, cell in sorted(cells.items()) if cell.score is not None]
        for entrant, cells in view.rows.items()
    }
    panels = [(name, [series("score", curve)]) for name, curve in sorted(found.items()) if curve]
    if not panels or not task.spec.scored:
        return None
    floor, ceiling = (words(name) for name in axes.ends(task.spec))
    ends, knob = (min(view.values), max(view.values)), view.knob
    low, high = SCORE_CLIP
    data = Curves(
        panels=panels,
        anchors={floor: [(x, 0.0) for x in ends], ceiling: [(x, 1.0) for x in ends]},
        up=(low - MARGIN, high + MARGIN),
        across=knob.unit or knob.name,
        upward="score",
    )
    return Drawing(
        f"doses-{file_name(task)}-{knob.name}",
        partial(plots.curves, data),
        f"{task.spec.id}: the score by {knob.name} ({knob.unit}), which is {number(knob.own)} in the task itself; "
        f"means with bands of 95 % t intervals. 0 is {floor}, 1 is {ceiling}.",
    )


def series(name: str, curve: Curve) -> Series:
    """A curve with a band where all of its points have an interval."""
    spans = [(point.x, span(point.estimate)) for point in curve]
    band = [(x, *ends) for x, ends in spans if ends is not None]
    return Series(name, [(p.x, p.estimate.mean) for p in curve], band if len(band) == len(spans) else [])


def words(name: str) -> str:
    """The name of a metric or an anchor as a person writes it."""
    return name.replace("_", " ")


def file_name(task: Task) -> str:
    """The id of a task as a part of a file's name."""
    return task.spec.id.replace("/", "-")


# --- models against training algorithms -------------------------------------------------------------------------------


def crossed_drawing(task: Task, cells: Sequence[Cell]) -> Drawing | None:
    """Models down, algorithms across; None where nobody was trained with another algorithm than erm."""
    by_place = places(cells)
    models, algorithms = crossed_names(by_place)
    if not models or algorithms == ["erm"]:
        return None
    tiles = [[tile(by_place.get((model, algorithm))) for algorithm in algorithms] for model in models]
    return Drawing(
        f"algorithms-{file_name(task)}",
        partial(plots.heat_map, models, algorithms, tiles),
        f"{task.spec.id}: anchored scores of {count(len(models), 'model')} under "
        f"{count(len(algorithms), 'training algorithm')}. {TILES}",
    )
