"""Were a text ever written into a page unescaped: nothing of it runs, and no request leaves the machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from browser.visits import pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy" content="[^"]*">')
ATTACK = """
<script>ran.push("script")</script>
<script src="{server}/script.js"></script>
<img src="x" onerror="ran.push('handler')">
<img src="{server}/image.png">
<link rel="stylesheet" href="{server}/style.css">
<iframe srcdoc="<script>parent.ran.push('frame')</script>"></iframe>
<p id="styled" style="color: rgb(1, 2, 3)">text</p>
<a id="link" href="javascript:ran.push('link')">link</a>
<form id="form" action="{server}/form"></form>
"""
ASK = """server => Promise.allSettled([fetch(server + "/fetch"), new Promise((resolve, reject) => {
    const worker = new Worker(URL.createObjectURL(new Blob(["postMessage(1)"])));
    worker.onmessage = resolve;
    worker.onerror = () => reject("blocked");
})]).then(all => all.map(one => one.status))"""


@contextmanager
def server(asked: list[str]) -> Iterator[str]:
    """The address of a web server on this machine that writes down what it is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.split("?")[0])
            self.send_response(204)  # nothing to show: the page that asked stays
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def attacked(browser: Browser, page_file: Path, protected: bool, folder: Path) -> dict[str, object]:
    """What an attack in a page came to, with the page's own policy or without."""
    asked: list[str] = []
    with server(asked) as address, browser.new_context() as context:
        text = page_file.read_text(encoding="utf-8").replace("</main>", ATTACK.format(server=address) + "</main>")
        assert ATTACK.format(server=address) in text and POLICY.search(text)
        path = folder / f"{protected}.html"
        path.write_text(text if protected else POLICY.sub("", text), encoding="utf-8")
        page = context.new_page()
        page.add_init_script("window.ran ??= []")
        page.goto(path.as_uri())
        asking = page.evaluate(ASK, address)
        page.locator("#link").click()
        page.evaluate("document.body.setAttribute('onclick', 'ran.push(\"late handler\")')")
        page.locator("h1").first.click()
        ran = page.evaluate("ran")
        colour = page.locator("#styled").evaluate("element => getComputedStyle(element).color")
        page.evaluate("document.getElementById('form').requestSubmit()")
        page.wait_for_timeout(200)  # for a request that must not come, there is nothing else to wait for
        return {"ran": sorted(ran), "asked": sorted(asked), "asking": asking, "colour": colour}


def test_the_attack_works_on_a_page_without_the_policy(browser: Browser, site: Path, tmp_path: Path) -> None:
    came_to = attacked(browser, site / "index.html", protected=False, folder=tmp_path)
    assert came_to == {
        "ran": ["frame", "handler", "late handler", "link", "script"],
        "asked": ["/fetch", "/form", "/image.png", "/script.js", "/style.css"],
        "asking": ["fulfilled", "fulfilled"],
        "colour": "rgb(1, 2, 3)",
    }


@pytest.mark.parametrize(
    "name", ["index.html", "method.html", "data.html", "models/good.html", "tasks/toy-flat-v1.html"]
)
def test_the_policy_stops_all_of_it(browser: Browser, site: Path, tmp_path: Path, name: str) -> None:
    came_to = attacked(browser, site / name, protected=True, folder=tmp_path)
    assert (came_to["ran"], came_to["asked"]) == ([], [])
    assert came_to["asking"] == ["rejected", "rejected"]
    assert came_to["colour"] != "rgb(1, 2, 3)"


def test_every_page_has_the_policy(site: Path) -> None:
    policies = {name: POLICY.findall(unescape((site / name).read_text(encoding="utf-8"))) for name in pages(site)}
    assert {name for name, found in policies.items() if len(found) != 1} == set()
    for (policy,) in policies.values():
        assert "default-src 'none'; " in policy and "unsafe" not in policy and "://" not in policy
