"""Who is at work on which trial of a results folder, so that runs on one or many machines do not train the same twice.

`claims/<key>` names a claimant; `claims/alive-<claimant>` says which process that is, and a number that rises every
10 s. A claim says nothing about results: a trial is done if and only if its record is there, and what goes wrong with
claims costs repeated work at most.

No lock, no clock and no file time of another machine is relied on. An observer counts its own heartbeats, which go
through the same folder: who is silent for 12 of them is dead. Where a full disk or a lost network stops every heart, it
stops the count as well. A process of this machine that has ended is dead at once.
"""

from __future__ import annotations

import errno
import os
import random
import re
import secrets
import socket
import stat
import threading
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.records import HASH, InvalidRecord, canonical, clean_text, integer, plain_json, take
from benchmarks.store import unwritable

FOLDER = "claims"
EVERY_SECONDS = 10.0
GRACE_BEATS = 12  # longer than a network file system remembers that a file was not there
MAX_BYTES = 1_000
MAX_SWEPT = 1_000
MAX_HOST = 100
CLAIM = re.compile(r"[0-9a-f]{32}\+{0,8}")  # a claim, the right to remove it, the right to remove that right, ...
HEART = re.compile(r"alive-([0-9a-f]{32})|\.([0-9a-f]{32})\.[0-9a-f]{8}\.tmp")  # the whole file, or on its way to it


class Claims:
    """Who is at work on which trial of a results folder. Use as a context manager, from one thread: its heart beats
    while it is open, and leaving it gives back every claim.

    Ask the store again for the record of a trial once it is ours: another may have finished it a moment before. All who
    share a folder must have the same `every_seconds`.

    Raises:
        StoreError: on entering, when the folder cannot be written.
    """

    def __init__(self, results: Path, every_seconds: float = EVERY_SECONDS) -> None:
        self.results, self.every_seconds = results, every_seconds
        self.folder = results / FOLDER
        self.claimant = secrets.token_hex(16)
        self.beats = 0
        self.is_mute = False
        self.held: set[str] = set()
        self.seen: dict[str, tuple[Hashable, int]] = {}  # by file, what it said, and after how many of our beats
        self.beating = threading.Lock()
        self.leaving = threading.Event()

    def __enter__(self) -> Claims:
        self.process = this_process()
        try:
            if self.folder.is_symlink():
                raise OSError(errno.ELOOP, f"{self.folder} is a link, and links are not followed")
            self.beat()
            self.met = self.remember()
        except OSError as error:
            raise unwritable(self.results, error) from error
        self.sweep()
        self.heart = threading.Thread(target=self.keep_beating, name="claims", daemon=True)
        self.heart.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.leaving.set()
        self.heart.join()
        for name in list(self.held):
            self.give_back(name)
        self.sweep()
        with suppress(OSError):
            (self.folder / f"alive-{self.claimant}").unlink()

    def take(self, key: str) -> bool:
        """Whether the trial is ours now: nobody had claimed it, we had, or who had is dead. False: ask again later.

        Raises:
            StoreError: when the disk is full or the folder cannot be written.
        """
        if not HASH.fullmatch(key):
            raise ValueError(f"{key!r} is not the key of a trial, 32 hex digits")
        try:
            if self.is_mute:
                self.beat()  # others would take us for dead
            return self.acquire(key)
        except OSError as error:
            raise unwritable(self.results, error) from error

    def give_back(self, key: str) -> None:
        """Let others have a trial, or know it done; nothing where the claim is no longer ours.

        What cannot be removed now is tried again on leaving.
        """
        if key in self.held:
            with suppress(OSError):
                if self.is_ours(look(self.folder / key)):
                    (self.folder / key).unlink()
                self.held.remove(key)

    def acquire(self, name: str) -> bool:
        """Make a claim, or the right to remove one, ours."""
        if self.create(name):
            return True
        found = look(self.folder / name)
        if self.is_ours(found):
            return True
        return self.clear(name, found) and self.create(name)

    def create(self, name: str) -> bool:
        """Claim what nobody has claimed."""
        try:
            write_new(self.folder / name, self.claimant.encode())
        except FileExistsError:
            return False
        self.held.add(name)
        return True

    def clear(self, name: str, found: Sight | None) -> bool:
        """Remove the claim that was found if its claimant is dead; whether there is none now, or one of who was faster.

        Many may find the same dead claim. Only who holds the right `<name>+` removes it, and only while it is the one
        that was found: nobody removes the claim of who was faster. The right is a claim like any other.
        """
        if found is None:
            return True
        if not self.is_dead(name, found):
            return False
        right = f"{name}+"
        if CLAIM.fullmatch(right) and not self.acquire(right):  # nine deaths in one moment need no more order
            return False
        try:
            if look(self.folder / name) == found:
                remove(self.folder / name)
        finally:
            self.give_back(right)
        return True

    def is_ours(self, found: Sight | None) -> bool:
        """Whether this claim names us."""
        return found is not None and found.content == self.claimant.encode()

    def is_dead(self, name: str, found: Sight) -> bool:
        """Whether nobody alive has made this claim; one that names nobody is dead when it has stood for long."""
        claimant = (found.content or b"").decode("ascii", errors="replace")
        return self.has_died(claimant) if HASH.fullmatch(claimant) else self.is_still(name, found)

    def has_died(self, claimant: str) -> bool:
        """Whether a claimant's process has ended, as far as this machine can tell, or its heart is silent."""
        name = f"alive-{claimant}"
        heart = look(self.folder / name)
        content = heart.content if heart is not None else None
        process = process_of(content)
        return (process is not None and process.has_ended(self.process)) or self.is_still(name, content)

    def is_still(self, name: str, now: Hashable) -> bool:
        """Whether a file has not changed during enough of our own heartbeats."""
        before, since = self.seen.setdefault(name, (now, self.beats))
        if now != before:
            self.seen[name] = (now, self.beats)
            return False
        return self.beats - since >= GRACE_BEATS

    def keep_beating(self) -> None:
        """Beat until the claimant leaves; a disk that refuses is told by `take`."""
        while not self.leaving.wait(self.every_seconds):
            try:
                self.beat()
            except OSError:
                self.is_mute = True

    def beat(self) -> None:
        """Write that we are alive, as a whole new file: a network file system shows the change to who opens it."""
        with self.beating:
            content = canonical({"beat": self.beats + 1, **asdict(self.process)}).encode()
            temporary = self.folder / f".{self.claimant}.{secrets.token_hex(4)}.tmp"
            write_new(temporary, content)
            try:
                os.replace(temporary, self.folder / f"alive-{self.claimant}")
            except OSError:
                discard(temporary)
                raise
            self.beats += 1
            self.is_mute = False

    def remember(self) -> list[str]:
        """What stands here as we come: all of it, or where that is much, a part that chance chooses."""
        names = sorted(os.listdir(self.folder))
        return random.Random(self.claimant).sample(names, min(len(names), MAX_SWEPT))

    def sweep(self) -> None:
        """Remove, of what stood here when we came, what the dead have left: their claims, then their hearts."""
        with suppress(OSError):
            for name in filter(CLAIM.fullmatch, self.met):
                if not self.is_ours(found := look(self.folder / name)):
                    self.clear(name, found)
            if len(self.met) == MAX_SWEPT:
                return  # there may be other claims of the same dead, and their hearts tell at once that they are
            owners = {name: match[1] or match[2] for name in self.met if (match := HEART.fullmatch(name))}
            dead = {owner for owner in set(owners.values()) - {self.claimant} if self.has_died(owner)}
            for name, owner in owners.items():
                if owner in dead:
                    discard(self.folder / name)


class Sight(NamedTuple):
    """What stood at a path: when it was last written, and how it begins; None for what is no readable file.

    The time only tells two of the same content apart: a claim is empty for a moment before it names its claimant.
    """

    written_ns: int
    content: bytes | None


def look(path: Path) -> Sight | None:
    """What stands at a path, or None where nothing does. Links are not followed and pipes not waited for."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            info = os.fstat(descriptor)
            content = os.read(descriptor, MAX_BYTES) if stat.S_ISREG(info.st_mode) else None
        finally:
            os.close(descriptor)
        return Sight(info.st_mtime_ns, content)
    try:
        return Sight(os.lstat(path).st_mtime_ns, None)
    except FileNotFoundError:
        return None


def write_new(path: Path, content: bytes) -> None:
    """A file that was not there, or none.

    Raises:
        FileExistsError: when anything stands at the path.
        OSError: when the disk is full or the folder cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
    except OSError:  # a network file system may tell of a full disk when the file is closed
        discard(path)
        raise


def remove(path: Path) -> None:
    """Remove what stands in place of a claim, if it still does; a folder, which somebody may miss, is set aside."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.rename(path, path.with_name(f"{path.name}.{secrets.token_hex(4)}.damaged"))
        else:
            os.unlink(path)


def discard(path: Path) -> None:
    """Remove a file, if that can be done."""
    with suppress(OSError):
        os.unlink(path)


@dataclass(frozen=True)
class Process:
    """A process, in words that another one can check. `started` is in clock ticks after the boot.

    `boot` and `namespace` (of process numbers: a container has its own) are empty where the system does not tell them.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: int

    def has_ended(self, observer: Process) -> bool:
        """Whether an observer can tell that this process has ended; False where it cannot tell."""
        numbered = (self.host, self.boot, self.namespace)
        if not self.boot or numbered != (observer.host, observer.boot, observer.namespace):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # somebody else's
        try:
            state, started = state_and_start(self.pid)
        except OSError:
            return False
        return started != self.started or state in "ZX"  # a zombie works no more


def this_process() -> Process:
    """The process that asks."""
    host, pid = clean_text(socket.gethostname(), MAX_HOST), os.getpid()
    try:
        if os.readlink("/proc/self") != str(pid):
            return Process(host, "", "", pid, 0)  # this /proc counts processes otherwise than we do
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return Process(host, boot, os.readlink("/proc/self/ns/pid"), pid, state_and_start(pid)[1])
    except OSError:
        return Process(host, "", "", pid, 0)


def state_and_start(pid: int) -> tuple[str, int]:
    """The state of a process, a letter, and its start in clock ticks after the boot.

    Raises:
        OSError: when the system does not tell.
    """
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # the name before may hold anything
    return fields[0].decode(), int(fields[19])


def process_of(heart: bytes | None) -> Process | None:
    """The process that a heartbeat tells of; None where it is not what `Claims.beat` writes."""
    try:
        body = take(plain_json(heart or b"", 1), "heartbeat", dict)
        host, boot, namespace = (take(body.get(name), name, str) for name in ("host", "boot", "namespace"))
        pid, started = (integer(body.get(name), name) for name in ("pid", "started"))
    except InvalidRecord:
        return None
    return Process(host, boot, namespace, pid, started) if 0 < pid < 2**31 else None
