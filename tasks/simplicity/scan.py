"""Commands in words to be carried out as actions: longer ones than in training, or with a verb that was seen alone.

`scan-length` trains on commands of up to 22 actions and tests on 24 to 48. `scan-jump` trains on all commands without
"jump", and on "jump" by itself; it tests on all others with "jump" in them.

    walk twice and turn left     WALK WALK LTURN        training
    look and jump twice          LOOK JUMP JUMP         test of scan-jump
    run around left thrice       LTURN RUN, 12 times    test of scan-length
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import torch
from torch import Tensor

from tasks import metrics
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources import scan
from tasks.sources.scan import Command
from tasks.types import (
    Batch,
    Budget,
    Predictor,
    Problem,
    Published,
    Recipe,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "simplicity/scan-length-v1": {
        "summary": "commands carried out in up to 22 actions in training, in 24 to 48 in the test",
        "input": "tokens",
        "tags": ["synthetic", "sequence", "compositional", "length", "ladder"],
    },
    "simplicity/scan-jump-v1": {
        "summary": "commands with a verb that training shows by itself alone",
        "input": "tokens",
        "tags": ["synthetic", "sequence", "compositional"],
    },
}

N_VAL, N_IID, N_OOD, N_PROBE = 500, 1_000, 1_000, 128
BUCKETS = 10
LONGEST_IN_TRAINING = 22
LADDER = (24, 28, 33, 40, 48)
JUMP = Command(("jump",), ("JUMP",))
ONE_IN = 10  # the original repeats "jump" until it is a tenth of the training set

Choice = Callable[[Command], bool]


@dataclass(frozen=True)
class Asked:
    """A kind of command that training does not show, and how many of them are asked."""

    kind: Choice
    size: int
    severity: float | None = None


@dataclass(frozen=True)
class Shift:
    """The kind of command that training is drawn from, how many of them, and what each test split asks.

    `alone` is a command that is one in ten of every training batch besides.
    """

    training: Choice
    n_drawn: int
    tests: Mapping[str, Asked]
    published: tuple[Published, ...]
    notes: tuple[str, ...]
    core_seconds: float
    alone: Command | None = None

    @property
    def bucket_size(self) -> int:
        """Examples in one of the training buckets, with the repetitions of `alone`."""
        drawn = self.n_drawn // BUCKETS
        return drawn if self.alone is None else drawn * ONE_IN // (ONE_IN - 1)


def has_actions(fewest: int, most: int) -> Choice:
    """Commands that are carried out in so many actions."""
    return lambda command: fewest <= len(command.actions) <= most


def has_jump(command: Command) -> bool:
    """Whether "jump" is somewhere in the command, and not all of it."""
    return "jump" in command.words and command != JUMP


def has_jump_in_one_clause(command: Command) -> bool:
    """Such as `jump around left twice`."""
    return has_jump(command) and len(parts(command)) == 1


def has_bare_jump(command: Command) -> bool:
    """Such as `jump and walk left`: one clause is as it was in training, the other is about something else."""
    return command.words.count("jump") == 1 and len(parts(command)) == 2 and JUMP.words in parts(command)


def parts(command: Command) -> list[tuple[str, ...]]:
    """The words of a command's one or two clauses."""
    for place, word in enumerate(command.words):
        if word in scan.CONJUNCTIONS:
            return [command.words[:place], command.words[place + 1 :]]
    return [command.words]


LAKE = Source(
    key="lake2018generalization",
    authors="Brenden M. Lake, Marco Baroni",
    title="Generalization without Systematicity: On the Compositional Skills of Sequence-to-Sequence Recurrent "
    "Networks",
    venue="ICML",
    year=2018,
    url="https://arxiv.org/abs/1711.00350",
)
NEWMAN = Source(
    key="newman2020eos",
    authors="Benjamin Newman, John Hewitt, Percy Liang, Christopher D. Manning",
    title="The EOS Decision and Length Extrapolation",
    venue="BlackboxNLP Workshop at EMNLP",
    year=2020,
    url="https://arxiv.org/abs/2010.07174",
)
DESSI = Source(
    key="dessi2019cnns",
    authors="Roberto Dessì, Marco Baroni",
    title="CNNs Found to Jump Around More Skillfully than RNNs: Compositional Generalization in Seq2seq Convolutional "
    "Networks",
    venue="ACL",
    year=2019,
    url="https://arxiv.org/abs/1905.08527",
)
CSORDAS = Source(
    key="csordas2021devil",
    authors="Róbert Csordás, Kazuki Irie, Jürgen Schmidhuber",
    title="The Devil is in the Detail: Simple Tricks Improve Systematic Generalization of Transformers",
    venue="EMNLP",
    year=2021,
    url="https://arxiv.org/abs/2108.12284",
)
LAKE_MODEL = "Lake and Baroni 2018, two layers of 200 units, no attention, dropout .5, 100,000 examples"

SHIFTS = {
    "simplicity/scan-length": Shift(
        training=has_actions(1, LONGEST_IN_TRAINING),
        n_drawn=15_000,
        tests={
            "ood": Asked(has_actions(LADDER[0], LADDER[-1]), N_OOD),
            **{f"actions-{n}": Asked(has_actions(n, n), N_PROBE, severity=n) for n in LADDER},
        },
        published=(
            Published("LSTM, exact match on longer commands", 0.138, source=LAKE_MODEL),
            Published("LSTM, exact match in distribution (a random fifth of all commands)", 0.998, source=LAKE_MODEL),
            Published(
                "Transformer with relative positions, trained on up to 26 actions", 1.0, source="Csordás et al. 2021"
            ),
        ),
        notes=(
            "Training has 15,000 of the 16,990 commands of up to 22 actions, and the test 1,000 of the 3,920 others. "
            "No command has 23.",
        ),
        core_seconds=18.0,
    ),
    "simplicity/scan-jump": Shift(
        training=lambda command: "jump" not in command.words,
        n_drawn=11_700,
        tests={
            "ood": Asked(has_jump, N_OOD),
            "one-clause": Asked(has_jump_in_one_clause, 20),
            "bare-jump": Asked(has_bare_jump, N_PROBE),
        },
        alone=JUMP,
        notes=(
            "Training has 11,700 of the 13,203 commands without jump, and the command jump as one row in ten, as in "
            "the original; the test 1,000 of the 7,706 others. In `bare-jump` the word is a clause of its own, as it "
            "was in training, beside another clause.",
            "Control: the other three verbs do in training what jump does in the test, so the in-distribution "
            "exact match says whether such commands can be learned at all.",
            "The published convolutions attend from every layer of a decoder to an encoder; a causal convolution "
            "without attention does not share their success.",
        ),
        core_seconds=20.0,
        published=(
            Published("LSTM, exact match on other commands with jump", 0.0008, source=LAKE_MODEL),
            Published(
                "convolutional encoder and decoder with attention, the same",
                0.6924,
                spread=0.091,
                source="Dessì and Baroni 2019, authors' repository, 5 seeds, chosen on validation",
            ),
        ),
    ),
}


class Scan(Task):
    """A model reads a command and writes its actions; an answer is right if all of it is."""

    def __init__(self, spec: TaskSpec, shift: Shift) -> None:
        super().__init__(spec)
        self.shift = shift

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Commands and actions so far x (N, L), and the next actions y (N, L)."""
        if split.role in ("ood", "probe"):
            x, y = scan.encode(shuffled(self.shift.tests[split.name].kind, draw.generator(split.name))[: split.size])
        else:
            x, y = scan.encode(self.familiar(split, draw))
        return Batch(x, y)

    def familiar(self, split: Split, draw: Draw) -> Sequence[Command]:
        """Commands of the training distribution: each stands in validation, test or training, here in one bucket."""
        drawn = shuffled(self.shift.training, draw.generator("world"))
        if split.role == "val":
            return drawn[:N_VAL]
        if split.role == "iid":
            return drawn[N_VAL : N_VAL + N_IID]
        train = drawn[N_VAL + N_IID :][: self.shift.n_drawn]
        train.sort(key=lambda command: len(command.words) + len(command.actions))
        bucket, size = int(split.name.removeprefix("train-")), self.shift.n_drawn // BUCKETS
        alone = [] if self.shift.alone is None else [self.shift.alone]
        return train[bucket * size : (bucket + 1) * size] + alone * (split.size - size)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """The grammar's own answers."""
        return {"oracle": lambda batch: class_logits(batch.y.clamp(min=0), len(scan.TOKENS))}

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """Adds `right_actions`, the exact match of a model that is told how many actions to write."""
        return {**super().evaluate(outputs, batch), "right_actions": right_actions(outputs, batch.y)}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Adds `right_actions` on the test: what it has over the score was lost by not knowing when to stop."""
        summary = super().summarize(rows)
        told = fmean(row.scores["ood"]["right_actions"] for row in rows.values())
        return replace(summary, scores={**summary.scores, "right_actions": told})


def shuffled(kind: Choice, generator: torch.Generator) -> list[Command]:
    """All commands of a kind in random order."""
    found = [command for command in scan.commands() if kind(command)]
    return [found[i] for i in torch.randperm(len(found), generator=generator).tolist()]


def right_actions(outputs: Tensor, y: Tensor) -> float:
    """Exact match, in [0, 1], of decoding that never writes END by itself and is stopped after the last action."""
    end = scan.TOKENS.index(scan.END)
    without_end = outputs.clone()
    without_end[..., end] = -torch.inf
    return metrics.exact_match(without_end, y.masked_fill(y == end, metrics.IGNORED))


def build(entry: Entry) -> Task:
    """The task of one shift."""
    shift = SHIFTS[entry.name]
    widest = scan.encode([command for command in scan.commands() if shift.training(command)])[0].shape[1]
    spec = TaskSpec(
        entry=entry,
        question="Does a model that carries out the commands of training know what their words mean?",
        problem=Problem(
            input_kind="tokens",
            input_shape=(widest,),
            output_kind="sequence",
            n_outputs=len(scan.TOKENS),
            n_train=BUCKETS * shift.bucket_size,
            vocabulary=len(scan.TOKENS),
            per_position=True,
        ),
        splits=(
            *(Split(f"train-{b}", "train", shift.bucket_size, {"length_tenth": b + 1}) for b in range(BUCKETS)),
            Split("val", "val", N_VAL),
            Split("iid", "iid", N_IID),
            *(
                Split(name, "ood" if name == "ood" else "probe", asked.size, severity=asked.severity)
                for name, asked in shift.tests.items()
            ),
        ),
        severity_unit="actions",
        budget=Budget(steps=5_000, batch_size=32, evaluations=4, seconds=900, core_seconds=shift.core_seconds),
        recipe=Recipe(learning_rate=3e-3, schedule="cosine", clip_norm=1.0),
        metric="exact_match",
        floor="chance",
        ceiling="oracle",
        constants={"ood": {"chance": 0.0}},
        gate=0.8,
        sources=(LAKE, DESSI, NEWMAN, CSORDAS),
        published=shift.published,
        licence="generated by this package from the published grammar, Apache-2.0; the original data are BSD",
        notes=(
            *shift.notes,
            "The answer is written after the command, by one causal model; the originals have an encoder and a "
            "decoder. Compare their numbers in sign. Exact match is that of greedy decoding.",
            "`right_actions` is the exact match of a model that is told when to stop (Newman et al. 2020): what it has "
            "over the score was lost in finding the end alone.",
            "There is nothing ambiguous for somebody who knows the words: the grammar has no exceptions. The floor is "
            "0, for an answer is one of very many.",
            "Training is cut into tenths by length, each with batches of its own, which leaves little padding.",
        ),
    )
    return Scan(spec, shift)
