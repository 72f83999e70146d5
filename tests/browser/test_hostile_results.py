"""A site of everything hostile at once, opened: nothing runs, nothing is asked for, and every refusal can be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import test_hostile
from toy_results import SUITE, write

from browser.visits import listen, pages
from leaderboard import folder
from leaderboard.collect import collect
from leaderboard.site import site as site_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_nothing_hostile_runs(browser: Browser, tmp_path: Path) -> None:
    roots = [write(tmp_path / "believed", test_hostile.HONEST, *test_hostile.BELIEVED.values())]
    for i, (attack, _) in enumerate(test_hostile.ATTACKS.values()):
        roots.append(tmp_path / f"attack-{i}" / "results")
        roots[-1].mkdir(parents=True)
        attack(roots[-1])
    collection = collect(roots, SUITE)
    assert len(collection.refused) >= len(test_hostile.ATTACKS)
    folder.write(tmp_path / "site", site_of(collection, lambda task: None))
    with browser.new_context() as context:
        page = context.new_page()
        heard, asked = listen(page), list[str]()
        page.on("request", lambda request: asked.append(request.url))
        opened = [(tmp_path / "site" / name).as_uri() for name in pages(tmp_path / "site")]
        for address in opened:
            page.goto(address)
        assert heard == []
        assert [url for url in asked if not url.startswith("data:")] == opened
        page.goto((tmp_path / "site" / "data.html").as_uri())
        assert page.locator("table tbody tr").count() == len(collection.refused)
