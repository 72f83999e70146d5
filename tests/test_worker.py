"""Workers, runs beside each other and runs without a process of their own: all end with the same results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import pytest
from conftest import jobs_for

from baselines import references
from benchmarks.agenda import FOLDER, Agenda, agendas
from benchmarks.claims import Claims
from benchmarks.events import Event, Finished, Runner, Started
from benchmarks.inline import Inline
from benchmarks.jobs import Job
from benchmarks.launchers import LauncherError
from benchmarks.records import Record
from benchmarks.remote import Remote
from benchmarks.store import Store, scan
from benchmarks.supervisor import Supervisor
from benchmarks.waiting import TRIES
from benchmarks.worker import BAD_USAGE, lacks_class, missing_jobs, work

TASK = "linear-unit-1"
MODEL = '''
import os
import time

from torch import nn


class Net(nn.Linear):
    """It says that it is trained, and takes its time."""

    def __init__(self, problem):
        super().__init__(problem.input_shape[0], problem.n_outputs)
        with open(os.environ["OFFPISTE_TEST_LOG"], "a") as file:
            print(os.getpid(), file=file)
        while os.path.exists(os.environ["OFFPISTE_TEST_LOG"] + ".hold"):
            time.sleep(0.05)
        time.sleep(0.3)
'''


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model that leaves a line in `built` for every trial that is begun."""
    monkeypatch.setenv("OFFPISTE_TEST_LOG", str(tmp_path / "built"))
    path = tmp_path / "slow.py"
    path.write_text(MODEL)
    return f"{path}:Net"


def done(runner: Runner, jobs: Sequence[Job], redone: dict[str, str] | None = None) -> tuple[list[Event], list[Record]]:
    """What a runner says of jobs, one a stack, and their records."""
    with runner:
        events = list(runner.run([(job,) for job in jobs], redone or {}))
    return events, [event.record for event in events if isinstance(event, Finished)]


class Processes:
    """A launcher of plain processes on this machine."""

    def __init__(self, folder: Path, command: Sequence[str] = ()) -> None:
        self.folder, self.command = folder, command
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()

    def start(self, command: Sequence[str], n: int) -> None:
        for _ in range(n):
            with open(self.folder / "log", "ab") as log:
                self.workers.append(subprocess.Popen(self.command or command, stdout=log, stderr=log))

    def alive(self) -> int:
        return sum(worker.poll() is None for worker in self.workers)

    def failures(self) -> list[str]:
        return [f"exit code {worker.returncode}" for worker in self.workers if worker.poll()]

    def note(self) -> str:
        return ""


def test_an_agenda_is_read_as_it_was_written(tmp_path: Path) -> None:
    jobs = jobs_for(["linear"], TASK, seeds=3)
    with Agenda(tmp_path, jobs):
        ((_, found),) = agendas(tmp_path)
        assert found == jobs
    assert not list(agendas(tmp_path)) and not list(scan(tmp_path))


@pytest.mark.parametrize("text", ["{", "{}\n", "[1]\n"])
def test_an_agenda_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "one.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"one\.jsonl is no list of jobs"):
        list(agendas(tmp_path))


def test_a_record_names_the_code_that_made_it(tmp_path: Path) -> None:
    planned = [replace(job, commit="elsewhere") for job in jobs_for(["linear"], TASK, scale=0.02)]
    with Agenda(tmp_path, planned):
        (found,) = missing_jobs(Store(tmp_path), "here")
    assert found == replace(planned[0], commit="here")


def test_a_worker_ends_when_the_suite_changes_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = iter(["before", "after"])
    monkeypatch.setattr("benchmarks.jobs.code_version", lambda: next(versions))
    with Agenda(tmp_path, jobs_for(["linear"], TASK, scale=0.02)):
        assert work(tmp_path, slots=1) == BAD_USAGE
    assert "start it again" in capsys.readouterr().err and not list(scan(tmp_path))


@pytest.mark.parametrize("location", ["baselines.models.mlp", "torch.optim.rmsprop"])
def test_a_class_that_is_another_here_is_left_to_others(location: str, tmp_path: Path) -> None:
    planned_with = references.hash_source(references.source_file(location))
    assert lacks_class(location, planned_with) == ""
    assert lacks_class(location, "0") == f"{location} is not here as it was planned with"


def test_a_class_that_cannot_be_found_or_that_breaks_its_import_is_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "offpiste_broken_package"
    package.mkdir()
    (package / "__init__.py").write_text("import os\nos.environ['OFFPISTE_NOT_SET']\n")
    (package / "model.py").write_text("class Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    for location, error in (
        ("no_such_module", "UnusableClass"),
        (str(tmp_path / "gone.py"), "FileNotFoundError"),
        ("offpiste_broken_package.model", "KeyError"),
    ):
        assert lacks_class(location, "0") == f"{location} cannot be read here ({error})"


def test_inline_gives_what_a_process_gives(tmp_path: Path) -> None:
    jobs = jobs_for(["linear", "knn"], TASK, scale=0.02)
    _, here = done(Inline(Store(tmp_path / "here")), jobs)
    _, there = done(Supervisor(Store(tmp_path / "there"), slots=2), jobs)
    scores = [{record.trial.model: (record.scores, record.last) for record in records} for records in (here, there)]
    assert scores[0] == scores[1] and len(here) == 2


def test_a_lost_worker_is_replaced_and_nothing_is_done_twice(tmp_path: Path, slow: str) -> None:
    jobs = [replace(job, alone="asked for") for job in jobs_for([slow], TASK, seeds=5, scale=0.02)]
    launcher, store = Processes(tmp_path), Store(tmp_path / "results")
    with Agenda(store.root, jobs), Remote(store, launcher, n=2, slots=1) as remote:
        records, killed = [], False
        (tmp_path / "built.hold").touch()
        for event in remote.run([(job,) for job in jobs]):
            if isinstance(event, Finished):
                records.append(event.record)
            elif (tmp_path / "built").exists() and not killed:
                launcher.workers[0].kill()
                killed = True
            elif len(launcher.workers) > 2:
                (tmp_path / "built.hold").unlink(missing_ok=True)
    assert killed and sorted(record.trial.seed for record in records) == list(range(5))
    assert {record.status for record in records} == {"ok"}
    assert len(launcher.workers) >= 3
    assert len((tmp_path / "built").read_text().split()) <= 5 + 1  # what the dead one had begun, once more
    assert not list(agendas(store.root))


def test_workers_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.remote.LOOK_SECONDS", 0.05)
    monkeypatch.setattr("benchmarks.remote.PULSE_SECONDS", 0.05)
    jobs = jobs_for(["linear"], TASK, seeds=2, scale=0.02)
    launcher = Processes(tmp_path, [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(LauncherError, match="2 trials are left and no worker stays: exit code 3"):
        done(Remote(Store(tmp_path / "results"), launcher, n=2, slots=1), jobs)


def test_a_worker_that_is_told_to_stop_gives_back_what_it_had(tmp_path: Path, slow: str) -> None:
    jobs = jobs_for([slow], TASK, seeds=6, scale=0.02)
    results = tmp_path / "results"
    with Agenda(results, jobs):
        command = [sys.executable, "-m", "benchmarks.worker", str(results), "--jobs", "1"]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE)
        while not (tmp_path / "built").exists():
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        output, _ = worker.communicate(timeout=60)
    assert worker.returncode == 143 and b"stopped" in output
    assert not list((results / "claims").iterdir())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_a_killed_worker_leaves_no_trial_behind(tmp_path: Path, slow: str) -> None:
    (tmp_path / "slow.py").write_text(MODEL.replace("0.3", "100"))
    jobs, results = jobs_for([slow], TASK, scale=0.02), tmp_path / "results"
    with Agenda(results, jobs):
        worker = subprocess.Popen([sys.executable, "-m", "benchmarks.worker", str(results), "--jobs", "1"])
        while not (tmp_path / "built").exists() or not (tmp_path / "built").read_text().strip():
            time.sleep(0.05)
        worker.kill()
        worker.wait()
    trial = Path("/proc") / (tmp_path / "built").read_text().strip()
    ends = time.monotonic() + 30
    while trial.exists() and time.monotonic() < ends:
        time.sleep(0.1)
    assert not trial.exists()


def test_two_workers_share_the_work(tmp_path: Path, slow: str) -> None:
    jobs, results = jobs_for([slow], TASK, seeds=6, scale=0.02), tmp_path / "results"
    command = [sys.executable, "-m", "benchmarks.worker", str(results), "--jobs", "1"]
    with Agenda(results, [replace(job, alone="asked for") for job in jobs]):
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        outputs = [worker.communicate(timeout=200)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert len((tmp_path / "built").read_text().split()) == len(list(scan(results))) == 6


def test_a_trial_that_another_run_has_redone_is_not_redone(tmp_path: Path) -> None:
    (job,) = jobs_for(["linear"], TASK, scale=0.02)
    store = Store(tmp_path)
    store.put(Record(job.trial, "failed", "the first time"))
    old = store.get(job.trial)
    assert old is not None
    events, (record,) = done(Inline(store), [job], {job.trial.key: old.checksum})
    assert record.status == "ok" and any(isinstance(event, Started) for event in events)
    events, (again,) = done(Inline(store), [job], {job.trial.key: old.checksum})
    assert again == record and not any(isinstance(event, Started) for event in events)


@pytest.mark.parametrize("late", [False, True])
def test_what_others_have_begun_is_taken_over_only_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """Another run dies with one trial in hand, while this one trains the other; at its end, or long before."""
    monkeypatch.setattr("benchmarks.waiting.LOOK_SECONDS", 0.0)
    mine, other = jobs_for(["linear"], TASK, seeds=2, scale=0.02)
    store = Store(tmp_path)
    ends = time.monotonic() + (0 if late else 3600)
    with Claims(tmp_path) as another, Supervisor(store, slots=1, ends=ends) as supervisor:
        assert another.take(other.trial.key)
        events = []
        for event in supervisor.run([(other,), (mine,)]):
            events.append(event)
            another.give_back(other.trial.key)
    begun = [event.job for event in events if isinstance(event, Started)]
    ended = [event.record.trial for event in events if isinstance(event, Finished)]
    assert begun == ([mine] if late else [mine, other])
    assert ended == [job.trial for job in begun], "what was begun is never cut short"


def test_a_stack_that_dies_is_run_one_by_one(tmp_path: Path) -> None:
    """Together they are killed; each alone is tried as often as any other, and says what ended it."""
    path = tmp_path / "kills.py"
    path.write_text(
        MODEL.replace("time.sleep(0.3)", "os.kill(os.getpid(), 9) if int(self.weight.sum() * 1e6) % 2 else None")
        .replace('        with open(os.environ["OFFPISTE_TEST_LOG"], "a") as file:\n', "")
        .replace("            print(os.getpid(), file=file)\n", "")
        .replace('        while os.path.exists(os.environ["OFFPISTE_TEST_LOG"] + ".hold"):\n', "")
        .replace("            time.sleep(0.05)\n", "")
    )
    jobs = jobs_for([f"{path}:Net"], TASK, seeds=4, scale=0.02)
    with Supervisor(Store(tmp_path / "results"), slots=1) as supervisor:
        events = list(supervisor.run([tuple(jobs)]))
    records = {event.record.trial.seed: event.record for event in events if isinstance(event, Finished)}
    assert sorted(records) == [0, 1, 2, 3]
    statuses = {record.status for record in records.values()}
    assert statuses == {"ok", "failed"}
    assert {r.reason for r in records.values() if r.status == "failed"} == {f"killed by SIGKILL, {TRIES} times"}
    assert all("SIGKILL" in str(r.provenance["engine"]) for r in records.values() if r.status == "ok")


def test_seeds_that_are_trained_at_once_say_so(tmp_path: Path) -> None:
    jobs = jobs_for(["linear"], TASK, seeds=8, scale=0.05)
    with Supervisor(Store(tmp_path), slots=1) as supervisor:
        records = [event.record for event in supervisor.run([tuple(jobs)]) if isinstance(event, Finished)]
    engines = [record.provenance["engine"] for record in records]
    assert len(records) == 8 and all(engine["name"] == "stacked" and engine["replicas"] == 8 for engine in engines)
    alone = Store(tmp_path / "alone")
    _, single = done(Supervisor(alone, slots=1), [replace(jobs[3], alone="asked for")])
    (together,) = [record for record in records if record.trial.seed == 3]
    assert single[0].provenance["engine"] == {"name": "sequential", "why": "asked for"}
    for split, metrics in single[0].last.items():
        for name, value in metrics.items():
            assert together.last[split][name] == pytest.approx(value, rel=1e-3, abs=1e-5)
    assert os.listdir(tmp_path / "claims") == []
