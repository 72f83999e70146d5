"""Every kind of misbehaviour ends with the right status and a readable reason, and harms no other trial."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Run

MODELS = Path(__file__).parent / "bad_models" / "models.py"

EXPECTED = {
    "RaisesInConstructor": ("failed", "RuntimeError: no weights for you"),
    "DeclinesInConstructor": ("skipped", "only takes images of cats"),
    "WrongShape": ("failed", "expected (1024, 1)"),
    "ReturnsNothing": ("failed", "NoneType"),
    "NanAtStep100": ("diverged", "loss is nan within steps"),
    "NanInEvaluation": ("diverged", "outputs are not finite"),
    "Touches50Gigabytes": ("out_of_memory", "memory"),
    "HoardsInNumpy": ("out_of_memory", "llocate"),
    "PrintsAMillionLines": ("ok", ""),
    "CallsSysExit": ("failed", "called sys.exit(3)"),
    "ExitsAtOnce": ("failed", "exit code 0 before its record was written"),
    "KillsItself": ("failed", "killed by SIGKILL, 2 times"),
    "LeavesAChildBehind": ("ok", ""),
    "ChangesGlobalSeeds": ("ok", ""),
    "ChangesDefaultDtype": ("failed", "default dtype to torch.float64"),
    "ReadsSecrets": ("failed", "secrets: [], home:"),
    "InPlace": ("ok", ""),
    "TiedWeights": ("ok", ""),
    "Dropout": ("ok", ""),
    "BatchNorm": ("ok", ""),
    "DataDependent": ("ok", ""),
    "Lazy": ("ok", ""),
    "HostileMessage": ("failed", "RuntimeError: ?[2J?<script>"),
    "NotAModel": ("failed", "neither an nn.Module nor a class with fit and predict"),
    "BadRecipe": ("failed", "recipe has no field learning_rat"),
    "Plain": ("ok", ""),
}


def test_each_ends_with_its_status_and_the_others_go_on(run_models: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    records = run_models([f"{MODELS}:{name}" for name in EXPECTED])
    wrong = {
        name: (records[name].status, records[name].reason)
        for name, (status, reason) in EXPECTED.items()
        if records[name].status != status or reason not in records[name].reason
    }
    assert not wrong
    assert all(record.reason for record in records.values() if record.status != "ok")
    assert all(record.scores for record in records.values() if record.status == "ok")
    assert str(Path.home()) not in records["ReadsSecrets"].reason.partition("home:")[2]
    left = subprocess.run(["pgrep", "-f", "sleep 987654"], capture_output=True, check=False).stdout
    assert not left, "a process that a trial started outlived it"


@pytest.mark.parametrize("name", ["EndlessLoop", "SleepsThroughInterrupts"])
def test_a_trial_that_does_not_end_is_a_timeout(run_models: Run, name: str) -> None:
    records = run_models([f"{MODELS}:{name}", f"{MODELS}:Plain"], seconds=6.0)
    assert records[name].status == "timeout"
    assert records[name].reason == "over its limit of 6 s"
    assert records["Plain"].status == "ok"
