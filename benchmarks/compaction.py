"""Packs a results folder where it is: many files become a few segments, and what the folder says never changes.

A segment is written, read back and durable before a file goes, and a file goes only while it is what was packed. So a
packer may be killed at any moment, and work beside runs that write and programs that read. A segment goes only for one
that holds all its records or newer ones.

Segments have at most 20,000 records and 50 MB of content. Every packing makes one that is not full, and merges it with
those before it that are not much larger, so that each is more than twice the one before: there are few, and a record is
moved a few times at most.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from benchmarks.packed import Age, Packed, age, discarded
from benchmarks.records import InvalidRecord, Record, Trial, parse
from benchmarks.segments import QUICK, Segment, lines_of, write_lines
from benchmarks.store import (
    FOLDERS,
    Damaged,
    Store,
    StoreError,
    checked,
    content,
    discard_packed,
    record_files,
    remove,
    sync_folder,
    unwritable,
)

MOST_RECORDS, MOST_BYTES = 20_000, 50_000_000
SMALL = 0.5  # of a full segment: only such are merged
NOT_MUCH_LARGER = 2.0
NOT_ALONE = "another file has a record of the trial too"
MISPLACED = "not where the record of its trial belongs"
NO_LINE = "not one line, as a run writes it"
DISCARDED = "the same record was discarded before"
OLDER = "a segment has a record of the trial that says that it was started later"


@dataclass(frozen=True)
class Written:
    """A new segment, and how many files and smaller segments it replaces."""

    path: Path
    n_records: int
    n_files: int
    n_segments: int


class Line(NamedTuple):
    """A record as it stands in a segment. Of two of one trial the larger counts."""

    age: Age
    text: bytes
    place: tuple[str, str]

    @property
    def checksum(self) -> str:
        return self.age[1]


class Loose(NamedTuple):
    """A file that is to be packed."""

    path: Path
    trial: Trial
    line: Line


class Compaction:
    """One packing of a results folder. Afterwards `n_files` are in segments, and `left` counts those that stay.

    `files` are all, by family, `named` says how many have a name, and `ages` what segments have of the same trials.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root)
        self.packed = Packed(root)
        self.files: dict[str, list[Path]] = {}
        self.named: Counter[str] = Counter()
        self.ages: dict[str, Age] = {}
        self.is_alone = False
        self.n_files = 0
        self.left: Counter[str] = Counter()

    def run(self) -> Iterator[Written | Damaged]:
        """Pack, and tell of every segment when it stands, and of what is damaged; that stays as it is.

        Raises:
            StoreError: when another packs the folder, or it cannot be read or written; nothing is lost.
        """
        try:
            with only_one(self.root) as self.is_alone:
                self.store.check_writable()
                yield from self.survey()
                for family in sorted(self.files.keys() | {s.family for s in self.packed.segments.values()}):
                    yield from self.pack_family(family)
        except InvalidRecord as error:
            raise StoreError(f"cannot read the packed results in {self.root}: {error}") from error
        except OSError as error:
            raise unwritable(self.root, error) from error

    def survey(self) -> Iterator[Damaged]:
        """Find what there is."""
        for found in record_files(self.root, FOLDERS):
            if isinstance(found, Damaged):
                yield found
            else:
                self.files.setdefault(found.relative_to(self.root).parts[0], []).append(found)
        self.named = Counter(path.stem for paths in self.files.values() for path in paths)
        self.ages = self.packed.newest(frozenset(self.named))
        for name, error in self.packed.damaged.items():
            yield Damaged(self.root / name, str(error))

    def pack_family(self, family: str) -> Iterator[Written | Damaged]:
        """Full segments of a family's files, and one of the rest."""
        batch: list[Loose] = []
        n_bytes = 0
        for path in self.files.get(family, ()):
            found = self.look(path)
            if isinstance(found, Damaged):
                yield found
            elif found is not None:
                if size(len(batch) + 1, n_bytes + len(found.line.text)) > 1:
                    yield self.write(family, batch, {})
                    batch, n_bytes = [], 0
                batch.append(found)
                n_bytes += len(found.line.text)
        own = [segment for segment in self.packed.segments.values() if segment.family == family]
        merged = to_merge(own, size(len(batch), n_bytes))
        held = {segment.path: lines for segment in merged if (lines := self.lines_in(segment.path)) is not None}
        if batch or len(held) > 1:
            yield self.write(family, batch, held)

    def look(self, path: Path) -> Loose | Damaged | None:
        """A file that is to be packed, or None where it stays or goes."""
        try:
            text = content(path)
            record = checked(path, text)
        except FileNotFoundError:
            return None
        except (InvalidRecord, OSError) as error:
            return Damaged(path, str(error))
        loose = Loose(path, record.trial, line_of(record, text))
        if reason := self.stays(loose):
            self.left[reason] += 1
        elif self.ages.get(record.key) == loose.line.age:  # a killed packer left it
            self.remove(loose)
        else:
            return loose
        return None

    def stays(self, loose: Loose) -> str:
        """Why a file must stay; packed, it would not be the record of its trial that counts, or not the same."""
        path, trial, line = loose
        if self.named[path.stem] > 1:
            return NOT_ALONE
        if path != self.store.path(trial):
            return MISPLACED
        if line.text.count(b"\n") != 1 or not line.text.endswith(b"\n"):
            return NO_LINE
        if line.checksum in discarded(self.root, trial):
            return DISCARDED
        return OLDER if self.ages.get(trial.key, line.age) > line.age else ""

    def write(self, family: str, batch: Sequence[Loose], held: Mapping[Path, Sequence[Line]]) -> Written:
        """A segment of files and of the lines of smaller segments, which then go."""
        lines: dict[tuple[str, str], Line] = {}
        for line in chain((loose.line for loose in batch), *held.values()):
            lines[line.place] = max(line, lines.get(line.place, line))
        path = write_lines(family, [lines[place].text for place in sorted(lines)], self.root, QUICK)
        sync_folder(self.root)
        for old in held.keys() - {path}:
            old.unlink(missing_ok=True)
        for loose in batch:
            self.remove(loose)
        return Written(path, len(lines), len(batch), len(held))

    def lines_in(self, path: Path) -> list[Line] | None:
        """The lines of a segment that count; None where one is no record, since none may be lost, or it is gone."""
        found = []
        try:
            for line in lines_of(path):
                text = line.removesuffix(b"\n") + b"\n"
                record = parse(text)
                if record.checksum not in discarded(self.root, record.trial):
                    found.append(line_of(record, text))
        except (InvalidRecord, FileNotFoundError):
            return None
        return found

    def remove(self, loose: Loose) -> None:
        """Remove a file that is packed; where there is none any more, a run has discarded the record meanwhile."""
        if not remove(loose.path, loose.line.text) and self.is_alone:
            discard_packed(self.root, loose.trial, {loose.line.checksum})
        self.n_files += 1


def to_merge(segments: Sequence[Segment], begun: float) -> list[Segment]:
    """The smallest segments, as many as go into one with what is begun and leave only such that are much larger.

    `begun` is a part of a full segment.
    """
    ordered = sorted((size(len(s.keys), s.n_bytes), s.path.name, s) for s in segments)
    chosen = 0
    for number, (own, _, _) in enumerate(ordered, start=1):
        if own > SMALL or begun + own > 1:
            break
        if own <= NOT_MUCH_LARGER * begun:
            chosen = number
        begun += own
    return [segment for _, _, segment in ordered[:chosen]]


def size(n_records: int, n_bytes: int) -> float:
    """As a part of a full segment."""
    return max(n_records / MOST_RECORDS, n_bytes / MOST_BYTES)


def line_of(record: Record, text: bytes) -> Line:
    """The line that is a record's."""
    return Line(age(record), text, (record.trial.folder, record.key))


@contextmanager
def only_one(root: Path) -> Iterator[bool]:
    """Keep others from packing the folder meanwhile; whether the file system has locks, so that this is so. Elsewhere
    two do the work twice.

    Raises:
        StoreError: when another is at it.
    """
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_alone = True
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreError(f"another process packs {root} at this moment; nothing was done here") from error
    except OSError:
        is_alone = False
    try:
        yield is_alone
    finally:
        os.close(descriptor)
