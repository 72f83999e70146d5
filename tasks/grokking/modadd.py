"""Addition modulo 31 from a part of its table: when, after the part is known, does a model know the rest?

All 961 pairs (a, b) are shown as two one-hot codes and the answer as one; squared error, all training pairs in every
step. A network has the training pairs by heart within some 25 steps. The others it gets right much later, or never.

    12 + 25 = 37, which is 6    in training, say: right after 25 steps
    13 + 24 = 37, which is 6    not in training: right after 500 steps with weight decay, and never without
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tasks import metrics
from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources.learning_order import NEVER, first_step
from tasks.sources.modular_addition import analytic_network, by_distance, pairs, top_share
from tasks.sources.solving_time import is_training, solving_step, speed
from tasks.types import (
    Batch,
    Budget,
    Condition,
    Data,
    Predict,
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
)

ENTRIES = {
    "grokking/modadd-v1": {
        "summary": "addition modulo 31 from 40 to 80 % of its table, with weight decay: the steps until it is known",
        "input": "vector",
        "tags": ["synthetic", "regression", "time-resolved", "closed-form", "flagship"],
    },
    "grokking/modadd-optimizers-v1": {
        "summary": "addition modulo 31 by a network of squares: which optimizers come to know the rest of the table",
        "input": "vector",
        "tags": ["synthetic", "regression", "time-resolved", "closed-form"],
        "model": "quadratic-network",
    },
    "grokking/modadd-control-v1": {
        "summary": "addition modulo 31 by the same network without weight decay: it never comes to know the rest",
        "input": "vector",
        "tags": ["synthetic", "regression", "time-resolved", "control"],
        "model": "quadratic-network",
    },
}

P = 31
SHARES = (0.4, 0.5, 0.6, 0.8)
"""Of the table that are shown in training."""
MAIN = "share-0.5"
FITTED, SOLVED = 0.99, 0.95
FAST, LIMIT = 50, 2_500
ORACLE_WIDTH = 1024
N_TOP = 3
TEST_ROLES = ("iid", "unseen")


class ModularAddition(Task):
    """Which pairs are shown is drawn per seed; those of a smaller share are among those of a larger one."""

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """x (N, 62) and y (N, 31), both one-hot. The split `table` has all pairs in the order of 31 a + b."""
        x, label = pairs(P)
        rows = torch.arange(P * P) if split.name == "table" else self.rows(condition, split, draw)
        return Batch(x[rows], one_hot(label[rows], P).float())

    def rows(self, condition: str, split: Split, draw: Draw) -> Tensor:
        """Which pairs of the table a split has: training from the front of a random order, the tests from behind."""
        order = torch.randperm(P * P, generator=draw.generator("world"))
        if split.role in ("train", "fitted"):
            return order[: split.size]
        held = self.spec.at(condition).with_role("val", "iid", "ood")
        last = P * P - sum(after.size for after in held[held.index(split) + 1 :])
        return order[last - split.size : last]

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """`oracle` adds, and so does `analytic_network`, of 1,024 squares; `memorizer` knows what was shown."""
        hidden, out = analytic_network(P, ORACLE_WIDTH, draw.generator("analytic"))
        (train,) = self.spec.at(condition).with_role("train")
        shown = self.sample(condition, train, draw).x
        return {
            "oracle": lambda batch: batch.y,
            "analytic_network": lambda batch: (batch.x @ hidden.T).square() @ out.T,
            "memorizer": lambda batch: batch.y * (batch.x @ shown.T == 2).any(1, keepdim=True),
        }

    def evaluate(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """mse, and accuracy: the largest output is the sum."""
        label = batch.y.argmax(1)
        return {"mse": float((outputs - batch.y).square().mean()), "accuracy": metrics.accuracy(outputs, label)}

    def measure(self, condition: str, predict: Predict, data: Data) -> Scores:
        """Also, on the whole table, how much of the outputs depends on a + b - c alone, and on how few frequencies."""
        scores = super().measure(condition, predict, data)
        profile, share = by_distance(predict(data["table"].x), P)
        found = {"modular_share": share, "top_frequencies": top_share(profile, N_TOP)}
        return {**scores, "table": {**scores["table"], **found}}

    def is_answered(self, scores: Scores) -> bool:
        """Whether .95 of the pairs that were never shown are right."""
        return sum(scores[role]["accuracy"] for role in TEST_ROLES) / len(TEST_ROLES) > SOLVED

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """`score` is the speed at half of the table: 1 for 50 steps, 0 for 2,500 or never, by their logarithm.

        Indices: `steps_0.5` and the like, of shares that were solved; `least_share`, the smallest of them; `delay` at
        half of the table, the steps to the unseen pairs over the steps to .99 of those shown; `modular_share` and
        `top_frequencies` there, at the last step. Trained is whoever has the shown pairs by heart.
        """
        steps = {name: solving_step(row, self.is_answered, pool=1) for name, row in rows.items()}
        solved = {name.removeprefix("share-"): step for name, step in steps.items() if step < NEVER}
        main = rows[MAIN]
        last = main.last
        score = speed(steps[MAIN], FAST, LIMIT)
        return Summary(
            iid=self.role_mean(rows, "iid"),
            ood=self.role_mean(rows, "ood"),
            trained=self.passes_gate(last["fitted"]["accuracy"]),
            scores={"score": score, "score_unclipped": score},
            indices={
                **{f"steps_{share}": step for share, step in solved.items() if is_training(rows[f"share-{share}"])},
                **({"least_share": min(map(float, solved))} if solved else {}),
                **delay(main, steps[MAIN]),
                **{name: last["table"][name] for name in ("modular_share", "top_frequencies")},
            },
        )


def delay(row: Row, solved: float) -> dict[str, float]:
    """`delay`: how many times as long the unseen pairs took as the shown ones, where both were learned."""

    def is_fitted(scores: Scores) -> bool:
        return scores["fitted"]["accuracy"] > FITTED

    fitted = first_step(row.curve, is_fitted)
    return {"delay": solved / fitted} if is_training(row) and solved < NEVER and fitted < NEVER else {}


POWER = Source(
    key="power2022grokking",
    authors="Alethea Power, Yuri Burda, Harri Edwards, Igor Babuschkin, Vedant Misra",
    title="Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets",
    venue="arXiv",
    year=2022,
    url="https://arxiv.org/abs/2201.02177",
)
GROMOV = Source(
    key="gromov2023grokking",
    authors="Andrey Gromov",
    title="Grokking modular arithmetic",
    venue="arXiv",
    year=2023,
    url="https://arxiv.org/abs/2301.02679",
)
NANDA = Source(
    key="nanda2023progress",
    authors="Neel Nanda, Lawrence Chan, Tom Lieberum, Jess Smith, Jacob Steinhardt",
    title="Progress measures for grokking via mechanistic interpretability",
    venue="ICLR",
    year=2023,
    url="https://arxiv.org/abs/2301.05217",
)

NOTES = (
    "The test is the rest of the same table: nothing shifts, and the score is about time. `iid` and `unseen` are two "
    "halves of it, and together they must reach .95. A training ends there.",
    "The floor knows the pairs that were shown and answers nothing elsewhere; it counts as trained, as a network does "
    "that never gets further. An estimator takes no steps: it is charged one, or never.",
    "`modular_share` is the share of the variance of the outputs that depends on a + b - c alone, 1 for the rule; "
    "`top_frequencies` the share of the three strongest frequencies in the power of that part.",
    "Scale: published experiments have p = 97 with 500 squared units (Gromov) and p = 113 with 30 % of the table and "
    "40,000 epochs (Nanda et al.). At p = 31 a training takes seconds.",
)
MODEL_NOTES = (
    "The score rewards weight decay above all, so optimizer and decay are the task's: AdamW, rate .005, decay 1. A "
    "class that brings a recipe of its own is judged with it.",
)
OPTIMIZER_NOTES = (
    "The model is fixed. The recipe's optimizer is AdamW with weight decay 1, which the suite's other optimizers do "
    "not have: what they come to shows how much of the matter is decay.",
)
CONTROL_NOTES = (
    "Negative control: AdamW as in `grokking/modadd-optimizers`, with weight decay 0. The training pairs are known "
    "after 25 steps, and after 2,500 the others are at chance, .03.",
)


def condition(share: float) -> Condition:
    """Training on this share of the table; of the rest a fifth validates and two fifths each are the two tests."""
    n_train = round(share * P * P)
    n_test = math.floor(0.4 * (P * P - n_train))
    sizes = {"train": n_train, "fitted": n_train, "val": P * P - n_train - 2 * n_test, "iid": n_test, "unseen": n_test}
    return Condition(
        f"share-{share:g}", f"{n_train} of 961 pairs in training", problem={"n_train": n_train}, sizes=sizes
    )


def build(entry: Entry) -> Task:
    control = "control" in entry.tags
    conditions = tuple(condition(share) for share in SHARES if not control or f"share-{share:g}" == MAIN)
    sizes = conditions[0].sizes
    track_notes = OPTIMIZER_NOTES if entry.model else MODEL_NOTES
    return ModularAddition(
        TaskSpec(
            entry=entry,
            question="Having learned a part of the table by heart, when does a model come to know the rest?",
            problem=Problem("vector", (2 * P,), "values", n_outputs=P, n_train=sizes["train"]),
            splits=(
                Split("train", "train", sizes["train"]),
                Split("fitted", "fitted", sizes["fitted"]),
                Split("val", "val", sizes["val"]),
                Split("iid", "iid", sizes["iid"]),
                Split("unseen", "ood", sizes["unseen"]),
                Split("table", "probe", P * P),
            ),
            conditions=conditions,
            budget=Budget(
                LIMIT, P * P, evaluations=40, core_seconds=5.3 if control else 3.6 if entry.model else 19.0, first=25
            ),
            recipe=Recipe("adamw", learning_rate=5e-3, weight_decay=0.0 if control else 1.0),
            metric="accuracy",
            floor="memorizer",
            ceiling="oracle",
            gate=FITTED,
            sources=(POWER, GROMOV, NANDA),
            published=tuple(
                Published(f"steps of the network of squares at {share} of the table, our own sample", steps)
                for share, steps in {0.4: 1_000.0, 0.5: 550.0, 0.6: 250.0, 0.8: 100.0}.items()
                if entry.model and not control
            ),
            notes=NOTES + (CONTROL_NOTES if control else track_notes),
        )
    )
