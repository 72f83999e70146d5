"""What the page of a family says: its theory, its tasks, and how everyone did under the headline protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from leaderboard.collect import Collection
from leaderboard.overview import BoardView
from leaderboard.profiles import profiles
from tasks import registry

READINGS = Path(__file__).parent / "readings.md"


def family_context(collection: Collection, shown: Sequence[BoardView], family: str) -> dict[str, Any]:
    """What the page of a family says."""
    cells = [cell for cell in collection.cells if cell.task.spec.family == family and cell.entrant.protocol.is_headline]
    return {
        "family": family,
        "theory": theory(registry.HERE / family / "theory.md"),
        "reading": reading(family),
        "tasks": [task for _, task in sorted(collection.suite.items()) if task.spec.family == family],
        "boards": [view for view in shown if view.board.family == family and view.board.protocol.is_headline],
        "profiles": profiles(cells),
    }


def theory(path: Path) -> Markup:
    """A family's theory, from Markdown of the suite's own; empty where it has none."""
    return rendered(path.read_text(encoding="utf-8")) if path.is_file() else Markup("")


def reading(family: str) -> Markup:
    """What the public results say about a family; empty where nothing is said."""
    sections = READINGS.read_text(encoding="utf-8").split("\n## ")[1:]
    by_family = dict(section.split("\n", 1) for section in sections)
    return rendered(by_family.get(family, ""))


def rendered(markdown: str) -> Markup:
    """Markdown as HTML. Markup in it is shown as text."""
    return Markup(MarkdownIt("js-default").render(markdown))
