"""Networks as they are initialised, read as Boolean functions of 7 bits: how simple is a function drawn at random?

Nothing is trained. Each of 1,000 instances maps all 128 inputs, in lexicographic order, to 128 output bits. The
complexity K of that string counts its Lempel-Ziv phrases; a fair coin for every input gives 148.9 on average.

    0000 ... 0000          constant: K = 7
    0000 ... 1111 ...      the first bit: K = 21
    0001 0001 0001 ...     the last two bits are 1: K = 24.5
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean, median

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.complexity import complexity
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Data,
    Predict,
    Predictor,
    Problem,
    Published,
    Row,
    Scores,
    Source,
    Split,
    Summary,
    Task,
    TaskSpec,
    Trained,
    class_logits,
)

ENTRIES = {
    "simplicity/function-prior-v1": {
        "summary": "Lempel-Ziv complexity of the Boolean functions that untrained networks compute, inputs as vectors",
        "input": "vector",
        "tags": ["synthetic", "classification", "boolean", "untrained"],
    },
    "simplicity/function-prior-tokens-v1": {
        "summary": "Lempel-Ziv complexity of the Boolean functions that untrained networks compute, inputs as tokens",
        "input": "tokens",
        "tags": ["synthetic", "classification", "boolean", "untrained"],
    },
}

BITS = 7
INSTANCES = 1_000
RANDOM_COMPLEXITY = 148.9
"""Mean K of 20,000 strings of 128 fair bits: 148.88, standard error .04."""


class FunctionPrior(Task):
    """The distribution over functions that a class's initialisation is, in a few numbers about complexity.

    Labels are fair coins, drawn per seed; nothing learns them, and they are the reference `random`.
    """

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        labels = torch.randint(2, (2**BITS,), generator=draw.generator("world"))
        x = every_input()
        return Batch(x if self.spec.problem.input_kind == "tokens" else x.float(), labels)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """One function each: all outputs equal, the first input bit, fair coins."""
        return {
            "constant": lambda batch: class_logits(torch.zeros(len(batch)), 2),
            "one_input": lambda batch: class_logits(batch.x[:, 0], 2),
            "random": lambda batch: class_logits(batch.y, 2),
        }

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """The statistics of the functions of fresh instances; a function that has none stands for itself."""
        scores = statistics([bit_string(instance(data["iid"].x)) for instance in instances(predict)])
        return {split.name: scores for split in self.spec.with_role("val", "iid")}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices: `simplicity`, 1 - mean K / 148.9, and `p_constant`, `median_complexity`, `minority`, `entropy`."""
        (row,) = rows.values()
        values = dict(row.scores["iid"])
        indices = {"simplicity": 1 - values.pop("complexity") / RANDOM_COMPLEXITY, **values}
        return replace(super().summarize(rows), trained=True, indices=indices)


def every_input() -> Tensor:
    """The 128 inputs (128, 7) int64 in lexicographic order: the first bit is the slowest."""
    return torch.arange(2**BITS)[:, None] >> torch.arange(BITS - 1, -1, -1) & 1


def instances(predict: Predict) -> Iterator[Predict]:
    """Untrained instances of the class of a trained model, or the one function that there is."""
    if not isinstance(predict, Trained):
        yield predict
        return
    for number in range(INSTANCES):
        yield predict.fresh(number)


def bit_string(logits: Tensor) -> str:
    """Logits (128, 2) to 128 characters: 1 where the second is the larger."""
    return "".join("01"[bit] for bit in (logits[:, 1] > logits[:, 0]).tolist())


def statistics(functions: Sequence[str]) -> dict[str, float]:
    """What describes a sample of functions, each a bit string of length n.

    `complexity` is the mean of K, `p_constant` the share of constant functions, `minority` the mean share of the
    rarer output in [0, .5], and `entropy` that of the sampled distribution of K, in bits.
    """
    values = [complexity(function) for function in functions]
    shares = [count / len(values) for count in Counter(values).values()]
    return {
        "complexity": fmean(values),
        "median_complexity": median(values),
        "p_constant": fmean(len(set(function)) == 1 for function in functions),
        "minority": fmean(min(f.count("0"), f.count("1")) / len(f) for f in functions),
        "entropy": -sum(share * math.log2(share) for share in shares) + 0.0,
    }


VALLE_PEREZ = Source(
    key="valleperez2019deep",
    authors="Guillermo Valle-Pérez and Chico Q. Camargo and Ard A. Louis",
    title="Deep Learning Generalizes Because the Parameter-Function Map Is Biased Towards Simple Functions",
    venue="International Conference on Learning Representations",
    year=2019,
    url="https://arxiv.org/abs/1805.08522",
)
DINGLE = Source(
    key="dingle2018maps",
    authors="Kamaludin Dingle and Chico Q. Camargo and Ard A. Louis",
    title="Input-Output Maps Are Strongly Biased Towards Simple Outputs",
    venue="Nature Communications 9:761",
    year=2018,
    url="https://doi.org/10.1038/s41467-018-03101-6",
)
MINGARD = Source(
    key="mingard2025deep",
    authors="Chris Mingard and Henry Rees and Guillermo Valle-Pérez and Ard A. Louis",
    title="Deep Neural Networks Have an Inbuilt Occam's Razor",
    venue="Nature Communications 16:220",
    year=2025,
    url="https://doi.org/10.1038/s41467-024-54813-x",
)
LEMPEL_ZIV = Source(
    key="lempel1976complexity",
    authors="Abraham Lempel and Jacob Ziv",
    title="On the Complexity of Finite Sequences",
    venue="IEEE Transactions on Information Theory 22(1)",
    year=1976,
    url="https://doi.org/10.1109/TIT.1976.1055501",
)


def build(entry: Entry) -> Task:
    tokens = entry.input == "tokens"
    n_inputs = 2**BITS
    spec = TaskSpec(
        entry=entry,
        question="Of the functions that a class can compute, does its initialisation prefer the simple ones?",
        problem=Problem(
            "tokens" if tokens else "vector",
            (BITS,),
            "classes",
            n_outputs=2,
            n_train=n_inputs,
            vocabulary=2 if tokens else None,
        ),
        splits=(
            Split("train", "train", n_inputs),
            Split("val", "val", n_inputs),
            Split("iid", "iid", n_inputs),
        ),
        budget=Budget(steps=0, batch_size=n_inputs, seconds=300, core_seconds=2.4 if tokens else 1.0),
        metric="complexity",
        gate=0.0,
        axes=(
            Axis("simplicity", "fair coins for every input", "constant functions", (0.0, 1 - 7 / RANDOM_COMPLEXITY)),
            Axis("p_constant", "no function is constant", "every function is constant"),
        ),
        sources=(VALLE_PEREZ, MINGARD, DINGLE, LEMPEL_ZIV),
        published=(
            Published("mean K of 7-40-40-1 ReLU networks, normal weights and biases of scale 1, our own sample", 22.6),
            Published("share of them that are constant, our own sample", 0.727),
            Published("the same with inputs -1 and +1: mean K, our own sample", 36.7),
            Published("mean K of tanh networks of weight scale 8, bias scale .2, our own sample", 117.6),
        ),
        notes=(
            "Nothing is trained and there is no gate. A class is measured in its own initialisation: another scale of "
            "weights or biases is another prior, and the simplicity of tanh networks can be switched off by it.",
            "An output bit is whether the second logit exceeds the first. With independent normal output weights the "
            "difference of two logits has the signs of one output in law, so the paper's single output is the same.",
            "Inputs are 0 and 1, as in the paper; inputs -1 and +1 give fewer constant functions.",
            "A simple function is here also an unbalanced one: read `simplicity` beside `minority`, the mean share of "
            "the rarer output.",
            "A model whose outputs start at 0 (the baselines `linear`, `random-features`) is constant by construction. "
            "Estimators have no initialisation and are skipped.",
            "1,000 instances a seed: one standard error is .016 for a share of one half. Published samples have "
            "10^7 or more, and show log-probability falling roughly linearly in K, which needs them.",
        ),
    )
    return FunctionPrior(spec)
