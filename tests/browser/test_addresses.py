"""What is chosen stands in the address: filters, sorting, compared entries; an address shows the same view again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from benchmarks.ranking import win_probability
from benchmarks.statistics import mean_interval, paired_difference
from browser.visits import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own; an error in a script fails the test."""
    errors: list[str] = []
    with browser.new_context() as context:
        opened = context.new_page()
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
    assert errors == []


def state(page: Page) -> dict[str, str]:
    """What the address says."""
    return {name: found[0] for name, found in parse_qs(page.evaluate("location.hash.slice(1)")).items()}


def boards(page: Page) -> list[str]:
    """The visible boards."""
    return [b.get_attribute("aria-labelledby") or "" for b in page.locator("section.board").all() if b.is_visible()]


# --- filters ----------------------------------------------------------------------------------------------------------


def test_filters_stand_in_the_address_and_come_back_with_it(page: Page, site: Path) -> None:
    index = (site / "index.html").as_uri()
    page.goto(index)
    every = boards(page)
    page.locator("select[name=input]").select_option("image")
    page.locator("input[name=q]").fill("good")
    assert state(page) == {"input": "image", "q": "good"}
    narrowed = boards(page)
    assert 0 < len(narrowed) < len(every) and all("image" in name for name in narrowed if "board-" not in name)
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert page.locator("select[name=input]").input_value() == "image"
    assert boards(page) == narrowed
    page.get_by_role("button", name="Show all").click()
    until(page, "location.hash === ''")
    assert boards(page) == every


def test_a_tag_leaves_its_tasks_alone(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri() + "#tag=control")
    heads = [h for h in page.locator("table.matrix th.task-head").all() if h.is_visible()]
    assert heads and all("control" in (h.get_attribute("data-tags") or "") for h in heads)
    listed = [row for row in page.locator("#tasks-table tbody tr").all() if row.is_visible()]
    assert len(listed) == 1 and "control" in (listed[0].text_content() or "")
    rows = page.locator("table.matrix tbody tr").first
    assert sum(cell.is_visible() for cell in rows.locator("td").all()) == 1 + 1  # the mean and one task


def test_an_algorithm_and_a_protocol_can_be_asked_for(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri() + "#algorithm=irm")
    shown = [r for r in page.locator("table.matrix tbody tr").all() if r.is_visible()]
    assert [r.get_attribute("data-algorithm") for r in shown] == ["irm"]
    page.goto("about:blank")
    page.goto((site / "index.html").as_uri() + "#protocol=1")
    visible = [b for b in page.locator("section.board").all() if b.is_visible()]
    assert visible and {b.get_attribute("data-protocol") for b in visible} == {"1"}


@pytest.mark.parametrize(
    "hash", ["#input=<script>", "#sort=__proto__:0:ascending", "#sort=tasks-table:99:up", "#q=%", "#="]
)
def test_an_address_that_nobody_wrote_shows_the_page(page: Page, site: Path, hash: str) -> None:
    page.goto((site / "index.html").as_uri() + hash)
    assert boards(page)


def test_a_place_on_the_page_is_no_state(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri() + "#models")
    assert page.locator("#models").is_visible()
    assert page.evaluate("location.hash") == "#models"


# --- sorting ----------------------------------------------------------------------------------------------------------


def test_an_order_stands_in_the_address_and_comes_back_with_it(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    head = page.locator("#models-table thead th").nth(4)
    head.locator("button").click()
    assert state(page) == {"sort": "models-table:4:descending"}
    address, names = page.url, page.locator("#models-table tbody th").all_text_contents()
    page.goto("about:blank")
    page.goto(address)
    assert page.locator("#models-table thead th").nth(4).get_attribute("aria-sort") == "descending"
    assert page.locator("#models-table tbody th").all_text_contents() == names


def test_a_cell_leads_to_its_entry_on_the_page_of_the_task(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    row = page.locator("table.matrix tbody tr", has=page.locator("th a", has_text="small")).first
    slug = row.get_attribute("data-slug")
    row.locator("td[class^=h]").first.click()
    page.wait_for_url("**/tasks/*.html#*")
    assert page.url.endswith(f"#{slug}")
    assert page.locator(f"tr[id='{slug}']").first.is_visible()


# --- comparison -------------------------------------------------------------------------------------------------------


def entries(site: Path) -> dict[str, Any]:
    """What the page of comparisons carries, by label; the headline protocol alone."""
    found = re.search(r'id="data">(.*?)</script>', (site / "compare.html").read_text(), flags=re.S)
    assert found
    data = json.loads(found[1])
    own = {entry["label"]: entry for entry in data["entries"] if entry["headline"] and not entry["configuration"]}
    return own | {"tasks": data["tasks"]}


def shown(text: str) -> list[float]:
    """The numbers of a cell."""
    return [float(n) for n in re.findall(r"[-+]?\d+\.?\d*", text.replace("−", "-"))]


def test_a_comparison_has_the_numbers_of_the_package(page: Page, site: Path) -> None:
    data = entries(site)
    one, other = data["good"], data["small"]
    page.goto((site / "compare.html").as_uri() + f"#with={one['id']},{other['id']}")
    table = page.locator("#comparison table").nth(1)
    checked = 0
    for row in table.locator("tbody tr").all():
        name = row.locator("th a").inner_text()
        place = next(i for i, task in enumerate(data["tasks"]) if task["name"] == name)
        first, second = (dict(e["scores"][str(place)]) for e in (one, other))
        seeds = sorted(first.keys() & second.keys())
        a, b = [first[s] for s in seeds], [second[s] for s in seeds]
        cells = row.locator("td").all_inner_texts()[1:]
        for text, expected in zip(cells, (mean_interval(a), mean_interval(b), paired_difference(b, a)), strict=False):
            values = shown(text)
            assert values[0] == pytest.approx(expected.mean, abs=0.0051)
            if expected.half_width is not None:
                assert values[1] == pytest.approx(expected.half_width, abs=0.0051)
        assert shown(cells[3]) == [pytest.approx(win_probability(b, a).share * len(seeds)), len(seeds)]
        checked += 1
    assert checked >= 3


def test_entries_without_any_difference_are_equal_and_not_undecided(page: Page, site: Path) -> None:
    data = entries(site)
    page.goto((site / "compare.html").as_uri() + f"#with={data['small']['id']},{data['twin']['id']}")
    summary, details = (page.locator("#comparison table").nth(place).inner_text() for place in (0, 1))
    assert "1 equal" in summary and "undecided" not in summary
    assert "0.00 ±0.00 equal on every pair" in " ".join(details.split())


def test_a_choice_stands_in_the_address(page: Page, site: Path) -> None:
    data = entries(site)
    page.goto((site / "compare.html").as_uri())
    assert page.locator("#comparison table").count() == 2, "something is shown without a choice"
    page.get_by_label("First").select_option(data["bad"]["id"])
    page.get_by_label("Entry 2").select_option(data["constructor"]["id"])
    page.get_by_label("Entry 3").select_option(data["good"]["id"])
    assert state(page)["with"].split(",") == [data[name]["id"] for name in ("bad", "constructor", "good")]
    text = page.locator("#comparison").inner_text()
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert page.locator("#comparison").inner_text() == text
    assert "constructor" in text and "one seed" in text


@pytest.mark.parametrize("listed", ["__proto__,constructor", "a,b,c,d,e,f", "toString", "<script>"])
def test_entries_that_nobody_has_are_named_and_no_others_shown_instead(page: Page, site: Path, listed: str) -> None:
    page.goto((site / "compare.html").as_uri() + f"#with={listed}")
    assert page.locator("#comparison table").count() == 0
    assert "Not among these results: " + listed.split(",")[0] in page.locator("#comparison").inner_text()
