"""The import law of docs/architecture.md, read from the source: who may import whom, and one door per library."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ALLOWED = {
    "tasks": {"tasks"},
    "baselines": {"baselines", "tasks"},
    "benchmarks": {"benchmarks", "baselines", "tasks"},
    "leaderboard": {
        "leaderboard",
        "benchmarks.records",
        "benchmarks.store",
        "benchmarks.statistics",
        "benchmarks.cells",
        "benchmarks.selection",
        "benchmarks.ranking",
        "tasks",
    },
}
OURS = set(ALLOWED)
DOORS = {
    "wandb": {"benchmarks/tracking.py"},
    "wandb_workspaces": {"leaderboard/workspace.py"},
    "pytorch_lightning": {"benchmarks/training.py"},
    "lightning": {"benchmarks/training.py"},
    "datasets": {"tasks/hub.py", "tasks/export.py"},
    "huggingface_hub": {"tasks/hub.py"},
    "ray": {"benchmarks/launchers/ray.py"},
    "matplotlib": {"tasks/picture.py", "leaderboard/paper/plots.py"},
    "jinja2": {"leaderboard/site.py"},
    "markdown_it": {"leaderboard/family_view.py"},
}
LOOP_OF_ONE_S_OWN = "examples/own_loop.py"


def files(*folders: str) -> list[Path]:
    """Every Python file below these folders of the repository."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(source: str, package: str = "") -> set[str]:
    """Every dotted name that a source text imports, wherever it stands in it; `package` resolves relative imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def imports_of(path: Path) -> set[str]:
    """What a file of the repository imports."""
    return imported(path.read_text(encoding="utf-8"), ".".join(path.relative_to(ROOT).parent.parts))


def is_below(name: str, prefix: str) -> bool:
    """Whether a dotted name is a module or something in it."""
    return name == prefix or name.startswith(f"{prefix}.")


def trespasses(package: str, names: set[str]) -> list[str]:
    """Imports of ours that the law denies to a package."""
    ours = [name for name in sorted(names) if name.split(".")[0] in OURS]
    return [name for name in ours if not any(is_below(name, allowed) for allowed in ALLOWED[package])]


def wrong_doors(file: str, names: set[str]) -> Iterator[str]:
    """Libraries that a file imports though another file is their door."""
    for library, doors in DOORS.items():
        if file not in doors and any(is_below(name, library) for name in names):
            yield library


@pytest.mark.parametrize("package", ALLOWED)
def test_packages_import_only_what_they_may(package: str) -> None:
    found = {str(path.relative_to(ROOT)): trespasses(package, imports_of(path)) for path in files(package)}
    assert found, f"no file in {package}/"
    assert {file: names for file, names in found.items() if names} == {}


def test_every_library_has_one_door() -> None:
    found = {str(p.relative_to(ROOT)): list(wrong_doors(str(p.relative_to(ROOT)), imports_of(p))) for p in files(*OURS)}
    assert {file: libraries for file, libraries in found.items() if libraries} == {}


def test_doors_that_exist_are_used() -> None:
    """A door that imports nothing of its library has moved: the law must say where to."""
    for library, doors in DOORS.items():
        for door in (ROOT / door for door in doors):
            if door.exists() and library not in ("lightning", "huggingface_hub"):
                assert any(is_below(name, library) for name in imports_of(door)), f"{door.name} has no {library}"


@pytest.mark.parametrize("path", files("examples"), ids=lambda path: path.name)
def test_examples_import_nothing_of_ours(path: Path) -> None:
    ours = {name for name in imports_of(path) if name.split(".")[0] in OURS}
    if path.relative_to(ROOT).as_posix() == LOOP_OF_ONE_S_OWN:
        assert {name.split(".")[0] for name in ours} == {"tasks"}
    else:
        assert ours == set()


def test_baselines_know_no_task() -> None:
    """A model may import the types of a problem; from a task's own file it could tell which task it is trained on."""
    for path in files("baselines/models", "baselines/algorithms"):
        names = {name for name in imports_of(path) if is_below(name, "tasks")}
        assert all(is_below(n, "tasks.types") or is_below(n, "tasks.metrics") for n in names), (path.name, names)


def test_tasks_do_not_import_each_other() -> None:
    """What two tasks share is in tasks/sources or in types: a task file can be read, and removed, on its own."""
    families = [folder for folder in (ROOT / "tasks").iterdir() if folder.is_dir() and folder.name.isalpha()]
    for family in (f for f in families if f.name != "sources"):
        for path in family.glob("[!_]*.py"):
            others = [
                n for n in imports_of(path) for f in families if f.name != "sources" and is_below(n, f"tasks.{f.name}")
            ]
            assert others == [], path.name


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("tasks.registry", ("torch", "numpy", "datasets", "matplotlib")),
        ("baselines.references", ("torch", "numpy", "sklearn")),
        ("benchmarks.run", ("torch", "numpy", "pytorch_lightning", "wandb", "datasets")),
        ("tasks.types", ("datasets", "matplotlib", "sklearn")),
        ("benchmarks.store", ("torch", "numpy")),
    ],
)
def test_light_modules_stay_light(module: str, heavy: tuple[str, ...]) -> None:
    """In a process of its own: `--help`, `--list` and reading results do not wait for torch."""
    code = f"import sys, {module}; print(*(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_the_page_states_the_law_that_is_tested() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = {row[0].strip("` /"): row for row in table_rows(page) if row[0].startswith("`")}
    for package, allowed in ALLOWED.items():
        assert set(re.findall(r"`([\w.]+)`", rows[package][2])) == allowed - {package}, package
    for library in rows.keys() & DOORS.keys():
        assert set(re.findall(r"`([\w./]+)`", rows[library][1])) == DOORS[library], library
    assert {"wandb", "pytorch_lightning", "datasets", "matplotlib", "jinja2"} <= rows.keys()


def test_the_page_names_only_files_and_commands_that_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for file in re.findall(r"`((?:tasks|baselines|benchmarks|leaderboard|tests)/[\w/]+\.py)`", page):
        assert (ROOT / file).is_file(), file
    for module in re.findall(r"python -m ([\w.]+)", page):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def table_rows(page: str) -> list[list[str]]:
    """The cells of every table row of a Markdown page."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]


# --- the reader of imports itself -----------------------------------------------------------------------------------


def test_every_way_of_importing_is_seen() -> None:
    source = """
import os, wandb.sdk as w
from tasks import types
from tasks.types import Batch as B
from . import neighbour
from ..records import Trial
def inside():
    import datasets
if False:
    from benchmarks import run
"""
    assert imported(source, "leaderboard.pages") == {
        "os",
        "wandb.sdk",
        "tasks.types",
        "tasks.types.Batch",
        "leaderboard.pages.neighbour",
        "leaderboard.records.Trial",
        "datasets",
        "benchmarks.run",
    }


@pytest.mark.parametrize(
    ("package", "name", "denied"),
    [
        ("tasks", "benchmarks.records.Record", True),
        ("tasks", "tasks.types.Batch", False),
        ("baselines", "benchmarks", True),
        ("benchmarks", "leaderboard.build", True),
        ("leaderboard", "benchmarks.records.Record", False),
        ("leaderboard", "benchmarks.training", True),
        ("leaderboard", "benchmarks.records_of_others", True),
        ("leaderboard", "baselines.contract", True),
        ("tasks", "tasksomething.else", False),
        ("tasks", "torch.nn", False),
    ],
)
def test_the_law_is_read_as_it_is_written(package: str, name: str, denied: bool) -> None:
    assert trespasses(package, {name}) == ([name] if denied else [])


def test_a_second_door_is_noticed() -> None:
    assert list(wrong_doors("tasks/shift/digits.py", {"datasets.load_dataset", "wandbox"})) == ["datasets"]
    assert list(wrong_doors("tasks/hub.py", {"datasets"})) == []
