"""One to four training examples that several rules explain: which of them does an untouched prompt get?

    rule-count       a^20 : b^20                         a^23 :  count 23 b's, memory 20, position 17
    rule-multiply    a^10 : b^20                         a^12 :  add 22 b's, multiply 24, memory 20, position 18
    rule-hierarchy   w^4 c w^4 : c, w and c in {a, b}    a^6 b a^6 :  hierarchical b, the middle; linear a, the fifth

`position` ends its answer at the place, counted from the start of the prompt, where that of training ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean

import torch
from torch import Tensor

from tasks.registry import Entry
from tasks.seeds import Draw
from tasks.sources import answers
from tasks.types import (
    Axis,
    Batch,
    Budget,
    Condition,
    Predictor,
    Problem,
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
    "simplicity/rule-count-v1": {
        "summary": "one example, a^n to b^n: count the a's, or remember the answer",
        "input": "tokens",
        "tags": ["synthetic", "sequence", "rule-or-memory"],
    },
    "simplicity/rule-multiply-v1": {
        "summary": "one example, a^n to b^2n: double, add n, or remember the answer",
        "input": "tokens",
        "tags": ["synthetic", "sequence", "rule-or-memory"],
    },
    "simplicity/rule-hierarchy-v1": {
        "summary": "four examples of nine letters: answer with the middle one, or with the fifth",
        "input": "tokens",
        "tags": ["synthetic", "sequence", "rule-or-memory"],
    },
}

A, B, SEPARATOR, END = range(4)
VOCABULARY = 4

Tokens = Sequence[int]
Rule = Callable[[Tokens, int], Tokens]
"""A prompt and the size of the training prompts to an answer."""


@dataclass(frozen=True)
class Puzzle:
    """`prompts(n)` are all prompts of size n. Training shows those of one size, and the answer on which rules agree.

    Each of `sizes` is a training of its own, tested on prompts whose size differs by up to `reach`. A rule reads its
    answer off the prompt; an alternative does not, or reads it off another place.
    """

    prompts: Callable[[int], list[Tokens]]
    sizes: tuple[int, ...]
    reach: int
    rules: Mapping[str, Rule]
    alternatives: Mapping[str, Rule]
    axes: tuple[Axis, ...]
    core_seconds: float
    notes: tuple[str, ...]

    @property
    def solutions(self) -> Mapping[str, Rule]:
        """Rules and alternatives: all give the same answers to the training prompts."""
        return {**self.rules, **self.alternatives}

    def held_out(self, size: int) -> list[Tokens]:
        """Prompts around a training size on which every solution gives another answer; training prompts are none."""
        near = [p for n in range(size - self.reach, size + self.reach + 1) for p in self.prompts(n)]
        return [p for p in near if len({tuple(s(p, size)) for s in self.solutions.values()}) == len(self.solutions)]


def letters(n: int) -> list[Tokens]:
    """a^n."""
    return [[A] * n]


def nested(n: int) -> list[Tokens]:
    """w^n c w^n for w and c in {a, b}."""
    return [[w] * n + [c] + [w] * n for w, c in product((A, B), repeat=2)]


END_NOTE = (
    "An answer can be remembered in two ways here: by its length, or by the position at which it ended in the one "
    "stream of prompt and answer. Encoders and decoders of their own, as in the original, know only the first. A "
    "Transformer with absolute positions takes the second."
)

PUZZLES = {
    "simplicity/rule-count": Puzzle(
        prompts=letters,
        sizes=(10, 20),
        reach=9,
        rules={"count": lambda prompt, size: [B] * len(prompt)},
        alternatives={
            "memory": lambda prompt, size: [B] * size,
            "position": lambda prompt, size: [B] * (2 * size - len(prompt)),
        },
        axes=(Axis("preference", "ends where training ended", "counts"),),
        core_seconds=2.4,
        notes=(
            END_NOTE,
            "Published sign: LSTMs count, Transformers and convolutions remember. Here the LSTM counts in 10 of 10 "
            "seeds (preference .69 to .84) and the Transformer in none (.15 to .32).",
            "The LSTM's count is not exact: far from the training size it is 1 to 4 letters off, so that its "
            "`fraction_count` is near 0. With 256 units, from one example of 40, two of two seeds counted exactly.",
            "A GRU remembers: its states are bounded, and an LSTM's are not (Weiss et al. 2018).",
            "The original's largest size, 40, is left out because not every LSTM fits it in time: at a constant rate "
            "one of ten did not, at a falling rate all did and three of them remembered.",
        ),
    ),
    "simplicity/rule-multiply": Puzzle(
        prompts=letters,
        sizes=(5, 10),
        reach=3,
        rules={
            "add": lambda prompt, size: [B] * (len(prompt) + size),
            "multiply": lambda prompt, size: [B] * (2 * len(prompt)),
        },
        alternatives={
            "memory": lambda prompt, size: [B] * (2 * size),
            "position": lambda prompt, size: [B] * (3 * size - len(prompt)),
        },
        axes=(
            Axis("preference", "ends where training ended", "adds or multiplies"),
            Axis("multiplication", "adds", "multiplies"),
        ),
        core_seconds=2.4,
        notes=(
            END_NOTE,
            "Published sign: LSTMs add or multiply, Transformers and convolutions remember. Here the LSTM is nearer to "
            "adding at size 5 and to multiplying at size 10. `multiplication` says little of a model that remembers.",
        ),
    ),
    "simplicity/rule-hierarchy": Puzzle(
        prompts=nested,
        sizes=(4,),
        reach=2,
        rules={"hierarchical": lambda prompt, size: [prompt[len(prompt) // 2]]},
        alternatives={"linear": lambda prompt, size: [prompt[size]]},
        axes=(Axis("preference", "the fifth letter", "the middle letter"),),
        core_seconds=1.3,
        notes=(
            "Published sign: LSTMs and Transformers answer with the middle letter, convolutions with the fifth. The "
            "fifth from the end is the same letter, so a model may as well count backwards.",
        ),
    ),
}


class RuleOrMemory(Task):
    """What the training examples leave open is measured by each rule's answers to the same held-out prompts."""

    def __init__(self, spec: TaskSpec, puzzle: Puzzle) -> None:
        super().__init__(spec)
        self.puzzle = puzzle

    def size(self, condition: str) -> int:
        """The size of the training prompts of a condition."""
        return int(condition.removeprefix("size-"))

    def sample(self, condition: str, split: Split, draw: Draw) -> Batch:
        """Prompt, separator and answer so far x (N, L); y (N, L). A probe has the answers of the rule that names it."""
        size, probe = self.size(condition), split.role == "probe"
        prompts = self.puzzle.held_out(size) if probe else self.puzzle.prompts(size)
        solution = self.puzzle.solutions[split.name] if probe else next(iter(self.puzzle.rules.values()))
        x, y = answers.encode(prompts, [solution(prompt, size) for prompt in prompts], SEPARATOR, END)
        return Batch(x, y)

    def references(self, condition: str, draw: Draw) -> Mapping[str, Predictor]:
        """Every solution as a predictor."""

        def predictor(solution: Rule) -> Predictor:
            return lambda batch: class_logits(next_tokens(solution, self.size(condition), batch.x), VOCABULARY)

        return {name: predictor(solution) for name, solution in self.puzzle.solutions.items()}

    def summarize(self, rows: Mapping[str, Row]) -> Summary:
        """Indices, as means over training sizes.

        `preference` is L' / (L' + L): L is the code length of the held-out answers under the rule that makes them
        shortest, L' under such an alternative. `fraction_<solution>` is 1 where every held-out prompt got that
        answer, and else 0: over seeds it is the fraction of perfect agreement. `multiplication` compares the rules
        of rule-multiply, and stands there for each size too: models add at one and multiply at another.
        """
        per_size = {condition: self.indices(row) for condition, row in rows.items()}
        names = next(iter(per_size.values()))
        means = {name: fmean(indices[name] for indices in per_size.values()) for name in names}
        compared = {f"multiplication_{c}": i["multiplication"] for c, i in per_size.items() if "multiplication" in i}
        return replace(super().summarize(rows), indices=means | compared)

    def indices(self, row: Row) -> dict[str, float]:
        """The indices of one training size."""
        nats = {name: row.scores[name]["code_length"] for name in self.puzzle.solutions}
        rule, alternative = (min(nats[name] for name in n) for n in (self.puzzle.rules, self.puzzle.alternatives))
        indices = {"preference": alternative / (alternative + rule)}
        if "multiply" in nats:
            indices["multiplication"] = nats["add"] / (nats["add"] + nats["multiply"])
        return indices | {f"fraction_{name}": float(row.scores[name]["exact_match"] == 1) for name in nats}


def next_tokens(solution: Rule, size: int, x: Tensor) -> Tensor:
    """What a solution writes after every token (N, L), whatever was written so far: its answer, then END for ever."""
    found = torch.full_like(x, END)
    for row, tokens in zip(found, x.tolist(), strict=True):
        start = tokens.index(SEPARATOR)
        answer = solution(tokens[:start], size)[: len(tokens) - start]
        row[start : start + len(answer)] = torch.tensor(answer)
    return found


FIND = Source(
    key="kharitonov2021what",
    authors="Eugene Kharitonov, Rahma Chaabouni",
    title="What they do when in doubt: a study of inductive biases in seq2seq learners",
    venue="ICLR",
    year=2021,
    url="https://openreview.net/forum?id=YmA86Zo-P_t",
)
WEISS = Source(
    key="weiss2018practical",
    authors="Gail Weiss, Yoav Goldberg, Eran Yahav",
    title="On the Practical Computational Power of Finite Precision RNNs for Language Recognition",
    venue="ACL",
    year=2018,
    url="https://aclanthology.org/P18-2117/",
)


def build(entry: Entry) -> Task:
    """The task of one puzzle."""
    puzzle = PUZZLES[entry.name]
    largest = max(puzzle.sizes)
    shown, n_held_out = puzzle.prompts(largest), len(puzzle.held_out(largest))
    rule = next(iter(puzzle.rules.values()))
    longest = max(len(prompt) + 1 + len(rule(prompt, largest)) for prompt in shown)
    spec = TaskSpec(
        entry=entry,
        question="Of the rules that explain the only examples there are, which does the model follow?",
        problem=Problem(
            input_kind="tokens",
            input_shape=(longest,),
            output_kind="sequence",
            n_outputs=VOCABULARY,
            n_train=len(shown),
            vocabulary=VOCABULARY,
            per_position=True,
        ),
        splits=(
            *(Split(role, role, len(shown)) for role in ("train", "val", "iid")),
            *(Split(name, "probe", n_held_out, {"answers": name}) for name in puzzle.solutions),
        ),
        conditions=tuple(Condition(f"size-{n}", f"trained on prompts of size {n}", {"size": n}) for n in puzzle.sizes),
        budget=Budget(steps=1_000, batch_size=len(shown), evaluations=5, seconds=300, core_seconds=puzzle.core_seconds),
        recipe=Recipe(clip_norm=1.0),
        metric="exact_match",
        gate=1.0,
        axes=puzzle.axes,
        data="fixed",
        sources=(FIND, WEISS),
        notes=(
            *puzzle.notes,
            "Compare signs with the original: encoders and decoders of width 512, dropout .5, 3,000 updates, training "
            "sizes of up to 40, 100 seeds. A held-out prompt is one on which all solutions differ.",
            "Code lengths are those of a model that saw the training examples alone. The original's are prequential: "
            "the model is trained again after every block of answers that it was told. One training is enough for "
            "the order: from the 250th to the 1,000th update the code lengths of an LSTM and a Transformer grow by a "
            "third, and their preferences move by less than .02.",
            "Validation and in-distribution test are the training examples: there is nothing else that would not give "
            "the rule away. A model has to reproduce every one to count as trained, and its last step is the one that "
            "is measured.",
        ),
    )
    return RuleOrMemory(spec, puzzle)
