"""Every number of the overview and of the page of indices, computed again from `results.json`, plainly."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, stdev, variance
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from test_leaderboard import records
from toy_results import SUITE, write

from leaderboard import build
from leaderboard.collect import Collection, collect
from leaderboard.site import site

Json = Any


# --- what the page says -----------------------------------------------------------------------------------------------


class Tables(HTMLParser):
    """The tables of a page by id: attributes of their section, and rows of (attributes, cells of text)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: list[dict[str, str]] = [{}]
        self.found: dict[str, tuple[dict[str, str], list[tuple[dict[str, str], list[str]]]]] = {}
        self.rows: list[tuple[dict[str, str], list[str]]] | None = None
        self.in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        if tag == "section":
            self.sections.append(own)
        elif tag == "table" and "id" in own:
            self.rows = []
            self.found[own["id"]] = (self.sections[-1], self.rows)
        elif tag == "tr" and self.rows is not None:
            self.rows.append((own, []))
        elif tag in ("td", "th") and self.rows:
            self.rows[-1][1].append("")
            self.in_cell = True
        elif tag == "a" and self.in_cell and self.rows and self.rows[-1][1][-1] == "":
            self.rows[-1][0].setdefault("links", "")
            self.rows[-1][0]["links"] += own["href"] + " "
        elif tag in ("small", "b", "a", "br") and self.in_cell and self.rows:
            self.rows[-1][1][-1] += " "

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.in_cell = False
        elif tag == "table":
            self.rows = None

    def handle_data(self, data: str) -> None:
        if self.in_cell and self.rows:
            self.rows[-1][1][-1] += data


def numbers(text: str) -> list[float]:
    """The numbers in a text, a true minus sign read as one."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text.replace("−", "-").replace("–", " "))
    return [float(each.replace(",", "")) for each in found]


# --- the same from the data -------------------------------------------------------------------------------------------


def t_interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and half the 95 % interval."""
    if len(values) < 2:
        return values[0], None
    return fmean(values), stats.t.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))


def mean_of_means(groups: Sequence[Sequence[float]]) -> tuple[float, float | None]:
    """The same for the plain mean over tasks, with Satterthwaite's degrees of freedom."""
    mean = fmean(map(fmean, groups))
    if min(map(len, groups)) < 2:
        return mean, None
    parts = [variance(g) / len(g) / len(groups) ** 2 for g in groups]
    if sum(parts) == 0:
        return mean, 0.0
    freedom = sum(parts) ** 2 / sum(p**2 / (len(g) - 1) for p, g in zip(parts, groups, strict=True))
    return mean, stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))


def counted(cell: Json) -> dict[int, float]:
    return {s["seed"]: s["counted_score"] for s in cell["seeds"] if s["counted_score"] is not None}


def boards(data: Json) -> Iterator[tuple[tuple[str, str, str, str], dict[str, dict[str, Json]]]]:
    """(family, input, protocol, fixed model) to entry to task to cell, doses and described tasks left out."""
    found: dict[tuple[str, str, str, str], dict[str, dict[str, Json]]] = {}
    for cell in data["cells"]:
        task, entry = data["tasks"][cell["task"]], data["entries"][cell["entry"]]
        if task["ceiling"] is not None and entry["dose"] == "{}":
            protocol = json.dumps([entry[k] for k in ("budget_scale", "draw", "selection", "tuned")])
            key = (cell["task"].split("/")[0], task["input"], protocol, task["fixed_model"])
            board = found.setdefault(key, {})
            board.setdefault(cell["entry"], {})[cell["task"]] = cell
    yield from found.items()


def ranked(data: Json, board: Mapping[str, Mapping[str, Json]]) -> list[str]:
    """The tasks of a board's mean: someone has a score, no control, not optional, half of the models were run on it.

    There is one version of each here, and models that were skipped on all of it are none of its own.
    """
    board = {e: cells for e, cells in board.items() if any(cell["state"] != "skipped" for cell in cells.values())}
    scored = {task for cells in board.values() for task, cell in cells.items() if counted(cell)}
    ran = {task: {data["entries"][e]["model"] for e, cells in board.items() if task in cells} for task in scored}
    n_models = len({data["entries"][e]["model"] for e in board})
    kept = {t for t in scored if "control" not in data["tasks"][t]["tags"] and not data["tasks"][t]["optional"]}
    return sorted(t for t in kept if len(ran[t]) >= n_models / 2)


def drawn_ranks(data: Json, cells: Sequence[Mapping[str, Json]], tasks: Sequence[str]) -> NDArray[np.int64]:
    """Ranks (B, E) in a plain bootstrap of its own: ideas, then seeds, drawn again, one resample at a time."""
    random, ideas = np.random.default_rng(7), sorted({data["tasks"][t]["idea"] for t in tasks})
    tables = {}
    for task in tasks:
        seeds = sorted(set.intersection(*(set(counted(own[task])) for own in cells)))
        tables[task] = np.array([[counted(own[task])[seed] for seed in seeds] for own in cells])
    ranks = []
    for _ in range(1000):
        drawn = [t for i in random.choice(ideas, len(ideas)) for t in tasks if data["tasks"][t]["idea"] == i]
        picked = {t: random.integers(tables[t].shape[1], size=tables[t].shape[1]) for t in tasks}
        means = np.mean([tables[t][:, picked[t]].mean(1) for t in drawn], axis=0)
        ranks.append([1 + int((means > own + 1e-12).sum()) for own in means])
    return np.array(ranks)


def is_interval(low: float, high: float, ranks: NDArray[np.int64]) -> bool:
    """Whether 2.5 % of draws lie beyond either end, up to three standard errors of two bootstraps (1,000 and 2,000)."""
    slack = 3 * math.sqrt(0.025 * 0.975 * (1 / 1000 + 1 / 2000))
    beyond, with_ends = ((ranks < low).mean(), (ranks > high).mean()), ((ranks <= low).mean(), (ranks >= high).mean())
    return max(beyond) <= 0.025 + slack and min(with_ends) >= 0.025 - slack


# --- both -------------------------------------------------------------------------------------------------------------


def collections(folder: Path, kind: str) -> Collection:
    if kind == "toy":
        return collect([write(folder / "results", *records())], SUITE)
    return collect([build.PUBLIC], build.suite())


@pytest.fixture(scope="module", params=["toy", pytest.param("public", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, str, Json]:
    """The overview and the data of the results that ship, and of small ones with every kind of failure."""
    files = site(collections(tmp_path_factory.mktemp("numbers"), request.param), lambda task: None)
    return Tables(files["index.html"] + files["solutions.html"]), files["index.html"], json.loads(files["results.json"])


def same(shown: Sequence[float], expected: Sequence[float | None], decimals: int = 2) -> bool:
    """Whether what is shown is what is expected, rounded."""
    wanted = [value for value in expected if value is not None]
    return len(shown) >= len(wanted) and all(
        abs(s - w) <= 0.5000001 * 10**-decimals for s, w in zip(shown, wanted, strict=False)
    )


def rows_of(tables: Tables, key: tuple[str, str, str, str], board: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The rows of one board, by the entries that stand on it."""
    for section, rows in tables.found.values():
        slugs = {row["data-slug"] for row, _ in rows[1:] if "data-slug" in row}
        if (section.get("data-family"), section.get("data-input")) == key[:2] and slugs and slugs <= board.keys():
            return [(row["data-slug"], cells) for row, cells in rows[1:]]
    raise AssertionError(f"no board for {key}")


def test_every_cell_and_mean_of_every_board(made: tuple[Tables, str, Json]) -> None:
    tables, _, data = made
    checked = 0
    for key, board in boards(data):
        tasks = sorted({task for cells in board.values() for task in cells})
        for_mean = [] if json.loads(key[2])[3].startswith("oracle/") else ranked(data, board)
        for slug, cells in rows_of(tables, key, board):
            assert len(cells) in (2 + len(tasks), 5 + len(tasks)), key
            for task, text in zip(tasks, cells[-len(tasks) :], strict=True):
                values = list(counted(board[slug].get(task, {"seeds": []})).values())
                expected = t_interval(values) if values else ()
                shown = numbers(text)
                assert same(shown, expected if "±" in text else expected[:1]), (slug, task, text)
                assert "±" in text or len(values) < 2 or text[0] in "○✕", (slug, task, text)
                assert bool(shown) == bool(values), (slug, task, text)
                checked += 1
            groups = [list(counted(board[slug].get(t, {"seeds": []})).values()) for t in for_mean]
            mean, given_test = cells[-len(tasks) - 1], "given the inputs" in cells[-len(tasks) - 1]
            if not groups or not all(groups) or given_test:
                assert given_test or "no score" in mean or "no ranked task" in mean, (slug, mean)
                continue
            expected = mean_of_means(groups)
            assert same(numbers(mean), expected), (slug, mean)
            low = None if expected[1] is None else expected[0] - expected[1]
            assert ("ceiling side" in mean) == (low is not None and low >= 0.5), mean
    assert checked >= 8


def test_every_rank_and_its_change_when_an_idea_is_left_out(made: tuple[Tables, str, Json]) -> None:
    tables, _, data = made
    for key, board in boards(data):
        tasks, every = ranked(data, board), {task for cells in board.values() for task in cells}
        rows = [(slug, cells) for slug, cells in rows_of(tables, key, board) if len(cells) == 5 + len(every)]
        rows = [(slug, cells) for slug, cells in rows if re.fullmatch(r"[\d– ]*\d[\d– ]*", cells[1])]
        able = [c for c in board.values() if tasks and all(t in c and len(counted(c[t])) >= 3 for t in tasks)]
        able = [c for c in able if not any("target-inputs" in s["flags"] for x in c.values() for s in x["seeds"])]
        seeds = [len(set.intersection(*(set(counted(c[t])) for c in able))) for t in tasks] if able else [0]
        several = len({data["tasks"][t]["idea"] for t in tasks}) > 1 and min(seeds, default=0) >= 3
        expected = len(able) if several else 0
        assert len(rows) == (expected if expected > 1 and "oracle/" not in key[2] else 0), key
        if not rows:
            continue
        own = [board[slug] for slug, _ in rows]
        ideas = {data["tasks"][t]["idea"] for t in tasks}
        assert len(ideas) > 1
        shared = {t: set.intersection(*(set(counted(cells[t])) for cells in own)) for t in tasks}
        means = {t: [fmean(counted(cells[t])[k] for k in shared[t]) for cells in own] for t in tasks}
        kept = [[t for t in tasks if data["tasks"][t]["idea"] != idea] for idea in ideas]
        without = [[fmean(means[t][i] for t in left) for i in range(len(own))] for left in kept]
        draws = drawn_ranks(data, own, tasks)
        for i, (slug, cells) in enumerate(rows):
            found = numbers(cells[1])
            assert is_interval(found[0], found[-1], draws[:, i]), (slug, found)
            ranks = [1 + sum(mean > listed[i] + 1e-12 for mean in listed) for listed in without]
            assert (numbers(cells[2])[0], numbers(cells[2])[-1]) == (min(ranks), max(ranks)), slug


def test_the_numbers_at_the_top_and_the_list_of_models(made: tuple[Tables, str, Json]) -> None:
    tables, text, data = made
    shown = dict(re.findall(r"<dt>([a-z ]+)</dt><dd>([^<]*)</dd>", text))
    failures = ("failed", "diverged", "timeout", "out_of_memory")
    assert shown["tasks with results"] == f"{len({c['task'] for c in data['cells']})} of {len(data['tasks'])}"
    assert shown["models"] == str(len({e["model"] for e in data["entries"].values()}))
    assert shown["trials"] == f"{data['n_records']:,}"
    assert shown["failed seeds"] == str(sum(s["outcome"] in failures for c in data["cells"] for s in c["seeds"]))
    _, rows = tables.found["models-table"]
    headline = [c for c in data["cells"] if data["entries"][c["entry"]]["headline"]]
    for _, cells in rows[1:]:
        own = [c for c in headline if data["entries"][c["entry"]]["model"] == cells[0].strip()]
        trained = sum(any(s["outcome"] == "trained" for s in c["seeds"]) for c in own)
        entries = len({c["entry"] for c in own})
        assert [numbers(cells[k]) for k in (1, 3)] == [[n] if n else [] for n in (entries, trained)], cells


def test_every_place_between_the_ends_of_an_index(made: tuple[Tables, str, Json]) -> None:
    tables, _, data = made
    if "profile-table" not in tables.found:
        assert not any(cell["axes"] for cell in data["cells"])
        return
    _, rows = tables.found["profile-table"]
    headline = {e: v for e, v in data["entries"].items() if v["headline"]}
    checked, heads = 0, [text.strip() for text in rows[0][1][3:]]
    labels = {
        e: v["model"] if v["algorithm"] == "erm" else f"{v['model']} + {v['algorithm']}" for e, v in headline.items()
    }
    for row, cells in rows[1:]:
        task = next(t for t in data["tasks"] if f"tasks/{t.replace('/', '-')}.html" in row["links"])
        index = next(
            a["index"] for a in data["tasks"][task]["axes"] if cells[0].endswith(" " + a["index"].replace("_", " "))
        )
        expected = {}
        for cell in data["cells"]:
            if cell["task"] == task and cell["entry"] in headline:
                found = [
                    s["selected"]["indices"][index]
                    for s in cell["seeds"]
                    if s["outcome"] == "trained" and index in s["selected"]["indices"]
                ]
                expected |= {labels[cell["entry"]]: t_interval(found)} if found else {}
        shown = {head: numbers(text) for head, text in zip(heads, cells[3:], strict=True) if numbers(text)}
        assert shown.keys() == expected.keys(), (task, index)
        assert all(same(shown[head], expected[head]) for head in shown), (task, index)
        checked += len(shown)
    assert checked
