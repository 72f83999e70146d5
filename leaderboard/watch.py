"""Keeps a site current while trials run: the page of progress every few seconds, the whole site when there is time.

A build that took t seconds is followed by none for five times t, and everything here has a low priority, so that the
trials keep the machine. The page of progress alone costs milliseconds and is replaced by itself; pictures of tasks,
most of the work of a first build, are drawn one by one in between.
"""

from __future__ import annotations

import os
import secrets
import select
import stat
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from leaderboard.collect import Collection, told
from leaderboard.folder import NotOurs
from leaderboard.progress import FOLDER, SILENT_SECONDS, runs_of
from leaderboard.progress_view import View, view
from leaderboard.site import PROGRESS, progress_page

NICE = 10
PAGE_SECONDS = 2.0
BUILD_SECONDS = 10.0
REST = 5.0  # times the seconds of a build
NO_FAMILIES = ("wandb", FOLDER)

Build = Callable[[Sequence[View], bool], Collection]
"""Writes the site with the page of these runs; the second argument says whether it is to draw pictures that are not."""


@dataclass
class Watch:
    """Builds into `out` what is in `roots`, until told to stop.

    `draw_one` draws a picture that the next build needs, and says whether there was one to draw. `parent` is a pipe
    whose end means that the run ended: with a word before it by itself, without one it was killed.
    """

    roots: Sequence[Path]
    out: Path
    build: Build
    draw_one: Callable[[], bool]
    parent: IO[str] | None = None
    began: float = field(default_factory=time.time)
    collection: Collection | None = None
    seen: int | None = None
    had_page: bool = False
    next_build: float = 0.0
    told: set[str] = field(default_factory=set)

    def run(self) -> bool:
        """Build again and again; whether the last build went well."""
        with suppress(OSError):
            os.nice(NICE)
        ended = ""
        while not ended:
            self.tick()
            ended = self.wait()
        if ended == "killed":
            self.outlive()
        return self.whole(self.views(), draw=True)

    def tick(self) -> None:
        """The whole site if something changed and it is time, else the page of progress."""
        views = self.views()
        if self.is_due(views):
            self.whole(views)
        elif views and self.had_page:
            self.page(views)
        if self.draw_one():
            self.seen = None  # there is something new to build

    def is_due(self, views: Sequence[View]) -> bool:
        """Whether there is something to build, and time for it."""
        if time.monotonic() < self.next_build:
            return False
        self.next_build = time.monotonic() + BUILD_SECONDS  # looking costs time too
        return bool(views) != self.had_page or self.fingerprint() != self.seen

    def whole(self, views: Sequence[View], draw: bool = False) -> bool:
        """A whole build, and whether it went well; unless `draw`, with the pictures that are drawn already."""
        clock, fingerprint = time.monotonic(), self.fingerprint()
        try:
            self.collection = self.build(views, draw)
            for line in told(self.collection.refused, self.out / "data.html"):
                self.warn(line)
            self.seen, self.had_page = fingerprint, bool(views)
        except (OSError, NotOurs) as error:
            self.warn(f"this build failed, the site is as it was: {error}")
            return False
        finally:
            self.next_build = time.monotonic() + max(BUILD_SECONDS, REST * (time.monotonic() - clock))
        return True

    def page(self, views: Sequence[View]) -> None:
        """The page of progress alone, inside the site that stands."""
        assert self.collection is not None
        try:
            replace(self.out, progress_page(self.collection, views))
        except OSError as error:
            self.warn(f"{PROGRESS} was not written: {error}")

    def views(self) -> list[View]:
        """The runs that a reader wants to hear of, as they are now."""
        now = time.time()
        runs, refused = runs_of(self.roots, now, since=self.began)
        for reason in refused:
            self.warn(f"ignored {reason}")
        return [view(run, now) for run in runs]

    def fingerprint(self) -> int:
        """Changes when a result does. Neither content nor order is read: a build takes care of those."""
        found = set()
        for root in self.roots:
            families = [folder for folder in root.glob("*/") if folder.name not in NO_FAMILIES]
            for path in [*root.glob("*"), *(p for folder in families for p in folder.glob("*/*/*/*.json"))]:
                with suppress(OSError):
                    status = path.stat()
                    if stat.S_ISREG(status.st_mode):
                        found.add((str(path), status.st_mtime_ns, status.st_size))
        return hash(frozenset(found))

    def wait(self) -> str:
        """Until the next look: nothing, or `ended` or `killed` when the parent is done."""
        if self.parent is None:
            time.sleep(PAGE_SECONDS)
            return ""
        if not select.select([self.parent], [], [], PAGE_SECONDS)[0]:
            return ""
        return "ended" if self.parent.read() else "killed"

    def outlive(self) -> None:
        """The run was killed: go on until its silence is long enough to say so."""
        until = time.monotonic() + SILENT_SECONDS + 2 * PAGE_SECONDS
        while time.monotonic() < until and any(shown.state == "running" for shown in self.views()):
            self.tick()
            time.sleep(PAGE_SECONDS)

    def warn(self, words: str) -> None:
        """Say it, once."""
        if words not in self.told:
            self.told.add(words)
            sys.stderr.write(f"warning: {words}\n")
            sys.stderr.flush()


def replace(out: Path, text: str) -> None:
    """Replace the page of progress in a site; the temporary file is beside the site, which holds only what it lists."""
    out = Path(os.path.abspath(out))
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="")
        os.replace(temporary, out / PROGRESS)
    finally:
        temporary.unlink(missing_ok=True)
