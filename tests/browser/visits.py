"""One visit to a page: everything that a browser says about it, in one load."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

SEEN = ("color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size")
"""The rules of axe-core that colours and widths decide; the others say the same of a page however it is held."""

LINKS = "Array.from(document.querySelectorAll('a[href]'), link => link.href)"
IDS = "Array.from(document.querySelectorAll('[id]'), element => element.id)"
TOO_WIDE = """() => {
    const page = document.scrollingElement;
    if (page.scrollWidth <= window.innerWidth) return [];
    const wide = Array.from(document.querySelectorAll('main *, header *, footer *'))
        .filter(element => element.getBoundingClientRect().right > window.innerWidth && !element.closest('.scroll'));
    return [`${page.scrollWidth} pixels`, ...wide.slice(0, 5).map(element => element.outerHTML.slice(0, 120))];
}"""
ROWS = """Array.from(document.querySelectorAll('table'), table => Array.from(table.tBodies)
    .flatMap(body => Array.from(body.rows, row => row.checkVisibility() ? row.innerText : 'hidden')))"""
CUT_OFF = """() => {
    const around = element => element.parentElement ? [element, ...around(element.parentElement)] : [];
    return Array.from(document.querySelectorAll('table'))
        .filter(table => !table.checkVisibility()
            || around(table).some(element => getComputedStyle(element).overflowX !== 'visible'))
        .map(table => table.caption.textContent);
}"""


@dataclass(frozen=True)
class Visit:
    """What happened on a page, and what is on it.

    `light` and `dark` are faults of accessibility, on a desktop in light and on a phone in dark colours. `too_wide` is
    what makes the page itself scroll sideways on a phone. `cut_off` are the tables that paper would not show whole.
    `rows` are the texts of the rows of each table.
    """

    complaints: list[str]
    requests: list[str]
    light: list[str]
    dark: list[str]
    too_wide: list[str]
    cut_off: list[str]
    links: list[str]
    ids: list[str]
    rows: list[list[str]]


def pages(site: Path) -> list[str]:
    """Every page of a site, by its path in it."""
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


def visit(browser: Browser, path: Path) -> Visit:
    """Open a page on a desktop, then hold it as a phone, in the dark, and as paper."""
    with browser.new_context(viewport=DESKTOP, reduced_motion="reduce") as context:  # type: ignore[arg-type]
        page = context.new_page()
        complaints = listen(page)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        links, ids, rows = page.evaluate(LINKS), page.evaluate(IDS), page.evaluate(ROWS)
        heard, asked = list(complaints), list(requests)
        light = faults(page)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        too_wide = page.evaluate(TOO_WIDE)
        page.emulate_media(color_scheme="dark")
        dark = faults(page, SEEN)
        page.emulate_media(media="print", color_scheme="light")
        cut_off = page.evaluate(CUT_OFF)
        return Visit(heard, asked, light, dark, too_wide, cut_off, links, ids, rows)


def until(page: Page, truth: str, seconds: float = 30.0) -> None:
    """Wait until a page says so; `Page.wait_for_function` needs `eval`, which the pages' policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(truth):
        assert time.monotonic() < deadline, f"after {seconds:g} s not yet: {truth}"
        page.wait_for_timeout(20)


def listen(page: Page) -> list[str]:
    """A list that fills with what the page's console, its errors and its dialogs say."""
    heard: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            heard.append(f"console: {message.text}")

    def dialog(opened: Dialog) -> None:
        heard.append(f"dialog: {opened.message}")
        opened.dismiss()

    page.on("console", console)
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", dialog)
    return heard


def faults(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe-core finds wrong, with these rules or with all: rule, element, why."""
    from axe_playwright_python.sync_playwright import Axe

    options: dict[str, Any] = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    violations: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [
        f"{violation['id']}: {node['target']}: {node['failureSummary']}"
        for violation in violations
        for node in violation["nodes"]
    ]
