"""The mirror to Weights & Biases: one run per trial, written after its record, by a process of its own.

    python -m benchmarks.tracking RESULTS        mirror what is in a results folder and not mirrored yet

A result is complete without W&B and is never lost to it: an error here is a warning. The mirror never prompts,
and no host name, path or command line leaves the machine. This is the only module that imports wandb.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from benchmarks.cells import judge
from benchmarks.packed import Packed, age
from benchmarks.points import role_means
from benchmarks.records import SEARCH, InvalidRecord, Record, Trial
from benchmarks.store import Damaged, read, scan
from tasks.registry import entries, load
from tasks.types import Scores

Mode = Literal["offline", "online", "disabled"]
PROJECT = "offpiste"
MIRRORED = "wandb/mirrored.txt"
GOODBYE_SECONDS = 120.0


def resolve_mode(flag: Mode | None, environment: Mapping[str, str], home: Path) -> Mode:
    """The flag, then WANDB_MODE, then online where a key is, else offline."""
    if flag:
        return flag
    match environment.get("WANDB_MODE", "").lower():
        case "offline" | "dryrun":
            return "offline"
        case "disabled":
            return "disabled"
        case "online" | "run":
            return "online"
    has_key = bool(environment.get("WANDB_API_KEY")) or "api.wandb.ai" in netrc_text(home)
    return "online" if has_key else "offline"


def netrc_text(home: Path) -> str:
    """The user's netrc, where `wandb login` leaves a key; empty where there is none."""
    try:
        return (home / ".netrc").read_text()
    except OSError:
        return ""


class Mirror:
    """The parent's end of the mirror process. No method raises, blocks for long or prompts."""

    def __init__(self, results: Path, mode: Mode) -> None:
        self.results, self.mode = results, mode
        self.warning = ""
        self.process: subprocess.Popen[str] | None = None

    def add(self, path: Path) -> None:
        """Mirror the record in this file, some time."""
        self.send({"record": str(path)})

    def report(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Mirror the summary of a whole command: {"cells": {"columns": [...], "rows": [[...], ...]}, ...}."""
        self.send({"report": tables})

    def send(self, message: Mapping[str, Any]) -> None:
        """One line to the process, which starts with the first."""
        if self.mode == "disabled" or self.warning:
            return
        try:
            self.process = self.process or self.start()
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            self.warning = f"the W&B mirror stopped: {error}"

    def start(self) -> subprocess.Popen[str]:
        """The process. It shares nothing with the class under test."""
        command = [sys.executable, "-m", "benchmarks.tracking", str(self.results), "--mode", self.mode, "--follow"]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"WANDB_SILENT": "true"}, start_new_session=True,
        )  # fmt: skip

    def close(self) -> str:
        """Wait until everything is mirrored; a warning in words, or nothing."""
        if self.process is None:
            return self.warning
        try:
            outcome, _ = self.process.communicate(timeout=GOODBYE_SECONDS)
            return self.warning or (json.loads(outcome)["warning"] if outcome else "the W&B mirror ended early")
        except (subprocess.TimeoutExpired, ValueError, OSError) as error:
            self.process.kill()
            return f"the W&B mirror did not finish: {error}"


def sync_command(results: Path) -> str:
    """What a user types to upload offline runs."""
    return f"wandb sync --include-offline {results}/wandb/offline-run-*"


class Writer:
    """Writes records as W&B runs and remembers which it has written."""

    def __init__(self, results: Path, mode: Mode) -> None:
        self.results, self.mode = results, mode
        self.list = results / MIRRORED
        self.packed = Packed(results)
        self.mirrored = set(self.list.read_text().split()) if self.list.exists() else set()
        self.warning = ""

    def write(self, path: Path) -> None:
        """Mirror the record in a file, or in a segment if it was packed, unless it was mirrored before."""
        if path.stem in self.mirrored:
            return
        try:
            self.mirror(read(path) if path.exists() else max(self.packed.versions(path.stem), key=age))
        except (OSError, InvalidRecord, ValueError) as error:
            self.warning = self.warning or f"{path.name} was not mirrored: {error}"

    def mirror(self, record: Record) -> None:
        """Mirror a record, unless it was mirrored before."""
        if record.key not in self.mirrored and self.attempt(lambda: write_trial(record, self.results, self.mode)):
            self.mirrored.add(record.key)
            with open(self.list, "a") as file:
                file.write(record.key + "\n")

    def report(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Mirror the summary of a command."""
        self.attempt(lambda: write_report(tables, self.results, self.mode))

    def attempt(self, write: Any) -> bool:
        """Whether a write to W&B went well; what went wrong first is kept as a warning."""
        try:
            write()
        except Exception as error:  # whatever W&B raises must not reach a result
            self.warning = self.warning or f"W&B: {type(error).__name__}: {error}"
            return False
        return True


def open_run(results: Path, mode: Mode, **identity: Any) -> Any:
    """A new W&B run that knows nothing of this machine."""
    import wandb

    results.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(
        x_disable_meta=True, x_disable_stats=True, save_code=False, disable_git=True, console="off", silent=True,
        host="offpiste", init_timeout=30,
    )  # fmt: skip
    return wandb.init(mode=mode, dir=str(results), project=PROJECT, reinit="create_new", settings=settings, **identity)


def write_trial(record: Record, results: Path, mode: Mode) -> None:
    """One trial as one run: config for every dimension, the curve as history, the selected scores as summary."""
    trial = record.trial
    run = open_run(
        results,
        mode,
        id=f"{record.key[:12]}-{secrets.token_hex(3)}",
        name=f"{trial.task} {trial.condition} {trial.model} {trial.algorithm} s{trial.seed}",
        group="/".join([trial.task, trial.condition, trial.model, trial.algorithm, *variant(trial)]),
        job_type="train",
        config=config_of(record),
    )
    run.define_metric("*", step_metric="step")
    for point in record.curve:
        run.log({"step": point["step"], **({"loss": point["loss"]} if point["loss"] is not None else {}),
                 **flat(point["scores"]), **under_task(trial, point["scores"])})  # fmt: skip
    run.summary.update(
        {"status": record.status, "reason": record.reason, "seconds": record.seconds,
         "selected_step": record.selected_step, **flat(record.scores), **under_task(trial, record.scores),
         **counted_score(record),
         **{f"last/{name}": value for name, value in flat(record.last).items()}}
    )  # fmt: skip
    run.finish(exit_code=0 if record.status in ("ok", "skipped") else 1)


def has_panels(trial: Trial) -> bool:
    """Whether a dashboard shows a trial under its task: those of a search and at other doses are no results."""
    return trial.task in entries() and trial.tuned != SEARCH and not trial.dose


def under_task(trial: Trial, scores: Scores) -> dict[str, float]:
    """The headline metric under names of the task, `shift/houses-v1/ood`: a panel of W&B shows a key of every run that
    has it, and `ood/rmse` alone would mix tasks.
    """
    if not has_panels(trial):
        return {}
    return {f"{trial.task}/{role}": mean for role, mean in role_means(scores, load(trial.task).spec).items()}


def counted_score(record: Record) -> dict[str, float]:
    """What the trial counts on a board, `shift/houses-v1/score`, where it is the whole question; where a task compares
    several trainings, the report has the score.
    """
    trial = record.trial
    if not has_panels(trial):
        return {}
    try:
        counted = judge(load(trial.task), trial.seed, {trial.condition: record}).counted
    except (ArithmeticError, LookupError, TypeError, ValueError):  # numbers that the task cannot sum up
        return {}
    return {} if counted is None else {f"{trial.task}/score": counted}


def variant(trial: Trial) -> list[str]:
    """What sets a trial apart from those of the same task, model and algorithm: dose, search, environment left out."""
    doses = [f"{name}={value:g}" for name, value in sorted(trial.dose.items())]
    left_out = [] if trial.left_out is None else [f"without-environment-{trial.left_out}"]
    return [*doses, *([trial.tuned] if trial.tuned else []), *left_out]


def config_of(record: Record) -> dict[str, Any]:
    """The flat dimensions that a dashboard groups by."""
    trial = record.trial
    return {
        "key": record.key, "family": trial.task.split("/")[0], "task": trial.task, "condition": trial.condition,
        "model": trial.model, "algorithm": trial.algorithm, "seed": trial.seed, "budget_scale": trial.budget_scale,
        "selection": record.selection, "status": record.status, "n_parameters": record.n_parameters,
        "tuned": trial.tuned, "left_out": trial.left_out, "flags": list(record.flags),
        **{f"hparams.{name}": value for name, value in trial.hparams.items()},
        **{f"settings.{name}": value for name, value in trial.settings.items()},
        **{f"dose.{name}": value for name, value in trial.dose.items()},
        **{f"recipe.{name}": value for name, value in (record.recipe or {}).items()},
        "engine": record.provenance.get("engine", {}).get("name"),
        **{f"version.{name}": value for name, value in record.provenance.items() if name not in ("started", "engine")},
    }  # fmt: skip


def failure_table(records: Sequence[Record]) -> dict[str, Any]:
    """Every trial that failed, with its reason, as plain data."""
    columns = ["task", "condition", "model", "algorithm", "seed", "status", "reason"]
    bad = [record for record in records if record.status not in ("ok", "skipped")]
    rows = [[*(getattr(r.trial, name) for name in columns[:5]), r.status, r.reason] for r in bad]
    return {"columns": columns, "rows": rows}


def write_report(tables: Mapping[str, Mapping[str, Any]], results: Path, mode: Mode) -> None:
    """The summary of a command as a run with tables: W&B cannot show the interval of a group of runs."""
    import wandb

    run = open_run(results, mode, id=f"report-{secrets.token_hex(6)}", name="report", job_type="report")
    run.log(
        {
            name: wandb.Table(columns=list(table["columns"]), data=[list(row) for row in table["rows"]])
            for name, table in tables.items()
        }
    )
    run.finish()


def flat(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """{"ood": {"accuracy": .5}} as {"ood/accuracy": .5}."""
    return {f"{split}/{metric}": value for split, metrics in scores.items() for metric, value in metrics.items()}


def follow(writer: Writer, messages: Iterable[str]) -> None:
    """Mirror what the parent names, line by line."""
    for line in messages:
        message = json.loads(line)
        if "record" in message:
            writer.write(Path(message["record"]))
        else:
            writer.report(message["report"])


def main(arguments: list[str] | None = None, messages: IO[str] = sys.stdin) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--mode", choices=["offline", "online"], help="default: online with a key, else offline")
    parser.add_argument("--follow", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    writer = Writer(options.results, resolve_mode(options.mode, os.environ, Path.home()))
    if options.follow:
        follow(writer, messages)
    else:
        for found in scan(options.results):
            if not isinstance(found, Damaged):
                writer.mirror(found)
    print(json.dumps({"warning": writer.warning}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
