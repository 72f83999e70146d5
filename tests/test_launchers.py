"""Workers are started, counted and stopped by engines that know nothing of trials; the engines here are the real ones.

Slurm runs where its daemons are installed (`slurm_node.py` says how), Ray where it can be imported. A worker is a
script that does numbered pieces of work in a folder, each claimed by the one that creates its file.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import slurm_node

from benchmarks.launchers import LauncherError, in_a_line, last_words, ray, slurm
from benchmarks.launchers.ray import Ray
from benchmarks.launchers.slurm import Slurm, max_array_size, parsed, pieces, read_queue, script

WORKER = """
import os, signal, sys, time
folder, n, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
piece = None
def told(number, frame):
    print("told to end", flush=True)
    if os.path.exists(f"{folder}/{piece}.claim"):
        os.unlink(f"{folder}/{piece}.claim")
    sys.exit(143)
signal.signal(signal.SIGTERM, told)
print("begins", os.getpid(), flush=True)
for piece in range(n):
    try:
        os.close(os.open(f"{folder}/{piece}.claim", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        continue
    time.sleep(seconds)
    open(f"{folder}/{piece}.done", "w").close()
print("nothing is left to do")
"""
FOREVER = 1000.0


def worker(folder: Path, n: int = 1, seconds: float = 0.05) -> list[str]:
    """The command of a worker that does n pieces of work in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return [sys.executable, "-c", WORKER, str(folder), str(n), str(seconds)]


def done(folder: Path) -> int:
    """How many pieces of work are done in a folder."""
    return len(list(folder.glob("*.done")))


def wait_for(truth: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it has not come to pass"
        time.sleep(0.05)


def pids(logs: Path) -> list[int]:
    """The processes of workers, by what they said when they began."""
    return [int(line.split()[1]) for log in logs.glob("*.log") for line in log.read_text().splitlines()
            if line.startswith("begins")]  # fmt: skip


def began(logs: Path) -> bool:
    """Whether a worker has said that it begins."""
    return bool(pids(logs))


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- what workers said ------------------------------------------------------------------------------------------------


def test_the_last_words_of_a_worker_are_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "1_0.log"
    assert last_words(log) == f"no log {log}; is the results folder the same on every node?"
    log.write_text("\n")
    assert last_words(log) == f"it said nothing ({log})"
    log.write_text("first\nModuleNotFoundError: no \x1b[31mmodule\n\n")
    assert last_words(log) == f"ModuleNotFoundError: no ?[31mmodule ({log})"
    log.write_text("x" * 10_000_000)
    assert len(last_words(log)) < 400 + len(str(log))


def test_what_an_engine_says_is_one_line() -> None:
    assert in_a_line("sbatch: error:\n  no partition\t\x07x\n") == "sbatch: error: no partition ?x"


# --- what is submitted to Slurm ---------------------------------------------------------------------------------------


def test_options_are_split_like_those_of_a_shell() -> None:
    assert parsed("--partition=gpu --gres gpu:1 --comment='a b'") == [
        "--partition=gpu", "--gres", "gpu:1", "--comment=a b",
    ]  # fmt: skip
    assert parsed("") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--partition='gpu", ("cannot be read", "No closing quotation")),
        ("--array=0-9", ("--array", "the launcher needs it")),
        ("-a 0-9", ("--array",)),
        ("-a0-9", ("--array",)),
        ("-p gpu --job-name=mine", ("--job-name",)),
        ("--wait", ("--wait",)),
        ("--wrap 'rm -r x'", ("--wrap",)),
        ("-M other", ("--clusters",)),
        ("-o log", ("--output",)),
    ],
)
def test_options_that_belong_to_the_launcher_are_refused(options: str, words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(LauncherError) as refusal:
        Slurm(tmp_path, options=options)
    assert all(word in str(refusal.value) for word in words)


def test_a_user_s_options_come_after_ours_and_before_what_must_stand(tmp_path: Path) -> None:
    words = Slurm(tmp_path / "100%", cpus=3, memory_gib=1.5, minutes=90, options="--time=5").submission(7)
    assert words[0] == "sbatch"
    assert {"--requeue", "--open-mode=append", "--cpus-per-task=3", "--mem=4608M", "--signal=B:TERM@60"} <= set(words)
    assert words.index("--time=90") < words.index("--time=5") < words.index("--array=0-6")
    assert words[-1] == f"--output={tmp_path}/100%%/slurm/%A_%a.log"


@pytest.mark.parametrize("memory", ["--mem=0", "--mem-per-cpu=1G", "--mem-per-gpu 40G"])
def test_of_the_options_for_memory_slurm_takes_one(memory: str, tmp_path: Path) -> None:
    words = Slurm(tmp_path, options=memory).submission(1)
    assert [word for word in words if word.startswith("--mem")] == [memory.split()[0]]


def test_the_script_becomes_the_command_whatever_is_in_it(tmp_path: Path) -> None:
    odd = "a 'b\" $HOME `id` ; \n c"
    code = "import os, sys; print(os.getpid(), os.environ['OMP_NUM_THREADS'], repr(sys.argv[1]))"
    shell = subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said, _ = shell.communicate(script([sys.executable, "-c", code, odd]))
    assert said == f"{shell.pid} 1 {odd!r}\n"


def test_arrays_are_as_large_as_slurm_allows() -> None:
    assert list(pieces(7, 3)) == [3, 3, 1]
    assert list(pieces(3, 3)) == [3]
    assert list(pieces(0, 3)) == []
    assert max_array_size("MaxArraySize            = 4001\nMaxDBDMsgs = 1\n") == 4001
    assert max_array_size("something else") == 1001


# --- a queue that says what it is told to -----------------------------------------------------------------------------


class Queue:
    """Slurm's commands as scripts that answer from files; `calls` is what was asked of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        for name in ("sbatch", "squeue", "scancel", "scontrol"):
            self.answers(name, "MaxArraySize = 3\n" if name == "scontrol" else "")
            path = folder / name
            path.write_text(
                f'#!/bin/sh\necho {name} "$@" >> {self.calls}\nread line < {folder}/{name}.status\n'
                f"cat {folder}/{name}.answer\n[ $line = 0 ] || echo 'controller is down' >&2\nexit $line\n"
            )
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def answers(self, name: str, text: str, status: int = 0) -> None:
        """What a command is to print from now on, and how it is to end."""
        (self.folder / f"{name}.answer").write_text(text)
        (self.folder / f"{name}.status").write_text(f"{status}\n")

    def asked(self, name: str) -> list[str]:
        """How often and with what a command was called."""
        return [line for line in self.calls.read_text().splitlines() if line.startswith(f"{name} ")]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Queue:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "CANCEL_PAUSE_SECONDS", 0.0)
    return Queue(tmp_path / "bin")


def test_a_queue_is_read_as_it_is_written() -> None:
    tasks = list(read_queue("7_0|RUNNING|node1|None\n7_1|PENDING||Nodes required|are down\nnonsense\n"))
    assert [(task.id, task.state, task.node, task.reason) for task in tasks] == [
        ("7_0", "RUNNING", "node1", "None"),
        ("7_1", "PENDING", "", "Nodes required|are down"),
    ]


def test_what_may_still_be_at_work_is_alive_and_only_what_ended_badly_has_failed(queue: Queue, tmp_path: Path) -> None:
    with Slurm(tmp_path) as launcher:
        launcher.start(["true"], 8)
        assert launcher.n_alive == 8 and len(queue.asked("sbatch")) == 3
        (tmp_path / "slurm" / "5_1.log").write_text("out of luck\n")
        queue.answers(
            "squeue",
            "5_0|RUNNING|a|None\n5_1|FAILED|a|NonZeroExitCode\n5_2|COMPLETED|a|None\n6_0|PENDING||Resources\n"
            "6_1|PENDING||BeginTime\n6_2|COMPLETING|b|None\n7|CANCELLED||None\n7_1|SOMETHING_NEW|b|None\n",
        )
        for _ in range(2):
            assert launcher.alive() == 5
            assert launcher.failures() == [
                f"Slurm job 5_1 on a: FAILED; out of luck ({tmp_path / 'slurm' / '5_1.log'})"
            ]
        assert launcher.note() == "of 5 workers, these wait in the queue: 1 Resources, 1 BeginTime"
        queue.answers("squeue", "6_2|NODE_FAIL|b|None\n")
        assert launcher.alive() == 0 and launcher.note() == ""
        assert [line.split(";")[0] for line in launcher.failures()] == [
            "Slurm job 5_1 on a: FAILED", "Slurm job 6_2 on b: NODE_FAIL",
        ]  # fmt: skip


def test_a_silent_controller_is_no_dead_worker(queue: Queue, tmp_path: Path) -> None:
    with Slurm(tmp_path) as launcher:
        launcher.start(["true"], 2)
        queue.answers("squeue", "5_0|RUNNING|a|None\n", status=1)
        assert launcher.alive() == 2
        assert "Slurm has not told the queue" in launcher.note() and "controller is down" in launcher.note()
        queue.answers("squeue", "5_0|RUNNING|a|None\n")
        assert launcher.alive() == 1 and launcher.note() == ""


def test_a_silent_controller_is_waited_for_before_jobs_are_given_up(queue: Queue, tmp_path: Path) -> None:
    launcher = Slurm(tmp_path)
    queue.answers("scancel", "", status=1)
    with pytest.raises(LauncherError, match=f"scancel --name={launcher.name} .*controller is down"), launcher:
        launcher.start(["true"], 1)
    assert queue.asked("scancel") == [f"scancel --name={launcher.name}"] * 3


def test_a_refused_submission_says_why_and_what_it_may_have_left_is_cancelled(queue: Queue, tmp_path: Path) -> None:
    queue.answers("sbatch", "", status=1)
    with pytest.raises(LauncherError, match="sbatch: controller is down"), Slurm(tmp_path) as launcher:
        launcher.start(["true"], 1)
    assert len(queue.asked("scancel")) == 1


def test_nothing_is_cancelled_that_has_ended(queue: Queue, tmp_path: Path) -> None:
    with Slurm(tmp_path) as launcher:
        launcher.start(["true"], 1)
        assert launcher.alive() == 0
    assert queue.asked("scancel") == []


def test_a_user_s_habits_do_not_hide_jobs(queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (queue.folder / "squeue").write_text('#!/bin/sh\n[ -z "$SQUEUE_PARTITION" ] && echo "5_0|RUNNING|a|None"\n')
    monkeypatch.setenv("SQUEUE_PARTITION", "elsewhere")
    with Slurm(tmp_path) as launcher:
        launcher.start(["true"], 1)
        assert launcher.alive() == 1


def test_a_machine_without_slurm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LauncherError, match="no scontrol on this machine"), Slurm(tmp_path):
        pass


# --- Slurm ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node() -> Iterator[None]:
    """A Slurm cluster of one node with two cores."""
    if lack := slurm_node.missing():
        pytest.skip(f"Slurm is not tested: {lack}")
    with slurm_node.cluster() as environment, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", environment["SLURM_CONF"])
        yield


@pytest.mark.usefixtures("node")
def test_workers_on_slurm_share_the_work_and_one_that_is_killed_is_told_of(tmp_path: Path) -> None:
    results = tmp_path / "odd %j name's"
    with Slurm(results, memory_gib=0.1) as launcher:
        launcher.start(worker(tmp_path / "work", 40), 2)
        logs = results / "slurm"
        wait_for(lambda: len(pids(logs)) == 2)
        os.kill(pids(logs)[0], signal.SIGKILL)
        wait_for(lambda: launcher.alive() == 0)
        (failure,) = launcher.failures()
    assert "FAILED; begins" in failure and str(logs) in failure
    assert done(tmp_path / "work") >= 39 and "nothing is left to do" in "".join(p.read_text() for p in logs.iterdir())


@pytest.mark.usefixtures("node")
def test_a_worker_that_slurm_requeues_stays_alive_and_begins_again(tmp_path: Path) -> None:
    with Slurm(tmp_path, memory_gib=0.1) as launcher:
        launcher.start(worker(tmp_path / "work", 1, FOREVER), 1)
        logs = tmp_path / "slurm"
        wait_for(lambda: len(pids(logs)) == 1)
        subprocess.run(["scontrol", "requeue", next(logs.iterdir()).stem], check=True)
        wait_for(lambda: "told to end" in next(logs.iterdir()).read_text())
        wait_for(lambda: launcher.alive() == 1 and "BeginTime" in launcher.note())
        wait_for(lambda: len(pids(logs)) == 2)
        assert launcher.alive() == 1 and launcher.failures() == []


@pytest.mark.usefixtures("node")
def test_leaving_tells_slurm_s_workers_to_end(tmp_path: Path) -> None:
    with Slurm(tmp_path, memory_gib=0.1) as launcher:
        launcher.start(worker(tmp_path / "work", 1, FOREVER), 1)
        wait_for(partial(began, tmp_path / "slurm"))
    wait_for(lambda: "told to end" in next((tmp_path / "slurm").iterdir()).read_text())


@pytest.mark.usefixtures("node")
def test_slurm_s_own_words_say_why_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="invalid partition"), Slurm(tmp_path, options="-p nowhere") as launcher:
        launcher.start(worker(tmp_path / "work"), 1)


# --- the process inside a Ray task ------------------------------------------------------------------------------------

ATTEND = """
import sys
from pathlib import Path
from benchmarks.launchers.ray import attend
attend(sys.argv[2:], ".", Path(sys.argv[1]), {}, False)
"""


def test_a_worker_has_its_status_its_log_and_nothing_of_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    code = "import os; print([os.environ.get(n) for n in ('RAY_AUTH_TOKEN', 'CUDA_VISIBLE_DEVICES', 'OFFPISTE_DATA')])"
    command, variables = [sys.executable, "-c", f"{code}; raise SystemExit(3)"], {"OFFPISTE_DATA": "here"}
    assert ray.attend(command, str(tmp_path), tmp_path / "a", variables, devices=False) == 3
    assert (tmp_path / "a").read_text() == "[None, '', 'here']\n"
    ray.attend(command, str(tmp_path), tmp_path / "b", variables, devices=True)
    assert (tmp_path / "b").read_text() == "[None, '0', 'here']\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_worker_ends_with_its_task_however_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ATTEND, str(tmp_path / "1.log"), *worker(tmp_path / "work", 1, FOREVER)]
    task = subprocess.Popen(command)
    wait_for(lambda: len(pids(tmp_path)) == 1)
    (pid,) = pids(tmp_path)
    assert runs(pid)
    task.kill()
    task.wait()
    wait_for(lambda: not runs(pid), seconds=5)
    assert "told to end" in (tmp_path / "1.log").read_text()


def test_a_worker_that_does_not_hear_is_killed_with_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "GRACE_SECONDS", 0.2)
    deaf = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait; sleep 1000"],
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    with deaf:
        assert deaf.stdout is not None
        child = int(deaf.stdout.readline())
        ray.stop(deaf)
        assert deaf.returncode == -signal.SIGKILL
        wait_for(lambda: not runs(child), seconds=5)


@pytest.mark.parametrize("gpus", [-0.5, 1.5])
def test_devices_that_ray_cannot_share_out_are_refused(gpus: float, tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match=f"not {gpus}"):
        Ray(tmp_path, gpus=gpus)


# --- Ray --------------------------------------------------------------------------------------------------------------

HAS_RAY = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not HAS_RAY, reason="Ray is not tested: pip install 'offpiste[ray]'")
DRIVER = """
import sys, time
from pathlib import Path
from benchmarks.launchers.ray import Ray
with Ray(Path(sys.argv[1])) as launcher:
    launcher.start(sys.argv[2:], 1)
    time.sleep(1000)
"""


@pytest.fixture(scope="class")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ray]:
    """Ray on this machine, as a user starts it."""
    with Ray(tmp_path_factory.mktemp("results")) as launcher:
        yield launcher


@pytest.fixture
def launcher(cluster: Ray, tmp_path: Path) -> Iterator[Ray]:
    """A launcher that has started nothing yet, on the cluster that is there."""
    launcher = Ray(tmp_path)
    launcher.ray = cluster.ray
    yield launcher
    launcher.cancel()


@needs_ray
@pytest.mark.slow
class TestOnOneCluster:
    """What needs a cluster, but none of its own."""

    def test_workers_share_the_work_and_each_that_ends_badly_is_told_of(self, launcher: Ray, tmp_path: Path) -> None:
        failing = [sys.executable, "-c", "print('out of luck'); raise SystemExit(3)"]
        killed = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        launcher.start(worker(tmp_path / "work", 20), 2)
        for command in (failing, killed, [str(tmp_path / "none")]):
            launcher.start(command, 1)
        assert launcher.alive() == 5
        wait_for(lambda: launcher.alive() == 0)
        assert done(tmp_path / "work") == 20
        host = os.uname().nodename
        assert sorted(line.split(str(tmp_path))[0] for line in launcher.failures()) == [
            f"Ray worker: exit code 3 on {host}; out of luck (",
            f"Ray worker: killed by SIGKILL on {host}; it said nothing (",
            "Ray worker: not started, [Errno 2] No such file or directory: '",
        ]

    def test_cancelled_tasks_tell_their_workers_to_end(self, launcher: Ray, tmp_path: Path) -> None:
        launcher.start(worker(tmp_path / "work", 1, FOREVER), 1)
        wait_for(lambda: len(pids(tmp_path / "ray")) == 1)
        launcher.cancel()
        (log,) = (tmp_path / "ray").iterdir()
        assert "told to end" in log.read_text() and not runs(pids(tmp_path / "ray")[0])

    def test_workers_too_large_for_every_node_are_told_of(self, launcher: Ray, tmp_path: Path) -> None:
        launcher.cpus = 1000
        launcher.start(worker(tmp_path / "work"), 1)
        assert launcher.alive() == 1 and "no node of the Ray cluster has 1000 cores and 0 devices" in launcher.note()

    def test_who_does_not_know_the_token_is_refused(self, cluster: Ray) -> None:
        code = "import ray, sys; ray._raylet.GcsClient(address=sys.argv[1]).get_all_node_info()"
        command = [sys.executable, "-c", code, cluster.ray.get_runtime_context().gcs_address]
        stranger = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        known = {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
        tried = [
            subprocess.run(command, env=stranger | told, capture_output=True, text=True, check=False)
            for told in (known, {}, known | {"RAY_AUTH_TOKEN": "0" * 64})
        ]
        assert [attempt.returncode for attempt in tried] == [0, 1, 1], tried


@needs_ray
def test_an_address_where_nothing_listens_is_told_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(LauncherError, match=r"no Ray cluster at localhost:1: .*refused"):
        Ray(tmp_path, address="localhost:1").__enter__()
    assert time.monotonic() - began < 10


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_who_started_them(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path), *worker(tmp_path / "work", 1, FOREVER)]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(pids(tmp_path / "ray")) == 1, seconds=100)
    (pid,) = pids(tmp_path / "ray")
    driver.send_signal(number)
    wait_for(lambda: not runs(pid), seconds=20)
    assert driver.wait(30) == -number


@needs_ray
@pytest.mark.slow
def test_a_node_that_dies_takes_its_worker_along_and_the_rest_do_its_work(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = nodes.add_node(num_cpus=1)
        with Ray(tmp_path, address=nodes.address) as launcher:
            launcher.start(worker(tmp_path / "work", 60, 0.5), 2)
            wait_for(lambda: done(tmp_path / "work") >= 4)
            nodes.remove_node(second, allow_graceful=False)
            wait_for(lambda: launcher.alive() == 1)
            assert launcher.failures()[0].startswith("Ray lost a worker: ")
            launcher.start(worker(tmp_path / "work", 60, 0.5), 1)
            wait_for(lambda: launcher.alive() == 0, seconds=60)
        assert len(launcher.failures()) == 1 and done(tmp_path / "work") >= 59  # what was begun there is not taken over
    finally:
        nodes.shutdown()


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_a_machine_without_ray_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match=r"pip install 'offpiste\[ray\]'"), Ray(tmp_path):
        pass
