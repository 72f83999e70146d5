"""The worked example of docs/adding-a-task.md is a task: copied as it stands, it keeps the whole contract."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import tasks.shift
from tasks import card, check, registry
from tasks.seeds import Draw
from tasks.types import Row, Task, load_data

PAGE = Path(__file__).parents[1] / "docs" / "adding-a-task.md"
ID = "shift/half-ring-v1"


def worked_example() -> tuple[str, str]:
    """File name and source of the example, as the page has them."""
    found = re.search(r"^## The file: `tasks/shift/(\w+\.py)`\n\n```python\n(.*?)^```$", PAGE.read_text(), re.S | re.M)
    assert found, f"{PAGE} has no worked example"
    return found[1], found[2]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """The example in a registry of its own."""
    name, source = worked_example()
    family = tmp_path / "shift"
    family.mkdir()
    (family / name).write_text(source, encoding="utf-8")
    monkeypatch.setattr(registry, "HERE", tmp_path)
    monkeypatch.setattr(tasks.shift, "__path__", [str(family)])
    registry.entries.cache_clear()
    registry.load.cache_clear()
    yield registry.load("half-ring")
    registry.entries.cache_clear()
    registry.load.cache_clear()


def test_the_command_finds_it_and_every_clause_holds(example: Task, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["shift/half-ring"]) == 0, capsys.readouterr().out
    printed = capsys.readouterr().out
    assert printed.startswith(ID)
    assert "1 ok, 0 broken, 0 skipped" in printed


def test_the_data_are_what_the_page_says(example: Task) -> None:
    draw = Draw(ID, 0)
    for split in example.spec.splits:
        batch = example.sample("default", split, draw)
        radius = batch.x.norm(dim=1)
        assert torch.equal(radius > 1, batch.y == 1)
        assert radius.min() >= 0.2 and radius.max() <= 1.8 + 1e-6
    train, opposite = (example.sample("default", example.spec.split(s), draw) for s in ("train", "opposite"))
    assert (train.x[:, 0] >= -1e-6).all() and (opposite.x[:, 0] <= 1e-6).all()


def test_a_straight_boundary_scores_nothing(example: Task) -> None:
    """Class 1 beyond x = .8 is fair on the right half plane and calls all of the left one inside: exactly chance."""
    data = load_data(example, "default", Draw(ID, 0))
    anchors = example.anchors("default", data, Draw(ID, 0))

    def beyond(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.zeros(len(x)), x[:, 0] - 0.8], dim=1)

    row = Row(example.measure("default", beyond, data), anchors)
    assert row.scores["iid"]["accuracy"] > 0.7
    share_inside = float((data["opposite"].y == 0).float().mean())
    assert row.scores["opposite"]["accuracy"] == pytest.approx(share_inside)
    assert example.summarize({"default": row}).scores["score"] == pytest.approx(2 * share_inside - 1)


def test_the_page_names_only_commands_and_files_that_exist(example: Task) -> None:
    root = PAGE.parents[1]
    text = PAGE.read_text(encoding="utf-8")
    for module in set(re.findall(r"python -m ([\w.]+)", text)):
        assert (root / f"{module.replace('.', '/')}.py").is_file(), module
    for file in set(re.findall(r"`(tasks/\w+\.py)`", text)):
        assert (root / file).is_file(), file


def test_its_card_has_every_part(example: Task) -> None:
    text = card.markdown(example.spec)
    for part in ("What a model sees", "Splits", "Score", "Training", "Notes", "Data", "Sources"):
        assert f"## {part}" in text
    assert "severity (degrees)" in text
