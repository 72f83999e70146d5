"""What is computed at once and kept: some seeds of one entry, one JSON file, written whole or not at all.

A file is believed when it is the one that the name says: same entry, seeds and source, and a checksum that matches.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from baselines.references import hash_source
from benchmarks.records import canonical, clean_text, digest
from benchmarks.reproductions import HERE, Reproduction

EXPECTATIONS = ("ENTRIES", "LINES")
"""What a file says of the literature: an edited explanation makes no result stale."""
LARGEST = 1e100  # whose square is a float
MAX_SHOWN = 200


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


def read(chunk: Chunk, root: Path, lines: Collection[str]) -> Result | None:
    """The kept result of a chunk of an entry with these lines, None if there is none.

    Raises:
        DamagedChunk: when there is a file that cannot be believed.
    """
    path = chunk.path(root)
    try:
        body = json.loads(path.read_bytes(), parse_constant=refuse_constant)
        checksum = body.pop("sha256", None) if isinstance(body, dict) else None
        matches = checksum is not None and checksum == digest(body)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise DamagedChunk(f"{path} is not JSON: {error}") from error
    if not matches:
        raise DamagedChunk(f"{path}: its checksum does not match its content")
    try:
        return result_of(body, chunk, lines)
    except DamagedChunk as damage:
        raise DamagedChunk(f"{path}: {damage}") from damage


def refuse_constant(name: str) -> float:
    """NaN and infinity are not JSON."""
    raise ValueError(f"{name} is not allowed")


def result_of(body: Mapping[str, Any], chunk: Chunk, lines: Collection[str]) -> Result:
    """The result in the body of a file, if it is one of this chunk.

    Raises:
        DamagedChunk: saying which part of it is missing or is not what it must be.
    """
    if missing := [part for part in ("chunk", "values", "seconds", "provenance") if part not in body]:
        raise DamagedChunk(f"it has no {' and no '.join(missing)}")
    if body["chunk"] != json.loads(canonical(asdict(chunk))):
        raise DamagedChunk(f"it holds another result: {clean_text(str(body['chunk']), MAX_SHOWN)}")
    values, provenance = body["values"], body["provenance"]
    if not (isinstance(values, dict) and isinstance(provenance, dict)):
        raise DamagedChunk("its values or its provenance are no object")
    if odd := sorted(set(values) ^ set(lines)):
        raise DamagedChunk(f"it holds or lacks, against what is expected: {clean_text(', '.join(odd), MAX_SHOWN)}")
    for line, of_seeds in values.items():
        if not isinstance(of_seeds, list) or len(of_seeds) != len(chunk.seeds):
            raise DamagedChunk(f"it has not {len(chunk.seeds)} values of {line}")
        if not all(is_usable(value) for value in of_seeds):
            raise DamagedChunk(f"a value of {line} is not a finite number below {LARGEST:g}")
    if not is_usable(body["seconds"]) or body["seconds"] < 0:
        raise DamagedChunk("its seconds are not a finite number from 0")
    return Result(chunk, values, body["seconds"], provenance)


def is_usable(value: object) -> bool:
    """Whether a value is a number that a mean and a spread can be taken of."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def joined(results: Sequence[Result]) -> dict[str, list[float]]:
    """The values of several chunks of one entry, one after the other."""
    return {line: list(values_of(line, results)) for line in results[0].values} if results else {}


def values_of(line: str, results: Sequence[Result]) -> Iterator[float]:
    """The values of one line, chunk by chunk."""
    for result in results:
        yield from result.values[line]


def check_finite(values: dict[str, list[float]]) -> None:
    """Raises ArithmeticError, naming the line, for a value that is not finite or too large to be averaged."""
    for line, of_seeds in values.items():
        if not all(map(is_usable, of_seeds)):
            raise ArithmeticError(f"{line}: a value is not finite, or not below {LARGEST:g}")
