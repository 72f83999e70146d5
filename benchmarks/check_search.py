"""Whether `--tune` can draw from what a class declares as `search`: every range, and the name of every range."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from baselines.references import Reference, UnusableClass, declared
from benchmarks.findings import Finding

CLAUSE = "search"


def check_search(reference: Reference, found: type, of_algorithm: bool) -> Finding:
    """The finding about a class's `search`, which is read from its text as `--tune` reads it."""
    try:
        ranges = declared(reference, "search")
        check_ranges(ranges, reference)
    except UnusableClass as error:
        return Finding("", CLAUSE, "broken", str(error).removeprefix(f"{reference.name}: "))
    if complaint := unknown_names(ranges, found, of_algorithm):
        return Finding("", CLAUSE, "broken", complaint)
    return Finding("", CLAUSE, "ok", ", ".join(ranges) or "nothing")


def check_ranges(ranges: Mapping[str, Any], reference: Reference) -> None:
    """Raises UnusableClass for a range that no value can be drawn from."""
    from benchmarks.tuning import draw

    for name, declaration in ranges.items():
        try:
            draw({name: declaration}, reference, reference.name, 1)
        except (ValueError, OverflowError) as error:  # bounds that are numbers and too large
            raise UnusableClass(f"search range {name} is {declaration!r}: {error}") from error


def unknown_names(ranges: Iterable[Any], found: type, of_algorithm: bool) -> str:
    """What is wrong with names that are no parameter of the constructor and, of a model, no field of the recipe."""
    from benchmarks.tuning import RECIPE_FIELDS

    taken = parameters(found)
    allowed = set(taken or ()) | (set() if of_algorithm else RECIPE_FIELDS)
    unknown = [n for n in ranges if not isinstance(n, str) or (taken is not None and n not in allowed)]
    if not unknown:
        return ""
    verb = "is no parameter" if len(unknown) == 1 else "are no parameters"
    of_recipe = "" if of_algorithm else " and no field of the recipe"
    return f"{', '.join(map(str, unknown))} {verb} of __init__{of_recipe}; it takes {', '.join(taken or ()) or 'none'}"


def parameters(found: type) -> list[str] | None:
    """What a class's constructor takes besides the problem; None where it takes any name."""
    constructor: Callable[..., None] = found.__init__  # type: ignore[misc]
    if constructor is object.__init__:
        return []
    try:
        listed = list(inspect.signature(constructor).parameters.values())
    except (TypeError, ValueError):  # compiled, without a signature
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in listed):
        return None
    built_without_problem = hasattr(found, "get_params")
    named = [parameter.name for parameter in listed if parameter.kind is not parameter.VAR_POSITIONAL]
    return named[1 if built_without_problem else 2 :]
