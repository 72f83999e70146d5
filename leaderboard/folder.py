"""The folder of a site: written whole or not at all, and never over anything else."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

MARKER = ".offpiste-site"


class NotOurs(Exception):
    """The output folder holds something that is not a site of ours; the message says what to do."""


def check_out(out: Path) -> None:
    """Raises NotOurs unless `out` is free, empty, or a site that this command wrote."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise NotOurs(f"{out} is not a folder; name another with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
        raise NotOurs(f"{out} holds files that are not a site of this command; name another folder with --out")


def write(out: Path, files: Mapping[str, str]) -> None:
    """Put the files where `out` is, all or none: a folder beside it, then a rename.

    Raises:
        NotOurs: when there is something else at `out`.
        OSError: when the disk is full or the folder cannot be written; the old site then still stands.
    """
    check_out(out)
    out = Path(os.path.abspath(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    fresh, old = (out.with_name(f".{out.name}.{token}.{part}") for part in ("tmp", "old"))
    try:
        for name, text in {**files, MARKER: "written by python -m leaderboard.build\n"}.items():
            path = contained(fresh, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        replace(out, fresh, old)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def replace(out: Path, fresh: Path, old: Path) -> None:
    """Swap folders; if the second rename fails the old site goes back."""
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
        raise ValueError(f"{name!r} leads out of the site")
    return path
