"""Ten thousand words with a class each, and word i turns up like 1/i^2: the learning curve of whoever only remembers.

The class of a word says nothing about another word's. All that helps is to have seen it, so that no classifier has an
expected error below

    (1 - 1/10) x sum_i p_i (1 - p_i)^n,   p_i = i^-2 / sum_j j^-2

with n examples: a power law with exponent -1/2 that comes from the tail of the words alone.

    n = 100      6.9 % of test words were never seen, nine in ten of them are guessed wrong: error .062
    n = 10,000   a hundred times as many examples, a tenth of the error: .0062
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor

from tasks.metrics import hits, surprise
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.learning_curves import exponent
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Data,
    Predictor,
    Problem,
    Published,
    Recipe,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    class_logits,
)

ENTRIES = {
    "scaling/zipf-v1": {
        "summary": "the class of each of 10,000 words with Zipf frequencies, from 100 to 10,000 examples",
        "input": "tokens",
        "tags": ["synthetic", "classification", "closed-form"],
    }
}

VOCABULARY, CLASSES = 10_000, 10
DECAY = 1.0
"""a: word i has probability proportional to i^-(a + 1)."""
SIZES = (100, 1_000, 10_000)
LEAST_ERROR = 1e-6  # keeps ratios and logarithms finite where an oracle takes part


class Zipf(Task):
    """The test lists every word once, weighted by its probability: its error is that of the law, without noise."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """One word x (N, 1) and its class y (N,)."""
        if split.role == "ood":
            words = torch.arange(VOCABULARY)
            return Batch(words[:, None], classes(draw), weight=frequencies().float())
        words = torch.multinomial(frequencies(), split.size, replacement=True, generator=draw.generator(split.name))
        return Batch(words[:, None], classes(draw)[words])

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`memorizer` knows the words of the training examples and guesses all others: nobody can do better."""
        train = self.sample(condition, self.spec.at(condition).split("train"), draw)
        known = torch.zeros(VOCABULARY, CLASSES)
        known[train.x[:, 0]] = class_logits(train.y, CLASSES)
        return {"memorizer": lambda batch: known[batch.x[:, 0]]}

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """accuracy and nll (nats), weighted where the examples are."""
        weight = torch.ones(len(batch)) if batch.weight is None else batch.weight
        share = (weight / weight.sum()).double()
        right, nats = hits(outputs, batch.y), surprise(outputs, batch.y)
        return {"accuracy": float(share @ right.double()), "nll": float(share @ nats.double())}

    def anchors(self, condition: str, data: Data, draw: Draw) -> Scores:
        """Those of every task, and what a memorizer has in the mean over training sets, in closed form."""
        anchors = super().anchors(condition, data, draw)
        expected = 1 - expected_error(self.spec.at(condition).problem.n_train)
        return {**anchors, "test": {**anchors["test"], "expected_memorizer": expected}}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Everything is read at the last step. Adds `efficiency` and the `exponent` of the error.

        efficiency: the memorizer's error over the model's, in the mean over sizes.
        """
        last = {name: replace(row, scores=row.last) for name, row in rows.items()}
        errors = [max(1 - last[str(n)].scores["test"]["accuracy"], LEAST_ERROR) for n in SIZES]
        least = [1 - last[str(n)].anchors["test"]["memorizer"] for n in SIZES]
        efficiency = fmean(best / error for best, error in zip(least, errors, strict=True))
        summary = super().summarize(last)
        return replace(
            summary,
            scores={**summary.scores, "efficiency": efficiency},
            indices={"exponent": exponent(SIZES, errors)},
        )


def frequencies(vocabulary: int = VOCABULARY, decay: float = DECAY) -> Tensor:
    """The probability of each word (V,), the most frequent first, float64."""
    raw = torch.arange(1, vocabulary + 1, dtype=torch.float64) ** -(decay + 1)
    return raw / raw.sum()


def classes(draw: Draw) -> Tensor:
    """The class of each word (V,) in this world."""
    return torch.randint(CLASSES, (VOCABULARY,), generator=draw.generator("world"))


def expected_error(n: int, vocabulary: int = VOCABULARY, decay: float = DECAY) -> float:
    """What a memorizer gets wrong after n examples, in the mean over training sets (Hutter 2021, section 3)."""
    p = frequencies(vocabulary, decay)
    return (1 - 1 / CLASSES) * float((p * (1 - p) ** n).sum())


HUTTER = Source(
    key="hutter2021learning",
    authors="Marcus Hutter",
    title="Learning Curve Theory",
    venue="arXiv",
    year=2021,
    url="https://arxiv.org/abs/2102.04074",
)


def build(entry: Entry) -> Task:
    largest = SIZES[-1]
    evaluated = (Split("val", "val", 2_000), Split("iid", "iid", 2_000), Split("test", "ood", VOCABULARY))
    return Zipf(
        TaskSpec(
            entry=entry,
            question="Does a class learn as fast as it could where there is nothing to learn but facts?",
            problem=Problem("tokens", (1,), "classes", n_outputs=CLASSES, n_train=largest, vocabulary=VOCABULARY),
            splits=(Split("train", "train", largest), *evaluated),
            conditions=tuple(
                Condition(str(n), f"{n:,} examples", problem={"n_train": n}, sizes={"train": n}) for n in SIZES
            ),
            budget=Budget(steps=600, batch_size=128, evaluations=10, seconds=240.0, core_seconds=7.2),
            recipe=Recipe(learning_rate=3e-3),
            metric="accuracy",
            floor="chance",
            ceiling="memorizer",
            constants={split.name: {"chance": 1 / CLASSES} for split in evaluated},
            gate=0.5,
            axes=(Axis("exponent", "as fast as memory", "nothing more from more data", ends=(-0.5, 0.0)),),
            sources=(HUTTER,),
            published=tuple(
                Published(f"error of a memorizer after {n:,} examples, closed form", round(expected_error(n), 5))
                for n in SIZES
            ),
            notes=(
                "The ceiling is a memorizer of the same training examples. Its expected error is that of the formula, "
                "and nobody's is smaller: an unseen word is guessed. A single model may guess a frequent word right, "
                "and be a little ahead by luck.",
                "Results are read at the last step: validation examples hold words that training has not, and a step "
                "chosen by them would be one whose guesses happen to be right.",
                "The test is the list of all words, weighted by their probabilities, so that it has no noise of its "
                "own. The floor guesses, .1.",
                "The exponent is the median slope of log error over log examples; that of the formula is -.50 over "
                "these sizes, as -a / (1 + a) = -1/2 says of many words.",
                "Words come as tokens, of which a class makes what it likes. In a one-hot vector of 10,000 they would "
                "say the same to a linear model.",
            ),
        )
    )
