"""simplicity/noisy-parity: the rule bit by bit, exactly 5 % wrong labels, strings that never recur, both solutions."""

from __future__ import annotations

from dataclasses import replace
from math import comb
from statistics import fmean

import pytest
import torch
from torch import Tensor, nn

import tasks
from tasks.seeds import Draw
from tasks.simplicity.noisy_parity import N_BITS, NoisyParity, parity
from tasks.types import Batch, Data, Predict, Row, Summary, class_logits, load_data

IDS = tuple(f"simplicity/noisy-parity{form}-v1" for form in ("", "-tokens", "-tokens-control"))


def load(task_id: str) -> NoisyParity:
    task = tasks.load(task_id)
    assert isinstance(task, NoisyParity)
    return task


VECTORS, TOKENS, CONTROL = (load(task_id) for task_id in IDS)
DRAW = Draw(VECTORS.spec.id, 0)
DATA = load_data(VECTORS, "default", DRAW)
NOISY, RIGHT, WRONG = ("train", "val", "iid"), "train-right", "train-wrong"


def row(predict: Predict) -> Row:
    return Row(VECTORS.measure("default", predict, DATA), VECTORS.anchors("default", DATA, DRAW))


def reference_row(name: str) -> Row:
    batch_of = {id(batch.x): batch for batch in DATA.values()}
    predictor = VECTORS.references("default", DRAW)[name]
    return row(lambda x: predictor(batch_of[id(x)]))


def summary(found: Row) -> Summary:
    return VECTORS.summarize({"default": found})


def latent(batch: Batch) -> Tensor:
    assert batch.latent is not None
    return batch.latent


# --- the data -------------------------------------------------------------------------------------------------------


def test_parity_by_hand() -> None:
    bits = torch.tensor([[1, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]])
    assert parity(bits, torch.tensor([0, 2, 3])).tolist() == [0, 0, 0]
    assert parity(bits, torch.tensor([0, 1, 2])).tolist() == [1, 0, 1]


def test_the_right_label_turns_with_each_relevant_bit_and_with_no_other() -> None:
    relevant = VECTORS.relevant_bits(DRAW)
    oracle = VECTORS.references("default", DRAW)["oracle"]
    x = DATA["train"].x[:200]
    before = oracle(Batch(x, x)).argmax(1)
    assert torch.equal(before, latent(DATA["train"])[:200])
    for bit in range(N_BITS):
        turned = x.clone()
        turned[:, bit] *= -1
        changed = oracle(Batch(turned, x)).argmax(1) != before
        assert bool(changed.all()) if bit in relevant else not bool(changed.any())


@pytest.mark.parametrize(("task", "n_relevant"), [(VECTORS, 3), (TOKENS, 2)])
def test_different_bits_of_the_last_five_decide_and_any_may(task: NoisyParity, n_relevant: int) -> None:
    drawn = torch.stack([task.relevant_bits(replace(DRAW, seed=seed)) for seed in range(200)])
    assert all(len(set(bits)) == n_relevant for bits in drawn.tolist())
    assert drawn.unique().tolist() == list(range(15, 20))


def test_exactly_one_label_in_twenty_is_wrong_and_none_in_the_test() -> None:
    for split in NOISY:
        assert int((DATA[split].y != latent(DATA[split])).sum()) == len(DATA[split]) // 20
    assert torch.equal(DATA["clean"].y, latent(DATA["clean"]))


def test_no_string_occurs_twice() -> None:
    drawn = torch.cat([DATA[split].x for split in (*NOISY, "clean")])
    assert len(drawn.unique(dim=0)) == len(drawn)


def test_probes_are_training_examples_with_their_training_labels() -> None:
    train = DATA["train"]
    wrong = train.y != latent(train)
    assert torch.equal(DATA[WRONG].x, train.x[wrong])
    assert torch.equal(DATA[WRONG].y, train.y[wrong])
    assert torch.equal(DATA[RIGHT].x, train.x[~wrong])
    assert torch.equal(DATA[RIGHT].y, latent(train)[~wrong])


def test_bits_are_fair_and_say_nothing_alone() -> None:
    """Each of 20 bits, and its agreement with the right label, within five standard deviations of one half."""
    train = DATA["train"]
    sign = 2 * latent(train)[:, None] - 1
    bound = 5 / len(train) ** 0.5
    assert float(train.x.mean(0).abs().max()) < bound
    assert float((train.x * sign).mean(0).abs().max()) < bound


def test_tokens_are_the_bits_of_the_signs_of_the_same_draw() -> None:
    tokens = TOKENS.sample("default", TOKENS.spec.split("train"), DRAW)
    assert torch.equal(2.0 * tokens.x - 1, DATA["train"].x)
    assert torch.equal(latent(tokens), parity(tokens.x, TOKENS.relevant_bits(DRAW)))


def test_the_control_has_right_labels_and_shows_each_string_once() -> None:
    draw = Draw(CONTROL.spec.id, 0)
    train = CONTROL.sample("default", CONTROL.spec.split("train"), draw)
    assert len(train) == CONTROL.spec.budget.steps * CONTROL.spec.budget.batch_size
    assert len(train.x.unique(dim=0)) == len(train)
    assert torch.equal(train.y, latent(train))
    right = {name: {"accuracy": 1.0} for name in ("val", "iid", "clean")}
    anchors = {"clean": {"memorizer": 0.5, "oracle": 1.0}}
    found = CONTROL.summarize({"default": Row(right, anchors)})
    assert (found.scores["score"], found.trained, found.indices) == (1, True, {})


# --- the two solutions ----------------------------------------------------------------------------------------------


def test_the_rule_scores_1_and_memorizes_nothing() -> None:
    found = summary(reference_row("oracle"))
    assert found.scores["score"] == 1
    assert found.indices == pytest.approx({"memorized": 0, "fitted": 0.95})
    assert found.iid == pytest.approx(0.95)
    assert found.trained


def test_the_list_scores_0_memorizes_all_and_counts_as_trained() -> None:
    found = summary(reference_row("memorizer"))
    assert found.scores["score"] == 0
    assert found.ood == 0.5
    assert found.indices == {"memorized": 1, "fitted": 1}
    assert found.trained


def test_the_nearest_neighbour_keeps_the_list_and_knows_what_distance_tells() -> None:
    """At d bits of 20 the parity of 3 bits agrees with probability (1 + K(d)) / 2, K the Krawtchouk polynomial.

    A neighbour's training label is right with probability .95. Four standard errors of a share.
    """
    train, test = DATA["train"], DATA["clean"]
    found = summary(row(lambda x: class_logits(train.y[torch.cdist(x, train.x).argmin(1)], 2)))
    assert found.indices == {"memorized": 1, "fitted": 1}
    assert found.trained
    distances = ((N_BITS - test.x @ train.x.T) / 2).min(1).values.int().tolist()
    expected = 0.5 + (0.95 - 0.5) * fmean(krawtchouk(d) for d in distances)
    assert found.ood == pytest.approx(expected, abs=4 * 0.5 / len(test) ** 0.5)


def krawtchouk(distance: int) -> float:
    """The mean of (-1)^(how many of three positions differ) over their choices, for strings at this distance."""
    signs = (1, -1, 1, -1)
    ways = (sign * comb(distance, j) * comb(N_BITS - distance, 3 - j) for j, sign in enumerate(signs))
    return sum(ways) / comb(N_BITS, 3)


def test_a_guess_is_not_trained_however_many_wrong_labels_it_hits() -> None:
    found = summary(row(lambda x: class_logits(torch.zeros(len(x)), 2)))
    assert not found.trained
    assert abs(found.scores["score"]) < 0.1


def test_what_was_memorized_is_read_at_the_last_step_whichever_was_selected() -> None:
    rule, kept = reference_row("oracle"), reference_row("memorizer")
    found = summary(replace(rule, curve=[(100, rule.scores), (200, kept.scores)]))
    assert found.scores["score"] == 1
    assert found.indices["memorized"] == 1


def test_a_dense_network_finds_the_rule_first_and_keeps_the_list_later() -> None:
    """2 x 128 ReLU units: above .95 on the test while most wrong labels are contradicted, and all are fitted later."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(N_BITS, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))
    curve = accuracies(net, DATA, steps=1_500, every=100)
    first = next(i for i, scores in enumerate(curve) if scores["clean"] > 0.95)
    assert curve[first][WRONG] < 0.5
    assert curve[-1][WRONG] > 0.95


def accuracies(net: nn.Module, data: Data, steps: int, every: int) -> list[dict[str, float]]:
    """Accuracy on every measured split after each `every` Adam steps of 128."""
    optimizer, order = torch.optim.Adam(net.parameters()), torch.Generator().manual_seed(0)
    curve = []
    for step in range(1, steps + 1):
        batch = torch.randint(len(data["train"]), (128,), generator=order)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(data["train"].x[batch]), data["train"].y[batch]).backward()
        optimizer.step()
        if step % every == 0:
            with torch.no_grad():
                measured = VECTORS.measure("default", net, data)
            curve.append({split: values["accuracy"] for split, values in measured.items()})
    return curve
