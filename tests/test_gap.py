"""hardness/gap: both solvers by hand and by their closed forms, the references' table, summaries."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import pytest
import torch

import tasks
from tasks.hardness.gap import EQUATIONS, N_SIGNS, Gap, places_by_elimination
from tasks.seeds import Draw, generator
from tasks.sources.parity_solvers import best_product, elimination, full_rank_probability
from tasks.sources.sign_strings import fair_signs, product
from tasks.types import Batch, Row

TASK = cast(Gap, tasks.load("hardness/gap-v1"))
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)
SYSTEMS, WORLDS = 500, 8

# --- elimination ----------------------------------------------------------------------------------------------------


def test_elimination_by_hand() -> None:
    bits = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 1, 0]])  # the third is the sum of the first two
    solution = elimination(bits, torch.tensor([1, 0, 1, 1]))
    assert solution is not None
    assert solution.tolist() == [0, 1, 1]
    assert elimination(bits[:3], torch.tensor([1, 0, 1])) is None


def test_rows_beyond_the_independent_ones_are_not_looked_at() -> None:
    bits = torch.cat([torch.eye(4, dtype=torch.int64), torch.ones(1, 4, dtype=torch.int64)])
    for last in (0, 1):
        solution = elimination(bits, torch.tensor([1, 0, 1, 1, last]))
        assert solution is not None
        assert solution.tolist() == [1, 0, 1, 1]


def test_signs_become_equations() -> None:
    x = fair_signs(40, 20, generator("signs"))
    places = torch.tensor([0, 3, 4, 11])
    found = places_by_elimination(x, (product(x, places) > 0).long())
    assert found is not None
    assert torch.equal(found, places)


@pytest.mark.parametrize(("noise", "expected"), [(0.0, 0.9990), (0.05, 0.3581)])
def test_thirty_equations_in_twenty_unknowns_succeed_as_often_as_the_closed_form_says(
    noise: float, expected: float
) -> None:
    """500 systems; four standard errors."""
    probability = full_rank_probability(30, 20) * (1 - noise) ** 20
    assert probability == pytest.approx(expected, abs=5e-5)
    stream, successes = generator("systems"), 0
    for _ in range(SYSTEMS):
        bits, secret = torch.randint(2, (30, 20), generator=stream), torch.randint(2, (20,), generator=stream)
        wrong = (torch.rand(30, generator=stream) < noise).long()
        solution = elimination(bits, (bits @ secret % 2) ^ wrong)
        successes += solution is not None and torch.equal(solution, secret)
    error = math.sqrt(probability * (1 - probability) / SYSTEMS)
    assert successes / SYSTEMS == pytest.approx(probability, abs=4 * error)


def test_full_rank_by_counting() -> None:
    """Of the 2^6 matrices of three rows of two bits, 42 have two independent rows."""
    count = 0
    for number in range(2**6):
        bits = (torch.tensor(number) >> torch.arange(6) & 1).view(3, 2)
        count += elimination(bits, torch.zeros(3, dtype=torch.int64)) is not None
    assert count / 2**6 == full_rank_probability(3, 2) == 42 / 64


# --- search ---------------------------------------------------------------------------------------------------------


def test_the_search_finds_three_signs_in_spite_of_noise() -> None:
    x, places = fair_signs(200, 20, generator("search")), torch.tensor([2, 9, 17])
    labels = product(x, places)
    labels[:10] *= -1
    assert torch.equal(best_product(x, labels, 3), places)
    assert len(torch.combinations(torch.arange(20), 3)) == 1_140


# --- the task -------------------------------------------------------------------------------------------------------


def accuracy(condition: str, reference: str, seed: int) -> float:
    draw = replace(DRAW, seed=seed)
    batch = TASK.sample(condition, SPEC.split("test"), draw)
    return TASK.evaluate(TASK.references(condition, draw)[reference](batch), batch)["accuracy"]


def share_solved(condition: str, reference: str) -> float:
    return sum(accuracy(condition, reference, seed) == 1 for seed in range(WORLDS)) / WORLDS


def test_the_table_of_the_references() -> None:
    """Elimination with noise succeeds in .215 of worlds; five or more of eight have a chance of .02."""
    assert share_solved("dense", "elimination") == share_solved("sparse", "elimination") == 1
    assert share_solved("noisy", "elimination") < 0.6
    assert share_solved("dense", "search") == 0
    assert share_solved("sparse", "search") == share_solved("noisy", "search") == 1


@pytest.mark.parametrize(("condition", "noise"), [("dense", 0.0), ("sparse", 0.0), ("noisy", 0.05)])
def test_labels_are_products_and_some_training_labels_are_wrong(condition: str, noise: float) -> None:
    places = TASK.relevant_places(condition, DRAW)

    def wrong(batch: Batch) -> float:
        return float(((product(batch.x, places) > 0) != (batch.y == 1)).float().mean())

    assert wrong(TASK.sample(condition, SPEC.split("train"), DRAW)) == pytest.approx(noise, abs=0.004)
    assert wrong(TASK.sample(condition, SPEC.split("iid"), DRAW)) == 0
    assert EQUATIONS > N_SIGNS > len(places) > 2


def test_summary_by_hand() -> None:
    def row(*points: tuple[int, float]) -> Row:
        curve = [(s, {split: {"accuracy": a} for split in ("val", "iid", "test")}) for s, a in points]
        return Row(curve[-1][1], {"test": {"chance": 0.5, "oracle": 1.0}}, curve)

    rows = {"dense": row((100, 0.5), (5_000, 0.5)), "sparse": row((100, 0.5), (200, 1.0)), "noisy": row((300, 0.995))}
    found = TASK.summarize(rows)
    assert found.indices == {"steps_sparse": 200, "steps_noisy": 300}
    assert found.scores["score"] == pytest.approx((0 + 1 + 0.99) / 3)
    assert [found.scores[f"score_{name}"] for name in rows] == pytest.approx([0, 1, 0.99])
