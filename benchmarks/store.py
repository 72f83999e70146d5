"""A results folder: one JSON file per trial, `family/task/model/algorithm/key.json`, written whole or not at all.

`benchmarks.pack` moves files into segments (`benchmarks/segments.py`), which lie directly in the folder. Where a trial
has both, its file counts: it is the newer one.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.packed import DISCARDED, Packed, age, discarded
from benchmarks.records import MAX_BYTES, InvalidRecord, Record, Trial, parse


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
        self.packed = Packed(root)
        self.set_aside: list[Path] = []

    def path(self, trial: Trial) -> Path:
        """Where the record of a trial stands."""
        return self.root / trial.folder / f"{trial.key}.json"

    def get(self, trial: Trial) -> Record | None:
        """The record of a trial; a damaged one is set aside as `.damaged` and counts as missing.

        Raises:
            StoreError: when a segment cannot be read.
        """
        path = self.path(trial)
        try:
            return read(path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except InvalidRecord:
            self.put_aside(path)
        return max(self.packed_versions(trial), key=age, default=None)

    def packed_versions(self, trial: Trial) -> list[Record]:
        """The records of a trial in segments.

        Raises:
            StoreError: when one cannot be read.
        """
        try:
            found = self.packed.versions(trial.key)
            for name, error in self.packed.damaged.items():
                if isinstance(error, OSError):
                    raise error
                self.put_aside(self.root / name)
        except (InvalidRecord, OSError) as error:
            raise StoreError(f"cannot read the packed results in {self.root}: {error}") from error
        return found

    def put_aside(self, path: Path) -> None:
        """Name a damaged file so that it is no result any more."""
        with suppress(FileNotFoundError):  # another run has done it
            path.replace(path.with_suffix(".damaged"))
            self.set_aside.append(path)

    def put(self, record: Record) -> Path:
        """Write a record durably.

        Raises:
            StoreError: when the disk is full or the folder cannot be written; the old state then still stands.
        """
        path = self.path(record.trial)
        try:
            write_whole(path, record.to_json().encode())
        except OSError as error:
            raise unwritable(self.root, error) from error
        return path

    def discard(self, trial: Trial) -> None:
        """Forget the record of a trial that is to be run again.

        Raises:
            StoreError: when a segment cannot be read or the folder cannot be written.
        """
        packed = self.packed_versions(trial)
        try:
            if packed:
                discard_packed(self.root, trial, {record.checksum for record in packed})
            self.path(trial).unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.root, error) from error

    def check_writable(self) -> None:
        """Write and remove a file, and remove what killed writers left behind.

        Raises:
            StoreError: when the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
            try:
                probe.write_bytes(b"offpiste")
            finally:
                probe.unlink(missing_ok=True)
            self.sweep()
        except OSError as error:
            raise unwritable(self.root, error) from error

    def sweep(self, older_than_seconds: float = 3600.0) -> None:
        """Remove temporary files that a killed writer left behind, and put back what a killed packer had taken."""
        for path in [*self.root.glob(".*.tmp"), *self.root.glob("*/*/*/*/.*")]:
            with suppress(FileNotFoundError):
                if path.suffix == TAKEN:
                    give_back(path)
                elif path.suffix == ".tmp" and time.time() - path.stat().st_mtime > older_than_seconds:
                    path.unlink()


FOLDERS = 4  # family/task/model/algorithm
TAKEN = ".taken"


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
    return checked(path, content(path))


def checked(path: Path, text: bytes) -> Record:
    """The record in the content of a file.

    Raises:
        InvalidRecord: when it cannot be believed.
    """
    record = parse(text)
    if path.stem != record.key:
        raise InvalidRecord(f"its name is not its key {record.key}")
    return record


def content(path: Path) -> bytes:
    """What stands in a file.

    Raises:
        FileNotFoundError: when there is none.
        InvalidRecord: when it is no file that a record may stand in.
    """
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise InvalidRecord("a link; links are not followed")
    if not stat.S_ISREG(found.st_mode):
        raise InvalidRecord("not a regular file")
    if found.st_size > MAX_BYTES:
        raise InvalidRecord(f"{found.st_size:,} bytes; at most {MAX_BYTES:,} are read")
    return path.read_bytes()


def remove(path: Path, known: bytes) -> bool:
    """Remove the file of a record that stands elsewhere too, if it still is the one that is known; False where there is
    none any more.

    It is taken away first and looked at then: between a look and an `unlink`, a run could put a newer one there.
    """
    taken = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{TAKEN}")
    try:
        if path.read_bytes() != known:
            return True
        os.rename(path, taken)
    except FileNotFoundError:
        return False
    with suppress(FileNotFoundError):  # a run that begins has put it back
        if taken.read_bytes() == known:
            taken.unlink()
        else:
            give_back(taken)
    return True


def give_back(taken: Path) -> None:
    """Put a file back that was taken away, unless a newer one is there by now."""
    path = taken.with_name(f"{taken.name.split('.')[1]}.json")
    try:
        os.link(taken, path)  # a rename would replace a newer one
    except FileExistsError:
        pass
    except OSError:  # this file system has no links
        if not path.exists():
            taken.rename(path)
            return
    taken.unlink()


def discard_packed(root: Path, trial: Trial, checksums: set[str]) -> None:
    """Say that these records of a trial, which segments hold, do not count."""
    lines = sorted(checksums | discarded(root, trial))
    write_whole(root / trial.folder / f"{trial.key}{DISCARDED}", "".join(f"{line}\n" for line in lines).encode())


def scan(root: Path) -> Iterator[Record | Damaged]:
    """Every record below a folder, in files and in segments, in the order of their paths, of each trial the one that
    counts; what is damaged with the reason, untouched."""
    seen = set[str]()
    for path in record_files(root, FOLDERS) if root.is_dir() else ():
        if isinstance(path, Damaged):
            yield path
            continue
        try:
            record = read(path)
        except FileNotFoundError:  # packed since it was listed
            continue
        except (InvalidRecord, OSError) as error:
            yield Damaged(path, str(error))
            continue
        seen.add(record.key)
        yield record
    try:
        for path, found in Packed(root).records(seen):
            yield Damaged(path, found) if isinstance(found, str) else found
    except OSError as error:
        yield Damaged(root, str(error))


def write_whole(path: Path, text: bytes) -> None:
    """Write a file durably: a temporary file in the same folder, fsync, rename, fsync of the folder.

    Raises:
        OSError: when the disk is full or the folder cannot be written; what was there before still stands.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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
