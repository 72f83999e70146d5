"""Models of sequences: shapes, what an answer may depend on, their formulas term by term, and that they learn."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from baselines import contract, references
from baselines.models import transformer
from baselines.models.ssm import Ssm, recurrence
from baselines.models.tcn import Tcn
from baselines.models.transformer import Block, Transformer, sinusoids
from tasks.types import Problem, Recipe

SMALL = ("gru", "lstm", "ssm", "ssm-signed", "tcn", "transformer")
NAMES = (*SMALL, *(f"{name}-large" for name in SMALL))
RECURRENT = ("gru", "lstm", "ssm", "ssm-signed")

TOKENS = Problem("tokens", (20,), "classes", n_outputs=3, n_train=100, vocabulary=5)
SIGNAL = Problem("signal", (2, 41), "classes", n_outputs=10, n_train=100)
IMAGE = Problem("image", (3, 14, 17), "values", n_outputs=1, n_train=100)


def build(name: str, problem: Problem) -> nn.Module:
    reference = references.registered()[name]
    model_class = references.load_class(reference)
    contract.check_applicable(model_class, problem)
    model = contract.build(model_class, problem, reference.hparams, seed=0)
    assert isinstance(model, nn.Module)
    return model.eval()


def strings(n: int, length: int) -> Tensor:
    return torch.randint(5, (n, length), generator=torch.Generator().manual_seed(length))


def inputs(problem: Problem) -> Tensor:
    return torch.randn(2, *problem.input_shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [1, 20, 47])
@pytest.mark.parametrize("per_position", [False, True])
def test_strings_of_any_length_get_answers(name: str, length: int, per_position: bool) -> None:
    problem = replace(TOKENS, per_position=per_position)
    x = strings(4, length)
    contract.check_outputs(build(name, problem)(x), problem, x)


@pytest.mark.parametrize("name", NAMES)
def test_signals_get_answers(name: str) -> None:
    for problem in (SIGNAL, replace(SIGNAL, output_kind="values", n_outputs=1)):
        contract.check_outputs(build(name, problem)(inputs(problem)), problem, inputs(problem))
    every_sample = replace(SIGNAL, per_position=True)
    assert build(name, every_sample)(inputs(every_sample)).shape == (2, 41, 10)


def test_kinds_that_do_not_fit_are_refused() -> None:
    for name in (*RECURRENT, "tcn"):
        with pytest.raises(contract.NotApplicable, match="not image"):
            build(name, IMAGE)
    with pytest.raises(contract.NotApplicable, match="not for images"):
        build("transformer", replace(IMAGE, per_position=True))
    with pytest.raises(contract.NotApplicable, match="not vector"):
        build("transformer", Problem("vector", (4,), "classes", n_outputs=2, n_train=10))


@pytest.mark.parametrize(
    ("name", "problem"),
    [*((name, SIGNAL) for name in SMALL), ("transformer", IMAGE)],
    ids=lambda value: value if isinstance(value, str) else value.input_kind,
)
def test_every_input_number_matters(name: str, problem: Problem) -> None:
    """Patches cover sides that they do not divide."""
    x = inputs(problem).requires_grad_()
    build(name, problem)(x).sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


@pytest.mark.parametrize("name", SMALL)
def test_answers_per_position_depend_on_no_later_token(name: str) -> None:
    model = build(name, replace(TOKENS, per_position=True))
    x = strings(8, 12)
    changed = x.clone()
    changed[:, 7:] = (x[:, 7:] + 1) % 5
    with torch.no_grad():
        before, after = model(x), model(changed)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert ((before - after)[:, 7:].abs().amax(-1) > 1e-4).all()


@pytest.mark.parametrize("name", SMALL)
def test_one_answer_depends_on_every_token(name: str) -> None:
    model = build(name, TOKENS)
    x = strings(1, 10)
    neighbours = x.repeat(10, 1)
    neighbours[range(10), range(10)] = (x[0] + 1) % 5
    with torch.no_grad():
        assert ((model(neighbours) - model(x)).abs().amax(-1) > 1e-6).all()


@pytest.mark.parametrize("name", [*RECURRENT, "tcn"])
def test_answers_in_one_direction_are_those_of_the_prefixes(name: str) -> None:
    """With the same weights, the answer at position t is the answer to the string up to t."""
    whole, positions = build(name, TOKENS), build(name, replace(TOKENS, per_position=True))
    positions.load_state_dict(whole.state_dict())
    x = strings(3, 9)
    with torch.no_grad():
        prefixes = torch.stack([whole(x[:, : t + 1]) for t in range(9)], dim=1)
        torch.testing.assert_close(positions(x), prefixes)


def test_recurrent_parameters_are_those_of_one_layer_in_one_direction() -> None:
    for name, gates, width in (("gru", 3, 64), ("gru-large", 3, 128), ("lstm", 4, 64), ("lstm-large", 4, 128)):
        expected = 5 * width + gates * (2 * width * width + 2 * width) + 3 * width + 3
        assert sum(p.numel() for p in build(name, TOKENS).parameters()) == expected


def test_positions_are_the_sines_of_the_paper() -> None:
    positions = sinusoids(300, 8, torch.device("cpu"))
    assert positions[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    wavelengths = [2 * math.pi * 10 ** (4 * 2 * i / 8) for i in range(4)]
    expected = [f(2 * math.pi * 7 / w) for f in (math.sin, math.cos) for w in wavelengths]
    assert positions[7].tolist() == pytest.approx(expected, abs=1e-6)
    torch.testing.assert_close(sinusoids(20, 8, torch.device("cpu")), positions[:20])


@pytest.mark.parametrize("causal", [False, True])
def test_attention_by_its_formula(causal: bool) -> None:
    """Each head: weights proportional to exp(q . k / sqrt(d)) over the positions it may see; heads side by side."""
    torch.manual_seed(0)
    block, h = Block(8, heads=2, causal=causal).double(), torch.randn(1, 5, 8, dtype=torch.float64)
    query, key, value = block.query_key_value(h)[0].split(8, dim=-1)
    expected = torch.zeros(5, 8, dtype=torch.float64)
    for head in (slice(0, 4), slice(4, 8)):
        for i in range(5):
            seen = i + 1 if causal else 5
            weights = torch.stack([(query[i, head] @ key[j, head] / 2).exp() for j in range(seen)])
            expected[i, head] = (weights / weights.sum()) @ value[:seen, head]
    torch.testing.assert_close(block.attend(h)[0], block.mix(expected))


def test_only_positions_tell_a_transformer_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = build("transformer", TOKENS), strings(4, 10)
    with torch.no_grad():
        assert (model(x) - model(x.flip(1))).abs().max() > 1e-3
        monkeypatch.setattr(transformer, "sinusoids", lambda length, width, device: torch.zeros(length, width))
        torch.testing.assert_close(model(x), model(x.flip(1)))


@pytest.mark.parametrize(("side", "patches"), [(8, 16), (14, 16), (28, 16), (30, 16), (32, 16)])
def test_an_image_is_cut_in_four_by_four_patches(side: int, patches: int) -> None:
    model = build("transformer", replace(IMAGE, input_shape=(3, side, side)))
    assert isinstance(model, Transformer)
    assert model.embed(torch.zeros(1, 3, side, side)).flatten(2).shape[2] == patches


@pytest.mark.parametrize("length", [2, 3, 16, 37, 200])
def test_doubling_is_the_loop(length: int) -> None:
    """Eigenvalues in [-1, 1], some exactly at its ends and at 0: values and gradients of the plain recurrence."""
    generator = torch.Generator().manual_seed(length)
    decay = (3 * torch.randn(2, length, 5, generator=generator)).clamp(-1, 1)
    decay[torch.rand(decay.shape, generator=generator) < 0.1] = 0
    drive = torch.randn(2, length, 5, generator=generator)
    decay.requires_grad_(), drive.requires_grad_()
    state, states = torch.zeros(2, 5), []
    for t in range(length):
        state = decay[:, t] * state + drive[:, t]
        states.append(state)
    loop, fast = torch.stack(states, dim=1), recurrence(decay, drive)
    torch.testing.assert_close(fast, loop, atol=1e-5, rtol=1e-5)
    weight = torch.randn(loop.shape, generator=generator)
    for ours, theirs in zip(
        *(torch.autograd.grad((weight * h).sum(), (decay, drive)) for h in (fast, loop)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_eigenvalues_of_both_signs_hold_a_parity_exactly() -> None:
    """h -> (1 - 2x) h + x takes 0 to 1 and 1 to 0 at every one: the solution that `ssm` cannot represent."""
    bits = torch.randint(2, (8, 3000, 1), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(recurrence(1 - 2 * bits, bits), bits.cumsum(1) % 2)


@pytest.mark.parametrize(("name", "lowest"), [("ssm", 0), ("ssm-signed", -1)])
def test_eigenvalues_fill_their_interval(name: str, lowest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the inputs are, eigenvalues lie in [0, 1] or [-1, 1], and large weights reach both ends."""
    seen: list[Tensor] = []

    def watched(decay: Tensor, drive: Tensor) -> Tensor:
        seen.append(decay)
        return recurrence(decay, drive)

    monkeypatch.setattr("baselines.models.ssm.recurrence", watched)
    model = build(name, TOKENS)
    assert isinstance(model, Ssm)
    with torch.no_grad():
        model.blocks[0].eigenvalue_drive_gate.weight.mul_(100)  # type: ignore[union-attr, operator]
        model(strings(50, 20))
    eigenvalues = seen[0]
    assert len(seen) == 2
    assert lowest <= float(eigenvalues.min()) < lowest + 1e-3
    assert 1 - 1e-3 < float(eigenvalues.max()) <= 1


def test_a_temporal_convolution_reaches_sixty_one_tokens_and_no_further() -> None:
    model = build("tcn", TOKENS)
    assert isinstance(model, Tcn)
    x = strings(1, 80)
    others = x.repeat(80, 1)
    others[range(80), range(80)] = (x[0] + 1) % 5
    with torch.no_grad():
        moved = (model.double()(others) - model(x)).abs().amax(-1) > 1e-12
    assert moved.tolist() == [False] * (80 - 61) + [True] * 61


def test_a_temporal_convolution_knows_no_absolute_position() -> None:
    """Beyond its reach from the start, a string shifted by one has the same answers, shifted by one."""
    model, x = build("tcn", replace(TOKENS, per_position=True)), strings(2, 90)
    with torch.no_grad():
        torch.testing.assert_close(model(x)[:, 61:], model(x[:, 1:])[:, 60:])


@pytest.mark.parametrize("name", SMALL)
def test_they_learn_to_recall_the_first_token_with_their_own_recipe(name: str) -> None:
    problem = replace(TOKENS, n_outputs=5)
    model = build(name, problem).train()
    recipe = Recipe().override(getattr(model, "recipe", {}))
    optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        x = torch.randint(5, (64, 6), generator=generator)
        loss = nn.functional.cross_entropy(model(x), x[:, 0])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm or math.inf)
        optimizer.step()
    x = torch.randint(5, (500, 6), generator=generator)
    assert (model.eval()(x).argmax(1) == x[:, 0]).float().mean() > 0.95
