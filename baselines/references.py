"""From what a user types after `--model` to a class: a registered name, `file.py:Class` or `package.module:Class`.

Naming and hashing read source text and import nothing; only `load_class` runs the code, and only a worker calls it.
"""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tasks.registry import RegistryError, UnknownName, headers, nearest

HERE = Path(__file__).parent
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class UnusableModel(Exception):
    """A model reference that leads to no class; the message says what was tried and what to do."""


@dataclass(frozen=True)
class ModelReference:
    """Where a model class is, and the hash of the source it was planned with. Plain data: workers get this.

    `name` is what results are filed under; a submitted file is `slug@hash8` of its source, so an edited file is a
    new entry. `location` is a file path or a dotted module.
    """

    name: str
    location: str
    attribute: str
    source_hash: str
    hparams: Mapping[str, Any] = field(default_factory=dict)
    registered: bool = False
    large: bool = False
    summary: str = ""


@cache
def registered() -> dict[str, ModelReference]:
    """Every baseline by name.

    Raises:
        RegistryError: naming the file with a bad header.
    """
    found: dict[str, ModelReference] = {}
    for stem, listed in headers(HERE / "models").items():
        path = HERE / "models" / f"{stem}.py"
        for name, header in listed.items():
            if not NAME.fullmatch(name):
                raise RegistryError(f"{path}: {name!r} is not a name like 'mlp-large'")
            if name in found:
                raise RegistryError(f"{path}: {name} is already in {found[name].location}")
            found[name] = ModelReference(
                name=name,
                location=f"baselines.models.{stem}",
                attribute=header["class"],
                source_hash=hash_source(path),
                hparams=header.get("hparams", {}),
                registered=True,
                large=header.get("large", False),
                summary=header["summary"],
            )
    return found


def select(words: Sequence[str]) -> list[ModelReference]:
    """The models that a user names; without a word, every baseline at its small size. `all` adds the large ones.

    Raises:
        UnknownName: for a name that no baseline has, with the nearest.
        UnusableModel: for a reference whose file, module or class is not there.
    """
    if not words:
        return [model for model in registered().values() if not model.large]
    chosen: dict[str, ModelReference] = {}
    for word in words:
        for found in matches(word):
            chosen[found.name] = found
    return list(chosen.values())


def matches(word: str) -> list[ModelReference]:
    """The models that one word names."""
    known = registered()
    if word == "all":
        return list(known.values())
    if word in known:
        return [known[word]]
    if ":" in word or word.endswith(".py"):
        return [submitted(word)]
    if any(c in word for c in "*?[") and (found := [m for n, m in known.items() if fnmatch.fnmatchcase(n, word)]):
        return found
    raise UnknownName(f"no baseline {word!r} (a model of yours is 'file.py:Class'); {nearest(word, known)}")


def submitted(word: str) -> ModelReference:
    """A user's class, found without running its file."""
    location, _, attribute = word.rpartition(":")
    if not location or not attribute.isidentifier():
        raise UnusableModel(f"{word!r} is not 'file.py:Class' or 'package.module:Class'")
    path = Path(location).expanduser().resolve() if location.endswith(".py") else module_file(location)
    if not path.is_file():
        raise UnusableModel(f"{word!r}: there is no file {path}")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UnusableModel(f"{word!r}: {path} is not Python: {error}") from error
    names = top_level_names(tree)
    if attribute not in names and "*" not in names:
        raise UnusableModel(
            f"{word!r}: {path.name} defines no {attribute}; {nearest(attribute, names) if names else ''}"
        )
    source_hash = hash_source(path)
    stem = path.stem if location.endswith(".py") else location.rpartition(".")[2]
    slug = re.sub(r"[^a-z0-9]+", "-", f"{stem}-{attribute}".lower()).strip("-")[:48]
    return ModelReference(
        name=f"{slug}@{source_hash[:8]}",
        location=str(path) if location.endswith(".py") else location,
        attribute=attribute,
        source_hash=source_hash,
    )


def module_file(dotted: str) -> Path:
    """The source file of an importable module; its parent packages are imported on the way."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        spec = importlib.util.find_spec(dotted)
    except (ImportError, ValueError) as error:
        raise UnusableModel(f"module {dotted!r} cannot be found: {error}") from error
    finally:
        sys.path.pop(0)
    if spec is None or not spec.origin:
        raise UnusableModel(f"module {dotted!r} cannot be found from {Path.cwd()} or in the installed packages")
    return Path(spec.origin)


def top_level_names(tree: ast.Module) -> set[str]:
    """What a module binds at its top level, as far as its text tells; `*` where a star import hides more."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def hash_source(path: Path) -> str:
    """A hash of the code in a file: comments, layout and docstrings do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def load_class(reference: ModelReference) -> type:
    """The class itself. Runs the user's file.

    Raises:
        UnusableModel: when the source changed since it was planned, or holds no such class.
    """
    if reference.location.endswith(".py"):
        path = Path(reference.location)
        if hash_source(path) != reference.source_hash:
            raise UnusableModel(f"{path.name} was edited while the run was going on; start the command again")
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(f"offpiste_submission_{reference.source_hash[:8]}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(reference.location)
    found = getattr(module, reference.attribute, None)
    if not isinstance(found, type):
        raise UnusableModel(f"{reference.attribute} in {reference.location} is {type(found).__name__}, not a class")
    return found


@cache
def algorithms() -> dict[str, tuple[str, str]]:
    """Every registered training algorithm: name to (module, class)."""
    return {
        name: (f"baselines.algorithms.{stem}", header["class"])
        for stem, listed in headers(HERE / "algorithms").items()
        for name, header in listed.items()
    }


def load_algorithm(name: str) -> type:
    """The class of a training algorithm.

    Raises:
        UnknownName: with the nearest names.
    """
    if name not in algorithms():
        raise UnknownName(f"no training algorithm {name!r}; {nearest(name, algorithms())}")
    module, attribute = algorithms()[name]
    found: type = getattr(importlib.import_module(module), attribute)
    return found
