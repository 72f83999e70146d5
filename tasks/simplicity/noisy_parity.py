"""Labels are the parity of two or three of twenty bits, and one training label in twenty is wrong: rule or list?

Both fit. A model that found the rule contradicts the wrong training labels; a model that keeps the list of its
training examples repeats them, and knows nothing about other strings.

    1 0 0 1 1 0 1 1 0 0 1 0 1 1 0 1 0 0 1 0   bits 16 and 18 decide (from 0): 0 + 1, so the label is 1
    0 1 1 0 1 0 0 0 1 0 0 1 1 0 0 1 1 0 1 1   1 + 1: the label is 0, but training may say 1

Three bits decide where a string is shown as a vector of signs, two where it is one of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Predictor,
    Problem,
    Row,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "simplicity/noisy-parity-v1": {
        "summary": "parity of 3 of 20 signs with 5 % wrong labels in training and none in the test",
        "input": "vector",
        "tags": ["synthetic", "classification", "closed-form"],
    },
    "simplicity/noisy-parity-tokens-v1": {
        "summary": "parity of 2 of 20 tokens with 5 % wrong labels in training and none in the test",
        "input": "tokens",
        "tags": ["synthetic", "classification", "closed-form"],
    },
    "simplicity/noisy-parity-tokens-control-v1": {
        "summary": "parity of 2 of 20 tokens, all labels right, and each training string seen once",
        "input": "tokens",
        "tags": ["synthetic", "classification", "closed-form", "control"],
    },
}

N_BITS = 20
LAST = 5  # so many bits at the end of a string may decide
BATCH, STEPS = 64, 1_500
RIGHT, WRONG = "train-right", "train-wrong"
UNKNOWN = -1


class NoisyParity(Task):
    """Which of the last five bits decide is drawn per seed. Of the labels of a noisy split exactly 5 % are wrong.

    No string occurs twice, in whatever splits: whoever only kept the training list knows nothing about the test.
    """

    def __init__(self, spec: TaskSpec, n_relevant: int) -> None:
        super().__init__(spec)
        self.n_relevant = n_relevant

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Strings x (N, 20), as tokens or as signs -1 and +1, labels y (N,), and the right labels in `latent` (N,)."""
        if split.role == "probe":
            return self.training_examples(split, draw)
        bits = strings(self.place(split), draw)
        right = parity(bits, self.relevant_bits(draw))
        wrong = torch.zeros_like(right)
        order = torch.randperm(split.size, generator=draw.generator(split.name, "noise"))
        wrong[order[: n_wrong(split)]] = 1
        return Batch(self.encode(bits), right ^ wrong, latent=right)

    def place(self, split: Split) -> slice:
        """Where in the shuffled list of all strings this split lies."""
        drawn = self.spec.with_role("train", "val", "iid", "ood")
        first = sum(before.size for before in drawn[: drawn.index(split)])
        return slice(first, first + split.size)

    def relevant_bits(self, draw: Draw) -> Tensor:
        """The positions (k,) of the bits that decide, all among the last ones."""
        order = torch.randperm(LAST, generator=draw.generator("world", "relevant"))
        return N_BITS - LAST + order[: self.n_relevant]

    def encode(self, bits: Tensor) -> Tensor:
        """Bits (N, 20) as the models get them."""
        return bits if self.spec.problem.input_kind == "tokens" else 2.0 * bits - 1

    def training_examples(self, split: Split, draw: Draw) -> Batch:
        """The training examples whose labels are right, or those whose labels are wrong."""
        (train,) = self.spec.with_role("train")
        batch = self.sample("default", train, draw)
        assert batch.latent is not None
        chosen = (batch.y != batch.latent) == (split.name == WRONG)
        return batch.map(lambda values: values[chosen])

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` knows which bits decide; `memorizer` keeps the training list, and has no idea of other strings."""
        (train,) = self.spec.with_role("train")
        known, relevant = self.sample(condition, train, draw), self.relevant_bits(draw)
        label_of = {row.tobytes(): int(y) for row, y in zip(known.x.numpy(), known.y, strict=True)}

        def memorizer(batch: Batch) -> Tensor:
            labels = torch.tensor([label_of.get(row.tobytes(), UNKNOWN) for row in batch.x.numpy()])
            return class_logits(labels.clamp(min=0), 2) * (labels != UNKNOWN)[:, None]

        return {"oracle": lambda batch: class_logits(parity(batch.x > 0, relevant), 2), "memorizer": memorizer}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices `memorized` and `fitted`: the shares of the wrong, and of all, training labels that a model gives.

        They are read at the last measured step, whichever was selected: by then whoever keeps a list has kept it. The
        gate is for `fitted`, since a list that was kept is something learned. The control has neither.
        """
        summary = super().summarize(rows)
        if not self.spec.axes:
            return summary
        (row,) = rows.values()
        last = row.last
        share = {split.name: split.size / self.spec.problem.n_train for split in self.spec.with_role("probe")}
        fitted = sum(share[name] * last[name]["accuracy"] for name in share)
        indices = {"memorized": last[WRONG]["accuracy"], "fitted": fitted}
        return replace(summary, trained=self.passes_gate(fitted), indices=indices)


def n_wrong(split: Split) -> int:
    """How many of a split's labels are wrong."""
    noise = split.params["noise"]
    assert isinstance(noise, float)
    return round(noise * split.size)


def strings(place: slice, draw: Draw) -> Tensor:
    """A part of the shuffled list of all strings: bits (N, 20), int64."""
    shuffled = torch.randperm(2**N_BITS, generator=draw.generator("world", "strings"))
    return shuffled[place, None] >> torch.arange(N_BITS) & 1


def parity(bits: Tensor, relevant: Tensor) -> Tensor:
    """Whether an odd number of the relevant bits is set: bits (N, 20) to labels (N,), int64."""
    return bits[:, relevant].sum(1) % 2


BHATTAMISHRA = Source(
    key="bhattamishra2023simplicity",
    authors="Satwik Bhattamishra, Arkil Patel, Varun Kanade, Phil Blunsom",
    title="Simplicity Bias in Transformers and their Ability to Learn Sparse Boolean Functions",
    venue="ACL",
    year=2023,
    url="https://aclanthology.org/2023.acl-long.317/",
)


AXIS = Axis("memorized", low="rule in spite of the noise", high="memorizes the noise")


NOTES = (
    "The shortcut is the list of training examples. No string occurs twice, so that the list alone is at chance on the "
    "test, exactly: the reference `memorizer`. The gate is for the accuracy on the training examples (index `fitted`), "
    "not on new ones: keeping a list is a way to have learned them. In-distribution labels are noisy, and .95 is best.",
    "Nearest neighbours do not keep a mere list. Strings that differ in d of 20 bits agree in the parity of few bits "
    "more often than not, by the normalised Krawtchouk polynomial K(d); the nearest of 1,000 strings is at 4 or 5.",
    "Published (Bhattamishra et al., 4 of 40 bits decide): Transformers generalise nearly perfectly with 5 % wrong "
    "labels, LSTMs overfit them. Here `memorized` tells the two apart. It is read at the last step, since the selected "
    "one may lie before a list was kept: LSTM and dense network find the rule first and keep the list afterwards. The "
    "Transformer is only slower, not immune: in a third more steps its index grew from .10 to .34 on one of two seeds.",
    "Departures, for the cost: 20 bits and 1,000 examples. Of tokens two bits decide, since with three of them a small "
    "Transformer is still at chance after 3,000 steps of 64; of signs three, since with two a Gaussian kernel gets 1.",
    "The bits that decide are among the last five, because memorizing is a choice only where the rule is within reach; "
    "the control shows that it is. With bits 7 and 12 our LSTM keeps the list and is at chance in the test, as "
    "published; but it is also at chance after 6,000 steps of fresh strings with right labels: reach, not preference.",
)
CONTROL_NOTES = (
    "Learnability: there is no list to keep and no wrong label. A model that is at chance here does not reach the rule "
    "in these steps, and its result with noise says nothing about what it prefers.",
)


def splits(n_train: int, noise: float) -> tuple[Split, ...]:
    """Four drawn splits, the test with right labels only; with noise, also the training examples in two parts."""
    train = Split("train", "train", n_train, {"noise": noise})
    drawn = (
        train,
        Split("val", "val", 1_000, {"noise": noise}),
        Split("iid", "iid", 2_000, {"noise": noise}),
        Split("clean", "ood", 2_000, {"noise": 0.0}),
    )
    if not noise:
        return drawn
    return (*drawn, Split(RIGHT, "probe", n_train - n_wrong(train)), Split(WRONG, "probe", n_wrong(train)))


def build(entry: Entry) -> Task:
    tokens, control = entry.input == "tokens", "control" in entry.tags
    n_train, noise = (BATCH * STEPS, 0.0) if control else (1_000, 0.05)
    spec = TaskSpec(
        entry=entry,
        question="With wrong labels among the training data, does a model find the rule or keep the list?",
        problem=Problem(
            "tokens" if tokens else "vector",
            (N_BITS,),
            "classes",
            n_outputs=2,
            n_train=n_train,
            vocabulary=2 if tokens else None,
        ),
        splits=splits(n_train, noise),
        axes=() if control else (AXIS,),
        budget=Budget(STEPS, BATCH, evaluations=6, seconds=400.0, core_seconds=9.5 if tokens else 1.1),
        metric="accuracy",
        floor="memorizer",
        ceiling="oracle",
        gate=0.75,
        sources=(BHATTAMISHRA,),
        notes=CONTROL_NOTES if control else NOTES,
    )
    return NoisyParity(spec, n_relevant=2 if tokens else 3)
