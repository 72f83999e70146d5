"""One site of everything that a cell can be, and one browser to read it with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from toy_results import SUITE, record, write

from benchmarks.records import Record, digest
from leaderboard import build
from tasks.types import Task

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SCRIPT = '</script><script>alert(1)</script><img src=x onerror=alert(2)><a href="javascript:alert(3)">\'{{7*7}}'
LONG_NAME = "a" * 64
LONG_WORD = "unbroken" * 2000
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="800" height="90" viewBox="0 0 800 90">'
    '<path d="M0 80L800 10" stroke="currentColor" fill="none"/></svg>'
)


def everything() -> list[Record]:
    """Every outcome, protocol and flag; one algorithm beside the usual; names and texts as hostile as records take."""
    ladder, described, error = "toy/ladder-v1", "toy/described-v1", "toy/error-v1"
    good = [
        *(record("toy/flat-v1", "good", s, ood) for s, ood in enumerate([0.9, 0.95, 1.0])),
        *(record("toy/second-v1", "good", s, ood) for s, ood in enumerate([0.7, 0.75, 0.8])),
        *(record(ladder, "good", s, 0.8 + s / 50, condition=c) for s in range(3) for c in "ab"),
        *(record(described, "good", s, iid=0.9 + s / 100) for s in range(3)),
        record("toy/control-v1", "good", ood=0.5),
        record(error, "good", iid=1.0, ood=1e9),
    ]
    small = [
        *(record("toy/flat-v1", "small", s, ood) for s, ood in enumerate([0.5, 0.55, 0.6])),
        *(record("toy/second-v1", "small", s, ood) for s, ood in enumerate([0.6, 0.7, 0.65])),
        *(record(ladder, "small", s, 0.6, condition=c) for s in range(3) for c in "ab"),
        record(described, "small", ood=0.6),
    ]
    twin = [record("toy/flat-v1", "twin", s, ood) for s, ood in enumerate([0.5, 0.55, 0.6])]
    bad = [
        record("toy/flat-v1", "bad", 0, iid=0.6),
        record("toy/flat-v1", "bad", 1, status="timeout", reason="over 120 s"),
        record("toy/flat-v1", "bad", 2, status="diverged", reason="the loss is not finite"),
        record("toy/flat-v1", "bad", 3, status="out_of_memory", reason="over 3 GiB"),
        record("toy/second-v1", "bad", status="failed", reason=SCRIPT),
        record("toy/control-v1", "bad", status="failed", reason=LONG_WORD),
        record(ladder, "bad", condition="a"),
        record(error, "bad", status="skipped", reason="takes vector, not image"),
    ]
    terms = [
        record("toy/flat-v1", "good", ood=0.6, algorithm="irm"),
        record("toy/flat-v1", "good", ood=0.6, budget_scale=0.1),
        record("toy/flat-v1", "good", ood=0.6, draw=digest("a secret word")),
        *(record("toy/flat-v1", "good", s, 0.8, tuned="iid-validation/20") for s in range(2)),
        *(record("toy/flat-v1", "small", s, 0.7, tuned="iid-validation/20") for s in range(2)),
        *(record("toy/flat-v1", "good", s, 0.9, tuned="oracle/20") for s in range(2)),
        replace(record("toy/flat-v1", "transductive", ood=0.7), flags=("transductive", "target-inputs")),
    ]
    hostile = [
        record("toy/flat-v1", "constructor", ood=0.7),  # a name that every JavaScript object knows
        record("toy/flat-v1", "net-net@0a1b2c3d", ood=0.2),
        record("toy/flat-v1", LONG_NAME, ood=0.7, algorithm=LONG_NAME),
        record("toy/flat-v1", "small", ood=0.6, hparams={SCRIPT: SCRIPT, LONG_WORD: "=1+1"}),
        replace(record("toy/second-v1", "constructor", 5), provenance={"started": SCRIPT}),
        record("toy/gone-v1", "good"),
    ]
    sizes = {"good": 20_000, "small": 900}
    return [
        replace(r, n_parameters=sizes[r.trial.model]) if r.status == "ok" and r.trial.model in sizes else r
        for r in [*good, *small, *twin, *bad, *terms, *hostile]
    ]


def suite() -> dict[str, Task]:
    """The toy tasks, and one of the registry that has what they have not: a definition and published values."""
    real = next(task for task in build.suite().values() if task.spec.published)
    return {**SUITE, real.spec.id: real}


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a built site."""
    results, out = tmp_path_factory.mktemp("browser") / "results", tmp_path_factory.mktemp("browser") / "site"
    write(results, *everything())
    (results / "toy" / "flat-v1" / "good" / "erm" / "<img src=x onerror=alert(4)>.json").write_text("{}")
    tasks = suite()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "suite", lambda: tasks)
        patch.setattr(build, "drawn", lambda task: PICTURE)
        patch.setenv("HF_HUB_OFFLINE", "1")
        assert build.main([str(results), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A Chromium without a window, closed after the last test of this folder: its event loop would stop other tests."""
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright; `pip install playwright`")
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    with api.sync_playwright() as playwright:
        if program is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("no Chromium on this machine; `apt install chromium` or `playwright install chromium`")
        unconfined = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's own refuses to start for root
        started = playwright.chromium.launch(executable_path=program, args=unconfined)
        yield started
        started.close()
