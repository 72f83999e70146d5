"""A server process that has imported everything: trials are forked from it in milliseconds, without our secrets.

Its environment is an allow-list: no key or token of the parent reaches a class under test.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from pathlib import Path

ALLOWED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH",
           "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "SSL_CERT_FILE")  # fmt: skip
ALLOWED_PREFIXES = ("OFFPISTE_", "OPENBLAS_", "PYTORCH_")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
CACHES = {"HF_HOME": ".cache/huggingface", "XDG_CACHE_HOME": ".cache"}


def start_forkserver(preload: Sequence[str] = ()) -> ForkServerContext:
    """A server with everything imported and without the parent's secrets."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.trial_process", *preload])
    from multiprocessing import forkserver

    with environment(worker_environment(os.environ)):
        forkserver.ensure_running()
    return context


def worker_environment(parent: Mapping[str, str]) -> dict[str, str]:
    """The variables that workers get: an allow-list, one thread for every library, explicit cache folders."""
    kept = {name: value for name, value in parent.items() if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)}
    home = Path(parent.get("HOME", "/"))
    caches = {name: parent.get(name, str(home / folder)) for name, folder in CACHES.items()}
    offline = {name: parent[name] for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_DATASETS_CACHE") if name in parent}
    return kept | caches | offline | ONE_THREAD


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """This process's environment replaced for a moment."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
