"""A folder is a registry, a file is an entry. Headers are literals, read without importing anything heavy."""

from __future__ import annotations

import ast
import difflib
import fnmatch
import importlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.types import Task

HERE = Path(__file__).parent
ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}/[a-z0-9][a-z0-9._-]{0,63}-v[0-9]+")
NOT_FAMILIES = {"sources"}


class RegistryError(Exception):
    """A file of a registry cannot be read as an entry; the message names the file and what is wrong."""


class UnknownName(LookupError):
    """A user asked for something that no registry has; the message names the nearest."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Entry:
    """The header of a task: what can be said of it without importing it.

    `optional` tasks need something that is not installed or not shipped: a family name does not select them. A task
    with a `model` is of the training track: the model is this one, and optimizers and algorithms are compared.
    """

    id: str
    summary: str
    input: str
    tags: tuple[str, ...]
    module: str
    optional: bool = False
    model: str = ""

    @property
    def name(self) -> str:
        """The id without its version."""
        return self.id.rpartition("-v")[0]

    @property
    def version(self) -> int:
        return int(self.id.rpartition("-v")[2])


def headers(folder: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """File stem to its literal `ENTRIES`, for every public file of a folder.

    Raises:
        RegistryError: naming the file that has no `ENTRIES`, or whose `ENTRIES` is not a literal dict.
    """
    found = {}
    for path in sorted(folder.glob("[!_]*.py")):
        try:
            found[path.stem] = literal(ast.parse(path.read_text(encoding="utf-8")), "ENTRIES")
        except (SyntaxError, ValueError) as error:
            raise RegistryError(f"{path}: {error}") from error
    return found


def literal(tree: ast.Module, name: str) -> dict[str, Any]:
    """The value of the top-level literal `name = {...}`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            value = ast.literal_eval(node.value)
            if not isinstance(value, dict):
                raise ValueError(f"{name} is not a dict")
            return value
    raise ValueError(f"no literal {name} = {{...}} at the top level")


@cache
def entries() -> dict[str, Entry]:
    """Every task of the suite by id, families and files in alphabetical order."""
    found: dict[str, Entry] = {}
    for family in sorted(p for p in HERE.iterdir() if p.is_dir() and p.name[0].isalpha()):
        if family.name in NOT_FAMILIES:
            continue
        for stem, listed in headers(family).items():
            for task_id, header in listed.items():
                where = f"tasks/{family.name}/{stem}.py"
                if not ID.fullmatch(task_id) or not task_id.startswith(f"{family.name}/"):
                    raise RegistryError(f"{where}: {task_id!r} is not '{family.name}/<name>-v<number>'")
                if task_id in found:
                    raise RegistryError(f"{where}: {task_id} is already in {found[task_id].module}")
                found[task_id] = entry(task_id, header, f"tasks.{family.name}.{stem}", where)
    return found


def entry(task_id: str, header: dict[str, Any], module: str, where: str) -> Entry:
    """A header checked and typed."""
    try:
        return Entry(
            id=task_id,
            summary=header["summary"],
            input=header["input"],
            tags=tuple(header.get("tags", ())),
            module=module,
            optional=header.get("optional", False),
            model=header.get("model", ""),
        )
    except KeyError as error:
        raise RegistryError(f"{where}: {task_id} has no {error}") from error


def newest(candidates: Iterable[Entry]) -> list[Entry]:
    """Of every task only its newest version."""
    latest: dict[str, Entry] = {}
    for candidate in candidates:
        if candidate.name not in latest or candidate.version > latest[candidate.name].version:
            latest[candidate.name] = candidate
    return list(latest.values())


def select(words: Sequence[str]) -> list[Entry]:
    """The tasks that a user names: ids with or without a version, families, tags, input kinds, globs, `all`.

    Raises:
        UnknownName: for a word that matches nothing, with the nearest names.
    """
    chosen: dict[str, Entry] = {}
    for word in words:
        for found in matches(word):
            chosen[found.id] = found
    return list(chosen.values())


def matches(word: str) -> list[Entry]:
    """The tasks that one word names."""
    every = entries()
    if word in every:
        return [every[word]]
    current = newest(every.values())
    is_family = word in {e.name.partition("/")[0] for e in current}
    found = [e for e in current if not is_family and word in (e.name, e.name.partition("/")[2])]
    if not found:
        found = [e for e in current if not e.optional and (word == "all" or word in group_words(e))]
    if not found and any(c in word for c in "*?["):
        found = [e for e in current if fnmatch.fnmatchcase(e.name, word) or fnmatch.fnmatchcase(e.id, word)]
    if not found:
        known = {e.name for e in current} | {w for e in current for w in group_words(e)} | {"all"}
        raise UnknownName(f"no task, family or tag {word!r}; {nearest(word, known)}")
    return found


def group_words(task: Entry) -> set[str]:
    """The bare words that select a task together with others."""
    return {task.id.split("/")[0], task.input, *task.tags}


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest names, or all of them where none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=4, cutoff=0.5)
    if not close:
        tails = {name.rpartition("/")[2]: name for name in names}
        close = [tails[t] for t in difflib.get_close_matches(word, tails, n=4, cutoff=0.5)]
    return f"nearest: {', '.join(close)}" if close else f"there are: {', '.join(names)}"


@cache
def load(name: str) -> Task:
    """The task with this id, or the newest version of this name. Imports its file, and with it torch.

    Raises:
        UnknownName: naming the nearest ids.
        RegistryError: for a file without `build`.
    """
    found = matches(name)
    if len(found) != 1:
        raise UnknownName(f"{name!r} names {len(found)} tasks: {', '.join(e.id for e in found)}")
    module = importlib.import_module(found[0].module)
    build = getattr(module, "build", None)
    if build is None:
        raise RegistryError(f"{module.__file__}: no function build(entry) -> Task")
    task: Task = build(found[0])
    return task
