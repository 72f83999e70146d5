"""A result is written whole or not at all, whoever is killed and however full the disk is."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_records import RECORD, TRIAL

from baselines import references
from benchmarks import packed, run
from benchmarks.compaction import Compaction
from benchmarks.jobs import plan
from benchmarks.records import Record
from benchmarks.segments import SUFFIX, Segment, index_segment, lines_of, write_segment
from benchmarks.store import Damaged, Store, StoreError, scan
from tasks import registry


def record(seed: int, started: str = "", **changes: Any) -> Record:
    return replace(RECORD, trial=replace(TRIAL, seed=seed), provenance={"started": started}, **changes)


def pack(root: Path) -> None:
    """Move all files into segments."""
    assert not [told for told in Compaction(root).run() if isinstance(told, Damaged)]
    assert not list(root.glob("*/*/*/*/*.json"))


def test_what_was_put_is_found_under_its_task_model_and_algorithm(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.put(RECORD)
    assert path == tmp_path / "shift" / "some-task-v1" / "mlp" / "erm" / f"{TRIAL.key}.json"
    assert store.get(TRIAL) == RECORD
    assert list(scan(tmp_path)) == [RECORD]


def test_a_damaged_file_is_set_aside_and_counts_as_missing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.put(RECORD)
    path.write_text(path.read_text()[:100])
    (found,) = scan(tmp_path)
    assert isinstance(found, Damaged) and "not JSON" in found.reason
    assert store.get(TRIAL) is None
    assert path.with_suffix(".damaged").exists()
    store.put(RECORD)
    assert store.get(TRIAL) == RECORD


def test_a_file_under_another_name_or_behind_a_link_is_not_believed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.put(RECORD)
    copy = path.with_name("0" * 32 + ".json")
    copy.write_bytes(path.read_bytes())
    link = path.with_name("1" * 32 + ".json")
    link.symlink_to(path)
    reasons = {found.path.name[0]: found.reason for found in scan(tmp_path) if isinstance(found, Damaged)}
    assert "its name is not its key" in reasons["0"]
    assert "links are not followed" in reasons["1"]


def test_a_folder_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file, not a folder")
    with pytest.raises(StoreError, match="cannot write to the results folder"):
        Store(tmp_path / "results").check_writable()
    with pytest.raises(StoreError, match="Finished results are safe"):
        Store(tmp_path / "results").put(RECORD)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_failing_disk_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    store = Store(tmp_path)
    store.put(RECORD)

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    if call == "write":
        monkeypatch.setattr(Record, "to_json", fail)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreError, match="No space left on device"):
        store.put(replace(RECORD, seconds=9.0))
    monkeypatch.undo()
    assert list(scan(tmp_path)) == [RECORD]
    assert not list(tmp_path.rglob("*.tmp"))


def write_for_ever(root: Path) -> None:
    for seed in range(10**9):
        Store(root).put(record(seed % 50))


def test_sixty_kills_damage_nothing(tmp_path: Path) -> None:
    randomness = random.Random(0)
    context = multiprocessing.get_context("fork")
    for _ in range(60):
        writer = context.Process(target=write_for_ever, args=(tmp_path,))
        writer.start()
        time.sleep(0.01 + 0.04 * randomness.random())
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
    found = list(scan(tmp_path))
    assert found and not [f for f in found if isinstance(f, Damaged)]


def test_what_killed_writers_left_is_swept_when_it_is_old(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = store.put(RECORD).parent
    old, fresh = folder / ".a.1.b.tmp", folder / ".c.1.d.tmp"
    old.touch()
    fresh.touch()
    os.utime(old, (0, 0))
    store.check_writable()
    assert not old.exists() and fresh.exists()


def test_files_of_the_mirror_are_not_results(tmp_path: Path) -> None:
    stray = tmp_path / "wandb" / "run" / "files" / "media" / "table.json"
    stray.parent.mkdir(parents=True)
    stray.write_text("{}")
    assert list(scan(tmp_path)) == []


# --- packed results -------------------------------------------------------------------------------------------------


def test_a_packed_record_is_found_also_by_who_has_looked_before(tmp_path: Path) -> None:
    store, records = Store(tmp_path), [record(seed) for seed in range(5)]
    for each in records[:3]:
        store.put(each)
        assert store.get(each.trial) == each
    pack(tmp_path)
    assert [store.get(each.trial) for each in records] == [*records[:3], None, None]
    for each in records[3:]:
        store.put(each)
    pack(tmp_path)  # into one segment; the one that the store knows is gone
    assert [store.get(each.trial) for each in records] == records
    assert [Store(tmp_path).get(each.trial) for each in records] == records


def test_a_run_does_not_repeat_what_is_packed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    erm = references.select(["erm"], "algorithm")
    jobs = plan(registry.select(["linear-unit-1"]), references.select(["mlp"]), erm, 2, 1.0)
    for job in jobs:
        Store(tmp_path).put(Record(job.trial, "ok"))
    pack(tmp_path)
    command = ["--task", "linear-unit-1", "--model", "mlp", "--seeds", "3", "--results", str(tmp_path), "--dry-run"]
    assert run.main(command) == 0
    assert f"{len(jobs)} done, {len(jobs) // 2} to run" in " ".join(capsys.readouterr().out.split())


def test_a_packed_record_that_is_discarded_is_missing_for_all_until_there_is_a_new_one(tmp_path: Path) -> None:
    old, new, other = record(0, "2026", status="failed"), record(0, "2027"), record(1)
    store = Store(tmp_path)
    store.put(old)
    pack(tmp_path)
    store.discard(TRIAL)
    assert store.get(TRIAL) is Store(tmp_path).get(TRIAL) is None and list(scan(tmp_path)) == []
    store.put(other)
    pack(tmp_path)
    assert store.get(TRIAL) is Store(tmp_path).get(TRIAL) is None and list(scan(tmp_path)) == [other]
    store.put(new)
    for _ in range(2):
        assert store.get(TRIAL) == new == Store(tmp_path).get(TRIAL)
        assert sorted(scan(tmp_path), key=str) == sorted([new, other], key=str)
        pack(tmp_path)


def test_a_new_record_without_a_date_takes_the_place_of_one_that_was_discarded(tmp_path: Path) -> None:
    store, new = Store(tmp_path), record(0, status="timeout")
    store.put(record(0, "2026"))
    pack(tmp_path)
    store.discard(TRIAL)
    store.put(new)
    pack(tmp_path)
    assert store.get(TRIAL) == new and list(scan(tmp_path)) == [new]


def test_all_versions_of_a_record_are_discarded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for year in ("2025", "2026"):
        write_segment("shift", [record(0, year), record(int(year))], tmp_path)
    store.put(record(0, "2027"))
    store.discard(TRIAL)
    assert store.get(TRIAL) is None
    write_segment("shift", [record(0, "2028")], tmp_path)
    assert store.get(TRIAL) == record(0, "2028")
    store.discard(TRIAL)
    assert store.get(TRIAL) is None and len(list(scan(tmp_path))) == 2


def test_a_packed_record_that_cannot_be_discarded_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_segment("shift", [record(0)], tmp_path)

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        Store(tmp_path).discard(TRIAL)
    assert Store(tmp_path).get(TRIAL) == record(0)


def test_of_two_versions_in_segments_the_more_recent_counts(tmp_path: Path) -> None:
    older, newer = record(0, "2026-01-01"), record(0, "2026-01-02")
    for order in ([older, newer], [newer, older]):
        root = tmp_path / order[0].checksum
        for number, each in enumerate(order):
            write_segment(f"shift{number}", [each, record(number + 1)], root)
        assert Store(root).get(TRIAL) == newer
        assert [found for found in scan(root) if isinstance(found, Record) and found.key == newer.key] == [newer]


def test_a_file_counts_before_a_segment_whatever_its_date(tmp_path: Path) -> None:
    write_segment("shift", [record(0, "2027"), record(1)], tmp_path)
    Store(tmp_path).put(record(0))
    assert Store(tmp_path).get(TRIAL) == record(0)
    assert list(scan(tmp_path)) == [record(0), record(1)]


def test_a_record_that_quotes_the_key_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    quoting = record(1, error={"key": TRIAL.key, "message": f'"key":"{TRIAL.key}"'})
    write_segment("shift", [quoting], tmp_path)
    assert TRIAL.key in index_segment(next(tmp_path.glob(f"*{SUFFIX}"))).keys
    assert Store(tmp_path).get(TRIAL) is None
    write_segment("other", [record(0)], tmp_path)
    assert Store(tmp_path).get(TRIAL) == record(0)
    assert Store(tmp_path).get(quoting.trial) == quoting
    assert len(list(scan(tmp_path))) == 2


def test_a_damaged_segment_is_set_aside_and_what_it_held_counts_as_missing(tmp_path: Path) -> None:
    path = write_segment("shift", [record(0)], tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    (found,) = scan(tmp_path)
    assert isinstance(found, Damaged) and found.path == path and path.exists()
    store = Store(tmp_path)
    assert store.get(TRIAL) is None
    assert store.set_aside == [path] and not path.exists() and path.with_suffix(".damaged").exists()
    assert store.get(TRIAL) is None and list(scan(tmp_path)) == []


def test_a_segment_that_cannot_be_read_is_an_error_and_not_missing_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_segment("shift", [record(0)], tmp_path)

    def refuse(path: Path) -> Segment:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(packed, "index_segment", refuse)
    with pytest.raises(StoreError, match=r"cannot read the packed results.*Permission denied"):
        Store(tmp_path).get(TRIAL)
    (found,) = scan(tmp_path)
    assert isinstance(found, Damaged) and "Permission denied" in found.reason
    assert path.exists()


def test_a_segment_is_read_once_to_know_its_keys_and_once_more_for_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for family in range(3):
        write_segment(f"family{family}", [record(10 * family + n) for n in range(10)], tmp_path)
    reads: dict[str, int] = {"index": 0, "lines": 0}

    def counted_index(path: Path) -> Segment:
        reads["index"] += 1
        return index_segment(path)

    def counted_lines(path: Path) -> Any:
        reads["lines"] += 1
        return lines_of(path)

    monkeypatch.setattr(packed, "index_segment", counted_index)
    monkeypatch.setattr(packed, "lines_of", counted_lines)
    store = Store(tmp_path)
    assert reads == {"index": 0, "lines": 0}
    for seed in range(30):
        assert store.get(record(seed).trial) == record(seed)
    assert store.get(record(99).trial) is None
    assert reads == {"index": 3, "lines": 3}
    assert store.packed.lines.cache_info().currsize == 2  # of the last two; more are not kept in memory


@pytest.mark.parametrize(
    ("asked", "reads"),
    [("get", "index_segment"), ("get", "lines_of"), ("scan", "index_segment"), ("scan", "lines_of"),
     ("scan", "records_of")],
)  # fmt: skip
def test_a_segment_that_is_merged_as_it_is_opened_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, reads: str
) -> None:
    records = [record(seed, "2026") for seed in range(3)]
    write_segment("shift", [records[0], record(2, "2025")], tmp_path)
    write_segment("shift", records[1:], tmp_path)
    read = getattr(packed, reads)

    def merged_before(path: Path) -> Any:
        monkeypatch.setattr(packed, reads, read)
        pack(tmp_path)
        assert not path.exists()
        return read(path)

    monkeypatch.setattr(packed, reads, merged_before)
    if asked == "get":
        store = Store(tmp_path)
        assert [store.get(each.trial) for each in records] == records
    else:
        assert sorted(scan(tmp_path), key=str) == sorted(records, key=str)
    assert getattr(packed, reads) is read
