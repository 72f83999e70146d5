"""A finding: one clause of a contract held against a class, and what came of it."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.records import clean_text

Verdict = Literal["ok", "broken", "note", "skipped"]
ROOT = Path(__file__).parents[1]
LONGEST = 500  # characters of a detail: an error may hold a whole tensor
NOT_THEIRS = (ROOT / "baselines", ROOT / "benchmarks", Path(json.__file__).parent)


@dataclass(frozen=True)
class Finding:
    """One clause on one problem."""

    problem: str
    clause: str
    verdict: Verdict
    detail: str = ""


def say(error: BaseException) -> str:
    """An exception in one line, with the place in the user's file."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not any(Path(f.filename).is_relative_to(folder) for folder in NOT_THEIRS)]
    place = f" ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else ""
    kind = "" if type(error).__name__ == "BrokenContract" else f"{type(error).__name__}: "
    return f"{kind}{str(error).splitlines()[0] if str(error) else ''}{place}"


def printable(text: str) -> str:
    """A detail in one line, neither long nor with what a terminal would obey."""
    return clean_text(" ".join(clean_text(text).split()), LONGEST)
