"""A Slurm cluster of one node on this machine, for as long as a command runs; it needs no root and leaves nothing.

    python tests/slurm_node.py sbatch --wait --wrap 'hostname'

It needs the daemons: apt install slurmctld slurmd slurm-client munge. Partition `main` is the default and `urgent`
preempts it. A requeued job waits for six seconds instead of two minutes; a cancelled one has three seconds to end. The
node claims more memory than it may have.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
READY_SECONDS, STOP_SECONDS, POLL_SECONDS = 30.0, 10.0, 0.05
SETTINGS = """
ClusterName=offpiste
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=bf_interval=1,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=3
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=64000
PartitionName=main Nodes={host} Default=YES PriorityTier=1
PartitionName=urgent Nodes={host} PriorityTier=2
"""


def missing() -> str:
    """What this machine lacks for a cluster, in words; empty where nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]
    return f"no {', '.join(absent)} (apt install slurmctld slurmd slurm-client munge)" if absent else ""


def search_path() -> str:
    """Where daemons are found, also by users whose path has no sbin."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """A running cluster; yields the environment in which Slurm's commands find it.

    Raises:
        RuntimeError: when the node does not become ready, with the end of what the daemons said.
    """
    folder = Path(tempfile.mkdtemp(prefix="offpiste-slurm-", dir="/tmp"))
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": search_path()}
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        prepare(folder)
        for command in daemon_commands(folder):
            daemons.append(launch(command, folder, environment))
            wait_until((folder / "munge.socket").exists, folder)
        wait_until(lambda: "idle" in ask(["sinfo", "--noheader", "--format=%T"], environment), folder)
        yield environment
    finally:
        empty(environment)
        for daemon in reversed(daemons):
            stop(daemon)
        shutil.rmtree(folder, ignore_errors=True)


def prepare(folder: Path) -> None:
    """A key, folders and slurm.conf."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    controller_port, node_port = free_ports()
    host, user = socket.gethostname().split(".")[0], pwd.getpwuid(os.geteuid()).pw_name
    (folder / "slurm.conf").write_text(
        SETTINGS.format(host=host, user=user, folder=folder, controller_port=controller_port, node_port=node_port)
    )


def free_ports() -> tuple[int, int]:
    """Two ports that nothing listens on."""
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


def daemon_commands(folder: Path) -> list[list[str]]:
    """Munge, the controller and the node, in the foreground."""
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = [f"--{option}={folder}/munge.{ending}" for option, ending in files.items()]
    slurm = ["-D", "-c", "-f", f"{folder}/slurm.conf"]
    return [["munged", "--foreground", "--force", *munge], ["slurmctld", *slurm], ["slurmd", *slurm]]


def launch(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A daemon in a session of its own, so that no key press reaches it."""
    with open(folder / f"{command[0]}.out", "wb") as output:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def wait_until(ready: Callable[[], bool], folder: Path) -> None:
    """Raises RuntimeError, with the end of what the daemons said, when it takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            said = "\n".join(path.read_text(errors="replace")[-1000:] for path in folder.glob("*.out"))
            raise RuntimeError(f"Slurm is not ready after {READY_SECONDS:.0f} s\n{said}")
        time.sleep(POLL_SECONDS)


def ask(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What one of Slurm's commands prints, nothing where it cannot."""
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def empty(environment: Mapping[str, str]) -> None:
    """Cancel all jobs and wait until their processes are gone."""
    ask(["scancel", f"--user={os.geteuid()}"], environment)
    deadline = time.monotonic() + STOP_SECONDS
    while ask(["squeue", "--noheader"], environment) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """End a daemon, by force if need be."""
    daemon.terminate()
    with suppress(subprocess.TimeoutExpired):
        daemon.wait(STOP_SECONDS)
    daemon.kill()
    daemon.wait()


def main(command: Sequence[str]) -> int:
    """Run a command on a cluster of its own; its exit status."""
    if not command or (lack := missing()):
        print(__doc__ if not command else lack, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with cluster() as environment:
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
