"""Results as one Parquet file, for analysis: `python -m benchmarks.parquet results --out results.parquet`.

One row a measured value, `split` and `metric` beside it, and in every row what the trial was: so a mean by task and
model is a filter and a group in any tool, without nested columns. A trial without values has one row all the same, and
`first_row` is true once a trial, for counting. Of a trial that is in several folders the first folder counts.

The file is for reading and can be written again at any time; the records are what is kept. What the columns say is in
docs/large-stores.md.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from benchmarks.packed import started
from benchmarks.records import Record, canonical, number
from benchmarks.store import Damaged, scan, sync_folder
from tasks.registry import entries, load

if TYPE_CHECKING:
    from tasks.types import Role

OK, DAMAGED, BAD_USAGE = 0, 1, 2
ROWS, TRIALS = 2**17, 2**14  # of a row group: its keys fit into the dictionary of a column
TRIAL = pa.schema(
    {
        "key": pa.string(), "task": pa.string(), "condition": pa.string(), "model": pa.string(),
        "algorithm": pa.string(), "seed": pa.int64(), "budget_scale": pa.float64(), "tuned": pa.string(),
        "left_out": pa.int64(), "draw": pa.string(), "source_hash": pa.string(), "algorithm_hash": pa.string(),
        "dose": pa.string(), "hparams": pa.string(), "settings": pa.string(), "recipe": pa.string(),
        "status": pa.string(), "reason": pa.string(), "flags": pa.string(), "selection": pa.string(),
        "selected_step": pa.int64(), "n_parameters": pa.int64(), "seconds": pa.float64(), "started": pa.string(),
    }
)  # fmt: skip
VALUE = pa.schema(
    {
        "first_row": pa.bool_(), "split": pa.string(), "role": pa.string(), "metric": pa.string(),
        "headline": pa.bool_(), "value": pa.float64(), "last": pa.float64(),
    }
)  # fmt: skip
SCHEMA = pa.schema([*TRIAL, *VALUE])
WRITTEN = pa.schema([f.with_type(pa.dictionary(pa.int32(), f.type)) if f.type == pa.string() else f for f in SCHEMA])
PARTS = ("dose", "hparams", "settings", "recipe")  # JSON in a column


class Group:
    """The rows of some trials, on their way into a row group."""

    def __init__(self) -> None:
        self.trials: list[tuple[Any, ...]] = []
        self.counts: list[int] = []
        self.values: list[tuple[Any, ...]] = []

    def add(self, record: Record) -> None:
        """The rows of one more trial.

        Raises:
            InvalidRecord: for a number that is not finite.
        """
        before = len(self.values)
        self.values += value_rows(record)
        self.counts.append(len(self.values) - before)
        self.trials.append(trial_row(record))

    @property
    def is_full(self) -> bool:
        return len(self.values) >= ROWS or len(self.trials) >= TRIALS

    def batch(self) -> pa.RecordBatch:
        """All rows, with the columns of `SCHEMA`; texts of trials once each, however many rows they stand in."""
        number = pa.array(np.repeat(np.arange(len(self.counts)), self.counts))
        of_trial = [once(column).take(number) for column in columns(self.trials, TRIAL)]
        return pa.RecordBatch.from_arrays([*of_trial, *map(once, columns(self.values, VALUE))], schema=WRITTEN)


def columns(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> Iterator[pa.Array]:
    """Rows as columns of these types."""
    for column, field in zip(zip(*rows, strict=True), schema, strict=True):
        yield pa.array(column, field.type)


def once(column: pa.Array) -> pa.Array:
    """Texts as numbers of a dictionary, as they stand in the file; any other column as it is."""
    return column.dictionary_encode() if column.type == pa.string() else column


def trial_row(record: Record) -> tuple[Any, ...]:
    """What every row says of a trial, in the order of `TRIAL`."""
    trial = record.trial
    dose, hparams, settings, recipe = (canonical(dict(getattr(trial, part))) for part in PARTS)
    return (
        record.key, trial.task, trial.condition, trial.model,
        trial.algorithm, trial.seed, float(number(trial.budget_scale, "budget_scale")), trial.tuned,
        trial.left_out, trial.draw, trial.source_hash, trial.algorithm_hash,
        dose, hparams, settings, recipe,
        record.status, record.reason, " ".join(record.flags), record.selection,
        record.selected_step, record.n_parameters, float(number(record.seconds, "seconds")), started(record),
    )  # fmt: skip


def value_rows(record: Record) -> Iterator[tuple[Any, ...]]:
    """A row a measured value, in the order of `VALUE`; one without a value where there is none."""
    metric_of_task, roles = card(record.trial.task)
    first = True
    for split, metrics in record.scores.items():
        last = record.last.get(split, {})
        for metric, value in metrics.items():
            headline = None if metric_of_task is None else metric == metric_of_task
            yield first, split, roles.get(split), metric, headline, finite(value), finite(last.get(metric))
            first = False
    if first:
        yield True, None, None, None, None, None, None


def finite(value: float | None) -> float | None:
    """The value; raises InvalidRecord where it is not finite."""
    return None if value is None else float(number(value, "a value"))


@cache
def card(task_id: str) -> tuple[str | None, Mapping[str, Role]]:
    """The headline metric of a task and the roles of its splits; nothing of a task that this suite does not have."""
    if task_id not in entries():
        return None, {}
    spec = load(task_id).spec
    return spec.metric, {split.name: split.role for split in spec.splits}


def write(records: Iterable[Record], out: Path) -> int:
    """Write records as a Parquet file, whole or not at all, with a part of them in memory at a time; how many there
    were.

    Raises:
        InvalidRecord: for a number that is not finite.
        OSError: when the disk is full or the folder cannot be written.
    """
    n_records, group = 0, Group()
    # without `store_schema` a reader finds plain texts, not the dictionaries of one library
    with whole(out) as file, parquet.ParquetWriter(file, WRITTEN, compression="zstd", store_schema=False) as writer:
        for record in records:
            n_records += 1
            group.add(record)
            if group.is_full:
                writer.write_batch(group.batch())
                group = Group()
        if group.trials:
            writer.write_batch(group.batch())
    return n_records


@contextmanager
def whole(out: Path) -> Iterator[IO[bytes]]:
    """A file that is at its place when all is written, and before that nowhere."""
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, out)
        sync_folder(out.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read(path: Path) -> list[tuple[dict[str, Any], dict[str, float]]]:
    """Every trial of such a file: its columns, with mappings for what is JSON, and its values by `split/metric`.

    Raises:
        OSError: when there is no file.
        ValueError: when it is none that `write` has written.
    """
    trials: list[dict[str, Any]] = []
    values: dict[str, dict[str, float]] = {}
    with parquet.ParquetFile(path) as file:
        if not file.schema_arrow.equals(SCHEMA):
            raise ValueError(f"{path} has other columns than a file of `python -m benchmarks.parquet`")
        for rows in file.iter_batches(ROWS):
            trials += rows.filter(rows["first_row"]).select(TRIAL.names).to_pylist()
            measured = rows.filter(rows["split"].is_valid())
            for row in zip(*(measured[name].to_pylist() for name in ("key", "split", "metric", "value")), strict=True):
                key, split, metric, value = row
                values.setdefault(key, {})[f"{split}/{metric}"] = value
    return [(t | {part: parsed(t[part]) for part in PARTS}, values.get(t["key"], {})) for t in trials]


@lru_cache(4096)
def parsed(text: str) -> Mapping[str, Any]:
    """A mapping from its JSON."""
    found: dict[str, Any] = json.loads(text)
    return found


def each_once(roots: Iterable[Path]) -> Iterator[Record | Damaged]:
    """What is in several results folders, of every trial one record."""
    seen = set[str]()
    for root in roots:
        for found in scan(root):
            if isinstance(found, Damaged):
                yield found
            elif found.key not in seen:
                seen.add(found.key)
                yield found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.parquet", description="Write results as one Parquet file, for analysis.",
        epilog="Exit status: 0 all are in it, 1 some files are damaged and are not, 2 bad usage.",
    )  # fmt: skip
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help="folders of benchmarks.run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file, such as results.parquet")
    options = parser.parse_args(arguments)
    if missing := [str(root) for root in options.results if not root.is_dir()]:
        print(f"error: no results folder {', '.join(missing)}", file=sys.stderr)
        return BAD_USAGE
    status = OK

    def sound() -> Iterator[Record]:
        nonlocal status
        for found in each_once(options.results):
            if isinstance(found, Damaged):
                print(f"damaged {found.path}: {found.reason}", file=sys.stderr)
                status = DAMAGED
            else:
                yield found

    try:
        n = write(sound(), options.out)
    except OSError as error:
        print(f"error: cannot write {options.out}: {error.strerror or error}", file=sys.stderr)
        return BAD_USAGE
    print(f"{n:,} results, {options.out.stat().st_size / 1e6:.2f} MB: {options.out}")
    return status


if __name__ == "__main__":
    sys.exit(main())
