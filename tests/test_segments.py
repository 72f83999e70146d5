"""Segments: what was packed is read back, the same records are the same bytes, and nothing damaged is believed."""

from __future__ import annotations

import lzma
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from toy_results import SUITE, record, write

from benchmarks import pack
from benchmarks.records import InvalidRecord, Record
from benchmarks.segments import read_segment, write_segment
from benchmarks.store import Damaged, scan

RECORDS = [record("toy/flat-v1", "a", seed) for seed in range(3)]


def test_what_was_packed_is_read_back(tmp_path: Path) -> None:
    path = write_segment("toy", RECORDS, tmp_path)
    assert sorted(r.key for r in read_segment(path) if isinstance(r, Record)) == sorted(r.key for r in RECORDS)
    assert list(scan(tmp_path)) == list(read_segment(path))


def test_the_same_records_in_any_order_are_the_same_bytes(tmp_path: Path) -> None:
    one, other = (write_segment("toy", r, tmp_path / n) for n, r in (("a", RECORDS), ("b", RECORDS[::-1])))
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()


def test_a_segment_whose_content_is_not_its_name_s_is_refused_whole(tmp_path: Path) -> None:
    path = write_segment("toy", RECORDS, tmp_path)
    moved = path.rename(path.with_name(path.name.replace("toy-", "toy-0")[:20] + ".jsonl.xz"))
    (found,) = scan(tmp_path)
    assert isinstance(found, Damaged) and found.path == moved


@pytest.mark.parametrize("cut", [10, 200])
def test_a_truncated_segment_is_refused_with_a_reason(tmp_path: Path, cut: int) -> None:
    path = write_segment("toy", RECORDS, tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InvalidRecord, match="damaged"):
        list(read_segment(path))


def test_a_line_that_is_no_record_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    text = RECORDS[0].to_json() + "{}\n" + RECORDS[1].to_json()
    path = tmp_path / f"toy-{sha256(text.encode()).hexdigest()[:16]}.jsonl.xz"
    path.write_bytes(lzma.compress(text.encode()))
    first, second, third = read_segment(path)
    assert (first, third) == (RECORDS[0], RECORDS[1])
    assert isinstance(second, str) and second.startswith("line 2: ")


def test_packing_again_replaces_a_segment_and_keeps_the_more_recent_record(tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "kept"
    write(results, *RECORDS)
    assert pack.main([str(results), "--out", str(out)]) == 0
    later = replace(RECORDS[0], provenance={"started": "2027-01-01T00:00:00+00:00"}, reason="again")
    write(tmp_path / "more", later, record("toy/flat-v1", "b", 0))
    assert pack.main([str(tmp_path / "more"), "--out", str(out)]) == 0
    (segment,) = out.iterdir()
    found = {r.key: r for r in read_segment(segment) if isinstance(r, Record)}
    assert len(found) == 4
    assert found[later.key].reason == "again"
    assert {r.key for r in scan(results) if isinstance(r, Record)} == {r.key for r in RECORDS}


def test_a_damaged_file_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    write(results, *RECORDS)
    next(results.glob("*/*/*/*/*.json")).write_text("{")
    assert pack.main([str(results), "--out", str(tmp_path / "kept")]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.glob("kept/*"))


def test_a_private_model_stands_beside_the_results_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from leaderboard import build

    write_segment("toy", [record("toy/flat-v1", "shipped", s) for s in range(3)], tmp_path / "public")
    write(tmp_path / "mine", *[record("toy/flat-v1", "mine", s) for s in range(3)])
    monkeypatch.setattr(build, "PUBLIC", tmp_path / "public")
    monkeypatch.setattr(build, "suite", lambda: SUITE)
    monkeypatch.setattr(build, "drawn", lambda task: None)
    out = tmp_path / "site"
    assert build.main([str(tmp_path / "mine"), "--out", str(out)]) == 0
    assert "shipped" not in (out / "index.html").read_text()
    assert build.main([str(tmp_path / "mine"), "--with-public", "--out", str(out)]) == 0
    page = (out / "index.html").read_text()
    assert "shipped" in page and "mine" in page
