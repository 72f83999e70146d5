"""Many records in one file that never changes: its name holds a hash of its content, `simplicity-1f3a….jsonl.xz`.

For results that are kept and shared. One line a record, sorted by their places in a results folder, so that the same
records give the same bytes; `benchmarks.store.scan` reads loose files and segments alike. A line is believed as little
as a file: `benchmarks.records.parse` checks each.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.records import MAX_BYTES, InvalidRecord, Record, parse

SUFFIX = ".jsonl.xz"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}-([0-9a-f]{16})\.jsonl\.xz")
MAX_CONTENT_BYTES = 4 * 2**30
MAX_RATIO = 1000  # honest segments come to about 10, since the hashes of a record do not compress
MAX_MEMORY = 2**28  # what preset 9 takes to unpack, four times
MAX_BAD_LINES = 100
CHUNK = 2**20


def write_segment(family: str, records: Iterable[Record], folder: Path) -> Path:
    """Write the records of a family as one segment, whole or not at all; the path of it.

    Raises:
        OSError: when the disk is full or the folder cannot be written.
    """
    lines = [r.to_json().encode() for r in sorted(records, key=lambda r: (r.trial.folder, r.key))]
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    path = folder / f"{family}-{digest.hexdigest()[:16]}{SUFFIX}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            with lzma.open(file, "wb", preset=9) as compressed:
                compressed.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    return path


def read_segment(path: Path) -> Iterator[Record | str]:
    """Every record of a segment; for a line that cannot be believed its number and the reason.

    Raises:
        InvalidRecord: when the file as a whole is no segment, or its content is not what its name says.
        OSError: when it cannot be read.
    """
    named = NAME.fullmatch(path.name)
    if named is None:
        raise InvalidRecord("its name is not 'family-<16 hex digits>.jsonl.xz'")
    if path.is_symlink():
        raise InvalidRecord("a link; links are not followed")
    if not path.is_file():
        raise InvalidRecord("not a regular file")
    if content_digest(path)[:16] != named[1]:
        raise InvalidRecord("its content is not what its name says")
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
    """The lines of a compressed file; one that no record can be as long as is an error, and is not read to its end."""
    begun = b""
    for piece in unpacked(path):
        *whole, begun = (begun + piece).split(b"\n")
        if any(len(line) > MAX_BYTES for line in (*whole, begun)):
            raise InvalidRecord(f"a line of more than {MAX_BYTES:,} bytes")
        yield from whole
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
