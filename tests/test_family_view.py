"""Pages of families: each has its theory and what the public results say of it, and neither can hold markup."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard.family_view import READINGS, reading, theory
from tasks import registry

FAMILIES = sorted({task_id.split("/")[0] for task_id in registry.entries()})


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_theory_and_a_reading(family: str) -> None:
    assert "What is exact" in theory(registry.HERE / family / "theory.md")
    assert reading(family).count("<li>") >= 1


def test_every_reading_is_of_a_family_and_of_no_other() -> None:
    headings = [line[3:] for line in READINGS.read_text().splitlines() if line.startswith("## ")]
    assert sorted(headings) == FAMILIES
    assert "LSTM and GRU" in reading("shift") and "LSTM and GRU" not in reading("goals")


def test_a_family_without_either_says_nothing(tmp_path: Path) -> None:
    assert theory(tmp_path / "theory.md") == "" and reading("unknown") == ""


def test_markup_is_text(tmp_path: Path) -> None:
    (tmp_path / "theory.md").write_text("# A & b\n\n<script>alert(1)</script> [x](javascript:alert(2))")
    found = theory(tmp_path / "theory.md")
    assert "<script" not in found and 'href="javascript' not in found and "A &amp; b" in found
