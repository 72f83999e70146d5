"""Published numbers that the suite measures again: a folder is a registry, a file a group of entries.

The header of an entry is a literal, read without importing anything heavy:

    paper, where   the work and the table that the numbers stand in
    protocol       how ours are measured, in a sentence
    tier           "quick" (seconds to a minute) or "full"
    seeds, chunk   how many seeds are run, and how many of them at once: what one result file holds

A module also has `LINES`, {entry: {line: what is expected of it}} in the nouns of `_expected.py`, and
`measure(name, seeds)`, which gives every line one value a seed. Files with a leading underscore are no entries.
"""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks.reproductions._expected import Line
from tasks.registry import RegistryError, UnknownName, headers, nearest

HERE = Path(__file__).parent
Tier = Literal["quick", "full"]
TIERS: tuple[Tier, ...] = get_args(Tier)


@dataclass(frozen=True)
class Reproduction:
    """The header of an entry, and where its module is."""

    name: str
    paper: str
    where: str
    protocol: str
    tier: Tier
    seeds: int
    chunk: int
    module: str

    @property
    def path(self) -> Path:
        """The file that it stands in."""
        return HERE / f"{self.module.rpartition('.')[2]}.py"


@cache
def registered() -> dict[str, Reproduction]:
    """Every entry by name, files in alphabetical order.

    Raises:
        RegistryError: naming the file with a bad header.
    """
    found: dict[str, Reproduction] = {}
    for stem, listed in headers(HERE).items():
        for name, header in listed.items():
            if name in found:
                raise RegistryError(f"{HERE / stem}.py: {name} is already in {found[name].path}")
            found[name] = entry(name, header, stem)
    return found


def entry(name: str, header: Mapping[str, Any], stem: str) -> Reproduction:
    """A header checked and typed."""
    try:
        found = Reproduction(name=name, module=f"{__name__}.{stem}", **header)
    except TypeError as error:
        raise RegistryError(f"{HERE / stem}.py: {name}: {error}") from error
    if found.tier not in TIERS:
        raise RegistryError(f"{HERE / stem}.py: {name} has the tier {found.tier!r}; there are {', '.join(TIERS)}")
    return found


def select(words: Sequence[str], tier: Tier) -> list[Reproduction]:
    """The entries that a user names, globs among the names; without a name those of the tier, `full` being all.

    Raises:
        UnknownName: for a name that no entry has, with the nearest.
    """
    every = registered()
    if not words:
        return [found for found in every.values() if tier == "full" or found.tier == tier]
    chosen: dict[str, Reproduction] = {}
    for word in words:
        names = [word] if word in every else [name for name in every if fnmatch.fnmatchcase(name, word)]
        if not names:
            raise UnknownName(f"no reproduction {word!r}; {nearest(word, every)}")
        chosen |= {name: every[name] for name in names}
    return list(chosen.values())


def lines_of(found: Reproduction) -> Mapping[str, Line]:
    """What is expected of every line of an entry. Imports its module, and with it torch."""
    lines: Mapping[str, Line] = importlib.import_module(found.module).LINES[found.name]
    return lines


def measure(found: Reproduction, seeds: Sequence[int]) -> dict[str, list[float]]:
    """Ours: line to one value a seed.

    Raises:
        RegistryError: when the module gives other lines than it expects, or another number of values.
    """
    values: Mapping[str, Sequence[float]] = importlib.import_module(found.module).measure(found.name, seeds)
    if odd := sorted(set(values) ^ set(lines_of(found))):
        raise RegistryError(f"{found.path}: {found.name} expects or measures, but not both: {', '.join(odd)}")
    if odd := sorted(line for line, of_seeds in values.items() if len(of_seeds) != len(seeds)):
        raise RegistryError(f"{found.path}: {found.name} has not {len(seeds)} values of {', '.join(odd)}")
    return {line: [float(value) for value in of_seeds] for line, of_seeds in values.items()}
