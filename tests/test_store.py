"""A result is written whole or not at all, whoever is killed and however full the disk is."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from test_records import RECORD, TRIAL

from benchmarks.records import Record
from benchmarks.store import Damaged, Store, StoreError, scan


def record(seed: int) -> Record:
    return replace(RECORD, trial=replace(TRIAL, seed=seed))


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
