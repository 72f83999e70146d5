"""The training algorithms: each against a slow formula of its own, and one contract over the registry."""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from baselines import contract, references
from baselines.algorithm import Algorithm, Training, check_needs, completed, features_of
from baselines.algorithms.and_mask import ANDMask
from baselines.algorithms.coral import CORAL
from baselines.algorithms.erm import ERM
from baselines.algorithms.fishr import Fishr
from baselines.algorithms.group_balance import GroupReweight, GroupSubsample
from baselines.algorithms.group_dro import GroupDRO
from baselines.algorithms.iga import IGA
from baselines.algorithms.importance_weighting import ImportanceWeighting
from baselines.algorithms.irm import IRM
from baselines.algorithms.last_layer import LastLayer
from baselines.algorithms.mixup import Mixup
from baselines.algorithms.sam import SAM
from baselines.algorithms.spectral_decoupling import SpectralDecoupling
from baselines.algorithms.vrex import VREx
from baselines.contract import NotApplicable
from baselines.logistic import logistic_regression, standardization
from tasks.types import Batch, Problem

CLASSES = Problem("vector", (3,), "classes", 3, 14)
VALUES = Problem("vector", (3,), "values", 2, 14)
NAMES = {
    "erm", "irm", "vrex", "group-dro", "coral", "mixup", "sd", "sam", "iga", "and-mask", "fishr", "group-reweight",
    "group-subsample", "dfr", "iw-erm",
}  # fmt: skip
STEPS = 10
LATE = STEPS - 1  # after every warm-up


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(problem: Problem, seed: int = 0, n: int = 14) -> Batch:
    """Examples of environments 1 (five in fourteen) and 4, and of two unequal groups, in float64."""
    g = generator(seed)
    x = torch.randn(n, *problem.input_shape, generator=g, dtype=torch.float64)
    labels = torch.randint(problem.n_outputs, (n,), generator=g)
    values = torch.randn(n, problem.n_outputs, generator=g, dtype=torch.float64)
    env = torch.tensor([1, 4, 4, 1, 4, 4, 1, 4, 4, 1, 4, 4, 1, 4]).repeat(math.ceil(n / 14))[:n]
    return Batch(x, labels if problem.output_kind == "classes" else values, env=env, group=(env == 1).long() + 2)


def network(problem: Problem, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, problem.n_outputs)).double()


def begun(algorithm: Algorithm, model: nn.Module, *train: Batch, target: Tensor | None = None) -> Any:
    """The algorithm at the start of a training."""
    algorithm.begin(model, algorithm.prepared(Training(train, STEPS, generator(), target)))
    return algorithm


def gradients(algorithm: Algorithm, model: nn.Module, batch: Batch, step: int = LATE) -> tuple[float, Tensor]:
    """The loss and all gradients (P,), as the training loop gets them."""
    model.zero_grad()
    loss = algorithm.backward(model, batch, step)
    return loss.item(), flat(model)


def flat(model: nn.Module) -> Tensor:
    """All gradients of a model (P,)."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])


def numeric_gradients(formula: Callable[[nn.Module], float], model: nn.Module, h: float = 1e-5) -> Tensor:
    """Central differences of a formula in every parameter (P,)."""
    slopes = []
    for parameter in model.parameters():
        entries = parameter.data.view(-1)
        for i in range(len(entries)):
            at = float(entries[i])
            entries[i] = at + h
            above = formula(model)
            entries[i] = at - h
            below = formula(model)
            entries[i] = at
            slopes.append((above - below) / (2 * h))
    return torch.tensor(slopes, dtype=torch.float64)


# --- slow formulas: loops, NumPy and closed forms ---------------------------------------------------------------------


def own(batch: Batch) -> list[Batch]:
    """The examples of each environment."""
    assert batch.env is not None
    return [batch.map(lambda t, e=e: t[batch.env == e]) for e in (1, 4)]  # type: ignore[misc]


def array(model: nn.Module, x: Tensor) -> NDArray[np.float64]:
    with torch.no_grad():
        outputs: NDArray[np.float64] = model(x).numpy()
    return outputs


def each_loss(outputs: NDArray[np.float64], y: NDArray[Any]) -> NDArray[np.float64]:
    """Cross-entropy or squared error of every example."""
    if y.ndim == 2:
        squared: NDArray[np.float64] = ((outputs - y) ** 2).mean(1)
        return squared
    return np.array([np.log(np.exp(o).sum()) - o[label] for o, label in zip(outputs, y, strict=True)])


def risk(model: nn.Module, batch: Batch) -> float:
    return float(each_loss(array(model, batch.x), batch.y.numpy()).mean())


def mean_risk(model: nn.Module, batch: Batch) -> float:
    """Every environment counts the same."""
    return float(np.mean([risk(model, b) for b in own(batch)]))


def scale_slopes(model: nn.Module, batch: Batch) -> NDArray[np.float64]:
    """d/ds of each example's loss at outputs s f, s = 1: sum_c p_c f_c - f_y, or mean_c 2 (f_c - y_c) f_c."""
    f, y = array(model, batch.x), batch.y.numpy()
    if y.ndim == 2:
        squared: NDArray[np.float64] = (2 * (f - y) * f).mean(1)
        return squared
    p = np.exp(f) / np.exp(f).sum(1, keepdims=True)
    entropy: NDArray[np.float64] = (p * f).sum(1) - f[np.arange(len(y)), y]
    return entropy


def irm_full(model: nn.Module, batch: Batch) -> float:
    return mean_risk(model, batch) + 7 * float(np.mean([scale_slopes(model, b).mean() ** 2 for b in own(batch)]))


def irm_split(model: nn.Module, batch: Batch) -> float:
    slopes = [scale_slopes(model, b) for b in own(batch)]
    return mean_risk(model, batch) + 7 * float(np.mean([s[::2].mean() * s[1::2].mean() for s in slopes]))


def irm_rescaled(model: nn.Module, batch: Batch) -> float:
    return irm_full(model, batch) / 7


def vrex(model: nn.Module, batch: Batch) -> float:
    return mean_risk(model, batch) + 7 * float(np.var([risk(model, b) for b in own(batch)]))


def sd(model: nn.Module, batch: Batch) -> float:
    return risk(model, batch) + 0.3 * float((array(model, batch.x) ** 2).mean())


def coral(model: nn.Module, batch: Batch) -> float:
    features = [array(model[:-1], b.x) for b in own(batch)]  # type: ignore[index]
    pairs = [
        ((a.mean(0) - b.mean(0)) ** 2).mean() + ((np.cov(a, rowvar=False) - np.cov(b, rowvar=False)) ** 2).mean()
        for a, b in combinations(features, 2)
    ]
    return mean_risk(model, batch) + 7 * float(np.mean(pairs))


def risk_gradient(model: nn.Module, batch: Batch) -> NDArray[np.float64]:
    """By a training step of ERM on these examples alone."""
    twin = copy.deepcopy(model)
    problem = CLASSES if batch.y.ndim == 1 else VALUES
    return gradients(ERM(problem), twin, batch)[1].numpy()


def iga(model: nn.Module, batch: Batch) -> float:
    each = np.stack([risk_gradient(model, b) for b in own(batch)])
    return mean_risk(model, batch) + 7 * float(((each - each.mean(0)) ** 2).sum())


def last_layer_variance(model: nn.Module, batch: Batch) -> NDArray[np.float64]:
    """Over an environment's examples, each differentiated by itself (K,)."""
    head = list(model[-1].parameters())  # type: ignore[index]
    rows = []
    for i in range(len(batch)):
        outputs = model(batch.x[i : i + 1])
        loss = (
            nn.functional.cross_entropy(outputs, batch.y[i : i + 1])
            if batch.y.ndim == 1
            else (outputs - batch.y[i]).square().mean()
        )
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, head)]).numpy())
    variance: NDArray[np.float64] = np.var(rows, axis=0)
    return variance


def group_reweight(model: nn.Module, batch: Batch) -> float:
    """All data at once: the mean of the groups' risks; here a group is an environment."""
    return mean_risk(model, batch)


FORMULAS: list[tuple[type[Algorithm], Mapping[str, Any], Callable[[nn.Module, Batch], float]]] = [
    (IRM, {"penalty": 7.0}, irm_full),
    (IRM, {"penalty": 7.0, "variant": "split"}, irm_split),
    (IRM, {"penalty": 7.0, "rescale": True}, irm_rescaled),
    (VREx, {"penalty": 7.0}, vrex),
    (SpectralDecoupling, {"penalty": 0.3}, sd),
    (CORAL, {"penalty": 7.0}, coral),
    (IGA, {"penalty": 7.0}, iga),
    (GroupReweight, {}, group_reweight),
]


@pytest.mark.parametrize("problem", [CLASSES, VALUES], ids=["classes", "values"])
@pytest.mark.parametrize(("algorithm", "settings", "formula"), FORMULAS, ids=lambda p: getattr(p, "__name__", ""))
def test_loss_and_gradient_are_those_of_the_slow_formula(
    algorithm: Any, settings: Mapping[str, Any], formula: Callable[[nn.Module, Batch], float], problem: Problem
) -> None:
    if algorithm is SpectralDecoupling and problem is VALUES:
        pytest.skip("for classes alone")
    model, batch = network(problem), data(problem)
    loss, gradient = gradients(begun(algorithm(problem, **settings), model, batch), model, batch)
    assert loss == pytest.approx(formula(model, batch), rel=1e-10)
    torch.testing.assert_close(gradient, numeric_gradients(lambda m: formula(m, batch), model), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("problem", [CLASSES, VALUES], ids=["classes", "values"])
def test_fishr_is_its_formula_with_a_past(problem: Problem) -> None:
    """Two steps: the first variance is discounted, and no gradient flows through it."""
    model, before, batch = network(problem), data(problem, seed=1), data(problem)
    past = [last_layer_variance(model, b) for b in own(before)]

    def formula(model: nn.Module) -> float:
        v = np.stack([0.8 * p + last_layer_variance(model, b) for p, b in zip(past, own(batch), strict=True)])
        return mean_risk(model, batch) + 7 * float(((v - v.mean(0)) ** 2).mean())

    fishr = begun(Fishr(problem, penalty=7.0, ema=0.8), model, before)
    fishr.loss(model, before, 0)
    loss, gradient = gradients(fishr, model, batch)
    assert loss == pytest.approx(formula(model), rel=1e-10)
    torch.testing.assert_close(gradient, numeric_gradients(formula, model), rtol=1e-6, atol=1e-8)


def test_fishr_keeps_the_past_of_an_environment_that_a_batch_lacks() -> None:
    model, batch = network(CLASSES), data(CLASSES)
    first, second = own(batch)
    fishr = begun(Fishr(CLASSES, ema=0.5), model, batch)
    for seen in (batch, first, batch):
        fishr.loss(model, seen, LATE)
    of_first, of_second = (last_layer_variance(model, b) for b in (first, second))
    kept = {number: float(past.sum()) for number, past in fishr.past.items()}
    assert kept == pytest.approx({1: of_first.sum() * (1 + 0.5 + 0.25), 4: of_second.sum() * (1 + 0.5)})


def test_group_dro_by_hand() -> None:
    """Weights move before the loss is taken, by e^(eta R); no gradient flows through them."""
    model, batch = network(CLASSES), data(CLASSES)
    dro = begun(GroupDRO(CLASSES, eta=0.5), model, batch)
    q = np.array([0.5, 0.5])
    for _ in range(3):
        risks = np.array([risk(model, b) for b in own(batch)])
        q = q * np.exp(0.5 * risks) / (q * np.exp(0.5 * risks)).sum()
        loss, gradient = gradients(dro, model, batch)
        assert loss == pytest.approx(float(q @ risks), rel=1e-6)  # the weights are float32
        expected = sum(w * risk_gradient(model, b) for w, b in zip(q, own(batch), strict=True))
        torch.testing.assert_close(gradient, torch.tensor(expected), rtol=1e-5, atol=1e-7)


def test_group_dro_keeps_weights_by_number() -> None:
    """Environment 4 alone is in the batch: it gains on 1, and numbers without examples have nothing."""
    model, batch = network(CLASSES), data(CLASSES)
    only = own(batch)[1]
    dro = begun(GroupDRO(CLASSES, eta=2.0), model, batch)
    gain = math.exp(2 * risk(model, only))
    assert dro.loss(model, only, 0).item() == pytest.approx(gain / (1 + gain) * risk(model, only), rel=1e-6)
    assert dro.log_weights.exp().tolist() == pytest.approx([0, 1 / (1 + gain), 0, 0, gain / (1 + gain)])


def test_group_dro_survives_a_huge_risk() -> None:
    model, batch = network(VALUES), data(VALUES)
    dro = begun(GroupDRO(VALUES, eta=0.1), model, batch)
    assert math.isfinite(dro.loss(model, replace(batch, y=1e4 * batch.y), 0).item())


class Drawn:
    """A random stream that says what it is told."""

    def __init__(self, cycle: list[int], *shares: float) -> None:
        self.cycle, self.shares = cycle, iter(shares)

    def permutation(self, n: int) -> NDArray[np.int64]:
        assert n == len(self.cycle)
        return np.array(self.cycle)

    def beta(self, a: float, b: float) -> float:
        return next(self.shares)


@pytest.mark.parametrize("problem", [CLASSES, VALUES], ids=["classes", "values"])
def test_mixup_by_hand(problem: Problem) -> None:
    model, batch = network(problem), data(problem)
    a, b = own(batch)
    b = b.map(lambda t: t[: len(a)])  # five examples against nine

    def mixed(u: float, one: Batch, other: Batch) -> Callable[[nn.Module], float]:
        def formula(model: nn.Module) -> float:
            outputs = array(model, u * one.x + (1 - u) * other.x)
            losses = u * each_loss(outputs, one.y.numpy()) + (1 - u) * each_loss(outputs, other.y.numpy())
            return float(losses.mean())

        return formula

    def formula(model: nn.Module) -> float:
        return (mixed(0.3, b, a)(model) + mixed(0.9, a, b)(model)) / 2

    mixup = begun(Mixup(problem), model, batch)
    mixup.random = Drawn([1, 0], 0.3, 0.9)
    loss, gradient = gradients(mixup, model, batch)
    assert loss == pytest.approx(formula(model), rel=1e-10)
    torch.testing.assert_close(gradient, numeric_gradients(formula, model), rtol=1e-6, atol=1e-8)


def test_mixup_draws_from_the_training_s_generator() -> None:
    """Beta(a, a) has the variance 1 / (4 (2 a + 1)); both cycles of three environments come."""
    mixup = begun(Mixup(CLASSES, alpha=0.2), network(CLASSES), data(CLASSES))
    env = torch.tensor([0, 1, 2])
    drawn = [mixup.pairs(env) for _ in range(2000)]
    shares = torch.cat([share for _, _, share, _ in drawn])
    assert float(shares.var()) == pytest.approx(1 / (4 * 1.4), rel=0.05)
    follows = {tuple(sorted(zip(first.tolist(), second.tolist(), strict=True))) for first, second, _, _ in drawn}
    assert follows == {((0, 1), (1, 2), (2, 0)), ((0, 2), (1, 0), (2, 1))}
    again = begun(Mixup(CLASSES, alpha=0.2), network(CLASSES), data(CLASSES))
    assert torch.equal(again.pairs(env)[2], drawn[0][2])


@pytest.mark.parametrize("problem", [CLASSES, VALUES], ids=["classes", "values"])
def test_sam_takes_the_gradient_uphill_and_puts_the_weights_back(problem: Problem) -> None:
    model, batch = network(problem), data(problem)
    before = copy.deepcopy(model)
    loss, gradient = gradients(SAM(problem, rho=0.3), model, batch)

    g = torch.tensor(risk_gradient(before, batch))
    uphill, start = copy.deepcopy(before), 0
    for parameter in uphill.parameters():
        part = g[start : start + parameter.numel()].view_as(parameter)
        parameter.data += 0.3 * part / g.norm()
        start += parameter.numel()
    assert loss == pytest.approx(risk(before, batch), rel=1e-10)
    torch.testing.assert_close(gradient, torch.tensor(risk_gradient(uphill, batch)), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(gradient, g, rtol=1e-3)
    for now, then in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(now, then)


def test_sam_stays_where_the_gradient_is_nothing() -> None:
    model = network(VALUES)
    batch = data(VALUES)
    with torch.no_grad():
        batch = replace(batch, y=model(batch.x))
    assert float(gradients(SAM(VALUES), model, batch)[1].abs().max()) == 0


@pytest.mark.parametrize(("variant", "tau"), [("domainbed", 1.0), ("domainbed", 0.3), ("unit-test", 0.9)])
def test_and_mask_by_a_loop(variant: Any, tau: float) -> None:
    """Three environments: with tau at or below 1/3 two signs against one are agreement enough."""
    model, batch = network(CLASSES), data(CLASSES)
    batch = replace(batch, env=torch.arange(14) % 3)
    assert batch.env is not None
    risks, each = [], []
    for e in range(3):
        inside = batch.map(lambda t, e=e: t[batch.env == e])  # type: ignore[misc]
        risks.append(risk(model, inside))
        twin = copy.deepcopy(model)
        gradients(ERM(CLASSES), twin, inside)
        each.append([p.grad for p in twin.parameters() if p.grad is not None])
    loss, _ = gradients(ANDMask(CLASSES, tau=tau, variant=variant), model, batch)
    assert loss == pytest.approx(np.mean(risks), rel=1e-10)
    kept_at_all = 0
    for place, parameter in enumerate(model.parameters()):
        tensors = [row[place] for row in each]
        is_bias = parameter.ndim == 1
        if variant == "unit-test" and not is_bias:
            tensors = [t / t.norm() for t in tensors]
        expected, kept = torch.zeros_like(parameter), 0
        for i in itertools.product(*map(range, parameter.shape)):
            entries = [float(t[i]) for t in tensors]
            signs = abs(sum(math.copysign(1, entry) for entry in entries))
            agrees = signs / 3 >= tau if variant == "domainbed" else is_bias or signs > 3 * tau
            if agrees:
                expected[i], kept = sum(entries) / 3, kept + 1
        if variant == "domainbed" and kept:
            expected /= kept / parameter.numel()
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected.detach(), rtol=1e-10, atol=1e-12)
        kept_at_all += kept
    size = sum(p.numel() for p in model.parameters())
    assert (kept_at_all == size) == (tau == 0.3)


# --- group balance ----------------------------------------------------------------------------------------------------


def test_reweighting_is_unbiased_over_minibatches() -> None:
    """The mean over all batches of two is the mean of the groups' risks, though most batches lack the small group."""
    model, batch = network(CLASSES), data(CLASSES)
    algorithm = begun(GroupReweight(CLASSES), model, batch)
    pairs = [batch.map(lambda t, rows=rows: t[rows]) for rows in map(list, combinations(range(14), 2))]  # type: ignore[misc]
    losses = [algorithm.loss(model, pair, 0).item() for pair in pairs]
    assert np.mean(losses) == pytest.approx(mean_risk(model, batch), rel=1e-6)  # the weights are float32


def subsampled(batch: Batch) -> Batch:
    """A batch as subsampling prepares it."""
    (prepared,) = GroupSubsample(CLASSES).prepared(Training([batch], STEPS, generator())).train
    return prepared


def test_a_subsample_has_as_many_of_each_group_as_the_smallest() -> None:
    batch = subsampled(data(CLASSES, n=140))
    assert batch.group is not None and batch.weight is not None
    assert set(batch.weight.tolist()) == {0.0, 1.0}
    assert torch.bincount(batch.group[batch.weight == 1]).tolist() == [0, 0, 50, 50]  # of 90 and 50


@pytest.mark.parametrize("problem", [CLASSES, VALUES], ids=["classes", "values"])
def test_the_loss_of_a_subsample_is_that_of_its_members_in_the_batch(problem: Problem) -> None:
    model, batch = network(problem), subsampled(data(problem, n=140))
    assert batch.weight is not None
    part = batch.map(lambda t: t[:40])
    members = part.map(lambda t: t[batch.weight[:40] == 1])  # type: ignore[index]
    assert 0 < len(members) < 40
    expected = float(risk(model, members))
    assert GroupSubsample(problem).loss(model, part, 3).item() == pytest.approx(expected, rel=1e-9)


def test_a_batch_outside_the_subsample_has_no_loss() -> None:
    model, batch = network(CLASSES), subsampled(data(CLASSES))
    assert batch.weight is not None
    outside = batch.map(lambda t: t[batch.weight == 0])  # type: ignore[index]
    loss, gradient = gradients(GroupSubsample(CLASSES), model, outside)
    assert len(outside) == 4
    assert loss == 0
    assert float(gradient.abs().max()) == 0


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["irm", "vrex", "coral", "iga", "fishr"])
def test_without_a_penalty_it_is_the_mean_risk_of_the_environments(name: str) -> None:
    model, batch = network(CLASSES), data(CLASSES)
    algorithm = begun(algorithm_class(name)(CLASSES, penalty=0.0), model, batch)
    loss, gradient = gradients(algorithm, model, batch)
    assert loss == pytest.approx(mean_risk(model, batch), rel=1e-12)
    expected = np.mean([risk_gradient(model, b) for b in own(batch)], axis=0)
    torch.testing.assert_close(gradient, torch.tensor(expected), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["vrex", "coral", "iga", "fishr", "group-dro", "and-mask", "group-reweight"])
def test_identical_environments_leave_the_plain_risk(name: str) -> None:
    """Differences between environments are all that these penalize."""
    model, half = network(CLASSES), own(data(CLASSES))[1]
    batch = half.map(lambda t: torch.cat([t, t]))
    batch = replace(batch, env=torch.arange(len(batch)) // len(half), group=torch.arange(len(batch)) // len(half))
    loss, gradient = gradients(begun(algorithm_class(name)(CLASSES), model, batch), model, batch)
    assert loss == pytest.approx(risk(model, half), rel=1e-6)
    torch.testing.assert_close(gradient, torch.tensor(risk_gradient(model, half)), rtol=1e-6, atol=1e-9)


def test_the_slope_of_irm_is_nothing_where_the_scale_is_right() -> None:
    """Squared loss and outputs that are the best multiple of themselves: R_e(s f) is least at s = 1."""
    batch = own(data(VALUES))[0]
    model = nn.Linear(3, 2, bias=False).double()
    with torch.no_grad():
        f = model(batch.x)
        model.weight *= (f * batch.y).sum() / f.square().sum()
    irm = begun(IRM(VALUES, penalty=1e6, warmup=0.0), model, batch)
    loss = irm.loss(model, batch, 0).item()
    assert loss == pytest.approx(risk(model, batch), rel=1e-9)
    with torch.no_grad():
        model.weight *= 2
    assert irm.loss(model, batch, 0).item() > 2 * risk(model, batch)


def test_split_slopes_of_one_example_count_for_nothing() -> None:
    model, batch = network(CLASSES), data(CLASSES)
    one_of_four = batch.map(lambda t: t[[0, 1, 3]])
    irm = begun(IRM(CLASSES, penalty=7.0, variant="split"), model, batch)
    slopes = scale_slopes(model, own(one_of_four)[0])
    expected = mean_risk(model, one_of_four) + 7 * slopes[0] * slopes[1] / 2
    assert irm.loss(model, one_of_four, LATE).item() == pytest.approx(expected, rel=1e-10)


def test_coral_of_one_example_has_no_covariance() -> None:
    model, batch = network(CLASSES), data(CLASSES)
    one_of_four = batch.map(lambda t: t[[0, 1, 3]])
    coral = begun(CORAL(CLASSES, penalty=7.0), model, batch)
    assert coral.loss(model, one_of_four, 0).item() == pytest.approx(mean_risk(model, one_of_four), rel=1e-10)


@pytest.mark.parametrize(("name", "before"), [("irm", 1.0), ("vrex", 1.0), ("fishr", 0.0)])
def test_the_penalty_comes_after_a_warm_up_and_the_optimizer_forgets(name: str, before: float) -> None:
    model, batch = network(CLASSES), data(CLASSES)

    def started(warmup: float) -> Any:
        return begun(algorithm_class(name)(CLASSES, penalty=50.0, warmup=warmup), model, batch)

    third = started(0.3)
    assert [third.weight(step) for step in range(STEPS)] == [before] * 3 + [50.0] * 7
    assert [step for step in range(STEPS) if third.resets_optimizer(step)] == [3]
    assert {started(0.0).weight(0), started(1.0).weight(LATE)} == {50.0, before}
    assert not any(started(warmup).resets_optimizer(step) for warmup in (0.0, 1.0) for step in range(STEPS))
    plain, penalized = (started(0.3).loss(model, batch, step) for step in (0, 3))
    at_once = algorithm_class(name)(CLASSES, penalty=before, warmup=0.0)
    assert plain.item() == pytest.approx(begun(at_once, model, batch).loss(model, batch, 0).item(), rel=1e-12)
    assert penalized.item() > plain.item()


def test_rescaling_divides_by_weights_above_one_alone() -> None:
    model, batch = network(CLASSES), data(CLASSES)
    for penalty, step, divisor in [(50.0, 0, 1.0), (50.0, LATE, 50.0), (0.5, LATE, 1.0)]:
        plain, rescaled = (begun(IRM(CLASSES, penalty, rescale=r), model, batch) for r in (False, True))
        ratio = plain.loss(model, batch, step).item() / rescaled.loss(model, batch, step).item()
        assert ratio == pytest.approx(divisor)


@pytest.mark.parametrize("name", ["sd", "sam"])
def test_weights_of_the_data_count(name: str) -> None:
    model, batch = network(CLASSES), data(CLASSES)
    algorithm = begun(algorithm_class(name)(CLASSES), model, batch)
    whole = torch.arange(14) % 3
    repeated = batch.map(lambda t: t.repeat_interleave(whole, dim=0))
    _, weighted = gradients(algorithm, model, replace(batch, weight=whole.double()))
    torch.testing.assert_close(weighted, gradients(algorithm, model, repeated)[1], rtol=1e-10, atol=1e-12)


# --- last layer and importance weights --------------------------------------------------------------------------------


def test_logistic_regression_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    y = (x @ rng.normal(size=(4, 3)) + rng.gumbel(size=(200, 3))).argmax(1)
    weight, bias = logistic_regression(torch.tensor(x), torch.tensor(y), 3, ridge=0.02)
    theirs = LogisticRegression(C=1 / (0.02 * 200), tol=1e-10, max_iter=5000).fit(x, y)
    np.testing.assert_allclose(weight.numpy(), theirs.coef_, atol=1e-5)
    np.testing.assert_allclose((bias - bias.mean()).numpy(), theirs.intercept_ - theirs.intercept_.mean(), atol=1e-5)


def test_a_class_without_examples_gets_low_logits() -> None:
    weight, bias = logistic_regression(torch.randn(50, 2, generator=generator()), torch.arange(50) % 2, 3, ridge=0.1)
    assert float(bias[2]) < float(bias[:2].min()) - 5
    assert float(weight[2].abs().max()) < 0.05


def shortcut_data(n: int, agreement: float, seed: int) -> Batch:
    """A core input that follows the label weakly, and a strong one that agrees with it in so many examples."""
    g = generator(seed)
    y = torch.randint(2, (n,), generator=g)
    agrees = (torch.rand(n, generator=g) < agreement).long()
    spurious = y * agrees + (1 - y) * (1 - agrees)
    core = (2.0 * y - 1) + 0.5 * torch.randn(n, generator=g)
    strong = 3 * (2.0 * spurious - 1) + 0.2 * torch.randn(n, generator=g)
    return Batch(torch.stack([core, strong], dim=1), y, group=2 * y + spurious)


def trained(algorithm: Algorithm, model: nn.Module, train: Batch, steps: int, target: Tensor | None = None) -> None:
    """A bare training loop, with Adam."""
    training = algorithm.prepared(Training([train], steps, generator(1), target))
    algorithm.begin(model, training)
    (train,) = training.train
    order, optimizer = generator(2), torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        rows = torch.randint(len(train), (32,), generator=order)
        if algorithm.resets_optimizer(step):
            optimizer.state.clear()
        optimizer.zero_grad()
        algorithm.backward(model, train.map(lambda t, rows=rows: t[rows]), step)  # type: ignore[misc]
        optimizer.step()


def worst_group(predict: Callable[[Tensor], Tensor], batch: Batch) -> float:
    assert batch.group is not None
    hit = (predict(batch.x).argmax(1) == batch.y).float()
    return min(float(hit[batch.group == g].mean()) for g in batch.group.unique())


def test_a_refitted_last_layer_finds_the_core_feature() -> None:
    """Phi(2) = 0.977 is the best that the core input allows in every group."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    train, test = shortcut_data(2000, 0.98, seed=3), shortcut_data(4000, 0.5, seed=4)
    dfr = LastLayer(Problem("vector", (2,), "classes", 2, 2000))
    trained(dfr, model, train, steps=200)
    with torch.no_grad():
        refitted = dfr.deployed(model.eval())
        assert worst_group(model, test) < 0.7
        assert worst_group(refitted, test) > 0.93


def test_the_refit_is_the_stated_regression_on_a_balanced_subset() -> None:
    train = shortcut_data(400, 0.9, seed=3)
    assert train.group is not None
    model = nn.Linear(2, 2)  # its features are its inputs
    dfr = begun(LastLayer(Problem("vector", (2,), "classes", 2, 400), ridge=0.05), model, train.map(lambda t: t[:300]),
                train.map(lambda t: t[300:]))  # fmt: skip
    chosen = [torch.cat(columns) for columns in zip(*((b.x, b.y, b.group) for b in dfr.balanced), strict=True)]
    x, y, group = (tensor.numpy() for tensor in chosen)
    smallest = int(torch.bincount(train.group).min())
    assert np.bincount(group).tolist() == [smallest] * 4
    z = (x - x.mean(0)) / x.std(0)
    theirs = LogisticRegression(C=1 / (0.05 / 2 * len(y)), tol=1e-10, max_iter=5000).fit(z, y)
    with torch.no_grad():
        outputs = dfr.deployed(model)(train.x).numpy()
    expected = theirs.decision_function((train.x.numpy() - x.mean(0)) / x.std(0))
    np.testing.assert_allclose(outputs[:, 1] - outputs[:, 0], expected, atol=1e-3)


def true_weights(x: Tensor) -> Tensor:
    """N(0, 0.3^2) over N(0.5, 0.5^2)."""
    return (0.5 / 0.3) * torch.exp((x - 0.5) ** 2 / 0.5 - x**2 / 0.18)


@pytest.mark.parametrize("n", [100, 1000])
def test_estimated_weights_are_the_density_ratio(n: int) -> None:
    g = generator(n)
    x, target = 0.5 + 0.5 * torch.randn(n, 1, generator=g), 0.3 * torch.randn(n // 2, 1, generator=g)
    iw = begun(
        ImportanceWeighting(Problem("vector", (1,), "values", 1, n)), nn.Linear(1, 1), Batch(x, x), target=target
    )
    both = torch.stack([iw.weights(x), true_weights(x[:, 0])])
    assert float(torch.corrcoef(both)[0, 1]) > 0.9
    assert float(both[0].mean()) == pytest.approx(1, abs=0.15)  # a density ratio's mean over the training inputs


def test_estimated_weights_are_used_known_ones_too_and_none_is_above_twenty() -> None:
    model, batch = network(VALUES), data(VALUES)
    far = batch.x + torch.tensor([8.0, 0.0, 0.0])
    iw = begun(ImportanceWeighting(VALUES, ridge=1e-4), model, batch, target=far)
    assert float(iw.weights(far).min()) == pytest.approx(20)
    w, losses = iw.weights(batch.x).numpy(), each_loss(array(model, batch.x), batch.y.numpy())
    assert iw.loss(model, batch, 0).item() == pytest.approx((w * losses).sum() / w.sum(), rel=1e-10)
    known = replace(batch, weight=torch.arange(14.0))
    assert torch.equal(iw.loss(model, known, 0), ERM(VALUES).loss(model, known, 0))


def test_constant_columns_have_a_deviation_to_divide_by() -> None:
    mean, deviation = standardization(torch.tensor([[1.0, 2.0], [1.0, 4.0]]))
    assert (mean.tolist(), deviation.tolist()) == ([1.0, 3.0], [1.0, 1.0])
    assert standardization(torch.full((5, 1), 0.1))[1].tolist() == [1.0]


# --- over the registry ------------------------------------------------------------------------------------------------


def algorithm_class(name: str) -> Any:
    return completed(references.load_class(references.registered("algorithm")[name]))


def test_every_name_is_registered() -> None:
    assert set(references.registered("algorithm")) >= NAMES


ALL = sorted(references.registered("algorithm"))


def small_training(problem: Problem, n: int = 64) -> Training:
    batch = data(problem, n=n).map(lambda t: t.float() if t.is_floating_point() else t)
    return Training([batch], STEPS, generator(), data(problem, seed=9, n=n).x.float() + 0.5)


@pytest.mark.parametrize("name", ALL)
def test_it_trains_leaves_inputs_alone_and_draws_from_its_generator(name: str) -> None:
    training = small_training(CLASSES)
    train = training.train[0]
    before = train.map(torch.clone)
    ends: list[Tensor] = []
    for _ in range(2):
        model = network(CLASSES).float()
        start = copy.deepcopy(model.state_dict())
        algorithm = algorithm_class(name)(CLASSES)
        check_needs(algorithm, training, model)
        torch.manual_seed(len(ends))  # the global stream plays no part
        trained(algorithm, model, train, STEPS, training.target_inputs)
        with torch.no_grad():
            ends.append(algorithm.deployed(model.eval())(train.x))
        assert torch.isfinite(ends[-1]).all()
        assert all(not torch.equal(start[key], value) for key, value in model.state_dict().items())
    assert torch.equal(*ends)
    for one, other in ((train.x, before.x), (train.y, before.y), (train.env, before.env), (train.group, before.group)):
        assert one is not None and other is not None and torch.equal(one, other)


@pytest.mark.parametrize("name", ALL)
def test_a_training_lowers_the_risk(name: str) -> None:
    """Labels that the inputs give away, in both environments and groups."""
    training = small_training(CLASSES, n=128)
    train = replace(training.train[0], y=training.train[0].x.argmax(1))
    model = network(CLASSES).float()
    gentle = (
        {"penalty": 0.1} if "penalty" in algorithm_class(name).search else {}
    )  # an invariant risk may be a high one
    algorithm = algorithm_class(name)(CLASSES, **gentle)
    trained(algorithm, model, train, 200, training.target_inputs)
    with torch.no_grad():
        hits = (algorithm.deployed(model.eval())(train.x).argmax(1) == train.y).float().mean()
    assert float(hits) > 0.8


@pytest.mark.parametrize("name", ALL)
def test_data_that_lack_what_it_needs_are_declined_with_the_reason(name: str) -> None:
    bare = Training([Batch(data(CLASSES).x, data(CLASSES).y)], STEPS, generator())
    algorithm = algorithm_class(name)(CLASSES)
    reasons = {"environments": "environments", "groups": "group labels", "target_inputs": "unlabelled inputs"}
    wanted = [reasons[need] for need in algorithm.needs if need in reasons]
    if wanted:
        with pytest.raises(NotApplicable, match="|".join(wanted)):
            check_needs(algorithm, bare, network(CLASSES).float())
    else:
        check_needs(algorithm, bare, network(CLASSES).float())
    if "features" in algorithm.needs:
        batch = data(CLASSES)
        headless = nn.Sequential(nn.Linear(3, 3), nn.Tanh()).double()
        with pytest.raises(NotApplicable, match=r"final nn\.Linear"):
            begun(algorithm, headless, batch)


@pytest.mark.parametrize("name", ALL)
def test_settings_are_searched_within_what_is_allowed(name: str) -> None:
    """`search` is a literal, names settings, and holds their defaults; both ends of a range are allowed."""
    reference = references.registered("algorithm")[name]
    found = algorithm_class(name)
    search = dict(references.declared(reference, "search"))
    assert search == found.search == ast.literal_eval(repr(search))
    defaults = {key: p.default for key, p in inspect.signature(found).parameters.items() if key != "problem"}
    assert set(search) <= set(defaults)
    for setting, (kind, *ends) in search.items():
        assert kind in ("loguniform", "uniform", "integers")
        low, high = ends
        assert low <= defaults[setting] <= high
        for value in ends:
            found(CLASSES, **{setting: value})


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("irm", {"penalty": -1.0}, "penalty is -1.0; it must be at least 0"),
        ("irm", {"penalty": math.inf}, "penalty is inf"),
        ("irm", {"warmup": 1.5}, r"warmup is 1.5; it must be in \[0, 1\]"),
        ("irm", {"variant": "half"}, "variant is 'half'; it must be one of full, split"),
        ("vrex", {"penalty": math.nan}, "penalty is nan"),
        ("group-dro", {"eta": -0.1}, "eta is -0.1"),
        ("coral", {"penalty": -1.0}, "penalty is -1.0"),
        ("mixup", {"alpha": 0.0}, "alpha is 0.0; it must be at least 0.001"),
        ("sd", {"penalty": -1.0}, "penalty is -1.0"),
        ("sam", {"rho": -0.05}, "rho is -0.05"),
        ("iga", {"penalty": -1.0}, "penalty is -1.0"),
        ("and-mask", {"tau": 1.1}, r"tau is 1.1; it must be in \[0, 1\]"),
        ("and-mask", {"variant": "unit-test"}, "tau is 1.0; in the variant unit-test it must be below 1"),
        ("and-mask", {"variant": "strict"}, "variant is 'strict'"),
        ("fishr", {"ema": 1.2}, "ema is 1.2"),
        ("dfr", {"ridge": 0.0}, "ridge is 0.0"),
        ("iw-erm", {"ridge": -1.0}, "ridge is -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, settings: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        algorithm_class(name)(CLASSES, **settings)


TOKENS = Problem("tokens", (12,), "classes", 3, 64, vocabulary=5)
STRINGS = Problem("tokens", (12,), "sequence", 5, 64, vocabulary=5, per_position=True)


def token_data(problem: Problem, n: int = 24) -> Batch:
    g = generator()
    x = torch.randint(5, (n, 12), generator=g)
    y = torch.randint(problem.n_outputs, (n, 12) if problem.per_position else (n,), generator=g)
    return Batch(x, y, env=torch.arange(n) % 2, group=torch.arange(n) % 3)


@pytest.mark.parametrize(
    ("name", "problem", "reason"),
    [
        ("mixup", TOKENS, "between two tokens"),
        ("iw-erm", TOKENS, "tokens have none"),
        ("sd", VALUES, "outputs are values"),
        ("sd", STRINGS, "outputs are sequence"),
        ("dfr", VALUES, "outputs are values"),
    ],
)
def test_problems_that_it_says_nothing_about_are_declined(name: str, problem: Problem, reason: str) -> None:
    batch = data(problem) if problem.vocabulary is None else token_data(problem)
    with pytest.raises(NotApplicable, match=reason):
        begun(algorithm_class(name)(problem), network(VALUES), batch, target=batch.x)


def test_coral_declines_features_that_are_not_trained() -> None:
    with pytest.raises(NotApplicable, match="are not trained"):
        begun(CORAL(CLASSES), nn.Linear(3, 3).double(), data(CLASSES))


# --- over the baselines -----------------------------------------------------------------------------------------------


def small_networks() -> list[tuple[str, Problem]]:
    """Every baseline that is a network, on one problem of each kind that it takes."""
    shapes: dict[str, Problem] = {
        "vector": CLASSES,
        "signal": Problem("signal", (2, 24), "values", 2, 24),
        "image": Problem("image", (1, 12, 12), "classes", 3, 24),
        "tokens": TOKENS,
    }
    found = []
    for name, reference in references.registered().items():
        model_class = references.load_class(reference)
        if not reference.large and not reference.special and contract.kind_of(model_class) == "network":
            found += [(name, shapes[kind]) for kind in getattr(model_class, "takes", shapes)]
            if "tokens" in getattr(model_class, "takes", shapes):
                found.append((name, STRINGS))
    return found


def built(name: str, problem: Problem) -> Any:
    reference = references.registered()[name]
    return contract.build(references.load_class(reference), problem, reference.hparams, 0)


def inputs(problem: Problem) -> Batch:
    return (
        data(problem, n=24).map(lambda t: t.float() if t.is_floating_point() else t)
        if (problem.vocabulary is None)
        else token_data(problem)
    )


@pytest.mark.parametrize(
    ("name", "problem"), small_networks(), ids=lambda p: p if isinstance(p, str) else f"{p.input_kind}-{p.output_kind}"
)
def test_every_baseline_is_features_and_a_head(name: str, problem: Problem) -> None:
    """But for outputs at every position, which have not one feature vector an input."""
    model, x = built(name, problem).train(), inputs(problem).x
    if problem.per_position:
        with pytest.raises(NotApplicable, match="features"):
            features_of(model, x)
        return
    split = features_of(model, x)
    features, outputs = split(x)
    assert model.training
    assert features.shape[0] == len(x) and features.ndim == 2
    torch.testing.assert_close(split.head(features), outputs)
    torch.testing.assert_close(outputs, model(x))


@pytest.mark.parametrize(
    ("name", "problem"),
    [(name, problem) for name, problem in small_networks() if name in ("transformer", "lstm", "cnn", "ssm")],
    ids=lambda p: p if isinstance(p, str) else f"{p.input_kind}-{p.output_kind}",
)
def test_gradients_can_be_differentiated_once_more(name: str, problem: Problem) -> None:
    """Fused attention has no second derivative: along a random direction IGA's gradient is its loss's slope."""
    model, batch = built(name, problem).double(), inputs(problem)
    batch = batch.map(lambda t: t.double() if t.is_floating_point() else t)
    iga = IGA(problem, penalty=1.0)
    _, gradient = gradients(iga, model, batch)
    direction = torch.randn(len(gradient), generator=generator(3), dtype=torch.float64)

    def at(length: float) -> float:
        moved, start = copy.deepcopy(model), 0
        for parameter in moved.parameters():
            parameter.data += length * direction[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()
        return iga.loss(moved, batch, 0).item()

    assert (at(1e-6) - at(-1e-6)) / 2e-6 == pytest.approx(float(gradient @ direction), rel=1e-3)
