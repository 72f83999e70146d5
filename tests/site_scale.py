"""What a site of many models takes: `python tests/site_scale.py [MODELS TASKS SEEDS]`, 60, 40 and 5 by default.

The results that ship, copied to other names and seeds with a little noise, are written as result files and built.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.records import Record, Trial
from benchmarks.store import Store, scan
from leaderboard import build
from tasks.types import Scores


def copies(n_models: int, n_tasks: int, n_seeds: int) -> Iterator[Record]:
    """A record of every model, task, condition and seed."""
    own: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in scan(build.PUBLIC):
        if isinstance(record, Record) and record.status == "ok" and is_headline(record.trial):
            own[record.trial.task][record.trial.condition].append(record)
    noise = random.Random(0)
    for task in sorted(own)[:n_tasks]:
        for model in range(n_models):
            for seed in range(n_seeds):
                for found in own[task].values():
                    record = found[seed % len(found)]
                    trial = replace(record.trial, model=f"model-{model:03}", seed=seed, source_hash=f"{model:064}")
                    yield replace(
                        record, trial=trial, scores=moved(record.scores, noise), last=moved(record.last, noise), data={}
                    )


def is_headline(trial: Trial) -> bool:
    """Whether a trial is plain training, without a search or a dose."""
    return trial.algorithm == "erm" and not trial.tuned and not trial.dose


def moved(scores: Scores, noise: random.Random) -> Scores:
    """The scores with a little noise on what lies between 0 and 1."""
    return {
        split: {m: min(1.0, max(0.0, v + noise.uniform(-0.05, 0.05))) if 0 <= v <= 1 else v for m, v in metrics.items()}
        for split, metrics in scores.items()
    }


def main() -> None:
    """Write, build, say."""
    sizes = [int(word) for word in sys.argv[1:]] or [60, 40, 5]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "results")
        n_files = sum(store.put(record) is not None for record in copies(*sizes))
        out, began, used = Path(folder) / "site", time.monotonic(), time.process_time()
        assert build.main([str(store.root), "--out", str(out)]) == 0
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        overview = (out / "index.html").stat().st_size
        print(f"{n_files:,} files: {seconds:.0f} s, {cpu:.0f} s of a core, {peak:.2f} GB")
        print(f"overview {overview / 1000:.0f} KB")


if __name__ == "__main__":
    main()
