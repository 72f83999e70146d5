"""A results folder: one JSON file per trial, `family/task/model/algorithm/key.json`, written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records import MAX_BYTES, InvalidRecord, Record, Trial, parse


@dataclass(frozen=True)
class Damaged:
    """A file that is no valid record, and why."""

    path: Path
    reason: str


class Store:
    """Records by trial key. A trial is done if and only if its valid record is here, whatever its status."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, trial: Trial) -> Path:
        """Where the record of a trial stands."""
        return self.root / trial.folder / f"{trial.key}.json"

    def get(self, trial: Trial) -> Record | None:
        """The record of a trial; a damaged one is set aside as `.damaged` and counts as missing."""
        path = self.path(trial)
        try:
            return read(path)
        except FileNotFoundError:
            return None
        except InvalidRecord:
            path.replace(path.with_suffix(".damaged"))
            return None

    def put(self, record: Record) -> Path:
        """Write a record durably: a temporary file in the same folder, fsync, rename, fsync of the folder.

        Raises:
            OSError: when the disk is full or the folder cannot be written; the old state then still stands.
        """
        path = self.path(record.trial)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(record.to_json().encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
        return path

    def sweep(self, older_than_seconds: float = 3600.0) -> None:
        """Remove temporary files that a killed writer left behind."""
        import time

        for path in self.root.glob("*/*/*/*/.*.tmp"):
            try:
                if time.time() - path.stat().st_mtime > older_than_seconds:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        FileNotFoundError: when there is none.
        InvalidRecord: when it cannot be believed, a link or too large a file among the reasons.
    """
    if path.is_symlink():
        raise InvalidRecord("a link; links are not followed")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidRecord(f"{path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
    record = parse(path.read_bytes())
    if path.stem != record.key:
        raise InvalidRecord(f"its name is not its key {record.key}")
    return record


def scan(root: Path) -> Iterator[Record | Damaged]:
    """Every result file below a folder, in the order of their paths; damaged ones with the reason, untouched."""
    for path in sorted(root.glob("*/*/*/*/*.json")):
        try:
            yield read(path)
        except (InvalidRecord, OSError) as error:
            yield Damaged(path, str(error))


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; file systems that cannot are left as they are."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
