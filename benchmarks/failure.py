"""What a raised exception makes of a trial: its status, a reason in one line, and where it came from."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path

from baselines import contract
from benchmarks.records import Record, Status, Trial, clean_text
from benchmarks.replica import Diverged
from tasks.types import MissingData

MEMORY_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "unable to allocate")
FRAMES_KEPT = 6


def failure(trial: Trial, error: BaseException) -> Record:
    """What a raised exception says: its status, a reason in one line, and the frames of the class under test."""
    reason = clean_text(f"{type(error).__name__}: {error}", 500)
    status: Status = "failed"
    if isinstance(error, contract.NotApplicable | MissingData):
        return Record(trial, "skipped", clean_text(str(error), 500))
    if isinstance(error, Diverged):
        status, reason = "diverged", clean_text(str(error), 500)
    elif isinstance(error, contract.BrokenContract):
        reason = clean_text(str(error), 500)
    elif isinstance(error, MemoryError) or any(word in str(error).lower() for word in MEMORY_WORDS):
        status = "out_of_memory"
    elif isinstance(error, SystemExit):
        reason = f"called sys.exit({error.code!r})"
    return Record(trial, status, reason, error=describe(error))


def describe(error: BaseException) -> Mapping[str, str]:
    """Type, message and the last frames of an exception, without the folders of this machine."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_KEPT:]
    lines = [f"{Path(f.filename).name}:{f.lineno} in {f.name}: {f.line or ''}" for f in frames]
    return {
        "type": type(error).__name__,
        "message": clean_text(str(error), 2_000),
        "frames": clean_text("\n".join(lines), 4_000),
    }
