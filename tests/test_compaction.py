"""Packing a results folder where it is: nothing is lost and nothing is there twice, whoever is killed or writes."""

from __future__ import annotations

import fcntl
import lzma
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from toy_results import record, write

from benchmarks import compaction, pack, store
from benchmarks.compaction import Compaction, Written, to_merge
from benchmarks.records import Record
from benchmarks.segments import SUFFIX, Segment, index_segment, write_lines, write_segment
from benchmarks.store import Damaged, Store, StoreError, scan

FORK = multiprocessing.get_context("fork")


def toy(seed: int, started: str = "2026-01-01T00:00:00+00:00", **changes: Any) -> Record:
    """A small record."""
    return replace(record("toy/flat-v1", "a", seed, started=started), curve=(), anchors={}, **changes)


def told(root: Path) -> dict[str, str]:
    """What a folder says: the checksum of every trial's record. Nothing in it is damaged or there twice."""
    found = list(scan(root))
    assert not [item for item in found if isinstance(item, Damaged)]
    checksums = {item.key: item.checksum for item in found if isinstance(item, Record)}
    assert len(checksums) == len(found)
    return checksums


def files(root: Path) -> list[Path]:
    """The loose files."""
    return list(root.glob("*/*/*/*/*.json"))


def packed(root: Path) -> list[Path]:
    """The segments."""
    return sorted(root.glob(f"*{SUFFIX}"))


def packing(root: Path) -> Compaction:
    """A packing that has been done."""
    done = Compaction(root)
    assert not [told for told in done.run() if isinstance(told, Damaged)]
    return done


def checksums(records: Iterable[Record]) -> dict[str, str]:
    """What a folder of these records says."""
    return {r.key: r.checksum for r in records}


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill, other than a power cut, keeps what was written: here the order counts, and time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Segments of eight records."""
    monkeypatch.setattr(compaction, "MOST_RECORDS", 8)
    return 8


def test_a_packed_folder_says_what_it_said(tmp_path: Path) -> None:
    others = [replace(r, trial=replace(r.trial, task="other/flat-v1")) for r in map(toy, range(3))]
    write(tmp_path, *map(toy, range(5)), *others)
    before = list(scan(tmp_path))
    assert pack.main([str(tmp_path)]) == 0
    assert not files(tmp_path)
    assert [path.name.partition("-")[0] for path in packed(tmp_path)] == ["other", "toy"]
    assert sorted(scan(tmp_path), key=str) == sorted(before, key=str)
    assert all(Store(tmp_path).get(r.trial) == r for r in before if isinstance(r, Record))


def test_a_segment_has_the_bytes_of_the_files_and_packing_again_does_nothing(tmp_path: Path) -> None:
    write(tmp_path, *map(toy, range(5)))
    texts = sorted(path.read_bytes() for path in files(tmp_path))
    packing(tmp_path)
    (segment,) = packed(tmp_path)
    assert sorted(lzma.decompress(segment.read_bytes()).splitlines(keepends=True)) == texts
    before = segment.stat()
    assert list(Compaction(tmp_path).run()) == []
    assert segment.stat() == before


def test_no_segment_is_larger_than_a_full_one(tmp_path: Path, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, *map(toy, range(20)))
    assert [told.n_records for told in packing_told(tmp_path)] == [8, 8, 4]
    length = len(toy(100).to_json())
    monkeypatch.setattr(compaction, "MOST_BYTES", 3 * length + 10)
    write(tmp_path, *map(toy, range(100, 107)))
    assert [told.n_records for told in packing_told(tmp_path)] == [3, 3, 1]
    assert len(told(tmp_path)) == 27


def packing_told(root: Path) -> list[Written]:
    """The segments that a packing writes."""
    return [told for told in Compaction(root).run() if isinstance(told, Written)]


def test_packing_often_leaves_few_segments_and_moves_a_record_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MOST_RECORDS", 16)
    written = 0
    for seed in range(70):
        write(tmp_path, toy(seed))
        written += sum(told.n_records for told in packing_told(tmp_path))
        assert len(packed(tmp_path)) <= 2 * (seed + 1) / 16 + 3  # full ones, and of 1, 3 and 7 records
    assert len(told(tmp_path)) == 70
    assert written / 70 < 6


def test_full_segments_are_left_alone(tmp_path: Path, small: int) -> None:
    write(tmp_path, *map(toy, range(8)))
    packing(tmp_path)
    (full,) = packed(tmp_path)
    before = full.stat()
    write(tmp_path, *map(toy, range(8, 10)))
    packing(tmp_path)
    assert full.stat() == before
    assert len(packed(tmp_path)) == 2


@pytest.mark.parametrize(
    ("sizes", "begun", "merged"),
    [
        ([], 0.2, 0),
        ([0.1], 0.0, 0),  # one alone is as good as another
        ([0.1, 0.1], 0.0, 2),
        ([0.1, 0.3], 0.0, 0),
        ([0.1, 0.3], 0.1, 2),
        ([0.01] * 9, 0.001, 9),  # too large one by one, and not together
        ([0.4, 0.4, 0.4], 0.1, 2),  # more than a full one
        ([0.6, 0.9], 0.3, 0),
    ],
)
def test_the_smallest_are_merged_until_the_next_is_much_larger(sizes: list[float], begun: float, merged: int) -> None:
    given = [Segment(Path(f"toy-{n}"), frozenset(), frozenset(), int(s * 50_000_000)) for n, s in enumerate(sizes)]
    assert to_merge(given[::-1], begun) == given[:merged]


# --- killed, and killed again ---------------------------------------------------------------------------------------


def child(target: Callable[..., object], *arguments: object) -> Any:
    """A process that can be killed, and ends with the test."""
    process = FORK.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def pack_once(root: Path) -> None:
    list(Compaction(root).run())


def die_at(call: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack, and end without a word at so many calls to what changes a folder."""
    calls = count(1)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **options: Any) -> Any:
            if next(calls) == call:
                os._exit(9)
            return function(*arguments, **options)

        return counting

    for name in ("replace", "rename", "link", "unlink", "fsync"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    pack_once(root)
    os._exit(0)


def test_a_kill_before_any_change_of_the_folder_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MOST_RECORDS", 4)
    again = toy(0, "2027-01-01T00:00:00+00:00", reason="again")
    write(tmp_path / "0", toy(0))
    packing(tmp_path / "0")
    write(tmp_path / "0", *map(toy, range(1, 6)), again)
    expected = checksums([*map(toy, range(1, 6)), again])
    for call in count(1):
        root = shutil.copytree(tmp_path / "0", tmp_path / str(call))
        process = child(die_at, call, root, monkeypatch)
        process.join()
        assert told(root) == expected
        packing(root)
        assert told(root) == expected
        assert not files(root)
        if process.exitcode == 0:
            break
    assert call > 20  # six files, two calls each, and three segments


def test_twenty_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path, small: int) -> None:
    randomness = random.Random(0)
    expected: dict[str, str] = {}
    for number in range(20):
        fresh = [toy(seed) for seed in range(12 * number, 12 * number + 12)]
        again = [toy(seed, f"2027-01-01T00:00:{number:02d}+00:00") for seed in range(0, 12 * number, 9)]
        write(tmp_path, *fresh, *again)
        expected |= checksums([*fresh, *again])
        packer = child(pack_once, tmp_path)
        time.sleep(0.06 * randomness.random())
        os.kill(packer.pid, signal.SIGKILL)
        packer.join()
        assert told(tmp_path) == expected
    packing(tmp_path)
    assert told(tmp_path) == expected
    assert not files(tmp_path)


def test_what_a_killed_packer_had_taken_is_put_back(tmp_path: Path) -> None:
    write(tmp_path, toy(0), toy(1))
    kept, lost = sorted(files(tmp_path))
    newer = kept.read_bytes()
    kept.rename(kept.with_name(f".{kept.stem}.12345678.taken"))
    older = lost.with_name(f".{lost.stem}.12345678.taken")
    older.write_text("older than what is there")
    Store(tmp_path).check_writable()
    assert kept.read_bytes() == newer
    assert len(told(tmp_path)) == 2
    assert not list(tmp_path.glob("*/*/*/*/.*"))


# --- beside others --------------------------------------------------------------------------------------------------


def rewrite_for_ever(root: Path, acknowledged: Any) -> None:
    """Put the records of ten trials again and again, each time a later one."""
    for number in count():
        at = f"2027-01-01T00:{number // 60 % 60:02d}:{number % 60:02d}.{number:06d}+00:00"
        Store(root).put(toy(number % 10, at, seconds=float(number)))
        acknowledged[number % 10] = number


def test_a_run_that_writes_meanwhile_loses_nothing(tmp_path: Path, small: int) -> None:
    acknowledged = FORK.Array("i", [-1] * 10)
    writer = child(rewrite_for_ever, tmp_path, acknowledged)
    n_packed = 0
    while n_packed < 40:
        n_packed += packing(tmp_path).n_files if tmp_path.exists() else 0
        least = acknowledged[:]
        found = {r.trial.seed: int(r.seconds) for r in scan(tmp_path) if isinstance(r, Record)}
        assert [number for seed, number in enumerate(least) if found.get(seed, -1) < number] == []
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    last = {r.trial.seed: int(r.seconds) for r in scan(tmp_path) if isinstance(r, Record)}
    assert all(last[seed] >= number for seed, number in enumerate(acknowledged[:]))


def pack_for_ever(root: Path) -> None:
    """Add a few new trials and pack, so that segments are merged all the time."""
    for seed in count(1000):
        Store(root).put(toy(seed))
        pack_once(root)


def test_who_reads_meanwhile_finds_every_trial_once(tmp_path: Path, small: int) -> None:
    before = [toy(seed) for seed in range(10)]
    write(tmp_path, *before)
    packer = child(pack_for_ever, tmp_path)
    reader = Store(tmp_path)
    while len(packed(tmp_path)) < 4:
        found = told(tmp_path)
        assert checksums(before).items() <= found.items()
        assert checksums(r for one in before if (r := reader.get(one.trial))) == checksums(before)
    os.kill(packer.pid, signal.SIGKILL)
    packer.join()


def test_a_second_packer_is_told_that_there_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, toy(0), toy(1))
    with compaction.only_one(tmp_path):
        assert pack.main([str(tmp_path)]) == 2
        assert "another process packs" in capsys.readouterr().err
    assert pack.main([str(tmp_path)]) == 0


def test_two_packers_without_locks_lose_and_double_nothing(
    tmp_path: Path, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    expected: dict[str, str] = {}
    for number in range(12):
        fresh = [toy(seed) for seed in range(9 * number, 9 * number + 9)]
        write(tmp_path, *fresh)
        expected |= checksums(fresh)
        packers = [child(pack_once, tmp_path) for _ in range(2)]
        for packer in packers:
            packer.join()
            assert packer.exitcode == 0
        assert told(tmp_path) == expected
    assert not files(tmp_path)


# --- what stays -----------------------------------------------------------------------------------------------------


def test_damaged_files_stay_and_are_named_and_all_others_are_packed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, *map(toy, range(4)))
    bad = files(tmp_path)[0]
    bad.write_bytes(bad.read_bytes()[:100])
    assert pack.main([str(tmp_path)]) == 1
    streams = capsys.readouterr()
    assert f"damaged {bad}: not JSON" in streams.err
    assert "3 files packed" in streams.out
    assert files(tmp_path) == [bad]


def test_a_damaged_segment_stays_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, *map(toy, range(4)))
    bad = tmp_path / f"toy-{'0' * 16}{SUFFIX}"
    bad.write_bytes(b"nothing")
    assert pack.main([str(tmp_path)]) == 1
    assert f"damaged {bad}: damaged" in capsys.readouterr().err
    assert bad.read_bytes() == b"nothing" and not files(tmp_path)


def test_a_segment_with_a_line_that_is_no_record_is_not_merged(tmp_path: Path) -> None:
    text = (toy(0).to_json() + "{}\n").encode()
    odd = tmp_path / f"toy-{sha256(text).hexdigest()[:16]}{SUFFIX}"
    odd.write_bytes(lzma.compress(text))
    write_segment("toy", [toy(1)], tmp_path)
    write(tmp_path, toy(2))
    list(Compaction(tmp_path).run())
    assert odd.exists()
    assert {item.trial.seed for item in scan(tmp_path) if isinstance(item, Record)} == {0, 1, 2}
    before = packed(tmp_path)
    assert list(Compaction(tmp_path).run()) == []
    assert packed(tmp_path) == before


def test_a_file_that_a_segment_s_record_would_hide_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_segment("toy", [toy(0)], tmp_path)
    killed = toy(0, "", status="failed", reason="killed by SIGKILL, 2 times", scores={}, last={})
    write(tmp_path, killed, toy(1))
    assert pack.main([str(tmp_path)]) == 0
    assert "1 stay files: a segment has a record of the trial that says" in capsys.readouterr().out
    assert told(tmp_path) == checksums([killed, toy(1)])


def test_two_files_of_one_trial_and_a_file_that_is_not_one_line_stay(tmp_path: Path) -> None:
    write(tmp_path, toy(0), toy(1), toy(2))
    doubled, pretty = (Store(tmp_path).path(toy(seed).trial) for seed in (0, 1))
    copy = tmp_path / "toy" / "flat-v1" / "z" / "erm" / doubled.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(doubled.read_bytes())
    pretty.write_bytes(b"\n" + pretty.read_bytes())
    before = list(scan(tmp_path))
    assert packing(tmp_path).left == {compaction.NOT_ALONE: 2, compaction.NO_LINE: 1}
    assert sorted(scan(tmp_path), key=str) == sorted(before, key=str)
    copy.unlink()
    packing(tmp_path)
    doubled.unlink(missing_ok=True)
    assert len(told(tmp_path)) == 3


def test_a_record_in_another_s_place_stays(tmp_path: Path) -> None:
    write(tmp_path, toy(0))
    own = Store(tmp_path).path(toy(0).trial)
    other = tmp_path / "Odd" / "x" / "y" / "z" / own.name
    other.parent.mkdir(parents=True)
    own.rename(other)
    assert packing(tmp_path).left == {compaction.MISPLACED: 1}
    assert told(tmp_path) == checksums([toy(0)])


def test_a_file_that_was_replaced_since_it_was_read_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, toy(0), toy(1))
    newer = toy(0, "", reason="again")

    def meanwhile(*arguments: Any) -> Path:
        write(tmp_path, newer)
        return write_lines(*arguments)

    monkeypatch.setattr(compaction, "write_lines", meanwhile)
    packing(tmp_path)
    assert files(tmp_path) == [Store(tmp_path).path(newer.trial)]
    assert told(tmp_path) == checksums([newer, toy(1)])


def test_a_file_that_is_replaced_as_it_is_removed_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, toy(0))
    newer = toy(0, "", reason="again")
    rename = os.rename

    def meanwhile(source: Path, target: Path) -> None:
        write(tmp_path, newer)
        rename(source, target)

    path = Store(tmp_path).path(newer.trial)
    monkeypatch.setattr(os, "rename", meanwhile)
    store.remove(path, path.read_bytes())
    assert told(tmp_path) == checksums([newer])
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_file_that_is_discarded_as_it_is_packed_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, toy(0), toy(1))

    def meanwhile(*arguments: Any) -> Path:
        Store(tmp_path).discard(toy(0).trial)
        return write_lines(*arguments)

    monkeypatch.setattr(compaction, "write_lines", meanwhile)
    packing(tmp_path)
    assert told(tmp_path) == checksums([toy(1)])
    assert Store(tmp_path).get(toy(0).trial) is None


def test_a_file_like_the_record_that_was_discarded_stays(tmp_path: Path) -> None:
    write(tmp_path, toy(0))
    packing(tmp_path)
    Store(tmp_path).discard(toy(0).trial)
    write(tmp_path, toy(0))
    assert packing(tmp_path).left == {compaction.DISCARDED: 1}
    assert told(tmp_path) == checksums([toy(0)])


def test_a_file_is_put_back_where_there_are_no_links_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    write(tmp_path, toy(0))
    (path,) = files(tmp_path)
    taken = path.rename(path.with_name(f".{path.stem}.12345678.taken"))
    monkeypatch.setattr(os, "link", refuse)
    store.give_back(taken)
    assert told(tmp_path) == checksums([toy(0)])
    taken.write_text("older")
    store.give_back(taken)
    assert told(tmp_path) == checksums([toy(0)]) and not taken.exists()


def test_two_versions_in_one_segment_become_the_more_recent(tmp_path: Path) -> None:
    later = toy(0, "2027-01-01T00:00:00+00:00", reason="again")
    write_segment("toy", [toy(0), later], tmp_path)
    write(tmp_path, toy(1))
    assert told(tmp_path) == checksums([later, toy(1)])
    packing(tmp_path)
    (segment,) = packed(tmp_path)
    assert told(tmp_path) == checksums([later, toy(1)])
    assert index_segment(segment).repeated == frozenset()


def test_a_full_disk_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, toy(0), toy(1))

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lzma, "open", full)
    assert pack.main([str(tmp_path)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert told(tmp_path) == checksums([toy(0), toy(1)]) and len(files(tmp_path)) == 2
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(StoreError, match="Finished results are safe"):
        pack_once(tmp_path)
