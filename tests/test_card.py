"""The card of a task: plain JSON that says everything, Markdown that holds together, BibTeX that LaTeX accepts."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace

import pytest

from tasks import card
from tasks.registry import Entry, entries, load
from tasks.types import (
    Budget,
    Condition,
    Dose,
    MissingData,
    Problem,
    Published,
    Source,
    Split,
    TaskSpec,
)

SOURCE = Source(
    key="one2020",
    authors="A. One, Bert Two and C. de Three",
    title="Signs & 100% of their_uses",
    venue="J. Signs 5",
    year=2020,
    url="https://example.org/a_b%20c",
)
SPEC = TaskSpec(
    entry=Entry("shift/signs-v3", "which of two signs", "vector", ("synthetic", "control"), "tasks.shift.signs"),
    question="Which of two signs does a model read?",
    problem=Problem("vector", (3,), "classes", n_outputs=2, n_train=10),
    splits=(
        Split("train", "train", 10),
        Split("val", "val", 5),
        Split("iid", "iid", 5),
        Split("far", "ood", 2000, {"angle_deg": 45.0, "noise": [0.1, 0.2]}, severity=45.0),
    ),
    budget=Budget(steps=100, batch_size=10),
    metric="accuracy",
    floor="chance",
    ceiling="oracle",
    gate=0.9,
    sources=(SOURCE,),
    constants={"far": {"chance": 0.5}},
    severity_unit="degrees",
    published=(Published("accuracy | far", 0.12345, 0.01, "one2020"),),
    notes=("Beware of signs.",),
)


def rows(markdown: str, title: str) -> list[list[str]]:
    """The cells of the table below a title, without its rule."""
    section = markdown.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line.strip("| "))[:] for line in lines if "---" not in line]


def test_the_json_says_everything_that_the_spec_says() -> None:
    said = card.card(SPEC)
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert {f.name for f in fields(TaskSpec)} - {"entry"} <= set(said)
    assert (said["id"], said["family"], said["version"]) == ("shift/signs-v3", "shift", 3)
    assert said["tags"] == ["synthetic", "control"]
    assert said["splits"][3] == {
        "name": "far",
        "role": "ood",
        "size": 2000,
        "params": {"angle_deg": 45.0, "noise": [0.1, 0.2]},
        "severity": 45.0,
    }
    assert said["sources"][0]["bibtex"] == card.bibtex(SOURCE)


def test_a_value_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        card.card(replace(SPEC, gate=float("nan")))


def test_bibtex() -> None:
    assert card.bibtex(SOURCE) == (
        "@misc{one2020,\n"
        "  author = {A. One and Bert Two and C. de Three},\n"
        "  title = {{Signs \\& 100\\% of their\\_uses}},\n"
        "  howpublished = {J. Signs 5},\n"
        "  year = {2020},\n"
        "  url = {https://example.org/a_b%20c},\n"
        "}"
    )


@pytest.mark.parametrize(
    ("authors", "expected"),
    [
        ("A. One", "A. One"),
        ("A. One, B. Two", "A. One and B. Two"),
        ("A. One, B. Two, and C. Three", "A. One and B. Two and C. Three"),
        ("A. One and B. Two", "A. One and B. Two"),
        ("A. One, B. Two et al.", "A. One and B. Two and others"),
        ("A. Anderson", "A. Anderson"),
    ],
)
def test_authors_as_bibtex_wants_them(authors: str, expected: str) -> None:
    assert card.bibtex_authors(authors) == expected


def test_the_splits_table_has_roles_sizes_severities_and_parameters() -> None:
    text = card.markdown(SPEC)
    table = [[cell.strip() for cell in row] for row in rows(text, "Splits")]
    assert table[0] == ["split", "role", "examples", "severity (degrees)", "parameters"]
    assert table[-1] == ["far", "ood", "2,000", "45", "angle_deg 45, noise 0.1 0.2"]


def test_a_bar_in_a_cell_does_not_make_a_column() -> None:
    (_, cells) = rows(card.markdown(SPEC), "Published values")
    assert [cell.strip() for cell in cells] == ["accuracy \\| far", "0.1235 ± 0.01", "one2020"]


def test_conditions_are_shown_when_there_are_several() -> None:
    assert "## Conditions" not in card.markdown(SPEC)
    two = replace(SPEC, conditions=(Condition("plain"), Condition("weighted", "with weights", {"power": 0.5})))
    assert "| weighted | with weights | power 0.5 |" in card.markdown(two)


def test_doses_are_shown_where_there_are_any() -> None:
    assert "## Doses" not in card.markdown(SPEC)
    dosed = replace(SPEC, doses=(Dose("label-noise", (0.0, 0.25, 1.0), 0.25, "share of flipped labels"),))
    (header, cells) = ([cell.strip() for cell in row] for row in rows(card.markdown(dosed), "Doses"))
    assert header == ["dose", "what", "values", "the task's own"]
    assert cells == ["label-noise", "share of flipped labels", "0 0.25 1", "0.25"]
    assert card.card(dosed)["doses"] == [
        {"name": "label-noise", "values": [0.0, 0.25, 1.0], "own": 0.25, "unit": "share of flipped labels"}
    ]


@pytest.mark.parametrize("task_id", entries())
def test_every_card_of_the_suite_is_whole(task_id: str) -> None:
    try:
        spec = load(task_id).spec
    except MissingData as missing:
        pytest.skip(str(missing))
    assert json.loads(json.dumps(card.card(spec), allow_nan=False))["id"] == task_id
    text = card.markdown(spec)
    assert len(rows(text, "Splits")) == len(spec.splits) + 1
    for source in spec.sources:
        entry = card.bibtex(source)
        assert entry in text
        assert entry.count("{") == entry.count("}")


def test_the_command_prints_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    task_id = next(iter(entries()))
    assert card.main([task_id]) == 0
    assert capsys.readouterr().out.startswith(f"# {task_id}\n")
    assert card.main([task_id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == task_id


def test_a_typo_is_answered_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        card.main(["shift/lenght-parity"])
    assert stopped.value.code == 2
    assert "length-parity" in capsys.readouterr().err
