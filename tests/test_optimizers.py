"""The optimizers of the training track: directions by hand and by duality, vanishing gradients, geometry in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines import references
from baselines.algorithms.decaying_adam import DecayingAdam
from baselines.algorithms.steepest_descent import (
    CoordinateDescent,
    NormalizedGD,
    SignDescent,
    SpectralDescent,
    SteepestDescent,
)
from baselines.contract import NotApplicable, build
from baselines.models.hyperplane import Hyperplane
from benchmarks import check
from benchmarks.check_algorithm import inspect_algorithm
from benchmarks.jobs import optimizers, plan
from benchmarks.trial import run_trial
from tasks import registry
from tasks.sources.max_margin import NORMS, Array, Norm, margin, max_margin
from tasks.types import Problem

TRAINING_TRACK = [entry for entry in registry.entries().values() if entry.model]
MatrixNorm = Callable[[list[Tensor]], float]


def with_gradients(*values: list[list[float]] | list[float]) -> list[nn.Parameter]:
    """Parameters at 0 with these gradients."""
    parameters = []
    for value in values:
        gradient = torch.tensor(value)
        parameters.append(nn.Parameter(torch.zeros_like(gradient)))
        parameters[-1].grad = gradient
    return parameters


# --- directions -----------------------------------------------------------------------------------------------------


def moved(kind: type[SteepestDescent], parameters: list[nn.Parameter], lr: float = 1.0) -> list[Tensor]:
    """The parameters after the first step."""
    kind(parameters, lr=lr).step()
    return [parameter.detach() for parameter in parameters]


def test_directions_by_hand() -> None:
    def gradients() -> list[nn.Parameter]:
        return with_gradients([[3.0, 0.0], [0.0, 0.0]], [-4.0])

    expected = {
        NormalizedGD: ([[-0.6, 0.0], [0.0, 0.0]], [0.8]),
        SignDescent: ([[-1.0, 0.0], [0.0, 0.0]], [1.0]),
        CoordinateDescent: ([[0.0, 0.0], [0.0, 0.0]], [1.0]),
        SpectralDescent: ([[-1.0, 0.0], [0.0, 0.0]], [1.0]),
    }
    for kind, (matrix, vector) in expected.items():
        first, second = moved(kind, gradients())
        torch.testing.assert_close(first, torch.tensor(matrix))
        torch.testing.assert_close(second, torch.tensor(vector))


def euclidean(parts: list[Tensor]) -> float:
    return math.sqrt(sum(float(part.square().sum()) for part in parts))


def largest(parts: list[Tensor]) -> float:
    return max(float(part.abs().max()) for part in parts)


def total(parts: list[Tensor]) -> float:
    return sum(float(part.abs().sum()) for part in parts)


def spectral(parts: list[Tensor]) -> float:
    return max(float(torch.linalg.matrix_norm(part, 2)) for part in parts)


def nuclear(parts: list[Tensor]) -> float:
    return sum(float(torch.linalg.matrix_norm(part, "nuc")) for part in parts)


@pytest.mark.parametrize(
    ("kind", "norm", "dual"),
    [
        (NormalizedGD, euclidean, euclidean),
        (SignDescent, largest, total),
        (CoordinateDescent, total, largest),
        (SpectralDescent, spectral, nuclear),
    ],
)
def test_a_step_has_length_one_and_falls_by_the_dual_norm(
    kind: type[SteepestDescent], norm: MatrixNorm, dual: MatrixNorm
) -> None:
    """Steepest: among all steps of length 1 none falls by more than the dual norm of the gradient."""
    generator = torch.Generator().manual_seed(0)
    gradients = [torch.randn(shape, generator=generator) for shape in ((4, 3), (2, 5))]
    parameters = with_gradients(*(gradient.tolist() for gradient in gradients))
    steps = moved(kind, parameters)
    assert norm(steps) == pytest.approx(1, abs=1e-5)
    fall = -sum(float((step * gradient).sum()) for step, gradient in zip(steps, gradients, strict=True))
    assert fall == pytest.approx(dual(gradients), rel=1e-5)


def test_the_size_of_a_gradient_plays_no_part_until_it_is_zero() -> None:
    """1e-44 is below the smallest normal float32, and its square is 0."""
    for kind in (NormalizedGD, SignDescent, CoordinateDescent, SpectralDescent):
        tiny = moved(kind, with_gradients([[1e-44, 0.0], [0.0, 0.0]]))[0]
        assert torch.equal(tiny, moved(kind, with_gradients([[1.0, 0.0], [0.0, 0.0]]))[0])
        assert torch.equal(moved(kind, with_gradients([[0.0, 0.0]]))[0], torch.zeros(1, 2))


def test_parameters_without_a_gradient_stay() -> None:
    idle, (used,) = nn.Parameter(torch.ones(2)), with_gradients([1.0])
    for kind in (NormalizedGD, SignDescent, CoordinateDescent, SpectralDescent):
        kind([idle, used]).step()
        kind([idle]).step()
        assert torch.equal(idle.detach(), torch.ones(2))


def test_step_t_is_one_over_the_root_of_t_long_also_after_a_resumption() -> None:
    (parameter,) = with_gradients([2.0])
    first = SignDescent([parameter], lr=0.5)
    for _ in range(3):
        first.step()
    second = SignDescent([parameter], lr=0.5)
    second.load_state_dict(first.state_dict())
    second.step()
    assert parameter.item() == pytest.approx(-0.5 * sum(t**-0.5 for t in (1, 2, 3, 4)))


def test_adam_with_a_falling_rate_is_adam_at_each_step_s_rate() -> None:
    """Under a constant gradient both moments are exact from the first step: every step is the rate times its sign."""
    (parameter,) = with_gradients([1e-12])
    adam = DecayingAdam([parameter], lr=0.1)
    for _ in range(4):
        adam.step()
    assert parameter.item() == pytest.approx(-0.1 * sum(t**-0.5 for t in (1, 2, 3, 4)), rel=1e-4)
    assert adam.param_groups[0]["lr"] == 0.1


# --- the geometry, in float64 ---------------------------------------------------------------------------------------

D, N, STEPS = 50, 20, 4_000
OWN: dict[Norm, Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]] = {
    "l1": lambda p: CoordinateDescent(p, lr=2.0),
    "l2": lambda p: NormalizedGD(p, lr=1.0),
    "linf": lambda p: SignDescent(p, lr=0.14),
}


def separable() -> Array:
    """y_i x_i (20, 50): x is standard normal, y the sign of x_1 + x_2 + x_3."""
    x = np.random.default_rng(0).standard_normal((N, D))
    signed: Array = np.sign(x[:, :3].sum(1, keepdims=True)) * x
    return signed


@pytest.mark.parametrize("norm", NORMS)
def test_each_steepest_descent_finds_the_largest_margin_of_its_own_norm_and_of_no_other(norm: Norm) -> None:
    signed = separable()
    model = Hyperplane(Problem("vector", (D,), "classes", 2, N)).double()
    optimizer, x, y = OWN[norm](model.parameters()), torch.tensor(signed), torch.ones(N, dtype=torch.int64)
    for _ in range(STEPS):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    w = model.weight.detach().numpy()[0]
    for other in NORMS:
        ratio = margin(signed, w, other) / margin(signed, max_margin(signed, other), other)
        assert 0.985 <= ratio <= 1 + 1e-9 if other == norm else ratio < 0.9


# --- the track ------------------------------------------------------------------------------------------------------


def test_a_hyperplane_starts_at_zero_and_has_the_logistic_loss() -> None:
    model = Hyperplane(Problem("vector", (3,), "classes", 2, 4))
    assert not model.weight.any()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 0.5]]))
    x, y = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]), torch.tensor([1, 1])
    expected = torch.log1p(torch.exp(-torch.tensor([2.0, -2.0])))
    torch.testing.assert_close(functional.cross_entropy(model(x), y, reduction="none"), expected)
    values = Hyperplane(Problem("vector", (3,), "values", 1, 4))
    assert values(x).shape == (2, 1)


@pytest.mark.parametrize(("kind", "n_outputs"), [("classes", 3), ("values", 2)])
def test_a_hyperplane_is_skipped_where_one_does_not_do(kind: str, n_outputs: int) -> None:
    with pytest.raises(NotApplicable, match="one hyperplane"):
        build(Hyperplane, Problem("vector", (3,), kind, n_outputs, 4), {}, 0)  # type: ignore[arg-type]


def test_every_special_optimizer_is_compared_and_no_model_or_algorithm_of_the_usual_list_is_special() -> None:
    assert {reference.name for reference in optimizers()} >= {"erm", "normalized-gd", "sign-descent", "adam-decaying"}
    for kind in ("model", "algorithm"):
        assert not any(reference.special for reference in references.select([], kind))


@pytest.mark.parametrize("entry", TRAINING_TRACK, ids=lambda entry: entry.id)
def test_the_model_of_a_training_track_is_registered_and_keeps_the_task_s_recipe(entry: registry.Entry) -> None:
    model = references.registered()[entry.model]
    assert not hasattr(references.load_class(model), "recipe")


OWN_OPTIMIZER = '''
import torch


class Mine(torch.optim.Optimizer):
    """Gradient descent."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(group["lr"] * parameter.grad)


class Still(Mine):
    """Moves nothing."""

    def step(self, closure=None):
        pass
'''


def test_an_optimizer_of_one_s_own_is_gradient_descent_if_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN_OPTIMIZER)
    words = ["erm", f"{tmp_path / 'mine.py'}:Mine", "torch.optim:SGD"]
    entries = registry.select(["solutions/margin-v1"])
    jobs = plan(entries, [], references.select(words, "algorithm"), 1, 0.02)
    records = [run_trial(job) for job in jobs]
    assert [record.status for record in records] == ["ok"] * 3
    for record in records[1:]:
        assert record.last["stencil"]["l2"] == pytest.approx(records[0].last["stencil"]["l2"], rel=1e-4)


def test_the_check_knows_an_optimizer_and_one_that_moves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN_OPTIMIZER)
    mine, still = (
        references.load_class(references.submitted(f"{tmp_path / 'mine.py'}:{n}")) for n in ("Mine", "Still")
    )
    assert check.is_algorithm(mine)
    findings = list(inspect_algorithm(mine, {}))
    assert all(finding.verdict == "ok" for finding in findings)
    assert "an optimizer of the mean loss" in {finding.detail for finding in findings}
    assert {f.detail for f in inspect_algorithm(still, {}) if f.verdict == "broken"} == {
        "no parameter has a gradient, or the optimizer moves none"
    }
