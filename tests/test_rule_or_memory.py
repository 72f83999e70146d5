"""simplicity/rule-*: what the solutions answer, what they leave open, exact code lengths, and two trained networks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import tasks
from baselines.models.lstm import Lstm
from baselines.models.tcn import Tcn
from tasks import metrics
from tasks.metrics import IGNORED
from tasks.seeds import Draw
from tasks.simplicity.rule_or_memory import END, PUZZLES, SEPARATOR, VOCABULARY, A, B, RuleOrMemory, next_tokens
from tasks.types import Predict, Row, Summary, load_data

NAMES = tuple(PUZZLES)
EPSILON = math.log(1 + (VOCABULARY - 1) * math.exp(-10))
"""Nats of a token that a reference predictor has right; one that it has wrong costs 10 more."""


def load(name: str) -> RuleOrMemory:
    task = tasks.load(name)
    assert isinstance(task, RuleOrMemory)
    return task


COUNT, MULTIPLY, HIERARCHY = (load(name) for name in NAMES)


def summary_of(task: RuleOrMemory, solution: str) -> Summary:
    """What a model that follows one solution would get."""
    return task.summarize({c.name: reference_row(task, c.name, solution) for c in task.spec.conditions})


def reference_row(task: RuleOrMemory, condition: str, solution: str) -> Row:
    draw = Draw(task.spec.id, 0)
    data = load_data(task, condition, draw)
    batch_of = {id(batch.x): batch for batch in data.values()}
    predictor = task.references(condition, draw)[solution]
    return Row(task.measure(condition, lambda x: predictor(batch_of[id(x)]), data), {})


@pytest.mark.parametrize(
    ("name", "size", "prompt", "expected"),
    [
        ("count", 20, [A] * 23, {"count": [B] * 23, "memory": [B] * 20, "position": [B] * 17}),
        (
            "multiply",
            10,
            [A] * 12,
            {"add": [B] * 22, "multiply": [B] * 24, "memory": [B] * 20, "position": [B] * 18},
        ),
        ("hierarchy", 4, [A] * 6 + [B] + [A] * 6, {"hierarchical": [B], "linear": [A]}),
        ("hierarchy", 4, [B] * 2 + [A] + [B] * 2, {"hierarchical": [A], "linear": [B]}),
    ],
)
def test_answers_by_hand(name: str, size: int, prompt: list[int], expected: dict[str, list[int]]) -> None:
    solutions = PUZZLES[f"simplicity/rule-{name}"].solutions
    assert {key: solution(prompt, size) for key, solution in solutions.items()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_training_leaves_the_solutions_open_and_no_held_out_prompt_does(name: str) -> None:
    puzzle = PUZZLES[name]
    for size in puzzle.sizes:
        shown, held_out = puzzle.prompts(size), puzzle.held_out(size)
        for prompt in shown:
            assert len({tuple(solution(prompt, size)) for solution in puzzle.solutions.values()}) == 1
        for prompt in held_out:
            assert len({tuple(solution(prompt, size)) for solution in puzzle.solutions.values()}) >= 2
            assert prompt not in shown
    assert len(held_out) == {"count": 18, "multiply": 6, "hierarchy": 8}[name.rpartition("-")[2]]


def test_position_ends_where_training_ended() -> None:
    """The last token before END stands at the same place of the stream, whatever the prompt."""
    for task, size in ((COUNT, 10), (COUNT, 20), (MULTIPLY, 10)):
        draw = Draw(task.spec.id, 0)
        train, position = (task.sample(f"size-{size}", task.spec.split(name), draw).y for name in ("train", "position"))
        (place,) = {int(row.argmax()) for row in (train == END).long()}
        assert {int(row.argmax()) for row in (position == END).long()} == {place}


def test_the_hold_out_of_hierarchy_is_where_the_letters_differ() -> None:
    held_out = PUZZLES["simplicity/rule-hierarchy"].held_out(4)
    assert {len(prompt) // 2 for prompt in held_out} == {2, 3, 5, 6}
    assert all(prompt[0] != prompt[len(prompt) // 2] and len(prompt) % 2 == 1 for prompt in held_out)


def test_a_solution_writes_on_whatever_was_written() -> None:
    x = torch.tensor([[A, A, A, SEPARATOR, B, END, END, END]])
    count = PUZZLES["simplicity/rule-count"].rules["count"]
    assert next_tokens(count, 20, x)[0, 3:].tolist() == [B, B, B, END, END]


@pytest.mark.parametrize("task", [COUNT, MULTIPLY, HIERARCHY], ids=NAMES)
def test_each_solution_is_recognised(task: RuleOrMemory) -> None:
    for solution in task.puzzle.solutions:
        summary = summary_of(task, solution)
        assert summary.trained and summary.iid == 1
        fractions = {name: summary.indices[f"fraction_{name}"] for name in task.puzzle.solutions}
        assert fractions == {name: float(name == solution) for name in fractions}
        low, high = (0.99, 1.0) if solution in task.puzzle.rules else (0.0, 0.01)
        assert low < summary.indices["preference"] < high
    if task is MULTIPLY:
        assert summary_of(task, "add").indices["multiplication"] < 0.01
        assert summary_of(task, "multiply").indices["multiplication"] > 0.99


@pytest.mark.parametrize("size", [10, 20])
def test_code_lengths_of_a_counter_in_closed_form(size: int) -> None:
    """Remembered answers are k too long, k tokens wrong, or k too short, where one END is; k = 1 ... 9."""
    scores = reference_row(COUNT, f"size-{size}", "count").scores
    assert scores["count"]["code_length"] == pytest.approx((size + 1) * EPSILON, rel=1e-3)
    wrong_tokens = sum(k + 1 for k in range(1, 10)) / 18
    assert scores["memory"]["code_length"] == pytest.approx((size + 1) * EPSILON + 10 * wrong_tokens, rel=1e-5)


def test_a_constant_prefers_nothing() -> None:
    """Prompts lie evenly around the training size, so that counted and remembered answers are as long on average."""
    data = load_data(COUNT, "size-20", Draw(COUNT.spec.id, 0))
    row = Row(COUNT.measure("size-20", lambda x: torch.zeros(*x.shape, VOCABULARY), data), {})
    lengths = [row.scores[name]["code_length"] for name in ("count", "memory", "position")]
    assert lengths == pytest.approx([21 * math.log(VOCABULARY)] * 3, rel=1e-5)
    assert COUNT.indices(row)["preference"] == pytest.approx(0.5)


def trained(network: type[nn.Module], task: RuleOrMemory, condition: str, rate: float, steps: int = 150) -> Predict:
    """A network fitted to the training examples."""
    torch.manual_seed(0)
    net = network(task.spec.problem)
    batch = task.sample(condition, task.spec.split("train"), Draw(task.spec.id, 0))
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        metrics.mean_loss(net(batch.x), batch.y, "sequence").backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()

    def predict(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return net(x)  # type: ignore[no-any-return]

    return predict


def test_an_lstm_counts_where_a_convolution_remembers() -> None:
    """Kharitonov and Chaabouni 2021, in sign, from one example of a^20 to b^20."""
    data = load_data(COUNT, "size-20", Draw(COUNT.spec.id, 0))
    rows = {
        network: Row(COUNT.measure("size-20", trained(network, COUNT, "size-20", rate), data), {})
        for network, rate in ((Lstm, 3e-3), (Tcn, 1e-3))
    }
    assert all(row.scores["iid"]["exact_match"] == 1 for row in rows.values())
    assert COUNT.indices(rows[Lstm])["preference"] > 0.7
    assert COUNT.indices(rows[Tcn])["preference"] < 0.3


def test_nothing_is_asked_inside_the_prompt() -> None:
    batch = MULTIPLY.sample("size-10", MULTIPLY.spec.split("train"), Draw(MULTIPLY.spec.id, 0))
    assert batch.x.tolist() == [[A] * 10 + [SEPARATOR] + [B] * 20]
    assert batch.y.tolist() == [[IGNORED] * 10 + [B] * 20 + [END]]


def test_adding_at_one_size_and_multiplying_at_another_is_told_apart() -> None:
    conditions = zip(MULTIPLY.spec.conditions, ("add", "multiply"), strict=True)
    rows = {c.name: reference_row(MULTIPLY, c.name, solution) for c, solution in conditions}
    indices = MULTIPLY.summarize(rows).indices
    assert indices["multiplication"] == pytest.approx(0.5, abs=0.01)
    assert indices["multiplication_size-5"] < 0.01 and indices["multiplication_size-10"] > 0.99
    assert indices["fraction_add"] == indices["fraction_multiply"] == 0.5
