"""The site without a mouse: everything that can be used is reached by Tab, in order, and is seen to be reached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser.visits import DESKTOP, PHONE, pages, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WANTED = """() => {
    const usable = 'a[href], button, input, select, textarea, summary, [tabindex]';
    window.wanted = Array.from(document.querySelectorAll(usable)).filter(element =>
        element.tabIndex >= 0 && !element.disabled && element.checkVisibility({visibilityProperty: true}));
    return wanted.map(element => element.outerHTML.slice(0, 100));
}"""
REACHED = """() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const box = element.getClientRects()[0];  // of a link over several lines the first
    const [left, right] = [Math.max(box.left, 0), Math.min(box.right, innerWidth)];
    const [top, bottom] = [Math.max(box.top, 0), Math.min(box.bottom, innerHeight)];
    const there = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return {
        place: wanted.indexOf(element),
        outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
            && style.outlineColor !== 'rgba(0, 0, 0, 0)',
        onScreen: left < right && top < bottom,
        covered: there !== null && !element.contains(there) && !there.contains(element),
    };
}"""


def walk(page: Page) -> list[str]:
    """Press Tab through a page; what is not as it should be."""
    wanted = page.evaluate(WANTED)
    wrong: list[str] = []
    for place, element in enumerate(wanted):
        page.keyboard.press("Tab")
        reached: dict[str, Any] = page.evaluate(REACHED)
        if reached["place"] != place:
            return [*wrong, f"{element}: not reached; instead number {reached['place']} of {len(wanted)}"]
        faults = [name for name in ("covered",) if reached[name]]
        faults += [f"not {name}" for name in ("outlined", "onScreen") if not reached[name]]
        if faults:
            wrong.append(f"{element}: {', '.join(faults)}")
    return wrong


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_tab_reaches_everything_in_order_and_shows_where_it_is(browser: Browser, site: Path, device: str) -> None:
    size = {"desktop": DESKTOP, "phone": PHONE}[device]
    wrong = []
    with browser.new_context(viewport=size, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        page = context.new_page()
        for name in pages(site):
            page.goto((site / name).as_uri())
            wrong += [f"{name}: {line}" for line in walk(page)]
    assert not wrong, "\n".join(wrong)


def test_the_first_tab_offers_to_skip_to_the_content(browser: Browser, site: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        page.keyboard.press("Tab")
        skip = page.locator(":focus")
        assert skip.inner_text() == "Skip to content"
        box = skip.bounding_box()
        assert box is not None and box["x"] >= 0 and box["y"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.keyboard.press("Tab")
        assert page.evaluate("document.getElementById('content').contains(document.activeElement)")


def test_a_wide_table_scrolls_by_arrow_keys(browser: Browser, site: Path) -> None:
    with browser.new_context(viewport=PHONE, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        table = page.locator(".scroll", has=page.locator("table.matrix")).first
        table.focus()
        page.keyboard.press("ArrowRight")
        until(page, "document.activeElement.scrollLeft > 0")


# --- cells of a board -------------------------------------------------------------------------------------------------

TEXTS = "table => Array.from(table.tBodies[0].rows, row => Array.from(row.cells, cell => cell.innerText))"
PLACE = """() => {
    const cell = document.activeElement.closest('td'), names = cell.parentNode.cells[0].getBoundingClientRect();
    return {
        row: cell.parentNode.sectionRowIndex,
        column: cell.cellIndex,
        slug: cell.parentNode.dataset.slug,
        head: cell.closest('table').tHead.rows[0].cells[cell.cellIndex].querySelector('a').getAttribute('href'),
        absent: cell.classList.contains('absent'),
        way: document.activeElement.getAttribute('href'),
        covered: cell.getBoundingClientRect().left < names.right - 1,
        links: cell.closest('table').querySelectorAll('td a').length,
    };
}"""


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_arrow_keys_go_from_cell_to_cell_of_a_board_and_tab_leaves_it(
    browser: Browser, site: Path, device: str
) -> None:
    size = {"desktop": DESKTOP, "phone": PHONE}[device]
    with browser.new_context(viewport=size, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        for board in page.locator("table.matrix").all():
            assert board.locator("td a").count() == 1, "one stop for Tab, however many cells"
        table = page.locator("table.matrix").first
        texts = table.evaluate(TEXTS)
        tasks = [place for place, head in enumerate(table.locator("thead th").all()) if head.locator("a").count()]
        last = len(texts) - 1
        table.locator("td a").focus()
        steps = {
            "ArrowUp": (0, tasks[0]), "ArrowLeft": (0, tasks[0]), "ArrowRight": (0, tasks[1]),
            "ArrowDown": (1, tasks[1]), "End": (1, tasks[-1]), "Home": (1, tasks[0]),
        }  # fmt: skip
        for key, expected in steps.items():
            page.keyboard.press(key)
            at = page.evaluate(PLACE)
            assert (at["row"], at["column"], at["links"], at["covered"]) == (*expected, 1, False), key
            assert at["way"] == at["head"] + ("" if at["absent"] else f"#{at['slug']}"), key
        for _ in texts:
            page.keyboard.press("ArrowDown")
        assert page.evaluate(PLACE)["row"] == last
        assert table.evaluate(TEXTS) == texts, "what a cell says stays with it"
        page.keyboard.press("Shift+ArrowUp")
        assert page.evaluate(PLACE)["row"] == last, "keys with others belong to the browser"
        page.keyboard.press("Tab")
        assert not table.evaluate(
            "table => Array.from(table.querySelectorAll('td')).some(td => td.matches(':focus-within'))"
        )


def test_enter_leads_from_a_cell_to_its_entry_on_the_page_of_the_task(browser: Browser, site: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        page.locator("table.matrix").first.locator("td a").focus()
        while page.evaluate(PLACE)["absent"]:
            page.keyboard.press("ArrowRight")
        slug = page.evaluate(PLACE)["slug"]
        page.keyboard.press("Enter")
        page.wait_for_url("**/tasks/*.html#*")
        assert page.locator(f"tr[id='{slug}']").first.is_visible()


def test_a_filter_leaves_the_stop_where_a_cell_is_shown(browser: Browser, site: Path) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        table = page.locator("table.matrix").first
        first = table.locator("tbody tr").first.locator("th").inner_text()
        for name, value in (("q", "small"), ("tag", "control")):
            page.goto("about:blank")
            page.goto((site / "index.html").as_uri() + f"#{name}={value}")
            assert value != first and table.locator("td a").is_visible()
            table.locator("td a").focus()
            page.keyboard.press("ArrowDown")
            at = page.evaluate(PLACE)
            assert at["links"] == 1 and page.locator(":focus").is_visible()
        page.locator("#filters input[name=q]").fill("nobody is called so")
        assert table.locator("td a").count() == 0
        page.locator("#filters input[name=q]").fill("")
        assert table.locator("td a").count() == 1
