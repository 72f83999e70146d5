"""Keeps a site current while a run goes on: the parent's end of `python -m leaderboard.build --watch`, a process.

It has a session of its own, so that a key press or a kill that ends the run leaves it the time for a last page. A site
that cannot be built is a warning: the results are what counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from benchmarks.forkserver import ONE_THREAD
from benchmarks.records import clean_text

FAREWELL = "the run has ended\n"
GOODBYE_SECONDS = 300.0
TOLD = 500


class SiteProcess:
    """Builds the site of a results folder again and again, or does nothing where no site is asked for.

    No method raises because of the site.
    """

    def __init__(self, results: Path, out: Path | None) -> None:
        self.results, self.out = results, out
        self.warning = ""
        self.process: subprocess.Popen[str] | None = None
        self.output: IO[str] | None = None

    def start(self) -> None:
        """Begin to build, unless that was done before; the first site is there some seconds later."""
        if self.out is None or self.output is not None:
            return
        command = [sys.executable, "-m", "leaderboard.build", str(self.results), "--out", str(self.out), "--watch",
                   "--until-told"]  # fmt: skip
        self.output = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (it lives as long as the process)
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self.output, text=True,
                env=os.environ | ONE_THREAD, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self.warning = f"no site is built: {error}"

    def fresh_warning(self) -> str:
        """Once, that the process has ended though the run goes on."""
        if self.process is None or self.warning or self.process.poll() is None:
            return ""
        self.warning = f"the site is not built any more: {self.last_words()}"
        return self.warning

    def leave(self) -> None:
        """The run is cut short: do not wait, the process writes a last page and ends."""
        self.say_goodbye()

    def close(self) -> str:
        """Wait for a last build of everything; a warning in words, or nothing."""
        if self.process is None or self.warning:
            return self.warning
        self.say_goodbye()
        try:
            status = self.process.wait(GOODBYE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return f"the last build of the site took more than {GOODBYE_SECONDS:.0f} s"
        return f"the site is not complete: {self.last_words()}" if status else ""

    def say_goodbye(self) -> None:
        """A word before the pipe is closed: without one the process takes the run for killed."""
        if self.process is not None and self.process.stdin is not None:
            try:
                self.process.stdin.write(FAREWELL)
                self.process.stdin.close()
            except OSError:
                self.process.stdin = None  # it has ended; its exit status says the rest

    def last_words(self) -> str:
        """What the process said last."""
        assert self.output is not None
        self.output.seek(0)
        lines = self.output.read().strip().splitlines() or ["it said nothing"]
        return clean_text(lines[-1], TOLD)
