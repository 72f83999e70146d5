"""A folder is a registry, a file is an entry: what words select, and what broken files say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from baselines import references
from tasks import registry
from tasks.registry import Entry, RegistryError, UnknownName
from tasks.seeds import Draw, generator, stream_seed


def entry(task_id: str, **fields: object) -> Entry:
    return Entry(task_id, "summary", "vector", (), "module", **fields)  # type: ignore[arg-type]


def ids(*words: str) -> set[str]:
    return {found.id for found in registry.select(words)}


def test_a_family_a_tag_an_input_kind_a_glob_and_a_name_select() -> None:
    assert "shift/reweight-v1" in ids("shift") and "simplicity/spectrum-v1" in ids("simplicity")
    families = {found.split("/")[0]: set[str]() for found in ids("all")}
    for family in families:
        families[family] = {found for found in ids("all") if found.startswith(f"{family}/")}
        assert ids(family) == families[family]
    assert len(families) > 2 and ids("interpolation/features") < families["interpolation"]
    assert (
        ids("linear-unit-1")
        == ids("shift/linear-unit-1")
        == ids("shift/linear-unit-1-v1")
        == {"shift/linear-unit-1-v1"}
    )
    assert ids("shift/linear-unit-*") == {f"shift/linear-unit-{n}-v1" for n in ("1", "1s", "2", "2s", "3", "3s")}
    assert all(registry.entries()[found].input == "tokens" for found in ids("tokens"))
    assert len(registry.select(["reweight", "shift/reweight"])) == 1


def test_optional_tasks_are_selected_by_name_only() -> None:
    optional = {e.id for e in registry.entries().values() if e.optional}
    assert optional and not optional & ids("shift")
    assert ids(*optional) == optional


def test_a_name_without_version_is_its_newest() -> None:
    assert registry.newest([entry("a/b-v1"), entry("a/b-v10"), entry("a/b-v9"), entry("a/c-v1")]) == [
        entry("a/b-v10"),
        entry("a/c-v1"),
    ]


def test_an_unknown_word_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="no task, family or tag 'shfit'; nearest: shift"):
        registry.select(["shfit"])
    with pytest.raises(UnknownName, match="shift/reweight"):
        registry.select(["rewieght"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1", "no literal ENTRIES"),
        ("ENTRIES = [1]", "not a dict"),
        ("ENTRIES = {**other}", "malformed"),
        ("ENTRIES = {", "never closed"),
    ],
)
def test_a_broken_file_stops_discovery_and_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(RegistryError, match=f"broken.py.*{reason}"):
        registry.headers(tmp_path)


def test_headers_run_no_code(tmp_path: Path) -> None:
    (tmp_path / "entry.py").write_text("ENTRIES = {'a': {'summary': 's'}}\nraise SystemExit\n")
    assert registry.headers(tmp_path) == {"entry": {"a": {"summary": "s"}}}


def test_models_are_baselines_at_small_size_unless_asked() -> None:
    small, every = references.select([]), references.select(["all"])
    assert {m.name for m in small} < {m.name for m in every}
    assert not any(m.large for m in small)
    assert [m.name for m in references.select(["mlp*"])] == [m.name for m in every if m.name.startswith("mlp")]


def test_a_submission_is_filed_under_the_hash_of_its_code(tmp_path: Path) -> None:
    path = tmp_path / "My Model.py"
    path.write_text("class Net:\n    pass\n")
    first = references.submitted(f"{path}:Net")
    assert first.name == f"my-model-net@{first.source_hash[:8]}" and not first.registered
    path.write_text('"""A docstring."""\n\n\n# a comment\nclass Net:\n    """Another."""\n')
    assert references.submitted(f"{path}:Net").name == first.name
    path.write_text("class Net:\n    x = 1\n")
    assert references.submitted(f"{path}:Net").name != first.name


def test_a_class_is_loaded_from_a_file_beside_its_helpers(tmp_path: Path) -> None:
    (tmp_path / "offpiste_test_helper.py").write_text("VALUE = 7\n")
    path = tmp_path / "model.py"
    path.write_text("from offpiste_test_helper import VALUE\nclass Net:\n    value = VALUE\n")
    reference = references.submitted(f"{path}:Net")
    assert references.load_class(reference).value == 7  # type: ignore[attr-defined]
    path.write_text("class Net:\n    value = 8\n")
    with pytest.raises(references.UnusableClass, match="was edited while the run was going on"):
        references.load_class(reference)


def test_a_class_of_an_installed_package_is_a_model() -> None:
    reference = references.submitted("sklearn.linear_model:Ridge")
    assert references.load_class(reference).__name__ == "Ridge"
    assert reference.name.startswith("linear-model-ridge@")


def test_streams_depend_on_every_name_and_on_nothing_else() -> None:
    assert stream_seed("a", 1) == stream_seed("a", "1")
    assert len({stream_seed("a", "b"), stream_seed("b", "a"), stream_seed("ab"), stream_seed("a", "b", "")}) == 4
    draw = Draw("shift/x-v1", 3)
    first = torch.rand(3, generator=draw.generator("train"))
    assert torch.equal(first, torch.rand(3, generator=generator("shift/x-v1", "public", 3, "train")))
    for other in (Draw("shift/x-v1", 4), Draw("shift/y-v1", 3), Draw("shift/x-v1", 3, "secret")):
        assert not torch.equal(first, torch.rand(3, generator=other.generator("train")))
    assert draw.numpy("train").random() == draw.numpy("train").random() != draw.numpy("val").random()


def test_a_stream_is_the_same_on_every_machine() -> None:
    assert stream_seed("shift/x-v1", "public", 0, "train") == 4036459561195471422
