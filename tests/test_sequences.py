"""Sequence outputs: next tokens from earlier ones, targets that do not count, and exact match without a decoder."""

from __future__ import annotations

import pytest
import torch
from conftest import Run
from torch import Tensor, nn

from baselines import contract, references
from baselines.contract import BrokenContract, FittedEstimator, NotApplicable
from benchmarks import check
from tasks import metrics
from tasks.metrics import IGNORED
from tasks.types import Batch, Problem

PROBLEM = Problem("tokens", (9,), "sequence", 5, 100, vocabulary=5, per_position=True)
END = 4


def logits(*rows: list[int]) -> Tensor:
    """Confident logits (N, L, 5) for these tokens."""
    return 10.0 * nn.functional.one_hot(torch.tensor(rows), 5).float()


def test_targets_that_do_not_count_count_nowhere() -> None:
    y = torch.tensor([[IGNORED, 1, 2, IGNORED], [IGNORED, IGNORED, 3, 4]])
    outputs = logits([0, 1, 2, 0], [3, 3, 3, 0])
    found = metrics.evaluate(outputs, y, "sequence")
    assert found["accuracy"] == pytest.approx(3 / 4) and found["exact_match"] == pytest.approx(1 / 2)
    right = -float(torch.log_softmax(torch.tensor([10.0, 0, 0, 0, 0]), 0)[0])
    assert found["code_length"] == pytest.approx((2 * right + right + right + 10) / 2, rel=1e-5)
    assert found["nll"] == pytest.approx((right + (2 * right + 10) / 2) / 2, rel=1e-5)
    everything = torch.full_like(y, IGNORED)
    assert float(metrics.surprise(outputs, everything).sum()) == 0
    mean = metrics.mean_loss(outputs, y, "sequence")
    assert float(mean) == pytest.approx((4 * right + 10) / 4, rel=1e-5), "the mean over the four targets that count"


def test_equal_logits_match_a_sequence_by_luck() -> None:
    y = torch.tensor([[IGNORED, 1, 2]])
    assert metrics.exact_match(torch.zeros(1, 3, 5), y) == pytest.approx(1 / 25)


def test_roc_auc_by_hand() -> None:
    y = torch.tensor([0, 0, 1, 1])
    margin = torch.tensor([0.1, 0.4, 0.4, 0.8])
    outputs = torch.stack([torch.zeros(4), margin], dim=1)
    assert metrics.roc_auc(outputs, y) == pytest.approx((2 + 1 + 0.5) / 4), "of 4 pairs 3 in order, 1 tied"
    assert metrics.roc_auc(torch.zeros(4, 2), y) == 0.5
    with pytest.raises(ValueError, match="needs both classes"):
        metrics.roc_auc(outputs, torch.ones(4, dtype=torch.int64))


def greedy(model: nn.Module, prompt: Tensor, steps: int) -> Tensor:
    """What a decoder writes after a prompt (L,), one token at a time, until it writes the end."""
    tokens = prompt
    for _ in range(steps):
        tokens = torch.cat([tokens, model(tokens[None])[0, -1].argmax()[None]])
        if tokens[-1] == END:
            break
    return tokens[len(prompt) :]


@pytest.mark.parametrize("name", ["lstm", "gru", "transformer"])
def test_exact_match_is_that_of_greedy_decoding(name: str) -> None:
    """Answers of an untrained model, some of them spoilt, in one right-padded batch of prompts of two lengths."""
    reference = references.registered()[name]
    model = contract.build(references.load_class(reference), PROBLEM, reference.hparams, seed=3).eval()
    g = torch.Generator().manual_seed(0)
    rows, targets, expected = [], [], []
    with torch.no_grad():
        for i in range(12):
            prompt = torch.randint(5, (2 + i % 2,), generator=g)
            answer = greedy(model, prompt, steps=4)
            if i % 3 == 0:
                answer[-1] = (answer[-1] + 1) % 5
            x = torch.cat([prompt, answer[:-1]])
            y = torch.cat([torch.full((len(prompt) - 1,), IGNORED), answer])
            rows.append(nn.functional.pad(x, (0, 9 - len(x))))
            targets.append(nn.functional.pad(y, (0, 9 - len(y)), value=IGNORED))
            expected.append(torch.equal(greedy(model, prompt, steps=4), answer))
        found = metrics.exact_match(model(torch.stack(rows)), torch.stack(targets))
    assert found == pytest.approx(sum(expected) / 12) and found == pytest.approx(8 / 12)


class ReadsAhead(nn.Module):
    """The right answer, read off the next input."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.n_outputs = problem.n_outputs

    def forward(self, x: Tensor) -> Tensor:
        ahead = x.roll(-1, dims=1) % self.n_outputs
        return self.scale * nn.functional.one_hot(ahead, self.n_outputs).float()


def test_a_model_that_reads_the_answer_ahead_is_refused() -> None:
    with pytest.raises(BrokenContract, match="changes with a later token"):
        contract.check_causal(ReadsAhead(PROBLEM), PROBLEM)
    broken = [f for f in check.inspect_class(ReadsAhead, {}) if f.verdict == "broken"]
    assert [f.clause for f in broken if f.problem == "tokens, sequence"] == ["a next token depends on no later one"]


def test_the_check_leaves_a_model_as_it_was() -> None:
    model = contract.build(references.load_class(references.registered()["transformer"]), PROBLEM, {}, seed=0)
    model.train()
    contract.check_causal(model, PROBLEM)
    assert model.training


def test_an_estimator_has_no_outputs_per_position() -> None:
    class Fits:
        def fit(self, x: object, y: object) -> None: ...

        def predict(self, x: object) -> None: ...

    fitted = FittedEstimator(Fits(), PROBLEM)
    with pytest.raises(NotApplicable, match="no outputs per position"):
        fitted.fit(Batch(torch.zeros(2, 9, dtype=torch.int64), torch.zeros(2, 9, dtype=torch.int64)))


def test_an_estimator_is_skipped_on_a_sequence_task_with_the_reason(run_models: Run) -> None:
    record = run_models(["sklearn.linear_model:Ridge"], task="rule-hierarchy")["Ridge"]
    assert record.status == "skipped" and "no outputs per position" in record.reason
