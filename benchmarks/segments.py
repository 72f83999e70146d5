"""Many records in one file that never changes: its name holds a hash of its content, `simplicity-1f3a….jsonl.xz`.

For results that are kept and shared. One line a record, sorted by their places in a results folder, so that the same
records give the same bytes; `benchmarks.store.scan` reads loose files and segments alike. A line is believed as little
as a file: `benchmarks.records.parse` checks each.
"""

from __future__ import annotations

import errno
import hashlib
import lzma
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records import MAX_BYTES, InvalidRecord, Record, parse

SUFFIX = ".jsonl.xz"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}-([0-9a-f]{16})\.jsonl\.xz")
KEY = re.compile(rb'"key"\s{0,8}:\s{0,8}"([0-9a-f]{32})"')
LONGEST_KEY = 56  # bytes that it matches at most
MAX_CONTENT_BYTES = 4 * 2**30
MAX_RATIO = 1000  # honest segments come to about 10, since the hashes of a record do not compress
MAX_MEMORY = 2**28  # what preset 9 takes to unpack, four times
MAX_BAD_LINES = 100
MAX_KEYS = 2_000_000  # so many of the shortest records are as much content as there may be
CHUNK = 2**20
SMALLEST, QUICK = 9, 1  # presets: for what is kept and shared; ten times as fast for a third more bytes


@dataclass(frozen=True)
class Segment:
    """What a segment seems to hold: the keys in its lines, those of them that stand there twice, the bytes of content.

    Whether a line is the record of its key is known when it is parsed.
    """

    path: Path
    keys: frozenset[str]
    repeated: frozenset[str]
    n_bytes: int

    @property
    def family(self) -> str:
        """The family that its name says."""
        return self.path.name.rpartition("-")[0]


def write_segment(family: str, records: Iterable[Record], folder: Path) -> Path:
    """Write the records of a family as one segment, whole or not at all; the path of it.

    Raises:
        OSError: when the disk is full or the folder cannot be written.
    """
    ordered = sorted(records, key=lambda r: (r.trial.folder, r.key))
    return write_lines(family, [r.to_json().encode() for r in ordered], folder)


def write_lines(family: str, lines: Sequence[bytes], folder: Path, preset: int = SMALLEST) -> Path:
    """Write lines, each with its end, as one segment, whole or not at all, and read it back; the path of it.

    Raises:
        OSError: when the disk is full or the folder cannot be written, or when what is read back is not what was
            written.
    """
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    path = folder / f"{family}-{digest.hexdigest()[:16]}{SUFFIX}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            with lzma.open(file, "wb", preset=preset) as compressed:
                compressed.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        if content_digest(temporary) != digest.hexdigest():
            raise InvalidRecord("other content")
        os.replace(temporary, path)
    except InvalidRecord as error:
        raise OSError(errno.EIO, f"what was written is not read back: {error}", str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def index_segment(path: Path) -> Segment:
    """The keys of a segment, without parsing it, after its content was found to be what its name says.

    Raises:
        InvalidRecord: when the file as a whole is no segment, or its content is not what its name says.
        OSError: when it cannot be read.
    """
    named = named_digest(path)
    digest, keys, repeated, n_bytes = hashlib.sha256(), set[str](), set[str](), 0
    end = b""
    for piece in unpacked(path):
        digest.update(piece)
        n_bytes += len(piece)
        for found in KEY.finditer(end + piece):
            if found.end() > len(end):  # the others were found with the last piece
                key = found[1].decode()
                (repeated if key in keys else keys).add(key)
        if len(keys) > MAX_KEYS:
            raise InvalidRecord(f"more than {MAX_KEYS:,} keys")
        end = (end + piece)[-LONGEST_KEY:]
    if not digest.hexdigest().startswith(named):
        raise InvalidRecord("its content is not what its name says")
    return Segment(path, frozenset(keys), frozenset(repeated), n_bytes)


def named_digest(path: Path) -> str:
    """What the SHA-256 of a segment's content begins with, by its name.

    Raises:
        InvalidRecord: when its name is no segment's, or it is not a file.
        OSError: when it cannot be read.
    """
    named = NAME.fullmatch(path.name)
    if named is None:
        raise InvalidRecord("its name is not 'family-<16 hex digits>.jsonl.xz'")
    kind = path.lstat().st_mode
    if stat.S_ISLNK(kind):
        raise InvalidRecord("a link; links are not followed")
    if not stat.S_ISREG(kind):
        raise InvalidRecord("not a regular file")
    return named[1]


def keys_in(line: bytes) -> set[str]:
    """The keys that a line may be the record of; a record says its own key, and may quote others."""
    return {key.decode() for key in KEY.findall(line)}


def records_of(path: Path) -> Iterator[Record | str]:
    """Every record of a segment that `index_segment` has passed; for a line that cannot be believed its number and the
    reason.

    Raises:
        InvalidRecord: when most of it is no records.
        OSError: when it cannot be read.
    """
    bad = 0
    for number, line in enumerate(lines_of(path), start=1):
        try:
            yield parse(line)
        except InvalidRecord as error:
            bad += 1
            if bad > MAX_BAD_LINES:
                raise InvalidRecord(f"more than {MAX_BAD_LINES} lines are no records; the rest is not read") from error
            yield f"line {number}: {error}"


def content_digest(path: Path) -> str:
    """The SHA-256 of the uncompressed content."""
    digest = hashlib.sha256()
    for piece in unpacked(path):
        digest.update(piece)
    return digest.hexdigest()


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a compressed file with their ends; one that no record can be as long as is an error, and is not read
    to its end."""
    begun = b""
    for piece in unpacked(path):
        *whole, begun = (begun + piece).split(b"\n")
        if any(len(line) > MAX_BYTES for line in (*whole, begun)):
            raise InvalidRecord(f"a line of more than {MAX_BYTES:,} bytes")
        yield from (line + b"\n" for line in whole)
    if begun:
        yield begun


def unpacked(path: Path) -> Iterator[bytes]:
    """The content of a compressed file in pieces, without more time or memory than an honest file of its size needs.

    Raises:
        InvalidRecord: when it is damaged, or when it would unpack to more than a segment can.
    """
    allowed = min(MAX_CONTENT_BYTES, MAX_BYTES + MAX_RATIO * path.stat().st_size)
    size = 0
    try:
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)
        with open(path, "rb") as file:
            while not decompressor.eof:
                packed = file.read(CHUNK) if decompressor.needs_input else b""
                if decompressor.needs_input and not packed:
                    raise EOFError("it ends too early")
                piece = decompressor.decompress(packed, CHUNK)
                size += len(piece)
                if size > allowed:
                    raise InvalidRecord(f"more than {allowed:,} bytes of content")
                yield piece
            if decompressor.unused_data or file.read(1):
                raise InvalidRecord("something follows its content")
    except (lzma.LZMAError, EOFError) as error:
        raise InvalidRecord(f"damaged: {error}") from error
