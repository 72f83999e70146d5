"""What kills cost: trials, runs and whole process groups are killed at random moments, over and over.

    python tests/kill_loop.py [--kills 200]

Prints, for each kind of kill, how many there were and what was lost, done twice or damaged. At the end a run that is
left alone must find every result there or make it, and every result must be the one that an undisturbed run gives.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.records import Record
from benchmarks.store import Damaged, scan

ROOT = Path(__file__).parents[1]
TASK = "shift/linear-unit-1-v1"


KILLED = -1.0
MARGIN = 60  # trials that are left to do when a kill is prepared, so that there is something to kill


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    kills = parser.parse_args().kills
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        disturbed, quiet = Path(folder) / "disturbed", Path(folder) / "quiet"
        seen: dict[str, float] = {}
        for victim, share in {"trial": 0.5, "run": 0.2, "worker": 0.2, "group": 0.1}.items():
            done = 0
            while done < round(share * kills):
                n = len(contents(disturbed)[0]) + MARGIN
                done += kill_trials(disturbed, n, kills // 4) if victim == "trial" else kill(victim, disturbed, n)
            found, damaged = contents(disturbed)
            lost = len(seen.keys() - found.keys())
            print(f"{done} kills of a {victim}: {len(found)} results, {lost} lost, {damaged} damaged", flush=True)
            seen = found
        for results in (disturbed, quiet):
            subprocess.run(command(results, n), stdout=subprocess.DEVNULL, check=False, cwd=ROOT)
        (found, damaged), (expected, _) = contents(disturbed), contents(quiet)
        files = sum(1 for _ in disturbed.glob("shift/*/*/*/*.json"))
        killed = sum(score == KILLED for score in found.values())
        wrong = sum(found.get(key) not in (score, KILLED) for key, score in expected.items())
        print(
            f"at the end: {len(found)} of {n} results in {files} files, {damaged} damaged, {killed} failed by two kills"
        )
        print(f"{wrong} are other than those of an undisturbed run")
        raise SystemExit(bool(wrong or damaged or len(found) != n or files != n))


def contents(results: Path) -> tuple[dict[str, float], int]:
    """Every result by key, as one of its scores or `KILLED`; and the number of damaged files."""
    items = list(scan(results))
    records = [item for item in items if isinstance(item, Record)]
    found = {r.key: KILLED if r.status == "failed" else r.scores["ood"]["mse"] for r in records}
    return found, sum(isinstance(item, Damaged) for item in items)


def command(results: Path, n: int) -> list[str]:
    """A run of so many short trials, each alone."""
    return [
        sys.executable, "-m", "benchmarks.run", "--task", TASK, "--model", "mlp", "--seeds", str(n), "--alone",
        "--budget-scale", "0.05", "--wandb", "disabled", "--results", str(results),
    ]  # fmt: skip


def kill_trials(results: Path, n: int, kills: int) -> int:
    """Kill so many trials of one run, or as many as there are."""
    done = 0
    with started(command(results, n)) as run:
        while done < kills and run.poll() is None:
            time.sleep(random.uniform(0.1, 0.8))
            for pid in random.sample(found := list(trials(run.pid)), min(1, len(found))):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    done += 1
    return done


def kill(victim: str, results: Path, n: int) -> bool:
    """Kill a run, a worker beside one, or all processes of a run, at a random moment; whether it was at work."""
    with started(command(results, n)) as run:
        watched = run
        if victim == "worker":
            worker = [sys.executable, "-m", "benchmarks.worker", str(results), "--jobs", "1"]
            watched = subprocess.Popen(worker, stdout=subprocess.DEVNULL, cwd=ROOT)
        wait_for_trials(watched)
        time.sleep(random.uniform(0.0, 2.0))
        was_alive = watched.poll() is None
        if victim == "group":
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
        else:
            watched.kill()
        watched.wait()
        time.sleep(random.uniform(0.0, 0.5))
    return was_alive


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a session of its own, killed as a whole in the end."""
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT, start_new_session=True)
    try:
        yield run
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def wait_for_trials(run: subprocess.Popen[bytes]) -> None:
    """Until it trains, or has ended."""
    while run.poll() is None and not list(trials(run.pid)):
        time.sleep(0.05)


def trials(pid: int) -> Iterator[int]:
    """The processes of trials: those that the fork server below a run has forked."""
    for child in children(pid):
        yield from children(child)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    with suppress(OSError):
        return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
    return []


if __name__ == "__main__":
    main()
