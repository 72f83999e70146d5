"""Results as a pandas DataFrame, for people who script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.store import Damaged, scan

if TYPE_CHECKING:
    import pandas

OF_TRIAL = ("task", "condition", "model", "algorithm", "seed", "budget_scale", "tuned", "left_out")
OF_RECORD = ("status", "reason", "flags", "seconds", "n_parameters", "selected_step")
SET = ("dose", "hparams", "settings", "recipe")

Parts = tuple[dict[str, Any], dict[str, Any], Mapping[str, float]]
"""A row: which trial and what came of it, what was set, what was measured."""


def frame(results: Path | str) -> pandas.DataFrame:
    """Every trial of a results folder, or of a file of `benchmarks.parquet`, as a pandas DataFrame, one row a trial,
    one column a measurement.

    Columns: task, condition, model, algorithm, seed, budget_scale, tuned, left_out, status, reason, flags, seconds,
    n_parameters, selected_step, then `dose.name`, `hparams.name`, `settings.name` and `recipe.name` for what was set,
    and `split/metric` for the selected step.

    Raises:
        ValueError: for a file with other columns.
    """
    import pandas

    path = Path(results)
    rows = list(of_file(path) if path.is_file() else of_folder(path))
    names = dict.fromkeys(chain.from_iterable(part for parts in zip(*rows, strict=True) for part in parts))
    return pandas.DataFrame([{**who, **was_set, **measured} for who, was_set, measured in rows], columns=list(names))


def of_folder(root: Path) -> Iterator[Parts]:
    """The rows of a results folder."""
    for found in scan(root):
        if not isinstance(found, Damaged):
            who = {name: getattr(found.trial, name) for name in OF_TRIAL}
            who |= {name: getattr(found, name) for name in OF_RECORD} | {"flags": " ".join(found.flags)}
            measured = {f"{s}/{m}": float(value) for s, values in found.scores.items() for m, value in values.items()}
            yield who, named({part: getattr(found.trial, part) for part in SET}), measured


def of_file(path: Path) -> Iterator[Parts]:
    """The rows of a Parquet file."""
    from benchmarks.parquet import read

    for trial, measured in read(path):
        yield {name: trial[name] for name in OF_TRIAL + OF_RECORD}, named({part: trial[part] for part in SET}), measured


def named(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What was set, by `part.name`."""
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
