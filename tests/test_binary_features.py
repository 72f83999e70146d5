"""Binary features: laws of the bits, the curve and its crossing by hand, and what readers of one feature get."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch

from tasks import registry
from tasks.seeds import Draw
from tasks.simplicity.binary_features import (
    EASY,
    EASY_PREDICTIVITIES,
    HARD,
    HARD_PREDICTIVITY,
    crossing,
    easy_feature,
    easy_share,
    hard_feature,
    name_of,
    predictivity,
)
from tasks.types import Batch, Row, Scores, Summary, load_data

TASK = registry.load("simplicity/binary-features-v1")
SPEC = TASK.spec
DRAW = Draw(SPEC.id, 0)


def sample(p: float, split: str, size: int = 40_000) -> Batch:
    declared = SPEC.split(split)
    return TASK.sample(name_of(p), type(declared)(declared.name, declared.role, size, declared.params), DRAW)


def agreement(bits: torch.Tensor, y: torch.Tensor) -> float:
    return float((bits == y).double().mean())


def spread(p: float, n: int = 40_000) -> float:
    return 4 * math.sqrt(p * (1 - p) / n)


def reference(name: str) -> Summary:
    rows = {}
    for condition in SPEC.conditions:
        data = load_data(TASK, condition.name, DRAW, SPEC.with_role("val", "iid", "probe", "ood"))
        batch_of = {id(batch.x): batch for batch in data.values()}
        predictor = TASK.references(condition.name, DRAW)[name]
        scores = TASK.measure(condition.name, lambda x, b=batch_of, p=predictor: p(b[id(x)]), data)  # type: ignore[misc]
        rows[condition.name] = Row(scores, TASK.anchors(condition.name, data, DRAW))
    return TASK.summarize(rows)


# --- the bits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", EASY_PREDICTIVITIES)
def test_each_feature_agrees_with_the_label_as_often_as_declared_and_independently(p: float) -> None:
    batch = sample(p, "iid")
    easy, hard = easy_feature(batch.x) == batch.y, hard_feature(batch.x) == batch.y
    assert predictivity(name_of(p)) == p
    assert float(easy.double().mean()) == pytest.approx(p, abs=spread(p))
    assert float(hard.double().mean()) == pytest.approx(HARD_PREDICTIVITY, abs=spread(HARD_PREDICTIVITY))
    both = p * HARD_PREDICTIVITY
    assert float((easy & hard).double().mean()) == pytest.approx(both, abs=spread(both))
    assert batch.latent is not None
    assert torch.equal(batch.latent, torch.stack([easy, hard], dim=1))


def test_bits_are_plus_or_minus_one_and_no_other_bit_nor_half_of_the_hard_feature_tells_the_label() -> None:
    batch = sample(0.8, "iid")
    assert batch.x.unique().tolist() == [-1, 1]
    for column in range(32):
        expected = 0.8 if column == EASY else 0.5
        assert agreement((batch.x[:, column] > 0).long(), batch.y) == pytest.approx(expected, abs=spread(0.5))


def test_no_other_pair_of_bits_has_an_exclusive_or_that_tells_the_label() -> None:
    batch = sample(0.5, "iid")
    bits = (batch.x > 0).long()
    for a, b in combinations(range(14, 32), 2):
        expected = HARD_PREDICTIVITY if (a, b) == HARD else 0.5
        # 153 pairs: five standard errors
        assert agreement(bits[:, a] ^ bits[:, b], batch.y) == pytest.approx(expected, abs=1.25 * spread(0.5))


@pytest.mark.parametrize(("told", "other"), [("easy", "hard"), ("hard", "easy")])
def test_a_probe_is_told_by_one_feature_and_the_other_agrees_in_exactly_one_half(told: str, other: str) -> None:
    read = {"easy": easy_feature, "hard": hard_feature}
    batch = sample(0.9, f"{told}-only", 4_000)
    assert torch.equal(read[told](batch.x), batch.y)
    assert agreement(read[other](batch.x), batch.y) == 0.5
    # and in any part of the rows, too: the agreement is shuffled
    assert agreement(read[other](batch.x[:1_000]), batch.y[:1_000]) == pytest.approx(0.5, abs=spread(0.5, 1_000))


# --- the curve ------------------------------------------------------------------------------------------------------


def row(easy: float, hard: float) -> Row:
    scores: Scores = {s: {"accuracy": 0.8} for s in ("val", "iid")} | {
        "easy-only": {"accuracy": easy},
        "hard-only": {"accuracy": hard},
    }
    return Row(scores, {})


@pytest.mark.parametrize(
    ("easy", "hard", "share"),
    [(1.0, 0.5, 1.0), (0.5, 1.0, 0.0), (0.75, 0.75, 0.5), (0.8, 0.6, 0.75), (0.6, 0.45, 1.0), (0.54, 0.54, None)],
)
def test_share_of_the_easy_feature(easy: float, hard: float, share: float | None) -> None:
    assert easy_share(row(easy, hard)) == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ({0.5: 0.0, 0.6: 0.25, 0.7: 0.75, 0.8: 1.0}, 0.65),
        ({0.5: 0.7, 0.6: 0.9}, 0.5),
        ({0.7: 0.9, 0.8: 1.0}, 0.5),  # nothing was read below
        ({0.5: 0.0, 0.7: 1.0}, 0.6),  # a rung left out
        ({0.5: 0.0, 0.9: 0.2, 1.0: 0.4}, 1.0),
        ({0.8: 0.0, 0.9: 0.5, 1.0: 1.0}, 0.9),
    ],
)
def test_crossing_by_hand(curve: dict[float, float], expected: float) -> None:
    assert crossing(curve) == pytest.approx(expected)


def test_a_measured_curve_has_its_premium() -> None:
    """Accuracies (easy, hard) by predictivity, of a ReLU network: pi is .38 at .6 and .60 at .7."""
    accuracies = [(0.516, 0.703), (0.613, 0.682), (0.714, 0.645), (0.83, 0.584), (0.924, 0.532), (1.0, 0.509)]
    rows = {name_of(p): row(*pair) for p, pair in zip(EASY_PREDICTIVITIES, accuracies, strict=True)}
    summary = TASK.summarize(rows)
    before, after = 0.226 / (0.226 + 0.364), 0.428 / (0.428 + 0.29)
    expected = 0.6 + 0.1 * (0.5 - before) / (after - before)
    assert summary.indices["pi_60"] == pytest.approx(before)
    assert summary.indices["pi_80"] == pytest.approx(0.66 / (0.66 + 0.168))
    assert summary.indices["crossing"] == pytest.approx(expected)
    assert summary.indices["premium"] == pytest.approx(0.9 - expected)
    assert summary.scores["score"] == pytest.approx(1 - (0.9 - expected) / 0.4)
    assert summary.indices["hard_alone"] == 0.703


# --- readers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "premium", "score"), [("easy_reader", 0.4, 0.0), ("bayes", 0.0, 1.0), ("hard_reader", -0.1, 1.0)]
)
def test_readers_of_one_feature_and_the_bayes_rule(name: str, premium: float, score: float) -> None:
    summary = reference(name)
    assert summary.indices["premium"] == pytest.approx(premium, abs=1e-9)
    assert summary.scores["score"] == pytest.approx(score, abs=1e-9)
    assert summary.trained


def test_the_bayes_rule_is_right_as_often_as_its_better_feature() -> None:
    expected = sum(max(p, HARD_PREDICTIVITY) for p in EASY_PREDICTIVITIES) / len(EASY_PREDICTIVITIES)
    assert reference("bayes").iid == pytest.approx(expected, abs=spread(0.9, 12_000))


def test_a_class_that_reads_neither_feature_has_no_premium_and_does_not_pass() -> None:
    scores: Scores = {s: {"accuracy": 0.5} for s in ("val", "iid", "easy-only", "hard-only")}
    summary = TASK.summarize({name_of(p): Row(scores, {}) for p in EASY_PREDICTIVITIES})
    assert summary.indices == {"hard_alone": 0.5}
    assert not summary.trained
