"""An exported task opens in `datasets` and holds the very numbers of the batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from tasks import card, export
from tasks.registry import Entry, entries, load
from tasks.seeds import Draw
from tasks.types import (
    Batch,
    Budget,
    Condition,
    Problem,
    Source,
    Split,
    Task,
    TaskSpec,
    load_data,
)

SPEC = TaskSpec(
    entry=Entry("shift/toy-v2", "random numbers", "vector", (), "tasks.shift.toy"),
    question="None.",
    problem=Problem("vector", (3,), "classes", n_outputs=4, n_train=7),
    splits=(Split("train", "train", 7), Split("val", "val", 4), Split("iid", "iid", 4), Split("far-0.5", "ood", 5)),
    budget=Budget(steps=1, batch_size=1),
    metric="accuracy",
    floor="chance",
    ceiling="oracle",
    gate=0.9,
    sources=(Source("a2020", "A. One", "Title", "Venue", 2020, "https://example.org/1"),),
    conditions=(Condition("plain"), Condition("other")),
)
DRAW = Draw(SPEC.id, 0)
KINDS = {
    "vector": Problem("vector", (3,), "classes", n_outputs=4, n_train=7),
    "signal": Problem("signal", (2, 5), "values", n_outputs=2, n_train=7),
    "image": Problem("image", (2, 3, 4), "classes", n_outputs=4, n_train=7),
    "tokens": Problem("tokens", (6,), "classes", n_outputs=4, n_train=7, vocabulary=9),
    "per position": Problem("tokens", (6,), "classes", n_outputs=4, n_train=7, vocabulary=9, per_position=True),
}


class Toy(Task):
    """Random numbers of any kind; tokens are longer, and latents known, in the shifted split alone."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        problem, generator = self.spec.problem, draw.generator(condition, split.name)
        shape = problem.input_shape
        if problem.input_kind == "tokens":
            shape = (6 if split.role != "ood" else 8,)
            x = torch.randint(9, (split.size, *shape), generator=generator)
        else:
            x = torch.randn(split.size, *shape, generator=generator)
        positions = shape if problem.per_position else ()
        y = torch.randint(4, (split.size, *positions), generator=generator)
        if problem.output_kind == "values":
            y = torch.randn(split.size, problem.n_outputs, generator=generator)
        env = torch.arange(split.size)
        weight = torch.rand(split.size, generator=generator)
        latent = torch.randn(split.size, 3, generator=generator) if split.role == "ood" else None
        return Batch(x, y, env=env, weight=weight, group=env, latent=latent)


def toy(kind: str = "vector") -> Task:
    return Toy(replace(SPEC, problem=KINDS[kind]))


def opened(folder: Path, file_format: export.Format, cache: Path) -> datasets.DatasetDict:
    """What a user of the library gets."""
    if file_format == "arrow":
        return datasets.load_from_disk(str(folder))
    return datasets.load_dataset(str(folder), cache_dir=str(cache))


def assert_holds(dataset: datasets.Dataset, batch: Batch) -> None:
    """Every column holds the batch's tensor exactly, and null where the batch has none."""
    for column in dataset.column_names:
        tensor = getattr(batch, column)
        found = dataset[column][:]
        if tensor is None:
            assert found == [None] * len(batch)
        else:
            assert np.array_equal(np.array(found, dtype=tensor.numpy().dtype), tensor.numpy()), column


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_opened_is_what_was_sampled(kind: str, file_format: export.Format, tmp_path: Path) -> None:
    task = toy(kind)
    out = export.export(task, tmp_path / "toy", DRAW, file_format=file_format)
    sets = opened(out, file_format, tmp_path / "cache")
    assert list(sets) == ["train", "val", "iid", "far_0.5"]
    data = load_data(task, "plain", DRAW)
    for split, dataset in zip(task.spec.splits, sets.values(), strict=True):
        assert_holds(dataset, data[split.name])


def test_types_say_what_the_problem_says(tmp_path: Path) -> None:
    features = {
        kind: datasets.load_from_disk(str(export.export(toy(kind), tmp_path / kind, DRAW)))["train"].features
        for kind in KINDS
    }
    label = datasets.ClassLabel(names=["0", "1", "2", "3"])
    assert features["vector"]["x"] == datasets.List(datasets.Value("float32"), length=3)
    assert features["vector"]["y"] == label
    assert features["signal"]["x"] == datasets.Array2D(shape=(2, 5), dtype="float32")
    assert features["signal"]["y"] == datasets.List(datasets.Value("float32"), length=2)
    assert features["image"]["x"] == datasets.Array3D(shape=(2, 3, 4), dtype="float32")
    assert features["tokens"]["x"] == datasets.List(datasets.Value("int64"))
    assert features["per position"]["y"] == datasets.List(label)
    assert features["vector"]["env"] == datasets.Value("int64")
    assert features["vector"]["weight"] == datasets.Value("float32")


def test_the_card_travels_with_the_data(tmp_path: Path) -> None:
    out = export.export(toy(), tmp_path / "toy", DRAW)
    info = datasets.load_from_disk(str(out))["far_0.5"].info
    assert info.description == card.markdown(SPEC) == (out / "README.md").read_text(encoding="utf-8")
    assert info.citation == card.bibtex(SPEC.sources[0])
    assert (info.license, str(info.version), info.homepage) == (SPEC.licence, "2.0.0", "https://example.org/1")


def test_seed_condition_and_splits_are_chosen(tmp_path: Path) -> None:
    out = export.export(toy(), tmp_path / "toy", Draw(SPEC.id, 3), condition="other", splits=["far-0.5"])
    sets = datasets.load_from_disk(str(out))
    assert list(sets) == ["far_0.5"]
    assert_holds(sets["far_0.5"], toy().sample("other", SPEC.split("far-0.5"), Draw(SPEC.id, 3)))


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(export.ExportError, match="mine is already there"):
        export.export(toy(), tmp_path / "mine", DRAW)
    assert (tmp_path / "mine").read_text() == "keep"


def test_unknown_names_are_answered_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match=r"no split 'test'; it has train, val, iid, far-0\.5"):
        export.export(toy(), tmp_path / "toy", DRAW, splits=["test"])
    with pytest.raises(export.ExportError, match="no condition 'x'; it has plain, other"):
        export.export(toy(), tmp_path / "toy", DRAW, condition="x")


def test_names_that_would_collide_are_refused(tmp_path: Path) -> None:
    spec = replace(SPEC, splits=(*SPEC.splits, Split("far_0.5", "probe", 5)))
    with pytest.raises(export.ExportError, match=r"far-0\.5 and far_0\.5 would all be called far_0\.5"):
        export.export(Toy(spec), tmp_path / "toy", DRAW)


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_a_failure_half_way_leaves_nothing(
    file_format: export.Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(export, "front_matter", full)  # the last thing before the rename
    with pytest.raises(OSError, match="disk full"):
        export.export(toy(), tmp_path / "toy", DRAW, file_format=file_format)
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_a_task_of_the_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task_id = "shift/extrapolate-v1"
    assert export.main([task_id, "--out", str(tmp_path / "x"), "--split", "train", "ood", "--seed", "1"]) == 0
    assert "datasets.load_from_disk(" in capsys.readouterr().out
    task = load(task_id)
    sets = datasets.load_from_disk(str(tmp_path / "x"))
    for split in ("train", "ood"):
        assert_holds(sets[split], task.sample(task.spec.conditions[0].name, task.spec.split(split), Draw(task_id, 1)))


def test_a_request_that_cannot_be_met_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task_id = next(iter(entries()))
    for arguments, said in (
        ([task_id, "--out", str(tmp_path)], "is already there; give --out a new folder"),
        ([task_id, "--out", str(tmp_path / "x"), "--split", "nowhere"], "has no split 'nowhere'"),
        (["shift/lenght-parity", "--out", str(tmp_path / "x")], "nearest: shift/length-parity"),
    ):
        with pytest.raises(SystemExit) as stopped:
            export.main(arguments)
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
