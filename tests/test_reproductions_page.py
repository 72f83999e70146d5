"""The page of reproductions says what the file says, and what differs first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leaderboard import reproductions


def line(name: str, verdict: str, **changes: Any) -> dict[str, Any]:
    """A line as `benchmarks.reproduce --json` writes it."""
    expected = {"kind": "published", "value": 13.363, "sd": 1.487, "n": 50, "last_digit": 0.001, "population": True}
    return {
        "line": name, "verdict": verdict, "reason": "", "values": [13.0, 14.0], "mean": 13.5, "half_width_95": 6.35,
        "n": 2, "band": 4.5, "basis": "", "spread_as_published": None, "source": None, "explanation": None,
        "expected": expected,
    } | changes  # fmt: skip


def data(*lines: dict[str, Any]) -> dict[str, Any]:
    """A file with one entry."""
    entry = {"paper": "Paper 2020 (key)", "where": "Table 1", "protocol": "as published", "lines": list(lines)}
    return {
        "schema": 1, "entries": {"one": entry}, "totals": {"agrees": 1, "differs": 1},
        "provenance": {"chunks": {"one": [{"seeds": [0, 1], "seconds": 12.4, "environment": {}}]}},
    }  # fmt: skip


def test_a_line_has_ours_theirs_the_band_and_the_verdict() -> None:
    text = reproductions.markdown(data(line("ERM", "agrees")))
    assert "| ERM | 13.5 ± 6.3 | 2 | 13.363 ± 1.487 | 4.5 | agrees |  |" in text
    assert "Paper 2020 (key): Table 1. Ours: as published. 12 core seconds." in text
    assert "What differs" not in text


def test_what_differs_comes_first_with_what_is_known_about_why() -> None:
    differs = line("IRM", "differs", explanation="Another optimizer.")
    agrees = line("ERM", "agrees", explanation="Never shown.")
    text = reproductions.markdown(data(agrees, differs))
    assert text.index("- one, IRM: 13.5 ± 6.3, expected 13.363 ± 1.487") < text.index("## one")
    assert "- IRM: Another optimizer." in text
    assert "Never shown" not in text


def test_a_skipped_line_says_why_and_an_unpublished_one_stands_between_its_anchors() -> None:
    nothing = {"values": [], "mean": None, "half_width_95": None, "n": 0, "band": None}
    skipped = line("IRM", "skipped", reason="MNIST is not here.", **nothing)
    anchors = {"kind": "unpublished", "floor": 0.45, "oracle": None}
    text = reproductions.markdown(data(skipped, line("2s", "no published value", expected=anchors, band=None)))
    assert "- IRM: MNIST is not here." in text
    assert "| 2s | 13.5 ± 6.3 | 2 | 0.45 to ? |  | no published value |  |" in text


@pytest.mark.parametrize("text", ["{}", '{"schema": 1}', "[1]", "no json"])
def test_another_file_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    assert reproductions.main([str(path)]) == reproductions.BAD_USAGE
    assert f"error: {path}: " in capsys.readouterr().err


def with_mean(text: str) -> str:
    """A file whose only mean is this text."""
    return json.dumps(data(line("ERM", "agrees", mean="HERE"))).replace('"HERE"', text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (with_mean('"13.5"'), "'13.5' stands where a finite number is expected"),
        (with_mean("1" + "0" * 400), "a number of 1329 bits stands where a finite number is expected"),
        (with_mean("[" * 600 + "]" * 600), "a list stands where a finite number is expected"),
        (with_mean("true"), "True stands where"),
        (with_mean("1e999"), "inf stands where"),
        (with_mean("NaN"), "NaN is not allowed"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ],
)
def test_a_mean_that_is_no_number_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    assert reproductions.main([str(path)]) == reproductions.BAD_USAGE
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {path}: ") and complaint in told.err and told.out == ""


EXPECTED = {"kind": "published", "value": 1.0, "sd": 1.0}


@pytest.mark.parametrize("bad", ["x", 10**400], ids=["text", "large"])
@pytest.mark.parametrize("field", ["half_width_95", "band", "n", "sd", "value", "seconds"])
def test_no_field_takes_a_text_or_a_number_too_large_for_a_number(field: str, bad: object) -> None:
    changed = data(
        line("ERM", "agrees", expected=EXPECTED | {field: bad}) if field in EXPECTED else line("ERM", "agrees")
    )
    if field == "seconds":
        changed["provenance"]["chunks"]["one"][0]["seconds"] = bad
    elif field not in EXPECTED:
        changed["entries"]["one"]["lines"][0][field] = bad
    with pytest.raises(reproductions.NotReproductions, match="stands where a"):
        reproductions.markdown(changed)


def test_no_text_ends_a_cell_a_heading_or_a_line() -> None:
    odd = "a | b\n\n# c \\| \x1b[31md"
    differs = line(odd, "differs", explanation=odd, source=odd)
    found = data(differs) | {"entries": {odd: data(differs)["entries"]["one"]}}
    text = reproductions.markdown(found)
    row = next(row for row in text.splitlines() if row.startswith("| a "))
    assert row.startswith("| a \\| b # c \\\\\\| ?[31md | 13.5 ± 6.3 | 2 | 13.363")
    assert "\n# c" not in text and "\x1b" not in text
    assert "\n## a | b # c \\| ?[31md\n" in text


def test_the_command_prints_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(data(line("ERM", "agrees"))))
    assert reproductions.main([str(path)]) == reproductions.OK
    assert capsys.readouterr().out == reproductions.markdown(data(line("ERM", "agrees")))
