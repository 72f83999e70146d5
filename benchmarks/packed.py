"""The segments of a results folder together: which record of a trial counts, found by its key.

Segments come and go while a folder is packed, and what they hold together stays: one goes only after another has all
that it held. Who finds one gone looks again.

A segment never changes. That a record in one is to be run again says `family/task/model/algorithm/key.discarded`, with
its checksum; any other record of the trial counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from benchmarks.records import InvalidRecord, Record, Trial, parse
from benchmarks.segments import SUFFIX, Segment, index_segment, keys_in, lines_of, records_of

UNPACKED = 2  # segments that are kept in memory with all their lines
DISCARDED = ".discarded"

Age = tuple[str, str]


def started(record: Record) -> str:
    """When a record was run, ISO 8601; empty where its provenance does not say."""
    return str(record.provenance.get("started", ""))


def age(record: Record) -> Age:
    """For finding the most recent record of a trial; the content breaks ties, so that no order of files does."""
    return started(record), record.checksum


class Packed:
    """The records in the segments of a folder. Of several records of one trial the most recent counts.

    `segments` and, with the reason, `damaged` are what the last `refresh` found, by name. Each is read once and its
    keys are kept, 150 bytes a record; the last few that a record was taken from are kept whole.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.segments: dict[str, Segment] = {}
        self.damaged: dict[str, InvalidRecord | OSError] = {}
        self.lines = lru_cache(UNPACKED)(lines_by_key)

    def refresh(self) -> set[str]:
        """Index the segments that came, and forget those that are gone; the names of all."""
        while (there := segment_names(self.root)) != (known := self.segments.keys() | self.damaged.keys()):
            for name in known - there:
                self.segments.pop(name, None)
                self.damaged.pop(name, None)
            for name in sorted(there - known):
                try:
                    self.segments[name] = index_segment(self.root / name)
                except FileNotFoundError:
                    continue
                except (InvalidRecord, OSError) as error:
                    self.damaged[name] = error
        return there

    def versions(self, key: str) -> list[Record]:
        """Every record of a trial that was not discarded.

        Raises:
            InvalidRecord: when a segment was damaged since it was indexed.
            OSError: when one cannot be read.
        """
        while self.refresh():
            with suppress(FileNotFoundError):
                lines = [line for s in self.holding(frozenset([key])) for line in self.lines(s.path).get(key, ())]
                return [record for line in lines if (record := self.believed(line)) and record.key == key]
        return []

    def newest(self, keys: frozenset[str] | None = None) -> dict[str, Age]:
        """The age of the record that counts, for those of the trials that have one; for all that stand in several
        places, where no keys are given.

        Raises:
            InvalidRecord, OSError: as in `versions`.
        """
        while self.refresh():
            with suppress(FileNotFoundError):
                return self.ages(self.repeated() if keys is None else keys)
        return {}

    def ages(self, keys: frozenset[str]) -> dict[str, Age]:
        """`newest`, by what the last `refresh` found."""
        found: dict[str, Age] = {}
        for segment in self.holding(keys):
            for line in lines_of(segment.path):
                if not keys.isdisjoint(keys_in(line)) and (record := self.believed(line)):
                    found[record.key] = max(age(record), found.get(record.key, age(record)))
        return found

    def holding(self, keys: frozenset[str]) -> list[Segment]:
        """The segments that any of the keys stands in."""
        return [segment for segment in self.segments.values() if not keys.isdisjoint(segment.keys)]

    def repeated(self) -> frozenset[str]:
        """The keys that stand in several places."""
        once, again = set[str](), set[str]()
        for segment in self.segments.values():
            again |= (once & segment.keys) | segment.repeated
            once |= segment.keys
        return frozenset(again)

    def records(self, seen: set[str]) -> Iterator[tuple[Path, Record | str]]:
        """Every record that counts and whose key is not in `seen`, once, with its segment, in the order of their names;
        of what cannot be believed the reason."""
        done = set[str]()
        while new := self.refresh() - done:
            try:
                newest = self.newest()
            except (InvalidRecord, OSError):  # told below
                newest = {}
            for name in sorted(new):
                done.add(name)
                for item in self.read(name):
                    if isinstance(item, str):
                        yield self.root / name, item
                    elif self.counts(item, newest) and item.key not in seen:
                        seen.add(item.key)
                        yield self.root / name, item

    def counts(self, record: Record, newest: Mapping[str, Age]) -> bool:
        """Whether a record is the one of its trial, where `newest` has the ages of those in several places."""
        is_newest = age(record) == newest.get(record.key, age(record))
        return is_newest and record.checksum not in discarded(self.root, record.trial)

    def read(self, name: str) -> Iterator[Record | str]:
        """What stands in a segment; nothing where it is gone, since another has it."""
        try:
            if name in self.damaged:
                raise self.damaged[name]
            yield from records_of(self.root / name)
        except FileNotFoundError:
            return
        except (InvalidRecord, OSError) as error:
            yield str(error)

    def believed(self, line: bytes) -> Record | None:
        """The record in a line, if it is one that counts."""
        try:
            record = parse(line)
        except InvalidRecord:
            return None
        return None if record.checksum in discarded(self.root, record.trial) else record


def discarded(root: Path, trial: Trial) -> set[str]:
    """The checksums of records of a trial that do not count."""
    path = root / trial.folder / f"{trial.key}{DISCARDED}"
    try:
        return set(path.read_text().split()) if path.is_file() else set()
    except FileNotFoundError:
        return set()


def segment_names(root: Path) -> set[str]:
    """The names of the segments in a folder."""
    try:
        return {name for name in os.listdir(root) if name.endswith(SUFFIX)}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def lines_by_key(path: Path) -> dict[str, list[bytes]]:
    """The lines of a segment by the keys in them.

    Raises:
        InvalidRecord: when it was damaged since it was indexed, or has a line that no record can be as long as.
        OSError: when it cannot be read.
    """
    found: dict[str, list[bytes]] = {}
    try:
        for line in lines_of(path):
            for key in keys_in(line):
                found.setdefault(key, []).append(line)
    except InvalidRecord as error:
        raise InvalidRecord(f"{path.name}: {error}") from error
    return found
