"""What a paper takes from results: complete, the same for the same input, and safe to compile."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from toy_results import SUITE, Toy, record, toy, write

import leaderboard
from benchmarks.records import Record
from leaderboard import figures, folder
from leaderboard.collect import Collection, collect
from leaderboard.folder import NotOurs
from leaderboard.paper import indices, plots
from leaderboard.paper.bibtex import SUITE_TITLE, bibliography
from leaderboard.paper.contents import Files, groups, paper
from leaderboard.paper.latex import text
from leaderboard.paper.plots import Tile
from leaderboard.paper.tables import letters
from tasks.registry import UnknownName
from tasks.types import Dose, Source, Task

ROOT = Path(leaderboard.__file__).parents[1]
HOSTILE = r"\input{/etc/passwd} <script>alert(1)</script> % _ & # $x^2$ ~ | é 文 " + '"'
BIDI = "\N{RIGHT-TO-LEFT OVERRIDE}"
SVG = "{http://www.w3.org/2000/svg}"


class Dosed(Toy):
    """Its one knob changes nothing here: records bring their numbers."""

    def turned(self, dose: Mapping[str, float]) -> Task:
        return self


DOSED = Dosed(replace(toy("toy/dosed-v1").spec, doses=(Dose("noise", (0.0, 0.25, 0.5), 0.25, "share of labels"),)))
SUITE_WITH_DOSE: dict[str, Task] = {**SUITE, "toy/dosed-v1": DOSED}


def records() -> list[Record]:
    """Boards with ranks, a ladder, a dose, every way to end, an algorithm, another protocol."""
    found = []
    for place, model in enumerate(("good", "middle", "poor")):
        for seed, extra in enumerate((0.0, 0.05, 0.1)):
            ood = 0.85 - 0.1 * place + extra
            found += [record(task, model, seed, ood) for task in ("toy/flat-v1", "toy/second-v1")]
            found += [record("toy/ladder-v1", model, seed, ood, condition=c) for c in "ab"]
            found += [record("toy/dosed-v1", model, seed, ood - d, dose={"noise": d}) for d in (0.0, 0.5)]
            found.append(record("toy/dosed-v1", model, seed, ood - 0.1))
    return [
        *found,
        record("toy/flat-v1", "partly", 0, 1.0),
        record("toy/flat-v1", "partly", 1, status="timeout", reason="over 120 s"),
        record("toy/flat-v1", "partly", 2, iid=0.6),
        record("toy/second-v1", "partly", 0, status="skipped", reason="takes images"),
        record("toy/control-v1", "partly", 0, status="failed", reason=HOSTILE),
        record("toy/ladder-v1", "partly", 0, condition="a"),
        record("toy/error-v1", "good", iid=1.0, ood=1e9),
        record("toy/flat-v1", "good", 0, 0.6, algorithm="irm"),
        record("toy/flat-v1", "good", 0, 0.6, budget_scale=0.1),
        record("toy/gone-v1", "good"),
    ]


def collected(root: Path, *found: Record) -> Collection:
    return collect([write(root / "results", *found)], SUITE_WITH_DOSE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return paper(collected(tmp_path_factory.mktemp("figures"), *records()), ["svg"])


def read(files: Files, name: str) -> str:
    content = files[name]
    return content if isinstance(content, str) else content.decode()


def words(svg: str) -> list[str]:
    """The texts of a figure."""
    return ["".join(e.itertext()).strip() for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]


# --- what there is ----------------------------------------------------------------------------------------------------


def test_every_board_and_task_has_its_figures_and_tables(made: Files) -> None:
    scored = ("control", "dosed", "error", "flat", "ladder", "second")
    assert set(made) == {
        "captions.md",
        "tasks.bib",
        *(f"scores-toy-{kind}.svg" for kind in ("vector", "image")),
        *(f"table-toy-{kind}.{ending}" for kind in ("vector", "image") for ending in ("tex", "csv")),
        *(f"{what}-toy-{name}-v1.svg" for name in scored if name != "control" for what in ("plane", "seeds")),
        "seeds-toy-control-v1.svg",
        "curves-toy-ladder-v1.svg",
        "doses-toy-dosed-v1-noise.svg",
    }


def test_a_board_of_several_ideas_has_ranks(tmp_path: Path) -> None:
    """All toys share one file and with it one idea; only another module makes a second."""
    other = replace(SUITE["toy/second-v1"].spec.entry, module="another")
    task = Toy(replace(SUITE["toy/second-v1"].spec, entry=other))
    chosen = [r for r in records() if r.trial.task in ("toy/flat-v1", "toy/second-v1")]
    collection = collect([write(tmp_path / "results", *chosen)], {**SUITE, "toy/second-v1": task})
    files = paper(collection, ["svg"])
    shown = words(read(files, "ranks-toy-vector.svg"))
    assert [name for name in shown if name in ("good", "middle", "poor", "partly")] == ["good", "middle", "poor"]
    assert "Not shown: 1 entrant without 3 seeds on each of them." in read(files, "captions.md")


def test_every_figure_and_table_has_a_caption_with_its_terms(made: Files) -> None:
    captions = read(made, "captions.md")
    for name in made:
        if name.endswith((".svg", ".tex")):
            (caption,) = re.findall(rf"^## {re.escape(name.rpartition('.')[0])}\n\n(.*)$", captions, flags=re.M)
            assert re.search(r"\d seeds?|No seeds", caption), name
            for term in ("in-distribution validation", "headline protocol", "offpiste 0", "results with hash"):
                assert term in caption, (name, term)
    assert "unknown task toy/gone-v1" in captions


def test_a_figure_shows_each_way_to_end_with_a_sign_of_its_own(made: Files) -> None:
    shown = words(read(made, "scores-toy-vector.svg"))
    for sign in ("failed", "skipped", "not run", "some seeds failed"):
        assert shown.count(sign) == 1
    hatches = re.findall(r'<pattern id="(\w+)"', read(made, "scores-toy-vector.svg"))
    assert len(hatches) >= 2
    assert {"failed", "not trained", "seed"} <= set(words(read(made, "seeds-toy-flat-v1.svg")))


def test_a_heat_map_has_the_means(made: Files) -> None:
    shown = words(read(made, "scores-toy-vector.svg"))
    assert shown.count("0.80") == 3  # good on flat and second: 2 * (.85, .9, .95 - .5) has mean .8; and on the ladder
    assert "mean of 4" in shown


def test_all_cells_failed(tmp_path: Path) -> None:
    files = paper(collected(tmp_path, record(status="failed", reason="no"), record(seed=1, iid=0.1)), ["svg"])
    assert "$-0.25 \\pm 0.00^{a}$" in read(files, "table-toy-vector.tex")
    assert words(read(files, "scores-toy-vector.svg"))[-1] == "failed"
    assert "plane-toy-flat-v1.svg" in files  # the untrained seed finished
    files = paper(collected(tmp_path / "other", record(status="failed", reason="no")), ["svg"])
    assert "plane-toy-flat-v1.svg" not in files and "seeds-toy-flat-v1.svg" in files


def test_only_the_headline_unless_crossed(tmp_path: Path) -> None:
    collection = collected(tmp_path, *records())
    assert [g.folder for g in groups(collection, crossed=False)] == [""]
    assert [g.folder for g in groups(collection, crossed=True)] == ["", "algorithms/", "1-budget-0-1/"]
    files = paper(collection, ["svg"], crossed=True)
    assert {"algorithms/algorithms-toy-flat-v1.svg", "1-budget-0-1/scores-toy-vector.svg"} <= set(files)
    assert {"erm", "irm", "0.20"} <= set(words(read(files, "algorithms/algorithms-toy-flat-v1.svg")))


def test_configurations_of_one_model_are_told_apart(tmp_path: Path) -> None:
    found = [record("toy/flat-v1", "mlp", ood=0.7, hparams={"depth": 2}), record("toy/flat-v1", "mlp", ood=0.8)]
    also = [record("toy/flat-v1", "mlp", ood=0.9, algorithm="irm", hparams=h) for h in ({}, {"depth": 2})]
    files = paper(collected(tmp_path, *found, *also), ["svg"], crossed=True)
    for name in ("scores-toy-vector.svg", "algorithms/algorithms-toy-flat-v1.svg"):
        assert {"mlp (default)", "mlp (depth 2)"} <= set(words(read(files, name)))


# --- indices ----------------------------------------------------------------------------------------------------------


def chosen() -> list[Record]:
    """On the axis of `toy/described-v1`: .7, .75 and .8; .3 once; and a seed that did not train."""
    long = [record("toy/described-v1", "long", s, ood=v) for s, v in enumerate((0.5, 0.6, 0.7))]
    return [*long, record("toy/described-v1", "short", ood=-0.3), record("toy/described-v1", "no", iid=0.6)]


def test_indices_have_a_figure_with_both_ends_and_the_same_as_data(tmp_path: Path) -> None:
    files = paper(collected(tmp_path, *chosen()), ["svg"])
    assert set(files) == {"captions.md", "tasks.bib", "indices-toy-vector.svg", "indices-toy-vector.csv"}
    shown = words(read(files, "indices-toy-vector.svg"))
    for word in ("described: choice", "the short way", "the long way", "described: first", "early", "late", "long"):
        assert shown.count(word) == 1, word
    assert "no" not in shown, "what learned nothing chose nothing"
    rows = list(csv.DictReader(io.StringIO(read(files, "indices-toy-vector.csv"))))
    assert [(row["index"], row["model"], row["seeds"]) for row in rows] == [
        ("choice", "long", "3"),
        ("choice", "short", "1"),
        ("first", "long", "3"),
    ]
    assert (rows[0]["low_means"], rows[0]["high_means"]) == ("the short way", "the long way")
    assert float(rows[0]["mean"]) == pytest.approx(0.75)
    assert float(rows[0]["half_width"]) == pytest.approx(4.303 * 0.05 / 3**0.5, abs=1e-3)
    caption = read(files, "captions.md").partition("## indices-toy-vector\n\n")[2]
    assert caption.startswith("Which solutions 2 entrants chose on the vector tasks of toy: 2 indices between")
    assert "neither of which is the good one" in caption and "headline protocol" in caption


def test_indices_of_controls_are_no_choice(tmp_path: Path) -> None:
    spec = SUITE["toy/described-v1"].spec
    control = type(SUITE["toy/described-v1"])(replace(spec, entry=replace(spec.entry, tags=("control",))))
    collection = collect([write(tmp_path / "r", *chosen())], {**SUITE, "toy/described-v1": control})
    assert set(paper(collection, ["svg"])) == {"captions.md", "tasks.bib"}


def test_a_place_far_beyond_an_end_is_drawn_at_the_edge_and_one_that_is_near_where_it_is() -> None:
    def limits(*means: float) -> tuple[float, float]:
        return indices.Panel("a", (0.0, 1.0), "low", "high", [(m, None) for m in means]).limits

    assert limits(0.0, 1.0) == pytest.approx((-0.08, 1.08))
    assert limits(0.5, 1.4) == pytest.approx((-0.08, 1.48))
    assert limits(-7.0, 0.5) == pytest.approx((-0.58, 1.08))
    panel = indices.Panel("a", (0.0, 1.0), "low", "high", [(-7.0, None), None])
    assert panel.has_open and not replace(panel, places=[(0.2, None)]).has_open


def test_the_words_of_both_ends_share_a_line_where_they_fit() -> None:
    panel = indices.Panel("a", (0.0, 1.0), "adds", "right in 90 %, multiplies", [])
    assert panel.words(40) == [("adds", "right in 90\N{NO-BREAK SPACE}%, multiplies")]
    assert panel.words(12) == [("adds", ""), ("", "right in"), ("", "90\N{NO-BREAK SPACE}%,"), ("", "multiplies")]


@pytest.mark.parametrize(
    ("n_lines", "sizes"), [(0, []), (1, [1]), (9, [9]), (18, [9, 9]), (19, [12, 7]), (37, [12, 12, 12, 1])]
)
def test_many_axes_are_parted_into_pages_that_are_about_as_full(n_lines: int, sizes: list[int]) -> None:
    assert [len(page) for page in indices.pages([None] * n_lines, 10)] == sizes  # type: ignore[list-item]
    assert plots.PAGE_INCHES < indices.height(10, 3) * 4 <= indices.PAGE_HIGH_INCHES


# --- intervals that go on ---------------------------------------------------------------------------------------------


def n_marks(draw: plots.Draw) -> int:
    """How many marks a figure has, those of its axes among them."""
    return len(list(ElementTree.fromstring(plots.files(draw, ["svg"])["svg"]).iter(f"{SVG}use")))


@pytest.mark.parametrize(("span", "heads"), [((0.1, 0.9), 0), ((0.1, 1.5), 1), ((-9.0, 9.0), 2), ((-0.29, 1.04), 0)])
def test_an_interval_that_goes_on_beyond_an_axis_has_a_head_at_its_edge(span: tuple[float, float], heads: int) -> None:
    mark, whole = plots.Mark("#0072b2", "o"), (0.4, 0.6)

    def seeds(span: tuple[float, float]) -> plots.Draw:
        line = plots.SeedLine("a", mark, [(0.5, None)], 0.5, span)
        return lambda: plots.seed_dots([line], "floor", "ceiling")

    def ranks(span: tuple[float, float]) -> plots.Draw:
        return lambda: plots.ranks([plots.Ranked(n, mark, 0.5, s, 1, (1, 2)) for n, s in (("a", span), ("b", whole))])

    def plane(span: tuple[float, float]) -> plots.Draw:
        point = plots.PlanePoint("a", mark, 0.5, 0.5, span, span)
        return lambda: plots.plane(plots.Plane([point], (1.04, -0.29), plots.SCORE_AXIS, None, {}, "risk"))

    def index(span: tuple[float, float]) -> plots.Draw:
        panel = indices.Panel("a", (-0.29 + 0.08, 1.04 - 0.08), "low", "high", [(0.5, span)])
        return lambda: indices.indices(["a"], [mark], [panel])

    for figure in (seeds, ranks):
        assert n_marks(figure(span)) - n_marks(figure(whole)) == heads, figure
    assert n_marks(plane(span)) - n_marks(plane(whole)) == 2 * heads
    if heads:
        assert n_marks(index(span)) - n_marks(index(whole)) == heads


def test_a_caption_speaks_of_heads_where_there_are_any(made: Files) -> None:
    captions = read(made, "captions.md")
    said = dict(re.findall(r"^## (\S+)\n\n(.*)$", captions, flags=re.M))
    assert "An arrowhead" in said["seeds-toy-flat-v1"], "of partly: 1, -.25, -.25"
    assert "An arrowhead" not in said["seeds-toy-control-v1"]


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_table_has_the_numbers_by_hand(made: Files) -> None:
    tex = read(made, "table-toy-vector.tex")
    # good: 0.7, 0.8, 0.9, and 4.303 * 0.1 / sqrt(3) = 0.248; partly: 1, -0.25, -0.25
    assert r"flat & $0.80 \pm 0.25$ & $0.60 \pm 0.25$ & $0.40 \pm 0.25$ & $0.17 \pm 1.79^{c}$ \\" in tex
    assert r"second & $0.80 \pm 0.25$ & $0.60 \pm 0.25$ & $0.40 \pm 0.25$ & -- \\" in tex
    assert r"control & \ldots & \ldots & \ldots & $-0.25^{a,b}$ \\" in tex
    assert r"\textsuperscript{a}~1 of 1 failed. \textsuperscript{b}~1 seed." in tex
    assert r"\textsuperscript{c}~1 of 3 not trained, 1 of 3 timed out." in tex
    assert "0 is chance and 1 is oracle" in tex and "3 seeds where no mark says otherwise" in tex


def test_a_table_is_well_formed(made: Files) -> None:
    for name in (n for n in made if n.endswith(".tex")):
        tex = read(made, name)
        assert unescaped_braces(tex) == 0
        for columns, body in re.findall(r"\\begin\{tabular\}\{(l[c]+)\}(.*?)\\end\{tabular\}", tex, flags=re.S):
            rows = [line for line in body.splitlines() if line.endswith(r"\\")]
            assert rows and all(len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1 for row in rows)


def unescaped_braces(tex: str) -> int:
    """Opened less closed; no text of ours has an escaped brace."""
    return tex.count("{") - tex.count("}")


def test_a_wide_board_is_parted_and_a_long_one_turned(tmp_path: Path) -> None:
    tasks: dict[str, Task] = {f"toy/t{i:02}-v1": toy(f"toy/t{i:02}-v1") for i in range(9)}
    found = [record(task, f"m{i}", ood=0.8) for task in tasks for i in range(8)]
    tex = read(paper(collect([write(tmp_path / "r", *found)], tasks), []), "table-toy-vector.tex")
    assert re.findall(r"\\begin\{tabular\}\{l(c+)\}", tex) == ["cccc", "cccc"]
    assert tex.count("t08 & ") == 2 and r"\shortstack{m7}" in tex
    assert tex.count("mean of 9 & ") == 2


def test_the_csv_has_the_same_cells_and_runs_nothing(made: Files, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(read(made, "table-toy-vector.csv"))))
    good = {row["task"]: row for row in rows if row["model"] == "good"}
    assert float(good["toy/flat-v1"]["score"]) == pytest.approx(0.8)
    assert float(good["toy/flat-v1"]["half_width"]) == pytest.approx(4.303 * 0.1 / 3**0.5, abs=1e-3)
    assert {"mean of 4", "toy/flat-v1", "toy/second-v1", "toy/ladder-v1", "toy/dosed-v1"} == set(good)
    assert {row["outcome"] for row in rows if row["model"] == "partly"} == {
        "trained",
        "skipped",
        "failed",
        "incomplete",
    }
    found = [record(hparams={"=cmd": "=1"}), record(model="other")]
    files = paper(collected(tmp_path, *found), [])
    cells = [cell for row in csv.reader(io.StringIO(read(files, "table-toy-vector.csv"))) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


@pytest.mark.parametrize(("place", "mark"), [(0, "a"), (25, "z"), (26, "aa"), (51, "az"), (52, "ba")])
def test_marks_go_on_after_z(place: int, mark: str) -> None:
    assert letters(place) == mark


# --- hostile text -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "tex"),
    [
        (r"\input{/etc/passwd}", r"\textbackslash{}input\textbraceleft{}/etc/passwd\textbraceright{}"),
        ("50 % & #1_a $x^2$ ~", r"50 \% \& \#1\_a \$x\textasciicircum{}2\$ \textasciitilde{}"),
        ("<a|b>", r"\textless{}a\textbar{}b\textgreater{}"),
        ("Ré Dessì Träuble Çelik Łukasz", r"R{\'e} Dess{\`i} Tr{\"a}uble {\c{C}}elik {\L}ukasz"),
        ("−0.25 ± 1 ≥", r"$-$0.25 $\pm$ 1 $\geq$"),
        (f"a{BIDI}b文", "a[U+202E]b[U+6587]"),
        ("a--b", "a-{}-b"),
        ("two\nlines\x00", "two lines[U+0000]"),
    ],
)
def test_text_is_printed_and_not_obeyed(words: str, tex: str) -> None:
    assert text(words) == tex


def test_hostile_names_are_text_everywhere(tmp_path: Path) -> None:
    found = [record(ood=0.8, hparams={"name": HOSTILE}), record(ood=0.7), record(model="net@0a1b2c3d")]
    files = paper(collected(tmp_path, *found), ["svg", "pdf", "png"])
    tex = read(files, "table-toy-vector.tex")
    assert r"\input" not in tex and r"\textbackslash{}input\textbraceleft{}/etc/passwd\textbraceright{}" in tex
    assert "文" not in tex and unescaped_braces(tex) == 0
    svg = read(files, "scores-toy-vector.svg")
    assert not list(ElementTree.fromstring(svg).iter(f"{SVG}script"))
    assert any(name.startswith(r"mlp (name \input{/etc/passwd}") for name in words(svg))


def test_a_label_is_one_short_line_of_signs_that_the_font_has() -> None:
    assert plots.label(f"a{BIDI}\nb文") == "a[U+202E] b[U+6587]"
    assert plots.label("$x^2$") == "$x^2$"
    assert len(plots.label("x" * 100)) == plots.LONGEST_NAME


# --- sources ----------------------------------------------------------------------------------------------------------


def entries(bib: str) -> dict[str, dict[str, str]]:
    """Key to fields, as bibtex reads them: braces are counted, escaped or not."""
    found: dict[str, dict[str, str]] = {}
    for key, body in split_entries(bib):
        found[key] = dict(re.findall(r"^  (\w+) = \{(.*)\},$", body, flags=re.M))
    return found


def split_entries(bib: str) -> Iterator[tuple[str, str]]:
    """Every entry up to the brace that closes it."""
    for start in re.finditer(r"@misc\{([^,\s]+),", bib):
        depth, place = 1, start.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(bib[place], 0)
            place += 1
        assert bib[place : place + 1] in ("\n", "")
        yield start[1], bib[start.end() : place]


def with_sources(*sources: Source) -> Task:
    return toy("toy/flat-v1", sources=sources)


def test_every_source_of_every_task_used_is_there_once(made: Files) -> None:
    found = entries(read(made, "tasks.bib"))
    assert set(found) == {"offpiste", "key2020"}
    assert found["key2020"]["author"] == "A. One and B. Two"
    assert found["key2020"]["title"] == r"{A title with \textless{}tags\textgreater{} \& signs}"
    assert found["key2020"]["url"] == "https://example.org/a?b=1&c=2"
    assert "toy/ladder-v1" in found["key2020"]["keywords"] and "described" not in found["key2020"]["keywords"]
    assert found["offpiste"]["author"] == "{Offpiste}"


def test_the_suite_is_cited_as_its_citation_file_says() -> None:
    assert f'title: "{SUITE_TITLE}"' in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "note = {Version 9.8.7}" in bibliography([], "9.8.7")


def test_keys_are_unique_without_regard_to_case_and_do_not_depend_on_what_else_is_there() -> None:
    one, other, alone = (Source(k, "A", t, "V", 2020, "") for k, t in (("k", "one"), ("K", "two"), ("z y{", "three")))
    keys = list(entries(bibliography([with_sources(one, other, alone, one)], "1")))
    assert len({key.lower() for key in keys}) == len(keys) == 4
    assert "z-y-" in keys
    also = list(entries(bibliography([with_sources(other), with_sources(one)], "1")))
    assert set(also) == set(keys) - {"z-y-"}


def test_hostile_sources_are_text() -> None:
    evil = Source(
        "k", f"Of the {HOSTILE}, Ré von Ü et al.", HOSTILE + "}", "`code` {", 2020, "https://x.org/a b{}\\%20#_"
    )
    (found,) = [e for key, e in entries(bibliography([with_sources(evil)], "1")).items() if key == "k"]
    assert r"\input" not in found["title"] and found["title"].count("{") == found["title"].count("}")
    assert found["author"].endswith(r"and R{\'e} von {\"U} and others")
    assert found["howpublished"] == r"code \textbraceleft{}"
    assert found["url"] == "https://x.org/a%20b%7B%7D%5C%20#_"
    script = Source("s", "A", "T", "V", 2020, "javascript:alert(1)")
    assert "url" not in entries(bibliography([with_sources(script)], "1"))["s"]


def test_an_organisation_has_no_surname() -> None:
    source = Source("k", "King County Department of Assessments, Ann Author", "T", "V", 2020, "")
    assert entries(bibliography([with_sources(source)], "1"))["k"]["author"] == (
        "{King County Department of Assessments} and Ann Author"
    )


# --- figures ----------------------------------------------------------------------------------------------------------


def test_the_same_records_give_the_same_bytes_in_every_format(tmp_path: Path) -> None:
    chosen = [r for r in records() if r.trial.task in ("toy/flat-v1", "toy/ladder-v1")]
    first, second = (
        paper(collected(tmp_path / name, *listed), ["svg", "pdf", "png"])
        for name, listed in (("a", chosen), ("b", chosen[::-1]))
    )
    assert first == second
    for name, content in first.items():
        assert isinstance(content, bytes) == name.endswith((".svg", ".pdf", ".png"))
        if isinstance(content, bytes):
            assert not re.search(rb"CreationDate|/Producer|<dc:date>|Software|Matplotlib v", content), name


def test_figures_are_as_wide_as_a_column_or_a_page_and_text_is_text(made: Files) -> None:
    for name in (n for n in made if n.endswith(".svg")):
        root = ElementTree.fromstring(read(made, name))
        assert root.get("width") in ("234pt", "486pt"), name  # 3.25 and 6.75 inches
        assert words(read(made, name)), name
        sizes = {float(size) for size in re.findall(r"font-size: ([0-9.]+)px", read(made, name))}
        assert sizes and min(sizes) >= 7, name
    png = plots.files(lambda: plots.heat_map(["a"], ["b"], [[Tile(0.5, None)]]), ["png"])["png"]
    assert int.from_bytes(png[16:20], "big") == 975  # 3.25 inches at 300 dots


def test_marks_are_told_apart_without_colour() -> None:
    found = plots.marks(63)
    assert len(set(found)) == 63
    assert all(a.colour != b.colour and a.marker != b.marker for a, b in pairwise(found))


@pytest.mark.parametrize("width", [plots.COLUMN_INCHES, plots.PAGE_INCHES])
def test_a_legend_fits(width: float) -> None:
    names = [f"model-number-{i}" for i in range(17)]
    columns = plots.legend_columns(names, width)
    assert columns * (plots.width_of(names) + plots.HANDLE_INCHES) <= width
    assert plots.legend_columns(["x" * 30] * 5, 1.0) == 1


def test_nothing_is_left_of_the_style_of_a_figure() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.files(lambda: plots.heat_map(["a"], ["b"], [[Tile(None, "failed")]]), ["svg"])
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(figures, "suite", lambda: SUITE_WITH_DOSE)
    monkeypatch.setattr("tasks.registry.entries", lambda: {i: t.spec.entry for i, t in SUITE_WITH_DOSE.items()})
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    return write(tmp_path / "results", *records())


def run(results: Path, *words: str) -> int:
    return figures.main([str(results), "--out", str(results.parent / "out"), "--format", "svg", *words])


def test_the_command(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(results, "--task", "flat", "control", "--model", "good", "p*") == 0
    said = capsys.readouterr()
    out = results.parent / "out"
    assert str(out / "captions.md") in said.out and "unknown task toy/gone-v1" in said.err
    assert {p.name for p in out.glob("seeds-*")} == {"seeds-toy-flat-v1.svg", "seeds-toy-control-v1.svg"}
    names = words((out / "scores-toy-vector.svg").read_text())
    assert {"good", "poor", "partly"} <= set(names) and "middle" not in names


def test_the_command_refuses_with_the_nearest_names(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (("--task", "flta"), "no task, family or tag 'flta'; nearest: toy/flat"),
        (("--model", "goood"), "no model 'goood' among the results; nearest: good"),
        (("--task", "described"), "no results to draw"),
        (("--task", "flat", "--model", "none*"), "no model 'none*' among the results"),
    ):
        assert run(results, *words) == 2
        assert told in capsys.readouterr().err
    assert not (results.parent / "out").exists()


def test_no_results(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write(tmp_path / "empty")) == 2
    assert "no results to draw" in capsys.readouterr().err
    assert run(tmp_path / "nowhere") == 2
    assert "no result folder" in capsys.readouterr().err
    assert run(write(tmp_path / "other", record(algorithm="irm"))) == 2
    assert "--crossed draws those" in capsys.readouterr().err


def test_nothing_that_is_not_ours_is_replaced(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = results.parent / "out"
    assert run(results, "--task", "control") == 0
    assert run(results, "--task", "flat") == 0
    assert not (out / "seeds-toy-control-v1.svg").exists()
    (out / "paper.tex").write_text("work")
    assert run(results) == 2
    assert "paper.tex" in capsys.readouterr().err and (out / "paper.tex").read_text() == "work"
    assert figures.main([str(results), "--out", str(results)]) == 2
    site = results.parent / "site"
    folder.write(site, {"index.html": ""})
    assert figures.main([str(results), "--out", str(site)]) == 2


def test_a_folder_takes_bytes_and_knows_its_own_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    folder.write(out, {"a/b.bin": b"\x00\xff", "c.txt": "é\n"})
    assert (out / "a" / "b.bin").read_bytes() == b"\x00\xff" and (out / "c.txt").read_bytes() == "é\n".encode()
    folder.check_out(out)
    (out / "a" / "mine").symlink_to(tmp_path)
    with pytest.raises(NotOurs, match="a/mine"):
        folder.check_out(out)
    (out / folder.MARKER).write_text("written by an older version\n")
    folder.check_out(out)


def test_names_that_mean_nothing() -> None:
    assert figures.named({"mlp", "mlp-tanh", "cnn"}, ["mlp*"]) == {"mlp", "mlp-tanh"}
    with pytest.raises(UnknownName, match="nearest: mlp"):
        figures.named({"mlp", "cnn"}, ["mpl"])


def test_help_needs_no_torch_and_no_matplotlib() -> None:
    code = "import sys, leaderboard.figures; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_tables_compile(made: Files, tmp_path: Path) -> None:
    parts = [read(made, name) for name in made if name.endswith(".tex")]
    hostile = f"{text(HOSTILE)} {text(BIDI)}"
    document = (
        rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{hostile}{''.join(parts)}\end{{document}}"
    )
    (tmp_path / "all.tex").write_text(document)
    command: list[Any] = [
        shutil.which("pdflatex"),
        "-draftmode",
        "-halt-on-error",
        "-interaction=nonstopmode",
        "all.tex",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
