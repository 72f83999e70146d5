"""Results that mean harm: each is refused with its file and a reason, quickly, and the honest rest is still built.

What a single field may not say is in `test_records.py`, links and wrong names in `test_store.py`, what does not fit its
task in `test_collect.py`. Here is what takes a file, a folder or a segment, and what a page could be made to do.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import os
import random
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from toy_results import SUITE, record, write

from benchmarks.records import MAX_BYTES, Record, digest
from leaderboard.collect import Collection, Refused, collect
from leaderboard.site import site

SCRIPT = "<script>alert(1)</script>"
HONEST = record(model="honest")
BAD = record(model="bad")
PLACE = Path("toy/flat-v1/bad/erm") / f"{BAD.key}.json"

Attack = Callable[[Path], object]
"""Writes one hostile thing into a results folder."""


# --- how to lie -------------------------------------------------------------------------------------------------------


def forged(raw: bool = False, trial: dict[str, Any] | None = None, **changes: Any) -> str:
    """A record with other fields, its key and its checksum made to fit; `raw` writes characters and no escapes."""
    body = json.loads(BAD.to_json())
    body.pop("sha256")
    body["trial"] |= trial or {}
    body["key"] = digest(body["trial"])
    body |= changes
    return json.dumps(body | {"sha256": digest(body)}, ensure_ascii=not raw)


def text(found: str, old: str = "", new: str = "") -> Attack:
    """A file with this text, in which `new` stands for `old`."""
    assert old in found
    return content(found.replace(old, new, 1).encode())


def content(found: bytes) -> Attack:
    """A file with these bytes."""

    def attack(root: Path) -> None:
        (root / PLACE).parent.mkdir(parents=True)
        (root / PLACE).write_bytes(found)

    return attack


def sparse(size: int) -> Attack:
    """A file of so many zeros."""

    def attack(root: Path) -> None:
        content(b"")(root)
        os.truncate(root / PLACE, size)

    return attack


def segment(lines: bytes, packed: bytes | None = None) -> Attack:
    """A segment that is named after its lines, and holds them unless it is given other bytes."""
    name = f"toy-{sha256(lines).hexdigest()[:16]}.jsonl.xz"
    return lambda root: (root / name).write_bytes(lzma.compress(lines) if packed is None else packed)


def bomb(unit: bytes, times: int) -> Attack:
    """A segment of a few kilobytes that unpacks to `times` megabytes."""

    def attack(root: Path) -> None:
        compressor, hashed, packed = lzma.LZMACompressor(preset=0), sha256(), b""
        for _ in range(times):
            hashed.update(unit * 2**20)
            packed += compressor.compress(unit * 2**20)
        name = f"toy-{hashed.hexdigest()[:16]}.jsonl.xz"
        (root / name).write_bytes(packed + compressor.flush())

    return attack


def with_dictionary(packed: bytes, size_code: int) -> bytes:
    """A compressed file whose header asks for a dictionary of another size; 40 is four gibibytes."""
    start, end = 12, 12 + (packed[12] + 1) * 4  # of the block's header, after that of the stream
    header = bytearray(packed[start : end - 4])
    assert header[2:4] == b"\x21\x01", "LZMA2, with one byte of properties"
    header[4] = size_code
    return packed[:start] + bytes(header) + zlib.crc32(header).to_bytes(4, "little") + packed[end:]


def linked_segment(root: Path) -> None:
    """A link to a segment that lies elsewhere."""
    segment(BAD.to_json().encode())(root.parent)
    (elsewhere,) = root.parent.glob("toy-*")
    (root / elsewhere.name).symlink_to(elsewhere)


def pipe(name: str) -> Attack:
    """What is no file, and would never end when it is read."""
    return lambda root: os.mkfifo(root / name)


GOOD_LINE = BAD.to_json().encode()
NOISE = random.Random(0).randbytes(3_000_000).replace(b"\n", b" ")  # does not compress, so that it is no bomb
NAME_OF_NOTHING = f"toy-{sha256(b'').hexdigest()[:16]}.jsonl.xz"
DEEP = "[" * 200_000

ATTACKS: dict[str, tuple[Attack, str]] = {
    # names
    "a script as a model": (text(forged(trial={"model": SCRIPT})), "has characters that no name has"),
    "a script as a task": (text(forged(trial={"task": SCRIPT})), "is not 'family/name'"),
    "a link as an algorithm": (text(forged(trial={"algorithm": "javascript:alert(1)"})), "no name has"),
    "a path as a key": (text(forged(key="../../../etc/passwd")), "its key does not match its trial"),
    "the key of another": (text(forged(key=HONEST.key)), "its key does not match its trial"),
    "another's file": (text(HONEST.to_json()), "its name is not its key"),
    # texts
    "bidi in a reason, raw": (text(forged(raw=True, reason="\u202eevil")), "control characters"),
    "bidi in a name of a setting": (text(forged(trial={"hparams": {"\u2066width": 1}})), "control characters"),
    "bidi deep in a recipe": (text(forged(recipe={"a": [{"b": "\u202e"}]})), "control characters"),
    "an escape sequence in the provenance": (text(forged(provenance={"host": "\x1b]0;x\x07"})), "control characters"),
    "a zero byte, raw": (text(forged(reason="x\\y"), "x\\\\y", "x\x00y"), "not JSON"),
    "half a surrogate pair": (text(forged(reason="here"), "here", "\\ud800"), "it holds what no record can"),
    "bytes that are no UTF-8": (content(forged(reason="here").encode().replace(b"here", b"\xff\xfe\x80")), "not JSON"),
    # numbers
    "NaN as a score": (text(forged(), '"accuracy": 0.75', '"accuracy": NaN'), "NaN is not allowed"),
    "minus infinity as a loss": (text(forged(), '"loss": 0.5', '"loss": -Infinity'), "-Infinity is not allowed"),
    "a score above one at the last step": (text(forged(last={"ood": {"accuracy": 1.5}})), "out of [0, 1]"),
    "a score below zero on the curve": (
        text(forged(curve=[{"step": 1, "loss": None, "scores": {"ood": {"accuracy": -1}}}])),
        "out of [0, 1]",
    ),
    "an integer of 10,000 digits": (text(forged(), '"loss": 0.5', f'"loss": 1{"0" * 10_000}'), "not JSON"),
    "an integer no float can hold": (text(forged(seconds=10**400)), "not a finite number"),
    # structure
    "a key twice, the second one honest": (text(forged(), "{", '{"status": "ok", '), "same key twice"),
    "a key twice, deep": (text(forged(), '"accuracy": 0.75', '"accuracy": 1, "accuracy": 0.75'), "same key twice"),
    "an older schema": (text(forged(schema=1)), "schema 1; this version reads 2"),
    "a schema that is text": (text(forged(schema="2")), "schema '2'"),
    "brackets without end": (text(DEEP), "nested deeper"),
    "brackets without end, in UTF-16": (content(DEEP.encode("utf-16")), "nested deeper"),
    "strings without end": (text('"' + "\\" * (MAX_BYTES - 2)), "not JSON"),
    "a file of 50 megabytes": (sparse(50_000_000), "50,000,000 bytes"),
    "an empty file": (content(b""), "not JSON"),
    "a folder with the name of a file": (lambda root: (root / PLACE).mkdir(parents=True), "not a regular file"),
    # segments
    "a path in a segment": (segment(forged(trial={"task": "../../x"}).encode()), "line 1: task id '../../x'"),
    "a key of another in a segment": (segment(GOOD_LINE[:-1] + b"\n" + forged(key="0" * 32).encode()), "line 2: its"),
    "brackets without end in a segment": (segment(DEEP.encode()), "line 1: nested deeper"),
    "a line of 3 megabytes": (segment(NOISE), "a line of more than 2,000,000 bytes"),
    "a bomb of one line": (bomb(b"[", 60), "bytes of content"),
    "a bomb of empty lines": (bomb(b"\n", 60), "bytes of content"),
    "a flood of lines that are no records": (segment(b"{}\n" * 300_000), "the rest is not read"),
    "half a segment": (segment(GOOD_LINE, lzma.compress(GOOD_LINE)[:-100]), "damaged"),
    "gzip under the name of a segment": (segment(GOOD_LINE, gzip.compress(GOOD_LINE)), "damaged"),
    "something after a segment": (segment(GOOD_LINE, lzma.compress(GOOD_LINE) + b"more"), "something follows"),
    "a segment after a segment": (segment(GOOD_LINE * 2, lzma.compress(GOOD_LINE) * 2), "something follows"),
    "a dictionary of four gibibytes": (
        segment(GOOD_LINE, with_dictionary(lzma.compress(GOOD_LINE), 40)),
        "damaged: Memory usage limit exceeded",
    ),
    "a segment behind a link": (linked_segment, "links are not followed"),
    "a segment that is a folder": (lambda root: (root / NAME_OF_NOTHING).mkdir(), "not a regular file"),
    "a segment that is a pipe": (pipe(NAME_OF_NOTHING), "not a regular file"),
    "a segment with the name of a path": (
        lambda root: (root / "..-0123456789abcdef.jsonl.xz").write_bytes(b""),
        "its name is not",
    ),
}


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_refused_with_file_and_reason_and_the_rest_is_built(tmp_path: Path, name: str) -> None:
    attack, reason = ATTACKS[name]
    root = write(tmp_path / "results", HONEST)
    attack(root)
    started = time.process_time()
    collection = collect([root], SUITE)
    assert time.process_time() - started < 5
    assert any(reason in refused.reason for refused in collection.refused), collection.refused
    assert all(refused.file.startswith("results/") and len(refused.reason) < 500 for refused in collection.refused)
    assert "honest" in {cell.entrant.model for cell in collection.cells}
    assert_built_and_harmless(collection)


def assert_built_and_harmless(collection: Collection) -> None:
    """The site has the honest entry and every refusal, and nothing in it is markup of another's making."""
    files = site(collection, lambda task: None)
    assert "models/honest.html" in files
    assert len(json.loads(files["results.json"])["refused"]) == len(collection.refused)
    for text in (text for name, text in files.items() if name.endswith(".html")):
        assert SCRIPT not in text and 'href="javascript' not in text


@pytest.mark.timeout(5)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    root = write(tmp_path / "results", HONEST)
    (root / PLACE).parent.mkdir(parents=True)
    pipe(PLACE.as_posix())(root)
    (refused,) = collect([root], SUITE).refused
    assert refused == Refused(f"results/{PLACE}", "not a regular file")


@pytest.mark.parametrize("place", ["toy", "toy/flat-v1", "toy/flat-v1/bad", "toy/flat-v1/bad/erm"])
def test_links_to_folders_are_not_followed(tmp_path: Path, place: str) -> None:
    elsewhere, root = write(tmp_path / "elsewhere", BAD), tmp_path / "results"
    (root / place).parent.mkdir(parents=True)
    (root / place).symlink_to(elsewhere / place)
    assert collect([root], SUITE).cells == ()


# --- believed, and harmless -------------------------------------------------------------------------------------------

SMALLEST = 5e-324

BELIEVED: dict[str, Record] = {
    "scripts wherever text is free": replace(
        record(model="bad", hparams={SCRIPT: SCRIPT}, draw=SCRIPT, source_hash=SCRIPT),
        selection=SCRIPT,
        provenance={"started": SCRIPT},
    ),
    "a link as a reason": record(model="bad", status="failed", reason="javascript:alert(1)"),
    "separators of lines in a setting": record(model="bad", hparams={"a": "\u2028<!--<script>\u2029"}),
    "a whole number of 4,000 digits": record(model="bad", hparams={"width": 10**4000}),
    "a deep setting": record(model="bad", hparams={"a": {"b": [[[{"c": None}]]]}}),
    "the largest seed": record(model="bad", seed=2**63 - 1),
    "the largest model": replace(BAD, n_parameters=2**63 - 1, selected_step=2**63 - 1),
    "the largest step": replace(BAD, curve=[{"step": s, "loss": 1e308, "scores": BAD.scores} for s in (0, 2**63 - 1)]),
    "the smallest budget": record(model="bad", budget_scale=SMALLEST),
    "the smallest error": record("toy/error-v1", "bad", iid=SMALLEST, ood=SMALLEST),
    "the largest error": record("toy/error-v1", "bad", iid=1.0, ood=1e100),
    "names of anchors and metrics": replace(
        BAD,
        anchors={split: {**named, SCRIPT: 0.3} for split, named in BAD.anchors.items()},
        scores={split: {**named, SCRIPT: 0.3} for split, named in BAD.scores.items()},
    ),
}


@pytest.mark.parametrize("name", BELIEVED)
def test_what_is_believed_is_only_text_and_numbers(tmp_path: Path, name: str) -> None:
    collection = collect([write(tmp_path / "results", HONEST, BELIEVED[name])], SUITE)
    assert {cell.entrant.model for cell in collection.cells} == {"honest", "bad"}
    assert_built_and_harmless(collection)


def test_the_smallest_learning_rate_is_written(tmp_path: Path) -> None:
    bad = replace(BAD, recipe={"learning_rate": SMALLEST})
    assert_built_and_harmless(collect([write(tmp_path / "results", HONEST, bad)], SUITE))


def test_a_record_does_not_bring_a_ceiling_of_its_own(tmp_path: Path) -> None:
    anchors = {split: {"chance": 0.0, "oracle": 0.01} for split in BAD.anchors}
    (refused,) = collect([write(tmp_path / "results", HONEST, replace(BAD, anchors=anchors))], SUITE).refused or [None]
    assert refused is not None and "anchors" in refused.reason


def test_an_error_below_zero_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "results", HONEST, record("toy/error-v1", "bad", iid=1.0, ood=-1e9))
    (refused,) = collect([root], SUITE).refused or [None]
    assert refused is not None and "mse" in refused.reason


def test_no_cell_of_the_table_is_a_formula(tmp_path: Path) -> None:
    formulas = ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(1)", "\t=1", "=cmd|' /C calc'!A0"]
    bad = [record(model="bad", seed=i, status="failed", reason=text) for i, text in enumerate(formulas)]
    free = replace(record(model="bad", draw="=1+1", hparams={"=1": "=1"}), selection="@SUM(1)")
    files = site(collect([write(tmp_path / "results", HONEST, free, *bad)], SUITE), lambda task: None)
    rows = list(csv.reader(io.StringIO(files["results.csv"])))
    assert len(rows) == 1 + len(formulas) + 2
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "@", "+", "\t")), cell
        assert not cell.startswith("-") or float(cell) < 0, cell
