"""Numbers and verdicts as the pages write them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from benchmarks.cells import FAILURES, FLAG_WORDS, HEADLINE, Cell, Verdict
from benchmarks.ranking import MOST_SEEDS
from benchmarks.records import LEAVE_ONE_OUT
from benchmarks.statistics import Estimate

MINUS, THIN, TIMES = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}", "\N{MULTIPLICATION SIGN}"
SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")

VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    "trained": ("●", "trained"),
    "not_trained": ("○", "not trained"),
    "failed": ("✕", "failed"),
    "diverged": ("✕", "diverged"),
    "timeout": ("✕", "timed out"),
    "out_of_memory": ("✕", "out of memory"),
    "skipped": ("–", "skipped"),
    "incomplete": ("…", "not run"),
}
"""Sign and words of a verdict: never colour alone."""


def number(value: float) -> str:
    """A value in few digits with a true minus sign: 0.25, 12, 1,500, 3.1 × 10⁵."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        power = str(int(exponent)).translate(SUPERSCRIPT)
        return f"{mantissa.removesuffix('.0')}{THIN}{TIMES}{THIN}10{power}".replace("-", MINUS)
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", MINUS)


def score(value: float) -> str:
    """An anchored score, two decimals."""
    return minus_zero(f"{value:.2f}").replace("-", MINUS)


def metric(value: float) -> str:
    """A metric, three decimals where it is of order one."""
    return minus_zero(f"{value:.3f}").replace("-", MINUS) if abs(value) < 10 else number(value)


def signed(value: float) -> str:
    """A difference in a metric: `+0.031`, `−0.004`."""
    text = metric(value)
    return text if text.startswith(MINUS) or float(f"{value:.3f}") == 0 else f"+{text}"


def minus_zero(text: str) -> str:
    """`-0.00` is 0.00."""
    return text.removeprefix("-") if not text.strip("-0.") else text


def margin(estimate: Estimate, decimals: int = 2) -> str:
    """The half width after ±, empty where there is no interval."""
    if estimate.half_width is None:
        return ""
    return f"±{estimate.half_width:.{decimals}f}" if estimate.half_width < 10 else f"±{number(estimate.half_width)}"


def count(n: int, noun: str, plural: str = "") -> str:
    """`1 seed`, `3 seeds`, `2 entries`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def span(ends: tuple[int, int]) -> str:
    """`3`, `2–5`."""
    low, high = ends
    return str(low) if low == high else f"{low}–{high}"


def seeds_needed(n: float | None) -> str:
    """How many seeds would tell two entries apart: `12`, `>1,000`."""
    if n is None:
        return "–"
    return f">{MOST_SEEDS:,}" if math.isinf(n) else f"{n:,.0f}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, two digits."""
    if seconds < 99.5:
        return f"{seconds:.2g}{THIN}s" if seconds >= 0.1 else f"<{THIN}0.1{THIN}s"
    return f"{seconds / 60:.2g}{THIN}min" if seconds < 5970 else f"{seconds / 3600:.2g}{THIN}h"


def compact(n: int) -> str:
    """A number of parameters: 812, 18.3 k, 1.2 M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g}{THIN}{letter}"
    return str(n)


def lost(cell: Cell) -> str:
    """What of a cell did not come to a trained model: `1 of 5 diverged, 2 of 5 not trained`."""
    parts = [(v, n) for v in VERDICTS if v != "trained" and (n := cell.tally.get(v, 0))]
    return ", ".join(f"{n} of {len(cell.outcomes)} {VERDICTS[verdict][1]}" for verdict, n in parts)


def lost_briefly(cell: Cell) -> str:
    """The same for a narrow cell: the sign of the worst outcome and how many seeds have no trained model."""
    order: tuple[Verdict, ...] = (*FAILURES, "not_trained", "incomplete", "skipped")
    worst = next((verdict for verdict in order if cell.tally.get(verdict)), None)
    return f"{VERDICTS[worst][0]} {len(cell.failures)} of {len(cell.outcomes)}" if worst else ""


def score_text(cell: Cell | None) -> str:
    """The score, and how many seeds it is not made of."""
    if cell is None:
        return ""
    if cell.score is None:
        return VERDICTS[cell.state][1]
    marks = [text for text in (lost_briefly(cell) if cell.failures else "", flagged(cell)) if text]
    return estimate_text(cell.score) + (f" ({', '.join(marks)})" if marks else "")


def estimate_text(estimate: Estimate | None) -> str:
    """`0.53 ±0.04 n5`."""
    if estimate is None:
        return "–"
    return f"{score(estimate.mean)} {margin(estimate)} n{estimate.n}".replace("  ", " ")


def flagged(cell: Cell) -> str:
    """What a reader must know beside a number: `given test inputs`."""
    return ", ".join(FLAG_WORDS[flag] for flag in cell.flags)


def sentence(cell: Cell) -> str:
    """A cell in words, for readers who do not see its chart or colour."""
    if cell.score is None:
        return lost(cell)
    found = cell.score
    parts = [f"mean score {score(found.mean)}"]
    if found.low is not None and found.high is not None:
        parts.append(f"95 % interval {score(found.low)} to {score(found.high)}")
    parts.append(count(found.n, "seed"))
    return ", ".join([*parts, *(extra for extra in (lost(cell), flagged(cell)) if extra)])


def sentence_case(text: str) -> str:
    """The first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def command(cell: Cell) -> str:
    """What to type to repeat a cell."""
    entrant = cell.entrant
    model = "my_model.py:Net" if "@" in entrant.model else entrant.model
    words = ["python -m benchmarks.run", "--task", cell.task.spec.id, "--model", model]
    if entrant.algorithm != "erm":
        words += ["--algorithm", "my_algorithm.py:Mine" if "@" in entrant.algorithm else entrant.algorithm]
    words += ["--seeds", str(max(outcome.seed for outcome in cell.outcomes) + 1)]
    if entrant.protocol.budget_scale != HEADLINE.budget_scale:
        words += ["--budget-scale", f"{entrant.protocol.budget_scale:g}"]
    if entrant.protocol.tuned:
        rule, _, n = entrant.protocol.tuned.rpartition("/")
        words += ["--tune", n, *(["--leave-one-out"] if rule == LEAVE_ONE_OUT else [])]
    if doses := json.loads(entrant.protocol.dose):
        words += ["--sweep", *doses]
    if entrant.protocol.draw != HEADLINE.draw:
        words.append("# on data drawn with a word that is not public")
    return " ".join(words)


def settings(params: Mapping[str, Any]) -> str:
    """Parameters as `name value, name value`."""
    return ", ".join(f"{name.replace('_', ' ')} {setting(value)}" for name, value in params.items())


def setting(value: object) -> str:
    """One parameter."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int | float):
        return number(value) if isinstance(value, float) else f"{value:,}"
    if isinstance(value, list | tuple):
        return " to ".join(setting(v) for v in value) if len(value) == 2 else " ".join(setting(v) for v in value)
    return str(value)
