"""Key-value pairs, then keys: the answer to a key is the value that stood behind it, in this sequence alone.

At most 4 pairs in training, up to 8 in the test, at the same places: more to keep in mind, nothing else is new. With
`.` for a place that is not used, 3 places out of 8, and a bar that the sequence does not have:

    k3 v7 . . k5 v0 | k5 . k3   ->   v0 at k5, v7 at k3; no other position is asked
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor

from tasks.metrics import IGNORED
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.types import (
    Batch,
    Budget,
    Predictor,
    Problem,
    Published,
    Recipe,
    Role,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "simplicity/recall-v1": {
        "summary": "look up the value that followed a key; 1-4 pairs in training, 5-8 in the test",
        "input": "tokens",
        "tags": ["synthetic", "classification", "ladder", "closed-form"],
    }
}

KEYS = VALUES = PLACES = 8
UNUSED = KEYS + VALUES  # a token of its own
LENGTH = 3 * PLACES  # a key and a value for each place, then a query for each
MOST_IN_TRAINING = 4
TRAINED_PAIRS = (1, 2, 3, 4)
TEST_PAIRS = (5, 6, 7, 8)

ARORA = Source(
    key="arora2024zoology",
    authors="Simran Arora, Sabri Eyuboglu, Aman Timalsina, Isys Johnson, Michael Poli, James Zou, Atri Rudra, "
    "Christopher Ré",
    title="Zoology: Measuring and Improving Recall in Efficient Language Models",
    venue="ICLR",
    year=2024,
    url="https://arxiv.org/abs/2312.04927",
)
BASED = Source(
    key="arora2024simple",
    authors="Simran Arora, Sabri Eyuboglu, Michael Zhang, Aman Timalsina, Silas Alberti, Dylan Zinsley, James Zou, "
    "Atri Rudra, Christopher Ré",
    title="Simple Linear Attention Language Models Balance the Recall-Throughput Tradeoff",
    venue="ICML",
    year=2024,
    url="https://arxiv.org/abs/2402.18668",
)


class Recall(Task):
    """Split parameters `fewest` and `most`, the numbers of pairs in a sequence; a rung's severity is its number."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 24): 8 places for a key and its value, 8 for queries. y (N, 24): values at queries, else IGNORED."""
        generator = draw.generator(split.name)
        fewest, most = split.params["fewest"], split.params["most"]
        assert isinstance(fewest, int) and isinstance(most, int)
        n_pairs = torch.randint(fewest, most + 1, (split.size, 1), generator=generator)
        used = permutations(split.size, PLACES, generator) < n_pairs  # (N, places)
        keys = permutations(split.size, KEYS, generator)
        values = permutations(split.size, VALUES, generator)
        shown = torch.stack([keys.where(used, UNUSED), (KEYS + values).where(used, UNUSED)], dim=2).flatten(1)
        order = permutations(split.size, PLACES, generator)
        queries = keys.where(used, UNUSED).gather(1, order)
        answers = values.where(used, IGNORED).gather(1, order)
        return Batch(
            x=torch.cat([shown, queries], dim=1), y=torch.cat([torch.full_like(shown, IGNORED), answers], dim=1)
        )

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """The key's value; any of the values shown; and what keeps the last 4 pairs, as many as training asks for."""
        return {
            "oracle": lambda batch: recalled(batch.x, PLACES),
            "content_blind": lambda batch: recalled(batch.x, 0),
            "last_4_pairs": lambda batch: recalled(batch.x, MOST_IN_TRAINING),
        }

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Adds `pairs_held`: of 8 pairs, how many a perfect memory must keep for the accuracy that was measured.

        A memory of m of P pairs is right on these, and on one of the others if it guesses among their values:
        accuracy (m + 1) / P. From 0, the floor, to 7, with which the last pair is known as well.
        """
        summary = super().summarize(rows)
        hardest = self.spec.with_role("ood")[-1].name
        accuracy = fmean(row.scores[hardest][self.spec.metric] for row in rows.values())
        return replace(summary, scores={**summary.scores, "pairs_held": PLACES * accuracy - 1})


def permutations(n: int, length: int, generator: torch.Generator) -> Tensor:
    """n independent uniform permutations of 0 ... length - 1 (n, length)."""
    return torch.rand(n, length, generator=generator).argsort(dim=1)


def recalled(x: Tensor, memory: int) -> Tensor:
    """Logits (N, 24, values) of what keeps the last `memory` pairs of x (N, 24), and of the others the values alone.

    The value of a key that it keeps; for another key any of the values whose keys it does not, all alike.
    """
    keys, values = x[:, : 2 * PLACES : 2], x[:, 1 : 2 * PLACES : 2] - KEYS  # (N, places)
    used = keys != UNUSED
    later = used.long().flip(1).cumsum(1).flip(1) - used.long()  # how many pairs follow
    kept = used & (later < memory)
    match = (x[:, :, None] == keys[:, None, :]) & kept[:, None, :]  # (N, 24, places)
    guess = (used & ~kept)[:, None, :] & ~match.any(dim=2, keepdim=True)
    return (match | guess).float() @ class_logits(values.where(used, 0), VALUES)


def of_pairs(role: Role, numbers: Sequence[int]) -> tuple[Split, ...]:
    """One split of a role per number of pairs."""
    return tuple(Split(f"{role}-{n}", role, 512, {"fewest": n, "most": n}, severity=n) for n in numbers)


def build(entry: Entry) -> Task:
    """Multi-query associative recall."""
    training = {"fewest": 1, "most": MOST_IN_TRAINING}
    train = Split("train", "train", 50_000, training)
    spec = TaskSpec(
        entry=entry,
        question="Does a model look things up in what it has read, or hold as many of them as training ever asked for?",
        problem=Problem(
            input_kind="tokens",
            input_shape=(LENGTH,),
            output_kind="classes",
            n_outputs=VALUES,
            n_train=train.size,
            vocabulary=KEYS + VALUES + 1,
            per_position=True,
        ),
        splits=(
            train,
            Split("val", "val", 512, training),
            Split("iid", "iid", 1024, training),
            *of_pairs("probe", TRAINED_PAIRS),
            *of_pairs("ood", TEST_PAIRS),
        ),
        budget=Budget(steps=4000, batch_size=32, evaluations=10, seconds=900, core_seconds=20),
        recipe=Recipe(learning_rate=1e-3, clip_norm=1.0),
        metric="accuracy",
        floor="content_blind",
        ceiling="oracle",
        gate=0.6,
        sources=(ARORA, BASED),
        severity_unit="key-value pairs",
        published=(
            Published("Attention of width 64, accuracy (read off a figure)", 1.0, 0.03, "Arora et al. 2024, ICLR"),
        ),
        notes=(
            "Floor: any of the values shown, all alike, 1 / pairs exactly; in distribution .40. It is also the first "
            "thing that every network learns, and where it stays for some hundred steps, a GRU for 2,000.",
            "Published, and the opposite of length-parity: attention looks up any number of pairs at one width, models "
            "with a state of fixed size fall as the pairs outgrow it.",
            "Here eight pairs are 24 bits, for which a state of 64 numbers has room: what falls short in the test is "
            "what was learned. The reference `last_4_pairs` keeps as many pairs as training ever asks for, and guesses "
            "among the values of the others: perfect in training, 5 / pairs in the test. `pairs_held` counts like it.",
            "Every sequence has 24 positions and 8 places for pairs; training leaves 4 or more of them unused, at "
            "random. No position, key or value of the test is new, so that this is not length generalization.",
            "At the end of the budget recurrent networks are past the gate and still learning (2 seeds: .73 to .99 in "
            "distribution; a Transformer 1.0 within a tenth of it): a score below 1 is slowness as well as a limit. "
            "Convolutions, whose filters are fixed, stay at the floor and count as not trained.",
            "A query is followed by another one or by nothing, never by its answer; every key is asked once. No two "
            "keys of a sequence are the same, and no two values.",
            "The original is larger. At 32 keys and values, 1-8 pairs in training and 16 in the test, our Transformer "
            "scored .98 after 1,500 steps, but our LSTM was still at the floor after 3,500 (one seed each).",
        ),
    )
    return Recall(spec)
