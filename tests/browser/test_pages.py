"""Every page of the site, as a browser sees it: no error, no request, accessible, whole on a phone and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urlparse

import pytest

from browser.visits import LINKS, ROWS, Visit, pages, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONTROLS = "button, input, select, textarea"
SCRIPTED = ("compare.html",)  # its tables are of what the reader chooses


@pytest.fixture(scope="module")
def visits(browser: Browser, site: Path) -> dict[str, Visit]:
    """A visit to every page."""
    return {name: visit(browser, site / name) for name in pages(site)}


def found(visits: dict[str, Visit], what: str) -> str:
    """What the visits saw of it, a line each: nothing where all is well."""
    return "\n".join(f"{name}: {line}" for name, seen in visits.items() for line in getattr(seen, what))


def test_the_site_has_pages_of_every_kind(visits: dict[str, Visit]) -> None:
    assert {"index.html", "method.html", "data.html", "models/good.html", "tasks/toy-ladder-v1.html"} <= visits.keys()
    assert len(visits["index.html"].rows) > 3


def test_no_page_has_an_error_and_no_text_runs(visits: dict[str, Visit]) -> None:
    assert not found(visits, "complaints"), found(visits, "complaints")


def test_no_page_asks_for_anything(visits: dict[str, Visit], site: Path) -> None:
    for name, seen in visits.items():
        asked = [url for url in seen.requests if not url.startswith("data:image/svg+xml,")]
        assert asked == [(site / name).as_uri()]


def test_pages_are_accessible_on_a_desktop_in_light_colours(visits: dict[str, Visit]) -> None:
    assert not found(visits, "light"), found(visits, "light")


def test_pages_are_accessible_on_a_phone_in_dark_colours(visits: dict[str, Visit]) -> None:
    assert not found(visits, "dark"), found(visits, "dark")


def test_no_page_scrolls_sideways_on_a_phone(visits: dict[str, Visit]) -> None:
    assert not found(visits, "too_wide"), found(visits, "too_wide")


def test_paper_shows_every_table_whole(visits: dict[str, Visit]) -> None:
    assert not found(visits, "cut_off"), found(visits, "cut_off")


def test_links_lead_to_pages_and_places_that_exist(visits: dict[str, Visit], site: Path) -> None:
    assert list(broken(visits, site)) == []


def broken(visits: dict[str, Visit], site: Path) -> Iterator[str]:
    """Links that lead to no file, no place in it, or neither into the site nor to the web."""
    for name, seen in visits.items():
        for link in seen.links:
            address, place = urldefrag(link)
            if urlparse(address).scheme in ("http", "https"):
                continue
            target = Path(unquote(urlparse(address).path))
            inside = address.startswith(f"{site.as_uri()}/") and target.is_file()
            ids = visits[target.relative_to(site).as_posix()].ids if inside and target.suffix == ".html" else []
            is_state = "=" in place  # what is chosen on the page, such as `#with=a,b`
            if not inside or (place and not is_state and unquote(place) not in ids):
                yield f"{name}: {link}"


def test_without_scripts_tables_are_as_complete_and_nothing_waits_for_one(
    browser: Browser, visits: dict[str, Visit], site: Path
) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        for name, seen in visits.items():
            page.goto((site / name).as_uri())
            if name in SCRIPTED:
                assert "needs its script" in page.locator("main").inner_text()
            else:
                assert page.evaluate(ROWS) == seen.rows, name
            assert set(page.evaluate(LINKS)) <= set(seen.links), name
            controls = page.locator(CONTROLS).all()
            assert [control.evaluate("e => e.outerHTML") for control in controls if control.is_visible()] == [], name
