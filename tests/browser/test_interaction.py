"""What scripts add to the tables: sorting by any column, and a filter of the entries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own."""
    with browser.new_context() as context:
        yield context.new_page()


def values(table: Locator, column: int) -> list[float | None]:
    """The numbers of a column from top to bottom, as they are said or shown; None where a cell has none."""
    cells = table.locator(f"tbody tr > :nth-child({column + 1})")
    said = cells.evaluate_all("cells => cells.map(cell => cell.dataset.value ?? cell.firstChild?.textContent ?? '')")
    found = [re.match(r"\s*(-?[\d.]+(e-?\d+)?)", text.replace("\N{MINUS SIGN}", "-").replace(",", "")) for text in said]
    return [float(number[1]) if number else None for number in found]


def column_of(table: Locator, heading: str) -> int:
    """The place of a column by its heading."""
    headings = table.locator("thead th").all_inner_texts()
    return next(place for place, text in enumerate(headings) if text.strip().startswith(heading))


def in_order(listed: list[float | None], descending: bool) -> bool:
    """Whether numbers stand in order, and what is missing after them."""
    numbers = [value for value in listed if value is not None]
    missing = len(listed) - len(numbers)
    return listed == sorted(numbers, reverse=descending) + [None] * missing


def test_numbers_are_sorted_as_numbers_and_what_is_missing_stays_last(page: Page, site: Path) -> None:
    page.goto((site / "tasks" / "toy-second-v1.html").as_uri())
    table = page.locator("table.results").first
    column = column_of(table, "Parameters")
    button = table.locator("thead th").nth(column).locator("button")
    before = values(table, column)
    assert None in before and {900.0, 1234.0, 20_000.0} <= set(before), "text would put 20000 before 900"
    button.click()
    assert in_order(values(table, column), descending=True)
    button.click()
    assert in_order(values(table, column), descending=False)
    assert sorted(map(str, values(table, column))) == sorted(map(str, before))


@pytest.mark.parametrize("name", ["index.html", "tasks/toy-flat-v1.html", "models/good.html", "data.html"])
def test_every_column_that_offers_it_is_sorted_and_says_so(page: Page, site: Path, name: str) -> None:
    page.goto((site / name).as_uri())
    tables = [table for table in page.locator("table.sortable").all() if table.is_visible()]
    assert tables
    for table in tables:
        for place, head in enumerate(table.locator("thead th").all()):
            if not (button := head.locator("button")).count():
                continue
            button.click()
            sorts = table.locator("thead th").evaluate_all("heads => heads.map(head => head.ariaSort)")
            said = sorts[place]
            assert said in ("ascending", "descending") and sum(map(bool, sorts)) == 1, sorts
            if "num" in (head.get_attribute("class") or "").split():
                column = values(table, place)
                assert in_order(column, said == "descending"), (head.inner_text(), column)


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_table_is_sorted_by_the_keyboard(page: Page, site: Path, key: str) -> None:
    page.goto((site / "tasks" / "toy-flat-v1.html").as_uri())
    table = page.locator("table.results").first
    column = column_of(table, "Score")
    head = table.locator("thead th").nth(column)
    head.locator("button").focus()
    page.keyboard.press(key)
    assert head.get_attribute("aria-sort") == "descending"
    assert in_order(values(table, column), descending=True)
    page.keyboard.press(key)
    assert head.get_attribute("aria-sort") == "ascending"
    assert in_order(values(table, column), descending=False)
    assert head.locator("button").evaluate("button => button === document.activeElement"), "focus stays"


def test_the_filter_hides_the_other_entries_and_counts(page: Page, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    rows = page.locator("table.filterable tbody tr")
    names = rows.locator("th").all_text_contents()
    wanted = [name for name in names if "good" in name.lower()]
    assert 0 < len(wanted) < len(names)
    field, count = page.locator("#filters input[name=q]"), page.locator("#filter-count")
    field.fill("GOOD")
    shown = [row.locator("th").text_content() for row in rows.all() if row.is_visible()]
    assert shown == wanted
    assert count.inner_text().startswith(f"{len(wanted)} of {len(names)} rows")
    field.fill("<script>")
    scripts = sum("<script>" in name for name in names)
    assert count.inner_text().startswith(f"{scripts} of {len(names)} rows")
    field.fill("")
    assert all(row.is_visible() for row in rows.all())
    assert count.inner_text() == ""
