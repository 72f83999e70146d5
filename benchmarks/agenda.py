"""What a run wants done, as a file in its results folder: `agenda/<run>.jsonl`, one job a line, for workers elsewhere.

It names files of model classes, which a worker imports: a worker trusts the results folder as much as that code.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.jobs import Job
from benchmarks.store import sync_folder, unwritable

FOLDER, SUFFIX = "agenda", ".jsonl"


class Agenda:
    """The file of one run."""

    def __init__(self, results: Path, jobs: Sequence[Job]) -> None:
        self.results, self.jobs = results, jobs
        self.path = results / FOLDER / f"{secrets.token_hex(8)}{SUFFIX}"

    def __enter__(self) -> Agenda:
        """Say what is to be done, whole or not at all.

        Raises:
            StoreError: when the folder cannot be written.
        """
        temporary = self.path.with_name(f".{self.path.stem}.{secrets.token_hex(4)}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "x", encoding="utf-8") as file:
                file.writelines(f"{job.to_json()}\n" for job in self.jobs)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise unwritable(self.results, error) from error
        return self

    def __exit__(self, *exception: object) -> None:
        """It is done, or given up."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def agendas(results: Path) -> Iterator[tuple[Path, list[Job]]]:
    """Every run's file and its jobs.

    Raises:
        ValueError: naming the file that is none.
    """
    for path in sorted((results / FOLDER).glob(f"*{SUFFIX}")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            jobs = [Job.from_json(line) for line in lines]
        except FileNotFoundError:  # its run has ended a moment ago
            continue
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is no list of jobs ({type(error).__name__}); remove it") from error
        yield path, jobs
