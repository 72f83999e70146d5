"""Length generalization: the counters by hand, the floors by enumeration, the shift, and the longest solved length."""

from __future__ import annotations

import itertools
import math
from statistics import fmean

import pytest
import torch

from tasks import registry
from tasks.seeds import Draw
from tasks.shift.length import COUNTERS, TEST_LENGTHS, TRAINING_LENGTHS, Counter, Length
from tasks.types import Batch, Row, class_logits, load_data

IDS = ("shift/length-parity-v1", "shift/length-cycle-v1", "shift/length-sum-v1")


def load(task_id: str) -> Length:
    task = registry.load(task_id)
    assert isinstance(task, Length)
    return task


def row(task: Length, accuracy_at: dict[float, float]) -> Row:
    """A trial with the given accuracies by length, and 1 at every other length."""
    splits = task.spec.with_role("val", "iid", "probe", "ood")
    return Row({s.name: {"accuracy": accuracy_at.get(s.severity or 0, 1.0)} for s in splits}, {})


@pytest.mark.parametrize(
    ("name", "string", "state"),
    [
        ("parity", [1, 0, 1, 1], 1),
        ("parity", [1, 1], 0),
        ("cycle", [2, 2, 1, 0], 1),
        ("cycle", [0], 4),
        ("cycle", [0, 0, 0, 0, 0, 0], 4),
        ("sum", [4, 3, 0, 2], 4),
        ("sum", [4, 1], 0),
    ],
)
def test_labels_by_hand(name: str, string: list[int], state: int) -> None:
    assert COUNTERS[f"shift/length-{name}"].state(torch.tensor([string])).tolist() == [state]


@pytest.mark.parametrize("counter", list(COUNTERS.values()), ids=list(COUNTERS))
@pytest.mark.parametrize("length", [1, 2, 3, 6])
def test_the_content_blind_floor_is_the_most_frequent_label_of_all_strings(counter: Counter, length: int) -> None:
    every = torch.tensor(list(itertools.product(range(len(counter.moves)), repeat=length)))
    frequency = counter.state(every).bincount(minlength=counter.modulus).double() / len(every)
    assert counter.content_blind(length) == pytest.approx(float(frequency.max()), abs=1e-12)


@pytest.mark.parametrize("length", [1, 4, 7, 20])
def test_the_cycle_approaches_a_fifth_as_its_eigenvalues_say(length: int) -> None:
    """P(k) is the inverse Fourier transform of the n-th powers of the characteristic function of one move."""
    turn = 2 * math.pi / 5
    eigenvalues = [(1 + 2 * math.cos(turn * j)) / 3 for j in range(5)]
    by_fourier = [sum(e**length * math.cos(turn * j * k) for j, e in enumerate(eigenvalues)) / 5 for k in range(5)]
    assert COUNTERS["shift/length-cycle"].content_blind(length) == pytest.approx(max(by_fourier), abs=1e-12)


@pytest.mark.parametrize(("task_id", "floor"), list(zip(IDS, (0.5, 0.2, 0.2), strict=True)))
def test_floors_beyond_training_are_the_published_ones(task_id: str, floor: float) -> None:
    spec = load(task_id).spec
    for split in spec.with_role("ood"):
        assert spec.constants[split.name]["content_blind"] == pytest.approx(floor, abs=1e-10)


@pytest.mark.parametrize("task_id", IDS)
def test_every_split_has_one_length_and_the_test_is_beyond_training(task_id: str) -> None:
    task = load(task_id)
    data = load_data(task, "default", Draw(task_id, 0))
    lengths = {
        role: [data[s.name].x.shape[1] for s in task.spec.with_role(role)] for role in ("train", "val", "iid", "ood")
    }
    assert lengths["train"] == list(range(1, 21))
    assert fmean(lengths["iid"]) == fmean(lengths["val"]) == fmean(lengths["train"])
    assert min(lengths["ood"]) > 2 * max(lengths["train"])
    assert max(lengths["ood"]) == 200
    assert all(data[s.name].x.shape[1] == s.severity for s in task.spec.splits)


def test_strings_are_uniform() -> None:
    """Each of the 27 strings of 3 moves, and each move anywhere in strings of 20, within five standard deviations."""
    task = load("shift/length-cycle-v1")
    draw = Draw(task.spec.id, 0)
    short = task.sample("default", task.spec.split("train-3"), draw).x
    strings = (short * torch.tensor([9, 3, 1])).sum(1).bincount(minlength=27)
    assert (strings - 4096 / 27).abs().max() < 5 * math.sqrt(4096 / 27)
    long = task.sample("default", task.spec.split("train-20"), draw).x
    for column in long.unbind(1):
        assert (column.bincount(minlength=3) - 4096 / 3).abs().max() < 5 * math.sqrt(4096 * 2 / 9)


@pytest.mark.parametrize("task_id", IDS)
def test_the_last_twenty_tokens_tell_all_in_training_and_nothing_in_the_test(task_id: str) -> None:
    """The shift's trap: a reader of fixed reach is perfect in distribution and scores zero."""
    task = load(task_id)
    data = load_data(task, "default", Draw(task_id, 0), task.spec.with_role("val", "iid", "probe", "ood"))
    reach = TRAINING_LENGTHS[-1]

    def predict(x: torch.Tensor) -> torch.Tensor:
        return class_logits(task.counter.state(x[:, -reach:]), task.counter.modulus)

    anchors = task.anchors("default", data, Draw(task_id, 0))
    summary = task.summarize({"default": Row(task.measure("default", predict, data), anchors)})
    chance, n = 1 / task.counter.modulus, 256 * len(TEST_LENGTHS)
    assert summary.iid == 1
    assert summary.trained
    assert summary.ood == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / n))
    assert summary.scores["longest_solved_length"] == reach


def test_the_oracle_scores_one_at_every_length() -> None:
    task = load("shift/length-sum-v1")
    draw = Draw(task.spec.id, 3)
    data = load_data(task, "default", draw, task.spec.with_role("val", "iid", "probe", "ood"))
    oracle = task.references("default", draw)["oracle"]
    scores = {name: task.evaluate(oracle(batch), batch) for name, batch in data.items()}
    assert {values["accuracy"] for values in scores.values()} == {1.0}
    wrong = Batch(data["ood-200"].x, (data["ood-200"].y + 1) % 5)
    assert task.evaluate(oracle(wrong), wrong)["accuracy"] == 0


@pytest.mark.parametrize(
    ("accuracy_at", "longest"),
    [
        ({}, 200),
        ({80: 0.9}, 200),
        ({80: 0.89}, 60),
        ({80: 0.5, 100: 1.0}, 60),
        ({21: 0.6}, 20),
        ({3: 0.8}, 0),
    ],
)
def test_longest_solved_length(accuracy_at: dict[float, float], longest: float) -> None:
    task = load("shift/length-parity-v1")
    assert task.longest_solved_length({"default": row(task, accuracy_at)}) == longest
