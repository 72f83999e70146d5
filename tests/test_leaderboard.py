"""The site: complete, the same for the same input, safe with hostile text, and written whole or not at all."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

import pytest
from toy_results import SUITE, record, write

import leaderboard
from benchmarks.cells import Entrant, Protocol
from benchmarks.records import Record, digest
from benchmarks.statistics import Estimate
from leaderboard import axes, build, charts, folder, wording
from leaderboard.axes import Axis
from leaderboard.collect import collect
from leaderboard.export import safe
from leaderboard.folder import MARKER, NotOurs
from leaderboard.site import heat, model_page, site, task_page
from tasks.types import Task

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"
VOID = {"meta", "link", "br", "img", "input", "wbr", "hr"}


def no_picture(task: Task) -> None:
    return None


def records() -> list[Record]:
    """Everything that a cell can be."""
    ladder = "toy/ladder-v1"
    return [
        *(record("toy/flat-v1", "good", s, ood) for s, ood in enumerate([0.9, 0.95, 1.0])),
        *(record("toy/second-v1", "good", s, ood) for s, ood in enumerate([0.7, 0.75, 0.8])),
        *(record(ladder, "good", s, 0.8, condition=c) for s in range(3) for c in "ab"),
        record("toy/control-v1", "good", ood=0.5),
        record("toy/flat-v1", "bad", 0, iid=0.6),
        record("toy/flat-v1", "bad", 1, status="timeout", reason="over 120 s"),
        record("toy/second-v1", "bad", status="failed", reason=HOSTILE),
        record(ladder, "bad", condition="a"),
        record("toy/error-v1", "good", iid=1.0, ood=1e9),
        record("toy/error-v1", "bad", status="skipped", reason="takes vector, not image"),
        record("toy/flat-v1", "net-net@0a1b2c3d", ood=0.2),
        record("toy/flat-v1", "good", ood=0.6, hparams={"name": HOSTILE}),
        record("toy/flat-v1", "good", ood=0.6, budget_scale=0.1),
        record("toy/flat-v1", "good", ood=0.6, algorithm="irm"),
        record("toy/gone-v1", "good"),
        replace(record("toy/flat-v1", "net-net@0a1b2c3d", 5), provenance={"started": HOSTILE}),
    ]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = write(tmp_path_factory.mktemp("site") / "results", *records())
    return site(collect([root], SUITE), lambda task: '<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>')


def pages(files: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.endswith(".html")}


class Page(HTMLParser):
    """The elements of a page; fails on what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(attribute)) is not None]


# --- pages ------------------------------------------------------------------------------------------------------------


def test_every_task_and_model_has_a_page(files: dict[str, str]) -> None:
    assert set(files) == {
        "index.html",
        "solutions.html",
        "compare.html",
        "reproductions.html",
        "method.html",
        "data.html",
        "results.json",
        "results.csv",
        "families/toy.html",
        *(f"tasks/toy-{name}-v1.html" for name in ("flat", "second", "control", "ladder", "error", "described")),
        *(f"models/{name}.html" for name in ("good", "bad", "net-net@0a1b2c3d")),
    }


def test_pages_are_well_formed_with_unique_ids_and_links_that_lead_somewhere(files: dict[str, str]) -> None:
    parsed = {name: Page(text) for name, text in pages(files).items()}
    ids = {name: page.values("id") for name, page in parsed.items()}
    for name, page in parsed.items():
        assert len(set(ids[name])) == len(ids[name]), name
        for references in page.values("aria-labelledby"):
            assert set(references.split()) <= set(ids[name])
        for link in page.values("href"):
            if link.startswith(("data:", "https://example.org/")):
                continue
            path, _, fragment = link.partition("#")
            target = normpath(join(dirname(name), path)) if path else name
            assert target in files, f"{name} links to {link}"
            is_state = "=" in fragment  # what is shown of a page, not a place on it
            assert not fragment or is_state or fragment in ids[target], f"{name} links to {link}"


def test_tables_are_complete_and_named_without_a_script(files: dict[str, str]) -> None:
    for name, text in pages(files).items():
        for table in re.findall(r"<table.*?</table>", text, flags=re.S):
            assert "<caption" in table, name
            head = re.findall(r"<th\b[^>]*>", table.partition("<tbody>")[0])
            assert all('scope="col"' in cell for cell in head)
            for row in re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2], flags=re.S):
                assert len(re.findall(r"<t[hd]\b", row)) == len(head), f"{name}: {row[:200]}"
                assert row.count('<th scope="row"') == 1


def test_the_overview_tells_outcomes_apart_in_words(files: dict[str, str]) -> None:
    text = files["index.html"]
    assert '">0.90<br>±0.25 n3</td>' in text  # 0.8, 0.9, 1.0: 4.303 * 0.1 / sqrt(3)
    for words in ("failed", "not run", "not trained", "control", "budget × 0.1"):
        assert words in text
    order = [text.index(f'models/{name}.html">') for name in ("good", "bad")]
    assert order == sorted(order)


def test_a_task_page_has_its_card_results_and_reasons(files: dict[str, str]) -> None:
    text = files["tasks/toy-flat-v1.html"]
    for words in ("Does it hold?", "over 120 s", "in-distribution accuracy 0.6 is below the gate 0.8", "A title with"):
        assert words in text
    assert "python -m benchmarks.run --task toy/flat-v1 --model good --seeds 3" in text
    assert "--algorithm irm" in text and "--budget-scale 0.1" in text and "--model my_model.py:Net" in text
    assert 'src="data:image/svg+xml,' in text
    assert "Along the training" in text and "Along the ladder" not in text
    assert "Along the ladder" in files["tasks/toy-ladder-v1.html"]


def test_a_model_page_has_its_cells_and_reasons(files: dict[str, str]) -> None:
    text = files["models/bad.html"]
    for words in ("not run: b", "over 120 s", "takes vector, not image", "preference"):
        assert words in text


def test_refused_files_are_listed(files: dict[str, str]) -> None:
    assert "unknown task toy/gone-v1" in files["data.html"]
    assert "1 refused" in files["index.html"]


def test_a_suite_without_results_is_a_site_that_says_so(tmp_path: Path) -> None:
    empty = site(collect([write(tmp_path / "results")], SUITE), no_picture)
    assert "No results yet" in empty["index.html"]
    assert "No results yet" in empty["tasks/toy-flat-v1.html"]
    for text in pages(empty).values():
        Page(text)


def test_every_task_of_the_registry_has_a_page_that_is_well_formed(tmp_path: Path) -> None:
    suite = build.suite()
    made = site(collect([write(tmp_path / "results")], suite), no_picture)
    assert {task_page(task.spec) for task in suite.values()} <= set(made)
    for text in pages(made).values():
        Page(text)


# --- the same bytes ---------------------------------------------------------------------------------------------------


def test_the_same_records_give_the_same_bytes_wherever_and_in_whatever_order(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "results", *records())
    second = write(tmp_path / "elsewhere" / "results", *reversed(records()))
    os.utime(second, (0, 0))
    assert site(collect([first], SUITE), no_picture) == site(collect([second], SUITE), no_picture)


def test_the_order_of_folders_does_not_matter(tmp_path: Path) -> None:
    one = write(tmp_path / "one", *records()[:8])
    two = write(tmp_path / "two", *records()[8:])
    assert site(collect([one, two], SUITE), no_picture) == site(collect([two, one, two], SUITE), no_picture)


# --- hostile text -----------------------------------------------------------------------------------------------------


def test_hostile_text_is_text(files: dict[str, str]) -> None:
    for name in ("tasks/toy-second-v1.html", "models/bad.html", "models/good.html"):
        assert "&lt;/script&gt;&lt;script&gt;alert(1)" in files[name] and "{{7*7}}" in files[name]
    for name, text in pages(files).items():
        page = Page(text)
        ours = [script for script in page.all("script") if "type" not in script]
        assert len(ours) == (2 if name == "compare.html" else 1), name
        assert not [image for image in page.all("img") if not (image["src"] or "").startswith("data:")]
        assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]


def test_nothing_but_our_style_and_script_may_run_and_no_request_can_leave(files: dict[str, str]) -> None:
    for name, text in pages(files).items():
        page = Page(text)
        policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
        assert policy is not None and policy.startswith("default-src 'none'; ")
        for tag in ("style", "script"):
            allowed = re.search(rf"{tag}-src ([^;]*);", policy)
            bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.S)
            digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
            assert allowed is not None and bodies
            assert allowed[1] == " ".join(f"'sha256-{each}'" for each in digests), name
        assert not page.values("style"), "inline style attributes are blocked by the policy"
        assert not [link for link in page.all("link") if not (link["href"] or "").startswith("data:")]
        for word in ("http:", "https:", "//", "unsafe"):
            assert word not in policy
        outside = [a for a in page.all("a") if (a.get("href") or "").startswith("http")]
        assert all(a.get("rel") == "noopener noreferrer" for a in outside)


@pytest.mark.parametrize("name", ["../up", "a/b", "", "A", ".hidden", "a" * 80, "x@zz"])
def test_pages_stand_only_at_valid_names(name: str) -> None:
    with pytest.raises(ValueError):
        model_page(name)


def test_a_path_out_of_the_site_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leads out"):
        folder.write(tmp_path / "site", {"../../evil.html": ""})
    assert list(tmp_path.iterdir()) == []


# --- data files -------------------------------------------------------------------------------------------------------


def test_the_json_has_every_seed_unclipped(files: dict[str, str]) -> None:
    body = json.loads(files["results.json"])
    assert set(body) == {"generator", "input", "n_records", "tasks", "entries", "cells", "refused"}
    (cell,) = [c for c in body["cells"] if c["task"] == "toy/error-v1" and c["state"] == "trained"]
    assert cell["score"]["mean"] == -0.25
    assert cell["seeds"][0]["selected"]["scores"]["score_unclipped"] == pytest.approx(-1e8)
    assert body["entries"][cell["entry"]]["model"] == "good"
    outcomes = {s["outcome"] for c in body["cells"] for s in c["seeds"]}
    assert outcomes == {"trained", "not_trained", "timeout", "failed", "skipped", "incomplete"}


def test_the_csv_has_a_line_per_seed(files: dict[str, str]) -> None:
    rows = list(csv.DictReader(io.StringIO(files["results.csv"])))
    body = json.loads(files["results.json"])
    assert len(rows) == sum(len(cell["seeds"]) for cell in body["cells"])
    failed = next(row for row in rows if row["outcome"] == "timeout")
    assert (failed["counted_score"], failed["score"], failed["reason"]) == ("-0.25", "", "over 120 s")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@x", "'@x"),
        ("\t=x", "'=x"),
        ("\n=x", "'=x"),
        ("a = b", "a = b"),
        ("two\nlines", "two lines"),
        (-0.25, -0.25),
        (None, None),
    ],
)
def test_a_spreadsheet_runs_no_text(value: Any, written: Any) -> None:
    assert safe(value) == written


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_new_site_replaces_the_old_one_whole(tmp_path: Path) -> None:
    out = tmp_path / "site"
    folder.write(out, {"index.html": "one", "tasks/old.html": "x"})
    folder.write(out, {"index.html": "two"})
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*")) == [MARKER, "index.html"]
    assert (out / "index.html").read_text() == "two"
    assert list(tmp_path.iterdir()) == [out]


def test_what_is_not_a_site_of_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("work")
    (tmp_path / "file").write_text("work")
    (tmp_path / "link").symlink_to(tmp_path / "thesis")
    for name in ("thesis", "file", "link"):
        with pytest.raises(NotOurs, match="--out"):
            folder.write(tmp_path / name, {"index.html": ""})
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "work"
    (tmp_path / "empty").mkdir()
    folder.write(tmp_path / "empty", {"index.html": ""})


@pytest.mark.parametrize("failing", [1, 2])
def test_a_write_that_fails_leaves_the_old_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    out = tmp_path / "site"
    folder.write(out, {"index.html": "one"})
    real, calls = os.rename, [0]

    def rename(a: Path, b: Path) -> None:
        calls[0] += 1
        if calls[0] == failing:
            raise OSError("no")
        real(a, b)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(OSError, match="no"):
        folder.write(out, {"index.html": "two"})
    assert (out / "index.html").read_text() == "one"
    assert list(tmp_path.iterdir()) == [out]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(build, "suite", lambda: SUITE)
    monkeypatch.setattr(build, "drawn", no_picture)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    results, out = write(tmp_path / "results", *records()), tmp_path / "site"
    assert build.main([str(results), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert str(out / "index.html") in said.out
    assert "unknown task toy/gone-v1" in said.err
    assert build.main([str(tmp_path / "nowhere"), "--out", str(out)]) == 2
    assert build.main([str(results), "--out", str(results)]) == 2
    assert (out / "index.html").is_file()


# --- charts and numbers -----------------------------------------------------------------------------------------------


def test_an_axis_maps_turns_and_clips() -> None:
    up = Axis(low=10.0, high=0.0, start=100, end=0)  # lower is better, up is better
    assert [up.at(v) for v in (10, 5, 0, 20, -3)] == [100, 50, 0, 100, 0]
    assert up.holds(7) and not up.holds(11)
    assert [tick.label for tick in Axis(0, 1, 0, 100).ticks(5)] == ["0", "0.25", "0.5", "0.75", "1"]
    assert [tick.label for tick in Axis(-0.26, 0.9, 0, 100).ticks(4)] == ["0", "0.5"]
    assert [tick.label for tick in Axis(0, 10000, 0, 100).ticks(3)] == ["0", "5,000", "10,000"]


def test_an_explosion_does_not_flatten_an_axis() -> None:
    spec = SUITE["toy/error-v1"].spec
    assert axes.metric_range(spec, [10.0, 0.0], [1e9]) == pytest.approx((12.5, -0.6))
    bounded = SUITE["toy/flat-v1"].spec
    low, high = axes.metric_range(bounded, [0.5, 1.0], [0.1])
    assert -0.03 <= low < 0.1 and 1.0 <= high <= 1.03


def test_forty_entrants_have_forty_marks_and_a_protocol_changes_none() -> None:
    public, other = Protocol(1.0, "d", "s"), Protocol(0.1, "d", "s")
    entrants = [Entrant(f"m{i:02}", "erm", "{}", protocol) for i in range(40) for protocol in (public, other)]
    found = charts.marks(entrants)
    assert len(set(found.values())) == 40
    assert all(found[a] == found[b] for a, b in zip(entrants[::2], entrants[1::2], strict=True))


def test_the_diagonal_is_where_both_axes_have_the_same_values() -> None:
    across, up = Axis(0.5, 1.0, 0, 100), Axis(0.0, 1.0, 100, 0)
    assert charts.diagonal(across, up) == (0, 50, 100, 0)
    assert charts.diagonal(across, Axis(2.0, 3.0, 100, 0)) is None


def test_a_strip_shows_every_counted_seed(tmp_path: Path) -> None:
    cells = collect(
        [write(tmp_path / "r", record(ood=1.0), record(seed=1, iid=0.1), record(seed=2, status="failed", reason="x"))],
        SUITE,
    ).cells
    strip = charts.strip(cells[0])
    assert [dot.kind for dot in strip.dots] == ["trained", "not_trained", "failed"]
    assert [dot.x for dot in strip.dots] == [strip.ceiling, strip.dots[1].x, strip.dots[1].x]
    assert strip.dots[1].x < strip.floor < strip.ceiling
    assert "1 of 3 not trained, 1 of 3 failed" in strip.description


def test_an_interval_that_goes_on_beyond_a_strip_has_a_head_there(tmp_path: Path) -> None:
    found = [
        record(model=m, seed=s, ood=v) for m, o in (("a", (0.7, 0.71)), ("b", (0.6, 1.0))) for s, v in enumerate(o)
    ]
    narrow, wide = (charts.strip(cell) for cell in collect([write(tmp_path / "r", *found)], SUITE).cells)
    assert narrow.heads == ()
    assert wide.interval is not None and wide.heads == ((wide.interval[0], -1), (wide.interval[1], 1))
    axis = Axis(0.0, 1.0, 12, 178)
    assert charts.heads(axis, Estimate(0.5, 0.0, 1.0, 3)) == () == charts.heads(axis, Estimate(2.0, None, None, 1))


class Otherwise(type(SUITE["toy/flat-v1"])):  # type: ignore[misc]
    """Who is trained does not hang on the value in distribution."""

    def passes_gate(self, iid_value: float) -> bool:
        return True


def test_a_gate_is_drawn_where_it_tells_who_is_trained(tmp_path: Path) -> None:
    root = write(tmp_path / "r", record(), record(model="poor", iid=0.6))
    for kind, there in ((type(SUITE["toy/flat-v1"]), True), (Otherwise, False)):
        task = kind(SUITE["toy/flat-v1"].spec)
        found = collect([root], {"toy/flat-v1": task})
        cells = [replace(cell, task=SUITE["toy/flat-v1"]) for cell in found.cells]
        plane = charts.plane(cells, {}, charts.marks(found.entrants))
        assert (plane.gate is not None) == there
        page = site(replace(found, cells=tuple(cells)), no_picture)["tasks/toy-flat-v1.html"]
        assert ('class="gate"' in page) == there and ("it has no line here" in page) != there


@pytest.mark.parametrize(("value", "level"), [(-0.25, 0), (-9.0, 0), (0.0, 5), (1.0, 25), (7.0, 25), (0.5, 15)])
def test_heat_levels(value: float, level: int) -> None:
    assert heat(value) == level


@pytest.mark.parametrize(
    ("write_it", "value", "text"),
    [
        (wording.score, -0.001, "0.00"),
        (wording.score, -0.25, "−0.25"),
        (wording.metric, 0.12345, "0.123"),
        (wording.metric, 23.456789, "23.46"),
        (wording.number, 310000.0, "3.1 × 10⁵"),
        (wording.number, -0.00002, "−2 × 10⁻⁵"),
        (wording.number, 0.0, "0"),
        (wording.duration, 0.02, "< 0.1 s"),
        (wording.duration, 12.34, "12 s"),
        (wording.duration, 300.0, "5 min"),
        (wording.duration, 9000.0, "2.5 h"),
        (wording.compact, 18306, "18.3 k"),
        (wording.setting, True, "yes"),
        (wording.setting, [0.0, 1.0], "0 to 1"),
    ],
)
def test_numbers_as_people_write_them(write_it: Any, value: Any, text: str) -> None:
    assert write_it(value).replace(wording.THIN, " ") == text


def test_a_margin_needs_an_interval() -> None:
    assert wording.margin(Estimate(0.5, None, None, 1)) == ""
    assert wording.margin(Estimate(0.5, 0.4, 0.6, 3)) == "±0.10"


# --- the law of imports -----------------------------------------------------------------------------------------------


def test_help_needs_no_torch() -> None:
    code = "import sys, leaderboard.build; sys.exit('torch' in sys.modules or 'jinja2' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(leaderboard.__file__).parents[1]).returncode
        == 0
    )


def test_private_draws_say_so(tmp_path: Path) -> None:
    root = write(tmp_path / "results", record(draw=digest("secret word")))
    made = site(collect([root], SUITE), no_picture)
    assert "private draw" in made["index.html"]
    assert "a word that is not public" in made["tasks/toy-flat-v1.html"]
