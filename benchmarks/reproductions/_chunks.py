"""What is computed at once and kept: some seeds of one entry, one JSON file, written whole or not at all.

A file is believed when it is the one that the name says: same entry, seeds and source, and a checksum that matches.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from baselines.references import hash_source
from benchmarks.records import canonical, digest
from benchmarks.reproductions import HERE, Reproduction

EXPECTATIONS = ("ENTRIES", "LINES")
"""What a file says of the literature: an edited explanation makes no result stale."""


class DamagedChunk(Exception):
    """A result file that cannot be believed; the message says what is wrong with it."""


@dataclass(frozen=True)
class Chunk:
    """Some seeds of an entry, and the source that measures them."""

    entry: str
    seeds: tuple[int, ...]
    source_hash: str

    @property
    def key(self) -> str:
        """Its identity, 32 hex digits."""
        return digest(asdict(self))

    def path(self, root: Path) -> Path:
        """Where its result stands."""
        return root / self.entry / f"{self.key}.json"

    def __str__(self) -> str:
        first, last = self.seeds[0], self.seeds[-1]
        return f"{self.entry}, seed {first}" if first == last else f"{self.entry}, seeds {first} to {last}"


@dataclass(frozen=True)
class Result:
    """What a chunk gave: line to one value a seed, in the order of the chunk's seeds."""

    chunk: Chunk
    values: dict[str, list[float]]
    seconds: float
    provenance: dict[str, Any]


def chunks_of(entry: Reproduction, n_seeds: int | None = None) -> list[Chunk]:
    """The seeds 0 to n - 1 of an entry, by default as many as it says, cut into chunks."""
    n, source = n_seeds or entry.seeds, source_hash(entry.path)
    return [
        Chunk(entry.name, tuple(range(start, min(start + entry.chunk, n))), source)
        for start in range(0, n, entry.chunk)
    ]


@cache
def source_hash(path: Path) -> str:
    """A hash of what measures an entry: its file but for the expectations, and the shared parts that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = {stem: hash_source(HERE / f"{stem}.py") for stem in sorted(shared_parts(tree, set()))}
    tree.body = [node for node in tree.body if not is_expectation(node) and not is_text(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            node.body = [inner for inner in node.body if not is_text(inner)] or [ast.Pass()]
    return hashlib.sha256(canonical([ast.unparse(tree), parts]).encode()).hexdigest()


def is_expectation(node: ast.stmt) -> bool:
    """Whether a statement assigns one of the names that only say what is expected."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id in EXPECTATIONS for target in targets)


def is_text(node: ast.stmt) -> bool:
    """Whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def shared_parts(tree: ast.Module, found: set[str]) -> set[str]:
    """Stems of the shared files that a module imports, directly or through another, but for `_expected`."""
    for node in ast.walk(tree):
        name = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        package, _, stem = name.rpartition(".")
        if package == "benchmarks.reproductions" and stem not in found | {"_expected"}:
            found.add(stem)
            shared_parts(ast.parse((HERE / f"{stem}.py").read_text(encoding="utf-8")), found)
    return found


def write(result: Result, root: Path) -> None:
    """Keep a result durably: a temporary file in the same folder, fsync, rename."""
    path = result.chunk.path(root)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    body = asdict(result)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(temporary, "xb") as file:
            file.write((canonical(body | {"sha256": digest(body)}) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read(chunk: Chunk, root: Path) -> Result | None:
    """The kept result of a chunk, None if there is none.

    Raises:
        DamagedChunk: when there is a file that cannot be believed.
    """
    path = chunk.path(root)
    try:
        body = json.loads(path.read_bytes(), parse_constant=refuse_constant)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise DamagedChunk(f"{path} is not JSON: {error}") from error
    checksum = body.pop("sha256", None) if isinstance(body, dict) else None
    if checksum is None or checksum != digest(body):
        raise DamagedChunk(f"{path}: its checksum does not match its content")
    if body["chunk"] != json.loads(canonical(asdict(chunk))):
        raise DamagedChunk(f"{path} holds another result: {body['chunk']}")
    return Result(chunk, body["values"], body["seconds"], body["provenance"])


def refuse_constant(name: str) -> float:
    """NaN and infinity are not JSON."""
    raise ValueError(f"{name} is not allowed")


def joined(results: Sequence[Result]) -> dict[str, list[float]]:
    """The values of several chunks of one entry, one after the other."""
    return {line: list(values_of(line, results)) for line in results[0].values} if results else {}


def values_of(line: str, results: Sequence[Result]) -> Iterator[float]:
    """The values of one line, chunk by chunk."""
    for result in results:
        yield from result.values[line]


def check_finite(values: dict[str, list[float]]) -> None:
    """Raises ArithmeticError, naming the line, for a value that is not finite."""
    for line, of_seeds in values.items():
        if not all(math.isfinite(value) for value in of_seeds):
            raise ArithmeticError(f"{line}: a value is not finite")
