"""Everything that a paper takes from results, by path: figures, tables, `tasks.bib` and what to write below each.

Pure: the same collection gives the same bytes. What may share a figure is a group: one protocol, and either plain
training or training algorithms against each other. Plain training under the headline protocol stands at the top; other
groups have a folder each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version

from benchmarks.cells import Cell, Entrant, Protocol
from leaderboard.boards import boards
from leaderboard.collect import Collection, Refused
from leaderboard.doses import dose_views, undosed_entrant
from leaderboard.export import board_csv, cells_csv
from leaderboard.overview import ambiguous
from leaderboard.paper import plots
from leaderboard.paper.bibtex import bibliography
from leaderboard.paper.figures import (
    Drawing,
    crossed_drawing,
    dose_drawing,
    file_name,
    heat_drawing,
    ladder_drawing,
    plane_drawing,
    rank_drawing,
    scale,
    scale_of,
    seed_drawing,
)
from leaderboard.paper.indices import index_drawings
from leaderboard.paper.latex import table
from leaderboard.paper.plots import Format, Mark
from leaderboard.paper.tables import Grid, crossed_grid, grid
from leaderboard.site import GENERATOR, short_name
from leaderboard.wording import count, number
from tasks.types import SCORE_CLIP, Task

PLAIN = "erm"
SELECTIONS = {"iid-validation": "the step is selected by in-distribution validation"}
HASH_SHOWN = 12

Files = dict[str, str | bytes]


@dataclass(frozen=True)
class Group:
    """Results that may share a figure, those at a dose among them; `folder` is empty or ends in a slash."""

    folder: str
    protocol: Protocol
    collection: Collection
    crossed: bool = False

    @cached_property
    def undosed(self) -> list[Cell]:
        """The cells of the tasks as they stand."""
        return [cell for cell in self.collection.cells if cell.entrant.protocol == self.protocol]

    @property
    def tasks(self) -> list[Task]:
        """Every task with a result, by id; one that was turned by a dose is its undosed self."""
        return [self.collection.suite[name] for name in sorted({c.task.spec.id for c in self.collection.cells})]

    @cached_property
    def names(self) -> dict[Entrant, str]:
        """What entrants are called: their label, with the configuration where another has the same."""
        entrants = sorted({undosed_entrant(entrant) for entrant in self.collection.entrants})
        alike = ambiguous(entrants)
        return {e: f"{e.label} ({e.configuration or 'default'})" if e in alike else e.label for e in entrants}

    @cached_property
    def marks(self) -> dict[Entrant, Mark]:
        """A mark for every entrant that is not skipped on everything."""
        shown = sorted({cell.entrant for cell in self.undosed if cell.state != "skipped"})
        return dict(zip(shown, plots.marks(len(shown)), strict=True))


def paper(collection: Collection, formats: Sequence[Format], crossed: bool = False) -> Files:
    """Every file by its path; `crossed` adds training algorithms and the protocols beside the headline."""
    found = groups(collection, crossed)
    files: Files = {}
    captions: list[str] = []
    for group in found:
        for name, content, caption in parts(group, formats):
            files |= {f"{group.folder}{name}.{ending}": data for ending, data in content.items()}
            captions.append(f"## {group.folder}{name}\n\n{caption}")
    tasks = {task.spec.id: task for group in found for task in group.tasks}
    files["tasks.bib"] = bibliography(tasks.values(), version("offpiste"))
    files["captions.md"] = (
        "\n\n".join(["# Captions", introduction(collection), *captions, *refusals(collection)]) + "\n"
    )
    return files


def groups(collection: Collection, crossed: bool) -> list[Group]:
    """The groups that have a cell."""
    undosed = {undosed_entrant(entrant).protocol for entrant in collection.entrants}
    found = []
    for place, protocol in enumerate(sorted(undosed, key=lambda p: (not p.is_headline, p))):
        if not (crossed or protocol.is_headline):
            continue
        own = [cell for cell in collection.cells if undosed_entrant(cell.entrant).protocol == protocol]
        folder = "" if protocol.is_headline else f"{place}-{slug(protocol.label)}/"
        plain = [cell for cell in own if cell.entrant.algorithm == PLAIN]
        found.append(Group(folder, protocol, replace(collection, cells=tuple(plain))))
        if crossed:
            asked = {c.task.spec.id for c in own if c.entrant.algorithm != PLAIN and c.state != "skipped"}
            both = tuple(cell for cell in own if cell.task.spec.id in asked)
            found.append(Group(f"{folder}algorithms/", protocol, replace(collection, cells=both), crossed=True))
    return [group for group in found if group.collection.cells]


def slug(text: str) -> str:
    """A label as a part of a path."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def parts(group: Group, formats: Sequence[Format]) -> Iterator[tuple[str, Mapping[str, str | bytes], str]]:
    """Every figure and table of a group: its name, its content by format, its caption."""
    for drawing, cells in drawings(group):
        if drawing is not None:
            content: dict[str, str | bytes] = {**plots.files(drawing.draw, formats)}
            content |= {"csv": drawing.data} if drawing.data else {}
            yield drawing.name, content, f"{drawing.shows} {terms(group, seeds(cells))}"
    for made in crossed_tables(group) if group.crossed else board_tables(group):
        n_seeds = f"{count(made.grid.seeds, 'seed')} where no mark says otherwise"
        caption = f"{made.shows} {terms(group, n_seeds)}"
        label = f"tab:offpiste-{slug(group.folder + made.name)}"
        tex = table(made.grid, caption, label, origin(group.collection))
        yield f"table-{made.name}", {"tex": tex, "csv": made.csv}, caption


@dataclass(frozen=True)
class Table:
    """A table as a grid and as lines of values, and what it shows."""

    name: str
    grid: Grid
    csv: str
    shows: str


def board_tables(group: Group) -> Iterator[Table]:
    """A table for every board."""
    short = short_names(group)
    for board in boards(group.collection):
        what = f"Scores on the {board.kind} tasks of {board.family}: {CELLS} {scale(board, short)}"
        yield Table(board.name, grid(board, group.names, short), board_csv(board), what)


def crossed_tables(group: Group) -> Iterator[Table]:
    """A table for every task, models down and training algorithms across."""
    for task in group.tasks:
        cells = of_task(group.undosed, task)
        if task.spec.scored and any(cell.state != "skipped" for cell in cells):
            what = f"Scores on {task.spec.id} by training algorithm: {CELLS} {scale_of([task], short_names(group))}"
            yield Table(file_name(task), crossed_grid(cells), cells_csv(cells), what)


CELLS = (
    "mean ± half the 95 % t interval over seeds; a seed that failed or did not train counts as "
    f"{number(SCORE_CLIP[0])}; – is skipped, … is not run."
)


def drawings(group: Group) -> Iterator[tuple[Drawing | None, Sequence[Cell]]]:
    """The figures of a group with the cells that are in them."""
    if group.crossed:
        for task in group.tasks:
            cells = of_task(group.undosed, task)
            yield (crossed_drawing(task, cells) if task.spec.scored else None), cells
        return
    for board in boards(group.collection):
        yield heat_drawing(board, group.names, short_names(group)), board.cells
        yield rank_drawing(board, group.names, group.marks), board.cells
    yield from index_drawings(group.undosed, group.names, group.marks, short_names(group))
    for task in group.tasks:
        cells = of_task(group.undosed, task)
        yield plane_drawing(task, cells, group.names, group.marks), cells
        yield seed_drawing(task, cells, group.names, group.marks), cells
        yield ladder_drawing(task, cells, group.names), cells
        for view in dose_views(task, of_task(group.collection.cells, task)):
            yield dose_drawing(task, view, group.names), [c for row in view.rows.values() for c in row.values()]


def of_task(cells: Iterable[Cell], task: Task) -> list[Cell]:
    """The cells of one task."""
    return [cell for cell in cells if cell.task.spec.id == task.spec.id]


def short_names(group: Group) -> dict[str, str]:
    """Tasks without family and version."""
    suite = group.collection.suite
    return {task_id: short_name(task.spec, suite) for task_id, task in suite.items()}


# --- captions ---------------------------------------------------------------------------------------------------------


def introduction(collection: Collection) -> str:
    """What stands in the folder, and where it is from."""
    return (
        f"{origin(collection)}. Figures have the width of a column (3.25 in) or a page (6.75 in): include them at "
        "their own size. The tables need the package `booktabs`. `tasks.bib` has the sources of the tasks; cite those "
        "whose numbers you report."
    )


def origin(collection: Collection) -> str:
    """The version of the generator and what it read."""
    return f"Made by {GENERATOR} from results with hash {collection.input_hash[:HASH_SHOWN]}"


def terms(group: Group, n_seeds: str) -> str:
    """Seeds, selection, protocol and origin of what is shown."""
    protocol = group.protocol
    selection = SELECTIONS.get(protocol.selection, f"selection: {protocol.selection}")
    return f"{n_seeds}; {selection}; {protocol.label}. {origin(group.collection)}."


def seeds(cells: Sequence[Cell]) -> str:
    """How many seeds the cells have that were asked."""
    counts = sorted({len(cell.outcomes) for cell in cells if cell.state != "skipped"})
    if not counts:
        return "No seeds"
    return count(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def refusals(collection: Collection) -> list[str]:
    """The files that count for nothing, with their reasons."""
    if not collection.refused:
        return []
    return ["## Refused result files", "\n".join(refusal(refused) for refused in collection.refused)]


def refusal(refused: Refused) -> str:
    """One of them as a line of code, whose text means nothing to a reader of Markdown."""
    return f"    {' '.join(refused.file.split())}: {' '.join(refused.reason.split())}"
