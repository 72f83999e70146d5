"""Algorithms as an axis: same data and batches for all, a user's own from a file; what does not apply is skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines import references
from baselines.algorithm import Algorithm, Training, completed
from baselines.contract import BrokenContract
from benchmarks import check
from benchmarks.check_algorithm import inspect_algorithm
from benchmarks.jobs import Job, plan
from benchmarks.material import Material
from benchmarks.records import Record, parse
from benchmarks.replica import Replica
from benchmarks.training import train
from benchmarks.trial import run_trial
from tasks import registry
from tasks.types import Batch, Budget, Problem, Recipe

TASK = "shift/linear-unit-2-v1"
PROBLEM = Problem("vector", (4,), "classes", 2, 60)
STEPS = 6
MINE = """
class Mine:
    def __init__(self, problem, strength=2.0):
        self.strength = strength

    def loss(self, model, batch, step):
        return self.strength * (model(batch.x) - batch.y[:, None]).square().mean()
"""


def job(algorithm: str, model: str = "linear", task: str = TASK, **changes: Any) -> Job:
    """One short trial."""
    words = references.select([algorithm], "algorithm")
    planned = plan(registry.select([task]), references.select([model]), words, 1, 0.02)[0]
    return planned.varied(**changes)


def data() -> Batch:
    """60 examples of 3 environments and 4 groups."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(60, 4, generator=generator), torch.arange(60) % 2
    return Batch(x, y, env=torch.arange(60) % 3, group=torch.arange(60) % 4)


def seen_by(name: str) -> list[Tensor]:
    """The minibatches that an algorithm meets."""
    reference = references.registered("algorithm")[name]
    algorithm = completed(references.load_class(reference))(PROBLEM)
    met: list[Tensor] = []
    backward: Callable[..., Tensor] = algorithm.backward

    def noting(model: nn.Module, batch: Batch, step: int) -> Tensor:
        met.append(batch.x.clone())
        return backward(model, batch, step)

    algorithm.backward = noting  # type: ignore[method-assign]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    known = Training([data()], STEPS, torch.Generator().manual_seed(1), torch.randn(20, 4))
    replica = Replica(model, algorithm, known, torch.Generator().manual_seed(2), lambda predict: {})
    train([replica], Recipe(), Budget(STEPS, 16, 2), lambda outputs, x: outputs)
    return met


@pytest.mark.parametrize("name", [name for name in references.registered("algorithm") if name != "erm"])
def test_every_algorithm_meets_the_same_minibatches_in_the_same_order(name: str) -> None:
    ours, theirs = seen_by(name), seen_by("erm")
    assert len(ours) == STEPS
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_two_algorithms_on_one_seed_see_the_same_data() -> None:
    first, second = run_trial(job("erm")), run_trial(job("irm"))
    assert first.status == second.status == "ok"
    assert first.data == second.data
    assert first.anchors == second.anchors
    assert first.scores != second.scores


def test_a_user_s_file_is_an_algorithm_of_its_own_name(tmp_path: Path) -> None:
    """With its setting at 0 nothing is learned: the setting reaches the class, and the trial is another one."""
    (tmp_path / "my_algorithm.py").write_text(MINE)
    mine = job(f"{tmp_path / 'my_algorithm.py'}:Mine")
    assert mine.trial.algorithm.startswith("my-algorithm-mine@")
    record = run_trial(mine)
    assert record.status == "ok", record.reason
    other = run_trial(mine.varied(settings={"strength": 0.0}))
    assert other.status == "ok"
    assert other.curve[-1]["loss"] == 0.0 != record.curve[-1]["loss"]
    assert mine.varied(settings={"strength": 0.0}).trial.key != mine.trial.key


@pytest.mark.parametrize(
    ("algorithm", "model", "task", "reason"),
    [
        ("irm", "linear", "shift/reweight-v1", "needs environments, and the training data have none"),
        ("dfr", "linear", TASK, "needs group labels, and the training data have none"),
        ("irm", "knn", TASK, "is fitted, not trained step by step"),
        ("sd", "linear", "shift/linear-unit-1-v1", ""),
    ],
)
def test_what_does_not_apply_is_skipped_with_a_reason(algorithm: str, model: str, task: str, reason: str) -> None:
    record = run_trial(job(algorithm, model, task))
    assert record.status == "skipped"
    assert reason in record.reason and record.reason


def test_an_algorithm_without_a_loss_or_with_an_unknown_need_is_told() -> None:
    with pytest.raises(BrokenContract, match=r"has no method loss\(model, batch, step\)"):
        completed(type("Empty", (), {}))
    with pytest.raises(BrokenContract, match="needs colours; there are environments"):
        completed(type("Greedy", (Algorithm,), {"needs": ("colours",), "loss": lambda *_: None}))


def test_an_environment_that_is_left_out_validates_and_does_not_train() -> None:
    whole, left = run_trial(job("erm")), run_trial(job("erm", left_out=1, tuned="search"))
    assert left.status == "ok", left.reason
    assert whole.data["val"][0] == left.data["val"][0] * 3
    assert whole.data["train"][0] * 2 == left.data["train"][0] * 3
    assert whole.data["iid"] == left.data["iid"]
    assert run_trial(job("erm", left_out=9, tuned="search")).status == "skipped"


def run_file(folder: Path, body: str) -> Record:
    """A trial of a model class from a file."""
    path = folder / "net.py"
    path.write_text(f"import torch\nfrom torch import nn\n\n\n{body}")
    planned = plan(
        registry.select([TASK]), references.select([f"{path}:Net"]), references.select(["erm"], "algorithm"), 1, 0.02
    )
    return run_trial(planned[0])


NET = """
class Net(nn.Module):
    def __init__(self, problem):
        super().__init__()
        self.layer = nn.Linear(problem.input_shape[0], problem.n_outputs)

    def forward(self, x):
        return self.layer({inputs})
"""


@pytest.mark.parametrize(("inputs", "flags"), [("x - x.mean(0)", ("transductive",)), ("x", ())])
def test_a_model_that_reads_its_batch_is_flagged(tmp_path: Path, inputs: str, flags: Sequence[str]) -> None:
    record = run_file(tmp_path, NET.format(inputs=inputs))
    assert record.status == "ok", record.reason
    assert record.flags == flags


def test_an_algorithm_that_is_given_test_inputs_is_flagged() -> None:
    record = run_trial(job("iw-erm", task="shift/reweight-v1"))
    assert record.status == "ok", record.reason
    assert record.flags == ("target-inputs",)


@pytest.mark.parametrize("name", list(references.registered("algorithm")))
def test_every_algorithm_keeps_the_contract(name: str) -> None:
    findings = list(inspect_algorithm(references.load_class(references.registered("algorithm")[name]), {}))
    assert [f for f in findings if f.verdict in ("broken", "note")] == []
    assert any(f.clause == "gradients reach the parameters" and f.verdict == "ok" for f in findings)


BROKEN = {
    "the loss has shape (48, 3)": "return model(batch.x) ** 2",
    "the loss is nan": "return model(batch.x).sum() * float('nan')",
    "no parameter has a gradient": "return (model(batch.x) * 0).sum()",
    "it changes a batch in place": "batch.x.mul_(0.5)\n        return (model(batch.x) ** 2).sum()",
    "two trainings with one seed differ": "import random\n        return random.random() * (model(batch.x) ** 2).sum()",
    "KeyError: 'colour'": "return {}['colour']",
}


@pytest.mark.parametrize("complaint", BROKEN)
def test_a_broken_algorithm_is_told_what_it_breaks(complaint: str) -> None:
    space: dict[str, Any] = {}
    body = BROKEN[complaint]
    if complaint.startswith("the loss has shape"):
        body += "\n    def backward(self, model, batch, step):\n        loss = self.loss(model, batch, step)\n"
        body += "        loss.sum().backward()\n        return loss"
    method = f"    def loss(self, model, batch, step):\n        {body}\n"
    exec(f"class Mine:\n    def __init__(self, problem): pass\n{method}", space)  # the text of a user's file
    details = [f.detail for f in inspect_algorithm(space["Mine"], {}) if f.verdict in ("broken", "note")]
    assert any(complaint in detail for detail in details), details


def test_the_check_command_knows_an_algorithm_from_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    assert check.main([f"{tmp_path / 'mine.py'}:Mine"]) == 0
    told = capsys.readouterr().out
    assert "keeps the contract" in told
    assert "tokens" not in told  # no clause of a model class was held against it


def test_a_measure_that_no_record_may_say_fails_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not silently: a record that could be written and never read would be lost."""
    right = Material.measure
    wrong = {"accuracy": 1.5}
    monkeypatch.setattr(Material, "measure", lambda *of: {name: {**v, **wrong} for name, v in right(*of).items()})
    record = run_trial(job("erm"))
    assert record.status == "failed"
    assert "accuracy is 1.5, out of [0, 1]" in record.reason
    assert parse(record.to_json()).reason == record.reason
