"""What a task asks, on one page: `python -m tasks.card shift/colored-digits` prints its card as Markdown."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tasks.registry import UnknownName, load
from tasks.types import Axis, Source, TaskSpec

LATEX_SPECIAL = re.compile(r"([&%$#_])")
AUTHOR_SEPARATOR = re.compile(r",?\s+and\s+|,\s*")


def card(spec: TaskSpec) -> dict[str, Any]:
    """The whole spec as plain JSON: strings, numbers, lists and dicts, each source with its BibTeX.

    Raises:
        TypeError, ValueError: for a value that JSON cannot hold (a tensor, NaN).
    """
    plain = asdict(spec)
    header = plain.pop("entry")
    plain = {**header, "family": spec.family, "version": spec.entry.version, **plain}
    for listed, source in zip(plain["sources"], spec.sources, strict=True):
        listed["bibtex"] = bibtex(source)
    result: dict[str, Any] = json.loads(json.dumps(plain, allow_nan=False))
    return result


def bibtex(source: Source) -> str:
    """The source as a BibTeX entry. Authors are names separated by commas (or `and`); `et al.` becomes `others`."""
    fields = {
        "author": bibtex_authors(source.authors),
        "title": f"{{{source.title}}}",
        "howpublished": source.venue,
        "year": str(source.year),
        "url": source.url,
    }
    lines = [f"  {name} = {{{escape_latex(value) if name != 'url' else value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{source.key},", *lines, "}"])


def bibtex_authors(authors: str) -> str:
    """`A. One, B. Two et al.` as `A. One and B. Two and others`."""
    named = re.sub(r",?\s+et al\.?$", ", others", authors)
    return " and ".join(AUTHOR_SEPARATOR.split(named))


def escape_latex(text: str) -> str:
    """Text whose special characters LaTeX prints instead of obeying."""
    return LATEX_SPECIAL.sub(r"\\\1", text)


def markdown(spec: TaskSpec) -> str:
    """The card as Markdown, ending in a newline."""
    return "\n\n".join([f"# {spec.id}", sentence(spec.summary), spec.question, *sections(spec)]) + "\n"


def sections(spec: TaskSpec) -> list[str]:
    """The titled parts of the card that have something to say."""
    parts = {
        "What a model sees": problem_table(spec),
        "Conditions": conditions_table(spec) if len(spec.conditions) > 1 else "",
        "Splits": splits_table(spec),
        "Score": score_text(spec),
        "Doses": doses_table(spec),
        "Training": training_table(spec),
        "Published values": published_table(spec),
        "Notes": bullets(spec.notes),
        "Data": f"{sentence(spec.licence)} The data are {DATA[spec.data]}.",
        "Sources": "\n\n".join(source_text(source) for source in spec.sources),
    }
    return [f"## {title}\n\n{text}" for title, text in parts.items() if text]


DATA = {
    "redrawn": "redrawn for every seed, so an interval over seeds covers data, initialisation and order",
    "fixed": "the same for every seed, so an interval over seeds covers initialisation and order alone",
}


def problem_table(spec: TaskSpec) -> str:
    """Shapes and kinds: what the model's constructor learns."""
    problem = spec.problem
    outputs = f"{problem.n_outputs} {problem.output_kind}" + (" per position" if problem.per_position else "")
    if problem.output_kind == "sequence":
        outputs = f"logits of the next of {problem.n_outputs} tokens at every position"
    rows = [("input", f"{problem.input_kind} {problem.input_shape}"), ("output", outputs)]
    if problem.vocabulary is not None:
        rows.append(("vocabulary", str(problem.vocabulary)))
    return table(("what", "value"), [*rows, ("training examples", f"{problem.n_train:,}")])


def conditions_table(spec: TaskSpec) -> str:
    """The trainings that the task compares."""
    rows = [(c.name, c.summary, words(c.settings)) for c in spec.conditions]
    return table(("condition", "what", "parameters"), rows)


def splits_table(spec: TaskSpec) -> str:
    """The distributions, their roles and sizes."""
    severity = f"severity ({spec.severity_unit})" if spec.severity_unit else "severity"
    rows = [
        (s.name, s.role, f"{s.size:,}", "" if s.severity is None else number(s.severity), words(s.params))
        for s in spec.splits
    ]
    return table(("split", "role", "examples", severity, "parameters"), rows)


def score_text(spec: TaskSpec) -> str:
    """Metric, anchors and gate."""
    direction, reach = ("higher", "at least") if spec.higher_is_better else ("lower", "at most")
    lines = [f"Metric: `{spec.metric}`, {direction} is better. {ends_text(spec)}"]
    if spec.budget.steps:
        gate = f"`{spec.metric}` is {reach} {number(spec.gate)}"
        lines.append(f"A model counts as trained when its in-distribution {gate}.")
    if spec.axes:
        lines.append("Axes, which have two ends and no good one:")
        lines.append(table(("index", "low", "high"), [axis_row(axis) for axis in spec.axes]))
    constants = [
        (split, name, number(value)) for split, values in spec.constants.items() for name, value in values.items()
    ]
    if constants:
        lines.append("Anchors that hold for every draw (the others are measured on the data of each seed):")
        lines.append(table(("split", "anchor", spec.metric), constants))
    return "\n\n".join(lines)


def ends_text(spec: TaskSpec) -> str:
    """What scores 0 and what 1."""
    if not spec.scored:
        return "No solution is the right one: the task describes, has no score and is not ranked."
    return f"On the `ood` splits `{spec.floor}` scores 0 and `{spec.ceiling}` scores 1."


def axis_row(axis: Axis) -> tuple[str, str, str]:
    """The index of an axis, and what its ends mean."""
    low, high = axis.ends
    return axis.index, f"{axis.low} ({number(low)})", f"{axis.high} ({number(high)})"


def doses_table(spec: TaskSpec) -> str:
    """The knobs that a sweep turns."""
    if not spec.doses:
        return ""
    rows = [(dose.name, dose.unit, plain(dose.values), plain(dose.own)) for dose in spec.doses]
    return table(("dose", "what", "values", "the task's own"), rows)


def training_table(spec: TaskSpec) -> str:
    """Budget and recipe."""
    settings = asdict(spec.budget) | asdict(spec.recipe)
    return table(("setting", "value"), [(name.replace("_", " "), plain(value)) for name, value in settings.items()])


def published_table(spec: TaskSpec) -> str:
    """What the literature or a closed form says."""
    if not spec.published:
        return ""
    rows = [
        (p.what, number(p.value) + ("" if p.spread is None else f" ± {number(p.spread)}"), p.source)
        for p in spec.published
    ]
    return table(("what", "value", "source"), rows)


def source_text(source: Source) -> str:
    """A citation in words and as BibTeX."""
    words = f"{source.authors}. {source.title}. {source.venue}, {source.year}. <{source.url}>"
    return f"{words}\n\n```bibtex\n{bibtex(source)}\n```"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar or a line break in a cell does not end the cell."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in line) + " |" for line in lines)


def sentence(text: str) -> str:
    """Text with a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def words(params: Mapping[str, Any]) -> str:
    """Parameters as `name value, name value`."""
    return ", ".join(f"{name} {plain(value)}" for name, value in params.items())


def plain(value: object) -> str:
    """A setting as a person writes it."""
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return " ".join(plain(item) for item in value)
    return "none" if value is None else str(value)


def number(value: float) -> str:
    """Four significant digits, no trailing zeros."""
    return f"{value:.4g}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the card of one task."""
    parser = argparse.ArgumentParser(prog="python -m tasks.card", description="The card of a task.")
    parser.add_argument("id", metavar="ID", help="family/name, with or without its version")
    parser.add_argument("--json", action="store_true", help="plain JSON instead of Markdown")
    chosen = parser.parse_args(arguments)
    try:
        spec = load(chosen.id).spec
    except UnknownName as error:
        parser.error(str(error))
    sys.stdout.write(json.dumps(card(spec), indent=2) + "\n" if chosen.json else markdown(spec))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
