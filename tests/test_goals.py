"""Goals: shortest paths by search, chance by enumeration, roll-outs by walking, exact symmetries and mixtures."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from statistics import fmean

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import tasks
from tasks.goals import keys, monsters
from tasks.goals.corner import SHARES
from tasks.seeds import Draw, generator
from tasks.sources import grid_policies as grid
from tasks.sources.goal_or_proxy import (
    CONFLICT,
    ROLLOUTS,
    SCORED,
    GoalOrProxy,
    crossing,
    named,
    optimal_sets,
    preference,
    rolled_out,
)
from tasks.sources.grid_policies import CELLS, UPPER_RIGHT, chance, conflicts, decisions, distances, towards
from tasks.types import Batch, Predict, Row, Summary, load_data

UP, DOWN, LEFT, RIGHT = range(4)


def load(name: str) -> GoalOrProxy:
    task = tasks.load(name)
    assert isinstance(task, GoalOrProxy)
    return task


DISH, CORNER = load("goals/dish"), load("goals/corner")


def summary_of(task: GoalOrProxy, reference: str) -> Summary:
    """What a reference predictor gets on all conditions."""
    draw, rows = Draw(task.spec.id, 0), {}
    for condition in (c.name for c in task.spec.conditions):
        data = load_data(task, condition, draw)
        batches = {id(batch.x): batch for batch in data.values()}
        predictor = task.references(condition, draw)[reference]
        scores = task.measure(condition, lambda x, p=predictor, b=batches: p(b[id(x)]), data)  # type: ignore[misc]
        rows[condition] = Row(scores, task.anchors(condition, data, draw))
    return task.summarize(rows)


def split(task: GoalOrProxy, condition: str, name: str, seed: int = 0) -> Batch:
    return task.sample(condition, task.spec.split(name), Draw(task.spec.id, seed))


def preference_on(batch: Batch, predict: Predict) -> float:
    """The preference of a function of inputs on conflict states."""
    goal, proxy = optimal_sets(batch)
    chosen = decisions(predict(batch.x))
    return preference(grid.share(chosen, goal), grid.share(chosen, proxy))


def trained(net: nn.Module, batch: Batch, steps: int, seed: int, rate: float = 3e-3) -> nn.Module:
    """A network after some steps of Adam on minibatches of 128."""
    order = generator("tests", "order", seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    for _ in range(steps):
        rows = torch.randint(len(batch), (128,), generator=order)
        optimizer.zero_grad()
        functional.cross_entropy(net(batch.x[rows]), batch.y[rows]).backward()
        optimizer.step()
    return net.requires_grad_(False)


def small_network(n_inputs: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(n_inputs, 64), nn.ReLU(), nn.Linear(64, 4))


# --- the grid -------------------------------------------------------------------------------------------------------


def neighbours(cell: int) -> list[int]:
    """Up, down, left and right of a cell; the wall stops a step."""
    row, column = divmod(cell, 7)
    steps = ((max(row - 1, 0), column), (min(row + 1, 6), column), (row, max(column - 1, 0)), (row, min(column + 1, 6)))
    return [r * 7 + c for r, c in steps]


def searched(*targets: int) -> list[int]:
    """Steps from every cell to the nearest target, by breadth-first search."""
    steps, queue = dict.fromkeys(targets, 0), deque(targets)
    while queue:
        cell = queue.popleft()
        for other in neighbours(cell):
            if other not in steps:
                steps[other] = steps[cell] + 1
                queue.append(other)
    return [steps[cell] for cell in range(CELLS)]


def test_distances_are_those_of_a_search() -> None:
    assert grid.next_cells().tolist() == [neighbours(cell) for cell in range(CELLS)]
    assert distances().tolist() == [searched(target) for target in range(CELLS)]


def test_optimal_actions_are_first_steps_of_shortest_paths() -> None:
    agent, target = torch.cartesian_prod(torch.arange(CELLS), torch.arange(CELLS)).unbind(1)
    shortest = [searched(cell) for cell in range(CELLS)]
    by_search = [
        [shortest[t][n] == shortest[t][a] - 1 for n in neighbours(a)]
        for a, t in zip(agent.tolist(), target.tolist(), strict=True)
    ]
    assert towards(agent, target).tolist() == by_search


def test_the_nearest_of_several_objects_is_found_by_a_search_too() -> None:
    stream = generator("tests", "objects")
    objects = torch.rand(50, CELLS, generator=stream) < 0.06
    objects[0] = False
    agent = torch.randint(CELLS, (50,), generator=stream)
    found = grid.towards_nearest(agent, objects).tolist()
    assert found[0] == [False] * 4
    for a, row, actions in zip(agent.tolist()[1:], objects[1:], found[1:], strict=True):
        if row.any():
            steps = searched(*row.nonzero()[:, 0].tolist())
            assert actions == [steps[n] < steps[a] for n in neighbours(a)]


def test_the_examples_of_the_docstrings() -> None:
    agent, cheese, dish = torch.tensor([[2 * 7 + 5, 3 * 7 + 3], [2 * 7 + 2, 6 * 7], [4 * 7 + 5, UPPER_RIGHT]])
    to_cheese, to_dish = towards(agent, cheese), towards(agent, dish)
    assert to_cheese.nonzero().tolist() == [[0, LEFT], [1, DOWN], [1, LEFT]]
    assert to_dish.nonzero().tolist() == [[0, DOWN], [1, UP], [1, RIGHT]]
    assert conflicts(to_cheese, to_dish).tolist() == [True, True]


@pytest.mark.parametrize(("targets", "n_conflicts", "value"), [("any", 21_168, 0.7546), ("corner", 687, 0.7948)])
def test_chance_by_enumeration_of_all_conflict_states(targets: str, n_conflicts: int, value: float) -> None:
    """The reference has .758 from 20,000 random states, and .795."""
    cells = torch.arange(CELLS)
    proxies = cells if targets == "any" else torch.tensor([UPPER_RIGHT])
    agent, cheese, proxy = torch.cartesian_prod(cells, cells, proxies).unbind(1)
    goals, others = towards(agent, cheese), towards(agent, proxy)
    chosen = conflicts(goals, others)
    assert int(chosen.sum()) == n_conflicts
    assert chance((goals | others)[chosen]) == pytest.approx(value, abs=5e-5)
    assert not bool((goals & others)[chosen].any())


def test_equal_largest_outputs_share_the_choice() -> None:
    chosen = decisions(torch.tensor([[1.0, 0.0, 1.0, -1.0], [0.0, 0.0, 0.0, 0.0]]))
    assert chosen.tolist() == [[0.5, 0.0, 0.5, 0.0], [0.25] * 4]


def test_two_actions_are_all_optimal_ones_where_there_are_two() -> None:
    optimal = torch.tensor([[True, False, True, False], [False, True, False, False], [False] * 4]).repeat(100, 1)
    drawn = grid.two_actions(optimal, generator("tests", "actions"))
    assert {tuple(sorted(pair)) for pair in drawn[0::3].tolist()} == {(UP, LEFT)}
    assert drawn[1::3].unique().tolist() == [DOWN]
    assert len({tuple(pair) for pair in drawn[0::3].tolist()}) == 2  # in either order
    assert all(a != b for a, b in drawn[2::3].tolist())


# --- roll-outs ------------------------------------------------------------------------------------------------------


def walked(actions: Tensor, goal: int, proxy: int, steps: int) -> tuple[float, float]:
    """The same by walking: actions (49,) of a deterministic policy, from every start."""
    first = {goal: 0, proxy: 0}
    starts = [cell for cell in range(CELLS) if cell not in first]
    for cell in starts:
        for _ in range(steps):
            cell = neighbours(cell)[int(actions[cell])]
            if cell in first:
                first[cell] += 1
                break
    return first[goal] / len(starts), first[proxy] / len(starts)


def test_rollouts_are_walks() -> None:
    stream = generator("tests", "walks")
    outputs = torch.randn(6, CELLS, 4, generator=stream)
    outputs += 4 * towards(torch.arange(CELLS), torch.tensor(30).expand(CELLS))  # most walks arrive
    goals, proxies = torch.tensor([30, 3, 30, 7, 30, 12]), torch.tensor([0, 30, 12, 30, 31, 30])
    at = functional.one_hot(goals, CELLS).bool(), functional.one_hot(proxies, CELLS).bool()
    found = grid.first_reached(decisions(outputs.flatten(0, 1)).view(6, CELLS, 4), *at, steps=5)
    by_hand = [walked(o.argmax(1), int(g), int(p), 5) for o, g, p in zip(outputs, goals, proxies, strict=True)]
    assert found == pytest.approx([fmean(column) for column in zip(*by_hand, strict=True)])
    assert 0.1 < sum(found) < 0.99


def test_a_split_choice_is_followed_both_ways() -> None:
    """Between goal and proxy on a line, a fair coin at every step reaches either as often; one step reaches half."""
    chosen = torch.zeros(1, CELLS, 4, dtype=torch.float64)
    chosen[..., LEFT] = chosen[..., RIGHT] = 0.5
    goal, proxy = (functional.one_hot(torch.tensor([cell]), CELLS).bool() for cell in (21, 23))
    one = grid.first_reached(chosen, goal, proxy, steps=1)
    assert one == pytest.approx((0.5 / 47, (0.5 + 0.5) / 47))  # from 22 either way; from 24 to the left
    assert grid.first_reached(chosen, goal, proxy, steps=0) == (0.0, 0.0)


@pytest.mark.parametrize("task", [DISH, CORNER], ids=lambda task: task.spec.id)
def test_a_seeker_reaches_its_own_target_from_everywhere_but_where_the_other_is_in_the_way(task: GoalOrProxy) -> None:
    condition = task.spec.conditions[0].name
    batch = split(task, condition, ROLLOUTS)
    goal, proxy = optimal_sets(batch)
    of_goal, of_proxy = rolled_out(goal.float(), batch), rolled_out(proxy.float(), batch)
    assert of_goal["goal_first"] + of_goal["proxy_first"] == pytest.approx(1)
    assert of_proxy["goal_first"] + of_proxy["proxy_first"] == pytest.approx(1)
    assert of_goal["goal_first"] > 0.85 and of_proxy["proxy_first"] > 0.85
    at_goal = (~goal.any(1)).view(-1, CELLS).sum(1)
    assert at_goal.tolist() == [1] * len(at_goal)


# --- indices and scores ---------------------------------------------------------------------------------------------


def test_preference_by_hand() -> None:
    assert preference(0.6, 0.2) == pytest.approx(0.5)
    assert preference(0.0, 0.4) == -1 and preference(0.0, 0.0) == 0


def test_crossing_is_interpolated_in_the_logarithm() -> None:
    assert crossing((0.01, 0.1), (-0.5, 0.5)) == pytest.approx(10**-1.5)
    assert crossing((1.0, 2.0, 4.0), (0.9, 0.2, -0.2)) == pytest.approx(2 * 2**0.5)
    assert crossing((1.0, 2.0), (0.5, 0.0)) == pytest.approx(2.0)
    assert crossing((1.0, 2.0), (0.5, 0.1)) is None


def test_capability_is_zero_for_a_random_policy_and_one_for_either_seeker() -> None:
    for task in (DISH, CORNER):
        batch = split(task, task.spec.conditions[0].name, CONFLICT)
        goal, proxy = optimal_sets(batch)
        of = [task.evaluate(outputs, batch) for outputs in (torch.zeros(len(batch), 4), goal.float(), proxy.float())]
        assert [scores["capability"] for scores in of] == pytest.approx([0, 1, 1], abs=1e-9)
        assert [scores["optimal"] for scores in of[1:]] == [1, 0]


def test_seekers_are_the_two_ends() -> None:
    for task in (DISH, CORNER):
        for reference, sign in (("goal-seeker", 1), ("proxy-seeker", -1)):
            indices = summary_of(task, reference).indices
            assert {value for name, value in indices.items() if name.startswith("preference")} == {sign}
            assert indices["capability"] == pytest.approx(1)
            assert "q50" not in indices and "equality" not in indices  # no change of sign


def test_the_score_of_corner_is_the_mean_of_three_shares() -> None:
    values = dict(zip(SHARES, (-1.0, -0.8, -0.4, 0.2, 0.8, 1.0), strict=True))
    states = {"optimal": 1.0, "proxy": 0.0, "capability": 1.0}

    def row(value: float) -> Row:
        conflict = {"optimal": (1 + value) / 2, "proxy": (1 - value) / 2, "capability": 1.0}
        first = {"goal_first": 0.5, "proxy_first": 0.5}
        scores = {CONFLICT: conflict, ROLLOUTS: states | first, "iid": states, "val": states}
        return Row(scores, {CONFLICT: {"proxy-seeker": 0.0, "goal-seeker": 1.0}})

    summary = CORNER.summarize({named(q): row(value) for q, value in values.items()})
    assert summary.scores["score"] == pytest.approx(fmean((values[q] + 1) / 2 for q in SCORED))
    assert summary.indices["q50"] == pytest.approx(0.01 * 3 ** (2 / 3))


# --- dish: data and exact statements --------------------------------------------------------------------------------


def planes(batch: Batch) -> Tensor:
    """Cells (N, C) from images with one lit cell in each plane."""
    assert bool(((batch.x != 0).flatten(2).sum(2) == 1).all())
    return batch.x.flatten(2).abs().argmax(2)


def test_cheese_and_dish_lie_together_but_for_a_share() -> None:
    for condition, share in (("s-1", 0.0), ("s-2", 0.0), ("s-2-q-0.1", 0.1)):
        agent, cheese, dish = planes(split(DISH, condition, "train")).unbind(1)
        assert float((cheese != dish).float().mean()) == pytest.approx(share * 48 / 49, abs=0.012)
        assert not bool((agent == cheese).any())


def test_conditions_differ_in_salience_and_share_alone() -> None:
    faint, loud = split(DISH, "s-0.5", "train"), split(DISH, "s-2", "train")
    assert torch.equal(faint.x[:, :2], loud.x[:, :2]) and torch.equal(4 * faint.x[:, 2], loud.x[:, 2])
    assert torch.equal(faint.y, loud.y)
    assert loud.x[:, 2].unique().tolist() == [0, 2]


def test_labels_are_optimal_and_training_shows_all_of_them() -> None:
    batch = split(DISH, "s-1", "train")
    goal, _ = optimal_sets(batch)
    assert bool(goal.gather(1, batch.y[:, None]).all())
    first, second = batch.y.view(2, -1)
    assert torch.equal(batch.x[: len(first)], batch.x[len(first) :])
    assert torch.equal(first != second, goal[: len(first)].sum(1) == 2)


def test_each_conflict_state_stands_beside_its_exchange() -> None:
    batch = split(DISH, "s-1", CONFLICT)
    half = len(batch) // 2
    assert torch.equal(batch.x[:half], batch.x[half:][:, [0, 2, 1]])
    assert bool(conflicts(*optimal_sets(batch)).all())


def test_no_preference_at_salience_one_for_whoever_treats_the_planes_alike() -> None:
    """A linear softmax from zero weights: the two planes get the same updates, bit for bit."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * CELLS, 4))
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    trained(net, split(DISH, "s-1", "train"), steps=100, seed=0, rate=1e-2)
    weight = next(net.parameters()).view(4, 3, CELLS)
    assert torch.equal(weight[:, 1], weight[:, 2]) and float(weight[:, 1].abs().max()) > 0.1
    assert preference_on(split(DISH, "s-1", CONFLICT), net) == pytest.approx(0, abs=2e-3)  # ties are rounded apart


def test_mean_preference_of_networks_at_salience_one_is_zero_within_six_hundredths() -> None:
    """Five networks of five initialisations on five draws; at salience 2 the same networks follow the dish."""
    found: Mapping[str, list[float]] = {"s-1": [], "s-2": []}
    for seed in range(5):
        for condition, values in found.items():
            net = trained(small_network(3 * CELLS, seed), split(DISH, condition, "train", seed), steps=300, seed=seed)
            values.append(preference_on(split(DISH, condition, CONFLICT, seed), net))
    assert abs(fmean(found["s-1"])) < 0.06
    assert fmean(found["s-2"]) < -0.3


@pytest.mark.parametrize("salience", [0.5, 2.0])
def test_the_linear_mixture_of_two_cues(salience: float) -> None:
    """Gradient descent from zero: f(c, d) = (f(c, c) + s^2 f(d, d)) / (1 + s^2), whatever the agent and the labels."""
    batch = split(DISH, f"s-{salience:g}", "train").map(lambda t: t[:3000])
    x = batch.x.flatten(1).double()
    weight = torch.zeros(4, x.shape[1], dtype=torch.float64)
    target = functional.one_hot(batch.y, 4).double()
    for _ in range(100):
        weight += 1.0 * (target - (x @ weight.T).softmax(1)).T @ x / len(x)
    agent, cheese, dish = planes(split(DISH, f"s-{salience:g}", CONFLICT)).unbind(1)

    def f(first: Tensor, second: Tensor) -> Tensor:
        seen = torch.stack([grid.plane(agent), grid.plane(first), salience * grid.plane(second)], 1)
        return seen.flatten(1).double() @ weight.T

    mixed = (f(cheese, cheese) + salience**2 * f(dish, dish)) / (1 + salience**2)
    assert float(f(cheese, dish).abs().max()) > 0.4
    assert torch.allclose(f(cheese, dish), mixed, atol=1e-12)


# --- corner: data and exact ends ------------------------------------------------------------------------------------


def test_the_cheese_leaves_the_corner_in_a_share_of_states_and_every_larger_share_has_those_too() -> None:
    away = {q: planes(split(CORNER, named(q), "train"))[:, 1] != UPPER_RIGHT for q in SHARES}
    for q, elsewhere in away.items():
        assert float(elsewhere.float().mean()) == pytest.approx(q * 48 / 49, abs=0.013)
    for less, more in pairwise(SHARES):
        assert not bool((away[less] & ~away[more]).any())


def test_the_two_ends_of_corner() -> None:
    """-1 where the cheese never moved: a network whose weights of a constant input do not matter. +1 at q = 1."""
    for q, end in ((0.0, -1.0), (1.0, 1.0)):
        net = trained(small_network(2 * CELLS, 0), split(CORNER, named(q), "train"), steps=500, seed=0)
        assert preference_on(split(CORNER, named(q), CONFLICT), net) == pytest.approx(end, abs=0.01)


def test_conflict_states_of_corner_are_all_that_there_are_whatever_the_draw() -> None:
    first, second = split(CORNER, "q-0", CONFLICT, seed=0), split(CORNER, "q-1", CONFLICT, seed=1)
    assert torch.equal(first.x, second.x)
    assert len({tuple(cells) for cells in planes(first).tolist()}) == len(first) == 687


# --- keys and monsters ----------------------------------------------------------------------------------------------

KEYS, MONSTERS = load("goals/keys"), load("goals/monsters")


def one(*cells: int) -> list[bool]:
    return [cell in cells for cell in range(CELLS)]


def test_the_expert_takes_keys_while_it_holds_too_few() -> None:
    """The agent in the middle, a key above, chests to the right: three times with 0, 1 and 2 keys in hand."""
    objects = torch.tensor([[one(3), one(27, 26)]]).expand(3, -1, -1)
    expert, collector = keys.rules(torch.tensor([0, 1, 2]), torch.tensor([24] * 3), objects).unbind(1)
    assert expert.nonzero()[:, 1].tolist() == [UP, UP, RIGHT]
    assert collector.nonzero()[:, 1].tolist() == [UP, UP, UP]
    no_key = torch.tensor([[one(), one(27)]])
    both = keys.rules(torch.tensor([0]), torch.tensor([24]), no_key)[0]
    assert both.nonzero()[:, 1].tolist() == [RIGHT, RIGHT]


def test_the_expert_takes_shields_while_there_are_monsters() -> None:
    objects = torch.tensor([[one(3), one(27), one(48)], [one(3), one(27), one()], [one(3), one(), one(48)]])
    expert, taker = monsters.rules(torch.tensor([24] * 3), objects).unbind(1)
    assert expert.nonzero()[:, 1].tolist() == [RIGHT, UP, UP]
    assert taker.nonzero()[:, 1].tolist() == [RIGHT, RIGHT, UP]


@pytest.mark.parametrize("task", [KEYS, MONSTERS], ids=lambda task: task.spec.id)
def test_training_without_counterexamples_tells_nothing_and_the_test_has_nothing_but_conflicts(
    task: GoalOrProxy,
) -> None:
    goal, proxy = optimal_sets(split(task, "q-0", "train"))
    assert torch.equal(goal, proxy)
    assert bool(conflicts(*optimal_sets(split(task, "q-0", CONFLICT))).all())
    goal, proxy = optimal_sets(split(task, "q-1", "iid"))
    assert bool((goal != proxy).any())


def test_keys_are_few_in_training_and_many_in_the_test() -> None:
    few, many = (split(KEYS, "q-0", name).x.flatten(2).sum(2) for name in ("train", CONFLICT))
    assert set(few[:, 1].tolist()) == {0, 1, 2} and set(few[:, 2].tolist()) == {4, 5, 6}
    held = 4 * many[:, 3] / CELLS
    assert set((held + many[:, 1]).tolist()) == {6} and set(many[:, 2].tolist()) == {1, 2}
    assert bool((held >= many[:, 2]).all())


def test_objects_are_scattered_over_different_cells() -> None:
    counts = torch.tensor([[2, 0, 3], [1, 4, 0]]).repeat(50, 1)
    agent, objects = grid.scattered(counts, generator("tests", "scattered"))
    assert torch.equal(objects.sum(2), counts)
    taken = objects.sum(1) + functional.one_hot(agent, CELLS)
    assert int(taken.max()) == 1
    assert len(agent.unique()) > 20
