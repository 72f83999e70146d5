"""From what a user types after `--model` or `--algorithm` to a class: a registered name, or `file.py:Class`.

`package.module:Class` is understood as well. Naming, hashing and reading a class's declarations look at source text and
import nothing; only `load_class` runs the code, and only a worker calls it.
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
from typing import Any, Literal

from tasks.registry import RegistryError, UnknownName, headers, nearest

Kind = Literal["model", "algorithm"]
FOLDERS: Mapping[Kind, Path] = {kind: Path(__file__).parent / f"{kind}s" for kind in ("model", "algorithm")}
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class UnusableClass(Exception):
    """A reference that leads to no class; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Reference:
    """Where a class is, and the hash of the source it was planned with. Plain data: workers get this.

    `name` is what results are filed under; a submitted file is `slug@hash8` of its source, so an edited file is a
    new entry. `location` is a file path or a dotted module. What is `special` belongs to the training track: a model
    that a task fixes, an optimizer that is compared there.
    """

    name: str
    location: str
    attribute: str
    source_hash: str
    hparams: Mapping[str, Any] = field(default_factory=dict)
    registered: bool = False
    large: bool = False
    summary: str = ""
    special: bool = False


@cache
def registered(kind: Kind = "model") -> dict[str, Reference]:
    """Every baseline or every training algorithm of the suite by name.

    Raises:
        RegistryError: naming the file with a bad header.
    """
    found: dict[str, Reference] = {}
    for stem, listed in headers(FOLDERS[kind]).items():
        path = FOLDERS[kind] / f"{stem}.py"
        for name, header in listed.items():
            if not NAME.fullmatch(name):
                raise RegistryError(f"{path}: {name!r} is not a name like 'mlp-large'")
            if name in found:
                raise RegistryError(f"{path}: {name} is already in {found[name].location}")
            found[name] = Reference(
                name=name,
                location=f"baselines.{kind}s.{stem}",
                attribute=header["class"],
                source_hash=hash_source(path),
                hparams=header.get("hparams", {}),
                registered=True,
                large=header.get("large", False),
                summary=header["summary"],
                special=header.get("special", False),
            )
    return found


def select(words: Sequence[str], kind: Kind = "model") -> list[Reference]:
    """The classes that a user names; without a word, every one that is not large or special. `all` adds the large ones.

    Raises:
        UnknownName: for a name that nothing has, with the nearest.
        UnusableClass: for a reference whose file, module or class is not there.
    """
    if not words:
        return [found for found in registered(kind).values() if not found.large and not found.special]
    chosen: dict[str, Reference] = {}
    for word in words:
        for found in matches(word, kind):
            chosen[found.name] = found
    return list(chosen.values())


def matches(word: str, kind: Kind) -> list[Reference]:
    """The classes that one word names."""
    known = registered(kind)
    if word == "all":
        return [found for found in known.values() if not found.special]
    if word in known:
        return [known[word]]
    if ":" in word or word.endswith(".py"):
        return [submitted(word)]
    if any(c in word for c in "*?[") and (found := [r for n, r in known.items() if fnmatch.fnmatchcase(n, word)]):
        return found
    what = {"model": "baseline", "algorithm": "training algorithm"}[kind]
    article = "an" if kind == "algorithm" else "a"
    raise UnknownName(f"no {what} {word!r} ({article} {kind} of yours is 'file.py:Class'); {nearest(word, known)}")


def submitted(word: str) -> Reference:
    """A user's class, found without running its file."""
    location, _, attribute = word.rpartition(":")
    if not location or not attribute.isidentifier():
        raise UnusableClass(f"{word!r} is not 'file.py:Class' or 'package.module:Class'")
    path = Path(location).expanduser().resolve() if location.endswith(".py") else module_file(location)
    if not path.is_file():
        raise UnusableClass(f"{word!r}: there is no file {path}")
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), path.name)
    except (SyntaxError, ValueError) as error:  # ValueError: another encoding, a null byte
        raise UnusableClass(f"{word!r}: {path} is not Python: {error}") from error
    names = top_level_names(tree)
    if attribute not in names and "*" not in names:
        raise UnusableClass(
            f"{word!r}: {path.name} defines no {attribute}; {nearest(attribute, names) if names else ''}"
        )
    source_hash = hash_source(path)
    stem = path.stem if location.endswith(".py") else location.rpartition(".")[2]
    slug = re.sub(r"[^a-z0-9]+", "-", f"{stem}-{attribute}".lower()).strip("-")[:48]
    return Reference(
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
    except (ImportError, ValueError, SyntaxError) as error:
        raise UnusableClass(f"module {dotted!r} cannot be found: {error}") from error
    finally:
        sys.path.pop(0)
    if spec is None or not spec.origin:
        raise UnusableClass(f"module {dotted!r} cannot be found from {Path.cwd()} or in the installed packages")
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
    """A hash of the code in a file: comments, layout, docstrings and `stackable` do not count.

    What an algorithm says of how it may be run (`stackable`) moves no result.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            node.body = [part for part in node.body if not declares_stackable(part)] or [ast.Pass()]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def declares_stackable(part: ast.stmt) -> bool:
    """Whether a statement of a class is `stackable = ...`."""
    targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
    return any(isinstance(target, ast.Name) and target.id == "stackable" for target in targets)


def load_class(reference: Reference) -> type:
    """The class itself. Runs the user's file.

    Raises:
        UnusableClass: when the source changed since it was planned, or holds no such class.
    """
    if reference.location.endswith(".py"):
        path = Path(reference.location)
        if hash_source(path) != reference.source_hash:
            raise UnusableClass(f"{path.name} was edited while the run was going on; start the command again")
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
        raise UnusableClass(f"{reference.attribute} in {reference.location} is {type(found).__name__}, not a class")
    return found


def declared(reference: Reference, attribute: str) -> Mapping[str, Any]:
    """A literal mapping among a class's own attributes, such as `search`, read without running its file; {} if absent.

    Raises:
        UnusableClass: when it is there and is not a literal mapping.
    """
    path = source_file(reference.location)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bodies = [n.body for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == reference.attribute]
    for node in (node for body in bodies for node in body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == attribute for t in targets):
            try:
                value = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            except (ValueError, TypeError, RecursionError) as error:
                what = "is not written out as a literal (no calls, no names)"
                raise UnusableClass(f"{reference.name}: {attribute} {what}") from error
            if not isinstance(value, dict):
                raise UnusableClass(f"{reference.name}: {attribute} is a {type(value).__name__}, not a dict")
            return value
    return {}


def defines(reference: Reference, method: str) -> bool:
    """Whether a class's own text has a method of this name; what it inherits is not seen."""
    tree = ast.parse(source_file(reference.location).read_text(encoding="utf-8"))
    classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == reference.attribute]
    return any(isinstance(node, ast.FunctionDef) and node.name == method for c in classes for node in c.body)


def source_file(location: str) -> Path:
    """The file that a class is in."""
    return Path(location) if location.endswith(".py") else module_file(location)
