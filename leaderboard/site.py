"""A collection of results to the files of a site: path to text. Pure: the same collection gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.records import SEGMENT, TASK_ID
from leaderboard import charts, export, wording
from leaderboard.boards import Board, boards
from leaderboard.collect import Collection
from leaderboard.comparison import comparison
from leaderboard.family_view import family_context
from leaderboard.model_view import field, model_view
from leaderboard.overview import BoardView, ambiguous, board_views, overview, solutions
from leaderboard.progress_view import View, clock, curve, reload_seconds
from leaderboard.reproductions import HEADS, INTRODUCTION, Section, tally
from leaderboard.standing import FEWEST_SEEDS
from leaderboard.task_view import task_context
from tasks.types import SCORE_CLIP, Role, Task, TaskSpec

HERE = Path(__file__).parent
GENERATOR = f"offpiste {version('offpiste')}"
HEAT_LEVELS = 25
SCRIPTS = {"compare.html": ("site.js", "compare.js")}  # every other page has the first
PROGRESS = "progress.html"
STYLES = {PROGRESS: ("site.css", "progress.css")}
KIND_NAMES = {"vector": "Vectors", "signal": "Signals", "image": "Images", "tokens": "Token sequences"}
ROLE_NAMES: Mapping[Role, str] = {
    "train": "training",
    "val": "validation",
    "iid": "in distribution",
    "ood": "out of distribution",
    "probe": "probe",
    "fitted": "training examples",
}
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5f80"/>'
    '<g fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round"><path d="M9 6v20" stroke-dasharray="1 5"/>'
    '<path d="M9 6c0 11 9 11 14 20"/></g></svg>'
)

Picture = Callable[[Task], str | None]
"""An SVG of a task's data, or None where there is nothing to draw."""

Render = Callable[..., str]
"""From a template, the way to the site's root and a context to a page."""


def site(
    collection: Collection, picture: Picture, reproduced: Sequence[Section] = (), runs: Sequence[View] = ()
) -> dict[str, str]:
    """Every file of the site by its path in it.

    `reproduced` are published numbers, measured again; `runs` are those that go on, and have a page while they do.
    """
    render, shown = renderer(collection, bool(runs)), boards(collection)
    views = board_views(collection, shown)
    files = {
        "index.html": render("index.html", "", **overview(collection, views)),
        **family_pages(collection, render, views),
        **task_pages(collection, render, picture),
        **model_pages(collection, render, shown),
        "solutions.html": render("solutions.html", "", **solutions(collection)),
        "compare.html": render("compare.html", "", data=comparison(collection, *pages_and_names(collection.suite))),
        "reproductions.html": render(
            "reproductions.html", "", sections=reproduced, heads=HEADS, about=INTRODUCTION, tally=tally(reproduced)
        ),
        "method.html": render("method.html", "", clip=SCORE_CLIP, fewest_seeds=FEWEST_SEEDS),
        "data.html": render("data.html", ""),
        "results.json": export.as_json(collection, GENERATOR),
        "results.csv": export.as_csv(collection),
    }
    return files | ({PROGRESS: progress_page(collection, runs)} if runs else {})


def task_pages(collection: Collection, render: Render, picture: Picture) -> dict[str, str]:
    """A page for every task of the suite."""
    found = {}
    for task in collection.suite.values():
        svg = picture(task)
        context = task_context(collection, task) | {"picture": data_uri(themed(svg)) if svg else ""}
        found[task_page(task.spec)] = render("task.html", "../", **context)
    return found


def family_pages(collection: Collection, render: Render, views: Sequence[BoardView]) -> dict[str, str]:
    """A page for every family of the suite."""
    return {
        family_page(family): render("family.html", "../", **family_context(collection, views, family))
        for family in sorted({task.spec.family for task in collection.suite.values()})
    }


def model_pages(collection: Collection, render: Render, shown: Sequence[Board]) -> dict[str, str]:
    """A page for every model: its entries under the headline protocol first, trained plainly first."""
    everyone = field(collection.cells, shown)
    undosed = {cell.entrant for cell in everyone.cells}
    ordered = sorted(undosed, key=lambda e: (not e.protocol.is_headline, e.algorithm != "erm", e))
    return {
        model_page(name): render(
            "model.html", "../", name=name, sections=[model_view(everyone, e) for e in ordered if e.model == name]
        )
        for name in sorted({entrant.model for entrant in collection.entrants})
    }


def pages_and_names(suite: Mapping[str, Task]) -> tuple[dict[str, str], dict[str, str]]:
    """Every task's page, and what it is called for short."""
    pages = {task_id: task_page(task.spec) for task_id, task in suite.items()}
    return pages, {task_id: short_name(task.spec, suite) for task_id, task in suite.items()}


def progress_page(collection: Collection, runs: Sequence[View]) -> str:
    """How runs get on. The page loads itself again as long as one goes on."""
    return renderer(collection, True)(
        PROGRESS,
        "",
        views=runs,
        now=runs[0].now,
        reload_seconds=reload_seconds(runs),
        models={entrant.model for entrant in collection.entrants},
    )


def renderer(collection: Collection, in_progress: bool = False) -> Render:
    """What writes pages.

    `in_progress` says whether there is a page of runs that go on.
    """
    env = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {
        name: getattr(wording, name)
        for name in (
            "number", "score", "metric", "margin", "count", "span", "duration", "compact", "lost_briefly", "flagged",
            "sentence", "sentence_case", "command", "settings", "setting", "seeds_needed", "signed",
        )
    }  # fmt: skip
    env.filters |= {
        "heat": heat,
        "strip": charts.strip,
        "curve": curve,
        "clock": clock,
        "breakable": breakable,
        "short_name": lambda spec: short_name(spec, collection.suite),
        "task_page": task_page,
        "model_page": model_page,
        "family_page": family_page,
        "kinds": kinds,
        "is_web": lambda url: url.startswith(("https://", "http://")),
    }
    env.globals |= {
        "verdicts": wording.VERDICTS,
        "strip_ticks": charts.strip_ticks(),
        "kind_names": KIND_NAMES,
        "roles": ROLE_NAMES,
        "signs": charts.marks(collection.entrants),
        "ambiguous": ambiguous(collection.entrants),
        "collection": collection,
        "in_progress": in_progress,
        "generator": GENERATOR,
        "icon": data_uri(ICON),
    }

    def render(template: str, root: str, **context: Any) -> str:
        scripts = [asset(name) for name in SCRIPTS.get(template, ("site.js",))]
        style = "".join(asset(name) for name in STYLES.get(template, ("site.css",)))
        page = {"root": root, "here": template, "style": Markup(style), "scripts": map(Markup, scripts)}
        return env.get_template(template).render(page | {"policy": policy(style, scripts)} | context)

    return render


def asset(name: str) -> str:
    """A style sheet or script of ours, to be set into a page.

    Raises:
        ValueError: for one that would end its element.
    """
    text = (HERE / "assets" / name).read_text(encoding="utf-8")
    if "</" in text:
        raise ValueError(f"{name} contains '</' and cannot stand in a page")
    return text


def policy(style: str, scripts: Sequence[str]) -> str:
    """Nothing but this style sheet, these scripts and pictures inside the page; no request can leave it.

    Hashes, since 'self' means nothing on file://.
    """
    return (
        f"default-src 'none'; style-src {sha256(style)}; script-src {' '.join(map(sha256, scripts))}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def sha256(text: str) -> str:
    """A source of a policy: exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def data_uri(svg: str) -> str:
    """An SVG as the address of an image."""
    return "data:image/svg+xml," + quote(svg, safe=" /:=,;()'!*-._~")


def themed(svg: str) -> str:
    """A picture in `currentColor`, with ink that follows the reader's theme: an image does not inherit the page's."""
    ink = "<style>svg{color:#1b2630}@media (prefers-color-scheme:dark){svg{color:#dfe6eb}}</style>"
    return re.sub(r"(<svg\b[^>]*>)", lambda m: m[1] + ink, svg, count=1)


# --- names and pages --------------------------------------------------------------------------------------------------


def task_page(spec: TaskSpec) -> str:
    """Where the page of a task stands.

    Raises:
        ValueError: for an id that is no id.
    """
    if not TASK_ID.fullmatch(spec.id):
        raise ValueError(f"{spec.id!r} is not a task id")
    return f"tasks/{spec.id.replace('/', '-')}.html"


def family_page(family: str) -> str:
    """Where the page of a family stands."""
    return f"families/{family}.html"


def kinds(board: Board) -> str:
    """What the columns of a board have in common, beside their family."""
    words = KIND_NAMES[board.kind].lower()
    return f"{words}, ways to train {board.fixed}" if board.fixed else words


def model_page(name: str) -> str:
    """Where the page of a model stands.

    Raises:
        ValueError: for a name that is no name.
    """
    if not SEGMENT.fullmatch(name):
        raise ValueError(f"{name!r} is not a model name")
    return f"models/{name}.html"


def short_name(spec: TaskSpec, suite: Mapping[str, Task]) -> str:
    """A task's name without family, and without version where there is one version only."""
    versions = [task for task in suite.values() if task.spec.entry.name == spec.entry.name]
    return (spec.entry.name if len(versions) == 1 else spec.id).partition("/")[2]


def breakable(text: str) -> Markup:
    """A name that may be broken after hyphens, dots, slashes and underscores."""
    return Markup(re.sub(r"([-./_@])", r"\1<wbr>", str(escape(text))))


def heat(score: float) -> int:
    """The level of colour of a score, 0 for the lower clip to 25 for 1."""
    low, high = SCORE_CLIP
    return round((min(max(score, low), high) - low) / (high - low) * HEAT_LEVELS)
