"""No trial is trained twice while its claimant is alive, and nobody waits for the dead, whoever is killed and when."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from test_records import RECORD

from benchmarks import claims as module
from benchmarks.claims import GRACE_BEATS, Claims, Process, this_process
from benchmarks.records import digest
from benchmarks.store import Store, StoreError, scan

NEVER = 3600.0  # seconds between heartbeats: the test calls `beat`
FORK = multiprocessing.get_context("fork")
KEY = digest("a trial")
STRANGER = "5" * 32


def opened(results: Path) -> Claims:
    """A claimant whose heart beats when the test says so."""
    return Claims(results, every_seconds=NEVER)


def beat(claimant: Claims, n: int = GRACE_BEATS) -> None:
    for _ in range(n):
        claimant.beat()


def write_heart(results: Path, claimant: str, process: Process, beats: int = 1) -> Path:
    """The heartbeat file of a claimant that this test plays."""
    path = results / "claims" / f"alive-{claimant}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"beat": beats, **asdict(process)}))
    return path


def write_claim(results: Path, key: str = KEY, content: str = STRANGER) -> Path:
    path = results / "claims" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (1e9, 1e9))  # a claim that one doubts is not of this moment
    return path


def elsewhere() -> Process:
    """A process on another machine."""
    return replace(this_process(), host="another-machine", boot="another-boot")


def holder_of(path: Path) -> str:
    return path.read_text()


def entries(results: Path) -> list[str]:
    return sorted(os.listdir(results / "claims"))


# --- one has it, and the others do not --------------------------------------------------------------------------------


def test_a_trial_is_claimed_once_and_can_be_claimed_when_it_is_given_back(tmp_path: Path) -> None:
    with opened(tmp_path) as first, opened(tmp_path) as second:
        assert first.take(KEY) and not second.take(KEY)
        assert first.take(KEY), "what is ours stays ours"
        second.give_back(KEY)
        assert not second.take(KEY), "who has no claim cannot give it back"
        first.give_back(KEY)
        assert second.take(KEY) and not first.take(KEY)


def test_leaving_gives_back_everything_and_leaves_no_file(tmp_path: Path) -> None:
    with opened(tmp_path) as claimant:
        assert all(claimant.take(digest(i)) for i in range(5))
        assert len(entries(tmp_path)) == 6
    assert entries(tmp_path) == []


def test_claims_are_no_results(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(RECORD)
    with opened(tmp_path) as claimant:
        assert claimant.take(RECORD.key)
        store.check_writable()
        assert list(scan(tmp_path)) == [RECORD]
        assert (tmp_path / "claims" / RECORD.key).is_file()


def race(results: Path, keys: Sequence[str], seed: int, barrier: Any, answers: Any) -> None:
    """One of several processes that want the same trials, each in an order of its own."""
    mixed = random.Random(seed).sample(keys, len(keys))
    with Claims(results) as claimant:
        barrier.wait(60)
        answers.put([key for key in mixed if claimant.take(key)])
        barrier.wait(60)  # nobody gives back before all have asked


def winners(results: Path, keys: Sequence[str], n: int = 5) -> list[str]:
    """What so many processes got, all together."""
    barrier, answers = FORK.Barrier(n), FORK.Queue()
    racers = [FORK.Process(target=race, args=(results, keys, seed, barrier, answers)) for seed in range(n)]
    for racer in racers:
        racer.start()
    got = [key for _ in racers for key in answers.get(timeout=60)]
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0] * n
    return got


def test_processes_that_race_get_every_trial_once(tmp_path: Path) -> None:
    keys = [digest(i) for i in range(200)]
    assert sorted(winners(tmp_path, keys)) == sorted(keys)
    assert entries(tmp_path) == []


# --- the dead of this machine -----------------------------------------------------------------------------------------


def hold(results: Path, keys: Sequence[str], every_seconds: float, pipe: Connection) -> None:
    """Claim trials and keep them until the pipe says otherwise."""
    with Claims(results, every_seconds) as claimant:
        pipe.send(all(claimant.take(key) for key in keys))
        pipe.recv()


@contextmanager
def holder(results: Path, keys: Sequence[str], every_seconds: float = NEVER) -> Iterator[tuple[int, Connection]]:
    """A process that holds trials: its number, and the pipe that lets it go."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=hold, args=(results, keys, every_seconds, theirs))
    process.start()
    try:
        assert ours.recv()
        yield process.pid or 0, ours
    finally:
        process.kill()
        process.join()


def wait_for(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    """Until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.002)


def has_ended(pid: int) -> bool:
    """Whether a process is a zombie: nobody has asked for its exit status yet."""
    return module.state_and_start(pid)[0] == "Z"


def test_what_a_killed_process_held_is_free_at_once(tmp_path: Path) -> None:
    with holder(tmp_path, [KEY]) as (pid, _), opened(tmp_path) as claimant:
        assert not claimant.take(KEY)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: has_ended(pid))
        assert claimant.take(KEY), "a zombie is dead"
    assert entries(tmp_path) == []


def test_processes_that_find_what_a_killed_one_left_get_every_trial_once(tmp_path: Path) -> None:
    keys = [digest(i) for i in range(100)]
    with holder(tmp_path, keys) as (pid, _):
        os.kill(pid, signal.SIGKILL)
    assert len(entries(tmp_path)) == 101
    assert sorted(winners(tmp_path, keys)) == sorted(keys)
    assert entries(tmp_path) == []


def work_for_ever(results: Path, keys: Sequence[str], seed: int, at_work: Any, pipe: Connection) -> None:
    """Take, hold and give back, and tell where somebody who runs was at work on the same."""
    randomness = random.Random(seed)
    with opened(results) as claimant:
        while True:
            place = randomness.randrange(len(keys))
            if claimant.take(keys[place]):
                if at_work[place] and runs(at_work[place]):
                    pipe.send(keys[place])
                at_work[place] = os.getpid()
                time.sleep(0.001)
                at_work[place] = 0
                claimant.give_back(keys[place])


def runs(pid: int) -> bool:
    """Whether a process is neither gone nor killed."""
    try:
        return module.state_and_start(pid)[0] not in "ZX"
    except OSError:
        return False


def test_fifteen_kills_let_no_two_work_on_the_same_and_leave_nobody_waiting(tmp_path: Path) -> None:
    keys, randomness = [digest(i) for i in range(3)], random.Random(0)
    ours, theirs = FORK.Pipe()
    shared = FORK.RawArray("i", len(keys))
    workers = [FORK.Process(target=work_for_ever, args=(tmp_path, keys, i, shared, theirs)) for i in range(18)]
    for worker in workers[:3]:
        worker.start()
    for worker, successor in zip(workers, [*workers[3:], None, None, None], strict=True):
        time.sleep(0.02 + 0.03 * randomness.random())
        worker.kill()
        worker.join()
        if successor is not None:
            successor.start()
    assert not ours.poll()
    assert {worker.exitcode for worker in workers} == {-signal.SIGKILL}
    with opened(tmp_path) as claimant:
        beat(claimant)
        assert all(claimant.take(key) for key in keys)
    assert entries(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "is_dead"),
    [
        ({}, False),
        ({"started": 1}, True),
        ({"pid": 2**31 - 1}, True),
        ({"started": 1, "boot": "another"}, False),
        ({"started": 1, "namespace": "pid:[1]"}, False),
        ({"started": 1, "host": "another"}, False),
        ({"started": 1, "boot": ""}, False),
    ],
)
def test_a_process_is_judged_by_its_number_only_where_that_means_something(
    tmp_path: Path, change: dict[str, Any], is_dead: bool
) -> None:
    write_claim(tmp_path)
    with opened(tmp_path) as claimant:
        write_heart(tmp_path, STRANGER, replace(this_process(), **change))
        assert claimant.take(KEY) is is_dead
        beat(claimant)
        assert claimant.take(KEY), "its heart is silent"


def test_where_processes_are_counted_otherwise_only_hearts_are_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container whose /proc is another's, a number would name the wrong process."""
    gone = replace(this_process(), started=1)
    monkeypatch.setattr(os, "readlink", lambda path: "1")
    assert this_process().boot == ""
    assert not gone.has_ended(this_process()) and not this_process().has_ended(this_process())


def test_a_process_of_somebody_else_or_that_the_system_hides_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_process()

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not me.has_ended(me) and replace(me, started=1).has_ended(me)
    monkeypatch.setattr(module, "state_and_start", lambda pid: os.readlink("/proc/nothing"))
    assert not replace(me, started=1).has_ended(me)


# --- hearts -----------------------------------------------------------------------------------------------------------


def test_a_silent_heart_of_another_machine_is_dead_after_our_own_has_beaten_long_enough(tmp_path: Path) -> None:
    write_claim(tmp_path)
    write_heart(tmp_path, STRANGER, elsewhere())
    with opened(tmp_path) as claimant:
        for _ in range(GRACE_BEATS):
            assert not claimant.take(KEY)
            claimant.beat()
        assert claimant.take(KEY)


def test_a_heart_that_beats_slowly_is_alive_for_ever(tmp_path: Path) -> None:
    path = write_claim(tmp_path)
    with opened(tmp_path) as claimant:
        for n in range(10 * GRACE_BEATS):
            if n % (GRACE_BEATS - 1) == 0:
                write_heart(tmp_path, STRANGER, elsewhere(), beats=n)
            assert not claimant.take(KEY)
            claimant.beat()
    assert holder_of(path) == STRANGER


@pytest.mark.parametrize("now", [0.0, 4e9])
def test_clocks_and_file_times_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    claim = write_claim(tmp_path)
    heart = write_heart(tmp_path, STRANGER, elsewhere())
    with opened(tmp_path) as claimant:
        assert not claimant.take(KEY)
        for clock in ("time", "monotonic"):
            monkeypatch.setattr(time, clock, lambda: now)
        for n in range(2 * GRACE_BEATS):
            write_heart(tmp_path, STRANGER, elsewhere(), beats=n)
            for path in (heart, claim):
                os.utime(path, (now, now))
            claimant.beat()
            assert not claimant.take(KEY)
        for n in range(GRACE_BEATS):
            os.utime(heart, (n, n))
            claimant.beat()
        assert claimant.take(KEY), "a file that is touched is no heartbeat"


def refuse_replace(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_while_our_own_heart_cannot_beat_nobody_is_declared_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stops our heart, a full disk or a lost network, may have stopped theirs."""
    write_claim(tmp_path)
    write_heart(tmp_path, STRANGER, elsewhere())
    with opened(tmp_path) as claimant:
        assert not claimant.take(KEY)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", refuse_replace)
            for _ in range(2 * GRACE_BEATS):
                with pytest.raises(OSError, match="No space"):
                    claimant.beat()
        assert not claimant.take(KEY)
        beat(claimant)
        assert claimant.take(KEY)


def test_a_heart_beats_by_itself_and_goes_on_after_the_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Claims(tmp_path, every_seconds=0.005) as claimant:
        wait_for(lambda: claimant.beats > 3)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", refuse_replace)
            wait_for(lambda: claimant.is_mute)
            with pytest.raises(StoreError, match="No space left on device"):
                claimant.take(KEY)
        beats = claimant.beats
        wait_for(lambda: claimant.beats > beats + 3)
        assert not claimant.is_mute
        assert claimant.take(KEY)
    assert entries(tmp_path) == []


def test_who_was_suspended_does_not_give_back_what_another_has_taken(tmp_path: Path) -> None:
    with holder(tmp_path, [KEY], every_seconds=0.01) as (pid, pipe), opened(tmp_path) as claimant:
        (heart,) = set((tmp_path / "claims").glob("alive-*")) - {tmp_path / "claims" / f"alive-{claimant.claimant}"}
        for _ in range(2 * GRACE_BEATS):
            before = heart.read_text()
            wait_for(lambda before=before: heart.read_text() != before)  # type: ignore[misc]
            claimant.beat()
            assert not claimant.take(KEY)
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: module.state_and_start(pid)[0] == "T")
        assert not claimant.take(KEY)
        beat(claimant)
        assert claimant.take(KEY)
        os.kill(pid, signal.SIGCONT)
        pipe.send("leave")
        wait_for(lambda: has_ended(pid))
        assert holder_of(tmp_path / "claims" / KEY) == claimant.claimant
        assert claimant.take(KEY)


# --- many who find the same dead claim --------------------------------------------------------------------------------


class Interleaving:
    """Runs functions in threads, one step at a time, in an order that a seed draws; a step is a call to the disk."""

    def __init__(self, seed: int) -> None:
        self.randomness = random.Random(seed)
        self.turns: dict[int, threading.Semaphore] = {}
        self.paused = threading.Semaphore(0)
        self.answers: dict[int, bool] = {}

    def gate(self) -> None:
        """Wait for the next turn; other threads than the actors pass."""
        if (turn := self.turns.get(threading.get_ident())) is not None:
            self.paused.release()
            turn.acquire()

    def act(self, actor: int, function: Callable[[], bool]) -> None:
        self.turns[threading.get_ident()] = threading.Semaphore(0)
        self.gate()
        try:
            self.answers[actor] = function()
        finally:
            del self.turns[threading.get_ident()]
            self.paused.release()

    def run(self, functions: Sequence[Callable[[], bool]]) -> list[bool]:
        """Their answers."""
        threads = [threading.Thread(target=self.act, args=pair) for pair in enumerate(functions)]
        for thread in threads:
            thread.start()
            self.paused.acquire()
        while self.turns:
            self.randomness.choice(list(self.turns.values())).release()
            self.paused.acquire()
        for thread in threads:
            thread.join()
        return [self.answers[actor] for actor in range(len(functions))]


@pytest.mark.parametrize("content", [STRANGER, "", "torn"], ids=["dead", "empty", "torn"])
@pytest.mark.parametrize("left", ["", "+", "++"], ids=["claim", "right", "right-of-right"])
def test_however_their_steps_interleave_one_of_several_claimants_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, left: str
) -> None:
    """Two know the claim dead, and one has just come. A killed one may have left the right to remove it as well."""
    keys = [digest(i) for i in range(60)]
    for name in [key + left[:n] for key in keys for n in range(len(left) + 1)]:
        write_claim(tmp_path, name, content)
    with opened(tmp_path) as first, opened(tmp_path) as second, opened(tmp_path) as newcomer:
        beat(first)  # on entering all have looked at what was there
        beat(second)
        claimants = (first, second, newcomer)
        interleaving = Interleaving(seed=0)
        for name in ("open", "unlink", "lstat", "read"):
            monkeypatch.setattr(os, name, gated(getattr(os, name), interleaving))
        for key in keys:
            answers = interleaving.run([partial(claimant.take, key) for claimant in claimants])
            holding = [c.claimant for c, has_it in zip(claimants, answers, strict=True) if has_it]
            assert holding == [holder_of(tmp_path / "claims" / key)]
        monkeypatch.undo()
        assert not [name for name in entries(tmp_path) if "+" in name]


def gated(function: Callable[..., Any], interleaving: Interleaving) -> Callable[..., Any]:
    """A call to the disk that waits for its turn, and for another before what follows it."""

    def wait_and_call(*arguments: Any, **options: Any) -> Any:
        interleaving.gate()
        try:
            return function(*arguments, **options)
        finally:
            interleaving.gate()

    return wait_and_call


def test_a_claim_in_the_making_is_not_taken_for_the_torn_one_before(tmp_path: Path) -> None:
    """Somebody was faster and has not yet written his name: an empty file again, and not the one that was judged."""
    path = write_claim(tmp_path, content="")
    with opened(tmp_path) as claimant:
        judged = module.look(path)
        beat(claimant)
        path.unlink()
        path.touch()
        assert claimant.clear(KEY, judged) and path.exists()
        assert not claimant.take(KEY)


def test_who_gives_back_what_is_being_taken_from_him_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, remove = write_claim(tmp_path), module.remove

    def too_late(path: Path) -> None:
        path.unlink()
        remove(path)

    with opened(tmp_path) as claimant:
        beat(claimant)
        monkeypatch.setattr(module, "remove", too_late)
        assert claimant.take(KEY) and holder_of(path) == claimant.claimant


@pytest.mark.parametrize("depth", [8, 9, 223])
def test_a_chain_of_dead_rights_holds_nobody(tmp_path: Path, depth: int) -> None:
    """However many were killed while they cleared away a dead claim, or whoever wrote such files."""
    for n in range(depth + 1):
        write_claim(tmp_path, KEY + "+" * n)
    write_heart(tmp_path, STRANGER, replace(this_process(), started=1))
    with opened(tmp_path) as claimant:
        assert claimant.take(KEY)


# --- strange files ----------------------------------------------------------------------------------------------------


def put(kind: str, path: Path) -> None:
    """Something that is no claim and no heartbeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    match kind:
        case "link":
            path.symlink_to(path.parent.parent / "treasure")
        case "dangling link":
            path.symlink_to("nowhere")
        case "link to itself":
            path.symlink_to(path)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            (path / "inside").mkdir(parents=True)
        case "huge":
            path.write_text(STRANGER * 10**5)
        case "deep":
            path.write_text("[" * 900)
        case _:
            path.write_bytes(CONTENTS[kind])


CONTENTS = {
    "empty": b"",
    "torn": STRANGER[:20].encode(),
    "binary": b"\xff\x00" * 16,
    "path": b"../../../../../../../../../../../",
    "number": b"7",
    "no process": b'{"host":1,"boot":[],"namespace":null,"pid":"x","started":-1}',
    "not a number": b'{"pid":NaN}',
}
KINDS = ["link", "dangling link", "link to itself", "pipe", "folder", "huge", "deep", *CONTENTS]


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_place_of_a_claim_is_a_claim_until_it_has_stood_long_enough(tmp_path: Path, kind: str) -> None:
    treasure = tmp_path / "treasure"
    put(kind, tmp_path / "claims" / KEY)
    with opened(tmp_path) as claimant:
        treasure.write_text(claimant.claimant)  # who follows a link finds that the claim is ours
        beat(claimant, GRACE_BEATS - 1)
        assert not claimant.take(KEY)
        beat(claimant, 1)
        assert claimant.take(KEY)
        assert holder_of(tmp_path / "claims" / KEY) == claimant.claimant
    assert treasure.read_text() == claimant.claimant
    aside = list((tmp_path / "claims").glob("*.damaged"))
    assert [(path / "inside").is_dir() for path in aside] == [True] * (kind == "folder")


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_place_of_a_heart_is_a_silent_heart(tmp_path: Path, kind: str) -> None:
    heart = write_heart(tmp_path, STRANGER, replace(this_process(), started=1))
    heart.rename(tmp_path / "treasure")  # who follows a link finds that the process has ended
    write_claim(tmp_path)
    put(kind, heart)
    with opened(tmp_path) as claimant:
        beat(claimant, GRACE_BEATS - 1)
        assert not claimant.take(KEY)
        beat(claimant, 1)
        assert claimant.take(KEY)
    assert (tmp_path / "treasure").exists()


@pytest.mark.parametrize("pid", [0, -1, 2**31, 2**80, 1.5, True])
def test_numbers_that_no_process_has_are_not_asked_for(tmp_path: Path, pid: float) -> None:
    me = this_process()
    body = {"beat": 1, **asdict(me), "pid": pid}
    assert module.process_of(json.dumps(body).encode()) is None
    assert module.process_of(json.dumps(body | {"pid": me.pid}).encode()) == me


def test_a_claim_that_was_torn_and_then_written_is_watched_anew(tmp_path: Path) -> None:
    write_claim(tmp_path, content="")
    write_heart(tmp_path, STRANGER, elsewhere())
    with opened(tmp_path) as claimant:
        beat(claimant, GRACE_BEATS - 1)
        write_claim(tmp_path)
        for n in range(2 * GRACE_BEATS):
            write_heart(tmp_path, STRANGER, elsewhere(), beats=n)
            claimant.beat()
            assert not claimant.take(KEY)


# --- disks and folders that refuse ------------------------------------------------------------------------------------


@contextmanager
def no_room() -> Iterator[None]:
    """A disk that takes new names and no content."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_is_an_error_in_words_and_leaves_no_claim(tmp_path: Path) -> None:
    with opened(tmp_path) as claimant:
        with no_room(), pytest.raises(StoreError, match=r"cannot write to the results folder .*too large"):
            claimant.take(KEY)
        assert KEY not in entries(tmp_path)
        with no_room(), pytest.raises(OSError, match="too large"):
            claimant.beat()
        assert entries(tmp_path) == [f"alive-{claimant.claimant}"]
        assert claimant.take(KEY)
    with no_room(), pytest.raises(StoreError, match="Finished results are safe"), opened(tmp_path):
        pass


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_folder_that_refuses_files_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    real = os.open

    def refuse(path: Any, flags: int, *rest: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(code, os.strerror(code))
        return real(path, flags, *rest)

    with opened(tmp_path) as claimant:
        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(StoreError, match=os.strerror(code)):
            claimant.take(KEY)
        monkeypatch.undo()
        assert claimant.take(KEY)


def test_a_claim_that_cannot_be_removed_now_is_removed_on_leaving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as claimant:
        assert claimant.take(KEY)
        monkeypatch.setattr(os, "unlink", refuse_replace)
        claimant.give_back(KEY)
        assert KEY in entries(tmp_path)
        monkeypatch.undo()
    assert entries(tmp_path) == []


def test_a_link_or_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "claims").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="links are not followed"), opened(tmp_path):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []
    (tmp_path / "claims").unlink()
    (tmp_path / "claims").write_text("")
    with pytest.raises(StoreError, match="Not a directory"), opened(tmp_path):
        pass


def test_a_folder_that_somebody_removes_comes_back(tmp_path: Path) -> None:
    with opened(tmp_path) as claimant:
        assert claimant.take(KEY)
        for name in entries(tmp_path):
            (tmp_path / "claims" / name).unlink()
        (tmp_path / "claims").rmdir()
        assert claimant.take(KEY)
        claimant.beat()
        with opened(tmp_path) as other:
            assert not other.take(KEY)


@pytest.mark.parametrize("key", ["", "../x", "A" * 32, "a" * 31, "a" * 32 + "\n", "a" * 32 + "+", "alive-" + "a" * 32])
def test_only_keys_of_trials_are_claimed(tmp_path: Path, key: str) -> None:
    with opened(tmp_path) as claimant, pytest.raises(ValueError, match="not the key of a trial"):
        claimant.take(key)


# --- what the dead leave ----------------------------------------------------------------------------------------------


def test_what_a_killed_process_of_this_machine_left_is_removed_on_entering(tmp_path: Path) -> None:
    keys = [digest(i) for i in range(3)]
    with holder(tmp_path, keys) as (pid, _):
        with opened(tmp_path):
            assert len(entries(tmp_path)) == 5, "the living keep what is theirs"
        os.kill(pid, signal.SIGKILL)
    (heart,) = (tmp_path / "claims").glob("alive-*")
    heart.with_name(f"{heart.name.replace('alive-', '.')}.0123abcd.tmp").touch()
    with opened(tmp_path) as claimant:
        assert entries(tmp_path) == [f"alive-{claimant.claimant}"]


def test_what_a_dead_one_of_another_machine_left_is_removed_by_who_has_watched_it_long_enough(tmp_path: Path) -> None:
    write_claim(tmp_path)
    write_heart(tmp_path, STRANGER, elsewhere())
    (tmp_path / "claims" / f".{STRANGER}.0123abcd.tmp").touch()
    before = entries(tmp_path)
    with opened(tmp_path) as claimant:
        beat(claimant, GRACE_BEATS - 1)
    assert entries(tmp_path) == before
    with opened(tmp_path) as claimant:
        beat(claimant)
    assert entries(tmp_path) == []


def test_files_that_are_not_ours_stay(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    names = sorted(["notes.txt", ".hidden", f".{STRANGER}", f"alive-{STRANGER}.tmp", f"{KEY}.json", "alive-"])
    for name in names:
        (tmp_path / "claims" / name).touch()
    with opened(tmp_path) as claimant:
        beat(claimant, 3 * GRACE_BEATS)
    assert entries(tmp_path) == names


def test_a_sweep_has_a_limit_and_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [digest(i) for i in range(20)]
    for key in keys:
        write_claim(tmp_path, key)
    write_heart(tmp_path, STRANGER, replace(this_process(), started=1))
    monkeypatch.setattr(module, "MAX_SWEPT", 8)
    left = [21]
    while left[-1]:
        with opened(tmp_path) as claimant:
            assert left[-1] < 8 or claimant.take(keys[0]), "the heart of the dead is kept while claims may need it"
        left.append(len(entries(tmp_path)))
        assert left[-2] - left[-1] <= 8 + 1
    assert len(left) >= 4
