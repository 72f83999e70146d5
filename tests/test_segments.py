"""Segments: what was packed is read back, the same records are the same bytes, and nothing damaged is believed."""

from __future__ import annotations

import lzma
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from toy_results import SUITE, record, write

from benchmarks import pack, segments
from benchmarks.records import InvalidRecord, Record
from benchmarks.segments import Segment, index_segment, records_of, write_segment
from benchmarks.store import Damaged, scan

RECORDS = [record("toy/flat-v1", "a", seed) for seed in range(3)]


def test_what_was_packed_is_read_back(tmp_path: Path) -> None:
    path = write_segment("toy", RECORDS, tmp_path)
    assert sorted(r.key for r in records_of(path) if isinstance(r, Record)) == sorted(r.key for r in RECORDS)
    assert list(scan(tmp_path)) == list(records_of(path))
    content = lzma.decompress(path.read_bytes())
    assert index_segment(path) == Segment(path, frozenset(r.key for r in RECORDS), frozenset(), len(content))


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
        index_segment(path)
    (found,) = scan(tmp_path)
    assert isinstance(found, Damaged) and "damaged" in found.reason


@pytest.mark.parametrize(("name", "reason"), [("toy.jsonl.xz", "its name is not"), ("link-", "links are not followed")])
def test_what_is_no_segment_is_refused_with_a_reason(tmp_path: Path, name: str, reason: str) -> None:
    path = write_segment("toy", RECORDS, tmp_path / "other")
    if name == "link-":
        (tmp_path / path.name).symlink_to(path)
    else:
        path.rename(tmp_path / name)
    (found,) = scan(tmp_path)
    assert isinstance(found, Damaged) and reason in found.reason


def test_what_is_not_read_back_as_it_was_written_does_not_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "content_digest", lambda path: "0" * 64)
    with pytest.raises(OSError, match="is not read back"):
        write_segment("toy", RECORDS, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chunk", [1, 7, 40, 1000])
def test_a_key_is_found_wherever_the_content_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    path = write_segment("toy", [*RECORDS, RECORDS[0]], tmp_path)
    monkeypatch.setattr(segments, "CHUNK", chunk)
    found = index_segment(path)
    assert set(found.keys) == {r.key for r in RECORDS}
    assert set(found.repeated) == {RECORDS[0].key}


def test_more_keys_than_a_segment_can_have_are_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_segment("toy", RECORDS, tmp_path)
    monkeypatch.setattr(segments, "MAX_KEYS", 2)
    with pytest.raises(InvalidRecord, match="more than 2 keys"):
        index_segment(path)


def test_a_line_that_is_no_record_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    text = RECORDS[0].to_json() + "{}\n" + RECORDS[1].to_json()
    path = tmp_path / f"toy-{sha256(text.encode()).hexdigest()[:16]}.jsonl.xz"
    path.write_bytes(lzma.compress(text.encode()))
    first, second, third = records_of(path)
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
    found = {r.key: r for r in records_of(segment) if isinstance(r, Record)}
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
