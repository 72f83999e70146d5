"""What a run tells while it goes on, what a reader believes of it, its page, and the site that is kept current."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import jobs_for
from toy_results import SUITE, record, write

from benchmarks import live, points
from benchmarks.events import Finished, Pulse
from benchmarks.jobs import Job
from benchmarks.live import Journal
from benchmarks.points import MOST, Teller, points_file, read_points
from benchmarks.records import InvalidRecord, Record
from benchmarks.replica import Point
from benchmarks.store import Store, scan
from benchmarks.supervisor import Supervisor
from leaderboard import progress, watch
from leaderboard.collect import Collection, collect
from leaderboard.folder import MARKER
from leaderboard.pictures import Pictures, cache_folder
from leaderboard.progress import Run, parse, runs_of
from leaderboard.progress_view import View, curve, reload_seconds, view
from leaderboard.site import progress_page, site
from leaderboard.watch import Watch
from tasks.types import Task

ROOT = Path(__file__).parents[1]
HOSTILE = "</script><script>alert(1)</script>\"'{{7*7}}"
NOW = 1_800_000_000.0
Steps = list[dict[str, Any]]


# --- from a trial to its parent ---------------------------------------------------------------------------------------


def point(step: int, ood: float, loss: float | None = 0.5) -> Point:
    """A measurement of `shift/linear-unit-1-v1`, whose test out of distribution has three splits."""
    spec = task_spec()
    inside = {split.name: {spec.metric: 0.9} for split in spec.with_role("val", "iid")}
    outside = {split.name: {spec.metric: ood + i} for i, split in enumerate(spec.with_role("ood"))}
    return Point(step, loss, inside | outside)


def task_spec() -> Any:
    from tasks.registry import load

    return load("shift/linear-unit-1-v1").spec


def test_a_parent_sees_what_its_trials_measure_before_they_end(tmp_path: Path) -> None:
    (job,) = jobs_for(["mlp"], "linear-unit-1", scale=1.0)
    seen: list[Steps] = []
    with Supervisor(Store(tmp_path), slots=1, memory_gib=4.0) as supervisor:
        for event in supervisor.run([(job,)]):
            if isinstance(event, Pulse):
                seen += [list(p) for p in supervisor.curves().values() if p]
            if isinstance(event, Finished):
                final = event.record
    assert final.status == "ok" and seen, final.reason
    spec = task_spec()
    told = [{"step": p["step"], "loss": p["loss"], **means(p["scores"], spec)} for p in final.curve]
    assert seen[-1] == told[: len(seen[-1])] and seen[0][0] == told[0]


def means(scores: Mapping[str, Mapping[str, float]], spec: Any) -> dict[str, float]:
    """By hand: the metric of each role over its splits."""
    names = {role: [split.name for split in spec.splits if split.role == role] for role in ("val", "iid", "ood")}
    return {role: sum(scores[n][spec.metric] for n in found) / len(found) for role, found in names.items()}


def test_many_points_are_thinned_and_numbers_that_json_has_not_are_left_out(tmp_path: Path) -> None:
    path = points_file(tmp_path, "a")
    tell = Teller(path, task_spec().id)
    for step in range(1, 201):
        tell(point(step, ood=step, loss=float("inf") if step == 200 else 0.5))
    told = read_points(path)
    n_splits = len(task_spec().with_role("ood"))
    assert len(told) == MOST and (told[0]["step"], told[-1]["step"]) == (1, 200)
    assert told[-1]["loss"] is None and told[0]["loss"] == 0.5
    assert told[-1]["ood"] == pytest.approx(200 + (n_splits - 1) / 2)


GOOD = {"step": 1, "loss": 0.5, "val": 0.9, "iid": None, "ood": 0.1}


@pytest.mark.parametrize(
    "text",
    [
        "[", "{}", "[1]", json.dumps([GOOD | {"more": 1}]), json.dumps([{"step": 1}]), '[{"step": NaN}]',
        json.dumps([GOOD | {"ood": float("nan")}]), json.dumps([GOOD | {"ood": "1"}]),
        json.dumps([GOOD | {"step": True}]), json.dumps([GOOD | {"step": -1}]), json.dumps([GOOD | {"ood": 1e13}]),
        json.dumps([GOOD, GOOD]), "[" * 50_000, " " * points.MAX_BYTES + json.dumps([GOOD]),
    ],
)  # fmt: skip
def test_what_a_class_under_test_writes_in_its_place_is_not_believed(tmp_path: Path, text: str) -> None:
    path = points_file(tmp_path, "a")
    path.write_text(json.dumps([GOOD]))
    assert read_points(path) == [GOOD]
    path.write_text(text)
    assert read_points(path) == []


def test_links_and_pipes_neither_lead_nor_hold_the_parent(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere.json"
    secret.write_text(json.dumps([GOOD]))
    for name, make in {"link": lambda p: p.symlink_to(secret), "pipe": os.mkfifo, "folder": os.mkdir}.items():
        path = points_file(tmp_path, name)
        make(path)
        assert read_points(path) == []
    assert read_points(tmp_path / "nowhere") == []


# --- what a run writes and a reader reads ---------------------------------------------------------------------------


def planned() -> list[Job]:
    """Two seeds of two models on one task."""
    return jobs_for(["linear", "mlp"], "linear-unit-1", seeds=2)


def ended(job: Job, status: Any = "ok", reason: str = "") -> Record:
    return Record(job.trial, status, reason, seconds=1.0)


def told(root: Path, now: float | None = None, since: float = 0.0) -> list[Run]:
    """What a reader makes of a results folder."""
    runs, refused = runs_of([root], time.time() if now is None else now, since)
    assert refused == []
    return runs


def test_a_reader_finds_what_the_run_told(tmp_path: Path) -> None:
    assert (live.SCHEMA, live.FOLDER) == (progress.SCHEMA, progress.FOLDER)
    done, failing, running, waiting = planned()
    before = {done.trial.key: "skipped"}
    with Journal(tmp_path, slots=2) as journal:
        journal.begin("trials", [done, failing, running, waiting], before, [failing, running, waiting], 60.0)
        journal.started(failing)
        journal.started(running)
        journal.finished(failing, ended(failing, "diverged", f"the loss is nan {HOSTILE}\x1b[31m"), 0.5)
        journal.write({running.trial.key: [GOOD, GOOD | {"step": 2}]})
        (run,) = told(tmp_path)
        assert run.state(time.time()) == "running" and run.slots == 2 and run.purpose == "trials"
        total = run.total
        assert (total.planned, total.ok, total.skipped, total.failed, total.waiting) == (4, 0, 1, 1, 2)
        assert run.tasks.keys() == {"shift/linear-unit-1-v1"}
        assert run.entries["mlp", "erm"].planned == 2 and run.entries.keys() == {("linear", "erm"), ("mlp", "erm")}
        (trial,) = run.running
        assert (trial.who.model, trial.who.seed) == (running.trial.model, running.trial.seed)
        assert [p.step for p in trial.points] == [1, 2] and trial.points[0].inside == 0.9
        assert trial.steps == round(task_spec().budget.steps * running.trial.budget_scale)
        (failure,) = run.failures
        assert failure.status == "diverged" and failure.reason == f"the loss is nan {HOSTILE}?[31m"
        assert run.expected_end is not None and run.expected_end >= run.written
        journal.finished(running, ended(running), 1.0)
    (run,) = told(tmp_path)
    assert run.state(time.time() + 1e6) == "finished" and run.running == () and run.expected_end is None
    assert run.total.ok == 1


@pytest.mark.parametrize(
    ("error", "outcome"), [(KeyboardInterrupt, "interrupted"), (OSError, "stopped"), (None, "finished")]
)
def test_the_file_says_how_the_run_ended(tmp_path: Path, error: type[BaseException] | None, outcome: str) -> None:
    def run() -> None:
        with Journal(tmp_path, 1) as journal:
            journal.begin("trials", planned(), {}, planned(), 1.0)
            if error:
                raise error

    if error:
        with pytest.raises(error):
            run()
    else:
        run()
    assert [found.outcome for found in told(tmp_path)] == [outcome]


def test_several_runs_share_a_folder_and_none_is_a_result(tmp_path: Path) -> None:
    write(tmp_path, record())
    journals = [Journal(tmp_path, 1), Journal(tmp_path, 2)]
    for journal in journals:
        journal.begin("trials", planned(), {}, planned(), 1.0)
    assert {run.slots for run in told(tmp_path)} == {1, 2}
    assert [type(found) for found in scan(tmp_path)] == [Record]
    assert collect([tmp_path], SUITE).refused == ()
    assert not list(tmp_path.glob("progress/*.tmp")) and len(list(tmp_path.glob("progress/*"))) == 2


def test_a_run_without_trials_tells_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path, 1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_refuses_the_file_fails_no_run(tmp_path: Path) -> None:
    (tmp_path / "progress").write_text("not a folder")
    with Journal(tmp_path, 1) as journal:
        journal.begin("trials", planned(), {}, planned(), 1.0)
        journal.finished(planned()[0], ended(planned()[0]), 1.0)
    assert (tmp_path / "progress").read_text() == "not a folder"


def test_a_run_writes_every_two_seconds_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    asked: list[float] = []

    def curves() -> dict[str, Any]:
        asked.append(clock[0])
        return {}

    journal = Journal(tmp_path, 1)
    journal.begin("trials", planned(), {}, planned(), 1.0)
    for _ in range(50):
        clock[0] += 0.1
        journal.beat(curves)
    assert len(asked) == 2


def test_forgotten_files_are_removed_and_others_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "progress"
    folder.mkdir()
    old, fresh, mine = folder / f"{NAME}.json", folder / "20260101t000000-0000000b.json", folder / "notes.txt"
    for path in (old, fresh, mine):
        path.write_text("{}")
    for path in (old, mine):
        os.utime(path, (1, 1))
    Journal(tmp_path, 1).begin("trials", planned(), {}, planned(), 1.0)
    assert not old.exists() and fresh.exists() and mine.exists()


# --- what a reader refuses --------------------------------------------------------------------------------------------

NAME = "20260101t000000-0000000a"
WHO = {"task": "toy/flat-v1", "condition": "default", "model": "mlp", "algorithm": "erm", "seed": 0, "note": ""}
TALLIES = {"planned": 4, "ok": 1, "failed": 1, "skipped": 0}
BODY: dict[str, Any] = {
    "schema": 1, "run": NAME, "began": NOW - 90, "written": NOW, "outcome": "running", "purpose": "trials",
    "slots": 1, "expected_end": NOW + 120,
    "tasks": [{"task": "toy/flat-v1", **TALLIES}],
    "entries": [{"model": "mlp", "algorithm": "erm", **TALLIES}],
    "running": [{**WHO, "began": NOW - 30, "steps": 100, "seconds": 60, "metric": "accuracy",
                 "points": [GOOD, GOOD | {"step": 50, "ood": 0.3}]}],
    "failures": [{**WHO, "model": "gone@0a1b2c3d", "status": "timeout", "reason": HOSTILE, "at": NOW - 5}],
}  # fmt: skip


def run_with(**changes: Any) -> Run:
    """A run as a reader finds it."""
    return parse(json.dumps(BODY | changes).encode())


def trial_with(**changes: Any) -> dict[str, Any]:
    return {"running": [BODY["running"][0] | changes]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 2}, "this version reads 1"),
        ({"run": "../../etc/passwd"}, "no name of a run"),
        ({"outcome": "won"}, "'won' is none of running"),
        ({"purpose": "a\x1b[31m"}, "control characters"),
        ({"purpose": "\u202e"}, "control characters"),
        ({"purpose": "x" * 401}, "401 characters"),
        ({"purpose": 3}, "purpose is int, not str"),
        ({"slots": -1}, "not a whole number"),
        ({"written": 1e300}, "written is 1e+300"),
        ({"written": None}, "written is 'None', not a finite number"),
        ({"expected_end": -1}, "out of [0"),
        ({"tasks": {}}, "tasks is dict, not list"),
        ({"tasks": [{"task": "toy/../x", **TALLIES}]}, "is not 'family/name'"),
        ({"tasks": [BODY["tasks"][0] | {"ok": 1.5}]}, "ok is '1.5', not a whole number"),
        ({"tasks": [BODY["tasks"][0]] * 5001}, "at most 5,000 are read"),
        ({"entries": [{"model": HOSTILE, "algorithm": "erm", **TALLIES}]}, "characters that no name has"),
        ({"running": [3]}, "running is int, not dict"),
        (trial_with(seconds=-1), "out of [0"),
        (trial_with(points=[GOOD, GOOD]), "do not rise"),
        (trial_with(points=[GOOD | {"ood": 1e13}]), "beyond 1e+12"),
        (trial_with(steps="100"), "not a whole number"),
        ({"failures": [{**WHO, "status": "fine", "reason": "", "at": NOW}]}, "'fine' is none of ok"),
    ],
)
def test_a_file_that_lies_is_refused_with_a_reason(changes: Mapping[str, Any], reason: str) -> None:
    assert run_with().run == NAME
    with pytest.raises(InvalidRecord, match=re.escape(reason)):
        run_with(**changes)


def test_files_that_are_no_json_or_too_large_or_elsewhere_are_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "progress"
    folder.mkdir()
    texts = {
        "20260101t000000-00000001": "{", "20260101t000000-00000002": '{"schema": NaN}',
        "20260101t000000-00000003": '{"schema": 1, "schema": 1}', "20260101t000000-00000004": "[" * 100_000,
        "20260101t000000-00000005": json.dumps(BODY), "20260101t000000-00000006": " " * (progress.MAX_BYTES + 1),
    }  # fmt: skip
    for name, text in texts.items():
        (folder / f"{name}.json").write_text(text)
    (folder / "20260101t000000-00000007.json").symlink_to(folder / f"{NAME}.json")
    os.mkfifo(folder / "20260101t000000-00000008.json")
    (folder / "README.json").write_text("no run is named so")
    (folder / f"{NAME}.json").write_text(json.dumps(BODY))
    runs, refused = runs_of([tmp_path], NOW, 0.0)
    assert [run.run for run in runs] == [NAME]
    assert sorted(reason.partition(":")[0] for reason in refused) == [
        f"progress/20260101t000000-0000000{i}.json" for i in range(1, 9)
    ]
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert runs_of([tmp_path], NOW, 0.0) == ([], [])


def test_silence_is_told_from_running_and_from_an_end() -> None:
    run = run_with()
    assert [run.state(NOW + s) for s in (0, 59, 61, 1e6)] == ["running", "running", "silent", "silent"]
    assert run.state(NOW - 3600) == "running", "a clock that is behind"
    assert run_with(outcome="finished").state(NOW + 1e6) == "finished"


def test_a_killed_run_is_shown_until_another_is_begun_and_an_ended_one_to_those_who_watched(tmp_path: Path) -> None:
    killed, late = run_with(), NOW + 1000
    assert progress.is_shown(killed, [killed], late, since=late)
    again = replace(killed, run="again", began=NOW + 500, written=late)
    assert not progress.is_shown(killed, [killed, again], late, since=late)
    beside = replace(killed, run="beside", began=NOW - 500, written=late)
    assert progress.is_shown(killed, [killed, beside], late, since=late)
    over = run_with(outcome="finished")
    assert progress.is_shown(over, [over], late, since=NOW - 1) and not progress.is_shown(
        over, [over], late, since=late
    )


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return collect([write(tmp_path_factory.mktemp("page") / "results", record())], SUITE)


def no_picture(task: Task) -> str | None:
    return None


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the texts of `style` and `script`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.last = ""
        self.code: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))
        self.last = tag

    def handle_data(self, data: str) -> None:
        if self.last in ("style", "script"):
            self.code[self.last] = self.code.get(self.last, "") + data
        self.last = ""

    def metas(self, name: str) -> list[str]:
        return [str(a["content"]) for tag, a in self.found if tag == "meta" and a.get("http-equiv") == name]


def text_of(page: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<(style|script)>.*?</\1>", " ", page.replace("<wbr>", ""), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{NARROW NO-BREAK SPACE}", " ").split())


def test_the_page_says_what_is_done_runs_failed_and_waits(collection: Collection) -> None:
    page = progress_page(collection, [view(run_with(), NOW)])
    said = text_of(page)
    assert "● running" in said and "2 min left" in said
    for words in ("4 trials", "1 done", "1 failed", "1 running", "1 waiting"):
        number, _, word = words.partition(" ")
        assert f"{word} {number}" in said, words
    assert "seed 0 30 s 50 of 100 0.500 accuracy 0.900 0.300" in said
    assert "gone@0a1b2c3d" in said and "✕ timeout" in said and HOSTILE in said
    assert 'href="tasks/toy-flat-v1.html"' in page and 'href="models/mlp.html"' in page
    assert 'href="models/gone@0a1b2c3d.html"' not in page, "there is no such page yet"


def test_the_page_is_safe_and_keeps_its_own_policy(collection: Collection) -> None:
    page = Elements(progress_page(collection, [view(run_with(), NOW)]))
    assert [tag for tag, _ in page.found].count("script") == 1
    (policy,) = page.metas("content-security-policy") or page.metas("Content-Security-Policy")
    for kind, code in page.code.items():
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not [a for _, a in page.found if "style" in a or any(name.startswith("on") for name in a)]


@pytest.mark.parametrize(
    ("outcome", "later", "reloads", "words"),
    [
        ("running", 0, ["5"], "● running"),
        ("running", 180, ["30"], "Nothing was heard of this run for 3 min, since"),
        ("finished", 0, [], "✓ finished"),
        ("interrupted", 0, [], "✕ interrupted"),
        ("stopped", 0, [], "Cut short"),
    ],
)
def test_the_page_loads_itself_again_only_while_something_can_change(
    collection: Collection, outcome: str, later: float, reloads: list[str], words: str
) -> None:
    page = progress_page(collection, [view(run_with(outcome=outcome), NOW + later)])
    assert Elements(page).metas("refresh") == reloads
    assert words in text_of(page)


def test_of_two_runs_each_has_its_part(collection: Collection) -> None:
    views = [view(run_with(), NOW), view(run_with(outcome="finished", run="20260101t000000-0000000c"), NOW)]
    page = progress_page(collection, views)
    assert Elements(page).metas("refresh") == ["5"] and reload_seconds(views) == 5
    assert page.count("<h1") == 2 and "● running" in page and "✓ finished" in page


def test_only_a_site_with_a_run_has_the_page_and_links_it(collection: Collection) -> None:
    without, with_one = site(collection, no_picture), site(collection, no_picture, runs=[view(run_with(), NOW)])
    assert with_one.keys() - without.keys() == {"progress.html"}
    assert all("progress.html" not in text for text in without.values())
    pages = [name for name in with_one if name.endswith(".html")]
    for name in pages:
        assert f'href="{"../" * name.count("/")}progress.html"' in with_one[name], name
    assert site(collection, no_picture) == without


def test_a_bar_is_as_wide_as_its_trials(collection: Collection) -> None:
    shown = view(run_with(), NOW).everything
    assert shown.parts == [("ok", 0, 25), ("failed", 25, 25), ("running", 50, 25)] and shown.waiting == 1
    assert view(run_with(tasks=[], running=[]), NOW).everything.parts == []


def test_a_curve_runs_from_the_first_to_the_last_measurement() -> None:
    (trial,) = run_with().running
    drawn = curve(trial)
    assert drawn is not None
    assert [x for x, _ in drawn.outside] == [3.2, 60.0]  # steps 1 and 50 of 100 on 2 to 118 pixels
    assert drawn.outside[0][1] > drawn.outside[1][1] > drawn.inside[1][1], "up is more"
    (single,) = run_with(**trial_with(points=[GOOD])).running
    (flat,) = run_with(**trial_with(points=[GOOD, GOOD | {"step": 2}])).running
    assert curve(single) is None and curve(flat) is not None


# --- a site that is kept current --------------------------------------------------------------------------------------


class Builds:
    """Stands in for a build: takes `seconds` on a clock of its own, and fails where told."""

    def __init__(self, collection: Collection, out: Path) -> None:
        self.collection, self.out = collection, out
        self.now, self.seconds, self.error = 1000.0, 1.0, ""
        self.at: list[tuple[float, bool]] = []

    def __call__(self, views: Sequence[View], draw: bool) -> Collection:
        self.at.append((self.now, draw))
        self.now += self.seconds
        if self.error:
            raise OSError(self.error)
        self.out.mkdir(exist_ok=True)
        (self.out / MARKER).touch()
        if views:
            (self.out / "progress.html").write_text("the whole site")
        return self.collection


@pytest.fixture
def builds(collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builds:
    found = Builds(collection, tmp_path / "site")
    monkeypatch.setattr(watch.time, "monotonic", lambda: found.now)
    monkeypatch.setattr(watch.os, "nice", lambda n: n)
    return found


def watching(builds: Builds, results: Path, draw_one: Callable[[], bool] = lambda: False) -> Watch:
    results.mkdir(exist_ok=True)
    return Watch([results], builds.out, builds, draw_one)


def tick(watched: Watch, builds: Builds, seconds: float) -> None:
    """Look every two seconds for so long."""
    until = builds.now + seconds
    while builds.now < until:
        watched.tick()
        builds.now += 2


def test_a_build_waits_for_a_change_and_five_times_as_long_as_it_took(builds: Builds, tmp_path: Path) -> None:
    results = tmp_path / "results"
    watched = watching(builds, results)
    tick(watched, builds, 100)
    assert builds.at == [(1000.0, False)], "nothing changed after the first"
    builds.seconds = 20.0
    write(results, record(seed=1))
    tick(watched, builds, 10)
    (_, (second, _)) = builds.at
    write(results, record(seed=2))
    tick(watched, builds, 300)
    assert len(builds.at) == 3
    assert 100 <= builds.at[2][0] - (second + 20) <= 112


def test_between_builds_the_page_alone_is_replaced(builds: Builds, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "results", 1)
    watched = watching(builds, tmp_path / "results")
    journal.begin("trials", planned(), {}, planned(), 1.0)
    watched.tick()
    assert (builds.out / "progress.html").read_text() == "the whole site"
    watched.tick()
    assert "● running" in (builds.out / "progress.html").read_text() and len(builds.at) == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_pictures_are_drawn_one_at_a_time_and_then_built(builds: Builds, tmp_path: Path) -> None:
    left = [1, 2, 3]
    watched = watching(builds, tmp_path / "results", lambda: bool(left and left.pop()))
    tick(watched, builds, 60)
    assert left == [] and len(builds.at) == 2


def test_a_build_that_fails_is_a_warning_and_is_tried_again(
    builds: Builds, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watched = watching(builds, tmp_path / "results")
    builds.error = "no space left"
    tick(watched, builds, 60)
    assert 4 <= len(builds.at) <= 6
    assert capsys.readouterr().err.count("no space left") == 1, "said once"
    assert watched.whole([], draw=True) is False
    builds.error = ""
    assert watched.whole([], draw=True) is True


@pytest.mark.parametrize(("words", "silence"), [("the run has ended\n", False), ("", True)])
def test_an_end_is_told_from_a_kill_and_the_last_build_is_complete(
    builds: Builds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, silence: bool
) -> None:
    journal = Journal(tmp_path / "results", 1)
    journal.begin("trials", planned(), {}, planned(), 1.0)
    reader, writer = os.pipe()
    os.write(writer, words.encode())
    os.close(writer)
    watched = watching(builds, tmp_path / "results")

    def sleep(seconds: float) -> None:
        builds.now += seconds
        body = json.loads(journal.path.read_text())
        journal.path.write_text(json.dumps(body | {"written": body["written"] - seconds}))

    monkeypatch.setattr(watch.time, "sleep", sleep)
    began = builds.now + time.time()  # the file was written by a clock that goes on meanwhile
    with open(reader) as parent:
        watched.parent = parent
        assert watched.run() is True
    waited = builds.now + time.time() - began
    assert builds.at[-1][1] is True, "with every picture"
    assert (waited >= progress.SILENT_SECONDS) is silence
    assert [shown.state for shown in watched.views()] == ["silent" if silence else "running"]


# --- pictures ---------------------------------------------------------------------------------------------------------

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>\n'


def test_a_picture_is_drawn_once_and_kept_for_later_builds(tmp_path: Path) -> None:
    flat, second = SUITE["toy/flat-v1"], SUITE["toy/second-v1"]
    drawn: list[str] = []

    def draw(task: Task) -> str | None:
        drawn.append(task.spec.id)
        return SVG if task is flat else None

    pictures = Pictures(draw, tmp_path)
    assert [pictures(flat), pictures(flat), pictures(second), pictures(second)] == [SVG, SVG, None, None]
    assert drawn == [flat.spec.id, second.spec.id]
    again = Pictures(draw, tmp_path)
    assert again.known(flat) == SVG and again.known(second) is None and again(flat) == SVG
    assert drawn == [flat.spec.id, second.spec.id]
    pending = again.draw_one_of([flat, second])
    assert not pending() and drawn[2:] == [second.spec.id], "there was nothing to show"


def test_another_version_draws_anew_and_removes_the_old_picture(tmp_path: Path) -> None:
    task = SUITE["toy/flat-v1"]
    first, second = Pictures(lambda task: SVG, tmp_path), Pictures(lambda task: SVG.upper().lower() + "\n", tmp_path)
    first(task)
    second.__dict__["version"] = "f" * 16
    assert second.kept(task) is None
    second(task)
    assert [path.name for path in tmp_path.iterdir()] == [f"toy-flat-v1.{'f' * 16}.svg"]


def test_a_damaged_or_closed_cache_costs_time_only(tmp_path: Path) -> None:
    task = SUITE["toy/flat-v1"]
    pictures = Pictures(lambda task: SVG, tmp_path / "cache")
    pictures(task)
    (path,) = (tmp_path / "cache").iterdir()
    for damaged in (b"", b"<svg", b"\xff\xfe", b"<script>1</script>"):
        path.write_bytes(damaged)
        assert Pictures(lambda task: SVG, tmp_path / "cache")(task) == SVG
    (tmp_path / "file").write_text("")
    assert Pictures(lambda task: SVG, tmp_path / "file")(task) == SVG
    assert cache_folder({"XDG_CACHE_HOME": "/x"}, Path("/home/me")) == Path("/x/offpiste/pictures")
    assert cache_folder({}, Path("/home/me")) == Path("/home/me/.cache/offpiste/pictures")


def test_data_of_the_user_s_own_are_drawn_anew(tmp_path: Path) -> None:
    task = SUITE["toy/flat-v1"]
    own = type(task)(replace(task.spec, entry=replace(task.spec.entry, optional=True)))
    assert Pictures(lambda task: SVG, tmp_path)(own) == SVG
    assert list(tmp_path.iterdir()) == []


# --- one command ------------------------------------------------------------------------------------------------------


def command(results: Path, *more: str | Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.run", "--task", "reweight", "--model", "linear", "mlp", "--seeds", "1",
            "--jobs", "1", "--wandb", "disabled", "--results", str(results), *map(str, more)]  # fmt: skip


@pytest.mark.slow
def test_one_command_keeps_a_site_and_leaves_it_complete(tmp_path: Path) -> None:
    results, out = tmp_path / "results", tmp_path / "site"
    process = subprocess.Popen(command(results, "--site", out, "--budget-scale", "4"), cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    seen = set()
    while process.poll() is None:
        if (out / "progress.html").is_file():
            page = (out / "progress.html").read_text()
            seen |= {state for state in ("● running", "✓ finished") if state in page}
        time.sleep(0.2)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    assert f"Site: {out}/index.html" in said and "warning" not in said
    assert seen >= {"● running"}
    page = (out / "progress.html").read_text()
    assert "✓ finished" in page and Elements(page).metas("refresh") == []
    assert "from 4 result files" in page
    svgs = [path for path in (out / "tasks").glob("*.html") if 'class="picture"' in path.read_text()]
    assert len(svgs) > 20, "the last build has the pictures"
    subprocess.run([sys.executable, "-m", "leaderboard.build", results, "--out", out], cwd=ROOT, check=True)
    assert not (out / "progress.html").exists(), "a run that has ended is no news"


@pytest.mark.slow
def test_a_site_that_cannot_be_built_is_a_warning(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    done = subprocess.run(
        command(tmp_path / "results", "--site", out, "--budget-scale", "0.1"), cwd=ROOT, capture_output=True, text=True,
        timeout=200, check=False, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning: the site is not" in done.stdout and "name another" in done.stdout
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    assert len(list(scan(tmp_path / "results"))) == 4
