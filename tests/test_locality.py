"""simplicity/locality: the published signals in both orders, what cannot tell them apart, and the paper's networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tasks
from baselines.models.kernel_ridge import KernelRidge
from baselines.models.knn import Knn
from baselines.references import load_class, select
from tasks.seeds import Draw
from tasks.sources import mnist1d
from tasks.sources.mnist1d import SignalLaw
from tasks.types import Batch, Data, Row, Summary, load_data

TASK = tasks.load("simplicity/locality-v1")
DRAW = Draw(TASK.spec.id, 0)
PLAIN, SHUFFLED = (load_data(TASK, name, DRAW) for name in ("plain", "shuffled"))
MODELS = Path(__file__).parent.parent / "examples/mnist1d_models.py"


def paper_model(name: str) -> nn.Module:
    (reference,) = select([f"{MODELS}:{name}"])
    model = load_class(reference)(TASK.spec.problem)
    assert isinstance(model, nn.Module)
    return model


def summary(plain: float, shuffled: float) -> Summary:
    found = {"plain": plain, "shuffled": shuffled}
    return TASK.summarize({name: Row({"iid": {"accuracy": value}}, {}) for name, value in found.items()})


# --- the data -------------------------------------------------------------------------------------------------------


def test_training_and_test_are_the_published_5000_and_nothing_is_held_back() -> None:
    signals, labels, _ = mnist1d.released()
    x = torch.cat([PLAIN["train"].x, PLAIN["iid"].x]).squeeze(1)
    assert len(PLAIN["train"]) == 4_000
    assert np.array_equal(x.numpy(), signals.astype(np.float32))
    assert np.array_equal(torch.cat([PLAIN["train"].y, PLAIN["iid"].y]).numpy(), labels)


def test_the_shuffled_condition_is_the_published_order_of_the_same_signals() -> None:
    first = [19, 22, 4, 32, 17]
    assert torch.equal(SHUFFLED["train"].x[:, 0, :5], PLAIN["train"].x[:, 0, first])
    for split in ("train", "val", "iid"):
        assert torch.equal(SHUFFLED[split].x.sort().values, PLAIN[split].x.sort().values)
        assert torch.equal(SHUFFLED[split].y, PLAIN[split].y)
        assert not torch.equal(SHUFFLED[split].x, PLAIN[split].x)


def test_validation_is_a_fresh_draw_standardized_by_the_published_constants() -> None:
    mean, sd = mnist1d.released_standardization()
    raw, labels = mnist1d.sample(SignalLaw(), 1_000, DRAW.numpy("val"))
    assert np.allclose(PLAIN["val"].x[:, 0].numpy() * sd + mean, raw, atol=1e-6)
    assert np.array_equal(PLAIN["val"].y.numpy(), labels)


def test_the_published_constants_undo_the_published_standardization() -> None:
    signals, _, _ = mnist1d.released()
    raw = mnist1d.render(mnist1d.sequential_latents(5_000, np.random.RandomState(42)))
    mean, sd = mnist1d.released_standardization()
    assert np.abs(np.sort(signals * sd + mean, axis=None) - np.sort(raw, axis=None)).max() < 1e-12


# --- the index ------------------------------------------------------------------------------------------------------


def test_locality_and_scores_of_the_published_accuracies() -> None:
    cnn, mlp = summary(0.94, 0.56), summary(0.68, 0.68)
    assert cnn.indices["locality"] == pytest.approx(0.38 / 0.28)
    assert mlp.indices["locality"] == 0
    assert cnn.scores == pytest.approx({"accuracy_plain": 0.84 / 0.86, "accuracy_shuffled": 0.46 / 0.86})
    assert summary(0.5, 0.78).indices["locality"] == pytest.approx(-1)


@pytest.mark.parametrize("model", [Knn, KernelRidge])
def test_what_compares_whole_signals_has_locality_exactly_0(model: type[Knn | KernelRidge]) -> None:
    """Distances are sums over positions. The first 1,000 signals suffice, and a rounding error would show."""

    def accuracy(data: Data) -> float:
        few = data["train"].map(lambda values: values[:1_000])
        kwargs = {} if model is Knn else {"random_state": 0}
        fitted = model(TASK.spec.problem, **kwargs).fit(few.x.flatten(1).numpy(), few.y.numpy())
        outputs = torch.from_numpy(fitted.predict_proba(data["iid"].x.flatten(1).numpy()))
        return TASK.evaluate(outputs, data["iid"])["accuracy"]

    found = summary(accuracy(PLAIN), accuracy(SHUFFLED))
    assert found.indices["locality"] == 0
    assert found.iid > 0.4


def test_a_convolution_loses_20_points_in_few_steps() -> None:
    """After 6,000 steps it loses 34. Two standard errors of a difference of two shares of 1,000 are at most .045."""
    plain, shuffled = (accuracy_after(paper_model("Cnn"), data, steps=500) for data in (PLAIN, SHUFFLED))
    assert plain - shuffled > 0.2


def accuracy_after(model: nn.Module, data: Data, steps: int) -> float:
    """In distribution, after Adam steps of 100 signals in the order of the file."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            module.reset_parameters()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batches = list(zip(data["train"].x.split(100), data["train"].y.split(100), strict=True))
    for step in range(steps):
        x, y = batches[step % len(batches)]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    test: Batch = data["iid"]
    with torch.no_grad():
        return TASK.evaluate(model(test.x), test)["accuracy"]


# --- the networks of the paper --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "parameters"), [("Logistic", 410), ("Mlp", 15_210), ("Cnn", 5_210), ("Gru", 5_134)])
def test_the_example_networks_have_the_published_sizes(name: str, parameters: int) -> None:
    model = paper_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model(PLAIN["iid"].x[:7]).shape == (7, 10)


def test_the_mlp_of_the_paper_adds_its_second_layer_to_the_first() -> None:
    model = paper_model("Mlp")
    x = PLAIN["iid"].x[:7]
    h = model.get_submodule("first")(x[:, 0]).relu()
    nn.init.zeros_(model.get_submodule("second").weight)  # type: ignore[arg-type]
    nn.init.zeros_(model.get_submodule("second").bias)  # type: ignore[arg-type]
    assert torch.allclose(model(x), model.get_submodule("readout")(h))
