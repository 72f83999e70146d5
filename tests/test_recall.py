"""Associative recall: what a sequence holds, answers by hand, floors and memories in closed form, pairs held."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tasks import registry
from tasks.metrics import IGNORED
from tasks.seeds import Draw
from tasks.simplicity.recall import KEYS, LENGTH, PLACES, UNUSED, VALUES, Recall, recalled
from tasks.types import Batch, Data, Row, Summary, load_data

ID = "simplicity/recall-v1"
EVALUATED = ("val", "iid", "probe", "ood")


@pytest.fixture(scope="module")
def task() -> Recall:
    task = registry.load(ID)
    assert isinstance(task, Recall)
    return task


@pytest.fixture(scope="module")
def data(task: Recall) -> Data:
    return load_data(task, "default", Draw(ID, 0), task.spec.splits)


def sequence(pairs: dict[int, tuple[int, int]], queries: dict[int, int]) -> Tensor:
    """x (1, 24) with key and value at places, and keys asked at query places."""
    x = torch.full((1, LENGTH), UNUSED)
    for place, (key, value) in pairs.items():
        x[0, 2 * place : 2 * place + 2] = torch.tensor([key, KEYS + value])
    for place, key in queries.items():
        x[0, 2 * PLACES + place] = key
    return x


def looked_up(row: list[int]) -> list[int]:
    """The targets of one sequence, by a dictionary."""
    values = {key: value - KEYS for key, value in zip(row[: 2 * PLACES : 2], row[1 : 2 * PLACES : 2], strict=True)}
    queries = row[2 * PLACES :]
    return [IGNORED] * (2 * PLACES) + [IGNORED if q == UNUSED else values[q] for q in queries]


def test_targets_are_the_values_behind_the_keys(data: Data) -> None:
    for batch in (data["iid"], data["ood-5"], data["ood-8"]):
        assert batch.y.tolist() == [looked_up(row) for row in batch.x.tolist()]


def test_a_sequence_holds_every_key_and_value_once_and_every_query_once(task: Recall, data: Data) -> None:
    for split in task.spec.splits:
        for row in data[split.name].x[:300].tolist():
            keys, values, queries = row[: 2 * PLACES : 2], row[1 : 2 * PLACES : 2], row[2 * PLACES :]
            shown = [(k, v) for k, v in zip(keys, values, strict=True) if k != UNUSED or v != UNUSED]
            assert split.params["fewest"] <= len(shown) <= split.params["most"]  # type: ignore[operator]
            assert len({k for k, _ in shown}) == len({v for _, v in shown}) == len(shown)
            assert all(k < KEYS <= v < UNUSED for k, v in shown)
            assert sorted(q for q in queries if q != UNUSED) == sorted(k for k, _ in shown)


def test_an_answer_stands_in_its_pair_alone(data: Data) -> None:
    """No value stands among the queries, so that no model reads an answer off a later or an earlier one."""
    x, y = data["ood-8"].x, data["ood-8"].y
    assert (x[:, 2 * PLACES :] < KEYS).all()
    for row, targets in zip(x.tolist(), y.tolist(), strict=True):
        for position in range(2 * PLACES, LENGTH):
            assert row.count(KEYS + targets[position]) == 1
            assert row[row.index(KEYS + targets[position]) - 1] == row[position]


def test_keys_values_places_and_the_order_of_queries_are_uniform_and_independent(task: Recall) -> None:
    """Within five standard deviations: the joint counts of key and value, and of a pair's place and its query's."""
    batch = task.sample("default", task.spec.split("train"), Draw(ID, 1))
    x, n_pairs = batch.x, (batch.y != IGNORED).sum(1)
    assert (n_pairs.bincount(minlength=5)[1:] - 12_500).abs().max() < 5 * math.sqrt(50_000 * 3 / 16)
    keys, values, queries = x[:, : 2 * PLACES : 2], x[:, 1 : 2 * PLACES : 2], x[:, 2 * PLACES :]
    used = keys != UNUSED
    joint = (keys[used] * VALUES + values[used] - KEYS).bincount(minlength=KEYS * VALUES).double()
    met = (keys[:, :, None] == queries[:, None, :]) & used[:, :, None]  # (N, places, query places)
    for counts in (joint, met.sum(0).double().flatten()):
        assert counts.sum() == used.sum()
        assert (counts - counts.mean()).abs().max() < 5 * math.sqrt(float(counts.mean()))


def test_the_test_differs_from_training_in_the_number_of_pairs_alone(task: Recall, data: Data) -> None:
    """At every position the same tokens can stand, and lengths are equal."""
    train, hardest = data["train"].x, data["ood-8"].x
    assert train.shape[1] == hardest.shape[1] == LENGTH
    for seen, new in zip(train.unbind(1), hardest.unbind(1), strict=True):
        assert set(new.tolist()) <= set(seen.tolist())
    ladder = [split.severity for split in task.spec.with_role("probe", "ood")]
    assert ladder == list(range(1, PLACES + 1))


def test_memories_by_hand() -> None:
    """Three pairs; a memory of one keeps the last, and guesses among the other two values for the other keys."""
    x = sequence({1: (3, 7), 4: (5, 0), 6: (2, 4)}, {0: 5, 3: 2, 7: 3})
    at_query = recalled(x, 1)[0, 2 * PLACES :]
    assert at_query[3].nonzero().flatten().tolist() == [4]
    for place in (0, 7):
        assert at_query[place].nonzero().flatten().tolist() == [0, 7]
        assert at_query[place][0] == at_query[place][7]
    full = recalled(x, PLACES)[0, 2 * PLACES :]
    assert [full[place].nonzero().flatten().tolist() for place in (0, 3, 7)] == [[0], [4], [7]]


@pytest.mark.parametrize("memory", [0, 1, 3, 4, 7, 8])
def test_accuracy_of_a_memory_in_closed_form(task: Recall, data: Data, memory: int) -> None:
    """m of P pairs kept: (m + 1) / P, exactly and on every data set, and 1 from P - 1 on."""
    for split in task.spec.with_role("probe", "ood"):
        pairs, batch = int(split.severity or 0), data[split.name]
        accuracy = task.evaluate(recalled(batch.x, memory), batch)["accuracy"]
        assert accuracy == pytest.approx(min(1, (memory + 1) / pairs), abs=1e-6)


def summary_of(task: Recall, data: Data, memory: int) -> Summary:
    def predict(x: Tensor) -> Tensor:
        return recalled(x, memory)

    anchors = task.anchors("default", data, Draw(ID, 0))
    return task.summarize({"default": Row(task.measure("default", predict, data), anchors)})


@pytest.mark.parametrize("memory", [0, 2, 4, 7])
def test_pairs_held_is_the_size_of_a_memory(task: Recall, data: Data, memory: int) -> None:
    summary = summary_of(task, data, memory)
    assert summary.scores["pairs_held"] == pytest.approx(memory, abs=1e-5)
    expected = [((min(memory, p - 1) + 1) / p - 1 / p) / (1 - 1 / p) for p in (5, 6, 7, 8)]
    assert summary.scores["score"] == pytest.approx(sum(expected) / 4, abs=1e-6)


def test_a_memory_of_the_training_size_is_perfect_in_training_only(task: Recall, data: Data) -> None:
    """The floor in distribution is the mean of one right answer among an average of 2.5."""
    holds, blind = summary_of(task, data, 4), summary_of(task, data, 0)
    assert holds.iid == 1
    assert holds.trained
    assert holds.scores["score"] < 0.8
    assert not blind.trained
    # number of sequences over number of queries: 1 / 2.5, its relative error the spread of 1-4 over root n
    assert blind.iid == pytest.approx(0.4, abs=4 * 0.4 * math.sqrt(1.25 / 1024) / 2.5)


def test_what_stands_later_does_not_change_the_references(task: Recall, data: Data) -> None:
    """The references are causal functions of the sequence, as per-position models are."""
    batch = data["ood-8"]
    cut = batch.x.clone()
    cut[:, 2 * PLACES + 3 :] = UNUSED
    upto = slice(2 * PLACES, 2 * PLACES + 3)
    for name, predictor in task.references("default", Draw(ID, 0)).items():
        assert torch.equal(predictor(batch)[:, upto], predictor(Batch(cut, batch.y))[:, upto]), name
