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
from typing import BinaryIO, cast

from benchmarks.records import MAX_BYTES, InvalidRecord, Record, parse

SUFFIX = ".jsonl.xz"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}-([0-9a-f]{16})\.jsonl\.xz")
MAX_CONTENT_BYTES = 4 * 2**30
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
    try:
        if content_digest(path)[:16] != named[1]:
            raise InvalidRecord("its content is not what its name says")
        with lzma.open(path) as file:
            for number, line in enumerate(lines_of(cast("BinaryIO", file)), start=1):
                try:
                    yield parse(line)
                except InvalidRecord as error:
                    yield f"line {number}: {error}"
    except (lzma.LZMAError, EOFError) as error:
        raise InvalidRecord(f"damaged: {error}") from error


def content_digest(path: Path) -> str:
    """The SHA-256 of the uncompressed content, read in pieces."""
    digest, size = hashlib.sha256(), 0
    with lzma.open(path) as file:
        while piece := file.read(CHUNK):
            size += len(piece)
            if size > MAX_CONTENT_BYTES:
                raise InvalidRecord(f"more than {MAX_CONTENT_BYTES:,} bytes of content")
            digest.update(piece)
    return digest.hexdigest()


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; one that no record can be as long as is an error, and is not read to its end."""
    while line := file.readline(MAX_BYTES + 1):
        if len(line) > MAX_BYTES:
            raise InvalidRecord(f"a line of more than {MAX_BYTES:,} bytes")
        yield line
