"""The site without a mouse: everything that can be used is reached by Tab, in order, and is seen to be reached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser.visits import DESKTOP, PHONE, pages

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
        page.wait_for_function("document.activeElement.scrollLeft > 0", timeout=3000)
