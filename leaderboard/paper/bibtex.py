"""The sources of some tasks, and the suite itself, as BibTeX that bibtex and biber read alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from urllib.parse import quote

from benchmarks.records import digest
from leaderboard.paper.latex import text
from tasks.card import bibtex_authors
from tasks.types import Source, Task

SUITE_KEY = "offpiste"
SUITE_TITLE = "Offpiste: a benchmark suite for inductive bias and out-of-distribution generalization"
IN_A_KEY = re.compile(r"[^A-Za-z0-9:.+/-]+")
OF_AN_ORGANISATION = re.compile(r"\b(of|for|the)\b")
URL_SAFE = ":/?#[]@!$&'()*+,;=%~"


def bibliography(tasks: Iterable[Task], version: str) -> str:
    """Every source of the tasks by key, and an entry for the suite."""
    listed = list(tasks)
    keys = keys_of(source for task in listed for source in task.spec.sources)
    used: dict[Source, list[str]] = {source: [] for source in keys}
    for task in listed:
        for source in dict.fromkeys(task.spec.sources):
            used[source].append(task.spec.id)
    works = [entry(keys[source], source, sorted(used[source])) for source in sorted(keys, key=lambda s: keys[s])]
    return "\n".join([suite_entry(version), *works])


def keys_of(sources: Iterable[Source]) -> dict[Source, str]:
    """A key for every source: its own; where another work has the same, each with a hash that no other task changes.

    bibtex does not tell large letters from small ones in keys.
    """
    by_key: dict[str, dict[Source, str]] = {SUITE_KEY: {}}
    for source in sources:
        key = IN_A_KEY.sub("-", source.key)
        by_key.setdefault(key.lower(), {})[source] = key
    return {
        source: key if len(alike) == 1 and low != SUITE_KEY else f"{key}-{digest(asdict(source))[:6]}"
        for low, alike in by_key.items()
        for source, key in alike.items()
    }


def entry(key: str, source: Source, used_by: Iterable[str]) -> str:
    """One work; `keywords` are the tasks that cite it, for biblatex to sort by."""
    fields = {
        "author": authors(source.authors),
        "title": f"{{{prose(source.title)}}}",  # a style makes no small letters within two braces
        "howpublished": prose(source.venue),
        "year": str(source.year),
        "url": address(source.url),
        "keywords": ", ".join(used_by),
    }
    return misc(key, fields)


def suite_entry(version: str) -> str:
    """The suite, which has an organisation for an author, and a version instead of a year."""
    return misc(SUITE_KEY, {"author": "{Offpiste}", "title": f"{{{SUITE_TITLE}}}", "note": text(f"Version {version}")})


def misc(key: str, fields: Mapping[str, str]) -> str:
    """An entry without the fields that are empty. Their braces must match: bibtex counts all of them."""
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}", ""])


def authors(listed: str) -> str:
    """`A. One, B. Two et al.` as `A. One and B. Two and others`; an organisation in braces has no surname."""
    names = [prose(name) for name in bibtex_authors(listed).split(" and ")]
    return " and ".join(f"{{{name}}}" if OF_AN_ORGANISATION.search(name) else name for name in names)


def prose(words: str) -> str:
    """Words of a card, whose code is in backticks."""
    return text(" ".join(words.replace("`", "").split()))


def address(url: str) -> str:
    """A web address with nothing that TeX obeys in it; other addresses are left out."""
    return quote(url, safe=URL_SAFE) if url.startswith(("https://", "http://")) else ""
