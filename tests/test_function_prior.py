"""simplicity/function-prior: Lempel-Ziv complexity by hand, the prior of one architecture, and fresh instances."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from statistics import fmean, stdev

import pytest
import torch
from torch import Tensor

import tasks
from baselines.references import select
from benchmarks.jobs import plan
from benchmarks.trial import run_trial
from tasks import registry
from tasks.seeds import Draw
from tasks.simplicity.function_prior import INSTANCES, RANDOM_COMPLEXITY, bit_string, every_input, statistics
from tasks.sources.complexity import complexity, phrases
from tasks.types import Predict, Predictor, Row, Trained, load_data

TASK = tasks.load("simplicity/function-prior-v1")
NETS = 2_000


def truth_table(function: Callable[[Tensor], Tensor]) -> str:
    """A Boolean function of the input bits (128, 7) as a string."""
    return "".join(str(int(bit)) for bit in function(every_input()))


# --- complexity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("string", "count"),
    [
        ("0", 1),
        ("01", 2),
        ("0000", 2),  # 0, and an incomplete 000
        ("0101010101", 3),  # 0, 1, 010101...
        ("0001101001000101", 6),  # 0, 001, 10, 100, 1000, 101
        ("10010001", 5),  # 1, 0, 01, 000, and an incomplete 1
    ],
)
def test_phrases_by_hand(string: str, count: int) -> None:
    assert phrases(string) == count


def test_phrases_are_those_of_the_definition_on_random_strings() -> None:
    """Phrase by phrase: its length is one more than the longest match that starts earlier and may overlap it."""

    def longest_match(s: str, here: int) -> int:
        def match(there: int) -> int:
            length = 0
            while here + length < len(s) and s[there + length] == s[here + length]:
                length += 1
            return length

        return max((match(there) for there in range(here)), default=0)

    def count(s: str) -> int:
        here = total = 0
        while here < len(s):
            here, total = here + longest_match(s, here) + 1, total + 1
        return total

    draw = random.Random(0)
    for length in (1, 2, 7, 40, 128):
        for ones in (0.1, 0.5):
            s = "".join("1" if draw.random() < ones else "0" for _ in range(length))
            assert phrases(s) == count(s), s


@pytest.mark.parametrize(
    ("name", "function", "expected"),
    [
        ("constant", lambda x: torch.ones(128), 7.0),
        ("first bit", lambda x: x[:, 0], 21.0),
        ("last bit", lambda x: x[:, 6], 21.0),
        ("a bit between", lambda x: x[:, 3], 28.0),
        ("first and last", lambda x: x[:, 0] * x[:, 6], 24.5),
        ("last two", lambda x: x[:, 5] * x[:, 6], 24.5),
        ("first two", lambda x: x[:, 0] * x[:, 1], 21.0),
    ],
)
def test_complexity_of_simple_functions(name: str, function: Callable[[Tensor], Tensor], expected: float) -> None:
    assert complexity(truth_table(function)) == expected


def test_complexity_is_that_of_the_string_read_either_way() -> None:
    string = "0001" * 32
    assert complexity(string) == complexity(string[::-1]) == 7 * (phrases(string) + phrases(string[::-1])) / 2
    assert phrases(string) != phrases(string[::-1])


def test_fair_coins_have_the_complexity_that_is_called_random() -> None:
    """Within three standard errors of 2,000 strings."""
    draw = random.Random(1)
    values = [complexity(f"{draw.getrandbits(128):0128b}") for _ in range(NETS)]
    assert fmean(values) == pytest.approx(RANDOM_COMPLEXITY, abs=3 * stdev(values) / math.sqrt(NETS))


# --- the prior of one architecture ----------------------------------------------------------------------------------


def random_functions(
    activation: Callable[[Tensor], Tensor], sigma_w: float, sigma_b: float, inputs: Tensor
) -> list[str]:
    """Functions of 2,000 networks 7-40-40-1 with weights N(0, sigma_w^2 / fan_in) and biases N(0, sigma_b^2)."""
    generator = Draw("test", 0).generator("networks")

    def layer(x: Tensor, fan_out: int) -> Tensor:
        fan_in = x.shape[-1]
        weights = torch.randn(NETS, fan_out, fan_in, generator=generator) * sigma_w / math.sqrt(fan_in)
        biases = torch.randn(NETS, 1, fan_out, generator=generator) * sigma_b
        return torch.einsum("rbi,roi->rbo", x, weights) + biases

    hidden = activation(layer(inputs.expand(NETS, *inputs.shape), 40))  # (R, 128, 40)
    output = layer(activation(layer(hidden, 40)), 1)[..., 0]  # (R, 128)
    return ["".join("01"[bit] for bit in row) for row in (output > 0).tolist()]


@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b", "centred", "p_constant", "mean", "minority"),
    [
        (torch.relu, 1.0, 1.0, False, 0.727, 22.6, 0.050),
        (torch.relu, 1.0, 1.0, True, 0.520, 36.7, None),
        (torch.tanh, 1.0, 1.0, False, 0.739, 22.2, None),
        (torch.tanh, 8.0, 0.2, False, 0.000, 117.6, None),
    ],
    ids=["relu", "relu-centred", "tanh", "tanh-chaotic"],
)
def test_the_prior_of_the_papers_network(
    activation: Callable[[Tensor], Tensor],
    sigma_w: float,
    sigma_b: float,
    centred: bool,
    p_constant: float,
    mean: float,
    minority: float | None,
) -> None:
    """Within three standard errors of a difference: 2,000 networks here, 10,000 there, and the digits printed."""
    inputs = every_input().float()
    functions = random_functions(activation, sigma_w, sigma_b, 2 * inputs - 1 if centred else inputs)
    found = statistics(functions)
    errors = math.sqrt(1 / NETS + 1 / 10_000)
    spread = stdev(complexity(f) for f in functions)
    assert found["complexity"] == pytest.approx(mean, abs=3 * spread * errors + 0.05)
    binomial = math.sqrt(p_constant * (1 - p_constant))
    assert found["p_constant"] == pytest.approx(p_constant, abs=3 * binomial * errors + 0.0005)
    if minority is not None:
        spread = stdev(min(f.count("0"), f.count("1")) / 128 for f in functions)
        assert found["minority"] == pytest.approx(minority, abs=3 * spread * errors + 0.0005)


# --- the measure ----------------------------------------------------------------------------------------------------


def test_inputs_are_in_lexicographic_order() -> None:
    x = every_input().tolist()
    assert x == sorted(x)
    assert x[1] == [0, 0, 0, 0, 0, 0, 1] and x[64] == [1, 0, 0, 0, 0, 0, 0]


def test_a_bit_is_whether_the_second_logit_is_the_larger() -> None:
    assert bit_string(torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [-3.0, -2.0]])) == "1001"


def test_statistics_of_four_functions_by_hand() -> None:
    """0, 001 and 1, 0, 00 make K = 5; 0, 1, 10 either way makes 6."""
    found = statistics(["0000", "1111", "0001", "0110"])
    assert found == pytest.approx(
        {
            "complexity": (2 + 2 + 5 + 6) / 4,
            "median_complexity": 3.5,
            "p_constant": 0.5,
            "minority": (0 + 0 + 0.25 + 0.5) / 4,
            "entropy": 1.5,
        }
    )


def test_a_plain_function_stands_for_itself() -> None:
    draw = Draw(TASK.spec.id, 0)
    data = load_data(TASK, "default", draw)
    batch_of = {id(batch.x): batch for batch in data.values()}
    found = {}
    for name, predictor in TASK.references("default", draw).items():

        def predict(x: Tensor, predictor: Predictor = predictor) -> Tensor:
            return predictor(batch_of[id(x)])

        scores = TASK.measure("default", predict, data)
        found[name] = TASK.summarize({"default": Row(scores, {})}).indices
    assert found["constant"]["simplicity"] == pytest.approx(1 - 7 / RANDOM_COMPLEXITY) == TASK.spec.axes[0].ends[1]
    assert found["constant"]["p_constant"] == 1
    assert found["one_input"]["simplicity"] == pytest.approx(1 - 21 / RANDOM_COMPLEXITY)
    assert found["one_input"]["minority"] == 0.5
    assert abs(found["random"]["simplicity"]) < 3 * 6.1 / RANDOM_COMPLEXITY  # K of coins has a deviation of 6.1


def test_fresh_instances_are_measured_and_the_trained_model_is_not() -> None:
    """Every fifth instance is the first bit, the others are constant."""

    def fresh(number: int) -> Predict:
        return lambda x: torch.stack([torch.zeros(len(x)), x[:, 0] * (number % 5 == 0)], dim=1)

    def trained(x: Tensor) -> Tensor:
        raise AssertionError("the model itself was asked")

    data = load_data(TASK, "default", Draw(TASK.spec.id, 0))
    summary = TASK.summarize({"default": Row(TASK.measure("default", Trained(trained, fresh, trained), data), {})})
    assert summary.trained
    assert summary.indices["p_constant"] == pytest.approx(0.8)
    assert summary.iid == pytest.approx(0.8 * 7 + 0.2 * 21)
    assert INSTANCES % 5 == 0


def test_instances_differ_between_trial_seeds_and_repeat_within_one() -> None:
    entry = registry.entries()[TASK.spec.id]
    first, second = plan([entry], select(["mlp"]), select(["erm"], "algorithm"), seeds=2, budget_scale=1.0)
    scores = [run_trial(job).scores["iid"] for job in (first, first, second)]
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]
    assert 0 < scores[0]["p_constant"] < 1
