"""A results folder: one JSON file per trial, `family/task/model/algorithm/key.json`, written whole or not at all."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records import MAX_BYTES, InvalidRecord, Record, Trial, parse
from benchmarks.segments import SUFFIX, read_segment


class StoreError(Exception):
    """A results folder cannot be written; the message says why and what to do. What is in it is safe."""


@dataclass(frozen=True)
class Damaged:
    """A file that is no valid record, and why."""

    path: Path
    reason: str


class Store:
    """Records by trial key. A trial is done if and only if its valid record is here, whatever its status.

    `set_aside` are the damaged files that were met, now `.damaged`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.set_aside: list[Path] = []

    def path(self, trial: Trial) -> Path:
        """Where the record of a trial stands."""
        return self.root / trial.folder / f"{trial.key}.json"

    def get(self, trial: Trial) -> Record | None:
        """The record of a trial; a damaged one is set aside as `.damaged` and counts as missing."""
        path = self.path(trial)
        try:
            return read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except InvalidRecord:
            path.replace(path.with_suffix(".damaged"))
            self.set_aside.append(path)
            return None

    def put(self, record: Record) -> Path:
        """Write a record durably: a temporary file in the same folder, fsync, rename, fsync of the folder.

        Raises:
            StoreError: when the disk is full or the folder cannot be written; the old state then still stands.
        """
        path = self.path(record.trial)
        temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "xb") as file:
                file.write(record.to_json().encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise unwritable(self.root, error) from error
        return path

    def discard(self, trial: Trial) -> None:
        """Forget the record of a trial that is to be run again."""
        self.path(trial).unlink(missing_ok=True)

    def check_writable(self) -> None:
        """Write and remove a file, and remove what killed writers left behind.

        Raises:
            StoreError: when the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
            probe.write_bytes(b"offpiste")
            probe.unlink()
            self.sweep()
        except OSError as error:
            raise unwritable(self.root, error) from error

    def sweep(self, older_than_seconds: float = 3600.0) -> None:
        """Remove temporary files that a killed writer left behind."""
        for path in self.root.glob("*/*/*/*/.*.tmp"):
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > older_than_seconds:
                    path.unlink()


FOLDERS = 4  # family/task/model/algorithm


def unwritable(root: Path, error: OSError) -> StoreError:
    """What to tell a user whose results folder refuses a file."""
    return StoreError(
        f"cannot write to the results folder {root}: {error.strerror or error}. "
        "Finished results are safe; make room or name another folder with --results, and give the same command again"
    )


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        FileNotFoundError: when there is none.
        InvalidRecord: when it cannot be believed, a link, a pipe or too large a file among the reasons.
    """
    if path.is_symlink():
        raise InvalidRecord("a link; links are not followed")
    if not path.is_file():
        path.stat()  # FileNotFoundError where there is nothing
        raise InvalidRecord("not a regular file")
    if path.stat().st_size > MAX_BYTES:
        raise InvalidRecord(f"{path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
    record = parse(path.read_bytes())
    if path.stem != record.key:
        raise InvalidRecord(f"its name is not its key {record.key}")
    return record


def scan(root: Path) -> Iterator[Record | Damaged]:
    """Every record below a folder, in loose files and in segments, in the order of their paths; what is damaged with
    the reason, untouched."""
    for path in record_files(root, FOLDERS) if root.is_dir() else ():
        if isinstance(path, Damaged):
            yield path
            continue
        try:
            yield read(path)
        except (InvalidRecord, OSError) as error:
            yield Damaged(path, str(error))
    for path in sorted(root.glob(f"*{SUFFIX}")):
        try:
            for item in read_segment(path):
                yield Damaged(path, item) if isinstance(item, str) else item
        except (InvalidRecord, OSError) as error:
            yield Damaged(path, str(error))


def record_files(folder: Path, depth: int) -> Iterator[Path | Damaged]:
    """The JSON files so many folders below, in the order of their paths; links are not followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Damaged(folder, str(error))
        return
    for entry in entries:
        if not depth and entry.name.endswith(".json"):
            yield folder / entry.name
        elif depth and entry.is_dir(follow_symlinks=False) and not (depth == FOLDERS and entry.name == "wandb"):
            yield from record_files(folder / entry.name, depth - 1)


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; file systems that cannot are left as they are."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
