"""Pictures of tasks' data, each drawn once: most of the time of a build goes into them.

They are kept in memory, and in the user's cache folder under a name that changes with the source of the tasks and with
every installed version, since both can change a picture. The folder can be deleted at any time. Optional tasks are not
kept there: their data may be in a folder of the user's, and what is in it today may not be in it tomorrow.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.metadata import distributions
from pathlib import Path

import tasks
from benchmarks.records import TASK_ID
from tasks.types import Task

Draw = Callable[[Task], str | None]
MAX_BYTES = 20_000_000


class Pictures:
    """Draws with `draw` what is not in `folder`."""

    def __init__(self, draw: Draw, folder: Path) -> None:
        self.draw, self.folder = draw, folder
        self.drawn: dict[str, str | None] = {}

    def __call__(self, task: Task) -> str | None:
        """The picture of a task, or None where its data are not on this machine."""
        if task.spec.id in self.drawn:
            return self.drawn[task.spec.id]
        svg = self.kept(task)
        if svg is None:
            svg = self.draw(task)
            self.keep(task, svg)
        self.drawn[task.spec.id] = svg
        return svg

    def known(self, task: Task) -> str | None:
        """The picture, if it was drawn before."""
        return self.drawn[task.spec.id] if task.spec.id in self.drawn else self.kept(task)

    def draw_one_of(self, suite: Iterable[Task]) -> Callable[[], bool]:
        """A function that draws one more picture each time, and says whether there was one to draw."""
        pending = iter([task for task in suite if self.known(task) is None])

        def draw_one() -> bool:
            task = next(pending, None)
            return task is not None and self(task) is not None

        return draw_one

    def kept(self, task: Task) -> str | None:
        """The picture in the folder."""
        path = self.path(task)
        try:
            svg = path.read_text(encoding="utf-8") if path.stat().st_size <= MAX_BYTES else ""
        except (OSError, UnicodeDecodeError):
            return None
        return svg if svg.startswith("<svg") and svg.rstrip().endswith("</svg>") else None

    def keep(self, task: Task, svg: str | None) -> None:
        """Keep a picture, and no older one of its task. A folder that cannot be written costs time and nothing else."""
        if svg is None or task.spec.entry.optional:
            return
        path = self.path(task)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(svg, encoding="utf-8")
            os.replace(temporary, path)
            for other in self.folder.glob(f"{name_of(task)}.*.svg"):
                if other != path:
                    other.unlink(missing_ok=True)

    def path(self, task: Task) -> Path:
        """Where a picture is kept."""
        return self.folder / f"{name_of(task)}.{self.version}.svg"

    @cached_property
    def version(self) -> str:
        """Stands for everything that decides what a picture shows."""
        digest = hashlib.sha256()
        root = Path(tasks.__file__).parent
        for source in sorted(root.rglob("*.py")):
            digest.update(f"{source.relative_to(root)}\0".encode() + source.read_bytes())
        installed = sorted(f"{found.name} {found.version}" for found in distributions())
        digest.update("\n".join(installed).encode())
        return digest.hexdigest()[:16]


def name_of(task: Task) -> str:
    """The id of a task as part of a file's name.

    Raises:
        ValueError: for an id that is no id.
    """
    if not TASK_ID.fullmatch(task.spec.id):
        raise ValueError(f"{task.spec.id!r} is not a task id")
    return task.spec.id.replace("/", "-")


def cache_folder(environment: Mapping[str, str], home: Path) -> Path:
    """The user's cache folder for pictures."""
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "offpiste" / "pictures"
