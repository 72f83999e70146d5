"""Pictures of data: the same bytes every time, valid XML, nothing from outside, and the data they claim to show."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from tasks.picture import (
    COLOURS,
    by_class,
    colours_of,
    informative_plane,
    main,
    picture,
    shown_splits,
    string,
    target_direction,
)
from tasks.registry import Entry, entries, load
from tasks.seeds import Draw
from tasks.types import Batch, Budget, MissingData, Problem, Split, Task, TaskSpec

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
SPEC = TaskSpec(
    entry=Entry("shift/toy-v1", "signs <& shapes>", "vector", (), "tasks.shift.toy"),
    question="None.",
    problem=Problem("vector", (4,), "classes", n_outputs=3, n_train=30),
    splits=(
        Split("train", "train", 30),
        Split("val", "val", 30),
        Split("iid", "iid", 30),
        *(Split(f"rung-{r}", "probe", 30, severity=float(r)) for r in range(6)),
        Split("far", "ood", 30, severity=9.0),
    ),
    budget=Budget(steps=1, batch_size=1),
    metric="accuracy",
    floor="chance",
    ceiling="oracle",
    gate=0.9,
    sources=(),
    severity_unit="degrees",
)
DRAW = Draw(SPEC.id, 0)
PROBLEMS = {
    "one input": Problem("vector", (1,), "values", 1, 30),
    "one input, classes": Problem("vector", (1,), "classes", 3, 30),
    "two inputs": Problem("vector", (2,), "classes", 3, 30),
    "many inputs": Problem("vector", (7,), "values", 2, 30),
    "signal": Problem("signal", (2, 20), "classes", 3, 30),
    "signal, values": Problem("signal", (1, 20), "values", 1, 30),
    "grey image": Problem("image", (1, 5, 4), "classes", 3, 30),
    "two-channel image": Problem("image", (2, 5, 4), "classes", 3, 30),
    "colour image": Problem("image", (3, 5, 4), "values", 1, 30),
    "tokens": Problem("tokens", (40,), "classes", 3, 30, vocabulary=11),
    "tokens per position": Problem("tokens", (6,), "classes", 3, 30, vocabulary=11, per_position=True),
    "token values": Problem("tokens", (6,), "values", 1, 30, vocabulary=11),
}


class Toy(Task):
    """Random numbers of any kind."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        problem, generator = self.spec.problem, draw.generator(split.name)
        shape = (split.size, *problem.input_shape)
        tokens = problem.input_kind == "tokens"
        x = torch.randint(11, shape, generator=generator) if tokens else torch.randn(shape, generator=generator)
        if problem.output_kind == "values":
            return Batch(x, torch.randn(split.size, problem.n_outputs, generator=generator))
        positions = problem.input_shape if problem.per_position else ()
        return Batch(x, torch.randint(3, (split.size, *positions), generator=generator))


def assert_can_stand_in_a_page(svg: str) -> None:
    """Valid XML of one svg element that refers to nothing outside itself, runs nothing and styles nothing else."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert not svg.startswith(("<?", "<!"))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert not tags & {"script", "style", "metadata", "foreignObject", "a"}
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.startswith("on"), name
            if name.endswith("href"):
                assert value.startswith(("#", "data:image/png;base64,")), value[:40]
            for target in re.findall(r"url\((.*?)\)", value):
                assert target.startswith("#"), value
    for target in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg):
        assert (target[0] or target[1]) in ids, target
    assert "#010203" not in svg


@pytest.mark.parametrize("kind", PROBLEMS)
def test_every_kind_of_problem_is_drawn(kind: str) -> None:
    task = Toy(replace(SPEC, problem=PROBLEMS[kind]))
    svg = picture(task, DRAW)
    assert_can_stand_in_a_page(svg)
    assert svg == picture(task, DRAW)
    assert "currentColor" in svg
    titles = [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}title")]
    assert titles == ["Examples of shift/toy-v1: signs <& shapes>"]


# tasks whose data are not shipped are drawn where a copy is at hand; the hub is not asked for 20 seconds each
AT_HAND = [e.id for e in entries().values() if not e.optional or os.environ.get("OFFPISTE_DATA")]


@pytest.mark.parametrize("task_id", AT_HAND)
def test_every_task_of_the_suite_is_drawn(task_id: str) -> None:
    try:
        task = load(task_id)
        svg = picture(task, Draw(task_id, 0))
    except MissingData as missing:
        pytest.skip(str(missing))
    assert_can_stand_in_a_page(svg)
    assert len(svg) < 400_000
    for split in shown_splits(task.spec):
        assert split.name in svg


def test_another_process_writes_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    """With a matplotlib configuration, a hash seed and a working folder of its own."""
    task_id = "shift/extrapolate-v1"
    assert main([task_id, "--seed", "2"]) == 0
    command = [sys.executable, "-W", "ignore", "-m", "tasks.picture", task_id, "--seed", "2"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "77", "MPLBACKEND": "pdf", "PYTHONPATH": str(ROOT)}
    other = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert capsys.readouterr().out == other.stdout


def test_a_draw_is_seen() -> None:
    assert picture(Toy(SPEC), DRAW) != picture(Toy(SPEC), Draw(SPEC.id, 1))


def test_a_long_ladder_is_thinned_and_the_scored_split_stays() -> None:
    shown = [split.name for split in shown_splits(SPEC)]
    assert shown == ["train", "iid", "rung-0", "rung-2", "rung-5", "far"]


def test_of_many_scored_splits_the_ladder_is_spread() -> None:
    spec = replace(SPEC, splits=(*SPEC.splits[:3], *(Split(f"ood-{n}", "ood", 5, severity=float(n)) for n in range(9))))
    assert [split.name for split in shown_splits(spec)] == ["train", "iid", "ood-0", "ood-3", "ood-5", "ood-8"]


def test_the_second_channel_is_green() -> None:
    image = np.zeros((2, 1, 2), dtype=np.float32)
    image[0, 0, 0] = image[1, 0, 1] = 1.0
    assert colours_of(image).tolist() == [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]


def test_a_strip_shows_the_pixels_of_the_batch() -> None:
    """The PNG inside the SVG, decoded, holds the tiles that by_class chose, each in a transparent frame."""
    task = Toy(replace(SPEC, problem=PROBLEMS["two-channel image"]))
    root = ElementTree.fromstring(picture(task, DRAW))
    first = next(iter(root.iter(f"{SVG}image")))
    png = base64.b64decode(first.attrib[f"{XLINK}href"].split(",", 1)[1])
    assert "scale(1 -1)" not in first.attrib.get("transform", "")
    drawn = matplotlib.image.imread(io.BytesIO(png))  # (7, 12 * 6, 4)
    batch = task.sample("default", SPEC.splits[0], DRAW)
    chosen = by_class(batch, 12)
    assert drawn.shape == (7, 6 * len(chosen), 4)
    for place, index in enumerate(chosen):
        tile = drawn[:, 6 * place : 6 * (place + 1)]
        assert np.abs(tile[1:-1, 1:-1, :3] - colours_of(batch.x[index].numpy())).max() < 1 / 255
        assert tile[1:-1, 1:-1, 3].min() == 1
        assert tile[..., 3].sum() == 5 * 4  # the frame is transparent


def test_examples_are_taken_from_every_class_in_order() -> None:
    batch = Batch(torch.zeros(6, 1), torch.tensor([2, 0, 0, 1, 2, 0]))
    assert by_class(batch, 4) == [1, 2, 3, 0]
    assert by_class(batch, 20) == [1, 2, 5, 3, 0, 4]


def test_examples_with_values_are_taken_evenly() -> None:
    batch = Batch(torch.zeros(5, 1), torch.tensor([[3.0], [0.0], [4.0], [1.0], [2.0]]))
    assert by_class(batch, 3) == [1, 4, 2]


def test_the_direction_of_the_target_is_found_where_it_is_small() -> None:
    """Least squares on a target that is the sign of an input 1,000 times smaller than the others."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 5, generator=generator)
    x[:, 3] /= 1000
    direction = target_direction(Batch(x, (x[:, 3] > 0).long()))
    assert direction[3] > 0.99


def test_a_shortcut_spans_the_plane_with_the_rule() -> None:
    """Training: input 0 and 1 predict; test: input 1 alone. The two axes then separate them."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (4000,), generator=generator)
    sign = (2.0 * y - 1)[:, None]
    noise = torch.randn(4000, 4, generator=generator)
    train, shifted = noise.clone(), noise.clone()
    train[:, :2] += torch.tensor([3.0, 1.0]) * sign
    shifted[:, 1:2] += sign
    basis, names = informative_plane(SPEC, {"train": Batch(train, y), "far": Batch(shifted, y)})
    assert names == ("predicts the target in training", "predicts the target in the shifted split")
    assert np.abs(basis[:, 0]).argmax() == 0
    assert np.abs(basis[:, 1]).argmax() == 1
    assert np.allclose((train.numpy() @ basis).std(0), 1)


def test_where_the_rule_is_the_same_the_second_axis_is_the_spread() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 4, generator=generator)
    far = x * torch.tensor([1.0, 1.0, 5.0, 1.0])
    basis, names = informative_plane(
        SPEC, {"train": Batch(x, (x[:, 0] > 0).long()), "far": Batch(far, (far[:, 0] > 0).long())}
    )
    assert names == ("predicts the target", "largest spread across it")
    assert np.abs(basis[:, 1]).argmax() == 2


def test_a_long_string_keeps_its_ends() -> None:
    assert string(list(range(10)), 4) == "0 1 … 8 9"
    assert string([1, 2], 4) == "1 2"


def test_classes_have_colours_of_their_own() -> None:
    assert len(set(COLOURS)) == len(COLOURS)
