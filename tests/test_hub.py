"""tasks.hub: a stand-in in the hub's layout goes the way of the real sets; wrong, damaged, missing copies are told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as Picture

from tasks import hub
from tasks.hub import Content, HubImages, WrongData
from tasks.types import MissingData

ROWS = {"train": 30, "test": 12}
FEATURES = Features({"image": Image(), "label": ClassLabel(names=[str(digit) for digit in range(10)])})


def pixels(n: int, stream: str, side: int = 28) -> np.ndarray:
    return np.random.default_rng(len(stream)).integers(0, 256, (n, side, side), dtype=np.uint8)


def labels(n: int) -> list[int]:
    return [(7 * i + 3) % 10 for i in range(n)]


def content(split: str) -> Content:
    images = pixels(ROWS[split], split)
    return Content(len(images), int(images.sum(dtype=np.int64)), tuple(labels(len(images))[:10]))


STAND_IN = HubImages("stand-in", "nobody/stand-in", "0" * 40, {split: content(split) for split in ROWS})


def write_parquet(path: Path, images: np.ndarray, classes: list[int], features: Features = FEATURES) -> None:
    """Images as PNG bytes and class labels, with the features in the schema, as the hub stores them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image, label = features
    columns = {image: [Picture.fromarray(i) for i in images], label: classes}
    Dataset.from_dict(columns, features=features).to_parquet(path)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with a complete copy of the stand-in, and caches that are empty."""
    datasets.disable_progress_bars()
    monkeypatch.setenv("OFFPISTE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OFFPISTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "arrow")
    folder = tmp_path / "data" / "stand-in"
    for split, n in ROWS.items():
        write_parquet(folder / f"{split}-00000-of-00001.parquet", pixels(n, split), labels(n))
    return folder


def test_a_local_copy_is_decoded_to_its_pixels_and_labels(data: Path) -> None:
    images, classes = hub.load(STAND_IN)
    assert np.array_equal(images.numpy(), np.concatenate([pixels(n, split) for split, n in ROWS.items()]))
    assert classes.tolist() == labels(30) + labels(12)
    assert (str(images.dtype), str(classes.dtype)) == ("torch.uint8", "torch.int64")


def test_shards_and_subfolders_are_read_in_order(data: Path) -> None:
    (data / "train-00000-of-00001.parquet").unlink()
    for shard, part in enumerate((slice(0, 20), slice(20, 30))):
        path = data / "default" / f"train-{shard:05}-of-00002.parquet"
        write_parquet(path, pixels(30, "train")[part], labels(30)[part])
    images, classes = hub.load(STAND_IN)
    assert np.array_equal(images[:30].numpy(), pixels(30, "train"))
    assert classes[:30].tolist() == labels(30)


def test_the_second_reading_needs_neither_the_copy_nor_the_library(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = hub.load(STAND_IN)
    monkeypatch.delenv("OFFPISTE_DATA")
    monkeypatch.setattr(hub, "load_split", lambda *_: pytest.fail("read from the source again"))
    second = hub.load(STAND_IN)
    assert all(bool((a == b).all()) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [
        ({"train": replace(content("train"), pixel_sum=1), "test": content("test")}, "its train split"),
        ({"train": content("train"), "test": replace(content("test"), first_labels=(1, 2))}, "its test split"),
        ({"train": content("train"), "test": replace(content("test"), rows=11)}, "its test split"),
        ({"train": content("train")}, None),
    ],
)
def test_a_copy_of_something_else_is_refused_and_not_kept(
    data: Path, expected: dict[str, Content], complaint: str | None
) -> None:
    source = replace(STAND_IN, splits=expected)
    if complaint is None:  # a declared subset is what it says
        assert len(hub.load(source)[0]) == ROWS["train"]
        return
    with pytest.raises(WrongData, match=complaint):
        hub.load(source)
    assert not source.cached.exists()


def test_images_of_another_size_are_refused(data: Path) -> None:
    write_parquet(data / "test-00000-of-00001.parquet", pixels(12, "test", side=32), labels(12))
    with pytest.raises(WrongData, match=r"\(32, 32\).*expected 28 x 28"):
        hub.load(STAND_IN)


def test_other_columns_are_refused(data: Path) -> None:
    features = Features({"img": Image(), "label": FEATURES["label"]})
    write_parquet(data / "train-00000-of-00001.parquet", pixels(30, "train"), labels(30), features)
    with pytest.raises(WrongData, match=r"'img'.*expected \['image', 'label'\]"):
        hub.load(STAND_IN)


def test_a_local_folder_without_files_says_which(data: Path) -> None:
    (data / "test-00000-of-00001.parquet").unlink()
    with pytest.raises(MissingData, match=r"stand-in has no test-\*\.parquet"):
        hub.load(STAND_IN)


def test_offline_says_what_to_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFPISTE_DATA")
    for constants in (huggingface_hub.constants, datasets.config):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingData, match=r"nobody/stand-in is not on this machine.*OFFPISTE_DATA.*stand-in/train-\*"):
        hub.load(STAND_IN)


def test_a_damaged_or_exchanged_cache_is_told_and_not_believed(data: Path) -> None:
    hub.load(STAND_IN)
    whole = STAND_IN.cached.read_bytes()
    STAND_IN.cached.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WrongData, match=r"damaged.*delete it"):
        hub.load(STAND_IN)
    hub.write(STAND_IN.cached, pixels(42, "another"), np.array(labels(42), dtype=np.uint8))
    with pytest.raises(WrongData, match="is not stand-in"):
        hub.load(STAND_IN)


def test_a_writer_that_dies_leaves_nothing_behind(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space left"):
        hub.load(STAND_IN)
    assert list(STAND_IN.cached.parent.iterdir()) == []


def test_where_decoded_sets_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFPISTE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert hub.cache_folder() == Path.home() / ".cache" / "offpiste"
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert hub.cache_folder() == Path("/somewhere/offpiste")
    monkeypatch.setenv("OFFPISTE_CACHE", "/elsewhere")
    assert hub.cache_folder() == Path("/elsewhere")


@pytest.mark.parametrize("source", [hub.MNIST, hub.FASHION])
def test_hub_sets_are_pinned_and_have_70_000_images(source: HubImages) -> None:
    assert re.fullmatch("[0-9a-f]{40}", source.revision)
    assert [content.rows for content in source.splits.values()] == [60_000, 10_000]
