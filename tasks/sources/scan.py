"""SCAN: 20,910 commands in English words and the actions that they stand for.

Lake and Baroni, ICML 2018, written from the published grammar.

    turn left and jump twice    LTURN JUMP JUMP
    walk around left            LTURN WALK LTURN WALK LTURN WALK LTURN WALK
    look after run              RUN LOOK
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from torch import Tensor

from tasks.sources import answers

VERBS = {"walk": ("WALK",), "look": ("LOOK",), "run": ("RUN",), "jump": ("JUMP",), "turn": ()}
SIDES = {"left": ("LTURN",), "right": ("RTURN",)}
REPEATS = {"twice": 2, "thrice": 3}
CONJUNCTIONS = ("and", "after")

WORDS = (*VERBS, *SIDES, "opposite", "around", *REPEATS, *CONJUNCTIONS)
ACTIONS = ("WALK", "LOOK", "RUN", "JUMP", "LTURN", "RTURN")
SEPARATOR, END = ":", "END"
TOKENS = (*WORDS, *ACTIONS, SEPARATOR, END)
"""Words and actions are different tokens; the place of each is its number."""


class Command(NamedTuple):
    """A command's words, and the actions that carry it out."""

    words: tuple[str, ...]
    actions: tuple[str, ...]


@cache
def commands() -> tuple[Command, ...]:
    """All 20,910: a clause alone, and every pair of clauses with `and` or, carried out the other way round, `after`."""
    single = list(clauses())
    joined = [
        Command((*first.words, word, *second.words), actions)
        for first in single
        for second in single
        for word, actions in zip(
            CONJUNCTIONS, (first.actions + second.actions, second.actions + first.actions), strict=True
        )
    ]
    return (*single, *joined)


def clauses() -> Iterator[Command]:
    """The 102 verb phrases, done once, twice or thrice."""
    for phrase in verb_phrases():
        yield phrase
        for word, times in REPEATS.items():
            yield Command((*phrase.words, word), phrase.actions * times)


def verb_phrases() -> Iterator[Command]:
    """The 34 verbs with and without a direction; `turn` has no action of its own and is nothing without one."""
    for verb, action in VERBS.items():
        if action:
            yield Command((verb,), action)
        for side, turn in SIDES.items():
            yield Command((verb, side), turn + action)
            yield Command((verb, "opposite", side), turn * 2 + action)
            yield Command((verb, "around", side), (turn + action) * 4)


def encode(chosen: Sequence[Command]) -> tuple[Tensor, Tensor]:
    """Commands as x and y (N, L): `walk twice : WALK WALK`, and the next token from `:` on, `WALK WALK END`."""
    number = {token: place for place, token in enumerate(TOKENS)}
    questions = [[number[word] for word in command.words] for command in chosen]
    actions = [[number[action] for action in command.actions] for command in chosen]
    return answers.encode(questions, actions, number[SEPARATOR], number[END])
