"""Workers as Ray tasks: on a cluster that is started for them on this machine, or on one that is there already.

One task per worker, never per trial. A task runs the worker as a process, ends it when it is cancelled or dies, and is
not repeated by Ray: who started the workers counts them and may start others. Results do not pass through Ray.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.forkserver import ONE_THREAD
from benchmarks.launchers import LauncherError, in_a_line, last_words

POLL_SECONDS = 0.2
GRACE_SECONDS = 10.0
CONNECT_SECONDS = 10.0
OBJECT_STORE_BYTES = 100 * 2**20
PR_SET_PDEATHSIG = 1
QUIET = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # it would print page after page about a lost node; `failures` says it
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # who asks for no device is shown none by us
}
OWN_CLUSTER = {
    "RAY_AUTH_MODE": "token",  # Ray listens on every network interface, and who may talk to it may run code
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # the supervisor limits memory, trial by trial
}


class Ray:
    """Starts workers on a Ray cluster: of its own on this machine, or the one at `address` (`auto`, `HOST:PORT`).

    Each worker asks for `cpus` cores and `gpus` devices; a share such as 0.5 is possible. It sees the devices that Ray
    gives it and, where it asks for none, none. Output goes to `results/ray/`.
    """

    def __init__(self, results: Path, cpus: int = 1, gpus: float = 0.0, address: str | None = None) -> None:
        """Raises LauncherError for devices that Ray cannot share out."""
        if gpus < 0 or (gpus > 1 and gpus % 1):
            raise LauncherError(f"a worker has a share of one device or whole devices, not {gpus:g}")
        self.logs = results.resolve() / "ray"
        self.cpus, self.gpus, self.address = cpus, gpus, address
        self.folder: Path | None = None
        self.ray: Any = None
        self.tasks: dict[Any, str] = {}
        self.failed: list[str] = []

    def __enter__(self) -> Self:
        """Raises LauncherError where Ray is not installed or there is no cluster at the address."""
        os.environ.update(QUIET)
        if self.address is None:
            os.environ.update(OWN_CLUSTER)
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # Ray reads it once in a process
        try:
            import ray.exceptions
        except ImportError:
            raise LauncherError("Ray is not installed: pip install 'offpiste[ray]'") from None
        self.ray = ray
        if self.address is not None:
            check_answers(self.address)
        try:
            self.connect()
        except BaseException as error:  # Ray raises whatever its parts do, and who waits may lose patience
            self.leave()
            if not isinstance(error, Exception):
                raise
            where = f"at {self.address}" if self.address else "could be started here"
            raise LauncherError(f"no Ray cluster {where}: {in_a_line(str(error))}") from error
        self.ray.cloudpickle.register_pickle_by_value(
            sys.modules[__name__]
        )  # a node's Python need not have this package
        return self

    def connect(self) -> None:
        """Start a cluster, or find one."""
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address is not None:
            options |= {"address": self.address}
        else:
            self.folder = Path(tempfile.mkdtemp(prefix=f"offpiste-{os.getpid()}-ray-", dir="/tmp"))  # for short names
            options |= {"address": "local", "include_dashboard": False, "_temp_dir": str(self.folder)}
            options |= {"object_store_memory": OBJECT_STORE_BYTES}
        at_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            self.ray.init(**options)
        finally:
            signal.signal(signal.SIGTERM, at_sigterm)  # Ray puts a crash report of its own there

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.cancel()
        finally:
            self.leave()

    def cancel(self) -> None:
        """Cancel all tasks and wait until they have ended their workers."""
        for task in self.tasks:
            self.ray.cancel(task)
        if self.tasks:
            self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=GRACE_SECONDS + 5)

    def leave(self) -> None:
        """Disconnect, and end a cluster of our own with all that runs on it."""
        self.ray.shutdown()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, command: Sequence[str], n: int) -> None:
        """Start n more workers, spread over the nodes, in the folder that this process is in."""
        self.logs.mkdir(parents=True, exist_ok=True)
        variables = {k: v for k, v in os.environ.items() if k == "PYTHONPATH" or k.startswith("OFFPISTE_")}
        options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": 0, "scheduling_strategy": "SPREAD"}
        work = self.ray.remote(serve).options(**options)
        for _ in range(n):
            name = secrets.token_hex(6)
            log = str(self.logs / name)
            self.tasks[work.remote(list(command), os.getcwd(), log, variables, self.gpus > 0)] = name

    def alive(self) -> int:
        """How many run or wait for a place."""
        if self.tasks:
            ended, _ = self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0)
            self.failed += filter(None, map(self.obituary, ended))
            self.forget(ended)
            self.give_up()
        return len(self.tasks)

    def give_up(self) -> None:
        """Count workers as lost that are on a dead node. Ray does so itself only where the node was heard to die."""
        for node in (node["NodeID"] for node in self.ray.nodes() if not node["Alive"]):
            there = [task for task, name in self.tasks.items() if any(self.logs.glob(f"{name}-*-{node}.log"))]
            self.failed += [f"Ray lost a worker: its node {node} fell silent"] * len(there)
            self.forget(there)

    def forget(self, tasks: Iterable[Any]) -> None:
        """Watch these no more."""
        for task in tasks:
            del self.tasks[task]

    def obituary(self, task: Any) -> str:
        """How a task ended, where it did so badly."""
        try:
            how, log = self.ray.get(task)
        except self.ray.exceptions.RayError as error:
            return f"Ray lost a worker: {in_a_line(str(error))}"
        return f"Ray worker: {how}; {last_words(Path(log))}" if how else ""

    def failures(self) -> list[str]:
        """All workers that ended badly so far, a line each."""
        return list(self.failed)

    def note(self) -> str:
        """That no node is large enough for a worker, if so."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if any(all(node.get(name, 0) >= n for name, n in wanted.items()) for node in nodes):
            return ""
        return f"no node of the Ray cluster has {self.cpus} cores and {self.gpus:g} devices: workers wait for one"


def check_answers(address: str) -> None:
    """Raises LauncherError where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    try:
        place = urlsplit(f"//{address.removeprefix('ray://')}")
        if place.port is not None:
            socket.create_connection((place.hostname, place.port), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise LauncherError(f"no Ray cluster at {address}: {error}") from None


def serve(command: list[str], folder: str, log: str, variables: dict[str, str], devices: bool) -> tuple[str, str]:
    """On a node, in a Ray task: run a worker to its end. How it ended, nothing where well, and its log."""
    import ray

    host = socket.gethostname()
    log += f"-{host}-{ray.get_runtime_context().get_node_id()}.log"
    try:
        how = how_ended(attend(command, folder, Path(log), variables, devices))
    except OSError as error:
        how = f"not started, {error}"
    return f"{how} on {host}" if how else "", log


def attend(command: list[str], folder: str, log: Path, variables: dict[str, str], devices: bool) -> int:
    """Run a command to its exit status, or end it when this is cut short; its output goes to the log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= variables | ONE_THREAD | ({} if devices else {"CUDA_VISIBLE_DEVICES": ""})
    with open(log, "xb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, preexec_fn=end_with_parent(),
        )  # fmt: skip
    try:
        while process.poll() is None:
            time.sleep(POLL_SECONDS)  # not wait(): Ray's cancellation would not be noticed in it
    finally:
        stop(process)
    return process.returncode


def end_with_parent() -> Callable[[], object] | None:
    """What a new process does first, so that it is told to end when its parent dies, however that is killed."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork, after which little is safe
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, then end it and what it left in its group."""
    with suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def how_ended(status: int) -> str:
    """An exit status in words, nothing for 0."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}" if status else ""
