"""The one door to Hugging Face `datasets`: full image sets that are not shipped, from a local copy or from the hub.

A set is looked for in this order: the decoded copy in the cache folder; `$OFFPISTE_DATA/<name>/` with parquet files
named `train-*` and `test-*`; the hub, at a pinned revision. Images are decoded once, into one array that is checked
against what is known of the set and kept in `$OFFPISTE_CACHE` (default `$XDG_CACHE_HOME/offpiste`,
`~/.cache/offpiste`): training never touches a `Dataset`.
"""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.types import MissingData

Pixels = NDArray[np.uint8]
SIDE = 28


class WrongData(Exception):
    """A copy of a data set is not what its name says; the message tells what was expected, what came and from where."""


@dataclass(frozen=True)
class Content:
    """What is known of one split: enough to notice another set, another order, a resized or a damaged copy."""

    rows: int
    pixel_sum: int
    first_labels: tuple[int, ...]


@dataclass(frozen=True)
class HubImages:
    """Grey 28 x 28 images with a class, as they stand on the hub: its id, a commit of it, and what they hold."""

    name: str
    repository: str
    revision: str
    splits: Mapping[str, Content]
    columns: tuple[str, str] = ("image", "label")

    @property
    def cached(self) -> Path:
        """The decoded copy."""
        return cache_folder() / f"{self.name}-{self.revision[:8]}.npz"

    @property
    def local(self) -> Path | None:
        """The user's own copy of the parquet files, if there is a folder for it."""
        folder = Path(os.environ["OFFPISTE_DATA"]) / self.name if os.environ.get("OFFPISTE_DATA") else None
        return folder if folder is not None and folder.is_dir() else None


MNIST = HubImages(
    name="mnist",
    repository="ylecun/mnist",
    revision="77f3279092a1c1579b2250db8eafed0ad422088c",
    splits={
        "train": Content(60_000, 1_567_298_545, (5, 0, 4, 1, 9, 2, 1, 3, 1, 4)),
        "test": Content(10_000, 264_923_200, (7, 2, 1, 0, 4, 1, 4, 9, 5, 9)),
    },
)
FASHION = HubImages(
    name="fashion_mnist",
    repository="zalando-datasets/fashion_mnist",
    revision="531be5e2ccc9dba0c201ad3ae567a4f3d16ecdd2",
    splits={
        "train": Content(60_000, 3_431_114_169, (9, 0, 0, 3, 0, 2, 7, 2, 5, 5)),
        "test": Content(10_000, 573_469_070, (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)),
    },
)


@cache
def load_mnist() -> tuple[Tensor, Tensor]:
    """All 70,000 digits, training before test: images (70000, 28, 28) uint8, classes (70000,) int64."""
    return load(MNIST)


@cache
def load_fashion() -> tuple[Tensor, Tensor]:
    """The same of Fashion-MNIST."""
    return load(FASHION)


def load(source: HubImages) -> tuple[Tensor, Tensor]:
    """Images (N, 28, 28) uint8 and classes (N,) int64 of all splits, one after the other.

    Raises:
        MissingData: when there is no copy here and the hub cannot be reached.
        WrongData: when a copy does not hold what it should.
    """
    images, labels = read(source) if source.cached.exists() else decode_and_keep(source)
    return torch.from_numpy(images), torch.from_numpy(labels).long()


def read(source: HubImages) -> tuple[Pixels, Pixels]:
    """The decoded copy, checked again: files outlive the program that wrote them."""
    try:
        with source.cached.open("rb") as file, np.load(file) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise WrongData(f"{source.cached} is damaged ({error}); delete it to decode {source.name} again") from error
    check(source, images, labels, str(source.cached))
    return images, labels


def decode_and_keep(source: HubImages) -> tuple[Pixels, Pixels]:
    """Decode every split, check what came, and keep it for the next process."""
    parts = [decode(load_split(source, split), source) for split in source.splits]
    images, labels = np.concatenate([i for i, _ in parts]), np.concatenate([y for _, y in parts])
    check(source, images, labels, str(source.local or f"{source.repository}@{source.revision}"))
    write(source.cached, images, labels)
    return images, labels


def load_split(source: HubImages, split: str) -> Any:
    """One split as a `datasets.Dataset`, from the local copy if there is one.

    Raises:
        MissingData: when neither a local copy nor the hub has it.
    """
    import datasets

    if source.local:
        files = sorted(str(path) for path in source.local.rglob(f"{split}-*.parquet"))
        if not files:
            raise MissingData(f"{source.local} has no {split}-*.parquet; put the files of {source.repository} there")
        return datasets.load_dataset("parquet", data_files={split: files}, split=split)
    try:
        return datasets.load_dataset(source.repository, revision=source.revision, split=split)
    # the library's errors for "no network", "not cached" and "no such revision" all derive from OSError
    except OSError as error:
        raise MissingData(
            f"{source.repository} is not on this machine and was not fetched ({error}); run once with internet access, "
            f"or set OFFPISTE_DATA to a folder that has {source.name}/train-*.parquet and {source.name}/test-*.parquet"
        ) from error


def decode(dataset: Any, source: HubImages) -> tuple[Pixels, Pixels]:
    """Images (N, 28, 28) and classes (N,) of a whole split, read as columns and not row by row.

    Raises:
        WrongData: when columns are missing or an image has another shape.
    """
    import datasets
    from PIL import Image

    if not set(source.columns) <= set(dataset.column_names):
        raise WrongData(f"{source.name} has columns {dataset.column_names}, expected {list(source.columns)}")
    image, label = source.columns
    table = dataset.cast_column(image, datasets.Image(decode=False)).with_format("arrow")[:]
    encoded = table[image].combine_chunks().field("bytes").to_pylist()
    images = [np.asarray(Image.open(io.BytesIO(png))) for png in encoded]
    if shapes := {(i.shape, str(i.dtype)) for i in images} - {((SIDE, SIDE), "uint8")}:
        raise WrongData(f"{source.name} has images {sorted(shapes)}, expected {SIDE} x {SIDE} uint8")
    return np.stack(images), table[label].to_numpy().astype(np.uint8)


def check(source: HubImages, images: Pixels, labels: Pixels, origin: str) -> None:
    """Raises WrongData unless the arrays hold what is known of the set."""
    if len(images) != len(labels):
        raise WrongData(f"{origin} has {len(images):,} images and {len(labels):,} labels")
    start = 0
    for split, expected in source.splits.items():
        part = slice(start, start := start + expected.rows)
        first = tuple(int(y) for y in labels[part][: len(expected.first_labels)])
        found = Content(len(images[part]), int(images[part].sum(dtype=np.int64)), first)
        if found != expected:
            raise WrongData(f"{origin} is not {source.name}: its {split} split has {found}, expected {expected}")
    if len(images) != start:
        raise WrongData(f"{origin} has {len(images):,} images, expected {start:,}")


def cache_folder() -> Path:
    """Where decoded sets are kept."""
    if chosen := os.environ.get("OFFPISTE_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offpiste"


def write(path: Path, images: Pixels, labels: Pixels) -> None:
    """Write both so that another process sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".partial", delete=False) as file:
        try:
            np.savez(file, images=images, labels=labels)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).replace(path)
