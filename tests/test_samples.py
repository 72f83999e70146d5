"""hardness/samples: nested strings, a search that needs few, and a score by the fewest that suffice."""

from __future__ import annotations

from typing import cast

import pytest
import torch

import tasks
from tasks.hardness.samples import SIZES, SampleComplexity, named, relevant_places
from tasks.seeds import Draw
from tasks.sources.parity_solvers import best_product
from tasks.sources.sign_strings import product
from tasks.types import Row, Scores, Summary, load_data

TASK = cast(SampleComplexity, tasks.load("hardness/samples-v1"))
CONTROL = cast(SampleComplexity, tasks.load("hardness/samples-control-v1"))


def draw(seed: int = 0) -> Draw:
    return Draw(TASK.spec.id, seed)


def summary(solved: set[int], fitted: float = 1.0, curve: bool = True) -> Summary:
    """Of a model that solves these sizes at its last step, and none before."""

    def row(size: int) -> Row:
        def scores(accuracy: float) -> Scores:
            return {**{s: {"accuracy": accuracy} for s in ("iid", "test")}, "fitted": {"accuracy": fitted}}

        early, last = scores(0.5), scores(0.99 if size in solved else 0.5)
        anchors = {"test": {"chance": 0.5, "oracle": 1.0}}
        return Row(early, anchors, [(100, early), (200, last)]) if curve else Row(last, anchors)

    return TASK.summarize({named(size): row(size) for size in SIZES})


def test_labels_are_products_and_conditions_are_nested() -> None:
    few, many = load_data(TASK, "n100", draw()), load_data(TASK, "n1600", draw())
    assert torch.equal(few["train"].x, many["train"].x[:100])
    assert torch.equal(few["train"].y, many["train"].y[:100])
    assert torch.equal(few["fitted"].x, few["train"].x)
    places = relevant_places(draw())
    assert torch.equal(many["test"].y, (product(many["test"].x, places) > 0).long())
    assert len(set(places.tolist())) == 3


def test_a_seed_changes_places_and_strings() -> None:
    places = {tuple(sorted(relevant_places(draw(seed)).tolist())) for seed in range(10)}
    assert len(places) > 7
    one, two = (TASK.sample("n100", TASK.spec.split("train"), draw(seed)).x for seed in (0, 1))
    assert not torch.equal(one, two)


def test_the_search_is_right_on_a_hundred_strings_and_not_on_five() -> None:
    for seed in range(20):
        batch = TASK.sample("n100", TASK.spec.split("train"), draw(seed))
        places = set(relevant_places(draw(seed)).tolist())
        assert set(best_product(batch.x, 2.0 * batch.y - 1, 3).tolist()) == places
    guesses = [
        set(best_product(batch.x[:5], 2.0 * batch.y[:5] - 1, 3).tolist()) == set(relevant_places(draw(seed)).tolist())
        for seed in range(20)
        for batch in [TASK.sample("n100", TASK.spec.split("train"), draw(seed))]
    ]
    assert sum(guesses) < 5


def test_the_score_is_that_of_the_fewest_strings() -> None:
    assert summary({400, 800, 1_600}).scores["score"] == pytest.approx(0.6)
    assert summary(set(SIZES)).scores["score"] == 1
    assert summary(set()).scores["score"] == 0
    assert "fewest" not in summary(set()).indices
    assert summary({200, 1_600}).indices["fewest"] == 200


def test_an_estimator_is_read_at_its_one_measurement() -> None:
    assert summary({800}, curve=False).indices["fewest"] == 800


def test_who_does_not_know_the_training_strings_is_not_trained() -> None:
    assert summary({100}).trained and summary(set()).trained
    assert not summary(set(), fitted=0.8).trained


def test_the_search_is_right_more_often_than_not_on_ten_strings() -> None:
    right = []
    for seed in range(60):
        batch = TASK.sample("n100", TASK.spec.split("train"), draw(seed))
        found = best_product(batch.x[:10], 2.0 * batch.y[:10] - 1, 3)
        right.append(set(found.tolist()) == set(relevant_places(draw(seed)).tolist()))
    assert 0.4 < sum(right) / len(right) < 0.8


def test_the_control_has_the_same_problem_without_decay() -> None:
    assert CONTROL.spec.recipe.weight_decay == 0 < TASK.spec.recipe.weight_decay
    assert CONTROL.spec.conditions == TASK.spec.conditions
    assert CONTROL.spec.budget.steps == TASK.spec.budget.steps
