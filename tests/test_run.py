"""The command line as a user meets it: in processes of its own, with what it prints."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.claims import Claims
from benchmarks.records import Record
from benchmarks.store import Damaged, Store, scan

ROOT = Path(__file__).parents[1]
MODELS = Path(__file__).parent / "bad_models" / "models.py"


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.run", *map(str, arguments)]


def environment() -> dict[str, str]:
    hidden = ("WANDB_API_KEY", "WANDB_MODE")
    return {k: v for k, v in os.environ.items() if k not in hidden} | {"OMP_NUM_THREADS": "1", "COLUMNS": "140"}


def call(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=200, check=False
    )


def records(results: Path) -> list[Record]:
    found = list(scan(results))
    assert not [f for f in found if isinstance(f, Damaged)]
    return [f for f in found if isinstance(f, Record)]


def test_one_command_trains_reports_mirrors_and_does_nothing_twice(tmp_path: Path) -> None:
    results = tmp_path / "results"
    arguments = ("--task", "reweight", "--model", "linear", "knn", "gru", "--seeds", 2, "--results", results,
                 "--budget-scale", 0.1)  # fmt: skip
    first = call(*map(str, arguments))
    assert first.returncode == 0, first.stderr
    assert "12 trials: 1 task, 3 models, 2 seeds; 0 done, 12 to run" in first.stdout
    assert "shift/reweight-v1" in first.stdout and "±" in first.stdout
    assert f"wandb sync --include-offline {results}/wandb/offline-run-*" in first.stdout
    found = records(results)
    assert len(found) == 12
    by_model = {r.trial.model: r for r in found}
    assert by_model["linear"].status == "ok"
    assert by_model["gru"].status == "skipped" and "not vector" in by_model["gru"].reason
    assert by_model["linear"].recipe is not None and by_model["knn"].recipe is None
    assert by_model["linear"].provenance["threads"] == 1

    before = {path: path.stat().st_mtime_ns for path in results.rglob("*.json")}
    again = call(*map(str, arguments))
    assert again.returncode == 0
    assert "12 done, 0 to run" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*.json") if path in before} == before


def test_when_time_is_up_nobody_is_waited_for(tmp_path: Path) -> None:
    arguments = ("--task", "linear-unit-1", "--model", "linear", "--seeds", 1, "--budget-scale", 0.01, "--wandb",
                 "disabled", "--results", tmp_path)  # fmt: skip
    assert call(*arguments).returncode == 0
    (found,) = records(tmp_path)
    Store(tmp_path).discard(found.trial)
    with Claims(tmp_path) as another:
        assert another.take(found.key)
        ended = call(*arguments, "--time", "5s")
    assert ended.returncode == 0
    assert "time is up, trials left: 1" in ended.stdout


def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    arguments = ("--task", "linear-unit-1", "--model", "mlp", "--seeds", "1", "--budget-scale", "0.1",
                 "--wandb", "disabled")  # fmt: skip
    for name in ("a", "b"):
        assert call(*arguments, "--results", tmp_path / name).returncode == 0
    (first,), (second,) = records(tmp_path / "a"), records(tmp_path / "b")
    assert first.scores == second.scores and first.curve == second.curve and first.data == second.data


def test_an_error_with_a_megabyte_to_say_costs_a_few_lines(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def __init__(self, problem):\n"
        "        raise RuntimeError('too much ' + 'A' * 1_000_000)\n"
    )
    done = call("--task", "linear-unit-1", "--model", f"{tmp_path / 'loud.py'}:Net", "--seeds", "1",
                "--results", tmp_path / "results", "--wandb", "disabled")  # fmt: skip
    assert done.returncode == 1
    assert "RuntimeError: too much" in done.stdout and len(done.stdout) < 6000


def test_failures_are_rows_with_a_reason_and_exit_status_1(tmp_path: Path) -> None:
    done = call("--task", "linear-unit-1", "--model", f"{MODELS}:RaisesInConstructor", f"{MODELS}:Plain",
                "--seeds", "1", "--results", tmp_path, "--budget-scale", "0.05", "--wandb", "disabled")  # fmt: skip
    assert done.returncode == 1
    assert "RuntimeError: no weights for you" in done.stdout
    assert "1 ok, 1 failed" in done.stdout
    failed = next(record for record in records(tmp_path) if record.status == "failed")
    assert (
        failed.error is not None and "models.py" in failed.error["frames"] and str(ROOT) not in failed.error["frames"]
    )

    skipped_over = call("--task", "linear-unit-1", "--model", f"{MODELS}:RaisesInConstructor", "--seeds", "1",
                        "--results", tmp_path, "--budget-scale", "0.05", "--wandb", "disabled")  # fmt: skip
    assert "1 done, 0 to run" in skipped_over.stdout
    retried = call("--task", "linear-unit-1", "--model", f"{MODELS}:RaisesInConstructor", "--seeds", "1", "--retry",
                   "failed", "--results", tmp_path, "--budget-scale", "0.05", "--wandb", "disabled")  # fmt: skip
    assert "0 done, 1 to run" in retried.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--task", "shfit"), ("no task, family or tag 'shfit'", "nearest: shift")),
        (("--task", "shift/colored-digit"), ("shift/colored-digits",)),
        (("--task", "shift", "--model", "mlpp"), ("no baseline 'mlpp'", "file.py:Class", "mlp")),
        (("--task", "shift", "--model", "nowhere.py:Net"), ("there is no file",)),
        (("--task", "shift", "--model", "README.md:Net"), ("cannot be found",)),
        (("--task", "shift", "--model", f"{MODELS}:Plan"), ("defines no Plan", "Plain")),
        (("--task", "shift", "--algorithm", "erl"), ("no training algorithm 'erl'", "erm")),
        ((), ("say what to run: --task ", "|shift|")),
        (("--task", "shift", "--seeds", "0"), ("0 is not a whole number from 1 to 100,000",)),
        (("--task", "shift", "--tune", "abc"), ("abc is not a whole number from 1",)),
        (("--task", "shift", "--leave-one-out"), ("--tune N",)),
        (("--task", "linear-unit-2", "--sweep", "SPURIOUS"), ("no", "dose 'SPURIOUS'", "environments")),
        (("--task", "slabs-lms5", "--sweep", "spurious"), ("dose 'spurious'", "they have none")),
        (("--task", "shift", "--budget-scale", "nan"), ("not a number above 0",)),
    ],
)
def test_bad_usage_is_told_in_words_with_exit_status_2(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = call(*arguments)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = call("--task", "reweight", "--model", "linear", "--results", tmp_path / "file" / "results")
    assert done.returncode == 2 and "cannot write to the results folder" in done.stderr


def test_a_dry_run_says_what_would_run_and_runs_nothing(tmp_path: Path) -> None:
    done = call("--task", "reweight", "--model", "linear", "--seeds", "2", "--dry-run", "--results", tmp_path / "r")
    assert done.returncode == 0 and "4 to run, about" in done.stdout
    assert not (tmp_path / "r").exists()


def test_help_and_list_do_not_import_torch() -> None:
    for flag in ("--help", "--list"):
        code = "import sys; from benchmarks import run\ntry: run.main([sys.argv[1]])\nexcept SystemExit: pass\n"
        code += "sys.exit(any(m in sys.modules for m in ('torch', 'pytorch_lightning', 'pandas', 'sklearn')))"
        done = subprocess.run([sys.executable, "-c", code, flag], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "shift" in done.stdout or flag == "--help"


def test_five_kills_of_the_whole_run_lose_and_damage_nothing(tmp_path: Path) -> None:
    arguments = ("--task", "reweight", "linear-unit-1", "--model", "linear", "mlp", "--seeds", "3", "--results",
                 tmp_path / "results", "--budget-scale", "0.2")  # fmt: skip
    randomness = random.Random(1)
    finished: dict[str, bytes] = {}
    for _ in range(5):
        process = subprocess.Popen(
            command(*arguments), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(6 + 4 * randomness.random())
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.5)  # the kernel delivers the death of the parent to its children
        for path in (tmp_path / "results").glob("shift/*/*/*/*.json"):
            assert finished.setdefault(path.name, path.read_bytes()) == path.read_bytes(), "a finished trial was redone"
    assert call(*arguments).returncode == 0
    found = records(tmp_path / "results")
    assert len({record.key for record in found}) == len(found) == 18
    assert {record.status for record in found} == {"ok"}
    assert set(finished) <= {f"{record.key}.json" for record in found}
    began = time.monotonic()
    assert "18 done, 0 to run" in call(*arguments).stdout
    assert time.monotonic() - began < 60
    mirrored = (tmp_path / "results" / "wandb" / "mirrored.txt").read_text().split()
    assert json.dumps(sorted(mirrored)) == json.dumps(sorted({record.key for record in found}))
