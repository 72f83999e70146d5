"""simplicity/scan: the published grammar and splits count by count, roles that share no command, telling the end."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

import tasks
from tasks.metrics import IGNORED, exact_match
from tasks.seeds import Draw
from tasks.simplicity import scan as scan_task
from tasks.simplicity.scan import LADDER, Scan, has_bare_jump, has_jump, has_jump_in_one_clause, right_actions
from tasks.sources import answers, scan
from tasks.sources.scan import TOKENS, Command
from tasks.types import Batch, class_logits, load_data

COMMANDS = {command.words: command.actions for command in scan.commands()}
END = TOKENS.index(scan.END)


def load(name: str) -> Scan:
    task = tasks.load(name)
    assert isinstance(task, Scan)
    return task


LENGTH, JUMP = load("simplicity/scan-length-v1"), load("simplicity/scan-jump-v1")


# --- the grammar ----------------------------------------------------------------------------------------------------


def test_the_grammar_has_as_many_phrases_as_the_published_one() -> None:
    assert len(set(scan.verb_phrases())) == len(list(scan.verb_phrases())) == 34
    assert len(set(scan.clauses())) == len(list(scan.clauses())) == 102
    assert len(COMMANDS) == len(scan.commands()) == 102 + 2 * 102**2 == 20_910
    assert len(scan.WORDS) == 13 and len(scan.ACTIONS) == 6
    assert {word for words in COMMANDS for word in words} == set(scan.WORDS)


@pytest.mark.parametrize(
    ("command", "actions"),
    [
        ("jump", "JUMP"),
        ("turn opposite left and look", "LTURN LTURN LOOK"),
        ("walk after run thrice", "RUN RUN RUN WALK"),
        ("jump around left twice", " ".join(["LTURN JUMP"] * 8)),
        ("turn around right and walk left", "RTURN RTURN RTURN RTURN LTURN WALK"),
        ("run opposite right thrice after turn left", "LTURN RTURN RTURN RUN RTURN RTURN RUN RTURN RTURN RUN"),
    ],
)
def test_commands_by_hand(command: str, actions: str) -> None:
    assert COMMANDS[tuple(command.split())] == tuple(actions.split())


def test_turning_without_a_direction_is_no_command() -> None:
    assert all(words[i + 1 : i + 2] != () for words in COMMANDS for i, word in enumerate(words) if word == "turn")
    assert ("turn", "twice") not in COMMANDS and ("turn",) not in COMMANDS


def carried_out(words: tuple[str, ...]) -> tuple[str, ...]:
    """The meaning of a command from its outermost word inwards."""
    if "and" in words:
        joint = words.index("and")
        return carried_out(words[:joint]) + carried_out(words[joint + 1 :])
    if "after" in words:
        joint = words.index("after")
        return carried_out(words[joint + 1 :]) + carried_out(words[:joint])
    match words:
        case (*phrase, "twice"):
            return carried_out(tuple(phrase)) * 2
        case (*phrase, "thrice"):
            return carried_out(tuple(phrase)) * 3
        case (verb, "around", side):
            return carried_out((verb, side)) * 4
        case (verb, "opposite", side):
            return carried_out(("turn", side)) + carried_out((verb, side))
        case ("turn", side):
            return (f"{side[0].upper()}TURN",)
        case (verb, side):
            return carried_out(("turn", side)) + carried_out((verb,))
        case (verb,):
            return (verb.upper(),)
    raise AssertionError(words)


def test_every_command_means_what_taking_it_apart_gives() -> None:
    """Built bottom-up by the generator, read top-down here."""
    assert all(carried_out(words) == actions for words, actions in COMMANDS.items())


# --- the splits -----------------------------------------------------------------------------------------------------


def test_splits_have_the_published_sizes() -> None:
    short = [c for c in scan.commands() if LENGTH.shift.training(c)]
    long = [c for c in scan.commands() if LENGTH.shift.tests["ood"].kind(c)]
    assert (len(short), len(long)) == (16_990, 3_920)
    assert {len(c.actions) for c in long} == {24, 25, 26, 27, 28, 30, 32, 33, 36, 40, 48} >= set(LADDER)
    assert max(len(c.actions) for c in short) == 22
    without = [c for c in scan.commands() if JUMP.shift.training(c)]
    with_jump = [c for c in scan.commands() if JUMP.shift.tests["ood"].kind(c)]
    assert (len(without) + 1, len(with_jump)) == (13_204, 7_706)
    # 14,670 rows in the file: 13,203 distinct ones, and "jump" for the tenth that is left
    assert round(len(without) * 10 / 9) == 14_670


def test_kinds_of_jump_commands() -> None:
    """20 clauses with jump besides the bare word; 81 clauses without it, before or after, in two conjunctions."""
    of_kind = {kind: {c.words for c in scan.commands() if kind(c)} for kind in (has_jump_in_one_clause, has_bare_jump)}
    assert len(of_kind[has_jump_in_one_clause]) == 20
    assert len(of_kind[has_bare_jump]) == 2 * 2 * 81
    assert ("jump", "and", "walk", "left") in of_kind[has_bare_jump]
    for other in ("jump twice", "jump left and walk", "jump and jump", "jump and jump left", "jump"):
        assert tuple(other.split()) not in of_kind[has_bare_jump], other
    assert all(has_jump(Command(words, COMMANDS[words])) for words in set.union(*of_kind.values()))


def read(batch: Batch) -> list[Command]:
    """Commands and actions out of the numbers, the answers out of the targets."""
    found = []
    for x, y in zip(batch.x.tolist(), batch.y.tolist(), strict=True):
        question = x[: x.index(TOKENS.index(scan.SEPARATOR))]
        answer = [token for token in y if token != IGNORED]
        assert answer.pop() == END and y[: len(question) + 1] == [*[IGNORED] * len(question), answer[0]]
        assert x[len(question) + 1 :][: len(answer)] == answer, "the input holds the answer so far"
        found.append(Command(tuple(TOKENS[t] for t in question), tuple(TOKENS[t] for t in answer)))
    return found


@pytest.mark.parametrize("task", [LENGTH, JUMP], ids=lambda task: task.spec.id)
def test_every_row_is_a_command_and_stands_in_one_role(task: Scan) -> None:
    data = load_data(task, "default", Draw(task.spec.id, 0))
    by_role: dict[str, Counter[Command]] = {}
    for split in task.spec.splits:
        by_role.setdefault(split.role, Counter()).update(read(data[split.name]))
    assert all(COMMANDS[command.words] == command.actions for found in by_role.values() for command in found)
    alone = by_role["train"].pop(scan_task.JUMP, 0) if task is JUMP else 0
    roles = ("train", "val", "iid", "ood")
    assert all(max(by_role[role].values()) == 1 for role in roles)
    assert sum(len(by_role[role]) for role in roles) == len(set().union(*(by_role[role] for role in roles)))
    assert alone == (task.spec.problem.n_train / 10 if task is JUMP else 0)
    assert not any(task.shift.training(command) for role in ("ood", "probe") for command in by_role[role])
    assert all(task.shift.training(command) for role in ("train", "val", "iid") for command in by_role[role])


def test_a_tenth_of_every_training_batch_is_the_bare_word() -> None:
    data = load_data(JUMP, "default", Draw(JUMP.spec.id, 1), JUMP.spec.with_role("train"))
    assert [read(batch).count(scan_task.JUMP) / len(batch) for batch in data.values()] == [0.1] * 10


def test_training_batches_are_narrow_where_commands_are_short() -> None:
    widths = [LENGTH.sample("default", s, Draw(LENGTH.spec.id, 0)).x.shape[1] for s in LENGTH.spec.with_role("train")]
    assert widths == sorted(widths) and widths[0] < widths[-1] == LENGTH.spec.problem.input_shape[0]
    rungs = [LENGTH.sample("default", LENGTH.spec.split(f"actions-{n}"), Draw(LENGTH.spec.id, 0)) for n in LADDER]
    assert [(batch.y != IGNORED).sum(1).unique().tolist() for batch in rungs] == [[n + 1] for n in LADDER]


# --- the score ------------------------------------------------------------------------------------------------------


def test_encoding_by_hand() -> None:
    x, y = answers.encode([[1, 2, 3], [1]], [[4, 5], [6]], separator=8, end=9)
    assert x.tolist() == [[1, 2, 3, 8, 4, 5], [1, 8, 6, 9, 9, 9]]
    assert y.tolist() == [[-100, -100, -100, 4, 5, 9], [-100, 6, 9, -100, -100, -100]]


def stops_after(n_actions: int, y: Tensor) -> Tensor:
    """Right logits whose largest from action `n_actions` + 1 on is END, before the right one."""
    outputs = class_logits(y.clamp(min=0), len(TOKENS))
    late = (y != IGNORED).cumsum(1) > n_actions
    outputs[..., END] += 20.0 * late
    return outputs


def test_a_model_that_stops_too_early_has_the_right_actions() -> None:
    draw = Draw(LENGTH.spec.id, 0)
    long, short = (LENGTH.sample("default", LENGTH.spec.split(name), draw) for name in ("ood", "iid"))
    scores = [LENGTH.evaluate(stops_after(22, batch.y), batch) for batch in (long, short)]
    assert [(s["exact_match"], s["right_actions"]) for s in scores] == [(0.0, 1.0), (1.0, 1.0)]
    wrong = class_logits((long.y.clamp(min=0) + 1) % len(TOKENS), len(TOKENS))
    assert right_actions(wrong, long.y) == 0


def test_a_model_that_does_not_stop_has_the_right_actions_by_hand() -> None:
    """Targets 3 END: the first model goes on, the second starts wrongly."""
    y = torch.tensor([[IGNORED, 3, END]])
    goes_on, starts_wrongly = (class_logits(torch.tensor([row]), len(TOKENS)) for row in ([0, 3, 3], [0, 4, END]))
    assert (exact_match(goes_on, y), right_actions(goes_on, y)) == (0, 1)
    assert (exact_match(starts_wrongly, y), right_actions(starts_wrongly, y)) == (0, 0)
