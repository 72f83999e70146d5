"""A folder that a command writes: whole or not at all, and never over anything else."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

MARKER = ".offpiste-site"
WRITTEN = "written by Offpiste, which replaces this folder as a whole; its files:"


class NotOurs(Exception):
    """The output folder holds something that the command did not write; the message says what to do."""


def check_out(out: Path, marker: str = MARKER) -> None:
    """Raises NotOurs unless `out` is free, empty, or was written by the command of this marker and nobody else."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise NotOurs(f"{out} is not a folder; name another with --out")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / marker).is_file():
        raise NotOurs(f"{out} holds files that this command did not write; name another folder with --out")
    if added := strangers(out, marker):
        raise NotOurs(f"{out} holds {added[0]}, which this command did not write; move it, or name another with --out")


def strangers(out: Path, marker: str) -> list[str]:
    """What somebody added to a folder of ours. A marker without a list is an older one and knows of none."""
    listed = (out / marker).read_text(encoding="utf-8").splitlines()[1:]
    found = (path for path in out.rglob("*") if path.is_symlink() or not path.is_dir())
    names = {path.relative_to(out).as_posix() for path in found}
    return sorted(names - {*listed, marker}) if listed else []


def write(out: Path, files: Mapping[str, str] | Mapping[str, str | bytes], marker: str = MARKER) -> None:
    """Put the files where `out` is, all or none: a folder beside it, then a rename.

    Raises:
        NotOurs: when there is something else at `out`.
        OSError: when the disk is full or the folder cannot be written; the old files then still stand.
    """
    check_out(out, marker)
    out = Path(os.path.abspath(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    fresh, old = (out.with_name(f".{out.name}.{token}.{part}") for part in ("tmp", "old"))
    listed = "".join(f"{line}\n" for line in (WRITTEN, *sorted(files)))
    try:
        for name, content in {**files, marker: listed}.items():
            path = contained(fresh, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        replace(out, fresh, old)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def replace(out: Path, fresh: Path, old: Path) -> None:
    """Swap folders; if the second rename fails the old one goes back."""
    if not out.exists():
        os.rename(fresh, out)
        return
    os.rename(out, old)
    try:
        os.rename(fresh, out)
    except OSError:
        os.rename(old, out)
        raise


def contained(root: Path, name: str) -> Path:
    """A path below `root`.

    Raises:
        ValueError: for a name that leads out of it.
    """
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f"{name!r} leads out of the folder")
    return path
