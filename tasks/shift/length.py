"""Strings of up to 20 tokens in training, up to 200 in the test: does a model learn the rule or the lengths?

The label is the state of a cyclic counter after the whole string, so that every token matters and a part of the
string says nothing: `length-parity` 1 0 1 1 -> 1, `length-cycle` (0, 1, 2 move by -1, 0, +1 on a ring of five)
2 2 1 0 -> 1, `length-sum` (mod 5) 4 3 0 2 -> 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

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
    "shift/length-parity-v1": {
        "summary": "number of ones mod 2; strings of 1-20 bits in training, 41-200 in the test",
        "input": "tokens",
        "tags": ["synthetic", "classification", "length", "closed-form"],
    },
    "shift/length-cycle-v1": {
        "summary": "position on a ring of five after moves -1, 0, +1; 1-20 moves in training, 41-200 in the test",
        "input": "tokens",
        "tags": ["synthetic", "classification", "length", "closed-form"],
    },
    "shift/length-sum-v1": {
        "summary": "sum of digits 0-4 mod 5; strings of 1-20 digits in training, 41-200 in the test",
        "input": "tokens",
        "tags": ["synthetic", "classification", "length", "closed-form"],
    },
}

TRAINING_LENGTHS = range(1, 21)
# Midpoints of the quarters of 1-20, so that their mean is an unbiased look at the training distribution.
MEASURED_LENGTHS = (3, 8, 13, 18)
AROUND_THE_LIMIT = (20, 21, 25, 30)
TEST_LENGTHS = (41, 60, 80, 100, 150, 200)
SOLVED = 0.9

DELETANG = Source(
    key="deletang2023chomsky",
    authors="Grégoire Delétang, Anian Ruoss, Jordi Grau-Moya, Tim Genewein, Li Kevin Wenliang, Elliot Catt, "
    "Chris Cundy, Marcus Hutter, Shane Legg, Joel Veness, Pedro A. Ortega",
    title="Neural Networks and the Chomsky Hierarchy",
    venue="ICLR",
    year=2023,
    url="https://arxiv.org/abs/2207.02098",
)
HAHN = Source(
    key="hahn2020limitations",
    authors="Michael Hahn",
    title="Theoretical Limitations of Self-Attention in Neural Sequence Models",
    venue="TACL 8",
    year=2020,
    url="https://aclanthology.org/2020.tacl-1.11/",
)


@dataclass(frozen=True)
class Counter:
    """Token t adds `moves[t]` to a counter that starts at 0 and is read modulo `modulus`."""

    moves: tuple[int, ...]
    modulus: int

    def state(self, x: Tensor) -> Tensor:
        """The counter (N,) after the whole strings x (N, L)."""
        return torch.tensor(self.moves)[x].sum(1) % self.modulus

    def content_blind(self, length: int) -> float:
        """The best accuracy of a guess that knows only the string's length: the counter's most frequent state.

        Exact: `length` cyclic convolutions of the distribution of one uniform token's move.
        """
        states = torch.zeros(self.modulus, dtype=torch.float64)
        states[0] = 1
        for _ in range(length):
            states = torch.stack([states.roll(move) for move in self.moves]).mean(0)
        return float(states.max())


COUNTERS = {
    "shift/length-parity": Counter(moves=(0, 1), modulus=2),
    "shift/length-cycle": Counter(moves=(-1, 0, 1), modulus=5),
    "shift/length-sum": Counter(moves=(0, 1, 2, 3, 4), modulus=5),
}

DELETANG_TABLE = "Delétang et al. 2023, Table 2: trained on lengths 1-40, mean over 41-500, best of 10 seeds"
PUBLISHED = {
    "shift/length-parity": (
        Published("LSTM and RNN, accuracy", 1.0, source=DELETANG_TABLE),
        Published("Transformer (best of five positional encodings), accuracy", 0.520, source=DELETANG_TABLE),
    ),
    "shift/length-cycle": (
        Published("LSTM and RNN, accuracy", 1.0, source=DELETANG_TABLE),
        Published("Transformer (best of five positional encodings), accuracy", 0.619, source=DELETANG_TABLE),
    ),
    "shift/length-sum": (
        Published("LSTM and RNN on the nearest task, arithmetic mod 5 without brackets", 1.0, source=DELETANG_TABLE),
        Published("Transformer on the same, where the content-blind floor is .202", 0.242, source=DELETANG_TABLE),
    ),
}


class Length(Task):
    """Split parameter `length`; its severity is the length in tokens."""

    def __init__(self, spec: TaskSpec, counter: Counter) -> None:
        super().__init__(spec)
        self.counter = counter

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Uniform strings x (N, L), all of one length, and the counter's last state y (N,)."""
        length = split.params["length"]
        assert isinstance(length, int)
        x = torch.randint(len(self.counter.moves), (split.size, length), generator=draw.generator(split.name))
        return Batch(x=x, y=self.counter.state(x))

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """The counter itself."""
        return {"oracle": lambda batch: class_logits(self.counter.state(batch.x), self.counter.modulus)}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Adds `longest_solved_length`, in tokens: accuracy is 90 % or more there and at all shorter measured ones."""
        summary = super().summarize(rows)
        return replace(summary, scores={**summary.scores, "longest_solved_length": self.longest_solved_length(rows)})

    def longest_solved_length(self, rows: Mapping[str, Row]) -> float:
        """The last measured length before accuracy first falls below 90 %; 0 if it does so at the shortest."""
        longest: float = 0
        for split in sorted(self.spec.with_role("iid", "probe", "ood"), key=lambda split: split.severity or 0):
            if any(row.scores[split.name]["accuracy"] < SOLVED for row in rows.values()):
                break
            longest = split.severity or 0
        return longest


def of_lengths(role: Role, lengths: Sequence[int], size: int) -> tuple[Split, ...]:
    """One split of a role per length."""
    return tuple(Split(f"{role}-{n}", role, size, {"length": n}, severity=n) for n in lengths)


def build(entry: Entry) -> Task:
    """The task of one counter."""
    counter = COUNTERS[entry.name]
    train = of_lengths("train", TRAINING_LENGTHS, 4096)
    evaluated = (
        *of_lengths("val", MEASURED_LENGTHS, 256),
        *of_lengths("iid", MEASURED_LENGTHS, 256),
        *of_lengths("probe", AROUND_THE_LIMIT, 256),
        *of_lengths("ood", TEST_LENGTHS, 256),
    )
    spec = TaskSpec(
        entry=entry,
        question="Does a rule learned on short strings hold on strings ten times as long?",
        problem=Problem(
            input_kind="tokens",
            input_shape=(TRAINING_LENGTHS[-1],),
            output_kind="classes",
            n_outputs=counter.modulus,
            n_train=sum(split.size for split in train),
            vocabulary=len(counter.moves),
        ),
        splits=train + evaluated,
        # many small steps: a Transformer then learns longer strings than from fewer steps of 128
        budget=Budget(steps=6000, batch_size=32, evaluations=6, seconds=600),
        recipe=Recipe(learning_rate=3e-3, clip_norm=1.0),
        metric="accuracy",
        floor="content_blind",
        ceiling="oracle",
        gate=0.8,
        sources=(DELETANG, HAHN),
        constants={s.name: {"content_blind": counter.content_blind(int(s.severity or 0))} for s in evaluated},
        severity_unit="tokens",
        published=PUBLISHED[entry.name],
        notes=(
            "Content-blind floor: the counter's most frequent state at that length. Exactly 1/2 for parity and 1/5 for "
            "the sum at every length; the cycle starts at 1/3 for one move and is 1/5 to ten decimals from length 41.",
            "The tempting solution counts, or looks things up, up to 20 tokens. It is perfect in training and gets the "
            "floor in the test, where any 20 of the tokens leave the label open.",
            "A model that only learned the shorter training lengths is under-trained, not biased. In distribution is "
            "measured at the midpoints of the quarters of 1-20, and below .8 there a model does not count as trained.",
            "Soft attention spreads over the string, so that one token moves the output less the longer the string is "
            "(Hahn 2020); here every token decides.",
            "Published numbers are best of 10 seeds after a million steps, trained on lengths 1-40: compare the order.",
        ),
    )
    return Length(spec, counter)
